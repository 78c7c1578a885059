/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each process and each cgroup is used to: the median of its last ten minutes, resource by resource, beside what it uses now. That
 * is what a change is measured against, so that the one who is large and steady is not taken for the cause. Pure: fed with snapshots.
 *
 * A newcomer has used nothing before it came, and that counts: its median stays at zero until half of the ten minutes are its own.
 */
#ifndef NODEMEND_DETECT_BASELINE_H
#define NODEMEND_DETECT_BASELINE_H

#include "snapshot.h"

/* Rates are a second's worth; what is a level says so. */
enum use {
	USE_CPU,          /* ns */
	USE_MEMORY,       /* level, bytes: resident; of a cgroup the smaller of its members' sum and its controller's figure */
	USE_READ,         /* bytes, of block devices */
	USE_WRITTEN,      /* bytes, made dirty */
	USE_NETWORK,      /* bytes, both ways */
	USE_FILES,        /* level: open descriptors */
	USE_TASKS,        /* level: threads */
	USE_SWITCHES,     /* of both kinds */
	USE_WAIT,         /* ns its threads were runnable and did not run */
	USE_OF_PROCESS,
	USE_FORKS = USE_OF_PROCESS, /* from here on of cgroups alone */
	USE_DISK,         /* ns that its requests were with the devices */
	USE_BLOCKED,      /* ns its threads waited for block I/O */
	USE_THROTTLED,    /* ns its threads were held by the quota of their own cgroup */
	USE_STALLED_NODE, /* ns in direct reclaim because the node was short */
	USE_STALLED_LIMIT, /* … because its own limit was reached */
	USE_FUTEX,        /* ns its threads waited for a lock */
	USE_FILLED,       /* bytes brought into the page cache for it */
	USE_CALLS,        /* calls that may give a new file its name, and that succeeded */
	USE_COUNT,
};

struct usage_view {
	double now, base;   /* decayed over some seconds; the median of the last ten minutes */
	uint64_t risen_ns;  /* since when it has been well above what it is used to; 0: it is not */
	bool has_base;      /* false: too little is known yet; base is 0 */
};

struct baseline;
struct baseline *baseline_new(void); /* NULL: no memory; all it will ever need */
void baseline_free(struct baseline *baseline);
/* A full tick's snapshot. One that comes long after the last (a suspend, a stopped agent) is no measurement of the time between. */
void baseline_tick(struct baseline *baseline, const struct snapshot *snap);
/* False: nothing is known of it. `baseline` may be NULL. */
bool baseline_process(const struct baseline *baseline, int32_t pid, uint64_t start_ns, enum use use, struct usage_view *ret);
bool baseline_cgroup(const struct baseline *baseline, uint64_t cgroup_id, enum use use, struct usage_view *ret);
/* Newcomers that found no room, since the start. */
uint64_t baseline_cut(const struct baseline *baseline);

#endif
