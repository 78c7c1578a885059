/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long operations of filesystems take, by filesystem and by cgroup. The tracepoints of a filesystem are used where both of a pair
 * are there; fsync comes from the system calls, by the syscall collector's hooks where it offers that, by our own where it is off.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "collect/hooks.h"
#include "core/clock.h"
#include "fsop.skel.h"
#include "measure/tally.h"

enum {
	WALK_BYTES = 128 * 1024,
	GROUP_ROWS = 2048,
	QUIET_TICKS = 3,                /* of a cgroup that is gone */
	QUIET_TICKS_UNMOUNTED = 30,
	SWEEP_TICKS = 60,
};
/* Direct I/O that fails half-way says nothing at its end. */
#define ABANDONED_NS (600 * NSEC_PER_SEC)

struct fsop_state {
	struct fsop_bpf *skel;
	struct hooks hooks;
	enum depth depth;
	struct object_walk walk;
	struct tally *filesystems, *groups;
	uint64_t group_rest[FSOP_COUNT][2]; /* total_ns, count */
	uint64_t last_ns;
	uint32_t ticks;
};

static void close_fsop(void *state_)
{
	struct fsop_state *state = state_;

	if (!state)
		return;
	hooks_free(&state->hooks);
	object_close(fsop, state->skel);
	object_walk_free(&state->walk);
	tally_free(state->groups);
	tally_free(state->filesystems);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

/* Whether the syscall collector, which has the hooks of system calls, sees fsync for us; else we bring our own. */
static bool share_with_syscall(struct fsop_bpf *skel)
{
	struct bpf_map *maps[] = { skel->maps.fsops, skel->maps.fsop_groups, skel->maps.fsop_calls, skel->maps.fsop_losses };

	if (object_shared_map("fsops") < 0)
		return false;
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (bpf_map__reuse_fd(maps[i], object_shared_map(bpf_map__name(maps[i]))))
			return false;
	return true;
}

/* "on_ext4_unlink_enter" is attached to "tp_btf/ext4_unlink_enter"; a pair stands or falls together. */
static void choose_pair(const struct collector_env *env, struct bpf_program *begin, struct bpf_program *end, bool wanted)
{
	bool have = wanted;

	for (int i = 0; i < 2 && have; i++) {
		const char *section = bpf_program__section_name(i ? end : begin);
		have = object_tracepoint_arguments(env, strchr(section, '/') + 1) > 0;
	}
	bpf_program__set_autoload(begin, have);
	bpf_program__set_autoload(end, have);
}

/* From the best down. Direct I/O is told by tracepoints since v6.6; before, by the functions they came to stand in. */
enum rung { RUNG_TRACEPOINTS, RUNG_FUNCTIONS, RUNG_PROBE, RUNG_NO_DIRECT, RUNG_FSYNC, RUNG_END };

static bool is_there(const struct collector_env *env, enum rung rung)
{
	if (rung == RUNG_TRACEPOINTS)
		return object_tracepoint_arguments(env, "iomap_dio_rw_begin") > 0 && object_tracepoint_arguments(env, "iomap_dio_complete") > 0;
	return (rung != RUNG_FUNCTIONS && rung != RUNG_PROBE) || (object_has_function(env, "__iomap_dio_rw") && object_has_function(env, "iomap_dio_complete"));
}

static void choose_programs(struct fsop_bpf *skel, const struct collector_env *env, bool by_syscall, enum rung rung)
{
	bool filesystems = rung != RUNG_FSYNC;

	choose_pair(env, skel->progs.on_ext4_unlink_enter, skel->progs.on_ext4_unlink_exit, filesystems);
	choose_pair(env, skel->progs.on_ext4_truncate_enter, skel->progs.on_ext4_truncate_exit, filesystems);
	choose_pair(env, skel->progs.on_ext4_fallocate_enter, skel->progs.on_ext4_fallocate_exit, filesystems);
	choose_pair(env, skel->progs.on_ext4_writepages, skel->progs.on_ext4_writepages_result, filesystems);
	choose_pair(env, skel->progs.on_direct_begin, skel->progs.on_direct_complete, rung == RUNG_TRACEPOINTS);
	bpf_program__set_autoload(skel->progs.on_direct_enter, rung == RUNG_FUNCTIONS);
	bpf_program__set_autoload(skel->progs.on_direct_probe, rung == RUNG_PROBE);
	bpf_program__set_autoload(skel->progs.on_direct_done, rung == RUNG_FUNCTIONS || rung == RUNG_PROBE);
	choose_pair(env, skel->progs.on_nfs_lookup_enter, skel->progs.on_nfs_lookup_exit, filesystems);
	choose_pair(env, skel->progs.on_nfs_getattr_enter, skel->progs.on_nfs_getattr_exit, filesystems);
	bpf_program__set_autoload(skel->progs.on_sys_enter, !by_syscall);
	bpf_program__set_autoload(skel->progs.on_sys_exit, !by_syscall);
}

/* Ends before beginnings: programs stand in pairs, and hooks are put on from the last. */
static int put_on(struct fsop_state *state, char *why)
{
	return hooks_put_on(&state->hooks, state->skel->obj, &state->skel->data->functions_on, why, WHY_LEN);
}

static int open_rung(const struct collector_env *env, enum rung rung, struct fsop_state **ret, bool *ret_by_syscall, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	struct fsop_state *state = calloc(1, sizeof(*state));
	int error = -ENOMEM;

	if (!state)
		return error;
	state->depth = DEPTH_HISTOGRAMS;
	state->groups = tally_new(GROUP_ROWS, 2);
	state->filesystems = tally_new(MAX_FSOPS, 1);
	if (!state->groups || !state->filesystems || object_walk_init(&state->walk, WALK_BYTES))
		goto fail;
	state->skel = fsop_bpf__open_opts(&options);
	error = state->skel ? 0 : -errno;
	if (error)
		goto fail;
	*ret_by_syscall = share_with_syscall(state->skel);
	choose_programs(state->skel, env, *ret_by_syscall, rung);
	error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = put_on(state, why);
	if (error)
		goto fail;
	*ret = state;
	return 0;

fail:
	close_fsop(state);
	return error;
}

static int open_fsop(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = {
		[RUNG_TRACEPOINTS] = "tp_btf", [RUNG_FUNCTIONS] = "tp_btf+fentry", [RUNG_PROBE] = "tp_btf+kprobe",
		[RUNG_NO_DIRECT] = "tp_btf/buffered", [RUNG_FSYNC] = "tp_btf/fsync",
	};
	static const char *const without[] = { [RUNG_NO_DIRECT] = "direct I/O unseen", [RUNG_FSYNC] = "fsync only" };
	struct fsop_state *state = NULL;
	bool by_syscall;
	char why[WHY_LEN] = "no iomap_dio_rw_begin before kernel 6.6", last[WHY_LEN] = "";
	enum rung rung = RUNG_TRACEPOINTS;
	int error = -ENOENT;

	for (; rung < RUNG_END; rung++) {
		if (!is_there(env, rung))
			continue;
		last[0] = '\0';
		error = open_rung(env, rung, &state, &by_syscall, last);
		if (!error)
			break;
		snprintf(why, sizeof(why), "%s", last[0] ? last : strerror(-error));
	}
	if (rung == RUNG_END)
		return collector_down(status, error, why);
	if (rung >= RUNG_NO_DIRECT)
		snprintf(status->why, sizeof(status->why), "%s: %.130s", without[rung], why);
	char source[NAME_LEN];
	snprintf(source, sizeof(source), "%s%s", sources[rung], by_syscall ? ", fsync by syscall" : "");
	collector_up(status, rung < RUNG_NO_DIRECT ? COLLECTOR_UP : COLLECTOR_DEGRADED, source, state->skel->obj);
	*ret_state = state;
	return 0;
}

/* --- the sections ----------------------------------------------------------------------------------------------------- */

struct taking {
	struct fsop_section *section;
	struct tally *tally;
};

static void take_stat(const void *key_, const void *value, void *taking_)
{
	const struct taking *taking = taking_;
	struct fsop_section *section = taking->section;
	const struct fsop_key *key = key_;

	tally_take(taking->tally, (struct tally_key){ .a = key->dev, .b = key->op }, value); /* its count, for who is silent */
	if (section->count == MAX_FSOPS) {
		section->cut++;
		return;
	}
	struct fsop_stat *stat = &section->each[section->count++];
	stat->dev = key->dev;
	stat->op = key->op;
	memcpy(&stat->counts, value, sizeof(stat->counts));
}

static int compare_stat(const void *a, const void *b)
{
	const struct fsop_stat *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev > right->dev ? 1 : -1;
	return (int)left->op - (int)right->op;
}

static void take_group(const void *key_, const void *value, void *tally)
{
	const struct fsop_group_key *key = key_;

	_Static_assert(sizeof(struct fsop_group_counts) == 2 * sizeof(uint64_t), "as the tally takes them");
	tally_take(tally, (struct tally_key){ .a = key->cgroup_id, .b = key->op }, value);
}

static void add_group(struct fsop_group_section *section, uint64_t cgroup_id, uint32_t op, const uint64_t *counts)
{
	if (section->count == MAX_FSOP_GROUPS) {
		section->cut++;
		return;
	}
	section->each[section->count++] =
		(struct fsop_group){ .cgroup_id = cgroup_id, .op = op, .total_ns = counts[0], .count = counts[1] };
}

static void fill_groups(const struct fsop_state *state, struct fsop_group_section *section)
{
	section->count = section->cut = 0;
	for (uint32_t op = 0; op < FSOP_COUNT; op++)
		if (state->group_rest[op][1])
			add_group(section, 0, op, state->group_rest[op]);
	for (uint32_t i = 0; i < tally_count(state->groups); i++) {
		struct tally_row row = tally_row(state->groups, i);
		add_group(section, row.key.a, (uint32_t)row.key.b, row.total);
	}
}

/* A cgroup that is gone, and whose last calls have ended: what it did goes on in the rest of its operation. */
static void retire_gone(struct fsop_state *state, const struct snapshot *snap)
{
	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns) || snap->cgroups.cut)
		return;
	for (uint32_t i = 0; i < tally_count(state->groups); i++) {
		struct tally_row row = tally_row(state->groups, i);
		struct fsop_group_key key = { .cgroup_id = row.key.a, .op = row.key.b };

		if (row.quiet_ticks < QUIET_TICKS || snapshot_cgroup(snap, row.key.a) || row.key.b >= FSOP_COUNT)
			continue;
		if (bpf_map_delete_elem(bpf_map__fd(state->skel->maps.fsop_groups), &key))
			continue;
		state->group_rest[row.key.b][0] += row.total[0];
		state->group_rest[row.key.b][1] += row.total[1];
		tally_retire(state->groups, i);
	}
}

