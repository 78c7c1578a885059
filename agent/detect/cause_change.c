/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Additive resources, by contribution to the change: explanatory power times surprise (Bhagwan et al., Adtributor, NSDI 2014), against
 * the median of one's own last ten minutes. Cgroups are ranked first, since processes come and go in them; a process is named where it
 * makes at least half of its cgroup's change, and else the cgroup as a whole: no one of a thousand short-lived children is the cause.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detect/cause.h"

/* What the members of each cgroup have added, by its place in the snapshot. */
struct members {
	double sum[MAX_CGROUPS], largest[MAX_CGROUPS];
};

static bool has_one_measure(const struct additive *what)
{
	return what->of_group == what->of_member && what->also_of_member == USE_COUNT;
}

static double above_zero(double value)
{
	return value > 0 ? value : 0;
}

/* Where the baseline has no room for it, or there is none: what the snapshot itself says, against nothing. */
static bool use_of_process(const struct ranking *ranking, const struct process *process, enum use use, struct usage_view *ret)
{
	if (baseline_process(ranking->baseline, process->pid, process->start_ns, use, ret))
		return true;
	const struct snapshot *snap = ranking->snap;
	double seconds = (double)snap->elapsed_ns / (double)NSEC_PER_SEC;
	*ret = (struct usage_view){ 0 };
	switch (use) {
	case USE_CPU: /* a steady rate settles at its half-life over ln 2 of itself */
		ret->now = (double)process->cpu_recent_ns * M_LN2 / ((double)RECENT_HALF_LIFE_NS / (double)NSEC_PER_SEC);
		return true;
	case USE_MEMORY:
		ret->now = (double)process->rss_bytes;
		return true;
	case USE_WRITTEN:
		ret->now = seconds > 0 ? (double)process->written_delta_bytes / seconds : 0;
		return true;
	case USE_FILES:
		ret->now = process->files == FILES_UNKNOWN ? 0 : process->files;
		return process->files != FILES_UNKNOWN;
	case USE_TASKS:
		ret->now = process->threads;
		return true;
	default:
		return false;
	}
}

static struct usage_view use_of_member(const struct ranking *ranking, const struct additive *what, const struct process *process)
{
	struct usage_view view, also;
	/* Writing back, and serving a loop device, is done for others, and by whom is in the groups' figures. */
	if (process->kernel_thread && what->of_group != USE_CPU)
		return (struct usage_view){ 0 };
	if (!use_of_process(ranking, process, what->of_member, &view))
		view = (struct usage_view){ 0 };
	if (what->also_of_member != USE_COUNT && use_of_process(ranking, process, what->also_of_member, &also)) {
		view.now += also.now;
		view.base += also.base;
		if (!view.risen_ns || (also.risen_ns && also.risen_ns < view.risen_ns))
			view.risen_ns = also.risen_ns;
	}
	return view;
}

static uint32_t group_of(const struct snapshot *snap, const struct process *process)
{
	bool known = process->cgroup_index < snap->cgroups.count && snap->cgroups.each[process->cgroup_index].id == process->cgroup_id;
	return known ? process->cgroup_index : NO_INDEX;
}

static double change_of(const struct usage_view *view, bool by_size)
{
	return by_size ? view->now : above_zero(view->now - view->base);
}

static void add_up_members(const struct ranking *ranking, const struct additive *what, bool by_size, struct members *ret)
{
	const struct snapshot *snap = ranking->snap;
	memset(ret->sum, 0, snap->cgroups.count * sizeof(ret->sum[0]));
	memset(ret->largest, 0, snap->cgroups.count * sizeof(ret->largest[0]));
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		uint32_t group = group_of(snap, process);
		if (group == NO_INDEX || !ranking_asks_for(ranking, process))
			continue;
		struct usage_view view = use_of_member(ranking, what, process);
		double change = change_of(&view, by_size);
		ret->sum[group] += change;
		if (change > ret->largest[group])
			ret->largest[group] = change;
	}
}

