/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever can be used up, by the outlook: one condition for all of it. A target may have several capacities; the worst one speaks. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static bool is_selected(const struct condition *condition, const struct outlook_row *row)
{
	return (condition->resources >> row->resource & 1) && glob_matches_path(condition->capacity, row->name);
}

static enum target_type type_of(const struct outlook_row *row)
{
	switch ((enum capacity_resource)row->resource) {
	case CAPACITY_FILESYSTEM:
	case CAPACITY_INODES:
		return TARGET_FILESYSTEM;
	case CAPACITY_CGROUP_MEMORY:
	case CAPACITY_CGROUP_PIDS:
		return TARGET_CGROUP;
	case CAPACITY_PROCESS_FILES:
		return TARGET_PROCESS;
	case CAPACITY_MEMORY:
	case CAPACITY_SWAP:
	case CAPACITY_PIDS:
	case CAPACITY_FILES:
	case CAPACITY_CONNTRACK:
	case CAPACITY_COUNT:
		break;
	}
	return TARGET_NODE;
}

static struct target target_of(const struct snapshot *snap, const struct outlook_row *row)
{
	struct target target = { .type = type_of(row), .cgroup_id = row->cgroup_id, .pid = row->pid, .start_ns = row->start_ns };
	snprintf(target.name, sizeof(target.name), "%s", row->name);
	if (target.type != TARGET_FILESYSTEM)
		return target;
	target.dev = row->dev;
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		if (strcmp(snap->filesystems.each[i].mountpoint, row->name) == 0)
			snprintf(target.device, sizeof(target.device), "%s", snap->filesystems.each[i].device);
	return target;
}

/* By numbers where there are some: each row of hundreds is asked for each target. */
static bool is_about(const struct outlook_row *row, const struct target *target)
{
	if (type_of(row) != target->type)
		return false;
	if (target->type == TARGET_PROCESS)
		return row->pid == target->pid && row->start_ns == target->start_ns;
	if (target->type == TARGET_CGROUP && target->cgroup_id)
		return row->cgroup_id == target->cgroup_id;
	return strncmp(row->name, target->name, sizeof(target->name) - 1) == 0;
}

static bool was_visited(const struct condition *condition, const struct snapshot *snap, uint32_t index, const struct target *target)
{
	for (uint32_t i = 0; i < index; i++)
		if (is_selected(condition, &snap->outlook.each[i]) && is_about(&snap->outlook.each[i], target))
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
		if (is_selected(condition, &snap->outlook.each[i]) && is_about(&snap->outlook.each[i], target))
			return true;
	return false;
}

/* What can end while the node goes on: swap is taken away, a module is unloaded. */
static bool has_ended(const struct snapshot *snap, const char *name)
{
	if (strcmp(name, capacity_names[CAPACITY_SWAP]) == 0)
		return snapshot_is_fresh(snap, snap->memory.measured_ns) && !snap->memory.swap_total;
	if (strcmp(name, capacity_names[CAPACITY_CONNTRACK]) == 0)
		return snapshot_is_fresh(snap, snap->interfaces.measured_ns) && snap->interfaces.conntrack == UNKNOWN;
	return false;
}

static const struct filesystem *mounted_at(const struct snapshot *snap, const char *name)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		if (strcmp(snap->filesystems.each[i].mountpoint, name) == 0)
			return &snap->filesystems.each[i];
	return NULL;
}

static void read_absent_filesystem(const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct filesystem *fs = mounted_at(snap, target->name);
	if (!snapshot_is_fresh(snap, snap->filesystems.measured_ns))
		reading_unknown(ret, "the table of mounts is stale");
	else if (!fs || fs->read_only) /* nobody fills it any more */
		ret->state = READING_GONE;
	else if (fs->stuck_ns)
		reading_unknown(ret, "statvfs hangs");
	else if (!snapshot_is_fresh(snap, fs->measured_ns))
		reading_unknown(ret, "statvfs has not answered");
	else if (snap->outlook.cut)
		reading_unknown(ret, "more is there than there is room to follow");
	else
		ret->state = READING_GONE; /* it has a row as another mount of its device, or counts nothing */
}

/* No row: of what is there, yet far below its capacity, that is an answer; what is gone is gone; what hangs, or is stale, is unknown. */
static void read_absent(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	bool of_process = target->type == TARGET_PROCESS;
	if (target->type == TARGET_FILESYSTEM) {
		read_absent_filesystem(snap, target, ret);
		return;
	}
	if (target->type == TARGET_NODE && has_ended(snap, target->name)) {
		ret->state = READING_GONE;
		return;
	}
	if (target->type == TARGET_NODE || !snapshot_is_fresh(snap, of_process ? snap->processes.measured_ns : snap->cgroups.measured_ns)) {
		reading_unknown(ret, "the figure is stale");
		return;
	}

	const struct process *process = of_process ? snapshot_process(snap, target->pid) : NULL;
	bool there = of_process ? process && process->start_ns == target->start_ns : snapshot_cgroup(snap, target->cgroup_id) != NULL;
	if (there)
		reading_known(ret, condition->measure == MEASURE_FULL_WITHIN ? 1e300 : 0);
	else
		ret->state = READING_GONE;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct outlook_row *worst = NULL;
	double worst_used = -1;
	bool unasked = false;
	if (!snapshot_is_fresh(snap, snap->outlook.measured_ns)) {
		reading_unknown(ret, "the outlook is stale");
		return;
	}

	for (uint32_t i = 0; i < snap->outlook.count; i++) {
		const struct outlook_row *row = &snap->outlook.each[i];
		if (!is_selected(condition, row) || !is_about(row, target))
			continue;
		unasked |= row->unasked;
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
	/* The end of one is enough to raise; to say "no" all must have been asked. */
	if (unasked && (double)worst->exhausted_in_ns > condition->threshold.raise) {
		reading_unknown(ret, "its history has not been asked since the start");
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
