/* SPDX-License-Identifier: Apache-2.0 */
/* See baseline.h. */
#include "detect/baseline.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	BLOCKS = 20,            /* of half a minute each: ten minutes */
	MAX_KNOWN_PROCESSES = 4096,
	MAX_KNOWN_CGROUPS = MAX_CGROUPS,
};
#define BLOCK_NS (30 * NSEC_PER_SEC)
/* The first blocks are shorter, so that there is something to compare with soon after a start. */
#define FIRST_BLOCK_NS (5 * NSEC_PER_SEC)
/* Long enough to ride out one slow tick, short enough that a fault is the larger part of it within two. */
#define NOW_HALF_LIFE_NS (3 * NSEC_PER_SEC)

/* One resource of one process or cgroup. */
struct track {
	uint64_t last;          /* the counter at the last tick; UNKNOWN: none yet */
	double sum;             /* of this block: value times seconds */
	uint64_t risen_ns;
	float now, base;
	float blocks[BLOCKS];
};

struct known {
	uint64_t key, start_ns; /* pid and its start; a cgroup's id and 0 */
	double now_weight;      /* seconds, decayed as `now` is: a newcomer's rate is over its own time only */
	struct track tracks[];
};

struct table {
	enum use uses;
	size_t stride;
	uint32_t capacity, count, free_count;
	char *rows;             /* by slot */
	uint64_t *sums;         /* by slot: what several rows of a section add up to */
	uint16_t *order, *next; /* slots by key, ascending: of now, and of the tick that is being taken */
	uint16_t *free;
	uint64_t cut;
};

struct baseline {
	uint64_t ticked_ns, block_since_ns;
	double block_seconds;
	uint32_t block_count;   /* so far, without end */
	struct table processes, cgroups;
};

static bool is_level(enum use use)
{
	return use == USE_MEMORY || use == USE_FILES || use == USE_TASKS;
}

static struct known *row_at(const struct table *table, uint32_t slot)
{
	return (struct known *)(void *)(table->rows + slot * table->stride);
}

/* --- making ------------------------------------------------------------------------------------------------------------ */

static int table_open(struct table *table, enum use uses, uint32_t capacity)
{
	table->uses = uses;
	table->stride = sizeof(struct known) + uses * sizeof(struct track);
	table->capacity = table->free_count = capacity;
	table->rows = calloc(capacity, table->stride);
	table->order = calloc(capacity, sizeof(uint16_t));
	table->next = calloc(capacity, sizeof(uint16_t));
	table->free = calloc(capacity, sizeof(uint16_t));
	table->sums = calloc(capacity, sizeof(uint64_t));
	if (!table->sums || !table->rows || !table->order || !table->next || !table->free)
		return -1;
	for (uint32_t i = 0; i < capacity; i++)
		table->free[i] = (uint16_t)(capacity - 1 - i); /* the first rows first: what is never used is never touched */
	return 0;
}

static void table_close(struct table *table)
{
	free(table->rows);
	free(table->sums);
	free(table->order);
	free(table->next);
	free(table->free);
}

struct baseline *baseline_new(void)
{
	struct baseline *baseline = calloc(1, sizeof(*baseline));
	if (!baseline)
		return NULL;
	if (table_open(&baseline->processes, USE_OF_PROCESS, MAX_KNOWN_PROCESSES) < 0 || table_open(&baseline->cgroups, USE_COUNT, MAX_KNOWN_CGROUPS) < 0) {
		baseline_free(baseline);
		return NULL;
	}
	return baseline;
}

void baseline_free(struct baseline *baseline)
{
	if (!baseline)
		return;
	table_close(&baseline->processes);
	table_close(&baseline->cgroups);
	free(baseline);
}

/* --- looking up -------------------------------------------------------------------------------------------------------- */

