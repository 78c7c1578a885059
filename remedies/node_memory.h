/* SPDX-License-Identifier: Apache-2.0 */
/* What the remedies for the node's memory as a whole have in common: its figures, watched for a while, and a file of /proc/sys that is written once. */
#ifndef NODEMEND_REMEDIES_NODE_MEMORY_H
#define NODEMEND_REMEDIES_NODE_MEMORY_H

#include "remedy.h"

enum { MAX_ORDERS_OF_BUDDY = 20 };

struct node_memory {
	uint64_t total_bytes, free_bytes, available_bytes, cached_bytes, shared_bytes, mapped_bytes, dirty_bytes, slab_bytes; /* reclaimable slabs */
	uint64_t scanned_pages;       /* by kswapd and by whoever had to: reclaim goes on where it grows */
	uint64_t compact_stalls, compact_fails;
	uint64_t blocks[MAX_ORDERS_OF_BUDDY]; /* free ones, by order, over all zones that programs get memory from */
	uint32_t orders;
};

/* `proc_fd`: /proc, or a tree that stands for it. -errno: a figure that a decision would hang on is not there. */
int node_memory_read(int proc_fd, struct node_memory *ret);
/* In blocks of at least this order. */
uint64_t node_memory_in_blocks(const struct node_memory *memory, uint32_t order);
/* Waits, but not beyond the request's deadline, so that something can be seen to grow. */
void node_memory_watch(const struct remedy_request *request, uint64_t ns);
/* The one write that is the act, ended at the request's deadline where the kernel lets it be. 0 or -errno. */
int node_memory_write(int proc_fd, const struct remedy_request *request, const char *file, const char *text);
/* 0; -ECANCELED: refused, since the last one was less than `every_ns` ago. `last_boot_ns` 0: there was none. */
int node_memory_not_again(const struct remedy_request *request, uint64_t last_boot_ns, uint64_t every_ns, struct remedy_result *result);

/* The two remedies, over a /proc of the caller's. */
typedef int node_memory_act(int proc_fd, const struct remedy_request *request, struct remedy_result *result);
node_memory_act drop_caches_in, compact_in;
/* Plan and apply of one of them, over this host's; and check: whether its `file` may be written. */
int node_memory_run(node_memory_act *act, const struct remedy_request *request, struct remedy_result *result);
int node_memory_check(const char *file, struct remedy_result *result);

#endif
