/* SPDX-License-Identifier: Apache-2.0 */
/* See leak.h. */
#include "detect/leak.h"

#include <stdlib.h>
#include <string.h>

enum {
	WATCHED = 64,
	BLOCKS = 36,                 /* of five minutes: three hours */
	BLOCK_MINUTES = 5,
	GAP_MINUTES = 2 * BLOCK_MINUTES,
	RUN_BLOCKS = 13,             /* twelve intervals: an hour without giving back, before anything is said */
	OLD_MINUTES = 30,            /* who has not grown for so long gives its place to one that does */
};

/* How much there must be, and how much it must have grown by, to be worth a place and a word. */
static const struct { float least, grown; } figures[LEAK_FIGURES] = {
	[LEAK_MEMORY] = { 32 << 20, 16 << 20 }, [LEAK_FILES] = { 64, 32 }, [LEAK_THREADS] = { 32, 16 },
};
/* …and at least by this share of what there was: a database of 20 GiB moves by some MiB. */
#define GROWN_SHARE 0.05f
/* The second half of the run against the first: what slows down fills a cache. */
#define SLOWING 0.5f

struct watched {
	int32_t pid;                 /* 0: free */
	uint64_t start_ns, cgroup_id;
	char comm[COMM_LEN];
	uint32_t minute, count;      /* of the block under way; blocks that were closed */
	float floor[LEAK_FIGURES], now[LEAK_FIGURES];
	float blocks[LEAK_FIGURES][BLOCKS];
};

_Static_assert(LEAK_RUN_NS == RUN_BLOCKS * BLOCK_MINUTES * 60 * NSEC_PER_SEC, "as long as its blocks take");

struct leak_watch {
	uint64_t folded, since_ns;
	uint32_t minute;             /* of the last look */
	struct watched each[WATCHED];
};

struct leak_watch *leak_watch_new(void)
{
	return calloc(1, sizeof(struct leak_watch));
}

void leak_watch_free(struct leak_watch *watch)
{
	free(watch);
}

static void read_figures(const struct process *process, float ret[LEAK_FIGURES])
{
	ret[LEAK_MEMORY] = (float)(process->rss_bytes + process->swap_bytes); /* what was swapped out was not given back */
	ret[LEAK_FILES] = process->files == FILES_UNKNOWN ? 0 : (float)process->files;
	ret[LEAK_THREADS] = (float)process->threads;
}

/* --- who is followed --------------------------------------------------------------------------------------------------- */

static float block_ago(const struct watched *watched, enum leak_figure figure, uint32_t ago)
{
	return watched->blocks[figure][(watched->count - 1 - ago) % BLOCKS];
}

/* Blocks back from now in which the floor never fell. */
static uint32_t run_of(const struct watched *watched, enum leak_figure figure)
{
	uint32_t have = watched->count < BLOCKS ? watched->count : BLOCKS, run = have ? 1 : 0;
	while (run < have && block_ago(watched, figure, run) <= block_ago(watched, figure, run - 1))
		run++;
	return run;
}

static float grown_by(const struct watched *watched, enum leak_figure figure)
{
	uint32_t run = run_of(watched, figure);
	return run < 2 ? 0 : block_ago(watched, figure, 0) - block_ago(watched, figure, run - 1);
}

/* How much it deserves its place: what it grew by, in units of what is worth a word. */
static float worth(const struct watched *watched)
{
	float best = 0;
	for (enum leak_figure figure = 0; figure < LEAK_FIGURES; figure++) {
		float score = grown_by(watched, figure) / figures[figure].grown;
		best = score > best ? score : best;
	}
	return best;
}

static struct watched *find(struct leak_watch *watch, const struct process *process)
{
	for (uint32_t i = 0; i < WATCHED; i++)
		if (watch->each[i].pid == process->pid && watch->each[i].start_ns == process->start_ns)
			return &watch->each[i];
	return NULL;
}

/* A free place, or that of one that was given its time and did not grow. */
static struct watched *find_place(struct leak_watch *watch)
{
	struct watched *idle = NULL;
	for (uint32_t i = 0; i < WATCHED; i++) {
		struct watched *watched = &watch->each[i];
		if (!watched->pid)
			return watched;
		if (!idle && watched->count >= OLD_MINUTES / BLOCK_MINUTES && worth(watched) <= 0)
			idle = watched;
	}
	return idle;
}

static void add_minute(struct watched *watched, const float now[LEAK_FIGURES], uint32_t minute)
{
	if (minute / BLOCK_MINUTES != watched->minute / BLOCK_MINUTES) {
		for (enum leak_figure figure = 0; figure < LEAK_FIGURES; figure++) {
			watched->blocks[figure][watched->count % BLOCKS] = watched->floor[figure];
			watched->floor[figure] = now[figure];
		}
		/* A gap longer than a block: before it and after it is not one run. */
		watched->count = minute - watched->minute > GAP_MINUTES ? 0 : watched->count + 1;
	}
	watched->minute = minute;
	for (enum leak_figure figure = 0; figure < LEAK_FIGURES; figure++) {
		watched->floor[figure] = now[figure] < watched->floor[figure] ? now[figure] : watched->floor[figure];
		watched->now[figure] = now[figure];
	}
}