static struct known *find(const struct table *table, uint64_t key)
{
	uint32_t low = 0, high = table->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		struct known *known = row_at(table, table->order[middle]);
		if (known->key == key)
			return known;
		if (known->key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool view(const struct baseline *baseline, const struct known *known, enum use use, struct usage_view *ret)
{
	*ret = (struct usage_view){ .has_base = baseline->block_count > 0 };
	if (!known || known->tracks[use].last == UNKNOWN)
		return false;
	ret->now = (double)known->tracks[use].now;
	ret->base = (double)known->tracks[use].base;
	ret->risen_ns = known->tracks[use].risen_ns;
	return true;
}

bool baseline_process(const struct baseline *baseline, int32_t pid, uint64_t start_ns, enum use use, struct usage_view *ret)
{
	*ret = (struct usage_view){ 0 };
	if (!baseline || use >= USE_OF_PROCESS)
		return false;
	const struct known *known = find(&baseline->processes, (uint64_t)pid);
	return view(baseline, known && known->start_ns == start_ns ? known : NULL, use, ret);
}

bool baseline_cgroup(const struct baseline *baseline, uint64_t cgroup_id, enum use use, struct usage_view *ret)
{
	*ret = (struct usage_view){ 0 };
	return baseline && view(baseline, find(&baseline->cgroups, cgroup_id), use, ret);
}

uint64_t baseline_cut(const struct baseline *baseline)
{
	return baseline->processes.cut + baseline->cgroups.cut;
}

/* --- who is there ------------------------------------------------------------------------------------------------------ */

/* A walk along the table beside the snapshot's rows, both by key. */
struct walk {
	struct table *table;
	uint32_t at, kept;
};

static void let_go(struct table *table, uint16_t slot)
{
	table->free[table->free_count++] = slot;
}

static struct known *take(struct walk *walk, uint64_t key, uint64_t start_ns)
{
	struct table *table = walk->table;
	while (walk->at < table->count && row_at(table, table->order[walk->at])->key < key)
		let_go(table, table->order[walk->at++]);
	if (walk->at < table->count) {
		uint16_t slot = table->order[walk->at];
		struct known *known = row_at(table, slot);
		if (known->key == key) {
			walk->at++;
			if (known->start_ns == start_ns) {
				table->next[walk->kept++] = slot;
				return known;
			}
			let_go(table, slot); /* the pid is another process' now */
		}
	}
	if (!table->free_count) {
		table->cut++;
		return NULL;
	}
	uint16_t slot = table->free[--table->free_count];
	struct known *known = row_at(table, slot);
	memset(known, 0, table->stride);
	known->key = key;
	known->start_ns = start_ns;
	for (uint32_t use = 0; use < table->uses; use++)
		known->tracks[use].last = UNKNOWN;
	table->next[walk->kept++] = slot;
	return known;
}

static void end_walk(struct walk *walk)
{
	struct table *table = walk->table;
	while (walk->at < table->count)
		let_go(table, table->order[walk->at++]);
	uint16_t *order = table->order;
	table->order = table->next;
	table->next = order;
	table->count = walk->kept;
}

/* --- taking a figure --------------------------------------------------------------------------------------------------- */

struct moment_of_use {
	uint64_t at_ns;
	double seconds;         /* since the last tick; 0: that was too long ago to say */
	double keep;            /* what a decayed figure keeps of itself over it */
	bool born;              /* since the last tick: its counters began at zero then */
};

/* Twice a rate, a tenth more of a level: what is held grows slowly and does not come back by itself. */
static void note_rise(struct track *track, double factor, uint64_t at_ns)
{
	bool high = (double)track->now > factor * (double)track->base;
	track->risen_ns = !high ? 0 : track->risen_ns ? track->risen_ns : at_ns;
}

static void note(struct known *known, enum use use, uint64_t value, const struct moment_of_use *moment)
{
	struct track *track = &known->tracks[use];
	if (value == UNKNOWN)
		return;
	if (is_level(use)) {
		track->now = (float)value;
		track->sum += (double)value * moment->seconds;
		track->last = value;
		note_rise(track, 1.1, moment->at_ns);
		return;
	}

	uint64_t last = track->last == UNKNOWN ? (moment->born ? 0 : value) : track->last;
	double delta = value > last ? (double)(value - last) : 0;
	track->last = value;
	if (moment->seconds <= 0)
		return;
	double weight = known->now_weight * moment->keep;
	track->now = (float)(((double)track->now * weight + delta) / (weight + moment->seconds));
	track->sum += delta;
	note_rise(track, 2, moment->at_ns);
}

static void end_moment(struct known *known, const struct moment_of_use *moment)
{
	known->now_weight = known->now_weight * moment->keep + moment->seconds;
}

static uint64_t add_known(uint64_t a, uint64_t b)
{
	return a == UNKNOWN ? b : b == UNKNOWN ? a : a + b;
}

static uint64_t flow_bytes(const struct socket_counts *counts)
{
	uint64_t bytes = 0;
	for (uint32_t flow = 0; flow < SOCKET_FLOW_COUNT; flow++)
		bytes += counts->bytes[flow];
	return bytes;
}

static void note_common(struct known *known, const union usage *used, uint64_t threads, const struct moment_of_use *moment)
{
	note(known, USE_CPU, used->cpu_ns, moment);
	note(known, USE_READ, used->read_bytes, moment);
	note(known, USE_WRITTEN, used->written_bytes, moment);
	note(known, USE_SWITCHES, used->voluntary_switches + used->involuntary_switches, moment);
	note(known, USE_WAIT, used->run_delay_ns, moment);
	note(known, USE_TASKS, threads, moment);
}

static void take_processes(struct baseline *baseline, const struct snapshot *snap, const struct moment_of_use *common, uint64_t last_ns)
{
	struct walk walk = { .table = &baseline->processes };
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		struct known *known = take(&walk, (uint64_t)process->pid, process->start_ns);
		if (!known)
			continue;
		struct moment_of_use moment = *common;
		moment.born = last_ns && process->start_ns >= last_ns;
		note_common(known, &process->used, process->threads, &moment);
		note(known, USE_MEMORY, process->rss_bytes, &moment);
		note(known, USE_FILES, process->files == FILES_UNKNOWN ? UNKNOWN : process->files, &moment);
	}
	end_walk(&walk);

	const struct socket_section *sockets = &snap->sockets;
	for (uint32_t i = 0; i < sockets->count; i++) {
		const struct socket_process *row = &sockets->each[i];
		struct known *known = find(&baseline->processes, (uint64_t)row->pid);
		if (known && known->start_ns == row->start_ns)
			note(known, USE_NETWORK, flow_bytes(&row->counts), common);
	}
	for (uint32_t i = 0; i < baseline->processes.count; i++)
		end_moment(row_at(&baseline->processes, baseline->processes.order[i]), common);
}

/* --- cgroups: what other sections have of them -------------------------------------------------------------------------- */

static uint32_t slot_of(const struct table *table, const struct known *known)
{
	return (uint32_t)((size_t)((const char *)known - table->rows) / table->stride);
}

static void clear_sums(struct table *table)
{
	for (uint32_t i = 0; i < table->count; i++)
		table->sums[table->order[i]] = UNKNOWN;
}

static void add_sum(struct table *table, uint64_t cgroup_id, uint64_t value)
{
	const struct known *known = cgroup_id ? find(table, cgroup_id) : NULL;
	if (known)
		table->sums[slot_of(table, known)] = add_known(table->sums[slot_of(table, known)], value);
}

static void note_sums(struct table *table, enum use use, const struct moment_of_use *moment)
{
	for (uint32_t i = 0; i < table->count; i++)
		note(row_at(table, table->order[i]), use, table->sums[table->order[i]], moment);
}

static void note_of(struct table *table, enum use use, uint64_t cgroup_id, uint64_t value, const struct moment_of_use *moment)
{
	struct known *known = find(table, cgroup_id);
	if (known)
		note(known, use, value, moment);
}

/* No hook tells of an inode that is made; these calls are the ways to one. Opening what is there is among them, and cancels in a change. */
static bool makes_names(uint16_t nr)
{
	static const uint16_t calls[] = {
#ifdef SYS_open
		SYS_open, SYS_creat, SYS_mkdir, SYS_mknod, SYS_link, SYS_symlink,
#endif
		SYS_openat, SYS_openat2, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat,
	};
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

static void take_disks(struct table *table, const struct snapshot *snap, const struct moment_of_use *moment)
{
	clear_sums(table);
	for (uint32_t i = 0; i < snap->block_groups.count; i++)
		add_sum(table, snap->block_groups.each[i].cgroup_id, snap->block_groups.each[i].device_ns);
	note_sums(table, USE_DISK, moment);

	clear_sums(table);
	for (uint32_t i = 0; i < snap->syscall_cgroups.count; i++) {
		const struct syscall_cgroup_row *row = &snap->syscall_cgroups.each[i];
		if (row->abi == SYSCALL_ABI_64 && makes_names(row->nr))
			add_sum(table, row->cgroup_id, row->count - row->errors);
	}
	note_sums(table, USE_CALLS, moment);
}

static void take_sections(struct table *table, const struct snapshot *snap, const struct moment_of_use *moment)
{
	for (uint32_t i = 0; i < snap->socket_cgroups.count; i++)
		note_of(table, USE_NETWORK, snap->socket_cgroups.each[i].id, flow_bytes(&snap->socket_cgroups.each[i].counts), moment);
	for (uint32_t i = 0; i < snap->sched.count; i++) {
		const struct blame_group *group = &snap->sched.each[i];
		note_of(table, USE_BLOCKED, group->cgroup_id, group->sums.ns[BLAME_BLOCK_IO], moment);
		note_of(table, USE_THROTTLED, group->cgroup_id, group->sums.ns[BLAME_THROTTLED], moment);
		note_of(table, USE_FUTEX, group->cgroup_id, group->sums.ns[BLAME_FUTEX], moment);
	}
	for (uint32_t i = 0; i < snap->reclaim.count; i++) {
		const struct stalled_cgroup *stalled = &snap->reclaim.each[i];
		note_of(table, USE_STALLED_NODE, stalled->id, stalled->stalls.of[STALL_RECLAIM_NODE].ns, moment);
		note_of(table, USE_STALLED_LIMIT, stalled->id, stalled->stalls.of[STALL_RECLAIM_LIMIT].ns, moment);
	}
	for (uint32_t i = 0; i < snap->pagecache.count; i++)
		note_of(table, USE_FILLED, snap->pagecache.each[i].id, snap->pagecache.each[i].use.filled_bytes, moment);
}

static void take_cgroups(struct baseline *baseline, const struct snapshot *snap, const struct moment_of_use *common, bool first)
{
	struct table *table = &baseline->cgroups;
	struct walk walk = { .table = table };
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		bool born = !first && !find(table, cgroup->id);
		struct known *known = take(&walk, cgroup->id, 0);
		if (!known)
			continue;
		struct moment_of_use moment = *common;
		moment.born = born;
		note_common(known, &cgroup->used, cgroup->threads, &moment);
		note(known, USE_MEMORY, cgroup->memory_current < cgroup->rss_bytes ? cgroup->memory_current : cgroup->rss_bytes, &moment);
		note(known, USE_FILES, cgroup->files, &moment);
		note(known, USE_FORKS, cgroup->lives.forks, &moment);
	}
	end_walk(&walk);

	take_disks(table, snap, common);
	take_sections(table, snap, common);
	for (uint32_t i = 0; i < table->count; i++)
		end_moment(row_at(table, table->order[i]), common);
}

/* --- blocks ------------------------------------------------------------------------------------------------------------ */

/* Of an even number the smaller of the middle two: half of the time is not yet what one is used to. */
static float median_of(const float *values, uint32_t count)
{
	float sorted[BLOCKS];
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = i;
		for (; at > 0 && sorted[at - 1] > values[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = values[i];
	}
	return count ? sorted[(count - 1) / 2] : 0;
}

static void close_block(struct table *table, uint32_t number, double seconds)
{
	uint32_t count = number + 1 < BLOCKS ? number + 1 : BLOCKS;
	for (uint32_t i = 0; i < table->count; i++) {
		struct known *known = row_at(table, table->order[i]);
		for (uint32_t use = 0; use < table->uses; use++) {
			struct track *track = &known->tracks[use];
			track->blocks[number % BLOCKS] = (float)(track->sum / seconds);
			track->sum = 0;
			track->base = median_of(track->blocks, count);
		}
	}
}

static void turn_block(struct baseline *baseline, uint64_t now_ns)
{
	uint64_t length = baseline->block_count < 6 ? FIRST_BLOCK_NS : BLOCK_NS;
	if (now_ns - baseline->block_since_ns < length || baseline->block_seconds <= 0)
		return;
	close_block(&baseline->processes, baseline->block_count, baseline->block_seconds);
	close_block(&baseline->cgroups, baseline->block_count, baseline->block_seconds);
	baseline->block_count++;
	baseline->block_since_ns = now_ns;
	baseline->block_seconds = 0;
}

void baseline_tick(struct baseline *baseline, const struct snapshot *snap)
{
	bool first = baseline->ticked_ns == 0;
	uint64_t passed = first ? 0 : snap->boot_ns - baseline->ticked_ns;
	bool measured = passed > 0 && passed <= 3 * snap->interval_ns;
	double seconds = measured ? (double)passed / (double)NSEC_PER_SEC : 0;
	struct moment_of_use moment = { .at_ns = snap->boot_ns, .seconds = seconds, .keep = exp2(-(double)passed / (double)NOW_HALF_LIFE_NS) };

	take_processes(baseline, snap, &moment, measured ? baseline->ticked_ns : 0);
	take_cgroups(baseline, snap, &moment, first);
	baseline->block_seconds += seconds;
	if (first)
		baseline->block_since_ns = snap->boot_ns;
	baseline->ticked_ns = snap->boot_ns;
	turn_block(baseline, snap->boot_ns);
}
