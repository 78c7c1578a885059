/* SPDX-License-Identifier: Apache-2.0 */
/* The page cache: what was asked of it and what it had to bring in, of the node and by cgroup. Its reads are a hot path: it can be off. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "collect/hooks.h"
#include "measure/tally.h"
#include "pagecache.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	COUNTERS = sizeof(struct pagecache_use) / sizeof(uint64_t),
	QUIET_TICKS = 10,
};

struct pagecache_state {
	struct pagecache_bpf *skel;
	struct hooks hooks;
	struct object_walk walk;
	struct tally *tally;
	bool tells_accesses;
};

static void close_pagecache(void *state_)
{
	struct pagecache_state *state = state_;

	if (!state)
		return;
	hooks_free(&state->hooks);
	object_close(pagecache, state->skel);
	tally_free(state->tally);
	object_walk_free(&state->walk);
	free(state);
}

/* How it is seen what is asked for, from the best down. */
enum rung { RUNG_TRACEPOINTS, RUNG_FUNCTIONS, RUNG_FILLS, RUNG_END };

static bool is_there(const struct collector_env *env, enum rung rung)
{
	if (rung == RUNG_TRACEPOINTS)
		return object_tracepoint_arguments(env, "mm_filemap_get_pages") > 0;
	return rung == RUNG_FILLS || (object_has_function(env, "filemap_fault") && object_has_function(env, "filemap_map_pages") &&
				      (object_has_function(env, "filemap_read") || object_has_function(env, "generic_file_buffered_read")));
}

static void choose_programs(struct pagecache_bpf *skel, const struct collector_env *env, enum rung rung)
{
	bool has_read = object_has_function(env, "filemap_read");

	bpf_program__set_autoload(skel->progs.on_get_pages, rung == RUNG_TRACEPOINTS);
	bpf_program__set_autoload(skel->progs.on_fault, rung == RUNG_TRACEPOINTS);
	bpf_program__set_autoload(skel->progs.on_map_pages, rung == RUNG_TRACEPOINTS);
	object_choose(skel->obj, "fentry/", rung == RUNG_FUNCTIONS);
	bpf_program__set_autoload(has_read ? skel->progs.on_buffered_read : skel->progs.on_filemap_read, false);
}

static int load(struct pagecache_state *state, const struct collector_env *env, enum rung rung, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->tally = tally_new(MAX_CACHE_USERS, COUNTERS);
	if (!state->tally || object_walk_init(&state->walk, WALK_BYTES))
		return -ENOMEM;
	state->skel = pagecache_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->page_shift = object_page_shift();
	choose_programs(state->skel, env, rung);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	return error ? error : hooks_put_on(&state->hooks, state->skel->obj, &state->skel->data->functions_on, why, WHY_LEN);
}

static int open_rung(const struct collector_env *env, enum rung rung, struct pagecache_state **ret, char *why)
{
	struct pagecache_state *state = calloc(1, sizeof(*state));
	int error = state ? load(state, env, rung, why) : -ENOMEM;

	if (error) {
		close_pagecache(state);
		if (!why[0])
			snprintf(why, WHY_LEN, "%s", strerror(-error));
		return error;
	}
	*ret = state;
	return 0;
}

static int open_pagecache(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = { [RUNG_TRACEPOINTS] = "tp_btf", [RUNG_FUNCTIONS] = "tp_btf+fentry", [RUNG_FILLS] = "tp_btf/fills" };
	struct pagecache_state *state = NULL;
	char why[WHY_LEN] = "no mm_filemap_get_pages before kernel 6.12", last[WHY_LEN] = "";
	enum rung rung = RUNG_TRACEPOINTS;
	int error = -ENOENT;

	for (; rung < RUNG_END; rung++) {
		if (!is_there(env, rung))
			continue;
		last[0] = '\0';
		error = open_rung(env, rung, &state, last);
		if (!error)
			break;
		if (rung != RUNG_FILLS)
			memcpy(why, last, sizeof(why));
	}
	if (rung == RUNG_END)
		return collector_down(status, error, last);
	state->tells_accesses = rung < RUNG_FILLS;
	collector_up(status, rung < RUNG_FILLS ? COLLECTOR_UP : COLLECTOR_DEGRADED, sources[rung], state->skel->obj);
	if (rung == RUNG_FILLS)
		snprintf(status->why, sizeof(status->why), "what is read from storage, but not what is asked: %.100s", why);
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

	if (!state->hooks.on) /* off: the section grows stale, and its series go */
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
	section->tells_accesses = state->tells_accesses;
	section->measured_ns = snap->boot_ns;
	status->events_lost = counts[PAGECACHE_LOST] + tally_cut(state->tally) + object_missed(state->skel->obj);
	return 0;
}

/* Counts only: but for OFF, all depths are one. */
static int set_depth(void *state_, enum depth depth)
{
	struct pagecache_state *state = state_;
	char why[WHY_LEN];

	if (depth == DEPTH_OFF)
		hooks_take_off(&state->hooks, &state->skel->data->functions_on);
	else if (!state->hooks.on)
		return hooks_put_on(&state->hooks, state->skel->obj, &state->skel->data->functions_on, why, WHY_LEN);
	return 0;
}

const struct collector collector_pagecache = {
	.name = "pagecache",
	.id = COLLECTOR_PAGECACHE,
	.open = open_pagecache,
	.collect = collect_pagecache,
	.close = close_pagecache,
	.set_depth = set_depth,
};
