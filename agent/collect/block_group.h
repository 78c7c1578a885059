/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger of block I/O by (cgroup, disk, operation, source): kernel rows made into rows that never fall and add up to all. */
#ifndef NODEMEND_COLLECT_BLOCK_GROUP_H
#define NODEMEND_COLLECT_BLOCK_GROUP_H

#include "collect/bpf.h"

struct block_groups;

struct block_groups *block_groups_new(void); /* NULL without memory */
void block_groups_free(struct block_groups *groups); /* NULL is fine */
/* Fills snap->block_groups, retires the rows of cgroups that are gone, and keeps room in the kernel's table `fd`. */
int block_groups_collect(struct block_groups *groups, const struct object_walk *walk, int fd, struct snapshot *snap);
void block_groups_forget_device(struct block_groups *groups, int fd, uint32_t dev);
uint64_t block_groups_cut(const struct block_groups *groups);

#endif
