/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who puts bytes on which filesystem. The kernel keeps a row a (filesystem, process, cgroup) and an exact total a filesystem; here
 * rows get their deltas, what has died or fallen silent is pruned, and the writers are ranked by what they did lately.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/hooks.h"
#include "collect/growth.h"
#include "core/pages.h"
#include "fswrite.skel.h"

enum {
	WALK_BYTES = 128 * 1024,
	MAX_ROWS = 8192,                /* twice the kernel's: the dead are shown until their share has faded */
	BUCKETS = 4096,
	NONE = -1,
	MAX_LINKS = 5,
	FADED_BYTES = 4096,             /* below a page of recent bytes nobody is a cause any more */
	KERNEL_ROWS_HIGH = 3072,        /* of 4096: from here on, also the living who are silent give up their row */
};
#define SILENT_NS (60 * NSEC_PER_SEC)

struct row {
	struct writer_key key;
	char comm[COMM_LEN];
	uint64_t kernel_bytes;          /* as last read; the kernel's row restarts at 0 once it was pruned */
	uint64_t total, recent;
	uint64_t fresh, gathered, delta; /* of this walk; since the last full tick; of the last full interval */
	uint64_t last_write_ns;
	bool in_kernel;
	int32_t next;                   /* in its bucket, or on the free list */
};

struct fswrite_state {
	struct fswrite_bpf *skel;
	struct hooks hooks;
	struct growth *growth;
	enum depth depth;
	struct object_walk walk;
	int proc_fd;
	uint64_t last_ns, rows_cut, growth_lost;
	uint32_t kernel_rows;
	int32_t buckets[BUCKETS];
	int32_t free;
	uint32_t used;                  /* rows ever taken; beyond them no page was touched */
	uint32_t *order;                /* MAX_ROWS */
	struct row *rows;               /* MAX_ROWS */
};

