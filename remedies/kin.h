/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All processes of the node at one moment, and which of them belong to one that multiplies: its descendants, and, since those whose parents have
 * ended are init's children, whoever is in its session under the same name and user, and began after it, where that is to be seen. One table for the whole process; nothing is allocated.
 */
#ifndef NODEMEND_REMEDIES_KIN_H
#define NODEMEND_REMEDIES_KIN_H

#include "remedies/group.h"

enum { MAX_KIN = 16384 };

struct kin {
	int32_t pid, parent, session;
	uint32_t uid;               /* of /proc/PID: root's where it may not be dumped */
	uint64_t start_ns;          /* since boot */
	bool has_terminal, is_zombie, is_member;
	bool is_orphan;             /* of kin_first(): whoever began it has ended, and may have begun others before */
	bool is_running;            /* neither stopped nor in the midst of something that cannot be interrupted */
	bool is_leaving;            /* on its way out, or a zombie: it begets nobody any more */
	char comm[COMM_LEN];
};

struct kin_table {
	uint32_t count, members;
	struct kin each[MAX_KIN];   /* by pid */
};

/* Reads /proc. 0; -EOVERFLOW: more processes than are looked at; -errno. */
int kin_read(int proc_fd, struct kin_table *ret);
/* The same of one, now; gone is leaving. */
bool kin_is_leaving(int proc_fd, int32_t pid);
struct kin *kin_find(struct kin_table *table, int32_t pid);
/* The first of the same name, user and session above `pid`: who began it. A shell at a terminal began it for somebody and is no part of it. */
const struct kin *kin_first(struct kin_table *table, int32_t pid);
/* Marks the members by who is `first`, as kin_first() said it; it need not live any more. Who is leaving is none. */
void kin_mark(struct kin_table *table, const struct kin *first);
/* Marks those that are in the group. 0; as group_each(). */
int kin_mark_group(struct kin_table *table, const struct group *group);
/* How many members began after `since_ns` (since boot). */
uint32_t kin_born(const struct kin_table *table, uint64_t since_ns);

#endif
