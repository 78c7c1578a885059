/* SPDX-License-Identifier: Apache-2.0 */
/* What node_exporter also knows of a host, under its names, and beside each the little that it does not say. */
#include <stddef.h>
#include <stdio.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

/* --- cpu -------------------------------------------------------------------------------------------------------------- */

struct cpu_mode {
	const char *name;
	size_t field;
};

static const struct cpu_mode cpu_modes[] = {
	{ "idle", offsetof(struct cpu_times, idle_ns) },       { "iowait", offsetof(struct cpu_times, iowait_ns) },
	{ "irq", offsetof(struct cpu_times, irq_ns) },	       { "nice", offsetof(struct cpu_times, nice_ns) },
	{ "softirq", offsetof(struct cpu_times, softirq_ns) }, { "steal", offsetof(struct cpu_times, steal_ns) },
	{ "system", offsetof(struct cpu_times, system_ns) },   { "user", offsetof(struct cpu_times, user_ns) },
};

static const struct cpu_mode cpu_guest_modes[] = {
	{ "nice", offsetof(struct cpu_times, guest_nice_ns) },
	{ "user", offsetof(struct cpu_times, guest_ns) },
};

static void emit_modes(const struct metric_context *context, struct metric_sink *sink, const struct cpu_mode *modes, size_t count)
{
	if (!context->snap || !context_fresh(context, context->snap->cpu.measured_ns))
		return;

	const struct cpu_section *cpu = &context->snap->cpu;
	for (uint32_t i = 0; i < cpu->possible && i < MAX_CPUS; i++) {
		const struct cpu_times *times = &cpu->each[i];
		if (!times->idle_ns && !times->user_ns && !times->system_ns) /* never was online */
			continue;
		char number[12];
		snprintf(number, sizeof(number), "%u", i);
		for (size_t m = 0; m < count; m++) {
			struct label labels[] = { { "cpu", number }, { "mode", modes[m].name } };
			sink_sample(sink, labels, LABEL_COUNT(labels), *(const uint64_t *)((const char *)times + modes[m].field), 9);
		}
	}
}

static void emit_cpu_times(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_modes(context, sink, cpu_modes, sizeof(cpu_modes) / sizeof(cpu_modes[0]));
}

static void emit_cpu_guest(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_modes(context, sink, cpu_guest_modes, sizeof(cpu_guest_modes) / sizeof(cpu_guest_modes[0]));
}

/* --- sections of one row ---------------------------------------------------------------------------------------------- */

static void emit_cpu(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->snap && context_fresh(context, context->snap->cpu.measured_ns))
		sink_field(sink, metric, NULL, 0, &context->snap->cpu);
}

static void emit_memory(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->snap && context_fresh(context, context->snap->memory.measured_ns))
		sink_field(sink, metric, NULL, 0, &context->snap->memory);
}

static void emit_psi(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->psi.measured_ns))
		return;

	const struct psi_section *psi = &context->snap->psi;
	if (metric->field >= offsetof(struct psi_section, full)) {
		size_t resource = (metric->field - offsetof(struct psi_section, full)) / sizeof(psi->full[0]);
		if (!psi->has_full[resource])
			return;
	}
	sink_field(sink, metric, NULL, 0, psi);
}

static void emit_psi_average(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	static const char *const resources[] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };
	if (!context->snap || !context_fresh(context, context->snap->psi.measured_ns))
		return;

	const struct psi_section *psi = &context->snap->psi;
	for (int r = 0; r < PSI_RESOURCE_COUNT; r++) {
		for (int full = 0; full <= psi->has_full[r]; full++) {
			const struct psi_line *line = full ? &psi->full[r] : &psi->some[r];
			const struct { const char *window; uint32_t centi; } averages[] = {
				{ "10s", line->avg10_centi }, { "60s", line->avg60_centi }, { "300s", line->avg300_centi },
			};
			for (int a = 0; a < 3; a++) {
				struct label labels[] = {
					{ "resource", resources[r] }, { "stall", full ? "full" : "some" }, { "window", averages[a].window },
				};
				sink_sample(sink, labels, LABEL_COUNT(labels), averages[a].centi, 4);
			}
		}
	}
}

static void emit_time(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->snap && context_fresh(context, context->snap->boot_ns) && context->snap->wall_ns > 0)
		sink_sample(sink, NULL, 0, (uint64_t)context->snap->wall_ns, 9);
}

