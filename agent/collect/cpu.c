/* SPDX-License-Identifier: Apache-2.0 */
/* Processor time, load and the kernel's event totals, from /proc/stat and /proc/loadavg. */
#include "collect/procfs.h"
#include "collector.h"
#include "core/pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIME_FIELDS = sizeof(struct cpu_times) / sizeof(uint64_t), BUSY_FIELDS = 8 /* guest time is inside user and nice */ };

/*
 * idle, iowait and steal may step back a little between two reads (the remote CPU's idle time is estimated), and all of a
 * CPU's times start again from zero when it is plugged out and in. The first is to be hidden, the second to be followed.
 * Three seconds tell them apart, as in node_exporter (its issues #1686 and #1903).
 */
#define RESTART_GAP_NS (3 * NSEC_PER_SEC)

struct cpu_state {
	int stat_fd, loadavg_fd;
	uint32_t possible;                          /* as sysfs says; 0: it does not */
	bool primed;                                /* `seen` holds a first reading */
	struct cpu_section next;                    /* as parsed */
	struct cpu_times seen_total, seen[MAX_CPUS]; /* highest raw value of each field */
	struct cpu_times interval_start;            /* raw total at the last full tick */
	bool has_interval;
	char buffer[PROCFS_BUFFER];
};

/* --- parsing ------------------------------------------------------------------------------------------------------------ */

static uint64_t tick_ns(void)
{
	long per_second = sysconf(_SC_CLK_TCK);
	return NSEC_PER_SEC / (per_second > 0 ? (uint64_t)per_second : 100);
}

static int parse_times(struct span *line, uint64_t ns_per_tick, struct cpu_times *ret)
{
	uint64_t *fields = &ret->user_ns;

	for (size_t i = 0; i < TIME_FIELDS; i++) {
		uint64_t ticks;
		if (!span_next_number(line, &ticks) || __builtin_mul_overflow(ticks, ns_per_tick, &fields[i]) || fields[i] == UNKNOWN)
			return -EINVAL;
	}
	return 0;
}

static int parse_cpu(struct span *number, struct span *line, uint64_t ns_per_tick, struct cpu_section *ret, uint32_t *ret_cut)
{
	uint64_t index;

	if (number->at == number->end)
		return parse_times(line, ns_per_tick, &ret->total);
	if (!span_number(number, &index))
		return -EINVAL;
	ret->online++;
	if (index >= MAX_CPUS) {
		(*ret_cut)++;
		return 0;
	}
	if (ret->possible <= index)
		ret->possible = (uint32_t)index + 1;
	return parse_times(line, ns_per_tick, &ret->each[index]);
}

static int parse_count(const struct span *name, struct span *line, struct cpu_section *ret)
{
	const struct {
		const char *name;
		uint64_t *wide;
		uint32_t *narrow;
	} table[] = {
		{ "btime", &ret->boot_time_s, NULL }, { "ctxt", &ret->context_switches, NULL }, { "intr", &ret->interrupts, NULL },
		{ "processes", &ret->forks, NULL },   { "procs_blocked", NULL, &ret->blocked }, { "procs_running", NULL, &ret->running },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t value;
		if (!span_is(name, table[i].name))
			continue;
		if (!span_next_number(line, &value) || (table[i].narrow && value >= UINT32_MAX))
			return -EINVAL;
		if (table[i].wide)
			*table[i].wide = value;
		else
			*table[i].narrow = (uint32_t)value;
	}
	return 0;
}

int cpu_parse_stat(const char *text, size_t size, struct cpu_section *ret, uint32_t *ret_cut)
{
	struct span whole, line, name;
	uint64_t ns_per_tick = tick_ns();
	bool has_total = false;

	int error = span_of(text, size, &whole);
	if (error)
		return error;

	memset(ret, 0, sizeof(*ret));
	ret->boot_time_s = ret->context_switches = ret->interrupts = ret->forks = UNKNOWN;
	ret->blocked = ret->running = ret->used_permille = UINT32_MAX;
	*ret_cut = 0;
	while (span_line(&whole, &line)) {
		if (!span_word(&line, &name))
			continue;
		if (span_starts(&name, "cpu")) {
			has_total |= name.at == name.end;
			error = parse_cpu(&name, &line, ns_per_tick, ret, ret_cut);
		} else {
			error = parse_count(&name, &line, ret);
		}
		if (error)
			return error;
	}
	return has_total && ret->online ? 0 : -EINVAL;
}

int cpu_parse_loadavg(const char *text, size_t size, struct cpu_section *ret)
{
	uint32_t *const loads[] = { &ret->load1_milli, &ret->load5_milli, &ret->load15_milli };
	uint32_t values[3];
	struct span line, word;

	int error = span_of(text, size, &line);
	if (error)
		return error;
	for (size_t i = 0; i < 3; i++)
		if (!span_word(&line, &word) || !span_fixed2(&word, &values[i]) || values[i] > UINT32_MAX / 10)
			return -EINVAL;
	for (size_t i = 0; i < 3; i++)
		*loads[i] = values[i] * 10;
	return 0;
}

/* --- from readings to a section ----------------------------------------------------------------------------------------- */

