/* SPDX-License-Identifier: Apache-2.0 */
/* What will run out and when, who leaks, and what cgroups should ask for. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

enum { ROW_LABELS = 5 };

static const struct outlook_section *fresh_outlook(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->outlook.measured_ns) ? &context->snap->outlook : NULL;
}

static uint32_t at_most(uint32_t count, uint32_t most)
{
	return count < most ? count : most; /* it crossed the wall: not trusted */
}

static const struct filesystem *filesystem_of(const struct snapshot *snap, uint32_t dev)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		if (snap->filesystems.each[i].dev == dev && !snap->filesystems.each[i].read_only)
			return &snap->filesystems.each[i];
	return NULL;
}

/* What a row is of. 0: it is none, or its filesystem is gone. */
static uint32_t label_row(const struct metric_context *context, const struct outlook_row *row, char pid[16], struct label labels[ROW_LABELS])
{
	uint32_t count = 0;
	if (row->resource >= CAPACITY_COUNT || !row->capacity)
		return 0;
	labels[count++] = (struct label){ "resource", capacity_names[row->resource] };
	switch ((enum capacity_resource)row->resource) {
	case CAPACITY_FILESYSTEM:
	case CAPACITY_INODES: {
		const struct filesystem *fs = filesystem_of(context->snap, row->dev);
		if (!fs)
			return 0;
		labels[count++] = (struct label){ "device", fs->device };
		labels[count++] = (struct label){ "mountpoint", fs->mountpoint };
		break;
	}
	case CAPACITY_CGROUP_MEMORY:
	case CAPACITY_CGROUP_PIDS:
		labels[count++] = (struct label){ "cgroup", row->name };
		break;
	case CAPACITY_PROCESS_FILES:
		snprintf(pid, 16, "%d", row->pid);
		labels[count++] = (struct label){ "pid", pid };
		labels[count++] = (struct label){ "comm", row->name };
		labels[count++] = (struct label){ "cgroup", context_cgroup_path(context, row->cgroup_id) };
		break;
	case CAPACITY_MEMORY:
	case CAPACITY_SWAP:
	case CAPACITY_PIDS:
	case CAPACITY_FILES:
	case CAPACITY_CONNTRACK:
	case CAPACITY_COUNT:
		break;
	}
	return count;
}

/* --- forecasts -------------------------------------------------------------------------------------------------------- */

