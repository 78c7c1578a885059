/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: of the node against fs.file-max, and of each process against its own limit. */
#include "detect/condition_type.h"

#include "signals/process.h"

static bool of_processes(const struct condition *condition)
{
	return condition->measure == MEASURE_FILES_LIMIT_PERCENT;
}

/*
 * Those that are far from their limit, have none, or have not been counted yet are no targets: of some thousand processes that is nearly all,
 * at every tick. Half of the clear level is far: what was told of it is over by then.
 */
static bool is_near_limit(const struct condition *condition, const struct process *process)
{
	return process->files != FILES_UNKNOWN && process->files_max != UNKNOWN &&
	       200.0 * process->files >= condition->threshold.clear * (double)process->files_max;
}

static void near_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		struct target target;
		if (!is_near_limit(condition, process) || !process_matches(condition, snap, process))
			continue;
		process_target(process, &target);
		if (!each(&target, context))
			return;
	}
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	if (of_processes(condition))
		near_targets(condition, snap, each, context);
	else
		node_target("files", each, context);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	return of_processes(condition) && process_selects(condition, snap, target);
}

static void read_process(const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct process *process = snapshot_process(snap, target->pid);
	if (!process || process->start_ns != target->start_ns)
		ret->state = READING_GONE;
	else if (process->files == FILES_UNKNOWN)
		reading_unknown(ret, "the process' descriptors have not been counted yet");
	else if (process->files_max == UNKNOWN)
		reading_known(ret, 0); /* no limit: it never meets one */
	else
		reading_percent(ret, process->files, process->files_max, "the process may open nothing");
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->processes.measured_ns))
		reading_unknown(ret, "the process table is stale");
	else if (of_processes(condition))
		read_process(snap, target, ret);
	else
		reading_percent(ret, snap->processes.files_allocated, snap->processes.files_max, "the kernel does not say file-nr");
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_FD_EXHAUSTION;
}

const struct condition_type files_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = {
		[MEASURE_USED_PERCENT] = "files_used_percent",
		[MEASURE_FILES_LIMIT_PERCENT] = "process_files_used_percent",
	},
};