static void close_fswrite(void *state_)
{
	struct fswrite_state *state = state_;

	if (!state)
		return;
	hooks_free(&state->hooks);
	growth_free(state->growth);
	object_close(fswrite, state->skel);
	object_walk_free(&state->walk);
	if (state->proc_fd >= 0)
		close(state->proc_fd);
	pages_free(state->order);
	pages_free(state->rows);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

/* The syscall collector watches fallocate for us where it runs with its enter hook: then both write into its maps. */
static bool share_with_syscall(struct fswrite_bpf *skel)
{
	struct bpf_map *maps[] = { skel->maps.writes, skel->maps.written, skel->maps.write_losses };

	if (object_shared_map("writes") < 0)
		return false;
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (bpf_map__reuse_fd(maps[i], object_shared_map(bpf_map__name(maps[i]))))
			return false;
	return true;
}

/*
 * How direct writes are seen, from the best down. v5.12, 309dca309fc3: block: store a block_device pointer in struct bio. Before, the partition is
 * forgotten on the way to the tracepoint.
 */
enum rung { RUNG_TRACEPOINT, RUNG_FUNCTION, RUNG_DIRTY, RUNG_END };

static bool is_there(const struct collector_env *env, enum rung rung)
{
	bool keeps_partition = object_has_member(env, "bio", "bi_bdev");

	if (rung == RUNG_FUNCTION)
		return !keeps_partition && object_has_function(env, "submit_bio");
	return rung == RUNG_DIRTY || keeps_partition;
}

static void choose_programs(struct fswrite_bpf *skel, const struct collector_env *env, bool shared, enum rung rung)
{
	bool folios = object_tracepoint_arguments(env, "writeback_dirty_folio") > 0;
	bool growth = object_tracepoint_arguments(env, "writeback_dirty_inode") > 0 &&
		object_tracepoint_arguments(env, "writeback_single_inode_start") > 0;

	bpf_program__set_autoload(skel->progs.on_dirty_folio, folios);
	bpf_program__set_autoload(skel->progs.on_dirty_page, !folios);
	bpf_program__set_autoload(skel->progs.on_dirty_inode, growth);
	bpf_program__set_autoload(skel->progs.on_writeback, growth);
	bpf_program__set_autoload(skel->progs.on_bio_queue, rung == RUNG_TRACEPOINT);
	bpf_program__set_autoload(skel->progs.on_submit_bio, rung == RUNG_FUNCTION);
	skel->rodata->watch_growth = growth;
	bpf_map__set_autocreate(skel->maps.files, growth);
	bpf_map__set_autocreate(skel->maps.grown, growth);
	bpf_map__set_autocreate(skel->maps.growth_losses, growth);
	bpf_program__set_autoload(skel->progs.on_sys_enter, !shared);
	bpf_program__set_autoload(skel->progs.on_sys_exit, !shared);
	bpf_map__set_autocreate(skel->maps.fallocate_calls, !shared);
	skel->rodata->watch_fallocate = !shared;
	skel->rodata->pidns_inode = object_pidns(env);
	skel->rodata->page_shift = object_page_shift();
}

static int put_on(struct fswrite_state *state, char *why)
{
	return hooks_put_on(&state->hooks, state->skel->obj, &state->skel->data->functions_on, why, WHY_LEN);
}

static void take_off(struct fswrite_state *state)
{
	hooks_take_off(&state->hooks, &state->skel->data->functions_on);
}

static struct fswrite_state *new_state(const struct collector_env *env)
{
	struct fswrite_state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	state->proc_fd = fcntl(env->proc_fd, F_DUPFD_CLOEXEC, 3);
	state->rows = pages_new(MAX_ROWS, sizeof(*state->rows));
	state->order = pages_new(MAX_ROWS, sizeof(*state->order));
	state->growth = growth_new();
	state->depth = DEPTH_HISTOGRAMS;
	state->free = NONE;
	memset(state->buckets, 0xff, sizeof(state->buckets));
	if (!state->rows || !state->order || !state->growth || object_walk_init(&state->walk, WALK_BYTES)) {
		close_fswrite(state);
		return NULL;
	}
	return state;
}

static int open_rung(const struct collector_env *env, enum rung rung, struct fswrite_state **ret, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	struct fswrite_state *state = new_state(env);

	if (!state)
		return -ENOMEM;
	state->skel = fswrite_bpf__open_opts(&options);
	int error = state->skel ? 0 : -errno;
	if (!error) {
		choose_programs(state->skel, env, share_with_syscall(state->skel), rung);
		error = object_load(state->skel->obj, why, WHY_LEN);
	}
	if (!error)
		error = put_on(state, why);
	if (error) {
		close_fswrite(state);
		return error;
	}
	*ret = state;
	return 0;
}

static int open_fswrite(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = { [RUNG_TRACEPOINT] = "tp_btf", [RUNG_FUNCTION] = "tp_btf+fentry", [RUNG_DIRTY] = "tp_btf/dirty" };
	struct fswrite_state *state = NULL;
	char why[WHY_LEN] = "before Linux 5.12 a request does not tell its partition", last[WHY_LEN] = "";
	enum rung rung = RUNG_TRACEPOINT;
	int error = -ENOENT;

	for (; rung < RUNG_END; rung++) {
		if (!is_there(env, rung))
			continue;
		last[0] = '\0';
		error = open_rung(env, rung, &state, last);
		if (!error)
			break;
		if (rung != RUNG_DIRTY)
			snprintf(why, sizeof(why), "%s", last[0] ? last : strerror(-error));
	}
	if (rung == RUNG_END)
		return collector_down(status, error, last[0] ? last : strerror(-error));
	if (rung == RUNG_DIRTY)
		snprintf(status->why, sizeof(status->why), "direct writes unseen: %.130s", why);
	collector_up(status, rung == RUNG_DIRTY ? COLLECTOR_DEGRADED : COLLECTOR_UP, sources[rung], state->skel->obj);
	*ret_state = state;
	return 0;
}

/* A fallocate that ends unseen would leave its beginning behind, to be taken for that of a later one by the same thread. */
static void forget_calls(const struct fswrite_state *state)
{
	int fd = bpf_map__fd(state->skel->maps.fallocate_calls);
	uint64_t thread;

	while (fd >= 0 && !bpf_map_get_next_key(fd, NULL, &thread))
		if (bpf_map_delete_elem(fd, &thread))
			break;
}

/* --- rows ------------------------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(const struct writer_key *key)
{
	uint64_t hash = (key->start_ns ^ key->cgroup_id << 32 ^ (uint64_t)key->dev << 17 ^ (uint64_t)(uint32_t)key->pid) * 0x9E3779B97F4A7C15ULL;
	return (uint32_t)(hash >> 52); /* 12 bits: BUCKETS */
}

