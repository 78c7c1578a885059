/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `nodemend why ID`: one incident whole, for a person who was just woken. The first line says what is wrong, who causes it, what
 * was done and whether that helped; all below is evidence.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

static const struct {
	const char *kind, *is, *was; /* with the resource before it */
} sentences[] = {
	{ "disk_exhaustion", "is filling up", "was filling up" },
	{ "memory_exhaustion", "uses up memory", "used up memory" },
	{ "cpu_exhaustion", "uses up the processors", "used up the processors" },
	{ "io_saturation", "is held up by I/O", "was held up by I/O" },
	{ "process_crash", "is not running", "was not running" },
	{ "service_down", "is down", "was down" },
	{ "service_hung", "does not answer", "did not answer" },
	{ "pid_exhaustion", "uses up the process ids", "used up the process ids" },
	{ "fd_exhaustion", "uses up its file descriptors", "used up its file descriptors" },
	{ "network_saturation", "is saturated", "was saturated" },
	{ "oom_kill", "was killed for want of memory", "was killed for want of memory" },
	{ "kernel_fault", "reports trouble", "reported trouble" },
	{ "log_pattern", "reports trouble", "reported trouble" },
	{ "anomaly", "does not behave as it used to", "did not behave as it used to" },
	{ "dependency_down", "fails those who depend on it", "failed those who depend on it" },
};

static void show_summary(const struct look *look, const cJSON *incident)
{
	const char *kind = get_text(incident, "kind"), *state = get_text(incident, "state");
	bool over = strcmp(state, "resolved") == 0, human = strcmp(state, "needs_human") == 0;
	const cJSON *resource = get(incident, "resource");
	bool node = strcmp(get_text(resource, "type"), "node") == 0;
	struct shown cause = show_cause(incident);
	const char *words = NULL;
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (strcmp(kind, sentences[i].kind) == 0)
			words = node ? (over ? "was running out" : "is running out") : over ? sentences[i].was : sentences[i].is;

	enum tint tint = over ? TINT_GOOD : tint_of_severity(get_text(incident, "severity"));
	show_tinted(look, tint, "%s %s; %s; %s; %s.\n", show_resource(resource).text, words ? words : show_text(kind).text,
		    cause.text[0] ? cause.text : "no cause is known", show_deeds(incident).text,
		    over    ? "it is over"
		    : human ? "it needs a person"
			    : "it goes on");
}

static void show_facts(const struct look *look, const cJSON *answer)
{
	const cJSON *incident = get(answer, "incident"), *signal = get(incident, "signal"), *resource = get(incident, "resource");
	const char *opened = get_text(incident, "opened"), *resolved = get_text(incident, "resolved");
	double within = get_number(signal, "exhausted_in_seconds"), confidence = get_number(signal, "confidence");

	fprintf(look->out, "\nincident   %s, %s of %s, %s, %s\n", show_member(incident, "id").text, show_member(incident, "kind").text,
		show_resource(resource).text, show_member(incident, "severity").text, show_member(incident, "state").text);
	if (get_text(resource, "device")[0])
		fprintf(look->out, "device     %s\n", show_member(resource, "device").text);
	fprintf(look->out, "opened     %s by policy %s\n", show_time(opened).text, show_member(incident, "policy").text);
	if (resolved[0])
		fprintf(look->out, "resolved   %s, after %s\n", show_time(resolved).text, show_seconds(seconds_between(opened, resolved)).text);
	else
		fprintf(look->out, "lasts      %s so far\n", show_seconds(seconds_between(opened, get_text(answer, "time"))).text);
	fprintf(look->out, "signal     %s is %g, the limit is %g", show_member(signal, "metric").text, get_number(signal, "value"),
		get_number(signal, "threshold"));
	if (isfinite(within))
		fprintf(look->out, "; exhausted in %s", show_seconds(within).text);
	if (isfinite(within) && isfinite(confidence))
		fprintf(look->out, " (confidence %.0f %%)", confidence * 100);
	fputc('\n', look->out);
}

