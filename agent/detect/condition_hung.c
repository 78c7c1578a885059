/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hung, told from slow: hung is what has not moved by any of its own counters for the time asked for while something waits for it, or whose
 * main process cannot be woken. Whatever still moves is slow at most, however long it takes to answer.
 */
#include "detect/condition_type.h"
#include "detect/life.h"

#include <stdio.h>
#include <string.h>

static void fill_target(const struct life *life, struct target *ret)
{
	if (life->unit[0]) {
		*ret = (struct target){ .type = TARGET_UNIT };
		snprintf(ret->name, sizeof(ret->name), "%s", life->unit);
	} else if (life->cgroup_id) {
		*ret = (struct target){ .type = TARGET_CGROUP, .cgroup_id = life->cgroup_id };
		snprintf(ret->name, sizeof(ret->name), "%s", life->cgroup);
	} else {
		*ret = (struct target){ .type = TARGET_PROCESS, .pid = life->pid, .start_ns = life->start_ns };
		snprintf(ret->name, sizeof(ret->name), "%s", life->comm);
	}
}

static bool is_about(const struct life *life, const struct target *target)
{
	struct target own;
	fill_target(life, &own);
	if (own.type != target->type)
		return false;
	return own.type == TARGET_PROCESS ? own.pid == target->pid && own.start_ns == target->start_ns : strcmp(own.name, target->name) == 0;
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->life.count; i++) {
		const struct life *life = &snap->life.each[i];
		struct target target;
		if (!life_matches(condition, life))
			continue;
		fill_target(life, &target);
		if (!each(&target, context))
			return;
	}
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	for (uint32_t i = 0; i < snap->life.count; i++)
		if (life_matches(condition, &snap->life.each[i]) && is_about(&snap->life.each[i], target))
			return true;
	return false;
}

/* Whether what has no row may have found no room for one: a process of it is there. */
static bool may_be_cut(const struct snapshot *snap, const struct target *target)
{
	if (target->type == TARGET_PROCESS) {
		const struct process *process = snapshot_process(snap, target->pid);
		return process && process->start_ns == target->start_ns;
	}
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (cgroup->processes && strcmp(target->type == TARGET_UNIT ? cgroup->unit : cgroup->path, target->name) == 0)
			return true;
	}
	return false;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->life.measured_ns)) {
		reading_unknown(ret, "the process table is stale");
		return;
	}
	for (uint32_t i = 0; i < snap->life.count; i++) {
		const struct life *life = &snap->life.each[i];
		if (!is_about(life, target))
			continue;
		ret->evidence = life->line;
		reading_known(ret, life_is_hung(life, condition->window_ns));
		return;
	}
	ret->state = READING_GONE;
	if (snap->life.cut && may_be_cut(snap, target))
		reading_unknown(ret, "more is asked after than there is room to follow");
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_SERVICE_HUNG;
}

const struct condition_type hung_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = { [MEASURE_HUNG] = "service_hung" },
};
