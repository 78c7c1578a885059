/* SPDX-License-Identifier: Apache-2.0 */
/* Filesystems from within: which files grow, what is deleted and still open, how long operations take. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

enum { GROWING_SHOWN = 16 };

static const struct filesystem *filesystem_of(const struct snapshot *snap, uint32_t dev)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		if (snap->filesystems.each[i].dev == dev)
			return &snap->filesystems.each[i];
	return NULL;
}

/* --- growth ----------------------------------------------------------------------------------------------------------- */

/* A file that is removed and made anew may get its inode again: another row, and the same labels. */
static bool is_same_series(const struct metric_context *context, const struct grown_file *a, const struct grown_file *b)
{
	return a->dev == b->dev && a->ino == b->ino && strcmp(a->path, b->path) == 0 && strcmp(a->comm, b->comm) == 0 &&
	       strcmp(context_cgroup_path(context, a->cgroup_id), context_cgroup_path(context, b->cgroup_id)) == 0;
}

/* What it and the rows after it that are the same series have grown; UNKNOWN where it is one of a row before it. */
static uint64_t grown_of_series(const struct metric_context *context, uint32_t row, uint32_t count)
{
	const struct grown_file *each = context->snap->growth.each;
	uint64_t sum = 0;
	for (uint32_t i = 0; i < row; i++)
		if (is_same_series(context, &each[i], &each[row]))
			return UNKNOWN;
	for (uint32_t i = row; i < count; i++)
		if (is_same_series(context, &each[i], &each[row]))
			sum += each[i].grown_total;
	return sum;
}

static uint64_t emit_grown_files(const struct metric_context *context, struct metric_sink *sink, const struct filesystem *fs)
{
	const struct growth_section *section = &context->snap->growth;
	uint32_t count = section->count < GROWING_SHOWN ? section->count : GROWING_SHOWN;
	uint64_t named = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct grown_file *file = &section->each[i];
		char ino[24];

		if (file->dev != fs->dev)
			continue;
		uint64_t grown = grown_of_series(context, i, count);
		if (grown == UNKNOWN)
			continue;
		snprintf(ino, sizeof(ino), "%llu", (unsigned long long)file->ino);
		struct label labels[] = {
			{ "device", fs->device }, { "mountpoint", fs->mountpoint }, { "path", file->path }, { "inode", ino },
			{ "comm", file->comm }, { "cgroup", context_cgroup_path(context, file->cgroup_id) },
		};
		sink_sample(sink, labels, LABEL_COUNT(labels), grown, 0);
		named += grown;
	}
	return named;
}

static void emit_growth(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->growth.measured_ns))
		return;

	const struct growth_section *section = &context->snap->growth;
	for (uint32_t i = 0; i < section->filesystem_count; i++) {
		const struct filesystem *fs = filesystem_of(context->snap, section->filesystems[i].dev);
		uint64_t total = section->filesystems[i].grown_total;

		if (!fs)
			continue;
		uint64_t named = emit_grown_files(context, sink, fs);
		struct label labels[] = { { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		sink_sample(sink, labels, LABEL_COUNT(labels), total > named ? total - named : 0, 0);
	}
}

static void emit_growth_all(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->growth.measured_ns))
		return;

	const struct growth_section *section = &context->snap->growth;
	for (uint32_t i = 0; i < section->filesystem_count; i++) {
		const struct filesystem *fs = filesystem_of(context->snap, section->filesystems[i].dev);

		if (!fs)
			continue;
		struct label labels[] = { { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		sink_sample(sink, labels, LABEL_COUNT(labels), section->filesystems[i].grown_total, 0);
	}
}

/* --- deleted ---------------------------------------------------------------------------------------------------------- */

static const struct deleted_section *fresh_deleted(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->deleted.measured_ns) ? &context->snap->deleted : NULL;
}

static void emit_deleted(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct deleted_section *section = fresh_deleted(context);

	for (uint32_t i = 0; section && i < section->filesystem_count; i++) {
		const struct filesystem *fs = filesystem_of(context->snap, section->filesystems[i].dev);

		if (!fs)
			continue;
		struct label labels[] = { { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), &section->filesystems[i]);
	}
}

static void emit_deleted_holders(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct deleted_section *section = fresh_deleted(context);

	for (uint32_t i = 0; section && i < section->count && i < GROWING_SHOWN; i++) {
		const struct deleted_holder *holder = &section->each[i];
		const struct filesystem *fs = filesystem_of(context->snap, holder->dev);
		char pid[12];

		if (!fs)
			continue;
		snprintf(pid, sizeof(pid), "%d", holder->pid);
		struct label labels[] = {
			{ "device", fs->device }, { "mountpoint", fs->mountpoint }, { "pid", pid }, { "comm", holder->comm },
			{ "cgroup", context_cgroup_path(context, holder->cgroup_id) },
		};
		sink_field(sink, metric, labels, LABEL_COUNT(labels), holder);
	}
}

static void emit_look(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct deleted_section *section = fresh_deleted(context);

	if (section)
		sink_field(sink, metric, NULL, 0, section);
}

/* --- operations ------------------------------------------------------------------------------------------------------- */

