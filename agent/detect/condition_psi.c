/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pressure stall information: the share of the time in which tasks waited for a resource, of the node or of cgroups (v2). With a window of
 * two seconds the kernel says itself when it is crossed; between two such words, and where it says nothing, the figure is what was read.
 */
#include "detect/condition_type.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Said at most once a window: it stands until the next one would have come. */
#define WORD_STANDS_NS ((uint64_t)TRIGGER_WINDOW_S * NSEC_PER_SEC * 3 / 2)

bool condition_wants_trigger(const struct condition *condition)
{
	return condition->kind == CONDITION_PSI && condition->psi_window_s == TRIGGER_WINDOW_S && !strpbrk(condition->cgroup, "*?[");
}

bool trigger_is(const struct trigger *trigger, const struct condition *condition)
{
	return trigger->resource == condition->psi_resource && trigger->full == (condition->measure == MEASURE_PSI_FULL) &&
	       trigger->permille == (uint32_t)(condition->threshold.raise * 10 + 0.5) && strcmp(trigger->cgroup, condition->cgroup) == 0;
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	static const char *const names[PSI_RESOURCE_COUNT] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };
	if (condition->cgroup[0])
		group_targets(condition, snap, each, context);
	else
		node_target(names[condition->psi_resource], each, context);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	const struct cgroup *cgroup = target->type == TARGET_CGROUP && condition->cgroup[0] ? snapshot_cgroup(snap, target->cgroup_id) : NULL;
	return cgroup && glob_matches_path(condition->cgroup, cgroup->path);
}

static void read_group(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, target->cgroup_id);
	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns)) {
		reading_unknown(ret, "the cgroups are stale");
		return;
	}
	if (!cgroup || !cgroup->processes) {
		ret->state = READING_GONE;
		return;
	}

	/* Measured only where there was a total; the average is of the same reading. */
	bool full = condition->measure == MEASURE_PSI_FULL;
	uint64_t total = full ? cgroup->full_ns[condition->psi_resource] : cgroup->some_ns[condition->psi_resource];
	if (total == UNKNOWN)
		reading_unknown(ret, "the cgroup has no pressure file");
	else
		reading_known(ret, (full ? cgroup->full_avg10_centi : cgroup->some_avg10_centi)[condition->psi_resource] / 100.0);
}

static void read_node(const struct condition *condition, const struct snapshot *snap, struct reading *ret)
{
	enum psi_resource resource = condition->psi_resource;
	bool full = condition->measure == MEASURE_PSI_FULL;
	if (!snapshot_is_fresh(snap, snap->psi.measured_ns)) {
		reading_unknown(ret, "no pressure figures from this kernel");
		return;
	}
	if (full && !snap->psi.has_full[resource]) {
		reading_unknown(ret, "this kernel has no full pressure of this resource");
		return;
	}

	const struct psi_line *line = full ? &snap->psi.full[resource] : &snap->psi.some[resource];
	switch (condition->psi_window_s) {
	case TRIGGER_WINDOW_S:
		reading_known(ret, line->recent_permille / 10.0);
		break;
	case 10:
		reading_known(ret, line->avg10_centi / 100.0);
		break;
	case 60:
		reading_known(ret, line->avg60_centi / 100.0);
		break;
	case 300:
		reading_known(ret, line->avg300_centi / 100.0);
		break;
	default:
		reading_known(ret, line->interval_permille / 10.0);
	}
}

/* Of this very cgroup: a trigger's is the one that its path names, and not those below it. */
static const struct trigger *said(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	for (uint32_t i = 0; i < snap->triggers.count && condition_wants_trigger(condition); i++) {
		const struct trigger *trigger = &snap->triggers.each[i];
		if (trigger->fired_ns && trigger->fired_ns + WORD_STANDS_NS >= snap->boot_ns && trigger_is(trigger, condition) &&
		    (!trigger->cgroup[0] || strcmp(trigger->cgroup, target->name) == 0))
			return trigger;
	}
	return NULL;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (condition->cgroup[0])
		read_group(condition, snap, target, ret);
	else
		read_node(condition, snap, ret);
	if (ret->state == READING_GONE || !said(condition, snap, target))
		return;
	/* What was read may lag behind, or be of a window that began earlier: the kernel's word is that it was at least the threshold. */
	reading_known(ret, fmax(ret->value, nextafter(condition->threshold.raise, INFINITY)));
	snprintf(ret->detail, sizeof(ret->detail), "the kernel said so itself: tasks waited %.3g %% of two seconds", condition->threshold.raise);
}

static enum incident_kind kind(const struct condition *condition)
{
	static const enum incident_kind kinds[PSI_RESOURCE_COUNT] = {
		[PSI_CPU] = KIND_CPU_EXHAUSTION, [PSI_MEMORY] = KIND_MEMORY_EXHAUSTION, [PSI_IO] = KIND_IO_SATURATION,
	};
	return kinds[condition->psi_resource];
}

static uint64_t lag_ns(const struct condition *condition)
{
	return (uint64_t)condition->psi_window_s * NSEC_PER_SEC;
}

const struct condition_type psi_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.lag_ns = lag_ns,
	.runs_away = true,
	.metrics = { [MEASURE_PSI_SOME] = "psi_some_percent", [MEASURE_PSI_FULL] = "psi_full_percent" },
};