static void show_place(const struct look *look, const cJSON *cause)
{
	static const char *const names[] = { "unit", "namespace", "pod", "container", "cgroup" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (get_text(cause, names[i])[0])
			fprintf(look->out, ", %s %s", names[i], show_text(get_text(cause, names[i])).text);
}

static void show_causes(const struct look *look, const cJSON *incident)
{
	const cJSON *cause;
	double rest = 1, explained = 0;
	uint32_t explaining = 0;
	fprintf(look->out, "\ncauses     %s\n", get_count(incident, "causes") ? "by their share" : "none known");
	cJSON_ArrayForEach(cause, get(incident, "causes")) {
		double pid = get_number(cause, "pid"), share = get_number(cause, "share");
		rest -= isfinite(share) ? share : 0;
		fprintf(look->out, "  %2.0f. %7s  ", get_number(cause, "rank"), show_percent(share * 100).text);
		show_tinted(look, TINT_BOLD, "%s", get_text(cause, "comm")[0] ? show_member(cause, "comm").text : get_text(cause, "cgroup")[0] || get_text(cause, "unit")[0] ? "a group" : "a series");
		if (isfinite(pid))
			fprintf(look->out, " pid %.0f", pid);
		show_place(look, cause);
		fprintf(look->out, "%s\n", get_true(cause, "self_inflicted") ? ", at its own limit" : "");
		if (get_text(cause, "evidence")[0])
			fprintf(look->out, "               %s\n", show_member(cause, "evidence").text);
		explained += get_true(cause, "explains") && isfinite(share) ? share : 0;
		explaining += get_true(cause, "explains");
	}
	if (explaining > 1)
		fprintf(look->out, "      %7s  by the first %u together\n", show_percent(explained * 100).text, explaining);
	if (get_count(incident, "causes") && rest >= 0.0005)
		fprintf(look->out, "      %7s  all others\n", show_percent(rest * 100).text);
}

/* Eight heights; what is highest fills its cell. Values that are all the same lie low: there is nothing to see. */
static void show_before(const struct look *look, const cJSON *incident)
{
	static const char *const heights[] = { "\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588" };
	enum { HEIGHTS = sizeof(heights) / sizeof(heights[0]), WIDTH = 60 };
	const cJSON *values = get(get(incident, "before"), "values");
	int count = cJSON_GetArraySize(values), cells = count < WIDTH ? count : WIDTH;
	double least = INFINITY, most = -INFINITY, step = get_number(get(incident, "before"), "step_seconds");
	const cJSON *value;
	cJSON_ArrayForEach(value, values) {
		least = fmin(least, value->valuedouble);
		most = fmax(most, value->valuedouble);
	}
	if (count < 2 || !isfinite(least) || !isfinite(most))
		return;
	fprintf(look->out, "before     ");
	for (int cell = 0; cell < cells; cell++) {
		double highest = -INFINITY;
		for (int i = cell * count / cells; i < (cell + 1) * count / cells; i++)
			highest = fmax(highest, cJSON_GetArrayItem(values, i)->valuedouble);
		int height = most > least ? (int)((highest - least) / (most - least) * (HEIGHTS - 1) + 0.5) : 0;
		fputs(heights[height], look->out);
	}
	fprintf(look->out, " %g to %g in the %s before\n", least, most, show_seconds(step * count).text);
}

static void show_victims(const struct look *look, const cJSON *incident)
{
	const cJSON *victim;
	if (!get_count(incident, "victims"))
		return;
	fprintf(look->out, "\nsufferers  by their share of the waiting\n");
	cJSON_ArrayForEach(victim, get(incident, "victims")) {
		fprintf(look->out, "  %2.0f. %7s  ", get_number(victim, "rank"), show_percent(get_number(victim, "share") * 100).text);
		show_tinted(look, TINT_BOLD, "%s", get_true(victim, "self_inflicted") ? "by its own limit" : "a group");
		show_place(look, victim);
		fprintf(look->out, "\n               %s\n", show_member(victim, "evidence").text);
	}
}

static void show_changes(const struct look *look, const cJSON *incident)
{
	const cJSON *change;
	if (!get_count(incident, "changes"))
		return;
	fprintf(look->out, "\nchanged    before it began\n");
	cJSON_ArrayForEach(change, get(incident, "changes")) {
		fprintf(look->out, "  %s  %s\n", show_time(get_text(change, "time")).text, show_member(change, "what").text);
	}
}

static void show_story(const struct look *look, const cJSON *answer)
{
	const cJSON *other;
	if (!get_count(answer, "story"))
		return;
	fprintf(look->out, "\nstory      %s\n", get_text(get(answer, "incident"), "parent")[0] ? "it is part of" : "these come from it");
	cJSON_ArrayForEach(other, get(answer, "story")) {
		fprintf(look->out, "  %s, %s of %s, %s\n", show_member(other, "id").text, show_member(other, "kind").text,
			show_resource(get(other, "resource")).text, show_member(other, "state").text);
	}
}

static void show_considered(const struct look *look, const cJSON *answer)
{
	const cJSON *policy, *step;
	fprintf(look->out, "\nconsidered %s\n", get_count(answer, "considered") ? "by each policy that saw it" : "nothing: no policy that saw it is configured now");
	cJSON_ArrayForEach(policy, get(answer, "considered")) {
		const char *mode = get_text(policy, "mode"), *effective = get_text(policy, "effective_mode");
		int number = 0;
		fprintf(look->out, "  policy %s, mode %s", show_member(policy, "policy").text, show_text(effective).text);
		if (strcmp(mode, effective) != 0)
			fprintf(look->out, " (its own is %s, the node's ceiling is lower)", show_text(mode).text);
		fprintf(look->out, ", now %s\n", show_member(policy, "state").text);
		cJSON_ArrayForEach(step, get(policy, "remedies")) {
			fprintf(look->out, "   %2d. %-13s %-8s %s\n", ++number, show_member(step, "remedy").text, show_member(step, "verdict").text,
				show_member(step, "why").text);
		}
	}
}

/* Whom it could have been aimed at, and what would have made it another. */
static void show_choice(const struct look *look, const cJSON *choice)
{
	const cJSON *candidate;
	if (!get_count(choice, "candidates"))
		return;
	cJSON_ArrayForEach(candidate, get(choice, "candidates")) {
		const char *why = get_text(candidate, "why");
		fprintf(look->out, "    choice    %6.3f  share %s  ", get_number(candidate, "score"), show_percent(get_number(candidate, "share") * 100).text);
		if (get_number(candidate, "pid") > 0)
			fprintf(look->out, "%s, pid %.0f", show_member(candidate, "comm").text, get_number(candidate, "pid"));
		else
			fprintf(look->out, "a group");
		fprintf(look->out, "%s%s%s%s\n", get_text(candidate, "cgroup")[0] ? " in " : "", show_member(candidate, "cgroup").text, why[0] ? ": " : "",
			show_text(why).text);
	}
	fprintf(look->out, "    choice    leads by %s of its score; %s\n", show_percent(get_number(choice, "margin") * 100).text, show_member(choice, "otherwise").text);
}

void action_show(const struct look *look, const cJSON *action)
{
	const cJSON *line, *step;
	const char *outcome = get_text(action, "outcome"), *ended = get_text(action, "ended");
	bool good = strcmp(outcome, "fixed") == 0 || strcmp(outcome, "improved") == 0;
	double cut = get_number(action, "plan_cut");

	fprintf(look->out, "  %s  %s  on %s, mode %s\n", show_member(action, "id").text, show_time(get_text(action, "started")).text,
		show_resource(get(action, "target")).text, get_true(action, "dry_run") ? "dry run" : show_member(action, "mode").text);
	show_tinted(look, good ? TINT_GOOD : outcome[0] ? TINT_BAD : TINT_NONE, "    %s\n", show_action(action).text);
	cJSON_ArrayForEach(line, get(action, "plan")) {
		fprintf(look->out, "    plan      %s\n", show_text(cJSON_IsString(line) ? line->valuestring : "").text);
	}
	if (cut > 0)
		fprintf(look->out, "    plan      and %.0f lines more\n", cut);
	show_choice(look, get(action, "choice"));
	if (get_text(action, "refused_by")[0])
		return;
	fprintf(look->out, "    expected  %s\n", show_effect(get(action, "expected")).text);
	if (strcmp(get_text(action, "mode"), "enforce") == 0)
		fprintf(look->out, "    observed  %s\n", show_effect(get(action, "observed")).text);
	cJSON_ArrayForEach(step, get(action, "steps")) {
		fprintf(look->out, "    step      %s %s after %s%s%s\n", show_member(step, "name").text, get_true(step, "ok") ? "done" : "failed",
			show_seconds(seconds_between(get_text(step, "started"), get_text(step, "ended"))).text, get_text(step, "detail")[0] ? ": " : "",
			show_member(step, "detail").text);
	}
	if (ended[0])
		fprintf(look->out, "    took      %s\n", show_seconds(seconds_between(get_text(action, "started"), ended)).text);
}

static void show_actions(const struct look *look, const cJSON *incident)
{
	const cJSON *action;
	uint32_t known = get_count(incident, "actions"), all = get_count(incident, "action_ids");
	fprintf(look->out, "\nactions    %s\n", all ? "oldest first" : "none");
	if (all > known)
		fprintf(look->out, "  %u older are no longer in memory: the journal has them\n", all - known);
	cJSON_ArrayForEach(action, get(incident, "actions")) {
		action_show(look, action);
	}
}

static void show_history(const struct look *look, const cJSON *incident)
{
	const cJSON *entry;
	double cut = get_number(incident, "history_cut");
	fprintf(look->out, "\nhistory\n");
	cJSON_ArrayForEach(entry, get(incident, "history")) {
		fprintf(look->out, "  %s  %-11s  %s\n", show_time(get_text(entry, "time")).text, show_member(entry, "state").text, show_member(entry, "why").text);
	}
	if (cut > 0)
		fprintf(look->out, "  %.0f entries in the middle are left out\n", cut);
}

void why_show(const struct look *look, const cJSON *answer)
{
	const cJSON *incident = get(answer, "incident");
	show_summary(look, incident);
	show_facts(look, answer);
	show_before(look, incident);
	show_causes(look, incident);
	show_victims(look, incident);
	show_changes(look, incident);
	show_story(look, answer);
	show_considered(look, answer);
	show_actions(look, incident);
	show_history(look, incident);
}

static int run(int argc, char **argv)
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(&command_why, argc, argv, &options))
		return EXIT_USAGE;
	if (optind + 1 != argc || !argv[optind][0])
		return cli_usage(&command_why, optind < argc ? "one incident at a time" : "which incident? `nodemend incidents` lists them");

	int code;
	cJSON *request = cli_request("incident");
	cJSON_AddStringToObject(request, "id", argv[optind]);
	cJSON *answer = cli_ask(&options, request, &code);
	if (!answer)
		return code;
	struct look look = look_stdout();
	why_show(&look, answer);
	cJSON_Delete(answer);
	return EXIT_DONE;
}

const struct command command_why = {
	.name = "why",
	.arguments = "ID [--json]",
	.summary = "one incident whole: evidence, causes, what was considered, done and seen",
	.help = "  The beginning of an ID is enough where no other begins so.\n" CLI_OPTIONS_HELP,
	.run = run,
};
