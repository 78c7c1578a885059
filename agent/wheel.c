/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of the wheel: collect into the snapshot, freeze it, detect, decide. Called by timers, twenty times a second at most. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "core/clock.h"
#include "core/heap.h"
#include "core/log.h"
#include "keep/scribe.h"

/*
 * Between two full ticks memory can fill: while something is near its threshold the cheap collectors run again. 50 ms keeps the
 * median reaction at half of that; the bound by cost keeps the looking under one percent of a core on nodes with many tasks.
 */
#define FAST_NS (50 * NSEC_PER_MSEC)
#define WATCHFUL_NS (200 * NSEC_PER_MSEC)
#define FAST_COST_RATIO 100

int wheel_allocate(struct agent *agent)
{
	agent->snap = calloc(1, sizeof(*agent->snap));
	agent->findings = calloc(1, sizeof(*agent->findings));
	agent->changes = calloc(1, sizeof(*agent->changes));
	agent->detector = detector_new();
	agent->forecaster = forecaster_new();
	agent->env.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	agent->env.sys_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (agent->env.proc_fd < 0 || agent->env.sys_fd < 0)
		return -errno;
	if (!agent->snap || !agent->findings || !agent->changes || !agent->detector || !agent->forecaster)
		return -ENOMEM;

	struct snapshot *snap = agent->snap;
	snap->interval_ns = agent->config->interval_ns;
	snap->cpu.used_permille = UINT32_MAX;
	snprintf(snap->node, sizeof(snap->node), "%s", agent->config->node);
	snprintf(snap->boot_id, sizeof(snap->boot_id), "%s", agent->boot_id);
	return 0;
}

void wheel_free(struct agent *agent)
{
	detector_free(agent->detector);
	forecaster_free(agent->forecaster);
	free(agent->changes);
	free(agent->findings);
	free(agent->snap);
	if (agent->env.proc_fd > 0)
		close(agent->env.proc_fd);
	if (agent->env.sys_fd > 0)
		close(agent->env.sys_fd);
}

static void open_collector(struct agent *agent, enum collector_id id)
{
	struct collector_status *status = &agent->snap->collectors[id];
	memset(status, 0, sizeof(*status));
	snprintf(status->name, sizeof(status->name), "%s", collectors[id]->name);
	if (!agent->config->collectors[id])
		return;

	status->state = COLLECTOR_UP;
	const struct log_fields fields = { .collector = status->name };
	int error = collectors[id]->open(&agent->env, status, &agent->collector_state[id]);
	if (error < 0) {
		status->state = COLLECTOR_DOWN;
		agent->collector_state[id] = NULL;
		log_with(LOG_LEVEL_WARNING, &fields, "%s: unavailable, continuing without it: %s", status->name, status->why[0] ? status->why : strerror(-error));
	} else if (status->state == COLLECTOR_DEGRADED) {
		log_with(LOG_LEVEL_INFO, &fields, "%s: degraded to %s: %s", status->name, status->source, status->why);
	}
}

static void close_collector(struct agent *agent, enum collector_id id)
{
	if (agent->collector_state[id])
		collectors[id]->close(agent->collector_state[id]);
	agent->collector_state[id] = NULL;
}

void wheel_open_collectors(struct agent *agent)
{
	agent->env.config = agent->config;
	agent->snap->collector_count = COLLECTOR_COUNT;
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		open_collector(agent, id);
	object_types_release();
	heap_keep_small();
}

void wheel_reopen_collectors(struct agent *agent, const struct config *old)
{
	const struct config *new = agent->config;
	bool again[COLLECTOR_COUNT];
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		again[id] = old->collectors[id] != new->collectors[id];
	again[COLLECTOR_UNIT] = again[COLLECTOR_FILESYSTEM] = true; /* what they watch is named by policies */
	/* These two share a map: the one that has the syscall hooks writes fallocate's bytes for the other. */
	again[COLLECTOR_SYSCALL] = again[COLLECTOR_FSWRITE] = again[COLLECTOR_SYSCALL] || again[COLLECTOR_FSWRITE];

	agent->env.config = new;
	for (enum collector_id id = COLLECTOR_COUNT; id-- > 0;)
		if (again[id])
			close_collector(agent, id);
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		if (again[id])
			open_collector(agent, id);
	object_types_release();
	heap_keep_small();
}

void wheel_close_collectors(struct agent *agent)
{
	for (enum collector_id id = COLLECTOR_COUNT; id-- > 0;)
		close_collector(agent, id);
}

static void count_tick(struct self_section *self, uint64_t took_ns)
{
	self->ticks.buckets[histogram_bucket(took_ns)]++;
	self->ticks.sum_ns += took_ns;
}

static void run_collector(struct agent *agent, enum collector_id id, bool full)
{
	struct collector_status *status = &agent->snap->collectors[id];
	uint64_t started = clock_boot_ns();
	int error = collectors[id]->collect(agent->collector_state[id], agent->snap, full, status);
	status->collect_ns = clock_boot_ns() - started;
	if (error < 0 && full)
		log_debug("%s: no sample this time: %s", collectors[id]->name, strerror(-error));
}

static void add_process_cost(const struct snapshot *snap, int pid, uint64_t *cpu_ns, uint64_t *resident_bytes)
{
	const struct process *process = pid > 0 ? snapshot_process(snap, pid) : NULL;
	if (!process)
		return;
	*cpu_ns += process->cpu_ns;
	*resident_bytes += process->rss_bytes;
}

