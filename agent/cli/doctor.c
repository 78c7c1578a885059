/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend doctor`: what this host can do, with an agent or without one. */
#include "cli/doctor.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"
#include "core/control.h"

/* The agent's own word: an unreachable one is a finding here, not an error. NULL = not reached, and why not. */
static cJSON *ask_agent(const char *run_dir, int *ret_error)
{
	cJSON *answer = NULL, *request = cli_request("doctor");
	int error = control_call(run_dir, request, &answer);
	cJSON_Delete(request);
	if (error < 0 || !get_true(answer, "ok")) {
		*ret_error = error < 0 ? error : -EPROTO;
		cJSON_Delete(answer);
		return NULL;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(answer, "ok");
	return answer;
}

static cJSON *examine(const struct cli_options *options)
{
	int error = 0;
	cJSON *document = ask_agent(options->run_dir, &error), *host = cJSON_CreateArray();
	bool agent = document != NULL;
	if (!agent) {
		document = cJSON_CreateObject();
		cJSON_AddStringToObject(document, "schema", "nodemend.doctor/1");
		cJSON_AddStringToObject(document, "agent_error", strerror(-error));
	}
	cJSON_AddBoolToObject(document, "agent", agent);
	doctor_host(host);
	if (!agent && geteuid() == 0) {
		doctor_directory(host, "run dir", options->run_dir);
		doctor_directory(host, "state dir", options->state_dir);
		doctor_probe(document);
	}
	cJSON_AddItemToObject(document, "host", host);
	return document;
}

/* Known: nothing that is switched on is down, what must be written can be. A host that lacks something has its degraded collectors to say so. */
static bool is_healthy(const cJSON *document)
{
	const cJSON *item;
	if (!get(document, "collectors"))
		return false;
	cJSON_ArrayForEach(item, get(document, "collectors")) {
		if (strcmp(get_text(item, "state"), "down") == 0)
			return false;
	}
	cJSON_ArrayForEach(item, get(document, "host")) {
		size_t length = strlen(get_text(item, "name"));
		bool directory = length > 4 && strcmp(get_text(item, "name") + length - 4, " dir") == 0;
		if (directory && !get_true(item, "ok"))
			return false;
	}
	return !get_text(get(document, "self"), "state_error")[0] && !(get_number(document, "configuration_faults") > 0);
}

static void show_line(const struct look *look, const char *name, enum tint tint, const char *state, const char *text)
{
	fprintf(look->out, "  %-14s ", show_text(name).text);
	show_tinted(look, tint, "%-10s", show_text(state).text);
	fprintf(look->out, " %s\n", show_text(text).text);
}

/* What it is worth and what that costs: ", histograms, 1.7 % of a core, 99.9 % seen"; what is not known is left out. */
static struct shown collector_cost(const cJSON *collector)
{
	const char *depth = get_text(collector, "depth");
	double cost = get_number(collector, "kernel_cpu_percent") + get_number(collector, "agent_cpu_percent"), seen = get_number(collector, "coverage_percent");
	struct shown text = { "" };
	int used = snprintf(text.text, sizeof(text.text), "%s%.20s", depth[0] ? ", " : "", show_text(depth).text);

	if (isfinite(cost))
		used += snprintf(text.text + used, sizeof(text.text) - (size_t)used, ", %.2g %% of a core", cost);
	if (isfinite(seen))
		snprintf(text.text + used, sizeof(text.text) - (size_t)used, ", %.4g %% seen", floor(seen * 100) / 100);
	return text;
}

static void show_collector(const struct look *look, const cJSON *collector)
{
	const char *state = get_text(collector, "state"), *source = get_text(collector, "source"), *why = get_text(collector, "why");
	enum tint tint = strcmp(state, "up") == 0 ? TINT_GOOD : strcmp(state, "down") == 0 ? TINT_BAD : TINT_WARN;
	char text[1024];
	snprintf(text, sizeof(text), "%s%.100s%s%s", source, collector_cost(collector).text, why[0] ? ": " : "", why);
	show_line(look, get_text(collector, "name"), tint, state, text);
}

static void show_remedy(const struct look *look, const cJSON *remedy)
{
	bool armed = get_true(remedy, "armed"), asked = cJSON_IsBool(get(remedy, "armed"));
	show_line(look, get_text(remedy, "name"), armed ? TINT_GOOD : TINT_WARN, armed ? "armed" : asked ? "not armed" : "unknown", get_text(remedy, "why"));
}

static void show_budget(const struct look *look, const cJSON *document)
{
	const cJSON *self = get(document, "self");
	if (!self)
		return;
	fprintf(look->out, "\nbudget\n");
	cost_show(look, document);
	if (get_text(self, "state_error")[0])
		show_line(look, "state", TINT_BAD, "down", get_text(self, "state_error"));
}

static void show_triggers(const struct look *look, const cJSON *list)
{
	const cJSON *item;
	if (cJSON_GetArraySize(list))
		fprintf(look->out, "\npressure that the kernel watches for policies:\n");
	cJSON_ArrayForEach(item, list) {
		bool watched = get_true(item, "watched");
		char text[512];
		snprintf(text, sizeof(text), "%s %.3g %% of 2 s%s%s%s%s", get_true(item, "full") ? "all tasks wait" : "some wait", get_number(item, "percent"),
			 get_text(item, "cgroup")[0] ? " in " : "", get_text(item, "cgroup"), watched ? "" : "; polled instead: ", get_text(item, "why"));
		show_line(look, get_text(item, "resource"), watched ? TINT_GOOD : TINT_WARN, watched ? "watched" : "polled", text);
	}
}

static void show(const struct look *look, const cJSON *document, const struct cli_options *options)
{
	const cJSON *item;
	if (get_true(document, "agent"))
		fprintf(look->out, "agent: nodemend %s answers on %s/control.sock, mode %s\n", show_member(document, "version").text,
			show_text(options->run_dir).text, show_member(document, "mode").text);
	else
		fprintf(look->out, "agent: none is reached on %s/control.sock: %s; this is what one would find\n", show_text(options->run_dir).text,
			show_member(document, "agent_error").text);

	fprintf(look->out, "\nhost\n");
	cJSON_ArrayForEach(item, get(document, "host")) {
		bool ok = get_true(item, "ok");
		show_line(look, get_text(item, "name"), ok ? TINT_GOOD : TINT_WARN, ok ? "ok" : "no", get_text(item, "text"));
	}
	fprintf(look->out, "\ncollectors\n");
	if (!get(document, "collectors"))
		fprintf(look->out, "  unknown: only root can try them without an agent\n");
	cJSON_ArrayForEach(item, get(document, "collectors")) {
		show_collector(look, item);
	}
	fprintf(look->out, "\nremedies\n");
	if (!get(document, "remedies"))
		fprintf(look->out, "  unknown: only root can ask them without an agent\n");
	cJSON_ArrayForEach(item, get(document, "remedies")) {
		show_remedy(look, item);
	}
	show_triggers(look, get(document, "pressure_triggers"));
	show_budget(look, document);
}

static int run(int argc, char **argv)
{
	struct cli_options options = CLI_OPTIONS_INIT;
	if (!cli_parse(&command_doctor, argc, argv, &options))
		return EXIT_USAGE;
	if (optind < argc)
		return cli_usage(&command_doctor, "what is '%s'?", argv[optind]);

	cJSON *document = examine(&options);
	bool healthy = is_healthy(document);
	cJSON_AddBoolToObject(document, "healthy", healthy);
	struct look look = look_stdout();
	if (options.json)
		show_json(stdout, document);
	else
		show(&look, document, &options);
	cJSON_Delete(document);
	return healthy ? EXIT_DONE : EXIT_NO;
}

const struct command command_doctor = {
	.name = "doctor",
	.arguments = "[--json]",
	.summary = "what this host can do: kernel, collectors, remedies, and why not",
	.help = "  Asks the agent; without one, root opens each collector itself for a moment.\n"
		"  Exit code 0 when nothing that is switched on is down, else 1.\n" CLI_OPTIONS_HELP,
	.run = run,
};
