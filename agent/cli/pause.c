/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend pause` and `nodemend resume`: stop and start all acting at once; observing goes on. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

static int ask_and_say(const struct cli_options *options, cJSON *request)
{
	int code;
	cJSON *answer = cli_ask(options, request, &code);
	if (!answer)
		return code;
	const cJSON *paused = get(answer, "paused");
	const char *until = get_text(paused, "until");
	if (paused)
		printf("paused: nothing is acted on until %s\n", until[0] ? show_time(until).text : "`nodemend resume`");
	else
		printf("resumed: mode %s\n", show_member(answer, "mode").text);
	cJSON_Delete(answer);
	return EXIT_DONE;
}

/* The words as one sentence; false where they are too long. */
static bool join(char *buffer, size_t size, int count, char **words)
{
	size_t length = 0;
	buffer[0] = '\0';
	for (int i = 0; i < count; i++) {
		int added = snprintf(buffer + length, size - length, "%s%s", i ? " " : "", words[i]);
		if (added < 0 || (size_t)added >= size - length)
			return false;
		length += (size_t)added;
	}
	return true;
}

static int pause_run(int argc, char **argv)
{
	static const struct option known[] = { CLI_OPTIONS, { "for", required_argument, NULL, 'f' }, { NULL, 0, NULL, 0 } };
	struct cli_options options = CLI_OPTIONS_INIT;
	uint64_t for_ns = 0;
	char why[160], reason[160];
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (option == 'f' && cli_duration(optarg, &for_ns, why, sizeof(why)) < 0)
			return cli_usage(&command_pause, "--for %s: %s", optarg, why);
		if (option != 'f' && !cli_option(&options, option, optarg))
			return cli_usage(&command_pause, "`nodemend pause --help` lists the options");
	}
	if (!join(reason, sizeof(reason), argc - optind, argv + optind))
		return cli_usage(&command_pause, "the reason is longer than %zu characters", sizeof(reason) - 1);

	cJSON *request = cli_request("pause");
	if (for_ns)
		cJSON_AddNumberToObject(request, "for_seconds", (double)for_ns / 1e9);
	cJSON_AddStringToObject(request, "reason", reason);
	return ask_and_say(&options, request);
}

static int resume_run(int argc, char **argv)
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(&command_resume, argc, argv, &options))
		return EXIT_USAGE;
	if (optind < argc)
		return cli_usage(&command_resume, "what is '%s'?", argv[optind]);
	return ask_and_say(&options, cli_request("resume"));
}

const struct command command_pause = {
	.name = "pause",
	.arguments = "[--for T] [REASON]",
	.summary = "stop all acting at once; observing goes on",
	.help = "  --for T            resume by itself after T (30m, 2h)\n" CLI_OPTIONS_HELP,
	.run = pause_run,
};

const struct command command_resume = {
	.name = "resume",
	.arguments = "[--json]",
	.summary = "end a pause, and lift quarantines",
	.help = CLI_OPTIONS_HELP,
	.run = resume_run,
};