static bool worth_following(const struct process *process, const float now[LEAK_FIGURES])
{
	for (enum leak_figure figure = 0; figure < LEAK_FIGURES; figure++)
		if (now[figure] >= figures[figure].least)
			return !process->kernel_thread;
	return false;
}

void leak_look(struct leak_watch *watch, const struct snapshot *snap, uint32_t minute)
{
	if (!watch->since_ns || minute - watch->minute > GAP_MINUTES)
		watch->since_ns = snap->boot_ns;
	watch->minute = minute;
	for (uint32_t i = 0; i < WATCHED; i++) {
		struct watched *watched = &watch->each[i];
		const struct process *process = watched->pid ? snapshot_process(snap, watched->pid) : NULL;
		if (watched->pid && (!process || process->start_ns != watched->start_ns))
			memset(watched, 0, sizeof(*watched));
	}

	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		float now[LEAK_FIGURES];
		read_figures(process, now);
		if (!worth_following(process, now))
			continue;
		struct watched *watched = find(watch, process);
		if (!watched) {
			watched = find_place(watch);
			if (!watched) {
				watch->folded++;
				continue;
			}
			*watched = (struct watched){ .pid = process->pid, .start_ns = process->start_ns, .minute = minute };
			memcpy(watched->floor, now, sizeof(now));
		}
		watched->cgroup_id = process->cgroup_id;
		memcpy(watched->comm, process->comm, sizeof(watched->comm)); /* an exec changes it */
		add_minute(watched, now, minute);
	}
}

/* --- what is said ------------------------------------------------------------------------------------------------------ */

static bool is_leak(const struct watched *watched, enum leak_figure figure, uint32_t run)
{
	if (run < RUN_BLOCKS)
		return false;
	float first = block_ago(watched, figure, run - 1), middle = block_ago(watched, figure, run / 2), last = block_ago(watched, figure, 0);
	if (last - first < figures[figure].grown || last - first < GROWN_SHARE * first)
		return false;
	/* Also in each third of it: one step that stays is no leak. */
	float third = block_ago(watched, figure, run / 3), two_thirds = block_ago(watched, figure, run * 2 / 3);
	if (third >= last || two_thirds >= third || first >= two_thirds)
		return false;
	return last - middle >= SLOWING * (middle - first);
}

/* What is left until its limit: the process' own descriptors, the limit of its cgroup, or what the node has. */
static double room_of(const struct watched *watched, enum leak_figure figure, const struct snapshot *snap)
{
	const struct process *process = snapshot_process(snap, watched->pid);
	const struct cgroup *cgroup = snapshot_cgroup(snap, watched->cgroup_id);
	uint64_t limit = UNKNOWN, used = 0;
	if (figure == LEAK_FILES) {
		limit = process ? process->files_max : UNKNOWN;
		used = process ? process->files : 0;
	} else if (figure == LEAK_MEMORY) {
		limit = cgroup && cgroup->memory_max != UNKNOWN ? cgroup->memory_max : snap->memory.total;
		used = cgroup && cgroup->memory_max != UNKNOWN ? cgroup->memory_current : snap->memory.total - snap->memory.available;
	} else if (cgroup && cgroup->pids_max != UNKNOWN) {
		limit = cgroup->pids_max;
		used = cgroup->pids_current;
	}
	return limit == UNKNOWN || limit < used ? -1 : (double)(limit - used);
}

static void show_one(const struct watched *watched, enum leak_figure figure, uint32_t run, const struct snapshot *snap, struct leak_row *ret)
{
	double grown = grown_by(watched, figure), hours = (run - 1) * BLOCK_MINUTES / 60.0, room = room_of(watched, figure, snap);
	*ret = (struct leak_row){
		.pid = watched->pid, .start_ns = watched->start_ns, .cgroup_id = watched->cgroup_id, .figure = (uint8_t)figure,
		.now = (uint64_t)watched->now[figure], .grown = (uint64_t)grown, .per_hour = (uint64_t)(grown / hours),
		.run_ns = (uint64_t)(hours * 3600) * NSEC_PER_SEC, .exhausted_in_ns = UNKNOWN,
	};
	memcpy(ret->comm, watched->comm, sizeof(ret->comm));
	ret->comm[sizeof(ret->comm) - 1] = '\0';
	double left_hours = room / (grown / hours);
	if (room >= 0 && left_hours < 24 * 365)
		ret->exhausted_in_ns = (uint64_t)(left_hours * 3600 * (double)NSEC_PER_SEC);
}

void leak_show(const struct leak_watch *watch, const struct snapshot *snap, struct outlook_section *ret)
{
	ret->leak_count = 0;
	ret->processes_folded = watch->folded;
	ret->leaks_since_ns = watch->since_ns;
	for (uint32_t i = 0; i < WATCHED; i++)
		for (enum leak_figure figure = 0; figure < LEAK_FIGURES; figure++) {
			uint32_t run = run_of(&watch->each[i], figure);
			if (watch->each[i].pid && is_leak(&watch->each[i], figure, run) && ret->leak_count < MAX_LEAKS)
				show_one(&watch->each[i], figure, run, snap, &ret->leaks[ret->leak_count++]);
		}
}
