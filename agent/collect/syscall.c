/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls: how often each returned, with which errors, how long it took, by cgroup; which have not returned yet, and which took too
 * long. Ladder: start times in task storage (v5.11); below that counts and errors of the node alone, at the exit.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "collect/syscall_gather.h"
#include "collect/syscall_rows.h"
#include "collect/syscall_slow.h"
#include "collect/syscall_trait.h"
#include "syscall.skel.h"

enum { WALK_BYTES = 128 * 1024 };
#define SLOW_NS NSEC_PER_SEC /* where nobody configured another */

struct syscall_state {
	struct syscall_bpf *skel;
	struct bpf_link *enter, *exit;
	struct syscall_rows *rows;      /* NULL on the lower rung */
	struct syscall_slow *slow;
	struct object_walk walk;
	enum depth depth;
	uint32_t epoch;                 /* of the enter hook's last coming, from 1 */
};

enum rung { RUNG_LATENCY, RUNG_COUNTS, RUNG_END };

static void detach(struct bpf_link **link)
{
	bpf_link__destroy(*link);
	*link = NULL;
}

static void close_state(void *state_)
{
	struct syscall_state *state = state_;

	if (!state)
		return;
	detach(&state->enter);
	detach(&state->exit);
	syscall_slow_free(state->slow);
	syscall_rows_free(state->rows);
	object_close(syscall, state->skel);
	object_walk_free(&state->walk);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static void choose_programs(struct syscall_bpf *skel, enum rung rung, bool watch_fallocate, bool watch_fsync)
{
	bool latency = rung == RUNG_LATENCY;

	bpf_program__set_autoload(skel->progs.on_sys_enter, latency);
	bpf_program__set_autoload(skel->progs.on_sys_exit, latency);
	bpf_program__set_autoload(skel->progs.on_task, latency);
	bpf_program__set_autoload(skel->progs.on_sys_exit_only, !latency);
	bpf_map__set_autocreate(skel->maps.calls, latency);
	bpf_map__set_autocreate(skel->maps.counters, latency);
	bpf_map__set_autocreate(skel->maps.cgroup_rows, latency);
	bpf_map__set_autocreate(skel->maps.cgroup_indexes, latency);
	bpf_map__set_autocreate(skel->maps.deep, latency);
	bpf_map__set_autocreate(skel->maps.slow_calls, latency);
	bpf_map__set_autocreate(skel->maps.counts, !latency);
	bpf_map__set_autocreate(skel->maps.counts_lost, !latency);

	/* Without the enter hook there is no "before" to compare with: fswrite and fsop then bring their own pairs. */
	skel->rodata->watch_fsync = latency && watch_fsync;
	bpf_map__set_autocreate(skel->maps.fsops, latency && watch_fsync);
	bpf_map__set_autocreate(skel->maps.fsop_groups, latency && watch_fsync);
	bpf_map__set_autocreate(skel->maps.fsop_calls, latency && watch_fsync);
	bpf_map__set_autocreate(skel->maps.fsop_losses, latency && watch_fsync);
	skel->rodata->watch_fallocate = latency && watch_fallocate;
	bpf_map__set_autocreate(skel->maps.writes, latency && watch_fallocate);
	bpf_map__set_autocreate(skel->maps.written, latency && watch_fallocate);
	bpf_map__set_autocreate(skel->maps.write_losses, latency && watch_fallocate);
	bpf_map__set_autocreate(skel->maps.fallocate_calls, latency && watch_fallocate);
}

static void fill_rodata(struct syscall_bpf *skel, const struct collector_env *env)
{
	skel->rodata->pidns_inode = object_pidns(env);
	skel->rodata->page_shift = object_page_shift();
	skel->rodata->slow_ns = env->config->slow_syscall_ns ? env->config->slow_syscall_ns : SLOW_NS;
	for (uint32_t number = 0; number < SYSCALL_WAITED; number++)
		skel->rodata->traits[number] = syscall_traits_of(number);
	for (uint32_t ns = 0; ns < sizeof(skel->rodata->short_buckets); ns++)
		skel->rodata->short_buckets[ns] = (uint8_t)histogram_bucket(ns);
}

static int attach(struct syscall_state *state, char *why)
{
	struct syscall_bpf *skel = state->skel;
	int error = 0;

	if (!state->rows)
		return state->exit ? 0 : object_attach(skel->progs.on_sys_exit_only, &state->exit, why, WHY_LEN);
	/* The exit first: a call whose enter we see is then sure to be seen to its end. */
	if (!state->exit)
		error = object_attach(skel->progs.on_sys_exit, &state->exit, why, WHY_LEN);
	if (!error && !state->enter && state->depth >= DEPTH_HISTOGRAMS)
		error = object_attach(skel->progs.on_sys_enter, &state->enter, why, WHY_LEN);
	return error;
}

static int load(struct syscall_state *state, const struct collector_env *env, enum rung rung, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	int error;

	state->skel = syscall_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	fill_rodata(state->skel, env);
	choose_programs(state->skel, rung, env->config->collectors[COLLECTOR_FSWRITE], env->config->collectors[COLLECTOR_FSOP]);
	error = syscall_rows_size(state->skel);
	if (!error)
		error = object_load(state->skel->obj, why, WHY_LEN);
	if (error || rung == RUNG_COUNTS)
		return error;
	error = syscall_rows_new(state->skel, &state->rows);
	return error ? error : syscall_slow_new(state->skel, env->proc_fd, &state->slow);
}

static int open_rung(const struct collector_env *env, enum rung rung, struct syscall_state **ret, char *why)
{
	struct syscall_state *state = calloc(1, sizeof(*state));
	int error = -ENOMEM;

	if (!state)
		goto fail;
	state->depth = DEPTH_HISTOGRAMS;
	state->epoch = 1;
	error = object_walk_init(&state->walk, WALK_BYTES);
	if (!error)
		error = load(state, env, rung, why);
	if (!error)
		error = attach(state, why);
	if (error)
		goto fail;
	*ret = state;
	return 0;

fail:
	if (!why[0])
		snprintf(why, WHY_LEN, "%s", strerror(-error));
	close_state(state);
	return error;
}

static int open_syscall(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = { [RUNG_LATENCY] = "tp_btf", [RUNG_COUNTS] = "tp_btf/sys_exit" };
	struct syscall_state *state;
	int error = -ENODEV;

	for (enum rung rung = RUNG_LATENCY; rung < RUNG_END; rung++) {
		char why[WHY_LEN] = "";

		error = open_rung(env, rung, &state, why);
		if (!error) {
			collector_up(status, rung == RUNG_LATENCY ? COLLECTOR_UP : COLLECTOR_DEGRADED, sources[rung], state->skel->obj);
			*ret_state = state;
			return 0;
		}
		if (rung == RUNG_LATENCY)
			snprintf(status->why, sizeof(status->why), "no latency: %.140s", why);
		else
			snprintf(status->why, sizeof(status->why), "%s", why);
	}
	return collector_down(status, error, status->why);
}

/* --- depth ------------------------------------------------------------------------------------------------------------ */

static int forget_deep(struct syscall_state *state)
{
	int fd = bpf_map__fd(state->skel->maps.deep);
	struct syscall_deep_key key;

	while (!bpf_map_get_next_key(fd, NULL, &key))
		if (bpf_map_delete_elem(fd, &key) && errno != ENOENT)
			return -errno;
	return 0;
}

/*
 * Counts go on without a gap, since the exit hook stays: at DEPTH_COUNTS it is alone, and only exit and exit_group, which never return,
 * are not counted. Starts from before are void once the enter hook is back: an end may have been missed.
 */
static int set_depth(void *state_, enum depth depth)
{
	struct syscall_state *state = state_;
	enum depth before = state->depth;
	char why[WHY_LEN];

	state->depth = depth;
	if (depth == DEPTH_OFF) {
		detach(&state->enter);
		detach(&state->exit);
		return 0;
	}
	if (state->rows) {
		if (before < DEPTH_HISTOGRAMS && depth >= DEPTH_HISTOGRAMS)
			state->epoch++;
		__atomic_store_n(&state->skel->data->epoch, depth >= DEPTH_HISTOGRAMS ? state->epoch : 0, __ATOMIC_RELEASE);
		__atomic_store_n(&state->skel->data->depth, (uint32_t)depth, __ATOMIC_RELEASE);
		if (depth < DEPTH_HISTOGRAMS)
			detach(&state->enter);
	}
	int error = attach(state, why);
	if (error) {
		state->depth = state->enter ? before : DEPTH_COUNTS;
		return error;
	}
	return before == DEPTH_DEEP && depth < DEPTH_DEEP && state->rows ? forget_deep(state) : 0;
}

/* --- collecting ------------------------------------------------------------------------------------------------------- */

static int collect_rows(struct syscall_state *state, struct snapshot *snap, struct collector_status *status)
{
	struct syscall_losses losses;
	int error = syscall_gather_deep(&state->walk, state->skel, snap, state->depth == DEPTH_DEEP);

	if (!error && state->enter)
		error = syscall_slow_walk(state->slow, snap);
	if (!error)
		error = syscall_slow_take_records(state->slow, snap);
	/* Last, so that what came as a record is in the sums. */
	if (!error)
		error = syscall_rows_read(state->rows, &losses);
	if (error)
		return error;

	syscall_rows_fill(state->rows, &snap->syscalls, &snap->syscall_cgroups);
	snap->syscalls.slow_total = losses.slow;
	snap->syscalls.slow_lost = losses.slow_records;
	snap->syscalls.measured_ns = snap->syscall_cgroups.measured_ns = snap->boot_ns;
	syscall_rows_retire(state->rows, snap);
	status->events_lost = losses.starts + losses.errors_unnamed + losses.deep + losses.slow_records + object_missed(state->skel->obj);
	return 0;
}

static int collect_syscall(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct syscall_state *state = state_;
	int error = syscall_gather_errors(&state->walk, state->skel, snap);

	if (error)
		return error;
	if (state->rows)
		return collect_rows(state, snap, status);
	error = syscall_gather_counts(&state->walk, state->skel, snap, &status->events_lost);
	status->events_lost += object_missed(state->skel->obj);
	return error;
}

const struct collector collector_syscall = {
	.name = "syscall",
	.id = COLLECTOR_SYSCALL,
	.open = open_syscall,
	.collect = collect_syscall,
	.close = close_state,
	.set_depth = set_depth,
};
