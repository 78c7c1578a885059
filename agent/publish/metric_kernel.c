/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF side and the walk over all tasks see: system calls, exits, writers, processes and cgroups. */
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

/* --- tasks: births and deaths ----------------------------------------------------------------------------------------- */

static void emit_task(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context_collecting(context, COLLECTOR_TASK))
		sink_field(sink, metric, NULL, 0, &context->snap->processes);
}

static void emit_exits(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context_collecting(context, COLLECTOR_TASK))
		return;

	const struct process_section *section = &context->snap->processes;
	const struct { const char *cause; uint64_t count; } exits[] = {
		{ "error", section->exits_error_total }, { "ok", section->exits_ok_total }, { "signal", section->exits_signal_total },
	};
	for (int i = 0; i < 3; i++) {
		struct label label = { "cause", exits[i].cause };
		sink_sample(sink, &label, 1, exits[i].count, 0);
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

/* --- processes and cgroups -------------------------------------------------------------------------------------------- */

static const struct process_section *fresh_processes(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->processes.measured_ns) ? &context->snap->processes : NULL;
}

static void emit_process_section(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	if (section)
		sink_field(sink, metric, NULL, 0, section);
}

static void emit_process(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	if (!section)
		return;

	for (uint32_t i = 0; i < context->shown->process_count; i++) {
		const struct process *process = &section->each[context->shown->processes[i]];
		char pid[12];
		snprintf(pid, sizeof(pid), "%d", process->pid);
		struct label labels[] = { { "pid", pid }, { "comm", process->comm }, { "cgroup", cgroup_path(context->snap,
			process->cgroup_id) } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), process);
	}
}

static void emit_cgroup(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->cgroups.measured_ns))
		return;

	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup = &context->snap->cgroups.each[context->shown->cgroups[i]];
		struct label labels[CGROUP_LABELS];
		sink_field(sink, metric, labels, cgroup_labels(context->snap, cgroup, labels), cgroup);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define TASK(name_, unit_, help_, field_, value_) \
	{ .name = "nodemend_" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), .source = COLLECTOR_TASK, \
	  .emit = emit_task, .field = offsetof(struct process_section, field_), .value = (value_) }
#define PROCESSES(name_, help_, field_) \
	{ .name = "nodemend_" name_, .type = METRIC_GAUGE, .unit = "", .help = (help_), .source = COLLECTOR_PROCESS, \
	  .emit = emit_process_section, .field = offsetof(struct process_section, field_), .value = VALUE_U32 }
#define PROCESS(name_, type_, unit_, help_, field_, value_) \
	{ .name = "nodemend_process_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_PROCESS, \
	  .emit = emit_process, .field = offsetof(struct process, field_), .value = (value_) }
#define CGROUP(name_, type_, unit_, help_, field_, value_) \
	{ .name = "nodemend_cgroup_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_CGROUP, \
	  .emit = emit_cgroup, .field = offsetof(struct cgroup, field_), .value = (value_) }

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

	TASK("exited_cpu_seconds_total", "seconds", "Processor time of all processes that ended, over their whole lives.", exited_cpu_ns,
		VALUE_NS),
	TASK("exited_read_bytes_total", "bytes", "Bytes read from storage by all processes that ended.", exited_read_bytes, VALUE_U64),
	TASK("exited_written_bytes_total", "bytes", "Bytes written towards storage by all processes that ended.", exited_written_bytes,
		VALUE_U64),
	TASK("process_execs_total", "", "Programs started by execve.", execs_total, VALUE_U64),
	{ .name = "nodemend_process_exits_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_TASK, .emit = emit_exits,
	  .help = "Processes that ended: ok (status 0), error (another status), signal." },
	TASK("process_forks_total", "", "Processes started by fork and its kin.", forks_total, VALUE_U64),

	{ .name = "nodemend_filesystem_dirtied_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_dirtied,
	  .help = "Bytes made dirty since the agent started: one series a large writer, and one without a pid for the rest." },
	{ .name = "nodemend_filesystem_dirtied_all_bytes_total", .type = METRIC_COUNTER, .unit = "bytes", .source = COLLECTOR_FSWRITE,
		.emit = emit_dirtied_all,
	  .help = "Bytes made dirty since the agent started, by everybody: never falls, unlike the rest above when a writer gets its name.",
	  .field = offsetof(struct filesystem, dirtied_total) },

	PROCESS("cpu_seconds_total", METRIC_COUNTER, "seconds", "Processor time of the process with all its threads.", cpu_ns, VALUE_NS),
	PROCESS("read_bytes_total", METRIC_COUNTER, "bytes", "Bytes that the process read from storage.", read_bytes, VALUE_U64),
	PROCESS("resident_bytes", METRIC_GAUGE, "bytes", "Memory of the process that is resident, shared pages included.", rss_bytes,
		VALUE_U64),
	PROCESS("run_delay_seconds_total", METRIC_COUNTER, "seconds", "Time that the process waited for a CPU while it could have run.",
		run_delay_ns, VALUE_NS),
	PROCESS("swap_bytes", METRIC_GAUGE, "bytes", "Memory of the process that is swapped out.", swap_bytes, VALUE_U64),
	PROCESS("threads", METRIC_GAUGE, "", "Threads of the process.", threads, VALUE_U32),
	PROCESS("written_bytes_total", METRIC_COUNTER, "bytes", "Bytes that the process sent towards storage.", written_bytes, VALUE_U64),
	PROCESSES("processes", "Processes on the node.", count),
	PROCESSES("threads", "Threads on the node.", threads),
	PROCESSES("threads_blocked", "Threads in uninterruptible sleep.", blocked),

	CGROUP("cpu_seconds_total", METRIC_COUNTER, "seconds", "Processor time of the members, those that ended included.", cpu_ns,
		VALUE_NS),
	CGROUP("memory_current_bytes", METRIC_GAUGE, "bytes", "Memory charged to the cgroup by its controller.", memory_current, VALUE_U64),
	CGROUP("memory_max_bytes", METRIC_GAUGE, "bytes", "Limit of the memory controller; absent where there is none.", memory_max,
		VALUE_U64),
	CGROUP("processes", METRIC_GAUGE, "", "Processes in the cgroup.", processes, VALUE_U32),
	CGROUP("resident_bytes", METRIC_GAUGE, "bytes", "Sum of the members' resident memory; shared pages count in each.", rss_bytes,
		VALUE_U64),
};
/* clang-format on */

const struct metric_table metrics_of_kernel = { rows, sizeof(rows) / sizeof(rows[0]) };
