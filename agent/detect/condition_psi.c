/* SPDX-License-Identifier: Apache-2.0 */
/* Pressure stall information: the share of the time in which tasks waited for a resource. */
#include "detect/condition_type.h"

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	static const char *const names[PSI_RESOURCE_COUNT] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };
	(void)snap;
	node_target(names[condition->psi_resource], each, context);
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target,
			   struct reading *ret)
{
	enum psi_resource resource = condition->psi_resource;
	bool full = condition->measure == MEASURE_PSI_FULL;
	(void)target;
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
	.measure = read_condition,
	.kind = kind,
	.lag_ns = lag_ns,
	.runs_away = true,
	.metrics = { [MEASURE_PSI_SOME] = "psi_some_percent", [MEASURE_PSI_FULL] = "psi_full_percent" },
};