static int collect_groups(struct fsop_state *state, struct snapshot *snap)
{
	uint64_t elapsed = state->last_ns ? snap->boot_ns - state->last_ns : 0;

	tally_begin(state->groups);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.fsop_groups), take_group, state->groups);
	tally_end(state->groups, elapsed);
	state->last_ns = snap->boot_ns;
	if (error)
		return error;
	fill_groups(state, &snap->fsop_groups);
	retire_gone(state, snap);
	return 0;
}

static bool is_mounted(const struct snapshot *snap, uint32_t dev)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		if (snap->filesystems.each[i].dev == dev)
			return true;
	return false;
}

/* One that is mounted nowhere here, and silent, is gone; what other mount namespaces use speaks up from time to time. */
static void drop_unmounted(struct fsop_state *state, const struct snapshot *snap)
{
	if (!snapshot_is_fresh(snap, snap->filesystems.measured_ns) || snap->filesystems.cut)
		return;
	for (uint32_t i = 0; i < tally_count(state->filesystems); i++) {
		struct tally_row row = tally_row(state->filesystems, i);
		struct fsop_key key = { .dev = (uint32_t)row.key.a, .op = (uint32_t)row.key.b };

		if (key.dev && row.quiet_ticks >= QUIET_TICKS_UNMOUNTED && !is_mounted(snap, key.dev) &&
		    !bpf_map_delete_elem(bpf_map__fd(state->skel->maps.fsops), &key))
			tally_retire(state->filesystems, i);
	}
}

