/* SPDX-License-Identifier: Apache-2.0 */
/* The node's processors. */
#include "detect/condition_type.h"

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	(void)condition;
	(void)snap;
	node_target("cpu", each, context);
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	(void)condition;
	(void)target;
	if (snapshot_is_fresh(snap, snap->cpu.measured_ns) && snap->cpu.used_permille != UINT32_MAX)
		reading_known(ret, snap->cpu.used_permille / 10.0);
	else
		reading_unknown(ret, "processor times are stale");
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_CPU_EXHAUSTION;
}

const struct condition_type cpu_condition = {
	.targets = targets,
	.measure = read_condition,
	.kind = kind,
	.metrics = { [MEASURE_USED_PERCENT] = "cpu_used_percent" },
};