/* --- filesystems ------------------------------------------------------------------------------------------------------ */

/* What was mounted over can no longer be seen under that path, and Prometheus takes each set of labels only once. */
bool filesystem_is_covered(const struct filesystem_section *section, uint32_t index)
{
	const struct filesystem *fs = &section->each[index];
	for (uint32_t i = index + 1; i < section->count; i++) {
		const struct filesystem *other = &section->each[i];
		if (strcmp(fs->mountpoint, other->mountpoint) == 0 && strcmp(fs->device, other->device) == 0 && strcmp(fs->type,
			other->type) == 0)
			return true;
	}
	return false;
}

enum filesystem_rows { ROWS_ANSWERED, ROWS_WITH_INODES, ROWS_ALL };

static void emit_filesystems(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink,
	enum filesystem_rows rows)
{
	if (!context->snap || !context_fresh(context, context->snap->filesystems.measured_ns))
		return;

	const struct filesystem_section *section = &context->snap->filesystems;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct filesystem *fs = &section->each[i];
		if (filesystem_is_covered(section, i) || (rows == ROWS_WITH_INODES && !fs->files))
			continue;
		struct label labels[] = { { "device", fs->device }, { "fstype", fs->type }, { "mountpoint", fs->mountpoint } };
		bool answered = context_fresh(context, fs->measured_ns);
		if (rows == ROWS_ALL && metric->field == offsetof(struct filesystem, measured_ns))
			sink_sample(sink, labels, LABEL_COUNT(labels), !answered || fs->stuck_ns, 0);
		else if (rows == ROWS_ALL || answered)
			sink_field(sink, metric, labels, LABEL_COUNT(labels), fs);
	}
}

static void emit_filesystem(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_filesystems(metric, context, sink, ROWS_ANSWERED);
}

static void emit_filesystem_inodes(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_filesystems(metric, context, sink, ROWS_WITH_INODES);
}

static void emit_filesystem_state(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_filesystems(metric, context, sink, ROWS_ALL);
}

/* --- disks and interfaces --------------------------------------------------------------------------------------------- */

static void emit_disk(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->disks.measured_ns))
		return;
	for (uint32_t i = 0; i < context->snap->disks.count; i++) {
		const struct disk *disk = &context->snap->disks.each[i];
		struct label label = { "device", disk->name };
		sink_field(sink, metric, &label, 1, disk);
	}
}

