/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Births, execs and ends of processes. The ring is read at ticks, for the records; the totals come from their own map and so
 * are exact even where the ring was full. What the ended had used is folded into the cgroups by the process collector.
 */
#include "collect/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "collect/crash.h"
#include "core/pages.h"
#include "task.skel.h"

enum { TOTALS = sizeof(struct task_totals) / sizeof(uint64_t), WALK_BYTES = 64 * 1024 };

struct task_state {
	struct task_bpf *skel;
	struct bpf_link *exec, *exit, *free, *fork;
	struct ring_buffer *ring;
	struct object_walk walk;
	uint64_t slice_cpu_ns, slice_io_bytes, slice_rss_bytes;
	uint64_t cut;                            /* records that no longer fitted into `each` */
	const struct collector_env *env;
	const struct config *asked;              /* whose conditions the filter has: a reload changes them, and the counters go on */
	struct crash_filter *crashes;            /* NULL: nobody asks */
	uint64_t since_ns;
	uint64_t turns, turns_kept;              /* execs and exits that came through the ring; those that fitted */
	bool sees_all;                           /* no process is beyond our pid namespace */
	uint32_t count;
	struct task_event each[MAX_TASK_EVENTS];
};

const struct task_event *task_events(const void *state_, uint32_t *ret_count)
{
	const struct task_state *state = state_;

	*ret_count = state->count;
	return state->each;
}

static void close_task(void *state_)
{
	struct task_state *state = state_;

	if (!state)
		return;
	ring_buffer__free(state->ring);
	bpf_link__destroy(state->exec);
	bpf_link__destroy(state->exit);
	bpf_link__destroy(state->free);
	bpf_link__destroy(state->fork);
	object_close(task, state->skel);
	object_walk_free(&state->walk);
	crash_filter_free(state->crashes);
	pages_free(state);
}

static int keep_event(void *state_, void *data, size_t size)
{
	struct task_state *state = state_;

	bool is_turn = ((const struct task_event *)data)->kind != TASK_EVENT_SLICE, fits = size == sizeof(state->each[0]) && state->count < MAX_TASK_EVENTS;

	state->turns += is_turn;
	state->turns_kept += is_turn && fits;
	if (fits)
		memcpy(&state->each[state->count++], data, size);
	else
		state->cut++;
	return 0;
}

static void look_for_crashes(struct task_state *state)
{
	if (state->asked == state->env->config)
		return;
	struct crash_filter *before = state->crashes;
	state->asked = state->env->config;
	state->crashes = crash_filter_new(state->asked);
	if (!crash_filter_same(before, state->crashes))
		state->since_ns = 0; /* what nobody asked for until now was not counted */
	crash_filter_free(before);
	uint64_t signals, codes[4];
	crash_filter_wants(state->crashes, &signals, codes);
	state->skel->data->wake_signals = signals;
	for (int i = 0; i < 4; i++)
		state->skel->data->wake_codes[i] = codes[i];
}

static int load(struct task_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	const struct config *config = env->config;
	bool says_group_dead = object_tracepoint_arguments(env, "sched_process_exit") >= 2;

	state->skel = task_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->pidns_inode = object_pidns(env);
	state->sees_all = !state->skel->rodata->pidns_inode;
	state->skel->rodata->page_shift = object_page_shift();
	state->slice_cpu_ns = config->slice_cpu_ns;
	state->slice_io_bytes = config->slice_io_bytes;
	state->slice_rss_bytes = config->slice_rss_bytes;
	bpf_program__set_autoload(state->skel->progs.on_exit, says_group_dead);
	bpf_program__set_autoload(state->skel->progs.on_exit_before, !says_group_dead);
	bpf_map__set_autocreate(state->skel->maps.buried, !says_group_dead);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	if (error)
		return error;

	/* The row of those whose cgroup finds no room. */
	const uint64_t unknown = CGROUP_UNKNOWN;
	const struct cgroup_lives none = { .lives.forks = 0 };
	if (bpf_map_update_elem(bpf_map__fd(state->skel->maps.lives), &unknown, &none, BPF_NOEXIST))
		return -errno;

	struct bpf_program *on_exit = says_group_dead ? state->skel->progs.on_exit : state->skel->progs.on_exit_before;
	error = object_attach(on_exit, &state->exit, why, WHY_LEN);
	if (!error)
		error = object_attach(state->skel->progs.on_free, &state->free, why, WHY_LEN);
	if (!error)
		error = object_attach(state->skel->progs.on_exec, &state->exec, why, WHY_LEN);
	if (!error)
		error = object_attach(state->skel->progs.on_fork, &state->fork, why, WHY_LEN);
	if (error)
		return error;
	state->ring = ring_buffer__new(bpf_map__fd(state->skel->maps.task_events), keep_event, state, NULL);
	return state->ring ? 0 : -errno;
}