static void advance(struct cpu_times *shown, struct cpu_times *seen, const struct cpu_times *raw)
{
	uint64_t *to = &shown->user_ns, *high = &seen->user_ns;
	const uint64_t *from = &raw->user_ns;

	for (size_t i = 0; i < TIME_FIELDS; i++) {
		if (from[i] >= high[i])
			to[i] += from[i] - high[i];
		else if (high[i] - from[i] > RESTART_GAP_NS)
			to[i] += from[i];
		else
			continue;
		high[i] = from[i];
	}
}

/* A collector that was opened again (a reload) goes on from what the snapshot shows already. */
static void prime(struct cpu_times *shown, struct cpu_times *seen, const struct cpu_times *raw)
{
	uint64_t *to = &shown->user_ns;
	const uint64_t *from = &raw->user_ns;

	for (size_t i = 0; i < TIME_FIELDS; i++)
		if (to[i] < from[i])
			to[i] = from[i];
	*seen = *raw;
}

static uint32_t used_permille(const struct cpu_times *before, const struct cpu_times *after)
{
	const uint64_t *from = &before->user_ns, *to = &after->user_ns;
	double all = 0, idle = 0;

	for (size_t i = 0; i < BUSY_FIELDS; i++) {
		double delta = to[i] > from[i] ? (double)(to[i] - from[i]) : 0;
		all += delta;
		if (&to[i] == &after->idle_ns || &to[i] == &after->iowait_ns)
			idle += delta;
	}
	return all > 0 ? (uint32_t)((all - idle) * 1000 / all) : UINT32_MAX;
}

static void publish(struct cpu_state *state, struct cpu_section *cpu, bool full)
{
	const struct cpu_section *next = &state->next;
	void (*step)(struct cpu_times *, struct cpu_times *, const struct cpu_times *) = state->primed ? advance : prime;

	step(&cpu->total, &state->seen_total, &next->total);
	for (uint32_t i = 0; i < next->possible; i++)
		if (next->each[i].user_ns || next->each[i].idle_ns || !state->primed) /* one that is offline has no line */
			step(&cpu->each[i], &state->seen[i], &next->each[i]);
	state->primed = true;

	cpu->online = next->online;
	cpu->possible = state->possible > next->possible ? state->possible : next->possible;
	cpu->context_switches = next->context_switches;
	cpu->interrupts = next->interrupts;
	cpu->forks = next->forks;
	cpu->boot_time_s = next->boot_time_s;
	cpu->running = next->running;
	cpu->blocked = next->blocked;
	cpu->load1_milli = next->load1_milli;
	cpu->load5_milli = next->load5_milli;
	cpu->load15_milli = next->load15_milli;

	if (!state->has_interval)
		cpu->used_permille = UINT32_MAX;
	else if (full)
		cpu->used_permille = used_permille(&state->interval_start, &next->total);
	if (full) {
		state->interval_start = next->total;
		state->has_interval = true;
	}
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

/* "0-7" or "0,2-3": the highest number says how many there can be. 0: not said. */
static uint32_t possible_cpus(int sys_fd, char *buffer, size_t size)
{
	uint64_t highest;
	ssize_t length = procfs_read_at(sys_fd, "devices/system/cpu/possible", buffer, size);
	if (length < 2 || buffer[length - 1] != '\n')
		return 0;

	struct span last = { buffer, buffer + length - 1 };
	for (const char *at = last.at; at < last.end; at++)
		if (*at == ',' || *at == '-')
			last.at = at + 1;
	return span_number(&last, &highest) && highest < UINT32_MAX ? (uint32_t)highest + 1 : 0;
}

static void cpu_close(void *opaque)
{
	struct cpu_state *state = opaque;
	if (!state)
		return;
	if (state->stat_fd >= 0)
		close(state->stat_fd);
	if (state->loadavg_fd >= 0)
		close(state->loadavg_fd);
	pages_free(state);
}

static int cpu_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct cpu_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	snprintf(status->source, sizeof(status->source), "procfs");
	state->stat_fd = procfs_open(env->proc_fd, "stat");
	state->loadavg_fd = procfs_open(env->proc_fd, "loadavg");
	int error = state->stat_fd < 0 ? state->stat_fd : state->loadavg_fd < 0 ? state->loadavg_fd : 0;
	if (error) {
		snprintf(status->why, sizeof(status->why), "/proc/%s: %s", state->stat_fd < 0 ? "stat" : "loadavg", strerror(-error));
		cpu_close(state);
		return error;
	}
	state->possible = possible_cpus(env->sys_fd, state->buffer, sizeof(state->buffer));

	status->state = COLLECTOR_UP;
	*ret_state = state;
	return 0;
}

static int cpu_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct cpu_state *state = opaque;
	uint32_t cut;

	ssize_t length = procfs_read(state->stat_fd, state->buffer, sizeof(state->buffer));
	if (length < 0)
		return (int)length;
	int error = cpu_parse_stat(state->buffer, (size_t)length, &state->next, &cut);
	if (error)
		return error;

	length = procfs_read(state->loadavg_fd, state->buffer, sizeof(state->buffer));
	if (length < 0)
		return (int)length;
	error = cpu_parse_loadavg(state->buffer, (size_t)length, &state->next);
	if (error)
		return error;

	status->events_lost += cut;
	publish(state, &snap->cpu, full);
	snap->cpu.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_cpu = {
	.name = "cpu", .id = COLLECTOR_CPU, .fast = true, .open = cpu_open, .collect = cpu_collect, .close = cpu_close,
};
