/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend remedies` and `nodemend remedies show NAME`: what can be done here, by whom, and how it went so far. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

/* "3 fixed, 1 failed in enforce; 2 planned in shadow". */
static void show_record(const struct look *look, const cJSON *record)
{
	const cJSON *mode, *outcome;
	if (!cJSON_GetArraySize(record))
		fprintf(look->out, "never used since the agent started");
	cJSON_ArrayForEach(mode, record) {
		const char *between = "";
		cJSON_ArrayForEach(outcome, mode) {
			fprintf(look->out, "%s%.0f %s", between, outcome->valuedouble, show_text(outcome->string).text);
			between = ", ";
		}
		fprintf(look->out, " in %s%s", show_text(mode->string).text, mode->next ? "; " : "");
	}
	fputc('\n', look->out);
}

static void show_armed(const struct look *look, const cJSON *remedy)
{
	const char *why = get_text(remedy, "why");
	bool asked = cJSON_IsBool(get(remedy, "armed")), armed = get_true(remedy, "armed");
	show_tinted(look, armed ? TINT_GOOD : TINT_WARN, "%s", armed ? "armed" : asked ? "not armed" : "unknown");
	fprintf(look->out, "%s%s\n", why[0] ? ": " : "", show_text(why).text);
}

static void show_policies(const struct look *look, const cJSON *remedy)
{
	const cJSON *policy;
	if (!get_count(remedy, "policies"))
		fprintf(look->out, "  no policy uses it\n");
	cJSON_ArrayForEach(policy, get(remedy, "policies")) {
		const cJSON *budget = get(policy, "per_node");
		fprintf(look->out, "  policy %-20s %-8s %.0f of %.0f acts left for the node in %s", show_member(policy, "policy").text,
			show_member(policy, "effective_mode").text, get_number(policy, "node_budget_left"), get_number(budget, "count"),
			show_seconds(get_number(budget, "per_seconds")).text);
		if (get_number(policy, "quarantined") > 0)
			show_tinted(look, TINT_BAD, ", %.0f quarantined", get_number(policy, "quarantined"));
		fputc('\n', look->out);
	}
}

static void show_lessons(const struct look *look, const cJSON *remedy)
{
	const cJSON *lesson;
	cJSON_ArrayForEach(lesson, get(remedy, "lessons")) {
		const char *cause = get_text(lesson, "cause");
		fprintf(look->out, "  learned: %s%s%s: %.0f worked, %.0f did not", show_member(lesson, "kind").text, cause[0] ? " by " : "", show_text(cause).text,
			get_number(lesson, "worked"), get_number(lesson, "failed"));
		if (get_true(lesson, "set_aside"))
			show_tinted(look, TINT_WARN, "; set aside: it keeps failing here");
		fputc('\n', look->out);
	}
}

static void show_remedy(const struct look *look, const cJSON *remedy)
{
	show_tinted(look, TINT_BOLD, "%-14s", show_member(remedy, "name").text);
	show_armed(look, remedy);
	show_policies(look, remedy);
	fprintf(look->out, "  record: ");
	show_record(look, get(remedy, "record"));
	show_lessons(look, remedy);
}

static void show_whole(const struct look *look, const cJSON *remedy)
{
	const cJSON *policy;
	show_remedy(look, remedy);
	fprintf(look->out, "  what:   %s%s\n  undo:   %s\n", show_member(remedy, "help").text,
		get_true(remedy, "destructive") ? " It cannot be taken back." : "", show_member(remedy, "undo").text);
	cJSON_ArrayForEach(policy, get(remedy, "policies")) {
		const cJSON *budget = get(policy, "per_target");
		fprintf(look->out, "  limits: %s: at most %.0f per target in %s, %s between two acts%s\n", show_member(policy, "policy").text,
			get_number(budget, "count"), show_seconds(get_number(budget, "per_seconds")).text,
			show_seconds(get_number(policy, "cooldown_seconds")).text, get_true(policy, "shipped") ? "; shipped with nodemend" : "");
	}
}

static int run(int argc, char **argv)
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(&command_remedies, argc, argv, &options))
		return EXIT_USAGE;
	const char *name = NULL;
	if (optind + 2 == argc && strcmp(argv[optind], "show") == 0)
		name = argv[optind + 1];
	else if (optind < argc)
		return cli_usage(&command_remedies, "it is `nodemend remedies`, or `nodemend remedies show NAME`");

	int code;
	cJSON *request = cli_request(name ? "remedy" : "remedies");
	if (name)
		cJSON_AddStringToObject(request, "name", name);
	cJSON *answer = cli_ask(&options, request, &code);
	if (!answer)
		return code;

	struct look look = look_stdout();
	const cJSON *remedy;
	fprintf(look.out, "the node's ceiling is mode %s\n\n", show_member(answer, "mode").text);
	if (name)
		show_whole(&look, get(answer, "remedy"));
	cJSON_ArrayForEach(remedy, get(answer, "remedies")) {
		show_remedy(&look, remedy);
	}
	cJSON_Delete(answer);
	return EXIT_DONE;
}

const struct command command_remedies = {
	.name = "remedies",
	.arguments = "[show NAME] [--json]",
	.summary = "the remedies: armed or why not, mode and budget by policy, record so far",
	.help = CLI_OPTIONS_HELP,
	.run = run,
};
