/* SPDX-License-Identifier: Apache-2.0 */
/* The node's memory and swap. */
#include "detect/condition_type.h"

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	(void)condition;
	(void)snap;
	node_target("memory", each, context);
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target,
			   struct reading *ret)
{
	const struct memory_section *memory = &snap->memory;
	(void)target;
	if (!snapshot_is_fresh(snap, memory->measured_ns)) {
		reading_unknown(ret, "meminfo is stale");
		return;
	}
	if (condition->measure == MEASURE_SWAP_USED_PERCENT) {
		reading_percent(ret, memory->swap_free == UNKNOWN ? UNKNOWN : memory->swap_total - memory->swap_free, memory->swap_total, "the node has no swap");
		return;
	}
	if (memory->available == UNKNOWN || memory->total == UNKNOWN) {
		reading_unknown(ret, "the kernel does not say MemAvailable");
		return;
	}
	if (condition->measure == MEASURE_USED_PERCENT)
		reading_percent(ret, memory->total - memory->available, memory->total, "no MemTotal");
	else if (condition->measure == MEASURE_AVAILABLE_PERCENT)
		reading_percent(ret, memory->available, memory->total, "no MemTotal");
	else
		reading_known(ret, (double)memory->available);
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_MEMORY_EXHAUSTION;
}

const struct condition_type memory_condition = {
	.targets = targets,
	.measure = read_condition,
	.kind = kind,
	.runs_away = true,
	.metrics = {
		[MEASURE_USED_PERCENT] = "memory_used_percent",
		[MEASURE_AVAILABLE_PERCENT] = "memory_available_percent",
		[MEASURE_AVAILABLE_BYTES] = "node_memory_MemAvailable_bytes",
		[MEASURE_SWAP_USED_PERCENT] = "memory_swap_used_percent",
	},
};