static struct row *find_row(struct fswrite_state *state, const struct writer_key *key)
{
	for (int32_t i = state->buckets[bucket_of(key)]; i != NONE; i = state->rows[i].next)
		if (!memcmp(&state->rows[i].key, key, sizeof(*key)))
			return &state->rows[i];
	return NULL;
}

static struct row *add_row(struct fswrite_state *state, const struct writer_key *key)
{
	int32_t index = state->free, *head = &state->buckets[bucket_of(key)];

	if (index != NONE)
		state->free = state->rows[index].next;
	else if (state->used < MAX_ROWS)
		index = (int32_t)state->used++;
	else
		return NULL;
	state->rows[index] = (struct row){ .key = *key, .next = *head };
	*head = index;
	return &state->rows[index];
}

static void drop_row(struct fswrite_state *state, struct row *row)
{
	int32_t index = (int32_t)(row - state->rows), *link = &state->buckets[bucket_of(&row->key)];

	while (*link != index)
		link = &state->rows[*link].next;
	*link = row->next;
	*row = (struct row){ .next = state->free };
	state->free = index;
}

static void take_row(const void *key, const void *value_, void *state_)
{
	struct fswrite_state *state = state_;
	const struct writer_value *value = value_;
	struct row *row = find_row(state, key);

	state->kernel_rows++;
	if (!row)
		row = add_row(state, key);
	if (!row) {
		state->rows_cut++;
		return;
	}
	if (value->bytes < row->kernel_bytes) /* pruned, and back again */
		row->kernel_bytes = 0;
	memcpy(row->comm, value->comm, sizeof(row->comm));
	row->comm[COMM_LEN - 1] = '\0';
	row->fresh += value->bytes - row->kernel_bytes;
	row->kernel_bytes = value->bytes;
	row->in_kernel = true;
}

/* --- pruning ---------------------------------------------------------------------------------------------------------- */

/* Whoever the last walk saw is alive; one it did not see may be younger than that walk, so procfs has the last word. */
static bool is_dead(const struct fswrite_state *state, const struct snapshot *snap, const struct row *row)
{
	const struct process *process = snapshot_process(snap, row->key.pid);
	char pid[16];

	if (process && snapshot_is_fresh(snap, snap->processes.measured_ns))
		return process->start_ns > row->key.start_ns;
	snprintf(pid, sizeof(pid), "%d", row->key.pid);
	return faccessat(state->proc_fd, pid, F_OK, 0) < 0 && errno == ENOENT;
}

/* Only rows that stood still over a whole tick: what is written between the look and the deletion would lose its name. */
static void prune(struct fswrite_state *state, const struct snapshot *snap, struct row *row)
{
	if (row->in_kernel && !row->fresh) {
		bool silent = state->kernel_rows > KERNEL_ROWS_HIGH && snap->boot_ns - row->last_write_ns > SILENT_NS;

		if ((silent || is_dead(state, snap, row)) && !bpf_map_delete_elem(bpf_map__fd(state->skel->maps.writes), &row->key)) {
			row->in_kernel = false;
			row->kernel_bytes = 0;
		}
	}
	if (!row->in_kernel && row->recent < FADED_BYTES && !row->gathered)
		drop_row(state, row);
}

/* --- the section ------------------------------------------------------------------------------------------------------ */

static void advance(struct fswrite_state *state, const struct snapshot *snap, bool full)
{
	uint64_t elapsed = state->last_ns ? snap->boot_ns - state->last_ns : 0;

	for (uint32_t i = 0; i < state->used; i++) {
		struct row *row = &state->rows[i];

		if (!row->key.pid)
			continue;
		if (row->fresh)
			row->last_write_ns = snap->boot_ns;
		row->total += row->fresh;
		row->recent = decay_recent(row->recent, elapsed, row->fresh);
		row->gathered += row->fresh;
		if (full) {
			row->delta = row->gathered;
			row->gathered = 0;
		}
		prune(state, snap, row);
		row->fresh = 0;
	}
	state->last_ns = snap->boot_ns;
}

