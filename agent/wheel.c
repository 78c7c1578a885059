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
#include "collect/census.h"
#include "collect/footprint.h"
#include "core/clock.h"
#include "core/busy.h"
#include "core/heap.h"
#include "core/log.h"
#include "decide/knowledge.h"
#include "detect/baseline.h"
#include "keep/scribe.h"
#include "measure/recorder.h"

/*
 * Between two full ticks memory can fill: while something is near its threshold the cheap collectors run again. 50 ms keeps the
 * median reaction at half of that; the bound by cost keeps the looking under one percent of a core on nodes with many tasks.
 */
#define FAST_NS (50 * NSEC_PER_MSEC)
#define WATCHFUL_NS (200 * NSEC_PER_MSEC)
#define FAST_COST_RATIO 100

/* What our processes hold is looked at seldom: 0.3 ms for all of them. In the first ticks they are still growing. */
#define HELD_EVERY_NS (10 * NSEC_PER_SEC)
enum { YOUNG_TICKS = 5 };

int wheel_allocate(struct agent *agent)
{
	agent->snap = calloc(1, sizeof(*agent->snap));
	agent->findings = calloc(1, sizeof(*agent->findings));
	agent->changes = calloc(1, sizeof(*agent->changes));
	agent->detector = detector_new();
	agent->forecaster = forecaster_new();
	agent->dependencies = dependencies_new();
	agent->outlook = outlook_new();
	agent->watch = watch_new();
	agent->recorder = recorder_new();
	agent->life = life_watch_new();
	agent->baseline = baseline_new();
	agent->env.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	agent->env.sys_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	agent->root_fd = open(agent->config->host_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (agent->env.proc_fd < 0 || agent->env.sys_fd < 0)
		return -errno;
	if (!agent->snap || !agent->findings || !agent->changes || !agent->detector || !agent->forecaster || !agent->dependencies || !agent->outlook ||
	    !agent->watch || !agent->recorder || !agent->life || !agent->baseline)
		return -ENOMEM;
	agent->engine.baseline = agent->baseline;
	agent->engine.foretime = detector_foretime(agent->detector);

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
	dependencies_free(agent->dependencies);
	outlook_free(agent->outlook);
	watch_free(agent->watch);
	recorder_free(agent->recorder);
	life_watch_free(agent->life);
	baseline_free(agent->baseline);
	free(agent->changes);
	free(agent->findings);
	free(agent->snap);
	if (agent->root_fd > 0)
		close(agent->root_fd);
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
	status->coverage_seen = status->coverage_expected = UNKNOWN;
	if (!agent->config->collectors[id])
		return;

	status->state = COLLECTOR_UP;
	const struct log_fields fields = { .collector = status->name };
	status->adjustable = collectors[id]->set_depth != NULL;
	status->depth = DEPTH_HISTOGRAMS;
	object_owner(id);
	int error = collectors[id]->open(&agent->env, status, &agent->collector_state[id]);
	if (error < 0) {
		status->state = COLLECTOR_DOWN;
		status->adjustable = false;
		agent->collector_state[id] = NULL;
		log_with(LOG_LEVEL_WARNING, &fields, "%s: unavailable, continuing without it: %s", status->name, status->why[0] ? status->why : strerror(-error));
	} else if (status->state == COLLECTOR_DEGRADED) {
		log_with(LOG_LEVEL_INFO, &fields, "%s: degraded to %s: %s", status->name, status->source, status->why);
	}
}

static void close_collector(struct agent *agent, enum collector_id id)
{
	wake_forget(agent, id);
	if (agent->collector_state[id])
		collectors[id]->close(agent->collector_state[id]);
	agent->collector_state[id] = NULL;
}

void wheel_open_collectors(struct agent *agent)
{
	agent->env.config = agent->config;
	agent->env.state_dir = agent->state_dir[0] ? agent->state_dir : NULL;
	agent->env.boot_id = agent->boot_id;
	agent->snap->collector_count = COLLECTOR_COUNT;
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		open_collector(agent, id);
	object_types_release();
	heap_keep_small();
}

/* Those that share maps, up to the first COLLECTOR_COUNT: which has the hooks, or the table, is settled when they open. */
static const enum collector_id sharing[][5] = {
	{ COLLECTOR_SYSCALL, COLLECTOR_FSWRITE, COLLECTOR_FSOP, COLLECTOR_BLOCK, COLLECTOR_COUNT },
	{ COLLECTOR_TCP, COLLECTOR_SOCKET, COLLECTOR_COUNT },
};

static void reopen_together(bool again[COLLECTOR_COUNT], const enum collector_id *group)
{
	bool any = false;
	for (const enum collector_id *id = group; *id != COLLECTOR_COUNT; id++)
		any |= again[*id];
	for (const enum collector_id *id = group; *id != COLLECTOR_COUNT; id++)
		again[*id] = any;
}

void wheel_reopen_collectors(struct agent *agent, const struct config *old)
{
	const struct config *new = agent->config;
	bool again[COLLECTOR_COUNT];
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		again[id] = old->collectors[id] != new->collectors[id];
	/* What they watch is named by policies. */
	again[COLLECTOR_UNIT] = again[COLLECTOR_FILESYSTEM] = again[COLLECTOR_LOG] = true;
	again[COLLECTOR_CHANGE] |= strcmp(old->host_root, new->host_root) != 0;
	again[COLLECTOR_IDENTITY] |= strcmp(old->host_root, new->host_root) != 0;
	for (size_t i = 0; i < sizeof(sharing) / sizeof(sharing[0]); i++)
		reopen_together(again, sharing[i]);

	again[COLLECTOR_HOST] |= strcmp(old->textfile_directory, new->textfile_directory) != 0;

	agent->env.config = new;
	for (enum collector_id id = COLLECTOR_COUNT; id-- > 0;)
		if (again[id])
			close_collector(agent, id);
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		if (again[id])
			open_collector(agent, id);
	object_types_release();
	heap_keep_small();
	wake_watch(agent);
}

void wheel_close_collectors(struct agent *agent)
{
	census_free(agent->census);
	agent->census = NULL;
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
	uint64_t started = clock_boot_ns(), spent = clock_thread_ns();
	int error = collectors[id]->collect(agent->collector_state[id], agent->snap, full, status);
	status->collect_ns = clock_boot_ns() - started;
	steer_charge(agent, id, clock_thread_ns() - spent);
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

static uint64_t held_by(const struct agent *agent, const struct process *process)
{
	uint64_t bytes;

	return footprint_read(agent->env.proc_fd, process->pid, &bytes) ? process->rss_bytes : bytes;
}

static void measure_self(struct agent *agent)
{
	struct snapshot *snap = agent->snap;
	struct self_section *self = &snap->self;
	int own = getpid();
	self->cpu_ns = self->resident_bytes = self->publisher_cpu_ns = self->publisher_resident_bytes = 0;
	add_process_cost(snap, agent->publisher.pid, &self->publisher_cpu_ns, &self->publisher_resident_bytes);
	bool weigh = snap->seq < YOUNG_TICKS || snap->boot_ns - self->held_ns >= HELD_EVERY_NS;
	if (weigh) {
		self->held_ns = snap->boot_ns;
		self->held_bytes = 0;
	}
	/* Workers are our children, whichever part of us started them. */
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (process->pid == own || (process->ppid == own && process->pid != agent->publisher.pid))
			add_process_cost(snap, process->pid, &self->cpu_ns, &self->resident_bytes);
		if (weigh && (process->pid == own || process->ppid == own))
			self->held_bytes += held_by(agent, process);
	}
	self->publisher_restarts = agent->publisher.restarts;
	self->events_dropped = agent->records_dropped + agent->publisher.lost + (agent->scribe ? scribe_lost(agent->scribe) : 0);
	self->journal_late = agent->intents_late;
	self->measured_ns = snap->boot_ns;
}

/* Which remedies there is something to say of: those that a policy names, and those that are set aside. */
static void show_use(const struct agent *agent, struct engine_section *section)
{
	const struct saved_state *saved = agent->saved;
	memset(section->named, 0, sizeof(section->named));
	memset(section->set_aside, 0, sizeof(section->set_aside));
	for (uint32_t i = 0; i < agent->config->policy_count; i++)
		for (uint32_t j = 0; j < agent->config->policies[i].step_count; j++)
			section->named[agent->config->policies[i].steps[j].remedy] = true;
	for (uint32_t i = 0; i < saved->lesson_count; i++) {
		const struct remedy *remedy = remedy_by_name(saved->lessons[i].remedy);
		if (remedy && lesson_sets_aside(&saved->lessons[i], (int64_t)agent->snap->boot_ns))
			section->set_aside[remedy->id]++;
	}
	section->foreign_kills = agent->engine.foreign_total;
}

static void show_engine(struct agent *agent)
{
	struct engine_section *section = &agent->snap->engine;
	_Static_assert(sizeof(section->actions_total) >= sizeof(agent->engine.actions_total), "there is room for what the engine counts");
	memcpy(section->actions_total, agent->engine.actions_total, sizeof(agent->engine.actions_total));
	for (uint32_t i = 0; i < REMEDY_COUNT; i++)
		section->armed[i] = agent->next_check > i ? agent->armed[i].armed : UINT8_MAX;
	show_use(agent, section);
	section->paused = agent->saved->pause.paused;
	section->quarantined = 0;
	for (uint32_t i = 0; i < agent->saved->machine_count; i++)
		section->quarantined += agent->saved->machines[i].state == ENGINE_QUARANTINED;
	section->incidents_folded = agent->engine.incidents_folded;
	section->manual_tasks_open = tasks_open(agent->saved);
}

static int open_census(struct agent *agent)
{
	int error = census_new(&agent->env, &agent->census);

	object_types_release();
	heap_keep_small();
	return error;
}

/* Before the collectors read: what waits in the rings now is what this tick gathered. */
static void count_maps(struct agent *agent)
{
	struct snapshot *snap = agent->snap;
	/* From the second tick on: it takes ten milliseconds to load, and nobody waits for its first answer. */
	if (!agent->census && (snap->seq == 1 || open_census(agent) < 0))
		return;
	census_take(agent->census, &snap->maps, snap->boot_ns);
	for (uint32_t id = 0; id < snap->collector_count; id++)
		snap->collectors[id].map_bytes = 0;
	for (uint32_t i = 0; i < snap->maps.count; i++)
		if (snap->maps.each[i].collector < snap->collector_count)
			snap->collectors[snap->maps.each[i].collector].map_bytes += snap->maps.each[i].bytes;
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
		count_maps(agent);
	}
	for (enum collector_id id = 0; id < COLLECTOR_COUNT; id++)
		if (agent->collector_state[id] && (full || collectors[id]->fast))
			run_collector(agent, id, full);
	if (full) {
		wake_watch(agent); /* a reload may have asked for what nobody asked for before */
		forecast(agent->forecaster, &snap->filesystems, snap->boot_ns);
		dependencies_update(agent->dependencies, snap);
		bottleneck_find(snap, &snap->bottleneck);
		outlook_look(agent->outlook, snap);
		watch_take(agent->watch, snap);
		life_tick(agent->life, snap, agent->config);
		measure_self(agent);
		baseline_tick(agent->baseline, snap);
	}
	recorder_tick(agent->recorder, snap, &snap->recordings);
}

