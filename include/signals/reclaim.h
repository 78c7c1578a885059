/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Stalls of tasks that had to find memory themselves before they could go on. */
#ifndef NODEMEND_SIGNALS_RECLAIM_H
#define NODEMEND_SIGNALS_RECLAIM_H

#include "histogram.h"

enum stall_kind {
	STALL_RECLAIM_NODE,          /* direct reclaim: the node (or a zone of it) was short */
	STALL_RECLAIM_LIMIT,         /* the task's cgroup, or one above it, was at its own limit; the node need not be short */
	STALL_COMPACTION,            /* moving pages for a run of free ones; a zone each */
	STALL_KINDS,
};

struct stall {
	__u64 count, ns, pages;      /* pages reclaimed; 0 for compaction */
};

struct stalls { struct stall of[STALL_KINDS]; };

/* Of the node; in the kernel one a kind. */
struct stall_node {
	struct stall sums;
	struct histogram latency;
};

enum reclaim_count { RECLAIM_KSWAPD_WAKES, RECLAIM_LOST_STARTS, RECLAIM_LOST_CGROUPS, RECLAIM_COUNTS };

#ifndef __bpf__
#include <stdint.h>

enum { MAX_STALLED = 1536 };        /* the kernel's 1024, and some whose cgroup has gone quiet there */

struct stalled_cgroup {
	uint64_t id;
	struct stalls stalls;
};

struct reclaim_section {
	uint64_t measured_ns;
	uint64_t kswapd_wakes;
	struct stall_node node[STALL_KINDS];
	uint32_t count;
	struct stalled_cgroup each[MAX_STALLED]; /* by id, ascending; those that ever stalled */
};
#endif

#endif