static int collect_filesystems(struct fsop_state *state, struct snapshot *snap)
{
	struct taking taking = { .section = &snap->fsops, .tally = state->filesystems };

	snap->fsops.count = snap->fsops.cut = 0;
	tally_begin(state->filesystems);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.fsops), take_stat, &taking);
	tally_end(state->filesystems, 0);
	if (error)
		return error;
	qsort(snap->fsops.each, snap->fsops.count, sizeof(snap->fsops.each[0]), compare_stat);
	drop_unmounted(state, snap);
	return 0;
}

/* --- calls ------------------------------------------------------------------------------------------------------------ */

struct sweep {
	int fd;
	uint64_t now_ns;
	bool all;
};

static void sweep_call(const void *key, const void *value, void *sweep_)
{
	const struct sweep *sweep = sweep_;
	const struct fsop_call_key *call_key = key;
	const struct fsop_call *call = value;
	bool direct = call_key->op == FSOP_DIRECT_READ || call_key->op == FSOP_DIRECT_WRITE;

	if (sweep->all || (direct && sweep->now_ns > call->start_ns + ABANDONED_NS))
		(void)bpf_map_delete_elem(sweep->fd, key); /* it may end at this moment */
}

static void sweep_calls(const struct fsop_state *state, bool all)
{
	struct sweep sweep = { .fd = bpf_map__fd(state->skel->maps.fsop_calls), .now_ns = clock_awake_ns(), .all = all };

	(void)object_walk_map(&state->walk, sweep.fd, sweep_call, &sweep); /* the next one comes */
}