static int compare_recent(const void *a, const void *b, void *rows_)
{
	const struct row *rows = rows_, *left = &rows[*(const uint32_t *)a], *right = &rows[*(const uint32_t *)b];
	return (right->recent > left->recent) - (right->recent < left->recent);
}

static void fill_section(struct fswrite_state *state, struct writer_section *section)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < state->used; i++)
		if (state->rows[i].key.pid)
			state->order[count++] = i;
	qsort_r(state->order, count, sizeof(state->order[0]), compare_recent, state->rows);

	section->count = count < MAX_WRITERS ? count : MAX_WRITERS;
	section->cut = count - section->count;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct row *row = &state->rows[state->order[i]];
		struct writer *writer = &section->each[i];

		*writer = (struct writer){
			.dev = row->key.dev, .pid = row->key.pid, .start_ns = row->key.start_ns, .cgroup_id = row->key.cgroup_id,
			.bytes_total = row->total, .bytes_delta = row->delta, .bytes_recent = row->recent,
		};
		memcpy(writer->comm, row->comm, sizeof(writer->comm));
	}
}

static void fill_totals(const struct fswrite_state *state, struct filesystem_section *section)
{
	for (uint32_t i = 0; i < section->count; i++) {
		uint32_t dev = section->each[i].dev;
		uint64_t total;

		if (bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.written), &dev, &total))
			total = 0; /* nobody has written to it yet */
		section->each[i].dirtied_total = total;
	}
}

static int collect_growth(struct fswrite_state *state, struct snapshot *snap, uint64_t *ret_lost)
{
	const struct fswrite_bpf *skel = state->skel;
	uint64_t lost[GROWTH_LOSS_COUNT];

	if (!skel->rodata->watch_growth)
		return 0;
	int error = growth_collect(state->growth, &state->walk, bpf_map__fd(skel->maps.files), bpf_map__fd(skel->maps.grown), snap);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(skel->maps.growth_losses), 0, lost, GROWTH_LOSS_COUNT);
	if (!error)
		*ret_lost = lost[GROWTH_LOSS_FILE] + lost[GROWTH_LOSS_TOTAL] + growth_cut(state->growth);
	return error;
}

static int collect_fswrite(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct fswrite_state *state = state_;
	uint64_t lost[WRITE_LOSS_COUNT];

	if (state->depth == DEPTH_OFF)
		return 0;
	state->kernel_rows = 0;
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.writes), take_row, state);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.write_losses), 0, lost, WRITE_LOSS_COUNT);
	if (error)
		return error;

	advance(state, snap, full);
	fill_section(state, &snap->writers);
	fill_totals(state, &snap->filesystems);
	if (state->depth != DEPTH_OFF)
		snap->writers.measured_ns = snap->boot_ns;
	if (full)
		error = collect_growth(state, snap, &state->growth_lost);
	status->events_lost = lost[WRITE_LOSS_NAME] + lost[WRITE_LOSS_TOTAL] + lost[WRITE_LOSS_FALLOCATE] + state->rows_cut + state->growth_lost +
		object_missed(state->skel->obj);
	return error;
}

/* It has no histograms: on or off. */
static int set_depth(void *state_, enum depth depth)
{
	struct fswrite_state *state = state_;
	char why[WHY_LEN];
	int error = 0;

	if (depth == DEPTH_OFF) {
		take_off(state);
		forget_calls(state);
	} else if (state->depth == DEPTH_OFF) {
		error = put_on(state, why);
	}
	if (!error)
		state->depth = depth;
	else
		take_off(state);
	return error;
}

const struct collector collector_fswrite = {
	.name = "fswrite",
	.id = COLLECTOR_FSWRITE,
	.fast = true,
	.open = open_fswrite,
	.collect = collect_fswrite,
	.close = close_fswrite,
	.set_depth = set_depth,
};
