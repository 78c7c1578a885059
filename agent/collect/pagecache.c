/* SPDX-License-Identifier: Apache-2.0 */
/* The page cache: what was asked of it and what it had to bring in, of the node and by cgroup. Its reads are a hot path: it can be off. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "measure/tally.h"
#include "pagecache.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	COUNTERS = sizeof(struct pagecache_use) / sizeof(uint64_t),
	QUIET_TICKS = 10,
	LINKS = 4,
};

struct pagecache_state {
	struct pagecache_bpf *skel;
	struct bpf_link *links[LINKS];
	struct object_walk walk;
	struct tally *tally;
};

static void detach(struct pagecache_state *state)
{
	for (int i = 0; i < LINKS; i++) {
		bpf_link__destroy(state->links[i]);
		state->links[i] = NULL;
	}
}

static void close_pagecache(void *state_)
{
	struct pagecache_state *state = state_;

	if (!state)
		return;
	detach(state);
	object_close(pagecache, state->skel);
	tally_free(state->tally);
	object_walk_free(&state->walk);
	free(state);
}

static int attach(struct pagecache_state *state, char *why)
{
	struct bpf_program *program;
	int count = 0, error = 0;

	bpf_object__for_each_program(program, state->skel->obj)
		if (!error && bpf_program__autoload(program))
			error = object_attach(program, &state->links[count++], why, WHY_LEN);
	if (error)
		detach(state);
	return error;
}

static int load(struct pagecache_state *state, const struct collector_env *env, bool accesses, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->tally = tally_new(MAX_CACHE_USERS, COUNTERS);
	if (!state->tally || object_walk_init(&state->walk, WALK_BYTES))
		return -ENOMEM;
	state->skel = pagecache_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->page_shift = object_page_shift();
	bpf_program__set_autoload(state->skel->progs.on_get_pages, accesses);
	bpf_program__set_autoload(state->skel->progs.on_fault, accesses);
	bpf_program__set_autoload(state->skel->progs.on_map_pages, accesses);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	return error ? error : attach(state, why);
}

static int open_pagecache(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct pagecache_state *state = calloc(1, sizeof(*state));
	bool accesses = object_tracepoint_arguments(env, "mm_filemap_get_pages") > 0;
	char why[WHY_LEN] = "";

	int error = state ? load(state, env, accesses, why) : -ENOMEM;
	if (error) {
		close_pagecache(state);
		return collector_down(status, error, why);
	}
	collector_up(status, accesses ? COLLECTOR_UP : COLLECTOR_DEGRADED, "tp_btf", state->skel->obj);
	if (!accesses)
		snprintf(status->why, sizeof(status->why), "what is read from storage, but not what is asked: no mm_filemap_get_pages");
	*ret_state = state;
	return 0;
}

static void take_user(const void *key, const void *values_, void *state_)
{
	struct pagecache_state *state = state_;
	const struct pagecache_use *values = values_;
	struct pagecache_use sum = { 0 };

	for (uint32_t cpu = 0; cpu < state->walk.cpus; cpu++) {
		sum.accessed_bytes += values[cpu].accessed_bytes;
		sum.filled_bytes += values[cpu].filled_bytes;
	}
	uint64_t counters[COUNTERS] = { sum.accessed_bytes, sum.filled_bytes };
	tally_take(state->tally, (struct tally_key){ *(const uint64_t *)key, 0 }, counters);
}

static void retire_gone(struct pagecache_state *state, const struct snapshot *snap)
{
	int fd = bpf_map__fd(state->skel->maps.cache_users);

	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns) || snap->cgroups.cut)
		return;
	for (uint32_t i = 0; i < tally_count(state->tally); i++) {
		struct tally_row row = tally_row(state->tally, i);

		if (row.quiet_ticks < QUIET_TICKS || snapshot_cgroup(snap, row.key.a))
			continue;
		(void)bpf_map_delete_elem(fd, &row.key.a);
		tally_retire(state->tally, i); /* goes on in the rest, and so in the node's sum */
	}
}

/* The node is its cgroups, those that are gone, and what found no room. */
static void fill_section(const struct pagecache_state *state, const uint64_t *unnamed, struct pagecache_section *section)
{
	const uint64_t *gone = tally_rest(state->tally);

	section->node.accessed_bytes = unnamed[PAGECACHE_ACCESSED] + gone[0];
	section->node.filled_bytes = unnamed[PAGECACHE_FILLED] + gone[1];
	section->count = tally_count(state->tally);
	for (uint32_t i = 0; i < section->count; i++) {
		struct tally_row row = tally_row(state->tally, i);

		section->each[i] = (struct cache_user){ row.key.a, { row.total[0], row.total[1] } };
		section->node.accessed_bytes += row.total[0];
		section->node.filled_bytes += row.total[1];
	}
}

static int collect_pagecache(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct pagecache_state *state = state_;
	struct pagecache_section *section = &snap->pagecache;
	uint64_t counts[PAGECACHE_COUNTS];

	if (!state->links[0]) /* off: the section grows stale, and its series go */
		return 0;
	tally_begin(state->tally);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.cache_users), take_user, state);
	tally_end(state->tally, snap->elapsed_ns);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.cache_counts), 0, counts, PAGECACHE_COUNTS);
	if (error)
		return error;

	fill_section(state, counts, section);
	retire_gone(state, snap);
	section->tells_accesses = bpf_program__autoload(state->skel->progs.on_get_pages);
	section->measured_ns = snap->boot_ns;
	status->events_lost = counts[PAGECACHE_LOST] + tally_cut(state->tally);
	return 0;
}

/* Counts only: but for OFF, all depths are one. */
static int set_depth(void *state_, enum depth depth)
{
	struct pagecache_state *state = state_;
	char why[WHY_LEN];

	if (depth == DEPTH_OFF)
		detach(state);
	return depth == DEPTH_OFF || state->links[0] ? 0 : attach(state, why);
}

const struct collector collector_pagecache = {
	.name = "pagecache",
	.id = COLLECTOR_PAGECACHE,
	.open = open_pagecache,
	.collect = collect_pagecache,
	.close = close_pagecache,
	.set_depth = set_depth,
};
