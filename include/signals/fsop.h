/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Operations of filesystems with a beginning and an end that can be seen: how often, how long, by filesystem and by cgroup. */
#ifndef NODEMEND_SIGNALS_FSOP_H
#define NODEMEND_SIGNALS_FSOP_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#include "histogram.h"

/* The first four are system calls, on any filesystem; msync names memory, not a file, so it has no filesystem. */
enum fsop {
	FSOP_FSYNC, FSOP_FDATASYNC, FSOP_SYNC_FILE_RANGE, FSOP_MSYNC,
	FSOP_DIRECT_READ, FSOP_DIRECT_WRITE,
	FSOP_UNLINK, FSOP_TRUNCATE, FSOP_FALLOCATE, FSOP_WRITEPAGES,
	FSOP_LOOKUP, FSOP_GETATTR, FSOP_COUNT,
};

struct fsop_key {
	__u32 dev;                      /* of the super block: major << 20 | minor; 0: none */
	__u32 op;
};

/* Not per CPU: these take microseconds to seconds, and a histogram has 2 KB. */
struct fsop_counts {
	__u64 count, errors, total_ns;
	struct histogram latency;
};

struct fsop_group_key {
	__u64 cgroup_id;
	__u64 op;
};

struct fsop_group_counts {
	__u64 total_ns, count;
};

/* `actor`: the thread, or for direct I/O, which may end in another's time, the request. */
struct fsop_call_key {
	__u64 actor;
	__u64 op;
};

struct fsop_call {
	__u64 start_ns;
	__u64 cgroup_id;
	__u32 dev, unused;
};

/* A start without a row: the operation is in no figure; a row for its filesystem; for its cgroup. */
enum fsop_loss { FSOP_LOSS_START, FSOP_LOSS_FILESYSTEM, FSOP_LOSS_GROUP, FSOP_LOSS_COUNT };

#ifndef __bpf__

#include <stdbool.h>
#include <stdint.h>

enum { MAX_FSOPS = 256, MAX_FSOP_GROUPS = 2048 + FSOP_COUNT };

struct fsop_stat {
	uint32_t dev, op;
	struct fsop_counts counts;      /* since the agent started */
};

struct fsop_section {
	uint64_t measured_ns;
	bool has_histograms;            /* this deep; else those of counts are to be left out */
	uint32_t count, cut;
	struct fsop_stat each[MAX_FSOPS]; /* by (dev, op), ascending */
};

/* cgroup_id 0: what has no row of its own (any more). The rows of one op add up to its fsop_stats. */
struct fsop_group {
	uint64_t cgroup_id;
	uint32_t op;
	uint64_t count, total_ns;
};

struct fsop_group_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct fsop_group each[MAX_FSOP_GROUPS];
};

extern const char *const fsop_names[FSOP_COUNT];

#endif
#endif
