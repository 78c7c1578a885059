/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that grow without giving back: one target a process that leaks. */
#include "detect/condition_type.h"
#include "detect/leak.h"

#include <stdio.h>

static bool is_selected(const struct condition *condition, const struct leak_row *leak)
{
	return leak->figure == condition->leak && glob_matches(condition->comm, leak->comm, 0);
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->outlook.leak_count; i++) {
		const struct leak_row *leak = &snap->outlook.leaks[i];
		if (!is_selected(condition, leak))
			continue;
		struct target target = { .type = TARGET_PROCESS, .pid = leak->pid, .start_ns = leak->start_ns, .cgroup_id = leak->cgroup_id };
		snprintf(target.name, sizeof(target.name), "%s", leak->comm);
		if (!each(&target, context))
			return;
	}
}

static const struct leak_row *leak_of(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	for (uint32_t i = 0; i < snap->outlook.leak_count; i++) {
		const struct leak_row *leak = &snap->outlook.leaks[i];
		if (target->type == TARGET_PROCESS && leak->pid == target->pid && leak->start_ns == target->start_ns && is_selected(condition, leak))
			return leak;
	}
	return NULL;
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	return leak_of(condition, snap, target) != NULL;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->outlook.measured_ns)) {
		reading_unknown(ret, "the outlook is stale");
		return;
	}
	const struct leak_row *leak = leak_of(condition, snap, target);
	const struct process *process = snapshot_process(snap, target->pid);
	if (leak) {
		reading_known(ret, (double)leak->per_hour);
		ret->exhausted_in_ns = leak->exhausted_in_ns;
	} else if (!process || process->start_ns != target->start_ns) {
		ret->state = READING_GONE;
	} else if (!snap->outlook.leaks_since_ns || snap->boot_ns < snap->outlook.leaks_since_ns + LEAK_RUN_NS) {
		reading_unknown(ret, "it has not been followed for long enough yet"); /* since a restart of the agent, or a suspend */
	} else {
		reading_known(ret, 0); /* it gave back, or grows no more */
	}
}

static enum incident_kind kind(const struct condition *condition)
{
	static const enum incident_kind kinds[LEAK_FIGURES] = {
		[LEAK_MEMORY] = KIND_MEMORY_EXHAUSTION, [LEAK_FILES] = KIND_FD_EXHAUSTION, [LEAK_THREADS] = KIND_PID_EXHAUSTION,
	};
	return kinds[condition->leak];
}

const struct condition_type leak_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = { [MEASURE_LEAK_PER_HOUR] = "nodemend_leak_per_hour" },
};
