/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup of one run of a command: made for it alone, limited, emptied, removed; and those that a dead runner left. */
#ifndef NODEMEND_REMEDIES_COMMAND_GROUP_H
#define NODEMEND_REMEDIES_COMMAND_GROUP_H

#include "remedies/group.h"

struct command_group {
	struct group group;       /* .fd -1: there is none */
	char name[NAME_LEN];
	bool limits_memory;
};

/* 0; or -errno, where this node has no v2 hierarchy or none that we may write to. */
int command_group_make(uint64_t memory_max, uint32_t tasks_max, struct command_group *ret);
uint32_t command_group_members(const struct command_group *group);
/* Kills all of it, waits until it is empty, and removes it. 0; -EBUSY: somebody in it does not die. */
int command_group_end(struct command_group *group);
uint32_t command_groups_sweep(void);

#endif
