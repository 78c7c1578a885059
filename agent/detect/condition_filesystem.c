/* SPDX-License-Identifier: Apache-2.0 */
/* Filesystems: one target a mount that can be written to. */
#include "detect/condition_type.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++) {
		const struct filesystem *fs = &snap->filesystems.each[i];
		if (fs->read_only || !glob_matches(condition->mountpoint, fs->mountpoint, FNM_PATHNAME))
			continue;
		struct target target = { .type = TARGET_FILESYSTEM, .dev = fs->dev };
		snprintf(target.name, sizeof(target.name), "%s", fs->mountpoint);
		snprintf(target.device, sizeof(target.device), "%s", fs->device);
		if (!each(&target, context))
			return;
	}
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	(void)snap;
	return target->type == TARGET_FILESYSTEM && glob_matches(condition->mountpoint, target->name, FNM_PATHNAME);
}

/* Its history is from before the start, and its turn to be asked has not come. */
static bool is_unasked(const struct snapshot *snap, const struct filesystem *fs)
{
	for (uint32_t i = 0; i < snap->outlook.count; i++) {
		const struct outlook_row *row = &snap->outlook.each[i];
		if (row->resource == CAPACITY_FILESYSTEM && row->dev == fs->dev)
			return row->unasked;
	}
	return false;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->filesystems.measured_ns)) {
		reading_unknown(ret, "the list of filesystems is stale");
		return;
	}

	const struct filesystem *fs = NULL;
	for (uint32_t i = 0; i < snap->filesystems.count && !fs; i++)
		if (strcmp(snap->filesystems.each[i].mountpoint, target->name) == 0)
			fs = &snap->filesystems.each[i];
	if (!fs) {
		ret->state = READING_GONE;
		return;
	}
	if (!snapshot_is_fresh(snap, fs->measured_ns)) {
		reading_unknown(ret, fs->stuck_ns ? "statvfs hangs" : "statvfs has not answered");
		return;
	}

	ret->exhausted_in_ns = fs->exhausted_in_ns;
	uint64_t used = fs->size - fs->free, usable = used + fs->avail;
	switch (condition->measure) {
	case MEASURE_USED_PERCENT:
		reading_percent(ret, used, usable, "the filesystem has no size");
		break;
	case MEASURE_AVAILABLE_PERCENT:
		reading_percent(ret, fs->avail, usable, "the filesystem has no size");
		break;
	case MEASURE_AVAILABLE_BYTES:
		reading_known(ret, (double)fs->avail);
		break;
	case MEASURE_INODES_USED_PERCENT:
		reading_percent(ret, fs->files - fs->files_free, fs->files, "the filesystem does not count inodes");
		break;
	case MEASURE_FULL_WITHIN:
		if (fs->exhausted_in_ns == UNKNOWN && is_unasked(snap, fs)) {
			reading_unknown(ret, "its history has not been asked since the start");
			break;
		}
		/* No forecast means no evidence that it will be full in time: that is "no", and only a stale mount is "unknown". */
		reading_known(ret, fs->exhausted_in_ns == UNKNOWN ? 1e300 : (double)fs->exhausted_in_ns);
		ret->confidence_permille = fs->exhausted_confidence_permille;
		break;
	default:
		reading_unknown(ret, "not a measure of filesystems");
	}
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_DISK_EXHAUSTION;
}

const struct condition_type filesystem_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.nobody = "no such filesystem is mounted",
	.metrics = {
		[MEASURE_USED_PERCENT] = "filesystem_used_percent",
		[MEASURE_AVAILABLE_PERCENT] = "filesystem_avail_percent",
		[MEASURE_AVAILABLE_BYTES] = "node_filesystem_avail_bytes",
		[MEASURE_INODES_USED_PERCENT] = "filesystem_inodes_used_percent",
		[MEASURE_FULL_WITHIN] = "nodemend_exhausted_in_seconds",
	},
};
