/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `nodemend apply REMEDY TARGET`: one remedy by hand. The agent runs it, under its guards, its never-list and its journal; here
 * are the words of the order, the waiting, and what came of it.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"
#include "remedy.h"

/* A remedy by hand has a minute, and its worker a little more; twice that is an agent that lost it. */
enum { POLLS = 600, POLL_MS = 200 };

struct order {
	struct cli_options options;
	const struct remedy *remedy;
	bool dry_run, yes;
	cJSON *target, *args;
};

/* {"match":["*.log","*.tmp"],"min_age":["10m"]} */
static void add_argument(cJSON *args, const char *name, const char *value)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(args, name);
	if (!list)
		list = cJSON_AddArrayToObject(args, name);
	cJSON_AddItemToArray(list, cJSON_CreateString(value));
}

static bool parse_argument(cJSON *args, const char *text)
{
	char name[NAME_LEN];
	const char *equals = strchr(text, '=');
	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
		return false;
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	add_argument(args, name, equals + 1);
	return true;
}

static int parse_pid(const char *text, cJSON *target)
{
	char *end;
	errno = 0;
	long pid = strtol(text, &end, 10);
	if (errno || end == text || *end || pid < 1 || pid > INT_MAX)
		return cli_usage(&command_apply, "pid:%s: a number is wanted", text);
	cJSON_AddNumberToObject(target, "pid", (double)pid);
	return EXIT_DONE;
}

/* The path as the kernel sees it: the agent follows no links. */
static int parse_path(const char *text, cJSON *target)
{
	char *path = realpath(text, NULL);
	if (!path)
		return cli_usage(&command_apply, "%s: %s", text, strerror(errno));
	cJSON_AddStringToObject(target, "path", path);
	free(path);
	return EXIT_DONE;
}

static int parse_target(const struct order *order, const char *text)
{
	uint32_t to = order->remedy->applies_to;
	if (strncmp(text, "pid:", 4) == 0 && (to & APPLIES_TO_PROCESS))
		return parse_pid(text + 4, order->target);
	if (strncmp(text, "cgroup:/", 8) == 0 && (to & APPLIES_TO_CGROUP))
		cJSON_AddStringToObject(order->target, "cgroup", text + 7);
	else if (strcmp(text, "node") == 0 && (to & APPLIES_TO_NODE))
		cJSON_AddTrueToObject(order->target, "node");
	else if (strncmp(text, "interface:", 10) == 0 && text[10] && (to & APPLIES_TO_INTERFACE))
		cJSON_AddStringToObject(order->target, "interface", text + 10);
	else if (to & APPLIES_TO_PATH)
		return parse_path(text, order->target);
	else if (to & APPLIES_TO_UNIT)
		cJSON_AddStringToObject(order->target, "unit", text);
	else
		return cli_usage(&command_apply, "%s: the target of %s is %s%s%s", text, order->remedy->name, to & APPLIES_TO_PROCESS ? "pid:N" : "",
				 (to & APPLIES_TO_PROCESS) && (to & APPLIES_TO_CGROUP) ? " or " : "",
				 to & APPLIES_TO_CGROUP ? "cgroup:/PATH" : to & APPLIES_TO_NODE ? "node" : to & APPLIES_TO_INTERFACE ? "interface:NAME" : "");
	return EXIT_DONE;
}

static int parse(int argc, char **argv, struct order *order)
{
	static const struct option known[] = {
		CLI_OPTIONS, { "dry-run", no_argument, NULL, 'n' }, { "arg", required_argument, NULL, 'a' }, { "match", required_argument, NULL, 'm' },
		{ "yes", no_argument, NULL, 'y' }, { NULL, 0, NULL, 0 },
	};
	for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (option == 'n')
			order->dry_run = true;
		else if (option == 'y')
			order->yes = true;
		else if (option == 'm')
			add_argument(order->args, "match", optarg);
		else if (option == 'a' && !parse_argument(order->args, optarg))
			return cli_usage(&command_apply, "--arg %s: KEY=VALUE is wanted", optarg);
		else if (option != 'a' && !cli_option(&order->options, option, optarg))
			return cli_usage(&command_apply, "`nodemend apply --help` lists the options");
	}
	if (optind + 2 != argc)
		return cli_usage(&command_apply, "which remedy, on what?");
	order->remedy = remedy_by_name(argv[optind]);
	if (!order->remedy)
		return cli_usage(&command_apply, "there is no remedy '%s'; `nodemend remedies` lists them", argv[optind]);
	return parse_target(order, argv[optind + 1]);
}

