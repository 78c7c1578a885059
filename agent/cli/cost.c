/* SPDX-License-Identifier: Apache-2.0 */
/* What nodemend costs, what it gave up for that, and what it may be missing: the part that `status` and `doctor` share. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "cli/show.h"

/* A map that is fuller than this may soon lose what does not fit any more. Below 99 % it is no longer records that were just under way. */
enum { FULL_PERCENT = 80, COVERED_PERCENT = 99 };

/* Small shares are the usual ones here: two digits that say something, however small. */
static struct shown fine_percent(double percent)
{
	struct shown shown = { "-" };
	if (isfinite(percent))
		snprintf(shown.text, sizeof(shown.text), percent < 10 ? "%.2g %%" : "%.0f %%", percent);
	return shown;
}

static void show_spent(const struct look *look, const cJSON *budget)
{
	double parts[] = { get_number(budget, "kernel_percent"), get_number(budget, "agent_percent"), get_number(budget, "publisher_percent") }, sum = 0;
	for (int i = 0; i < 3; i++)
		sum += isfinite(parts[i]) ? parts[i] : 0;
	bool measured = isfinite(parts[0]) || isfinite(parts[1]);
	enum tint tint = sum > get_number(budget, "cpu_percent") ? TINT_WARN : TINT_NONE;

	if (measured)
		show_tinted(look, tint, "  %s of the node's processors (budget %s): BPF programs %s, agent %s, publisher %s\n", fine_percent(sum).text,
			    fine_percent(get_number(budget, "cpu_percent")).text, fine_percent(parts[0]).text, fine_percent(parts[1]).text,
			    fine_percent(parts[2]).text);
	else
		fprintf(look->out, "  processors: not measured yet (budget %s of the node)\n", fine_percent(get_number(budget, "cpu_percent")).text);
	show_tinted(look, get_true(budget, "short_of_memory") ? TINT_WARN : TINT_NONE, "  %s of memory with BPF maps (budget %s)%s\n",
		    show_bytes(get_number(budget, "memory_spent_bytes")).text, show_bytes(get_number(budget, "memory_bytes")).text,
		    get_true(budget, "short_of_memory") ? ": over it, so nothing looks deeper than usual" : "");
	if (get_true(budget, "exhausted"))
		show_tinted(look, TINT_WARN, "  over budget, and nothing is left to step down\n");
}

static void show_depth(const struct look *look, const cJSON *budget)
{
	const char *reason = get_text(budget, "deep_by");
	if (reason[0])
		fprintf(look->out, "  looking deep for another %s: %s%s\n", show_seconds(get_number(budget, "deep_for_seconds")).text,
			strcmp(reason, "finding") == 0 ? "a policy's condition has come true" : "pressure on ",
			strcmp(reason, "finding") == 0 ? "" : show_text(reason).text);
}

static void show_shortcomings(const struct look *look, const cJSON *collector)
{
	const char *depth = get_text(collector, "depth");
	double seen = get_number(collector, "coverage_percent");
	if (strcmp(depth, "off") == 0 || strcmp(depth, "counts") == 0)
		show_tinted(look, TINT_WARN, "  %s is down to %s by the budget: it costs %s of a core\n", show_member(collector, "name").text, depth,
			    fine_percent(get_number(collector, "kernel_cpu_percent") + get_number(collector, "agent_cpu_percent")).text);
	if (seen < COVERED_PERCENT)
		show_tinted(look, TINT_WARN, "  %s has seen %.2f %% of what there was\n", show_member(collector, "name").text, floor(seen * 100) / 100);
}

static void show_map(const struct look *look, const cJSON *map)
{
	double fill = 100 * get_number(map, "entries") / get_number(map, "capacity");
	if (fill > FULL_PERCENT)
		show_tinted(look, TINT_WARN, "  map %s is %.0f %% full: %.0f of %.0f\n", show_member(map, "name").text, fill, get_number(map, "entries"),
			    get_number(map, "capacity"));
	if (get_number(map, "failed_inserts") > 0)
		show_tinted(look, TINT_WARN, "  map %s had no room %.0f times\n", show_member(map, "name").text, get_number(map, "failed_inserts"));
}

void cost_show(const struct look *look, const cJSON *document)
{
	const cJSON *budget = get(document, "budget"), *item;
	if (budget) {
		show_spent(look, budget);
		show_depth(look, budget);
	}
	cJSON_ArrayForEach(item, get(document, "collectors")) {
		show_shortcomings(look, item);
	}
	cJSON_ArrayForEach(item, get(document, "maps")) {
		show_map(look, item);
	}
}
