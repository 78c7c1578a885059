/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* What was asked of the page cache, and what it did not have. */
#ifndef NODEMEND_SIGNALS_PAGECACHE_H
#define NODEMEND_SIGNALS_PAGECACHE_H

#include "wire.h"

/*
 * Regular files only. Accessed: pages that reads covered, and file pages that faults asked for, a page each. Filled: what had to be
 * brought in for them, readahead with it, so that whoever reads on is charged with what was read for him; pages that a write made
 * are none.
 */
struct pagecache_use {
	__u64 accessed_bytes, filled_bytes;
};

/* Bytes that no cgroup has, for want of room, and how often that was. */
enum pagecache_count { PAGECACHE_ACCESSED, PAGECACHE_FILLED, PAGECACHE_LOST, PAGECACHE_COUNTS };

#ifndef __bpf__
#include <stdbool.h>
#include <stdint.h>

enum { MAX_CACHE_USERS = 2048 };

struct cache_user {
	uint64_t id;
	struct pagecache_use use;
};

struct pagecache_section {
	uint64_t measured_ns;
	bool tells_accesses;         /* the kernel says them from v6.12 on */
	struct pagecache_use node;
	uint32_t count;
	struct cache_user each[MAX_CACHE_USERS]; /* by cgroup id, ascending */
};
#endif

#endif
