/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of threads goes. Ladder: accounts in each thread's own storage (v5.12); below that the histograms that the kernel's
 * sched_info alone gives. Off means off: no program at the switch. What passes meanwhile is in no figure, and none falls.
 */
#include "collect/sched.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/call_class.h"
#include "core/pages.h"

enum { MIN_WALK_BYTES = 64 * 1024, STATE_ARGUMENTS = 4, GROUP_ROWS = 3072, PAIR_ROWS = 1536 };

enum rung { RUNG_THREADS, RUNG_HISTOGRAMS, RUNG_END };

static void detach(struct sched_state *state)
{
	bpf_link__destroy(state->on_switch);
	bpf_link__destroy(state->on_new_task);
	state->on_switch = state->on_new_task = NULL;
}

static void close_sched(void *state_)
{
	struct sched_state *state = state_;

	if (!state)
		return;
	detach(state);
	bpf_link__destroy(state->walk_link);
	object_close(sched, state->skel);
	object_walk_free(&state->walk);
	bandwidth_free(state->bandwidth);
	tally_free(state->groups);
	tally_free(state->pairs);
	pages_free(state);
}

/* What a CPU was in the middle of when we detached is long over. The histograms and counters stay. */
static int forget_windows(const struct sched_state *state)
{
	uint32_t zero = 0;

	memset(state->walk.buffer, 0, state->walk.cpus * sizeof(struct burst));
	return bpf_map_update_elem(bpf_map__fd(state->skel->maps.bursts), &zero, state->walk.buffer, BPF_ANY) ? -errno : 0;
}

/* Threads are known first and then watched: none is met at a switch without its account. */
static int attach(struct sched_state *state, char *why)
{
	struct sched_bpf *skel = state->skel;
	int error = forget_windows(state);

	if (!error && state->keeps_threads) {
		error = object_attach(skel->progs.on_new_task, &state->on_new_task, why, WHY_LEN);
		if (!error)
			error = sched_walk(state, WALK_BEGIN);
	}
	if (!error)
		error = object_attach(state->says_state ? skel->progs.on_switch : skel->progs.on_switch_before, &state->on_switch, why,
				      WHY_LEN);
	if (error)
		detach(state);
	return error;
}

static void choose_programs(struct sched_state *state)
{
	struct sched_bpf *skel = state->skel;
	bool threads = state->keeps_threads;

	skel->rodata->keeps_threads = threads;
	bpf_program__set_autoload(skel->progs.on_switch, state->says_state);
	bpf_program__set_autoload(skel->progs.on_switch_before, !state->says_state);
	bpf_program__set_autoload(skel->progs.on_new_task, threads);
	bpf_program__set_autoload(skel->progs.on_thread, threads);
	bpf_map__set_autocreate(skel->maps.threads, threads);
	bpf_map__set_autocreate(skel->maps.ended_threads, threads);
	bpf_map__set_autocreate(skel->maps.live_threads, threads);
	bpf_map__set_autocreate(skel->maps.preemptions, threads);
	bpf_map__set_autocreate(skel->maps.open_pairs, threads);
	bpf_map__set_autocreate(skel->maps.parts_scratch, threads);
	bpf_map__set_autocreate(skel->maps.deep_waits, threads);
}

static int new_memory(struct sched_state *state)
{
	int cpus = libbpf_num_possible_cpus();
	size_t histograms = cpus > 0 ? (size_t)cpus * sizeof(struct sched_histograms) : 0;

	if (state->keeps_threads) {
		state->groups = tally_new(GROUP_ROWS, BLAME_SUMS);
		state->pairs = tally_new(PAIR_ROWS, 2);
		if (!state->groups || !state->pairs)
			return -ENOMEM;
	}
	return object_walk_init(&state->walk, histograms > MIN_WALK_BYTES ? histograms : MIN_WALK_BYTES);
}

static int load(struct sched_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->skel = sched_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	for (uint32_t ns = 0; ns < sizeof(state->skel->rodata->short_buckets); ns++)
		state->skel->rodata->short_buckets[ns] = (uint8_t)histogram_bucket(ns);
	call_classes_fill((uint8_t(*)[SYSCALL_NR_MAX])state->skel->rodata->call_classes);
	choose_programs(state);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error && state->keeps_threads)
		error = object_attach(state->skel->progs.on_thread, &state->walk_link, why, WHY_LEN);
	return error ? error : attach(state, why);
}

static int open_rung(const struct collector_env *env, enum rung rung, struct sched_state **ret, char *why)
{
	struct sched_state *state = pages_new(1, sizeof(*state));
	int error = -ENOMEM;

	if (state) {
		state->keeps_threads = rung == RUNG_THREADS;
		state->says_state = object_tracepoint_arguments(env, "sched_switch") >= STATE_ARGUMENTS;
		state->depth = DEPTH_HISTOGRAMS;
		error = new_memory(state);
	}
	if (!error)
		error = load(state, env, why);
	if (!error) {
		state->bandwidth = bandwidth_new(env);
		*ret = state;
		return 0;
	}
	if (!why[0])
		snprintf(why, WHY_LEN, "%s", strerror(-error));
	close_sched(state);
	return error;
}

static int open_sched(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = { [RUNG_THREADS] = "tp_btf", [RUNG_HISTOGRAMS] = "tp_btf/sched_info" };
	struct sched_state *state;
	int error = -ENODEV;

	for (enum rung rung = RUNG_THREADS; rung < RUNG_END; rung++) {
		char why[WHY_LEN] = "";

		error = open_rung(env, rung, &state, why);
		if (!error) {
			collector_up(status, rung == RUNG_THREADS ? COLLECTOR_UP : COLLECTOR_DEGRADED, sources[rung], state->skel->obj);
			*ret_state = state;
			return 0;
		}
		snprintf(status->why, sizeof(status->why), "%s%.130s", rung == RUNG_THREADS ? "nothing by cgroup: " : "", why);
	}
	return collector_down(status, error, status->why);
}

/* A call of the scheduler before the walk brings this CPU's clock up to date, which else is as old as the last tick. */
int sched_walk(struct sched_state *state, enum walk mode)
{
	char none[8];
	ssize_t got;

	state->skel->data->walk_mode = mode;
	state->skel->data->walk_number++;
	(void)sched_yield(); /* never fails */
	int fd = bpf_iter_create(bpf_link__fd(state->walk_link));
	if (fd < 0)
		return -errno;
	/* It writes nothing; EAGAIN: it has been at it for long, and wants to be called again. */
	while ((got = read(fd, none, sizeof(none))) > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
		;
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static int set_depth(void *state_, enum depth depth)
{
	struct sched_state *state = state_;
	char why[WHY_LEN];
	int error = 0;

	if (depth == DEPTH_OFF) {
		if (state->on_switch) {
			detach(state);
			if (state->keeps_threads)
				error = sched_walk(state, WALK_SETTLE);
		}
	} else {
		state->skel->data->depth = depth;
		if (!state->on_switch)
			error = attach(state, why);
	}
	if (error)
		return error;
	if (depth != DEPTH_DEEP)
		sched_forget_deep(state);
	state->depth = depth;
	return 0;
}

static int collect_sched(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct sched_state *state = state_;

	(void)full;
	if (state->bandwidth)
		bandwidth_read(state->bandwidth, snap);
	return state->depth == DEPTH_OFF ? 0 : sched_read(state, snap, status);
}

const struct collector collector_sched = {
	.name = "sched",
	.id = COLLECTOR_SCHED,
	.open = open_sched,
	.collect = collect_sched,
	.close = close_sched,
	.set_depth = set_depth,
};