static int open_task(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct task_state *state = pages_new(1, sizeof(*state));
	char why[WHY_LEN] = "";
	int error = -ENOMEM;

	if (!state)
		goto fail;
	error = object_walk_init(&state->walk, WALK_BYTES);
	if (error)
		goto fail;
	error = load(state, env, why);
	if (error)
		goto fail;
	collector_up(status, COLLECTOR_UP, "tp_btf", state->skel->obj);
	state->env = env;
	look_for_crashes(state);
	*ret_state = state;
	return 0;

fail:
	close_task(state);
	return collector_down(status, error, why);
}

/* Ends of those that never used a slice are in the totals, and there is nothing to tell of them. */
static bool is_large(const struct task_state *state, const struct task_event *record)
{
	const union usage *used = &record->used;

	return record->kind == TASK_EVENT_SLICE ||
		(record->kind == TASK_EVENT_EXIT &&
		 (used->cpu_ns >= state->slice_cpu_ns || used->read_bytes + used->written_bytes >= state->slice_io_bytes ||
		  record->peak_rss_bytes >= state->slice_rss_bytes));
}

static void tell_usage(const struct task_state *state, struct event_section *events)
{
	for (uint32_t i = 0; i < state->count; i++) {
		const struct task_event *record = &state->each[i];

		if (!is_large(state, record))
			continue;
		struct event *event = event_add(events, EVENT_USAGE);
		event->at_ns = record->at_ns;
		event->cgroup_id = record->cgroup_id;
		event->pid = record->pid;
		event->uid = record->uid;
		memcpy(event->comm, record->comm, sizeof(event->comm));
		event->of.usage = (struct usage_event){
			.ended = record->kind == TASK_EVENT_EXIT, .ppid = record->ppid, .exit_code = record->exit_code,
			.start_ns = record->start_ns, .used = record->used, .slice = record->slice, .peak_rss_bytes = record->peak_rss_bytes,
		};
	}
}

static void tell_crashes(struct task_state *state, struct snapshot *snap)
{
	look_for_crashes(state);
	if (!state->since_ns)
		state->since_ns = snap->boot_ns;
	for (uint32_t i = 0; i < state->count; i++)
		if (state->each[i].kind == TASK_EVENT_EXIT)
			crash_add(state->crashes, snap, &state->each[i]);
	snap->crashes.since_ns = state->since_ns;
	snap->crashes.measured_ns = snap->boot_ns;
}

/* From inside a pid namespace most of the totals are processes that nobody here could name: then only what was lost is missing. */
static void tell_coverage(const struct task_state *state, const struct task_totals *totals, struct collector_status *status)
{
	uint64_t counted = totals->lives.execs;

	for (int cause = 0; cause < EXIT_CAUSES; cause++)
		counted += totals->lives.exits[cause];
	status->coverage_expected = state->sees_all ? counted : state->turns + totals->ring_lost;
	status->coverage_seen = state->turns_kept < status->coverage_expected ? state->turns_kept : status->coverage_expected;
}

static int collect_task(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct task_state *state = state_;
	struct process_section *section = &snap->processes;
	union {
		struct task_totals totals;
		uint64_t words[TOTALS];
	} sums;

	/* The totals first: what they count has been sent by the time the ring is read, but for what is under way at this moment. */
	state->count = 0;
	int error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.totals), 0, sums.words, TOTALS);
	if (error)
		return error;
	error = ring_buffer__consume(state->ring);
	if (error < 0)
		return error;

	section->lives = sums.totals.lives;
	section->core_dumps = sums.totals.core_dumps;
	section->exited = sums.totals.ended;
	memcpy(section->exit_signals, sums.totals.exit_signals, sizeof(section->exit_signals));
	tell_usage(state, &snap->events);
	tell_crashes(state, snap);
	status->events_lost = sums.totals.ring_lost + sums.totals.ended_lost + state->cut + object_missed(state->skel->obj);
	tell_coverage(state, &sums.totals, status);
	return 0;
}

/* Readable after an end that a crash condition asks for: only those wake anybody. */
static int task_wake_fd(void *state_)
{
	const struct task_state *state = state_;
	return state->crashes ? bpf_map__fd(state->skel->maps.task_events) : -1;
}

const struct collector collector_task = {
	.name = "task",
	.id = COLLECTOR_TASK,
	.fast = true,
	.open = open_task,
	.collect = collect_task,
	.close = close_task,
	.wake_fd = task_wake_fd,
};
