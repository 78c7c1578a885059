/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups against their own limits of memory and tasks. */
#include "detect/condition_type.h"

#include <fnmatch.h>
#include <stdio.h>

struct limited {
	const struct condition *condition;
	const struct snapshot *snap;
	target_visitor *each;
	void *context;
};

static uint64_t limit_of(const struct condition *condition, const struct cgroup *cgroup)
{
	return condition->measure == MEASURE_PIDS_LIMIT_PERCENT ? cgroup->pids_max : cgroup->memory_max;
}

static bool visit_limited(const struct target *target, void *context)
{
	const struct limited *limited = context;
	const struct cgroup *cgroup = snapshot_cgroup(limited->snap, target->cgroup_id);
	if (!cgroup || limit_of(limited->condition, cgroup) == UNKNOWN)
		return true;
	return limited->each(target, limited->context);
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	struct limited limited = { condition, snap, each, context };
	group_targets(condition, snap, visit_limited, &limited);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	const struct cgroup *cgroup = target->type == TARGET_CGROUP ? snapshot_cgroup(snap, target->cgroup_id) : NULL;
	return cgroup && glob_matches_path(condition->cgroup, cgroup->path) && glob_matches(condition->unit, cgroup->unit, 0);
}

/*
 * What the kernel cannot simply drop: a group that reads files fills its limit with page cache and is well. The kubelet's "working set"
 * keeps the active part of that cache and so finds many a database short of memory that is not.
 */
static uint64_t held_memory(const struct cgroup *cgroup)
{
	if (cgroup->memory_current == UNKNOWN || cgroup->memory_file == UNKNOWN)
		return cgroup->memory_current;
	return cgroup->memory_current > cgroup->memory_file ? cgroup->memory_current - cgroup->memory_file : 0;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns)) {
		reading_unknown(ret, "the cgroups are stale");
		return;
	}
	const struct cgroup *cgroup = snapshot_cgroup(snap, target->cgroup_id);
	if (!cgroup || !cgroup->processes)
		ret->state = READING_GONE;
	else if (condition->measure == MEASURE_PIDS_LIMIT_PERCENT)
		reading_percent(ret, cgroup->pids_current, cgroup->pids_max, "the cgroup has no pids limit");
	else
		reading_percent(ret, held_memory(cgroup), cgroup->memory_max, "the cgroup has no memory limit");
}

static enum incident_kind kind(const struct condition *condition)
{
	return condition->measure == MEASURE_PIDS_LIMIT_PERCENT ? KIND_PID_EXHAUSTION : KIND_MEMORY_EXHAUSTION;
}

const struct condition_type cgroup_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = {
		[MEASURE_MEMORY_LIMIT_PERCENT] = "cgroup_memory_used_percent",
		[MEASURE_PIDS_LIMIT_PERCENT] = "cgroup_pids_used_percent",
	},
};
