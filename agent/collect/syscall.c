/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each syscall returned, with which errors, and how long it took. Ladder: start times in task storage (v5.11) with
 * latency; below that counts at the exit alone. Kernel counters only grow; here they are added up over CPUs and handed on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "syscall.skel.h"

enum { WALK_BYTES = 256 * 1024 };

struct syscall_state {
	struct syscall_bpf *skel;
	struct bpf_link *enter, *exit;
	struct object_walk walk;
};

enum rung { RUNG_LATENCY, RUNG_COUNTS, RUNG_END };

static void close_state(void *state_)
{
	struct syscall_state *state = state_;

	if (!state)
		return;
	bpf_link__destroy(state->enter);
	bpf_link__destroy(state->exit);
	if (state->skel) {
		object_forget(state->skel->obj);
		syscall_bpf__destroy(state->skel);
	}
	object_walk_free(&state->walk);
	free(state);
}

static void choose_programs(struct syscall_bpf *skel, enum rung rung, bool watch_fallocate)
{
	bool latency = rung == RUNG_LATENCY;

	bpf_program__set_autoload(skel->progs.on_sys_enter, latency);
	bpf_program__set_autoload(skel->progs.on_sys_exit, latency);
	bpf_program__set_autoload(skel->progs.on_sys_exit_only, !latency);
	bpf_map__set_autocreate(skel->maps.calls, latency);

	/* Without the enter hook there is no "before" to compare with: fswrite then brings its own pair. */
	skel->rodata->watch_fallocate = latency && watch_fallocate;
	bpf_map__set_autocreate(skel->maps.writes, latency && watch_fallocate);
	bpf_map__set_autocreate(skel->maps.written, latency && watch_fallocate);
	bpf_map__set_autocreate(skel->maps.write_losses, latency && watch_fallocate);
	bpf_map__set_autocreate(skel->maps.fallocate_calls, latency && watch_fallocate);
}

static int attach(struct syscall_state *state, enum rung rung, char *why)
{
	struct syscall_bpf *skel = state->skel;

	if (rung == RUNG_COUNTS)
		return object_attach(skel->progs.on_sys_exit_only, &state->exit, why, WHY_LEN);
	/* The exit first: a call whose enter we see is then sure to be seen to its end. */
	int error = object_attach(skel->progs.on_sys_exit, &state->exit, why, WHY_LEN);
	return error ? error : object_attach(skel->progs.on_sys_enter, &state->enter, why, WHY_LEN);
}

static int open_rung(const struct collector_env *env, enum rung rung, struct syscall_state **ret, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	struct syscall_state *state = calloc(1, sizeof(*state));
	int error = -ENOMEM;

	if (!state)
		goto fail;
	error = object_walk_init(&state->walk, WALK_BYTES);
	if (error)
		goto fail;
	state->skel = syscall_bpf__open_opts(&options);
	error = state->skel ? 0 : -errno;
	if (error)
		goto fail;
	state->skel->rodata->pidns_inode = object_pidns(env);
	state->skel->rodata->page_shift = object_page_shift();
	choose_programs(state->skel, rung, env->config->collectors[COLLECTOR_FSWRITE]);
	error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = attach(state, rung, why);
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
			status->state = rung == RUNG_LATENCY ? COLLECTOR_UP : COLLECTOR_DEGRADED;
			snprintf(status->source, sizeof(status->source), "%s", sources[rung]);
			status->map_bytes = object_map_bytes(state->skel->obj);
			*ret_state = state;
			return 0;
		}
		if (rung == RUNG_LATENCY)
			snprintf(status->why, sizeof(status->why), "no latency: %.140s", why);
		else
			snprintf(status->why, sizeof(status->why), "%s", why);
	}
	status->state = COLLECTOR_DOWN;
	return error;
}

struct gathering {
	struct syscall_section *section;
	uint32_t cpus;
	enum syscall_abi abi;
};

static void add_cpu(struct syscall_stat *stat, const struct syscall_counts *counts)
{
	stat->count += counts->untimed;
	stat->latency.sum_ns += counts->latency.sum_ns;
	for (int i = 0; i < ERRNO_CLASS_COUNT; i++)
		stat->errors[i] += counts->errors[i];
	for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		stat->latency.buckets[i] += counts->latency.buckets[i];
		stat->count += counts->latency.buckets[i];
	}
}

static void gather(const void *key, const void *value, void *arg)
{
	struct gathering *gathering = arg;
	struct syscall_section *section = gathering->section;
	const struct syscall_counts *counts = value;
	struct syscall_stat stat = { .nr = (uint16_t)*(const uint32_t *)key, .abi = (uint8_t)gathering->abi };

	for (uint32_t cpu = 0; cpu < gathering->cpus; cpu++)
		add_cpu(&stat, &counts[cpu]);
	if (!stat.count)
		return;
	if (section->count < MAX_SYSCALLS)
		section->each[section->count++] = stat;
	else
		section->cut++;
}

static int compare_nr(const void *a, const void *b)
{
	return (int)((const struct syscall_stat *)a)->nr - (int)((const struct syscall_stat *)b)->nr;
}

static int collect_syscall(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct syscall_state *state = state_;
	struct syscall_section *section = &snap->syscalls;
	uint64_t lost[SYSCALL_LOSS_COUNT];
	int error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.losses), 0, lost, SYSCALL_LOSS_COUNT);

	if (error)
		return error;
	section->count = section->cut = 0;
	struct gathering gathering = { .section = section, .cpus = state->walk.cpus, .abi = SYSCALL_ABI_64 };
	error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.counts_64), gather, &gathering);
	if (error)
		return error;

	/* An array comes in the order of its numbers, a hash does not. */
	uint32_t first = section->count;
	gathering.abi = SYSCALL_ABI_32;
	error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.counts_32), gather, &gathering);
	if (error)
		return error;
	qsort(&section->each[first], section->count - first, sizeof(section->each[0]), compare_nr);

	status->events_lost = lost[SYSCALL_LOSS_START] + lost[SYSCALL_LOSS_CALL] + section->cut + object_missed(state->skel->obj);
	section->measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_syscall = {
	.name = "syscall",
	.id = COLLECTOR_SYSCALL,
	.open = open_syscall,
	.collect = collect_syscall,
	.close = close_state,
};