static int collect_fsop(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct fsop_state *state = state_;
	const struct fsop_bpf *skel = state->skel;
	uint64_t lost[FSOP_LOSS_COUNT];

	if (state->depth == DEPTH_OFF)
		return 0;
	int error = collect_filesystems(state, snap);
	if (!error)
		error = collect_groups(state, snap);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(skel->maps.fsop_losses), 0, lost, FSOP_LOSS_COUNT);
	if (error)
		return error;
	if (state->ticks++ % SWEEP_TICKS == SWEEP_TICKS - 1)
		sweep_calls(state, false);

	status->events_lost = lost[FSOP_LOSS_START] + lost[FSOP_LOSS_FILESYSTEM] + lost[FSOP_LOSS_GROUP] + snap->fsops.cut +
		snap->fsop_groups.cut + tally_cut(state->groups) + object_missed(skel->obj);
	snap->fsops.has_histograms = state->depth >= DEPTH_HISTOGRAMS;
	snap->fsops.measured_ns = snap->fsop_groups.measured_ns = snap->boot_ns;
	return 0;
}

/* A call that began before we looked away has no end that we see: kept, its start would be taken for a later one's. */
static int set_depth(void *state_, enum depth depth)
{
	struct fsop_state *state = state_;
	char why[WHY_LEN];
	int error = 0;

	if (depth == DEPTH_OFF) {
		hooks_take_off(&state->hooks, &state->skel->data->functions_on);
		sweep_calls(state, true);
	} else {
		state->skel->data->depth = depth;
		error = state->depth == DEPTH_OFF ? put_on(state, why) : 0;
	}
	if (!error)
		state->depth = depth;
	return error;
}

const struct collector collector_fsop = {
	.name = "fsop",
	.id = COLLECTOR_FSOP,
	.open = open_fsop,
	.collect = collect_fsop,
	.close = close_fsop,
	.set_depth = set_depth,
};
