/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the outlook share: a capacity as the snapshot has it now, and a series as it is remembered. */
#ifndef NODEMEND_DETECT_OUTLOOK_SERIES_H
#define NODEMEND_DETECT_OUTLOOK_SERIES_H

#include "detect/forecast_fast.h"
#include "detect/forecast_series.h"
#include "detect/leak.h"
#include "detect/outlook.h"
#include "detect/sizing.h"

enum { MAX_CAPACITIES = 512 };

struct capacity {
	enum capacity_resource resource;
	const char *name;            /* into the snapshot; good for this tick */
	uint64_t identity;           /* changes when this is another one of the same name: a device, a start; 0: never */
	uint32_t dev, filesystem;    /* filesystem: index */
	int32_t pid;
	uint64_t start_ns, cgroup_id;
	uint64_t used, full;
};

/* Every capacity with a fresh figure, the node's own first. How many; *ret_cut: those that found no room. */
uint32_t capacity_list(const struct snapshot *snap, struct capacity ret[MAX_CAPACITIES], uint32_t *ret_cut);

/* The part that is kept. */
struct remembered {
	uint64_t key;                /* 0: free */
	uint64_t identity, full;
	struct rings rings;
};

struct followed {
	struct remembered kept;
	uint64_t seen_ns;            /* CLOCK_BOOTTIME; 0: not since the start */
	bool restored;               /* its history is from before the start */
	bool stale;                  /* a minute was closed and not asked about yet */
	uint64_t estimated_ns, fast_ns;
	struct estimate estimate;
	uint64_t fast_left_ns;
	uint32_t fast_agreeing;
	struct fast_ring fast;
};

struct outlook {
	int64_t offset_ns;           /* boot time + this is the clock of the rings: wall time at the start, and it does not step */
	bool begun;
	uint64_t restored_ns;        /* when what was remembered was taken back; 0: nothing was */
	uint32_t minute;             /* of the last look at processes and cgroups */
	uint32_t turn;               /* whose estimate is next */
	uint64_t folded, state_dropped;
	struct leak_watch *leaks;
	struct sizer *sizer;
	struct forecast_work work;
	struct fast_work fast_work;
	struct capacity capacities[MAX_CAPACITIES];
	struct followed *of[MAX_CAPACITIES]; /* NULL: it found no room */
	struct followed each[MAX_OUTLOOK];
};

#endif
