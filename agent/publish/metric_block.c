/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices, request by request: by device and operation, and by the cgroup whose requests they were. */
#include <stddef.h>
#include <stdlib.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const struct block_stat_section *fresh_stats(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->block_stats.measured_ns) ? &context->snap->block_stats : NULL;
}

/* Its name; NULL where the device went while the tick ran. */
static const char *device_name(const struct snapshot *snap, uint32_t dev)
{
	for (uint32_t i = 0; i < snap->block_devices.count; i++)
		if (snap->block_devices.each[i].dev == dev)
			return snap->block_devices.each[i].name;
	return NULL;
}

static void emit_stat(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct block_stat_section *section = fresh_stats(context);

	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct block_stat *stat = &section->each[i];
		const char *device = device_name(context->snap, stat->dev);
		struct label labels[] = { { "device", device }, { "op", block_op_names[stat->op] } };

		if (!device)
			continue;
		if (metric->type != METRIC_HISTOGRAM)
			sink_field(sink, metric, labels, LABEL_COUNT(labels), &stat->counts);
		else if (section->has_histograms)
			sink_histogram(sink, labels, LABEL_COUNT(labels),
				       (const struct histogram *)((const char *)&stat->counts + metric->field));
	}
}

static void emit_errors(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct block_stat_section *section = fresh_stats(context);

	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct block_stat *stat = &section->each[i];
		const char *device = device_name(context->snap, stat->dev);

		for (uint32_t error = 0; device && error < BLOCK_ERROR_COUNT; error++) {
			struct label labels[] = {
				{ "device", device }, { "op", block_op_names[stat->op] }, { "errno", block_error_names[error] },
			};
			if (stat->counts.errors[error])
				sink_sample(sink, labels, LABEL_COUNT(labels), stat->counts.errors[error], 0);
		}
	}
}

static void emit_device(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->block_devices.measured_ns))
		return;
	for (uint32_t i = 0; i < context->snap->block_devices.count; i++) {
		const struct block_device_state *device = &context->snap->block_devices.each[i];
		struct label label = { "device", device->name };
		sink_field(sink, metric, &label, 1, device);
	}
}

/* --- by cgroup -------------------------------------------------------------------------------------------------------- */

static uint32_t stat_index(const struct block_stat_section *section, uint32_t dev, uint32_t op)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == dev && section->each[i].op == op)
			return i;
	return NO_INDEX;
}

/* Named ones by how it is known whose they are; all others of a device and operation together. */
static void emit_group(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct block_stat_section *stats = fresh_stats(context);
	uint64_t others[MAX_BLOCK_STATS] = { 0 };
	bool has_others[MAX_BLOCK_STATS] = { false };

	for (uint32_t i = 0; stats && i < context->snap->block_groups.count; i++) {
		const struct block_group *group = &context->snap->block_groups.each[i];
		const struct cgroup *cgroup = context_shown_cgroup(context, group->cgroup_id);
		const char *device = device_name(context->snap, group->dev);
		uint32_t index = stat_index(stats, group->dev, group->op);

		if (!device || index == NO_INDEX)
			continue;
		if (!cgroup) {
			others[index] += *(const uint64_t *)((const char *)group + metric->field);
			has_others[index] = true;
			continue;
		}
		struct label labels[] = {
			{ "cgroup", cgroup->path }, { "device", device }, { "op", block_op_names[group->op] },
			{ "source", block_source_names[group->source] },
		};
		sink_field(sink, metric, labels, LABEL_COUNT(labels), group);
	}
	for (uint32_t i = 0; stats && i < stats->count; i++) {
		const char *device = device_name(context->snap, stats->each[i].dev);
		struct label labels[] = { { "cgroup", "other" }, { "device", device }, { "op", block_op_names[stats->each[i].op] } };

		if (device && has_others[i])
			sink_sample(sink, labels, LABEL_COUNT(labels), others[i], metric->value == VALUE_NS ? 9 : 0);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define STAT(name_, type_, unit_, help_, field_, value_) \
	{ .name = "nodemend_block_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_BLOCK, \
	  .emit = emit_stat, .field = offsetof(struct block_counts, field_), .value = (value_) }
#define DEVICE(name_, unit_, help_, field_, value_) \
	{ .name = "nodemend_block_" name_, .type = METRIC_GAUGE, .unit = (unit_), .help = (help_), .source = COLLECTOR_BLOCK, \
	  .emit = emit_device, .field = offsetof(struct block_device_state, field_), .value = (value_) }
#define GROUP(name_, unit_, help_, field_, value_) \
	{ .name = "nodemend_cgroup_block_" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), .source = COLLECTOR_BLOCK, \
	  .emit = emit_group, .field = offsetof(struct block_group, field_), .value = (value_) }

/* clang-format off */
static const struct metric rows[] = {
	STAT("bytes_total", METRIC_COUNTER, "bytes", "Bytes of requests that the device completed.", bytes, VALUE_U64),
	STAT("device_seconds_total", METRIC_COUNTER, "seconds", "Time from issue to completion, all requests added up.", device_ns, VALUE_NS),
	{ .name = "nodemend_block_errors_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_BLOCK, .emit = emit_errors,
	  .help = "Requests that the device completed with an error, by what a program gets for it." },
	DEVICE("in_flight", "", "Requests at the device at this moment.", in_flight, VALUE_U32),
	DEVICE("in_flight_max", "", "Most requests at the device at one time, over the last interval.", max_in_flight, VALUE_U32),
	DEVICE("in_flight_mean", "", "Requests at the device, mean over the time of the last interval.", mean_in_flight_milli, VALUE_MILLI),
	STAT("latency_seconds", METRIC_HISTOGRAM, "seconds", "Time from the issue of a request to its completion.", latency, VALUE_U64),
	DEVICE("oldest_seconds", "seconds", "Age of the oldest request at the device; 0 = there is none.", oldest_ns, VALUE_NS),
	STAT("queue_seconds", METRIC_HISTOGRAM, "seconds", "Time from the arrival of a request to its issue.", queue, VALUE_U64),
	STAT("requests_total", METRIC_COUNTER, "", "Requests that the device completed.", ops, VALUE_U64),
	STAT("requeues_total", METRIC_COUNTER, "", "Requests that went back to the queue after their issue.", requeues, VALUE_U64),

	GROUP("bytes_total", "bytes", "Bytes of completed requests by the cgroup they were made for; source: how that is known.", bytes,
		VALUE_U64),
	GROUP("device_seconds_total", "seconds", "Time from issue to completion of such requests, added up.", device_ns, VALUE_NS),
	GROUP("requests_total", "", "Completed requests by the cgroup they were made for.", ops, VALUE_U64),
};
/* clang-format on */

const struct metric_table metrics_of_block = { rows, sizeof(rows) / sizeof(rows[0]) };
