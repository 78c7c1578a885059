/* SPDX-License-Identifier: Apache-2.0 */
/* Stalls to find memory: the kernel's sums by cgroup and histograms of the node. Rows of cgroups that are gone are retired. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "measure/tally.h"
#include "reclaim.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	COUNTERS = sizeof(struct stalls) / sizeof(uint64_t),
	QUIET_TICKS = 10,
	LINKS = 7,
};

struct reclaim_state {
	struct reclaim_bpf *skel;
	struct bpf_link *links[LINKS];
	struct object_walk walk;
	struct tally *tally;
};

static void close_reclaim(void *state_)
{
	struct reclaim_state *state = state_;

	if (!state)
		return;
	for (int i = 0; i < LINKS; i++)
		bpf_link__destroy(state->links[i]);
	object_close(reclaim, state->skel);
	tally_free(state->tally);
	object_walk_free(&state->walk);
	free(state);
}

/* The ends first: a stall that was seen to begin is sure to be seen ending. */
static int attach_all(struct reclaim_state *state, char *why)
{
	struct bpf_program *const order[LINKS] = {
		state->skel->progs.on_reclaim_end, state->skel->progs.on_limit_end, state->skel->progs.on_compaction_end,
		state->skel->progs.on_reclaim_begin, state->skel->progs.on_limit_begin, state->skel->progs.on_compaction_begin,
		state->skel->progs.on_kswapd_wake,
	};
	int error = 0;

	for (int i = 0; i < LINKS && !error; i++)
		if (bpf_program__autoload(order[i]))
			error = object_attach(order[i], &state->links[i], why, WHY_LEN);
	return error;
}

/* CONFIG_MEMCG and CONFIG_COMPACTION may be off: what cannot happen needs no program. */
static void choose_programs(struct reclaim_bpf *skel, const struct collector_env *env)
{
	bool memcg = object_tracepoint_arguments(env, "mm_vmscan_memcg_reclaim_begin") > 0;
	bool compaction = object_tracepoint_arguments(env, "mm_compaction_begin") > 0;

	bpf_program__set_autoload(skel->progs.on_limit_begin, memcg);
	bpf_program__set_autoload(skel->progs.on_limit_end, memcg);
	bpf_program__set_autoload(skel->progs.on_compaction_begin, compaction);
	bpf_program__set_autoload(skel->progs.on_compaction_end, compaction);
}

static int load(struct reclaim_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->tally = tally_new(MAX_STALLED, COUNTERS);
	if (!state->tally || object_walk_init(&state->walk, WALK_BYTES))
		return -ENOMEM;
	state->skel = reclaim_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	choose_programs(state->skel, env);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	return error ? error : attach_all(state, why);
}

static int open_reclaim(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct reclaim_state *state = calloc(1, sizeof(*state));
	char why[WHY_LEN] = "";

	int error = state ? load(state, env, why) : -ENOMEM;
	if (error) {
		close_reclaim(state);
		return collector_down(status, error, why);
	}
	collector_up(status, COLLECTOR_UP, "tp_btf", state->skel->obj);
	*ret_state = state;
	return 0;
}

static void take_cgroup(const void *key, const void *value, void *state_)
{
	struct reclaim_state *state = state_;
	struct tally_key cgroup = { *(const uint64_t *)key, 0 };

	tally_take(state->tally, cgroup, value);
}

static void retire_gone(struct reclaim_state *state, const struct snapshot *snap)
{
	int fd = bpf_map__fd(state->skel->maps.stalled);

	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns) || snap->cgroups.cut)
		return;
	for (uint32_t i = 0; i < tally_count(state->tally); i++) {
		struct tally_row row = tally_row(state->tally, i);

		if (row.quiet_ticks < QUIET_TICKS || snapshot_cgroup(snap, row.key.a))
			continue;
		(void)bpf_map_delete_elem(fd, &row.key.a);
		tally_retire(state->tally, i); /* the node's sums are kept apart and stay exact */
	}
}

static void fill_cgroups(const struct reclaim_state *state, struct reclaim_section *section)
{
	section->count = tally_count(state->tally);
	for (uint32_t i = 0; i < section->count; i++) {
		struct tally_row row = tally_row(state->tally, i);

		section->each[i].id = row.key.a;
		memcpy(&section->each[i].stalls, row.total, sizeof(section->each[i].stalls));
	}
}

static int collect_reclaim(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct reclaim_state *state = state_;
	struct reclaim_section *section = &snap->reclaim;
	uint64_t counts[RECLAIM_COUNTS];
	uint32_t zero = 0;

	tally_begin(state->tally);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.stalled), take_cgroup, state);
	tally_end(state->tally, snap->elapsed_ns);
	if (error)
		return error;
	for (uint32_t kind = 0; kind < STALL_KINDS; kind++)
		if (bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.stall_nodes), &kind, &section->node[kind]))
			return -errno;
	if (bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.reclaim_counts), &zero, counts))
		return -errno;

	fill_cgroups(state, section);
	retire_gone(state, snap);
	section->kswapd_wakes = counts[RECLAIM_KSWAPD_WAKES];
	section->measured_ns = snap->boot_ns;
	status->events_lost = counts[RECLAIM_LOST_STARTS] + counts[RECLAIM_LOST_CGROUPS] + tally_cut(state->tally) + object_missed(state->skel->obj);
	return 0;
}

const struct collector collector_reclaim = {
	.name = "reclaim",
	.id = COLLECTOR_RECLAIM,
	.open = open_reclaim,
	.collect = collect_reclaim,
	.close = close_reclaim,
};
