/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and cgroups. Counters of a cgroup have one more series, cgroup="other", with what no shown row has: the label's series add
 * up to the node. Those of processes have comm="other"; what processes that ended had used is in nodemend_exited_*.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

enum { PID_TEXT = 12 };

static const char *pid_text(int32_t pid, char buffer[PID_TEXT])
{
	snprintf(buffer, PID_TEXT, "%d", pid);
	return buffer;
}

/* --- births and deaths ------------------------------------------------------------------------------------------------- */

static const char *const causes[EXIT_CAUSES] = { [EXIT_OK] = "ok", [EXIT_ERROR] = "error", [EXIT_SIGNAL] = "signal" };

static void emit_task(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context_collecting(context, COLLECTOR_TASK))
		sink_field(sink, metric, NULL, 0, &context->snap->processes);
}

static void emit_exits(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (int i = 0; i < EXIT_CAUSES && context_collecting(context, COLLECTOR_TASK); i++) {
		struct label label = { "cause", causes[i] };
		sink_sample(sink, &label, 1, context->snap->processes.lives.exits[i], 0);
	}
}

static void emit_signals(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (int number = 1; number < EXIT_SIGNALS && context_collecting(context, COLLECTOR_TASK); number++) {
		uint64_t count = context->snap->processes.exit_signals[number];
		char text[PID_TEXT];
		struct label label = { "signal", pid_text(number, text) };
		if (count)
			sink_sample(sink, &label, 1, count, 0);
	}
}

/* --- the node ---------------------------------------------------------------------------------------------------------- */

static const struct process_section *fresh_processes(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->processes.measured_ns) ? &context->snap->processes : NULL;
}

static void emit_section(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	if (section)
		sink_field(sink, metric, NULL, 0, section);
}

static void emit_states(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	for (int i = 0; section && i < PROCESS_STATE_COUNT; i++) {
		const char letter[2] = { PROCESS_STATES[i], '\0' };
		struct label label = { "state", letter };
		sink_sample(sink, &label, 1, section->states[i], 0);
	}
}

static void emit_zombie_parents(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	for (uint32_t i = 0; section && i < section->zombie_parent_count; i++) {
		const struct zombie_parent *parent = &section->zombie_parents[i];
		char pid[PID_TEXT];
		struct label labels[] = {
			{ "pid", pid_text(parent->pid, pid) }, { "comm", parent->comm },
			{ "cgroup", context_cgroup_path(context, parent->cgroup_id) },
		};
		sink_sample(sink, labels, LABEL_COUNT(labels), parent->zombies, 0);
	}
}

static void emit_hung(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	if (!section)
		return;
	sink_sample(sink, &(struct label){ "over_seconds", "10" }, 1, section->hung_10s, 0);
	sink_sample(sink, &(struct label){ "over_seconds", "120" }, 1, section->hung_120s, 0);
}

static void emit_held(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	for (uint32_t i = 0; section && i < section->held_count; i++) {
		const struct held_thread *held = &section->held[i];
		struct label labels[] = { { "cgroup", context_cgroup_path(context, held->cgroup_id) }, { "comm", held->comm } };
		sink_sample(sink, labels, LABEL_COUNT(labels), held->held_ns, 9);
	}
}

/* Below these the share of a minute's noise is larger than any fault. */
static const struct { const char *resource; uint64_t least; } attributed[ATTRIBUTED_COUNT] = {
	[ATTRIBUTED_CPU] = { "cpu", NSEC_PER_SEC }, [ATTRIBUTED_READ] = { "read", 1 << 20 }, [ATTRIBUTED_WRITTEN] = { "written", 1 << 20 },
};

static void emit_attribution(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	for (int i = 0; section && i < ATTRIBUTED_COUNT; i++) {
		const struct attribution *of = &section->attribution[i];
		if (of->node == UNKNOWN || of->node < attributed[i].least)
			continue;
		uint64_t difference = of->node > of->groups ? of->node - of->groups : of->groups - of->node;
		struct label label = { "resource", attributed[i].resource };
		sink_sample(sink, &label, 1, (uint64_t)((double)difference / (double)of->node * 1e6), 6);
	}
}

/* --- rows -------------------------------------------------------------------------------------------------------------- */

static void emit_process(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct process_section *section = fresh_processes(context);
	if (!section)
		return;

	for (uint32_t i = 0; i < context->shown->process_count; i++) {
		const struct process *process = &section->each[context->shown->processes[i]];
		char pid[PID_TEXT];
		struct label labels[] = {
			{ "pid", pid_text(process->pid, pid) }, { "comm", process->comm },
			{ "cgroup", context_cgroup_path(context, process->cgroup_id) },
		};
		sink_field(sink, metric, labels, LABEL_COUNT(labels), process);
	}
}

