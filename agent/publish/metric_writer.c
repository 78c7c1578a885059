/* SPDX-License-Identifier: Apache-2.0 */
/* Who puts how many bytes on which filesystem. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

/* A filesystem may be mounted in many places; its bytes are told once, under the first. */
static bool is_first_of_device(const struct filesystem_section *section, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (section->each[i].dev == section->each[index].dev)
			return false;
	return true;
}

static uint64_t emit_named_writers(const struct metric_context *context, struct metric_sink *sink, const struct filesystem *fs)
{
	const struct snapshot *snap = context->snap;
	uint64_t named = 0;

	for (uint32_t i = 0; i < context->shown->writers && i < snap->writers.count; i++) {
		const struct writer *writer = &snap->writers.each[i];
		if (writer->dev != fs->dev)
			continue;
		char pid[12];
		snprintf(pid, sizeof(pid), "%d", writer->pid);
		struct label labels[] = {
			{ "device", fs->device }, { "mountpoint", fs->mountpoint }, { "pid", pid },
			{ "comm", writer->comm }, { "cgroup", context_cgroup_path(context, writer->cgroup_id) },
		};
		sink_sample(sink, labels, LABEL_COUNT(labels), writer->bytes_total, 0);
		named += writer->bytes_total;
	}
	return named;
}

static void emit_dirtied(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->writers.measured_ns))
		return;

	const struct filesystem_section *section = &context->snap->filesystems;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct filesystem *fs = &section->each[i];
		if (!is_first_of_device(section, i))
			continue;
		uint64_t named = emit_named_writers(context, sink, fs);
		struct label labels[] = { { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		sink_sample(sink, labels, LABEL_COUNT(labels), fs->dirtied_total > named ? fs->dirtied_total - named : 0, 0);
	}
}

static void emit_dirtied_all(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->writers.measured_ns))
		return;

	const struct filesystem_section *section = &context->snap->filesystems;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct filesystem *fs = &section->each[i];
		if (!is_first_of_device(section, i))
			continue;
		struct label labels[] = { { "device", fs->device }, { "mountpoint", fs->mountpoint } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), fs);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct metric rows[] = {

	{ .name = "nodemend_filesystem_dirtied_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_dirtied,
	  .help = "Bytes made dirty since the agent started: one series a large writer, and one without a pid for the rest." },
	{ .name = "nodemend_filesystem_dirtied_all_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_dirtied_all,
	  .help = "Bytes made dirty since the agent started, by everybody: never falls, unlike the rest above when a writer gets its name.",
	  .field = offsetof(struct filesystem, dirtied_total) },
};
/* clang-format on */

const struct metric_table metrics_of_writer = { rows, sizeof(rows) / sizeof(rows[0]) };
