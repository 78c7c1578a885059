/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend reload`: take the new configuration if it is valid, else keep the old and say why. */
#include <cjson/cJSON.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

static int run(int argc, char **argv)
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(&command_reload, argc, argv, &options))
		return EXIT_USAGE;
	if (optind < argc)
		return cli_usage(&command_reload, "what is '%s'?", argv[optind]);

	int code;
	cJSON *answer = cli_ask(&options, cli_request("reload"), &code);
	if (!answer)
		return code;
	printf("reloaded: mode %s\n", show_member(answer, "mode").text);
	cJSON_Delete(answer);
	return EXIT_DONE;
}

const struct command command_reload = {
	.name = "reload",
	.arguments = "[--json]",
	.summary = "take the new configuration if it is valid, else keep the old and say why",
	.help = "  Exit code 2 when it was refused; `nodemend check` finds the same faults without an agent.\n" CLI_OPTIONS_HELP,
	.run = run,
};