/* --- sentences --------------------------------------------------------------------------------------------------------- */

static void say(const struct additive *what, const struct usage_view *view, bool by_size, const char *tail, struct cause *cause)
{
	double now = view->now / what->per_unit, base = view->base / what->per_unit;
	if (by_size)
		snprintf(cause->evidence, sizeof(cause->evidence), "%s %.*f %s%s; nobody's share has changed by much", what->verb, now < 10 ? 2 : 0, now,
			 what->unit, tail);
	else if (view->has_base)
		snprintf(cause->evidence, sizeof(cause->evidence), "%s %.*f %s%s, %.*f in the ten minutes before", what->verb, now < 10 ? 2 : 0, now, what->unit,
			 tail, base < 10 ? 2 : 0, base);
	else
		snprintf(cause->evidence, sizeof(cause->evidence), "%s %.*f %s%s", what->verb, now < 10 ? 2 : 0, now, what->unit, tail);
}

static void say_process(const struct additive *what, const struct usage_view *view, bool by_size, const struct process *process, struct cause *cause)
{
	char tail[40];
	snprintf(tail, sizeof(tail), ", with %u thread%s", process->threads, process->threads == 1 ? "" : "s");
	say(what, view, by_size, what->of_group == USE_CPU ? tail : "", cause);
}

static void say_group(const struct additive *what, const struct usage_view *view, bool by_size, const struct cgroup *cgroup, struct cause *cause)
{
	char tail[64];
	if (cgroup->processes)
		snprintf(tail, sizeof(tail), " by %u process%s, none of which makes half of it", cgroup->processes, cgroup->processes == 1 ? "" : "es");
	else
		snprintf(tail, sizeof(tail), " by processes that have ended");
	say(what, view, by_size, tail, cause);
}

/* --- ranking ----------------------------------------------------------------------------------------------------------- */

/* One pass with everything in it: what all have changed, before and now, so that a share can be a surprise. */
struct whole {
	double now, base, change;
};

static void add_to_whole(struct whole *whole, const struct usage_view *view, bool by_size)
{
	whole->now += view->now;
	whole->base += view->base;
	whole->change += change_of(view, by_size);
}

static bool group_view(const struct ranking *ranking, const struct additive *what, const struct cgroup *cgroup, struct usage_view *ret)
{
	return ranking_asks_for_group(ranking, cgroup->id) && baseline_cgroup(ranking->baseline, cgroup->id, what->of_group, ret);
}

/* Processes whose cgroup is in no row, or of whose cgroup nothing is known, count for themselves, where both are counted in the same. */
static bool counts_alone(const struct ranking *ranking, const struct additive *what, const struct process *process)
{
	uint32_t group = group_of(ranking->snap, process);
	struct usage_view view;
	return has_one_measure(what) && (group == NO_INDEX || !group_view(ranking, what, &ranking->snap->cgroups.each[group], &view));
}

static struct whole measure_whole(const struct ranking *ranking, const struct additive *what, bool by_size)
{
	const struct snapshot *snap = ranking->snap;
	struct whole whole = { 0 };
	struct usage_view view;
	for (uint32_t i = 0; i < snap->cgroups.count; i++)
		if (group_view(ranking, what, &snap->cgroups.each[i], &view))
			add_to_whole(&whole, &view, by_size);
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (!ranking_asks_for(ranking, process) || !counts_alone(ranking, what, process))
			continue;
		view = use_of_member(ranking, what, process);
		add_to_whole(&whole, &view, by_size);
	}
	return whole;
}

static double weight_of(const struct ranking *ranking, const struct whole *whole, const struct usage_view *view, double amount, bool by_size)
{
	if (by_size)
		return amount;
	double before = whole->base > 0 ? view->base / whole->base : 0, now = whole->now > 0 ? view->now / whole->now : 0;
	return amount * (1 + ranking_surprise(before, now)) * ranking_precedence(ranking, view->risen_ns);
}