static void emit_process_used(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_process(metric, context, sink);
	if (!fresh_processes(context))
		return;
	const struct process other = { .used = context->shown->other_processes };
	sink_field(sink, metric, &(struct label){ "comm", "other" }, 1, &other);
}

static const struct cgroup_section *fresh_cgroups(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->cgroups.measured_ns) ? &context->snap->cgroups : NULL;
}

static const struct cgroup *shown_cgroup(const struct metric_context *context, uint32_t index)
{
	return &context->snap->cgroups.each[context->shown->cgroups[index]];
}

static void emit_cgroup(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (uint32_t i = 0; fresh_cgroups(context) && i < context->shown->cgroup_count; i++) {
		struct label labels[CGROUP_LABELS];
		const struct cgroup *cgroup = shown_cgroup(context, i);
		sink_field(sink, metric, labels, cgroup_labels(context->snap, cgroup, labels), cgroup);
	}
}

static const struct label other_cgroups = { "cgroup", "other" };

static void emit_cgroup_used(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_cgroup(metric, context, sink);
	if (!fresh_cgroups(context))
		return;
	const struct cgroup other = { .used = context->shown->other_cgroups, .lives = context->shown->other_lives };
	sink_field(sink, metric, &other_cgroups, 1, &other);
}

static void emit_cgroup_lives(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context_collecting(context, COLLECTOR_TASK))
		emit_cgroup_used(metric, context, sink);
}

static void emit_cgroup_exits(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context_collecting(context, COLLECTOR_TASK) || !fresh_cgroups(context))
		return;
	for (int cause = 0; cause < EXIT_CAUSES; cause++) {
		for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
			struct label labels[CGROUP_LABELS + 1];
			const struct cgroup *cgroup = shown_cgroup(context, i);
			uint32_t count = cgroup_labels(context->snap, cgroup, labels);
			labels[count++] = (struct label){ "cause", causes[cause] };
			sink_sample(sink, labels, count, cgroup->lives.exits[cause], 0);
		}
		struct label other[] = { other_cgroups, { "cause", causes[cause] } };
		sink_sample(sink, other, LABEL_COUNT(other), context->shown->other_lives.exits[cause], 0);
	}
}

static void emit_cgroup_pressure(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	static const char *const resources[PSI_RESOURCE_COUNT] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };

	for (uint32_t i = 0; fresh_cgroups(context) && i < context->shown->cgroup_count; i++) {
		struct label labels[CGROUP_LABELS + 1];
		const struct cgroup *cgroup = shown_cgroup(context, i);
		uint32_t count = cgroup_labels(context->snap, cgroup, labels);
		const uint64_t *stalled = (const uint64_t *)((const char *)cgroup + metric->field);

		for (int resource = 0; resource < PSI_RESOURCE_COUNT; resource++) {
			labels[count] = (struct label){ "resource", resources[resource] };
			if (stalled[resource] != UNKNOWN)
				sink_sample(sink, labels, count + 1, stalled[resource], 9);
		}
	}
}

/* --- the table --------------------------------------------------------------------------------------------------------- */

#define ROW(name_, type_, unit_, help_, source_, emit_, struct_, field_, value_) \
	{ .name = (name_), .type = (type_), .unit = (unit_), .help = (help_), .source = (source_), .emit = (emit_), \
	  .field = offsetof(struct struct_, field_), .value = (value_) }
#define TASK(name_, unit_, help_, field_, value_) \
	ROW("nodemend_" name_, METRIC_COUNTER, unit_, help_, COLLECTOR_TASK, emit_task, process_section, field_, value_)
#define NODE(name_, help_, field_, value_) \
	ROW(name_, METRIC_GAUGE, "", help_, COLLECTOR_PROCESS, emit_section, process_section, field_, value_)
#define PROCESS(name_, unit_, help_, field_, value_) \
	ROW("nodemend_process_" name_, METRIC_GAUGE, unit_, help_, COLLECTOR_PROCESS, emit_process, process, field_, value_)
#define PROCESS_USED(name_, unit_, help_, field_, value_) \
	ROW("nodemend_process_" name_, METRIC_COUNTER, unit_, help_, COLLECTOR_PROCESS, emit_process_used, process, field_, value_)
#define CGROUP(name_, unit_, help_, field_, value_) \
	ROW("nodemend_cgroup_" name_, METRIC_GAUGE, unit_, help_, COLLECTOR_CGROUP, emit_cgroup, cgroup, field_, value_)
