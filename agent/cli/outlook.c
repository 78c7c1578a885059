/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend outlook`: what will be used up and when, who leaks, and what cgroups should ask for. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

static struct shown show_amount(double amount, const char *unit)
{
	struct shown shown = { "-" };
	if (isfinite(amount) && strcmp(unit, "bytes") == 0)
		return show_bytes(amount);
	if (isfinite(amount))
		snprintf(shown.text, sizeof(shown.text), "%.0f", amount);
	return shown;
}

static const char *sign_of(double amount)
{
	return amount < 0 ? "-" : amount > 0 ? "+" : "";
}

/* Why there is no time, in words. */
static const char *why_not(const char *evidence)
{
	static const struct { const char *evidence, *words; } reasons[] = {
		{ "short_history", "not enough evidence: less than an hour was seen" },
		{ "not_rising", "does not rise" },
		{ "erratic", "not enough evidence: it rises along no line" },
		{ "far", "not enough evidence: it rises, too slowly for what was seen" },
		{ "usual", "rises as it did before, to where it has been" },
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(reasons[i].evidence, evidence) == 0)
			return reasons[i].words;
	return evidence;
}

static void show_forecast(const struct look *look, const cJSON *row)
{
	double within = get_number(row, "exhausted_in_seconds"), high = get_number(row, "high_seconds");
	if (!isfinite(within)) {
		fprintf(look->out, "  %s\n", why_not(show_member(row, "evidence").text));
		return;
	}
	enum tint tint = within < 4 * 3600 ? TINT_BAD : within < 24 * 3600 ? TINT_WARN : TINT_NONE;
	show_tinted(look, tint, "  used up in %s", show_seconds(within).text);
	fprintf(look->out, " (%s to %s), about %s\n", show_seconds(get_number(row, "low_seconds")).text,
		isfinite(high) ? show_seconds(high).text : "open", show_time(get_text(row, "exhausted_at")).text);
}

static void show_capacity(const struct look *look, const cJSON *row)
{
	const char *unit = get_text(row, "unit"), *resource = get_text(row, "resource");
	struct shown name = show_member(row, "name");
	double suggested = get_number(row, "suggested"), day = get_number(row, "growth_per_day"), week = get_number(row, "growth_per_week");
	show_tinted(look, TINT_BOLD, "%-14s", show_text(resource).text);
	if (strcmp(name.text, resource) != 0)
		fprintf(look->out, " %s", name.text);
	fprintf(look->out, "\n  %s of %s (%s), %s%s a day, %s%s a week\n", show_amount(get_number(row, "used"), unit).text,
		show_amount(get_number(row, "capacity"), unit).text, show_percent(get_number(row, "used_percent")).text,
		sign_of(day), show_amount(fabs(day), unit).text, sign_of(week), show_amount(fabs(week), unit).text);
	show_forecast(look, row);
	if (suggested > get_number(row, "capacity"))
		show_tinted(look, TINT_WARN, "  a month at this pace, with 30 %% to spare, needs %s\n", show_amount(suggested, unit).text);
}

static double nearness(const cJSON *row)
{
	double within = get_number(row, "exhausted_in_seconds");
	return isfinite(within) ? within : 1e12 - get_number(row, "used_percent");
}

static int nearest_first(const void *left, const void *right)
{
	double a = nearness(*(const cJSON *const *)left), b = nearness(*(const cJSON *const *)right);
	return (a > b) - (a < b);
}

static void show_capacities(const struct look *look, const cJSON *list)
{
	size_t count = (size_t)cJSON_GetArraySize(list), filled = 0;
	const cJSON *item, **sorted = calloc(count + 1, sizeof(const cJSON *));
	if (!sorted)
		return;
	cJSON_ArrayForEach(item, list) {
		sorted[filled++] = item;
	}
	qsort(sorted, filled, sizeof(const cJSON *), nearest_first);
	for (size_t i = 0; i < filled; i++)
		show_capacity(look, sorted[i]);
	free(sorted);
}

static void show_leaks(const struct look *look, const cJSON *list)
{
	const cJSON *leak;
	if (!cJSON_GetArraySize(list))
		fprintf(look->out, "\nno process grows without giving back\n");
	else
		fprintf(look->out, "\nprocesses that grow and never give back\n");
	cJSON_ArrayForEach(leak, list) {
		const char *of = get_text(leak, "of"), *unit = strcmp(of, "memory") == 0 ? "bytes" : "";
		double within = get_number(leak, "exhausted_in_seconds");
		show_tinted(look, TINT_WARN, "  %s (pid %.0f): %s %s, +%s an hour for %s", show_member(leak, "comm").text, get_number(leak, "pid"),
			    show_text(of).text, show_amount(get_number(leak, "now"), unit).text, show_amount(get_number(leak, "per_hour"), unit).text,
			    show_seconds(get_number(leak, "run_seconds")).text);
		if (isfinite(within))
			fprintf(look->out, ", at its limit in %s", show_seconds(within).text);
		fputc('\n', look->out);
	}
}

static void show_size(const struct look *look, const cJSON *size)
{
	fprintf(look->out, "  %s\n", show_member(size, "cgroup").text);
	if (!get_true(size, "enough_evidence")) {
		fprintf(look->out, "    not enough evidence: %s seen of a day\n", show_seconds(get_number(size, "seen_seconds")).text);
		return;
	}
	fprintf(look->out, "    cpu: request %.2f, limit %.2f cores (half of the time below %.2f, nearly always below %.2f)\n",
		get_number(size, "cpu_request"), get_number(size, "cpu_limit"), get_number(size, "cpu_p50"), get_number(size, "cpu_p99"));
	fprintf(look->out, "    memory: request %s, limit %s (half of the time below %s, at most %s)\n", show_bytes(get_number(size, "memory_request")).text,
		show_bytes(get_number(size, "memory_limit")).text, show_bytes(get_number(size, "memory_p50")).text,
		show_bytes(get_number(size, "memory_peak")).text);
}

void outlook_show(const struct look *look, const cJSON *outlook)
{
	const cJSON *size;
	show_capacities(look, get(outlook, "capacities"));
	show_leaks(look, get(outlook, "leaks"));
	fprintf(look->out, "\nwhat cgroups need, with the buffers of 20 %% (cpu) and 25 %% (memory)\n");
	cJSON_ArrayForEach(size, get(outlook, "sizes")) {
		show_size(look, size);
	}
}

static int run(int argc, char **argv)
{
	return cli_show(&command_outlook, argc, argv, outlook_show);
}

const struct command command_outlook = {
	.name = "outlook",
	.arguments = "[--json]",
	.summary = "what will be used up and when, who leaks, and what cgroups should ask for",
	.help = CLI_OPTIONS_HELP,
	.run = run,
};