/* Waits until the action has ended. Its document; or NULL and the exit code. */
static cJSON *wait_for_end(const struct order *order, const char *id, int *ret_code)
{
	for (int i = 0; i < POLLS; i++) {
		cJSON *request = cli_request("action");
		cJSON_AddStringToObject(request, "id", id);
		cJSON *answer = cli_call(order->options.run_dir, request, ret_code);
		if (!answer)
			return NULL;
		cJSON *action = cJSON_DetachItemFromObjectCaseSensitive(answer, "action");
		cJSON_Delete(answer);
		if (get_text(action, "ended")[0])
			return action;
		cJSON_Delete(action);
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
	fprintf(stderr, "nodemend: action %s has not ended yet; `nodemend status` and the journal will tell\n", show_text(id).text);
	*ret_code = EXIT_NO;
	return NULL;
}

/* Gives the order and waits for its end. Its document; or NULL and the exit code. */
static cJSON *carry_out(const struct order *order, bool dry_run, int *ret_code)
{
	cJSON *request = cli_request("apply");
	cJSON_AddStringToObject(request, "remedy", order->remedy->name);
	cJSON_AddItemToObject(request, "target", cJSON_Duplicate(order->target, true));
	cJSON_AddItemToObject(request, "args", cJSON_Duplicate(order->args, true));
	cJSON_AddBoolToObject(request, "dry_run", dry_run);
	cJSON *answer = cli_call(order->options.run_dir, request, ret_code);
	if (!answer)
		return NULL;
	cJSON *action = wait_for_end(order, get_text(answer, "id"), ret_code);
	cJSON_Delete(answer);
	return action;
}

static int tell(const struct order *order, const cJSON *action, bool dry_run)
{
	const char *outcome = get_text(action, "outcome");
	bool good = dry_run ? !outcome[0] : strcmp(outcome, "fixed") == 0 || strcmp(outcome, "improved") == 0;
	struct look look = look_stdout();
	if (order->options.json)
		show_json(stdout, action);
	else
		action_show(&look, action);
	return good ? EXIT_DONE : EXIT_NO;
}

static bool confirmed(void)
{
	char answer[16] = "";
	fprintf(stderr, "do this? [y/N] ");
	return fgets(answer, sizeof(answer), stdin) && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

/* A person sees the plan first, and is asked. */
static int show_plan_and_ask(const struct order *order)
{
	int code;
	cJSON *plan = carry_out(order, true, &code);
	if (!plan)
		return code;
	code = tell(order, plan, true);
	cJSON_Delete(plan);
	if (code != EXIT_DONE)
		return code;
	if (confirmed())
		return EXIT_DONE;
	fprintf(stderr, "nodemend: nothing was done\n");
	return EXIT_NO;
}

static int run_order(const struct order *order)
{
	if (!order->dry_run && !order->yes) {
		if (!isatty(STDIN_FILENO))
			return cli_usage(&command_apply, "nobody is there to be asked: give --yes, or --dry-run to see the plan");
		int code = show_plan_and_ask(order);
		if (code != EXIT_DONE)
			return code;
	}
	int code;
	cJSON *action = carry_out(order, order->dry_run, &code);
	if (!action)
		return code;
	code = tell(order, action, order->dry_run);
	cJSON_Delete(action);
	return code;
}

static int run(int argc, char **argv)
{
	struct order order = { .options = CLI_OPTIONS_INIT, .target = cJSON_CreateObject(), .args = cJSON_CreateObject() };
	int code = parse(argc, argv, &order);
	if (code == EXIT_DONE && order.remedy)
		code = run_order(&order);
	cJSON_Delete(order.target);
	cJSON_Delete(order.args);
	return code;
}

const struct command command_apply = {
	.name = "apply",
	.arguments = "REMEDY TARGET [--dry-run] [--match GLOB]... [--arg KEY=VALUE]... [--yes]",
	.summary = "one remedy by hand, under the same guards and the same journal",
	.help = "  TARGET             clean-files: a directory; restart-unit and what else is about units: a unit; terminate: pid:N or cgroup:/PATH;\n"
		"                     restart-interface: interface:NAME; raise-conntrack, raise-neighbours: node\n"
		"  --dry-run          show what it would do and what that would bring, and change nothing\n"
		"  --match GLOB       clean-files: of the files' names; more than once is fine\n"
		"  --arg KEY=VALUE    any other argument, as in a policy: min_age=10m, max_bytes=2GiB, keep_newest=3, term_wait=5s\n"
		"  --yes              do not ask\n" CLI_OPTIONS_HELP
		"Exit code 0: fixed, improved, or a dry run that worked; 1: no effect, failed, refused; 3: no agent; 4: not root.\n",
	.run = run,
};