void wheel_circumstances(const struct agent *agent, struct circumstances *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->boot_ns = clock_boot_ns();
	ret->wall_ns = clock_wall_ns();
	ret->agent_started_boot_ns = agent->started_boot_ns;
	ret->kill_switch_path = agent->kill_switch;
	ret->lease_book_path = agent->lease_book;
	ret->kill_switch = access(agent->kill_switch, F_OK) == 0;
	ret->snap = agent->snap;

	time_t now = (time_t)(ret->wall_ns / (int64_t)NSEC_PER_SEC);
	struct tm local;
	if (localtime_r(&now, &local))
		ret->local_minute = (uint16_t)(local.tm_hour * 60 + local.tm_min);
	bool asks_packages = false, asks_people = false;
	for (uint32_t i = 0; i < agent->config->policy_count; i++) {
		const struct blockers *blockers = &agent->config->policies[i].blocked_by;
		ret->blocked[i] = blockers->file[0] && access(blockers->file, F_OK) == 0;
		asks_packages |= blockers->package_manager;
		asks_people |= blockers->logged_in;
	}
	ret->package_manager = asks_packages && package_manager_at_work(agent->root_fd);
	ret->logged_in = asks_people && person_logged_in(agent->root_fd);
}

void wheel_look_again(struct agent *agent)
{
	wheel_collect(agent, false);
	detect(agent->detector, agent->snap, agent->config, agent->findings);
}

void wheel_turn(struct agent *agent, bool full)
{
	/* Processor time, not time: on a busy node a tick takes longer because others run, and that is when it must not look less often. */
	uint64_t started = clock_boot_ns(), spent = clock_thread_ns();
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
		remember_turn(agent);
		steer_turn(agent);
		trigger_turn(agent);
		ring_publish(&agent->ring, agent->snap);
	} else {
		agent->fast_cost_ns = clock_thread_ns() - spent;
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
