/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, or cgroups as the sum of their members: memory, processor, growth, and whether they are there at all. */
#include "detect/condition_type.h"

#include <stdio.h>

static const struct cgroup *cgroup_of(const struct snapshot *snap, const struct process *process)
{
	if (process->cgroup_index < snap->cgroups.count && snap->cgroups.each[process->cgroup_index].id == process->cgroup_id)
		return &snap->cgroups.each[process->cgroup_index];
	return snapshot_cgroup(snap, process->cgroup_id);
}

bool process_matches(const struct condition *condition, const struct snapshot *snap, const struct process *process)
{
	if (process->kernel_thread || !glob_matches(condition->comm, process->comm, 0))
		return false;
	if (!condition->cgroup[0] && !condition->unit[0])
		return true;
	const struct cgroup *cgroup = cgroup_of(snap, process);
	return cgroup && glob_matches_path(condition->cgroup, cgroup->path) && glob_matches(condition->unit, cgroup->unit, 0);
}

void process_target(const struct process *process, struct target *ret)
{
	*ret = (struct target){ .type = TARGET_PROCESS, .pid = process->pid, .start_ns = process->start_ns, .cgroup_id = process->cgroup_id };
	snprintf(ret->name, sizeof(ret->name), "%s", process->comm);
}

static void process_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		struct target target;
		if (!process_matches(condition, snap, &snap->processes.each[i]))
			continue;
		process_target(&snap->processes.each[i], &target);
		if (!each(&target, context))
			return;
	}
}

bool process_selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	const struct process *process = target->type == TARGET_PROCESS ? snapshot_process(snap, target->pid) : NULL;
	return process && process->start_ns == target->start_ns && process_matches(condition, snap, process);
}

/* Who has none is no target: that is nearly everybody. */
static void parent_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->processes.zombie_parent_count; i++) {
		const struct process *process = snapshot_process(snap, snap->processes.zombie_parents[i].pid);
		struct target target;
		if (!process || !process_matches(condition, snap, process))
			continue;
		process_target(process, &target);
		if (!each(&target, context))
			return;
	}
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	if (condition->measure == MEASURE_ZOMBIES)
		parent_targets(condition, snap, each, context);
	else if (condition->measure == MEASURE_COUNT_BELOW)
		node_target(condition->comm[0] ? condition->comm : condition->unit[0] ? condition->unit : condition->cgroup, each, context);
	else if (condition->by_group)
		group_targets(condition, snap, each, context);
	else
		process_targets(condition, snap, each, context);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	if (condition->measure == MEASURE_COUNT_BELOW)
		return false;
	if (condition->by_group)
		return target->type == TARGET_CGROUP && glob_matches_path(condition->cgroup, target->name);
	return process_selects(condition, snap, target);
}

static void read_count(const struct condition *condition, const struct snapshot *snap, struct reading *ret)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < snap->processes.count; i++)
		count += process_matches(condition, snap, &snap->processes.each[i]);
	/* A table that was cut may have lost the very one: absence is then not known. */
	if (snap->processes.cut && count < condition->threshold.raise)
		reading_unknown(ret, "the process table was cut");
	else
		reading_known(ret, count);
}

static void read_zombies(const struct snapshot *snap, const struct process *process, struct reading *ret)
{
	for (uint32_t i = 0; i < snap->processes.zombie_parent_count; i++) {
		if (snap->processes.zombie_parents[i].pid != process->pid)
			continue;
		reading_known(ret, snap->processes.zombie_parents[i].zombies);
		return;
	}
	/* Of the parents only those with the most are kept. */
	if (snap->processes.zombie_parent_count == MAX_ZOMBIE_PARENTS)
		reading_unknown(ret, "more processes have zombies than are kept");
	else
		reading_known(ret, 0);
}

static double cpu_percent(const struct snapshot *snap, uint64_t delta_ns)
{
	return snap->elapsed_ns ? 100.0 * (double)delta_ns / (double)snap->elapsed_ns : 0;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->processes.measured_ns)) {
		reading_unknown(ret, "the process table is stale");
		return;
	}
	if (condition->measure == MEASURE_COUNT_BELOW) {
		read_count(condition, snap, ret);
		return;
	}

	uint64_t rss, cpu_delta;
	int64_t growth;
	if (target->type == TARGET_CGROUP) {
		const struct cgroup *cgroup = snapshot_cgroup(snap, target->cgroup_id);
		if (!cgroup || !cgroup->processes) {
			ret->state = READING_GONE;
			return;
		}
		/* The members' RSS counts shared pages in each; the controller's figure counts page cache. The smaller is nearer the truth. */
		rss = cgroup->memory_current < cgroup->rss_bytes ? cgroup->memory_current : cgroup->rss_bytes;
		cpu_delta = cgroup->cpu_delta_ns;
		growth = cgroup->rss_growth_bytes;
	} else {
		const struct process *process = snapshot_process(snap, target->pid);
		if (!process || process->start_ns != target->start_ns) {
			ret->state = READING_GONE;
			return;
		}
		if (condition->measure == MEASURE_ZOMBIES) {
			read_zombies(snap, process, ret);
			return;
		}
		rss = process->rss_bytes;
		cpu_delta = process->cpu_delta_ns;
		growth = process->rss_growth_bytes;
	}

	if (condition->measure == MEASURE_CPU_PERCENT)
		reading_known(ret, cpu_percent(snap, cpu_delta));
	else if (condition->measure == MEASURE_GROWTH_BYTES)
		reading_known(ret, (double)growth);
	else
		reading_known(ret, (double)rss);
}

static enum incident_kind kind(const struct condition *condition)
{
	return condition->measure == MEASURE_CPU_PERCENT ? KIND_CPU_EXHAUSTION :
	       condition->measure == MEASURE_COUNT_BELOW ? KIND_PROCESS_CRASH :
	       condition->measure == MEASURE_ZOMBIES     ? KIND_PID_EXHAUSTION :
							   KIND_MEMORY_EXHAUSTION;
}

const struct condition_type process_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.runs_away = true,
	.metrics = {
		[MEASURE_RSS_BYTES] = "process_resident_bytes",
		[MEASURE_CPU_PERCENT] = "process_cpu_percent",
		[MEASURE_GROWTH_BYTES] = "process_growth_bytes",
		[MEASURE_COUNT_BELOW] = "process_count",
		[MEASURE_ZOMBIES] = "process_zombies",
	},
};
