/* SPDX-License-Identifier: Apache-2.0 */
/* See group_table.h. */
#include "collect/group_table.h"

#include <stdlib.h>
#include <string.h>

static uint64_t above(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* --- groups ----------------------------------------------------------------------------------------------------------- */

static int compare_group(const void *key, const void *group_)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct group *)group_)->id;
	return (id > other) - (id < other);
}

struct group *group_find(struct group_table *table, uint64_t id)
{
	return bsearch(&id, table->groups, table->count, sizeof(table->groups[0]), compare_group);
}

struct group *group_find_or_add(struct group_table *table, uint64_t id)
{
	struct group *group = group_find(table, id);
	uint32_t at = table->count;

	if (group || table->count == MAX_CGROUPS)
		return group;
	while (at && table->groups[at - 1].id > id)
		at--;
	memmove(&table->groups[at + 1], &table->groups[at], (table->count - at) * sizeof(table->groups[0]));
	table->groups[at] = (struct group){ .id = id };
	table->count++;
	return &table->groups[at];
}

void group_take_ended(struct group_table *table, uint64_t id, const struct cgroup_lives *lives, bool first)
{
	struct group *group = group_find_or_add(table, id);

	if (!group)
		return;
	if (first) /* what ended before we looked is nobody's news */
		group->ended_before = lives->ended;
	else if (memcmp(&group->lives, &lives->lives, sizeof(group->lives)) != 0 ||
		 memcmp(&group->ended, &lives->ended, sizeof(group->ended)) != 0)
		group->stirred = true;
	group->ended = lives->ended;
	group->lives = lives->lives;
}

void group_expect(struct group *group, const union usage *counted)
{
	for (int i = 0; i < USAGE_COUNT; i++)
		group->pending[i] -= (int64_t)counted->each[i];
}

/* --- rows ------------------------------------------------------------------------------------------------------------- */

struct cgroup *group_row(struct cgroup_section *section, uint64_t id)
{
	uint32_t low = 0, high = section->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (section->each[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < section->count && section->each[low].id == id ? &section->each[low] : NULL;
}

static struct cgroup fresh_row(uint64_t id)
{
	struct cgroup row = { .id = id, .files = UNKNOWN, .memory_current = UNKNOWN, .memory_max = UNKNOWN, .memory_low = UNKNOWN, .memory_file = UNKNOWN, .pids_current = UNKNOWN,
			      .pids_max = UNKNOWN, .memory_growth_bytes = INT64_MIN, .refaults = UNKNOWN };

	for (int i = 0; i < PSI_RESOURCE_COUNT; i++)
		row.some_ns[i] = row.full_ns[i] = UNKNOWN;
	return row;
}

static void add_row(struct cgroup_section *section, uint64_t id)
{
	uint32_t at = section->count;

	if (group_row(section, id))
		return;
	if (section->count == MAX_CGROUPS) {
		section->cut++;
		return;
	}
	while (at && section->each[at - 1].id > id)
		at--;
	memmove(&section->each[at + 1], &section->each[at], (section->count - at) * sizeof(section->each[0]));
	section->each[at] = fresh_row(id);
	section->count++;
}

void group_open_rows(struct group_table *table, struct cgroup_section *section, uint32_t count, uint64_t (*id_of)(const void *, uint32_t),
		     const void *from)
{
	uint64_t last = 0;

	section->cut = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t id = id_of(from, i);

		if (i && id == last)
			continue;
		last = id;
		add_row(section, id);
		(void)group_find_or_add(table, id); /* as many as rows: cut with them */
	}
	for (uint32_t i = 0; i < table->count; i++) {
		struct group *group = &table->groups[i];

		group->live = (union usage){ .each = { 0 } };
		if (group->stirred)
			add_row(section, group->id);
		group->stirred = false;
	}
	for (uint32_t i = 0; i < section->count; i++) {
		section->each[i].processes = section->each[i].threads = 0;
		section->each[i].rss_bytes = 0;
		section->each[i].rss_growth_bytes = 0;
	}
}

/* What ended counts as soon as it is more than had been counted of it while it lived. */
static union usage settle(struct group *group)
{
	union usage due = group->live;

	for (int i = 0; i < USAGE_COUNT; i++) {
		group->pending[i] += (int64_t)above(group->ended.each[i], group->ended_before.each[i]);
		if (group->pending[i] <= 0)
			continue;
		due.each[i] += (uint64_t)group->pending[i];
		group->pending[i] = 0;
	}
	group->ended_before = group->ended;
	return due;
}

static void add_usage(union usage *to, const union usage *more)
{
	for (int i = 0; i < USAGE_COUNT; i++)
		to->each[i] += more->each[i];
}

static void add_lives(union lives *to, const union lives *more)
{
	for (int i = 0; i < LIVES_COUNT; i++)
		to->each[i] += more->each[i];
}

static void forget(struct group_table *table, struct group *group)
{
	union usage due = settle(group);

	add_usage(&table->rest_used, &group->total);
	add_usage(&table->rest_used, &due);
	add_lives(&table->rest_lives, &group->lives);
	table->forgotten[table->forgotten_count++] = (struct forgotten){ .id = group->id, .ended = group->ended, .lives = group->lives };
}

static void fill_row(struct group *group, struct cgroup *row, uint64_t elapsed_ns, bool first, bool full)
{
	union usage due = settle(group);

	add_usage(&group->total, &due);
	row->used = group->total;
	row->lives = group->lives;
	if (first)
		group->cpu_full_ns = row->cpu_ns;
	row->cpu_recent_ns = decay_recent(row->cpu_recent_ns, elapsed_ns, first ? 0 : due.cpu_ns);
	row->written_recent_bytes = decay_recent(row->written_recent_bytes, elapsed_ns, first ? 0 : due.written_bytes);
	if (!full)
		return;
	row->cpu_delta_ns = row->cpu_ns - group->cpu_full_ns;
	group->cpu_full_ns = row->cpu_ns;
}

void group_fill_rows(struct group_table *table, struct cgroup_section *section, uint64_t elapsed_ns, bool first, bool full)
{
	uint32_t kept = 0;

	table->forgotten_count = 0;
	for (uint32_t i = 0; i < table->count; i++) {
		struct group *group = &table->groups[i];
		struct cgroup *row = group_row(section, group->id);

		if (!row) { /* its cgroup is gone, says who drops the rows */
			forget(table, group);
			continue;
		}
		fill_row(group, row, elapsed_ns, first, full);
		if (kept != i)
			table->groups[kept] = *group;
		kept++;
	}
	table->count = kept;
	section->rest_used = table->rest_used;
	section->rest_lives = table->rest_lives;
}

void group_take_last(struct group_table *table, uint32_t index, const struct cgroup_lives *last)
{
	const struct forgotten *known = &table->forgotten[index];

	for (int i = 0; i < USAGE_COUNT; i++)
		table->rest_used.each[i] += above(last->ended.each[i], known->ended.each[i]);
	for (int i = 0; i < LIVES_COUNT; i++)
		table->rest_lives.each[i] += above(last->lives.each[i], known->lives.each[i]);
}
