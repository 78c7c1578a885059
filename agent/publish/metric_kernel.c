/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF side sees of system calls and writers. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "publish/metric.h"
#include "syscall_name.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

/* --- system calls ----------------------------------------------------------------------------------------------------- */

static const char *abi_name(const struct syscall_stat *stat)
{
	return stat->abi == SYSCALL_ABI_32 ? "32" : "64";
}

/* "other" is the slot of all numbers beyond the kernel-side table. */
static const char *name_of(const struct syscall_stat *stat, char buffer[24])
{
	return stat->nr >= SYSCALL_NR_MAX - 1 ? "other" : syscall_name(stat->abi, stat->nr, buffer, 24);
}

static const struct syscall_section *fresh_syscalls(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->syscalls.measured_ns) ? &context->snap->syscalls : NULL;
}

static void emit_syscalls(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct syscall_stat *stat = &section->each[i];
		char buffer[24];
		struct label labels[] = { { "syscall", name_of(stat, buffer) }, { "abi", abi_name(stat) } };
		sink_sample(sink, labels, LABEL_COUNT(labels), stat->count, 0);
	}
}

static void emit_syscall_errors(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct syscall_stat *stat = &section->each[i];
		for (int class = 0; class < ERRNO_CLASS_COUNT; class++) {
			char buffer[24];
			struct label labels[] = {
				{ "syscall", name_of(stat, buffer) }, { "errno", errno_class_names[class] }, { "abi", abi_name(stat) },
			};
			if (stat->errors[class])
				sink_sample(sink, labels, LABEL_COUNT(labels), stat->errors[class], 0);
		}
	}
}

static void emit_syscall_latency(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct syscall_stat *stat = &section->each[i];
		char buffer[24];
		struct label labels[] = { { "syscall", name_of(stat, buffer) }, { "abi", abi_name(stat) } };
		sink_histogram(sink, labels, LABEL_COUNT(labels), &stat->latency);
	}
}

/* --- writers ---------------------------------------------------------------------------------------------------------- */

/* A filesystem may be mounted in many places; its bytes are told once, under the first. */
static bool is_first_of_device(const struct filesystem_section *section, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (section->each[i].dev == section->each[index].dev)
			return false;
	return true;
}

static const char *cgroup_path(const struct snapshot *snap, uint64_t id)
{
	const struct cgroup *cgroup = id ? snapshot_cgroup(snap, id) : NULL;
	return cgroup ? cgroup->path : "";
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
			{ "comm", writer->comm }, { "cgroup", cgroup_path(snap, writer->cgroup_id) },
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
	{ .name = "nodemend_syscall_errors_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_SYSCALL,
		.emit = emit_syscall_errors,
	  .help = "System calls that returned an error, by class; RESTART: interrupted and resumed by the kernel." },
	{ .name = "nodemend_syscall_latency_seconds", .type = METRIC_HISTOGRAM, .unit = "seconds", .source = COLLECTOR_SYSCALL,
		.emit = emit_syscall_latency,
	  .help = "Time from the entry of a system call to its return." },
	{ .name = "nodemend_syscalls_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_SYSCALL, .emit = emit_syscalls,
	  .help = "System calls that returned." },

	{ .name = "nodemend_filesystem_dirtied_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_dirtied,
	  .help = "Bytes made dirty since the agent started: one series a large writer, and one without a pid for the rest." },
	{ .name = "nodemend_filesystem_dirtied_all_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_dirtied_all,
	  .help = "Bytes made dirty since the agent started, by everybody: never falls, unlike the rest above when a writer gets its name.",
	  .field = offsetof(struct filesystem, dirtied_total) },
};
/* clang-format on */

const struct metric_table metrics_of_kernel = { rows, sizeof(rows) / sizeof(rows[0]) };
