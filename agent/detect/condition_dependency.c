/* SPDX-License-Identifier: Apache-2.0 */
/* Services elsewhere, as this node sees them: failing, resetting, or slower than they use to be. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

#define ENOUGH_REQUESTS 5.0 /* of the last half minute: of fewer a single one is a fifth */

static void share(struct reading *ret, double part, double whole)
{
	if (whole < ENOUGH_REQUESTS)
		reading_unknown(ret, "too few requests to judge by");
	else
		reading_known(ret, 100 * part / whole);
}

static void judge(const struct condition *condition, const struct dependency *row, struct reading *ret)
{
	if (condition->measure == MEASURE_FAILS_PERCENT)
		share(ret, row->failures, row->attempts);
	else if (condition->measure == MEASURE_RESETS_PERCENT)
		share(ret, row->resets, row->ended);
	else if (row->times_slower > 0)
		reading_known(ret, row->times_slower);
	else
		reading_unknown(ret, "too little history, or too few requests of late");
}

/* Those of which too little is known are none: there are always some, and nothing is said of them. */
static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->dependencies.count; i++) {
		struct target target = { .type = TARGET_PEER };
		struct reading reading;
		judge(condition, &snap->dependencies.each[i], &reading);
		if (reading.state != READING_KNOWN || !glob_matches(condition->name, snap->dependencies.each[i].name, 0))
			continue;
		snprintf(target.name, sizeof(target.name), "%s", snap->dependencies.each[i].name);
		if (!each(&target, context))
			return;
	}
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	(void)snap;
	return target->type == TARGET_PEER && glob_matches(condition->name, target->name, 0);
}

/* Who waits for it, and what for. */
static void tell_users(const struct snapshot *snap, const struct dependency *row, char text[WHY_LEN])
{
	size_t used = (size_t)snprintf(text, WHY_LEN, "of late %.0f attempts, %.0f failed; ", row->attempts, row->failures);
	if (row->times_slower > 0 && used < WHY_LEN)
		used += (size_t)snprintf(text + used, WHY_LEN - used, "%.1f times its usual time; ", row->times_slower);
	for (uint32_t i = 0; i < row->user_count && used < WHY_LEN; i++) {
		const struct cgroup *cgroup = snapshot_cgroup(snap, row->users[i]);
		used += (size_t)snprintf(text + used, WHY_LEN - used, "%s%s", i ? ", " : "needed by ", cgroup && cgroup->path[0] ? cgroup->path : "a cgroup");
	}
	if (row->users_cut && used < WHY_LEN)
		snprintf(text + used, WHY_LEN - used, " and %u more", row->users_cut);
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->dependencies.measured_ns)) {
		reading_unknown(ret, "neither TCP connections nor name resolution are watched");
		return;
	}

	const struct dependency *row = NULL;
	for (uint32_t i = 0; i < snap->dependencies.count && !row; i++)
		if (strcmp(snap->dependencies.each[i].name, target->name) == 0)
			row = &snap->dependencies.each[i];
	if (!row) {
		ret->state = READING_GONE;
		return;
	}
	judge(condition, row, ret);
	tell_users(snap, row, ret->detail);
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_DEPENDENCY_DOWN;
}

const struct condition_type dependency_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = {
		[MEASURE_FAILS_PERCENT] = "dependency_fails_percent",
		[MEASURE_RESETS_PERCENT] = "dependency_resets_percent",
		[MEASURE_SLOWER_TIMES] = "dependency_times_slower",
	},
};
