/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever can be used up, by the outlook: one condition for all of it. A target may have several capacities; the worst one speaks. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static bool is_selected(const struct condition *condition, const struct outlook_row *row)
{
	return (condition->resources >> row->resource & 1) && glob_matches_path(condition->capacity, row->name);
}

static struct target target_of(const struct snapshot *snap, const struct outlook_row *row)
{
	struct target target = { .type = TARGET_NODE };
	snprintf(target.name, sizeof(target.name), "%s", row->name);
	switch ((enum capacity_resource)row->resource) {
	case CAPACITY_FILESYSTEM:
	case CAPACITY_INODES:
		target.type = TARGET_FILESYSTEM;
		target.dev = row->dev;
		for (uint32_t i = 0; i < snap->filesystems.count; i++)
			if (strcmp(snap->filesystems.each[i].mountpoint, row->name) == 0)
				snprintf(target.device, sizeof(target.device), "%s", snap->filesystems.each[i].device);
		break;
	case CAPACITY_CGROUP_MEMORY:
	case CAPACITY_CGROUP_PIDS:
		target.type = TARGET_CGROUP;
		target.cgroup_id = row->cgroup_id;
		break;
	case CAPACITY_PROCESS_FILES:
		target.type = TARGET_PROCESS;
		target.pid = row->pid;
		target.start_ns = row->start_ns;
		target.cgroup_id = row->cgroup_id;
		break;
	case CAPACITY_MEMORY:
	case CAPACITY_SWAP:
	case CAPACITY_PIDS:
	case CAPACITY_FILES:
	case CAPACITY_CONNTRACK:
	case CAPACITY_COUNT:
		break;
	}
	return target;
}

static bool is_about(const struct snapshot *snap, const struct outlook_row *row, const struct target *target)
{
	struct target other = target_of(snap, row);
	return other.type == target->type && other.pid == target->pid && other.start_ns == target->start_ns && strcmp(other.name, target->name) == 0;
}

static bool was_visited(const struct condition *condition, const struct snapshot *snap, uint32_t index, const struct target *target)
{
	for (uint32_t i = 0; i < index; i++)
		if (is_selected(condition, &snap->outlook.each[i]) && is_about(snap, &snap->outlook.each[i], target))
			return true;
	return false;
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->outlook.count; i++) {
		if (!is_selected(condition, &snap->outlook.each[i]))
			continue;
		struct target target = target_of(snap, &snap->outlook.each[i]);
		if (!was_visited(condition, snap, i, &target) && !each(&target, context))
			return;
	}
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	for (uint32_t i = 0; i < snap->outlook.count; i++)
		if (is_selected(condition, &snap->outlook.each[i]) && is_about(snap, &snap->outlook.each[i], target))
			return true;
	return false;
}

/* No row: of what is there, yet far below its capacity, that is an answer; what is gone is gone; what hangs is unknown. */
static void read_absent(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct process *process = target->type == TARGET_PROCESS ? snapshot_process(snap, target->pid) : NULL;
	bool there = target->type == TARGET_CGROUP ? snapshot_cgroup(snap, target->cgroup_id) != NULL : process && process->start_ns == target->start_ns;
	if (there)
		reading_known(ret, condition->measure == MEASURE_FULL_WITHIN ? 1e300 : 0);
	else
		ret->state = READING_GONE;
	for (uint32_t i = 0; i < snap->filesystems.count && target->type == TARGET_FILESYSTEM; i++)
		if (strcmp(snap->filesystems.each[i].mountpoint, target->name) == 0)
			reading_unknown(ret, snap->filesystems.each[i].stuck_ns ? "statvfs hangs" : "statvfs has not answered");
	if (target->type == TARGET_NODE)
		reading_unknown(ret, "the figure is stale");
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct outlook_row *worst = NULL;
	double worst_used = -1;
	if (!snapshot_is_fresh(snap, snap->outlook.measured_ns)) {
		reading_unknown(ret, "the outlook is stale");
		return;
	}

	for (uint32_t i = 0; i < snap->outlook.count; i++) {
		const struct outlook_row *row = &snap->outlook.each[i];
		if (!is_selected(condition, row) || !is_about(snap, row, target))
			continue;
		double used = 100.0 * (double)row->used / (double)row->capacity;
		bool worse = condition->measure == MEASURE_FULL_WITHIN ? !worst || row->exhausted_in_ns < worst->exhausted_in_ns : used > worst_used;
		worst = worse ? row : worst;
		worst_used = worse ? used : worst_used;
	}
	if (!worst) {
		read_absent(condition, snap, target, ret);
		return;
	}

	ret->exhausted_in_ns = worst->exhausted_in_ns;
	if (condition->measure != MEASURE_FULL_WITHIN) {
		reading_known(ret, worst_used);
		return;
	}
	/* No forecast is no evidence that it will be full in time: that is "no". */
	reading_known(ret, worst->exhausted_in_ns == UNKNOWN ? 1e300 : (double)worst->exhausted_in_ns);
	ret->confidence_permille = worst->confidence_permille;
}

static enum incident_kind kind(const struct condition *condition)
{
	return capacity_kind(condition->resources);
}

const struct condition_type capacity_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = {
		[MEASURE_FULL_WITHIN] = "nodemend_exhausted_in_seconds",
		[MEASURE_USED_PERCENT] = "capacity_used_percent",
	},
};
