/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands share: options, help, usage, and the call to the agent with its failures in words. */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/option.h"
#include "cli/show.h"
#include "core/control.h"
#include "core/value.h"

int cli_help(const struct command *command)
{
	printf("usage: nodemend %s %s\n%s\n\n%s", command->name, command->arguments, command->summary, command->help);
	return EXIT_DONE;
}

int cli_usage(const struct command *command, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "nodemend %s: %s\nusage: nodemend %s %s\n", command->name, show_text(text).text, command->name, command->arguments);
	return EXIT_USAGE;
}

bool cli_colour(void)
{
	const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
	return isatty(STDOUT_FILENO) && !(none && none[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
}

bool cli_option(struct cli_options *options, int option, const char *value)
{
	switch (option) {
	case OPTION_RUN_DIR:
		options->run_dir = value;
		return true;
	case OPTION_STATE_DIR:
		options->state_dir = value;
		return true;
	case OPTION_JSON:
		options->json = true;
		return true;
	default:
		return false;
	}
}

bool cli_parse(const struct command *command, int argc, char **argv, struct cli_options *options)
{
	static const struct option known[] = { CLI_OPTIONS, { NULL, 0, NULL, 0 } };
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (!cli_option(options, option, optarg)) {
			(void)cli_usage(command, "`nodemend %s --help` lists the options", command->name);
			return false;
		}
	}
	return true;
}

cJSON *cli_request(const char *name)
{
	cJSON *request = cJSON_CreateObject();
	cJSON_AddStringToObject(request, "command", name);
	return request;
}

/* One sentence that says what to do next; the exit code. */
static int unreachable(const char *run_dir, int error)
{
	struct shown dir = show_text(run_dir);
	switch (error) {
	case -EACCES:
	case -EPERM:
		fprintf(stderr, "nodemend: not permitted to talk to the agent on %s/control.sock: become root or a member of the group nodemend\n", dir.text);
		return EXIT_NOT_PERMITTED;
	case -ENOENT:
	case -ENOTDIR:
	case -ECONNREFUSED:
		fprintf(stderr, "nodemend: no agent on %s/control.sock: start one with `nodemend run` or `systemctl start nodemend`\n", dir.text);
		return EXIT_UNREACHABLE;
	case -ETIMEDOUT:
		fprintf(stderr, "nodemend: the agent on %s/control.sock did not answer in 5 s: is it stopped?\n", dir.text);
		return EXIT_UNREACHABLE;
	case -ECONNRESET:
		fprintf(stderr, "nodemend: the agent on %s/control.sock hung up: did it end?\n", dir.text);
		return EXIT_UNREACHABLE;
	default:
		fprintf(stderr, "nodemend: the agent on %s/control.sock cannot be reached: %s\n", dir.text, strerror(-error));
		return EXIT_UNREACHABLE;
	}
}

cJSON *cli_call(const char *run_dir, cJSON *request, int *ret_code)
{
	cJSON *answer = NULL;
	int error = control_call(run_dir, request, &answer);
	cJSON_Delete(request);
	if (error < 0) {
		*ret_code = unreachable(run_dir, error);
		return NULL;
	}
	if (get_true(answer, "ok")) {
		*ret_code = EXIT_DONE;
		return answer;
	}

	double code = get_number(answer, "code");
	*ret_code = code >= EXIT_NO && code <= EXIT_NOT_PERMITTED ? (int)code : EXIT_NO;
	fprintf(stderr, "nodemend: %s\n", show_member(answer, "error").text);
	const cJSON *fault;
	cJSON_ArrayForEach(fault, get(answer, "faults")) {
		fprintf(stderr, "%s:%.0f:%.0f: %s\n", show_member(fault, "file").text, get_number(fault, "line"), get_number(fault, "column"),
			show_member(fault, "text").text);
	}
	double cut = get_number(answer, "faults_cut");
	if (cut > 0)
		fprintf(stderr, "and %.0f more\n", cut);
	cJSON_Delete(answer);
	return NULL;
}

cJSON *cli_ask(const struct cli_options *options, cJSON *request, int *ret_code)
{
	cJSON *answer = cli_call(options->run_dir, request, ret_code);
	if (!answer || !options->json)
		return answer;
	cJSON_DeleteItemFromObjectCaseSensitive(answer, "ok");
	show_json(stdout, answer);
	cJSON_Delete(answer);
	return NULL;
}

int cli_show(const struct command *command, int argc, char **argv, void (*show)(const struct look *look, const cJSON *answer))
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(command, argc, argv, &options))
		return EXIT_USAGE;
	if (optind < argc)
		return cli_usage(command, "what is '%s'?", argv[optind]);

	int code;
	cJSON *answer = cli_ask(&options, cli_request(command->name), &code);
	if (!answer)
		return code;
	struct look look = look_stdout();
	show(&look, answer);
	cJSON_Delete(answer);
	return EXIT_DONE;
}

int cli_duration(const char *text, uint64_t *ret_ns, char *why, size_t why_size)
{
	static const struct setting duration = { .name = "T", .type = VALUE_DURATION, .size = sizeof(uint64_t), .min = 1 };
	char reason[VALUE_WHY_LEN] = "";
	uint64_t ns = 0;
	if (value_set_text(&duration, text, &ns, reason) < 0) {
		snprintf(why, why_size, "%s", reason);
		return -EINVAL;
	}
	*ret_ns = ns;
	return 0;
}
