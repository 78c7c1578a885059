/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows of the long tables get series of their own: the largest by processor time, by memory and by writing, in turn,
 * until the bound is reached. What is left out is counted.
 */
#include <stdlib.h>

#include "publish/metric.h"

enum { RANKINGS = 3 };

struct ranking {
	uint32_t count;
	struct { uint64_t key; uint32_t row; } each[SHOWN_MAX]; /* largest first */
};

/* Keeps the `most` largest; rows of nothing are not worth a name. */
static void ranking_offer(struct ranking *ranking, uint32_t most, uint64_t key, uint32_t row)
{
	if (!key || key == UNKNOWN || (ranking->count == most && key <= ranking->each[most - 1].key))
		return;

	uint32_t at = ranking->count < most ? ranking->count++ : most - 1;
	for (; at && ranking->each[at - 1].key < key; at--)
		ranking->each[at] = ranking->each[at - 1];
	ranking->each[at].key = key;
	ranking->each[at].row = row;
}

static bool contains(const uint32_t *rows, uint32_t count, uint32_t row)
{
	for (uint32_t i = 0; i < count; i++)
		if (rows[i] == row)
			return true;
	return false;
}

static int compare_rows(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

/* The first of each ranking, then the second of each, … */
static uint32_t merge(const struct ranking rankings[RANKINGS], uint32_t most, uint32_t *rows)
{
	uint32_t count = 0;
	for (uint32_t place = 0; place < most; place++) {
		for (int r = 0; r < RANKINGS && count < most; r++) {
			if (place < rankings[r].count && !contains(rows, count, rankings[r].each[place].row))
				rows[count++] = rankings[r].each[place].row;
		}
	}
	qsort(rows, count, sizeof(rows[0]), compare_rows);
	return count;
}

static void add(union usage *to, const union usage *more)
{
	for (int i = 0; i < USAGE_COUNT; i++)
		to->each[i] += more->each[i];
}

/* Both tables are gone through in ascending order, the shown beside them. */
static void sum_other_processes(struct shown *shown, const struct process_section *section)
{
	shown->other_processes = (union usage){ .each = { 0 } };
	for (uint32_t i = 0, next = 0; i < section->count; i++) {
		if (next < shown->process_count && shown->processes[next] == i)
			next++;
		else
			add(&shown->other_processes, &section->each[i].used);
	}
}

static void sum_other_cgroups(struct shown *shown, const struct cgroup_section *section)
{
	shown->other_cgroups = section->rest_used;
	shown->other_lives = section->rest_lives;
	for (uint32_t i = 0, next = 0; i < section->count; i++) {
		if (next < shown->cgroup_count && shown->cgroups[next] == i) {
			next++;
			continue;
		}
		add(&shown->other_cgroups, &section->each[i].used);
		for (int word = 0; word < LIVES_COUNT; word++)
			shown->other_lives.each[word] += section->each[i].lives.each[word];
	}
}

void shown_choose(struct shown *shown, const struct snapshot *snap, uint32_t most)
{
	struct ranking rankings[RANKINGS];
	most = most < SHOWN_MAX ? most : SHOWN_MAX;

	for (int r = 0; r < RANKINGS; r++)
		rankings[r].count = 0;
	for (uint32_t i = 0; most && i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		ranking_offer(&rankings[0], most, process->cpu_recent_ns, i);
		ranking_offer(&rankings[1], most, process->rss_bytes, i);
		ranking_offer(&rankings[2], most, process->written_delta_bytes, i);
	}
	shown->process_count = merge(rankings, most, shown->processes);
	sum_other_processes(shown, &snap->processes);
	shown->folded_processes += snap->processes.count - shown->process_count;

	for (int r = 0; r < RANKINGS; r++)
		rankings[r].count = 0;
	for (uint32_t i = 0; most && i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->path[0])
			continue; /* nameless as yet: two of these would be one series */
		ranking_offer(&rankings[0], most, cgroup->cpu_recent_ns, i);
		ranking_offer(&rankings[1], most, cgroup->rss_bytes, i);
		ranking_offer(&rankings[2], most, cgroup->written_recent_bytes, i);
	}
	shown->cgroup_count = merge(rankings, most, shown->cgroups);
	sum_other_cgroups(shown, &snap->cgroups);
	shown->folded_cgroups += snap->cgroups.count - shown->cgroup_count;

	shown->writers = snap->writers.count < most ? snap->writers.count : most;
	shown->folded_writers += snap->writers.count - shown->writers;
}

const struct cgroup *context_shown_cgroup(const struct metric_context *context, uint64_t id)
{
	const struct shown *shown = context->shown;
	const struct cgroup *cgroup = id ? snapshot_cgroup(context->snap, id) : NULL;

	if (!cgroup)
		return NULL;
	uint32_t row = (uint32_t)(cgroup - context->snap->cgroups.each);
	return bsearch(&row, shown->cgroups, shown->cgroup_count, sizeof(row), compare_rows) ? cgroup : NULL;
}
