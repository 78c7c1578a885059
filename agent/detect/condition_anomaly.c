/* SPDX-License-Identifier: Apache-2.0 */
/* What the node, or a cgroup, has not done before: how often a day its own past would give a score as high. */
#include "detect/anomaly_cause.h"
#include "detect/condition_type.h"

/* Turns of the watch, which are ten seconds or, where ticks are further apart, a tick: three without one, and the score is of another time. */
#define TURN_NS (10 * NSEC_PER_SEC)

static bool is_old(const struct snapshot *snap, const struct anomaly_scope *scope)
{
	return scope->measured_ns + 3 * TURN_NS < snap->boot_ns && !snapshot_is_fresh(snap, scope->measured_ns);
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	if (condition->by_group)
		group_targets(condition, snap, each, context);
	else
		node_target("anomaly", each, context);
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	return condition->by_group && target->type == TARGET_CGROUP && glob_matches_path(condition->cgroup, target->name);
}

static void measure(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct anomaly_scope *scope = anomaly_of(snap, target);
	const struct cgroup *cgroup = target->type == TARGET_CGROUP ? snapshot_cgroup(snap, target->cgroup_id) : NULL;
	if (target->type == TARGET_CGROUP && (!cgroup || !cgroup->processes))
		ret->state = READING_GONE; /* the watch follows those with members */
	else if (!scope)
		reading_unknown(ret, "it is not watched for anomalies");
	else if (!scope->measured_ns)
		reading_unknown(ret, "too little of its past is known yet to call anything unusual");
	else if (is_old(snap, scope))
		reading_unknown(ret, "its figures are stale");
	else
		reading_known(ret, scope->alarms_per_day);
}

static enum incident_kind kind(const struct condition *condition)
{
	return KIND_ANOMALY;
}

const struct condition_type anomaly_condition = {
	.targets = targets,
	.selects = selects,
	.measure = measure,
	.kind = kind,
	.metrics = { [MEASURE_ALARMS_PER_DAY] = "nodemend_anomaly_alarms_per_day" },
};