/* Every mount, as node_exporter has them, where the outlook has a row a device. */
static void emit_filesystems(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct filesystem_section *section = &context->snap->filesystems;
	for (uint32_t i = 0; i < section->count && context_fresh(context, section->measured_ns); i++) {
		const struct filesystem *fs = &section->each[i];
		if (filesystem_is_covered(section, i) || !context_fresh(context, fs->measured_ns) || fs->exhausted_in_ns == UNKNOWN)
			continue;
		struct label labels[] = { { "resource", "filesystem" }, { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		if (metric->field == offsetof(struct outlook_row, exhausted_in_ns))
			sink_sample(sink, labels, LABEL_COUNT(labels), fs->exhausted_in_ns, 9);
		else
			sink_sample(sink, labels, LABEL_COUNT(labels), fs->exhausted_confidence_permille, 3);
	}
}

static void emit_rows(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink, bool filesystems)
{
	const struct outlook_section *section = fresh_outlook(context);
	for (uint32_t i = 0; section && i < at_most(section->count, MAX_OUTLOOK); i++) {
		const struct outlook_row *row = &section->each[i];
		struct label labels[ROW_LABELS];
		char pid[16];
		uint32_t count = label_row(context, row, pid, labels);
		if (count && row->exhausted_in_ns != UNKNOWN && (filesystems || row->resource != CAPACITY_FILESYSTEM))
			sink_field(sink, metric, labels, count, row);
	}
}

static void emit_exhausted(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap)
		return;
	emit_filesystems(metric, context, sink);
	emit_rows(metric, context, sink, false);
}

static void emit_range(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_rows(metric, context, sink, true);
}

/* --- capacities ------------------------------------------------------------------------------------------------------- */

static void emit_used(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	(void)metric;
	for (uint32_t i = 0; section && i < at_most(section->count, MAX_OUTLOOK); i++) {
		const struct outlook_row *row = &section->each[i];
		struct label labels[ROW_LABELS];
		char pid[16];
		uint32_t count = label_row(context, row, pid, labels);
		if (count)
			sink_real(sink, labels, count, (double)row->used / (double)row->capacity);
	}
}

static void emit_growth(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	for (uint32_t i = 0; section && i < at_most(section->count, MAX_OUTLOOK); i++) {
		const struct outlook_row *row = &section->each[i];
		int64_t growth = *(const int64_t *)((const char *)row + metric->field);
		struct label labels[ROW_LABELS];
		char pid[16];
		uint32_t count = label_row(context, row, pid, labels);
		if (count && growth != INT64_MIN)
			sink_real(sink, labels, count, (double)growth / (double)row->capacity);
	}
}

static void emit_evidence(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	(void)metric;
	for (uint32_t i = 0; section && i < at_most(section->count, MAX_OUTLOOK); i++) {
		const struct outlook_row *row = &section->each[i];
		struct label labels[ROW_LABELS + 1];
		char pid[16];
		uint32_t count = label_row(context, row, pid, labels);
		if (!count || row->evidence >= EVIDENCE_COUNT)
			continue;
		labels[count++] = (struct label){ "evidence", row->soon ? "soon" : evidence_names[row->evidence] };
		sink_sample(sink, labels, count, 1, 0);
	}
}

static void emit_suggested_size(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	for (uint32_t i = 0; section && i < at_most(section->count, MAX_OUTLOOK); i++) {
		const struct outlook_row *row = &section->each[i];
		const struct filesystem *fs = row->resource == CAPACITY_FILESYSTEM ? filesystem_of(context->snap, row->dev) : NULL;
		if (!fs)
			continue;
		struct label labels[] = { { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), row);
	}
}

/* --- leaks and sizes -------------------------------------------------------------------------------------------------- */

static void emit_leaks(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	for (uint32_t i = 0; section && i < at_most(section->leak_count, MAX_LEAKS); i++) {
		const struct leak_row *leak = &section->leaks[i];
		char pid[16];
		if (leak->figure >= LEAK_FIGURES)
			continue;
		snprintf(pid, sizeof(pid), "%d", leak->pid);
		struct label labels[] = {
			{ "of", leak_names[leak->figure] }, { "pid", pid }, { "comm", leak->comm },
			{ "cgroup", context_cgroup_path(context, leak->cgroup_id) },
		};
		sink_field(sink, metric, labels, LABEL_COUNT(labels), leak);
	}
}

static int compare_index(const void *key, const void *row)
{
	uint32_t left = *(const uint32_t *)key, right = *(const uint32_t *)row;
	return (left > right) - (left < right);
}

static const struct cgroup *shown_cgroup(const struct metric_context *context, uint64_t id)
{
	const struct cgroup *cgroup = snapshot_cgroup(context->snap, id);
	if (!cgroup)
		return NULL;
	uint32_t index = (uint32_t)(cgroup - context->snap->cgroups.each);
	return bsearch(&index, context->shown->cgroups, context->shown->cgroup_count, sizeof(index), compare_index) ? cgroup : NULL;
}

static void emit_sizing(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	for (uint32_t i = 0; section && i < at_most(section->sizing_count, MAX_SIZED); i++) {
		const struct sizing_row *row = &section->sizing[i];
		const struct cgroup *cgroup = shown_cgroup(context, row->cgroup_id);
		struct label labels[CGROUP_LABELS];
		if (cgroup)
			sink_field(sink, metric, labels, cgroup_labels(context->snap, cgroup, labels), row);
	}
}

static void emit_folded(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	static const struct { const char *what; size_t field; } parts[] = {
		{ "capacities", offsetof(struct outlook_section, series_folded) },
		{ "processes", offsetof(struct outlook_section, processes_folded) },
		{ "cgroups", offsetof(struct outlook_section, cgroups_folded) },
	};
	const struct outlook_section *section = fresh_outlook(context);
	(void)metric;
	for (size_t i = 0; section && i < LABEL_COUNT(parts); i++) {
		struct label label = { "what", parts[i].what };
		sink_sample(sink, &label, 1, *(const uint64_t *)((const char *)section + parts[i].field), 0);
	}
}

static void emit_dropped(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct outlook_section *section = fresh_outlook(context);
	(void)metric;
	if (section)
		sink_sample(sink, NULL, 0, section->state_dropped, 0);
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define ROW(name_, unit_, help_, source_, emit_, field_, value_) \
	{ .name = (name_), .type = METRIC_GAUGE, .unit = (unit_), .help = (help_), .source = (source_), .emit = (emit_), \
	  .field = offsetof(struct outlook_row, field_), .value = (value_) }
#define LEAK(name_, unit_, help_, field_, value_) \
	{ .name = (name_), .type = METRIC_GAUGE, .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = emit_leaks, \
	  .field = offsetof(struct leak_row, field_), .value = (value_) }
#define SIZE(name_, unit_, help_, field_, value_) \
	{ .name = (name_), .type = METRIC_GAUGE, .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = emit_sizing, \
	  .field = offsetof(struct sizing_row, field_), .value = (value_) }

static const struct metric rows[] = {
	ROW("nodemend_exhausted_in_seconds", "seconds", "Forecast of the time until nothing is left; absent while nothing says that it will run out.",
		COLLECTOR_FILESYSTEM, emit_exhausted, exhausted_in_ns, VALUE_NS),
	ROW("nodemend_exhausted_in_confidence_ratio", "ratio", "Share of the evidence that agrees with nodemend_exhausted_in_seconds.",
		COLLECTOR_FILESYSTEM, emit_exhausted, confidence_permille, VALUE_MILLI),
	ROW("nodemend_exhausted_in_low_seconds", "seconds", "The near end of the forecast's range.", METRIC_OF_AGENT, emit_range, low_ns, VALUE_NS),
	ROW("nodemend_exhausted_in_high_seconds", "seconds", "The far end of the forecast's range; absent where it is open.", METRIC_OF_AGENT,
		emit_range, high_ns, VALUE_NS),
	ROW("nodemend_capacity_used_ratio", "ratio", "Share of a capacity that is used.", METRIC_OF_AGENT, emit_used, used, VALUE_U64),
	ROW("nodemend_capacity_growth_day_ratio", "ratio", "Growth over the last day, as a share of the capacity; absent before a day is known.",
		METRIC_OF_AGENT, emit_growth, per_day, VALUE_U64),
	ROW("nodemend_capacity_growth_week_ratio", "ratio", "Growth over the last week, as a share of the capacity; absent before a week is known.",
		METRIC_OF_AGENT, emit_growth, per_week, VALUE_U64),
	ROW("nodemend_capacity_evidence", "", "1, with what the forecast of this capacity rests on, or why there is none.", METRIC_OF_AGENT,
		emit_evidence, evidence, VALUE_U64),
	ROW("nodemend_filesystem_suggested_bytes", "bytes", "Size that leaves 30 % free after a month of the growth that was seen.", METRIC_OF_AGENT,
		emit_suggested_size, suggested, VALUE_U64),

	LEAK("nodemend_process_leak_per_hour", "", "What a process that never gives back grows by: bytes of memory, files or threads.", per_hour,
		VALUE_U64),
	LEAK("nodemend_process_leak_run_seconds", "seconds", "For how long it has grown without giving back.", run_ns, VALUE_NS),

	SIZE("nodemend_cgroup_suggested_cpu_request_cores", "cores", "95th percentile of a week's use, and 20 % more; absent before a day is known.",
		cpu_request_milli, VALUE_MILLI),
	SIZE("nodemend_cgroup_suggested_cpu_limit_cores", "cores", "99th percentile, and 44 % more.", cpu_limit_milli, VALUE_MILLI),
	SIZE("nodemend_cgroup_suggested_memory_request_bytes", "bytes", "95th percentile of a week's use, and 25 % more; absent before a day is known.",
		memory_request, VALUE_U64),
	SIZE("nodemend_cgroup_suggested_memory_limit_bytes", "bytes", "The highest that was seen, and 25 % more.", memory_limit, VALUE_U64),

	{ .name = "nodemend_outlook_folded_total", .type = METRIC_COUNTER, .unit = "", .source = METRIC_OF_AGENT, .emit = emit_folded,
	  .help = "Times that a capacity, a process or a cgroup found no room to be followed in." },
	{ .name = "nodemend_outlook_state_dropped_total", .type = METRIC_COUNTER, .unit = "", .source = METRIC_OF_AGENT, .emit = emit_dropped,
	  .help = "Remembered histories that were damaged or of another version, and so dropped." },
};

const struct metric_table metrics_of_outlook = { rows, sizeof(rows) / sizeof(rows[0]) };