#define CGROUP_USED(name_, unit_, help_, field_, value_) \
	ROW("nodemend_cgroup_" name_, METRIC_COUNTER, unit_, help_, COLLECTOR_CGROUP, emit_cgroup_used, cgroup, field_, value_)
#define CGROUP_LIVES(name_, help_, field_) \
	ROW("nodemend_cgroup_" name_, METRIC_COUNTER, "", help_, COLLECTOR_CGROUP, emit_cgroup_lives, cgroup, field_, VALUE_U64)
#define OTHER(name_, type_, unit_, source_, emit_, help_) \
	{ .name = (name_), .type = (type_), .unit = (unit_), .help = (help_), .source = (source_), .emit = (emit_) }

/* clang-format off */
static const struct metric rows[] = {
	TASK("exited_cpu_seconds_total", "seconds", "Processor time of all processes that ended, over their whole lives.",
		exited.cpu_ns, VALUE_NS),
	TASK("exited_major_faults_total", "", "Major faults of all processes that ended.", exited.major_faults, VALUE_U64),
	TASK("exited_read_bytes_total", "bytes", "Bytes read from storage by all processes that ended.", exited.read_bytes, VALUE_U64),
	TASK("exited_run_delay_seconds_total", "seconds", "Time that all processes that ended had waited for a CPU.",
		exited.run_delay_ns, VALUE_NS),
	TASK("exited_written_bytes_total", "bytes", "Bytes written towards storage by all processes that ended.",
		exited.written_bytes, VALUE_U64),
	TASK("process_core_dumps_total", "", "Processes that ended with a core dump.", core_dumps, VALUE_U64),
	TASK("process_execs_total", "", "Programs started by execve.", lives.execs, VALUE_U64),
	OTHER("nodemend_process_exit_signals_total", METRIC_COUNTER, "", COLLECTOR_TASK, emit_signals,
		"Processes that ended by a signal, by its number; those that occurred."),
	OTHER("nodemend_process_exits_total", METRIC_COUNTER, "", COLLECTOR_TASK, emit_exits,
		"Processes that ended: ok (status 0), error (another status), signal."),
	TASK("process_forks_total", "", "Processes started by fork and its kin.", lives.forks, VALUE_U64),

	NODE("node_filefd_allocated", "File descriptor statistics: allocated.", files_allocated, VALUE_U64),
	NODE("node_filefd_maximum", "File descriptor statistics: maximum.", files_max, VALUE_U64),
	NODE("node_processes_max_processes", "Number of max PIDs limit", pid_max, VALUE_U64),
	NODE("node_processes_max_threads", "Limit of threads in the system", threads_max, VALUE_U64),
	NODE("node_processes_pids", "Number of PIDs", count, VALUE_U32),
	OTHER("node_processes_state", METRIC_GAUGE, "", COLLECTOR_PROCESS, emit_states, "Number of processes in each state."),
	NODE("node_processes_threads", "Allocated threads in system", threads, VALUE_U32),

	OTHER("nodemend_attribution_error_ratio", METRIC_GAUGE, "ratio", COLLECTOR_PROCESS, emit_attribution,
		"Over the last minute, the difference between what the kernel counts for the node (cpu: user, nice and system time; read: "
		"pgpgin; written: nr_dirtied) and the sum over all cgroups, by the former; absent where the node did next to nothing."),
	PROCESS_USED("cpu_seconds_total", "seconds", "Processor time of the process with all its threads.", cpu_ns, VALUE_NS),
	PROCESS_USED("involuntary_switches_total", "", "Times that the process' threads were preempted.", involuntary_switches, VALUE_U64),
	PROCESS_USED("major_faults_total", "", "Page faults of the process that had to read from storage.", major_faults, VALUE_U64),
	PROCESS("max_files", "", "Limit of open file descriptors of the process; absent where there is none.", files_max, VALUE_U64),
	PROCESS("open_files", "", "Open file descriptors of the process, counted every few intervals.", files, VALUE_U32),
	PROCESS_USED("read_bytes_total", "bytes", "Bytes that the process read from storage.", read_bytes, VALUE_U64),
	PROCESS("resident_bytes", "bytes", "Memory of the process that is resident, shared pages included.", rss_bytes, VALUE_U64),
	PROCESS_USED("run_delay_seconds_total", "seconds", "Time that the process waited for a CPU while it could have run.",
		run_delay_ns, VALUE_NS),
	PROCESS("swap_bytes", "bytes", "Memory of the process that is swapped out.", swap_bytes, VALUE_U64),
	PROCESS("threads", "", "Threads of the process.", threads, VALUE_U32),
	PROCESS_USED("voluntary_switches_total", "", "Times that the process' threads went to sleep.", voluntary_switches, VALUE_U64),
	PROCESS_USED("written_bytes_total", "bytes", "Bytes that the process sent towards storage.", written_bytes, VALUE_U64),
	NODE("nodemend_processes", "Processes on the node.", count, VALUE_U32),
	OTHER("nodemend_task_uninterruptible_oldest_seconds", METRIC_GAUGE, "seconds", COLLECTOR_PROCESS, emit_held,
		"For how long the longest of these threads has been in uninterruptible sleep without running; from a second on."),
	OTHER("nodemend_tasks_hung", METRIC_GAUGE, "", COLLECTOR_PROCESS, emit_hung,
		"Threads in uninterruptible sleep that have not run for so many seconds."),
	NODE("nodemend_tasks_uninterruptible", "Threads in uninterruptible sleep.", blocked, VALUE_U32),
	NODE("nodemend_threads", "Threads on the node.", threads, VALUE_U32),
	OTHER("nodemend_zombie_children", METRIC_GAUGE, "", COLLECTOR_PROCESS, emit_zombie_parents,
		"Ended children that this process has not waited for; those with most."),
	NODE("nodemend_zombies", "Processes that ended and that nobody has waited for yet.", zombies, VALUE_U32),

	CGROUP_USED("cpu_seconds_total", "seconds", "Processor time of the members, those that ended included.", cpu_ns, VALUE_NS),
	CGROUP_LIVES("execs_total", "Programs that members started by execve.", lives.execs),
	OTHER("nodemend_cgroup_exits_total", METRIC_COUNTER, "", COLLECTOR_CGROUP, emit_cgroup_exits,
		"Members that ended: ok (status 0), error (another status), signal."),
	CGROUP_LIVES("forks_total", "Processes born in the cgroup.", lives.forks),
	CGROUP_USED("involuntary_switches_total", "", "Times that members were preempted.", involuntary_switches, VALUE_U64),
	CGROUP_USED("major_faults_total", "", "Page faults of members that had to read from storage.", major_faults, VALUE_U64),
	CGROUP("max_pids", "", "Limit of the pids controller; absent where there is none.", pids_max, VALUE_U64),
	CGROUP("memory_current_bytes", "bytes", "Memory charged to the cgroup by its controller.", memory_current, VALUE_U64),
	CGROUP("memory_max_bytes", "bytes", "Limit of the memory controller; absent where there is none.", memory_max, VALUE_U64),
	CGROUP("open_files", "", "Open file descriptors of all members, counted every few intervals.", files, VALUE_U64),
	CGROUP("pids", "", "Tasks that the pids controller counts in the cgroup.", pids_current, VALUE_U64),
	{ .name = "nodemend_cgroup_pressure_stalled_seconds_total", .type = METRIC_COUNTER, .unit = "seconds", .source = COLLECTOR_CGROUP,
	  .emit = emit_cgroup_pressure, .field = offsetof(struct cgroup, full_ns),
	  .help = "Time in which all tasks of the cgroup that had work stood still for want of the resource; read every few seconds." },
	{ .name = "nodemend_cgroup_pressure_waiting_seconds_total", .type = METRIC_COUNTER, .unit = "seconds", .source = COLLECTOR_CGROUP,
	  .emit = emit_cgroup_pressure, .field = offsetof(struct cgroup, some_ns),
	  .help = "Time in which some task of the cgroup waited for the resource; read every few seconds." },
	CGROUP("processes", "", "Processes in the cgroup.", processes, VALUE_U32),
	CGROUP_USED("read_bytes_total", "bytes", "Bytes that members read from storage.", read_bytes, VALUE_U64),
	CGROUP("resident_bytes", "bytes", "Sum of the members' resident memory; shared pages count in each.", rss_bytes, VALUE_U64),
	CGROUP_USED("run_delay_seconds_total", "seconds", "Time that members waited for a CPU while they could have run.",
		run_delay_ns, VALUE_NS),
	CGROUP("threads", "", "Threads in the cgroup.", threads, VALUE_U32),
	CGROUP_USED("voluntary_switches_total", "", "Times that members went to sleep.", voluntary_switches, VALUE_U64),
	CGROUP_USED("written_bytes_total", "bytes", "Bytes that members sent towards storage.", written_bytes, VALUE_U64),
};
/* clang-format on */

const struct metric_table metrics_of_processes = { rows, sizeof(rows) / sizeof(rows[0]) };