/* Of a process by itself its change; of a member its part of what the group as a whole has changed, which is less where others gave back. */
static double part_of_group(const struct additive *what, double group_change, double sum, double own)
{
	if (sum <= 0)
		return 0;
	bool same = has_one_measure(what);
	return same && group_change >= sum ? own : group_change * own / sum;
}

/* The root holds whoever is in no group: as a cause it says nothing. */
static bool goes_as_a_group(const struct cgroup *cgroup, double sum, double largest, double group_change, bool same_use)
{
	if (sum <= 0 && group_change <= 0)
		return false;
	double whole = sum <= 0 || (same_use && group_change > sum) ? group_change : sum;
	return cgroup->path[0] && strcmp(cgroup->path, "/") != 0 && largest * 2 < whole;
}

static void place_groups(struct ranking *ranking, const struct additive *what, const struct whole *whole, const struct members *members, bool by_size)
{
	const struct snapshot *snap = ranking->snap;
	bool same = has_one_measure(what);
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		struct usage_view view;
		if (!group_view(ranking, what, cgroup, &view))
			continue;
		double change = change_of(&view, by_size);
		if (goes_as_a_group(cgroup, members->sum[i], members->largest[i], change, same)) {
			struct cause *cause = change > 0 ? ranking_place(ranking, change, weight_of(ranking, whole, &view, change, by_size)) : NULL;
			if (!cause)
				continue;
			ranking_name_group(snap, cgroup->id, cause);
			say_group(what, &view, by_size, cgroup, cause);
		} else if (same && change > members->sum[i]) {
			ranking->total += change - members->sum[i]; /* of members that have ended: the unnamed rest */
		} else if (members->sum[i] <= 0) {
			ranking->total += change;
		}
	}
}

static void place_processes(struct ranking *ranking, const struct additive *what, const struct whole *whole, const struct members *members, bool by_size)
{
	const struct snapshot *snap = ranking->snap;
	bool same = has_one_measure(what);
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (!ranking_asks_for(ranking, process))
			continue;
		struct usage_view view = use_of_member(ranking, what, process), group = { 0 };
		double amount = change_of(&view, by_size);
		bool of_group = !same && !counts_alone(ranking, what, process);
		if (!counts_alone(ranking, what, process)) {
			uint32_t at = group_of(snap, process);
			const struct cgroup *cgroup = at == NO_INDEX ? NULL : &snap->cgroups.each[at];
			if (!cgroup || !group_view(ranking, what, cgroup, &group))
				continue;
			double change = change_of(&group, by_size), sum = members->sum[process->cgroup_index];
			if (goes_as_a_group(cgroup, sum, members->largest[process->cgroup_index], change, same))
				continue;
			amount = part_of_group(what, change, sum, amount);
		}
		struct cause *cause = amount > 0 ? ranking_place(ranking, amount, weight_of(ranking, whole, &view, amount, by_size)) : NULL;
		if (!cause)
			continue;
		ranking_name_process(snap, process, cause);
		if (of_group)
			say(what, &group, by_size, " with its group", cause);
		else
			say_process(what, &view, by_size, process, cause);
	}
}

static bool rank(struct ranking *ranking, const struct additive *what, bool by_size)
{
	struct whole whole = measure_whole(ranking, what, by_size);
	if (by_size ? whole.change <= 0 : whole.change < what->least)
		return false;
	struct members members;
	add_up_members(ranking, what, by_size, &members);
	place_groups(ranking, what, &whole, &members, by_size);
	place_processes(ranking, what, &whole, &members, by_size);
	if (!ranking->count)
		ranking->total = 0; /* the unnamed rest in this measure is no part of the next one's whole */
	return ranking->count > 0;
}

bool rank_by_change(struct ranking *ranking, const struct additive *what)
{
	return rank(ranking, what, false);
}

void rank_by_size(struct ranking *ranking, const struct additive *what)
{
	(void)rank(ranking, what, true);
}
