/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the cgroups: what their living members used since the walk before, and what those that ended had used over their whole
 * lives, each nanosecond once in whatever order an end, a zombie and a reaping are seen. Rows that go leave what they had in the rest.
 */
#ifndef NODEMEND_COLLECT_GROUP_TABLE_H
#define NODEMEND_COLLECT_GROUP_TABLE_H

#include "snapshot.h"

struct group {
	uint64_t id;
	union usage ended, ended_before; /* of members that ended: as last read, as of the walk before; only grow */
	int64_t pending[USAGE_COUNT];    /* ended, less what was counted while they lived; below 0 an end is not told yet */
	union usage live;                /* of this walk */
	union usage total;
	union lives lives;
	uint64_t cpu_full_ns;            /* as of the last full tick */
	bool stirred;                    /* something was born or ended since the walk before */
};

struct forgotten {
	uint64_t id;
	union usage ended;
	union lives lives;
};

struct group_table {
	uint32_t count, forgotten_count;
	struct group groups[MAX_CGROUPS]; /* by id */
	struct forgotten forgotten[MAX_CGROUPS];
	union usage rest_used;
	union lives rest_lives;
};

struct group *group_find(struct group_table *table, uint64_t id);
/* NULL: no room. */
struct group *group_find_or_add(struct group_table *table, uint64_t id);
void group_take_ended(struct group_table *table, uint64_t id, const struct cgroup_lives *lives, bool first);
/* What was counted while it lived comes again with its end. */
void group_expect(struct group *group, const union usage *counted);

/* Makes the rows that are missing of those with members (`ids`, in any order, neighbours alike) and of those that stirred. */
void group_open_rows(struct group_table *table, struct cgroup_section *section, uint32_t count, uint64_t (*id_of)(const void *, uint32_t),
		     const void *from);
struct cgroup *group_row(struct cgroup_section *section, uint64_t id);
/* Brings the rows up to date and forgets the groups whose row was dropped. */
void group_fill_rows(struct group_table *table, struct cgroup_section *section, uint64_t elapsed_ns, bool first, bool full);
/* The last that the kernel knew of forgotten[index], as it was deleted there. */
void group_take_last(struct group_table *table, uint32_t index, const struct cgroup_lives *last);

#endif