static void measure_self(struct agent *agent)
{
	struct snapshot *snap = agent->snap;
	struct self_section *self = &snap->self;
	int own = getpid();
	self->cpu_ns = self->resident_bytes = self->publisher_cpu_ns = self->publisher_resident_bytes = 0;
	add_process_cost(snap, agent->publisher_pid, &self->publisher_cpu_ns, &self->publisher_resident_bytes);
	/* Workers are our children, whichever part of us started them. */
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (process->pid == own || (process->ppid == own && process->pid != agent->publisher_pid))
			add_process_cost(snap, process->pid, &self->cpu_ns, &self->resident_bytes);
	}
	self->publisher_restarts = agent->publisher_restarts;
	self->events_dropped = agent->records_dropped + (agent->scribe ? scribe_lost(agent->scribe) : 0);
	self->journal_late = agent->intents_late;
	self->program_count = object_programs(self->programs, MAX_BPF_PROGRAMS);
	self->measured_ns = snap->boot_ns;
}

static void show_engine(struct agent *agent)
{
	struct engine_section *section = &agent->snap->engine;
	_Static_assert(sizeof(section->actions_total) == sizeof(agent->engine.actions_total), "the table of outcomes is the engine's");
	memcpy(section->actions_total, agent->engine.actions_total, sizeof(section->actions_total));
	for (uint32_t i = 0; i < REMEDY_COUNT; i++)
		section->armed[i] = agent->next_check > i ? agent->armed[i].armed : UINT8_MAX;
	section->paused = agent->saved->pause.paused;
	section->quarantined = 0;
	for (uint32_t i = 0; i < agent->saved->machine_count; i++)
		section->quarantined += agent->saved->machines[i].state == ENGINE_QUARANTINED;
	section->incidents_folded = agent->engine.incidents_folded;
}

void wheel_collect(struct agent *agent, bool full)
{
	struct snapshot *snap = agent->snap;
	snap->boot_ns = clock_boot_ns();
	snap->wall_ns = clock_wall_ns();
	if (full) {
		snap->seq++;
		snap->elapsed_ns = agent->last_full_ns ? snap->boot_ns - agent->last_full_ns : 0;
		agent->last_full_ns = snap->boot_ns;
	}
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		if (agent->collector_state[id] && (full || collectors[id]->fast))
			run_collector(agent, id, full);
	if (full) {
		forecast(agent->forecaster, &snap->filesystems, snap->boot_ns);
		measure_self(agent);
	}
}

void wheel_circumstances(const struct agent *agent, struct circumstances *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->boot_ns = clock_boot_ns();
	ret->wall_ns = clock_wall_ns();
	ret->agent_started_boot_ns = agent->started_boot_ns;
	ret->kill_switch_path = agent->kill_switch;
	ret->kill_switch = access(agent->kill_switch, F_OK) == 0;

	time_t now = (time_t)(ret->wall_ns / (int64_t)NSEC_PER_SEC);
	struct tm local;
	if (localtime_r(&now, &local))
		ret->local_minute = (uint16_t)(local.tm_hour * 60 + local.tm_min);
	for (uint32_t i = 0; i < agent->config->policy_count; i++) {
		const char *file = agent->config->policies[i].blocked_by.file;
		ret->blocked[i] = file[0] && access(file, F_OK) == 0;
	}
}

void wheel_look_again(struct agent *agent)
{
	wheel_collect(agent, false);
	detect(agent->detector, agent->snap, agent->config, agent->findings);
}

/* Processor time, not time: on a busy node a tick takes longer because others run, and that is when it must not look less often. */
static uint64_t cpu_ns(void)
{
	struct timespec spent;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * NSEC_PER_SEC + (uint64_t)spent.tv_nsec;
}

void wheel_turn(struct agent *agent, bool full)
{
	uint64_t started = clock_boot_ns(), spent = cpu_ns();
	wheel_collect(agent, full);
	detect(agent->detector, agent->snap, agent->config, agent->findings);

	struct circumstances now;
	wheel_circumstances(agent, &now);
	engine_decide(&agent->engine, agent->snap, agent->findings, agent->config, &now, agent->changes);
	act_take_changes(agent);
	act_pump(agent);

	uint64_t took = clock_boot_ns() - started;
	if (full) {
		count_tick(&agent->snap->self, took);
		show_engine(agent);
		ring_publish(&agent->ring, agent->snap);
	} else {
		agent->fast_cost_ns = cpu_ns() - spent;
	}
	wheel_schedule_fast(agent);
}

void wheel_schedule_fast(struct agent *agent)
{
	bool acting = false;
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		acting |= agent->engine.orders[i].phase != ORDER_FREE;

	uint32_t nearest = agent->findings->nearest_permille;
	if (!acting && nearest < 500) {
		sd_event_source_set_enabled(agent->fast_timer, SD_EVENT_OFF);
		return;
	}
	uint64_t delay = acting || nearest >= 750 ? FAST_NS : WATCHFUL_NS;
	if (delay < agent->fast_cost_ns * FAST_COST_RATIO)
		delay = agent->fast_cost_ns * FAST_COST_RATIO;
	sd_event_source_set_time(agent->fast_timer, (clock_boot_ns() + delay) / NSEC_PER_USEC);
	sd_event_source_set_enabled(agent->fast_timer, SD_EVENT_ONESHOT);
}
