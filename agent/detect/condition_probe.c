/* SPDX-License-Identifier: Apache-2.0 */
/* An address or a command that must answer in time; the policy says what it means when it does not. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	struct target target = { .type = condition->unit[0] ? TARGET_UNIT : TARGET_PEER };
	(void)snap;
	snprintf(target.name, sizeof(target.name), "%s",
		 condition->unit[0]				      ? condition->unit :
		 condition->probe.type == PROBE_TYPE_COMMAND ? condition->probe.argv[0] :
							       condition->probe.address);
	each(&target, context);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	(void)snap;
	return condition->unit[0] && target->type == TARGET_UNIT && strcmp(condition->unit, target->name) == 0;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	char name[NAME_LEN];
	(void)target;
	probe_name(&condition->probe, name);
	for (uint32_t i = 0; i < snap->units.count; i++) {
		const struct unit_sample *row = &snap->units.each[i];
		if (!row->alone || strcmp(row->name, name) != 0)
			continue;
		if (!snapshot_is_fresh(snap, row->measured_ns) || (row->probe != PROBE_PASSING && row->probe != PROBE_FAILING))
			break;
		ret->evidence = row->probe_why;
		reading_known(ret, row->probe == PROBE_FAILING);
		return;
	}
	reading_unknown(ret, "the probe has not answered");
}

static enum incident_kind kind(const struct condition *condition)
{
	static const enum incident_kind kinds[PROBE_MEANS_COUNT] = {
		[PROBE_MEANS_SERVICE_DOWN] = KIND_SERVICE_DOWN, [PROBE_MEANS_SERVICE_HUNG] = KIND_SERVICE_HUNG,
		[PROBE_MEANS_DEPENDENCY_DOWN] = KIND_DEPENDENCY_DOWN,
	};
	return kinds[condition->probe_means];
}

static uint64_t lag_ns(const struct condition *condition)
{
	const struct probe *probe = &condition->probe;
	return probe->every_ns * (probe->failures ? probe->failures : 1) + probe->timeout_ns;
}

const struct condition_type probe_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.lag_ns = lag_ns,
	.metrics = { [MEASURE_PROBE] = "probe_failing" },
};