/* Without a mountpoint: msync, which names no file, and what only another mount namespace sees. */
static uint32_t label_filesystem(const struct snapshot *snap, uint32_t dev, char number[24], struct label labels[2])
{
	const struct filesystem *fs = dev ? filesystem_of(snap, dev) : NULL;

	if (fs) {
		labels[0] = (struct label){ "device", fs->device };
		labels[1] = (struct label){ "mountpoint", fs->mountpoint };
		return 2;
	}
	if (!dev)
		return 0;
	snprintf(number, 24, "%u:%u", dev >> 20, dev & 0xfffff);
	labels[0] = (struct label){ "device", number };
	return 1;
}

static void emit_fsop(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->fsops.measured_ns))
		return;

	const struct fsop_section *section = &context->snap->fsops;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct fsop_stat *stat = &section->each[i];
		char number[24];
		struct label labels[3];
		uint32_t count = label_filesystem(context->snap, stat->dev, number, labels);

		if (stat->op >= FSOP_COUNT)
			continue;
		labels[count++] = (struct label){ "op", fsop_names[stat->op] };
		if (metric->type != METRIC_HISTOGRAM)
			sink_field(sink, metric, labels, count, &stat->counts);
		else if (section->has_histograms)
			sink_histogram(sink, labels, count, &stat->counts.latency);
	}
}

static void emit_fsop_group(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->fsop_groups.measured_ns))
		return;

	uint64_t others[FSOP_COUNT] = { 0 };
	bool has_others[FSOP_COUNT] = { false };
	for (uint32_t i = 0; i < context->snap->fsop_groups.count; i++) {
		const struct fsop_group *group = &context->snap->fsop_groups.each[i];
		const struct cgroup *cgroup = context_shown_cgroup(context, group->cgroup_id);

		if (group->op >= FSOP_COUNT)
			continue;
		if (!cgroup) {
			others[group->op] += *(const uint64_t *)((const char *)group + metric->field);
			has_others[group->op] = true;
			continue;
		}
		struct label labels[] = { { "cgroup", cgroup->path }, { "op", fsop_names[group->op] } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), group);
	}
	for (uint32_t op = 0; op < FSOP_COUNT; op++) {
		struct label labels[] = { { "cgroup", "other" }, { "op", fsop_names[op] } };
		if (has_others[op])
			sink_sample(sink, labels, LABEL_COUNT(labels), others[op], metric->value == VALUE_NS ? 9 : 0);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define FSOP(name_, type_, unit_, help_, field_, value_) \
	{ .name = "nodemend_filesystem_operation" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_FSOP, \
	  .emit = emit_fsop, .field = offsetof(struct fsop_counts, field_), .value = (value_) }
#define GROUP(name_, unit_, help_, field_, value_) \
	{ .name = "nodemend_cgroup_filesystem_operation" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), \
	  .source = COLLECTOR_FSOP, .emit = emit_fsop_group, .field = offsetof(struct fsop_group, field_), .value = (value_) }

/* clang-format off */
static const struct metric rows[] = {
	{ .name = "nodemend_file_growth_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_growth,
	  .help = "Bytes by which files grew: one series a file that grows most, and one without a path for the rest of a filesystem." },
	{ .name = "nodemend_filesystem_grown_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_growth_all,
	  .help = "Bytes by which files grew, all of a filesystem: never falls, unlike the rest above when a file gets its name." },

	{ .name = "nodemend_filesystem_deleted_bytes", .type = METRIC_GAUGE, .unit = "bytes", .source = COLLECTOR_DELETED,
		.emit = emit_deleted, .field = offsetof(struct deleted_filesystem, bytes),
	  .help = "Space that files take which are deleted and still open; each file once." },
	{ .name = "nodemend_filesystem_deleted_files", .type = METRIC_GAUGE, .unit = "", .source = COLLECTOR_DELETED,
		.emit = emit_deleted, .field = offsetof(struct deleted_filesystem, files), .value = VALUE_U32,
	  .help = "Files that are deleted and still open." },
	{ .name = "nodemend_filesystem_deleted_held_bytes", .type = METRIC_GAUGE, .unit = "bytes", .source = COLLECTOR_DELETED,
		.emit = emit_deleted_holders, .field = offsetof(struct deleted_holder, bytes),
	  .help = "Space of such files that a process holds, for those that hold most; a file that two hold counts for both." },
	{ .name = "nodemend_filesystem_deleted_look_seconds", .type = METRIC_GAUGE, .unit = "seconds", .source = COLLECTOR_DELETED,
		.emit = emit_look, .field = offsetof(struct deleted_section, looked_ns), .value = VALUE_NS,
	  .help = "What the last look at all open files took; there is one every ten seconds." },

	FSOP("_errors_total", METRIC_COUNTER, "", "Filesystem operations that failed.", errors, VALUE_U64),
	FSOP("_latency_seconds", METRIC_HISTOGRAM, "seconds", "Time that filesystem operations took; which are seen: docs/kernels.md.",
		latency, VALUE_U64),
	FSOP("_seconds_total", METRIC_COUNTER, "seconds", "The same, added up.", total_ns, VALUE_NS),
	FSOP("s_total", METRIC_COUNTER, "", "Filesystem operations that ended.", count, VALUE_U64),
	GROUP("_seconds_total", "seconds", "Time that filesystem operations of the members took, added up.", total_ns, VALUE_NS),
	GROUP("s_total", "", "Filesystem operations of the members that ended.", count, VALUE_U64),
};
/* clang-format on */

const struct metric_table metrics_of_file = { rows, sizeof(rows) / sizeof(rows[0]) };