static void emit_interface(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->interfaces.measured_ns))
		return;
	for (uint32_t i = 0; i < context->snap->interfaces.count; i++) {
		const struct interface *interface = &context->snap->interfaces.each[i];
		struct label label = { "device", interface->name };
		sink_field(sink, metric, &label, 1, interface);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define CPU(name_, type_, unit_, help_, field_, value_) \
	{ .name = (name_), .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_CPU, .emit = emit_cpu, \
	  .field = offsetof(struct cpu_section, field_), .value = (value_) }
#define MEMORY(name_, field_) \
	{ .name = "node_memory_" name_ "_bytes", .type = METRIC_GAUGE, .unit = "bytes", .help = name_ " of /proc/meminfo.", \
	  .source = COLLECTOR_MEMORY, .emit = emit_memory, .field = offsetof(struct memory_section, field_) }
#define VMSTAT(field_) \
	{ .name = "node_vmstat_" #field_, .type = METRIC_UNTYPED, .unit = "", .help = #field_ " of /proc/vmstat.", \
	  .source = COLLECTOR_MEMORY, .emit = emit_memory, .field = offsetof(struct memory_section, field_) }
#define PRESSURE(name_, help_, line_) \
	{ .name = "node_pressure_" name_ "_seconds_total", .type = METRIC_COUNTER, .unit = "seconds", .help = (help_), \
	  .source = COLLECTOR_PSI, .emit = emit_psi, \
	  .field = offsetof(struct psi_section, line_) + offsetof(struct psi_line, total_ns), .value = VALUE_NS }
#define FILESYSTEM(name_, unit_, help_, emit_, field_, value_) \
	{ .name = (name_), .type = METRIC_GAUGE, .unit = (unit_), .help = (help_), .source = COLLECTOR_FILESYSTEM, .emit = (emit_), \
	  .field = offsetof(struct filesystem, field_), .value = (value_) }
#define DISK(name_, type_, unit_, help_, field_, value_) \
	{ .name = "node_disk_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_DISK, .emit = emit_disk, \
	  .field = offsetof(struct disk, field_), .value = (value_) }
#define NETWORK(name_, type_, unit_, help_, field_, value_) \
	{ .name = "node_network_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_INTERFACE, \
	  .emit = emit_interface, .field = offsetof(struct interface, field_), .value = (value_) }
#define RECEIVED(name_, unit_, field_) \
	NETWORK("receive_" name_ "_total", METRIC_COUNTER, unit_, "Received, since the interface exists: " name_ ".", field_, VALUE_U64)
#define SENT(name_, unit_, field_) \
	NETWORK("transmit_" name_ "_total", METRIC_COUNTER, unit_, "Sent, since the interface exists: " name_ ".", field_, VALUE_U64)

/* clang-format off */
static const struct metric rows[] = {
	CPU("node_boot_time_seconds", METRIC_GAUGE, "seconds", "When the node booted, in unix time.", boot_time_s, VALUE_U64),
	CPU("node_context_switches_total", METRIC_COUNTER, "", "Context switches since boot.", context_switches, VALUE_U64),
	{ .name = "node_cpu_guest_seconds_total", .type = METRIC_COUNTER, .unit = "seconds", .source = COLLECTOR_CPU,
		.emit = emit_cpu_guest,
	  .help = "Time each CPU ran guests, also contained in user and nice." },
	{ .name = "node_cpu_seconds_total", .type = METRIC_COUNTER, .unit = "seconds", .source = COLLECTOR_CPU, .emit = emit_cpu_times,
	  .help = "Time each CPU spent, by mode." },
	CPU("node_forks_total", METRIC_COUNTER, "", "Processes and threads started since boot.", forks, VALUE_U64),
	CPU("node_intr_total", METRIC_COUNTER, "", "Interrupts serviced since boot.", interrupts, VALUE_U64),
	CPU("node_load1", METRIC_GAUGE, "", "Load average over one minute.", load1_milli, VALUE_MILLI),
	CPU("node_load15", METRIC_GAUGE, "", "Load average over fifteen minutes.", load15_milli, VALUE_MILLI),
	CPU("node_load5", METRIC_GAUGE, "", "Load average over five minutes.", load5_milli, VALUE_MILLI),
	CPU("node_procs_blocked", METRIC_GAUGE, "", "Tasks blocked on I/O.", blocked, VALUE_U32),
	CPU("node_procs_running", METRIC_GAUGE, "", "Tasks that run or could.", running, VALUE_U32),
	{ .name = "node_time_seconds", .type = METRIC_GAUGE, .unit = "seconds", .source = COLLECTOR_CPU, .emit = emit_time,
	  .help = "Wall clock of the node, in unix time." },
	CPU("nodemend_cpu_used_ratio", METRIC_GAUGE, "ratio", "Share of all online CPUs in use over the last interval.", used_permille,
		VALUE_MILLI),

	DISK("io_now", METRIC_GAUGE, "", "Requests under way.", in_flight, VALUE_U64),
	DISK("io_time_seconds_total", METRIC_COUNTER, "seconds", "Time during which at least one request was under way.", io_ns, VALUE_NS),
	DISK("io_time_weighted_seconds_total", METRIC_COUNTER, "seconds", "The same, times the number of requests under way.",
		weighted_io_ns, VALUE_NS),
	DISK("read_bytes_total", METRIC_COUNTER, "bytes", "Bytes read.", read_bytes, VALUE_U64),
	DISK("read_time_seconds_total", METRIC_COUNTER, "seconds", "Time spent by all reads, added up.", read_ns, VALUE_NS),
	DISK("reads_completed_total", METRIC_COUNTER, "", "Reads completed.", reads, VALUE_U64),
	DISK("reads_merged_total", METRIC_COUNTER, "", "Reads merged into another.", reads_merged, VALUE_U64),
	DISK("write_time_seconds_total", METRIC_COUNTER, "seconds", "Time spent by all writes, added up.", write_ns, VALUE_NS),
	DISK("writes_completed_total", METRIC_COUNTER, "", "Writes completed.", writes, VALUE_U64),
	DISK("writes_merged_total", METRIC_COUNTER, "", "Writes merged into another.", writes_merged, VALUE_U64),
	DISK("written_bytes_total", METRIC_COUNTER, "bytes", "Bytes written.", written_bytes, VALUE_U64),

	FILESYSTEM("node_filesystem_avail_bytes", "bytes", "Space left for users other than root.", emit_filesystem, avail, VALUE_U64),
	FILESYSTEM("node_filesystem_device_error", "", "1 while statvfs() of this filesystem fails or hangs.", emit_filesystem_state,
		measured_ns, VALUE_U64),
	FILESYSTEM("node_filesystem_files", "", "Inodes in all.", emit_filesystem_inodes, files, VALUE_U64),
	FILESYSTEM("node_filesystem_files_free", "", "Inodes left.", emit_filesystem_inodes, files_free, VALUE_U64),
	FILESYSTEM("node_filesystem_free_bytes", "bytes", "Space left, with what is kept for root.", emit_filesystem, free, VALUE_U64),
	FILESYSTEM("node_filesystem_readonly", "", "1 where it is mounted read-only.", emit_filesystem, read_only, VALUE_BOOL),
	FILESYSTEM("node_filesystem_size_bytes", "bytes", "Size of the filesystem.", emit_filesystem, size, VALUE_U64),
	FILESYSTEM("nodemend_filesystem_stuck_seconds", "seconds",
		"How long statvfs() of this filesystem has been hanging; 0 when it answers.", emit_filesystem_state, stuck_ns, VALUE_NS),

	MEMORY("Active", active),
	MEMORY("AnonPages", anon),
	MEMORY("Buffers", buffers),
	MEMORY("Cached", cached),
	MEMORY("CommitLimit", commit_limit),
	MEMORY("Committed_AS", committed_as),
	MEMORY("Dirty", dirty),
	MEMORY("Inactive", inactive),
	MEMORY("KernelStack", kernel_stack),
	MEMORY("Mapped", mapped),
	MEMORY("MemAvailable", available),
	MEMORY("MemFree", free),
	MEMORY("MemTotal", total),
	MEMORY("PageTables", page_tables),
	MEMORY("SReclaimable", sreclaimable),
	MEMORY("SUnreclaim", sunreclaim),
	MEMORY("Shmem", shmem),
	MEMORY("Slab", slab),
	MEMORY("SwapFree", swap_free),
	MEMORY("SwapTotal", swap_total),
	MEMORY("Writeback", writeback),
	VMSTAT(oom_kill),
	VMSTAT(pgfault),
	VMSTAT(pgmajfault),
	VMSTAT(pswpin),
	VMSTAT(pswpout),

	NETWORK("mtu_bytes", METRIC_GAUGE, "bytes", "Largest packet that the interface takes.", mtu, VALUE_U32),
	RECEIVED("bytes", "bytes", rx_bytes),
	RECEIVED("drop", "", rx_dropped),
	RECEIVED("errs", "", rx_errors),
	RECEIVED("multicast", "", rx_multicast),
	RECEIVED("packets", "", rx_packets),
	NETWORK("speed_bytes", METRIC_GAUGE, "bytes", "Speed of the link, in bytes a second; absent where the driver does not say.",
		speed_bits, VALUE_BITS),
	SENT("bytes", "bytes", tx_bytes),
	SENT("colls", "", tx_collisions),
	SENT("drop", "", tx_dropped),
	SENT("errs", "", tx_errors),
	SENT("packets", "", tx_packets),
	NETWORK("up", METRIC_GAUGE, "", "1 while the operational state is up.", up, VALUE_BOOL),

	PRESSURE("cpu_waiting", "Time during which some task waited for a CPU.", some[PSI_CPU]),
	PRESSURE("io_stalled", "Time during which every task waited for I/O.", full[PSI_IO]),
	PRESSURE("io_waiting", "Time during which some task waited for I/O.", some[PSI_IO]),
	PRESSURE("memory_stalled", "Time during which every task waited for memory.", full[PSI_MEMORY]),
	PRESSURE("memory_waiting", "Time during which some task waited for memory.", some[PSI_MEMORY]),
	{ .name = "nodemend_pressure_ratio", .type = METRIC_GAUGE, .unit = "ratio", .source = COLLECTOR_PSI, .emit = emit_psi_average,
	  .help = "Share of the window in which some or all tasks were stalled, as the kernel averages it." },
};
/* clang-format on */

const struct metric_table metrics_of_host = { rows, sizeof(rows) / sizeof(rows[0]) };
