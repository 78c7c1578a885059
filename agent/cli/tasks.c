/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend tasks`: what waits for a person; `nodemend task close ID`: it is done. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

static void show_task(const struct look *look, const cJSON *task, const char *now)
{
	const char *closed = get_text(task, "closed");
	double times = get_number(task, "times"), lasted = seconds_between(get_text(task, "opened"), closed[0] ? closed : now);
	const cJSON *step;
	int number = 1;
	show_tinted(look, TINT_BOLD, "%s", show_member(task, "id").text);
	fprintf(look->out, "  %s  %s %s", show_time(get_text(task, "opened")).text, closed[0] ? "closed after" : "open for", show_seconds(lasted).text);
	if (times > 1)
		fprintf(look->out, ", asked for %.0f times", times);
	fprintf(look->out, "\n    %s\n", show_member(task, "title").text);
	cJSON_ArrayForEach(step, get(task, "steps")) {
		if (cJSON_IsString(step))
			fprintf(look->out, "    %d. %s\n", number++, show_text(step->valuestring).text);
	}
	if (get_text(task, "incident")[0])
		fprintf(look->out, "    policy %s, `nodemend why %s`\n", show_member(task, "policy").text, show_member(task, "incident").text);
}

static int tasks_run(int argc, char **argv)
{
	static const struct option known[] = { CLI_OPTIONS, { "all", no_argument, NULL, 'a' }, { NULL, 0, NULL, 0 } };
	struct cli_options options = CLI_OPTIONS_INIT;
	bool all = false;
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (option == 'a')
			all = true;
		else if (!cli_option(&options, option, optarg))
			return cli_usage(&command_tasks, "`nodemend tasks --help` lists the options");
	}
	if (optind < argc)
		return cli_usage(&command_tasks, "what is '%s'? one is closed by `nodemend task close ID`", argv[optind]);

	int code;
	cJSON *request = cli_request("tasks");
	cJSON_AddBoolToObject(request, "all", all);
	cJSON *answer = cli_ask(&options, request, &code);
	if (!answer)
		return code;
	struct look look = look_stdout();
	const cJSON *task;
	if (get_count(answer, "tasks") == 0)
		printf("no tasks\n");
	cJSON_ArrayForEach(task, get(answer, "tasks")) {
		show_task(&look, task, get_text(answer, "time"));
	}
	cJSON_Delete(answer);
	return EXIT_DONE;
}

static int task_run(int argc, char **argv)
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(&command_task, argc, argv, &options))
		return EXIT_USAGE;
	if (argc - optind != 2 || strcmp(argv[optind], "close") != 0)
		return cli_usage(&command_task, "`nodemend task close ID`; `nodemend tasks` lists them");

	int code;
	cJSON *request = cli_request("task_close");
	cJSON_AddStringToObject(request, "id", argv[optind + 1]);
	cJSON *answer = cli_ask(&options, request, &code);
	if (!answer)
		return code;
	printf("closed: %s\n", show_member(answer, "id").text);
	cJSON_Delete(answer);
	return EXIT_DONE;
}

const struct command command_tasks = {
	.name = "tasks",
	.arguments = "[--all] [--json]",
	.summary = "what waits for a person, the oldest first",
	.help = "  --all              those that are closed, too, as far as the agent still remembers them\n" CLI_OPTIONS_HELP,
	.run = tasks_run,
};

const struct command command_task = {
	.name = "task",
	.arguments = "close ID [--json]",
	.summary = "say that what a person was asked to do is done",
	.help = "  The beginning of an ID is enough where no other open task begins so.\n" CLI_OPTIONS_HELP,
	.run = task_run,
};
