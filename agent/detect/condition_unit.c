/* SPDX-License-Identifier: Apache-2.0 */
/* A systemd unit: the state it is in, or whether the service behind it answers. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	struct target target = { .type = TARGET_UNIT };
	(void)snap;
	snprintf(target.name, sizeof(target.name), "%s", condition->unit);
	each(&target, context);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	(void)snap;
	return target->type == TARGET_UNIT && strcmp(condition->unit, target->name) == 0;
}

/* At most as many as are kept: the table's bound is one less. */
static uint32_t recent_starts(const struct unit_sample *unit, uint64_t within_ns, uint64_t now_ns)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < UNIT_STARTS_KEPT && i < unit->starts; i++)
		count += unit->start_ns[i] + within_ns >= now_ns;
	return count;
}

/* Whether it hangs or is only slow, where somebody looks for that, too; else in the probe's own words. */
static void read_probe(const struct snapshot *snap, const struct unit_sample *unit, struct reading *ret)
{
	reading_known(ret, unit->probe == PROBE_FAILING);
	ret->evidence = unit->probe_why;
	for (uint32_t i = 0; i < snap->life.count; i++)
		if (strcmp(snap->life.each[i].unit, unit->name) == 0 && snapshot_is_fresh(snap, snap->life.measured_ns))
			ret->evidence = snap->life.each[i].line;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct unit_sample *unit = NULL;
	for (uint32_t i = 0; i < snap->units.count && !unit; i++)
		if (!snap->units.each[i].alone && strcmp(snap->units.each[i].name, target->name) == 0)
			unit = &snap->units.each[i];
	if (!unit || !snapshot_is_fresh(snap, unit->measured_ns) || unit->state == UNIT_UNKNOWN) {
		reading_unknown(ret, "systemd has not answered about this unit");
		return;
	}

	if (condition->measure == MEASURE_UNIT_STATE)
		reading_known(ret, (condition->unit_states >> unit->state) & 1);
	else if (condition->measure == MEASURE_UNIT_RESTARTS)
		reading_known(ret, recent_starts(unit, condition->window_ns, snap->boot_ns));
	else if (unit->probe == PROBE_PASSING || unit->probe == PROBE_FAILING)
		read_probe(snap, unit, ret);
	else if (unit->state == UNIT_ACTIVE)
		reading_unknown(ret, "the probe has not answered");
	else
		reading_known(ret, 0); /* a unit that is not up is not hung: its state is another condition's matter */
}

static enum incident_kind kind(const struct condition *condition)
{
	return condition->measure == MEASURE_UNIT_PROBE ? KIND_SERVICE_HUNG : KIND_SERVICE_DOWN;
}

static uint64_t lag_ns(const struct condition *condition)
{
	const struct probe *probe = &condition->probe;
	return probe->every_ns * (probe->failures ? probe->failures : 1) + probe->timeout_ns;
}

const struct condition_type unit_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.lag_ns = lag_ns,
	.metrics = { [MEASURE_UNIT_STATE] = "unit_state", [MEASURE_UNIT_PROBE] = "unit_probe_failing", [MEASURE_UNIT_RESTARTS] = "unit_restarts" },
};
