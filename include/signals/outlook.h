/* SPDX-License-Identifier: Apache-2.0 */
/* What will run out, when, and how much of it is needed: a row for each capacity of the node, and a size for each cgroup. */
#ifndef NODEMEND_SIGNALS_OUTLOOK_H
#define NODEMEND_SIGNALS_OUTLOOK_H

#include <stdbool.h>
#include <stdint.h>

enum {
	MAX_OUTLOOK = 192,           /* capacities that are followed */
	MAX_LEAKS = 16,              /* processes that are shown as leaking */
	MAX_SIZED = 256,             /* cgroups whose use is remembered */
	OUTLOOK_NAME_LEN = 256,
	OUTLOOK_COMM_LEN = 16,
};

enum capacity_resource {
	CAPACITY_FILESYSTEM,         /* bytes, as df counts them */
	CAPACITY_INODES,
	CAPACITY_MEMORY,             /* of the node: what is not MemAvailable */
	CAPACITY_SWAP,
	CAPACITY_PIDS,               /* of the node: threads, against the lower of pid_max and threads-max */
	CAPACITY_FILES,              /* of the node: open descriptors against file-max */
	CAPACITY_CONNTRACK,
	CAPACITY_CGROUP_MEMORY,      /* against its own limit */
	CAPACITY_CGROUP_PIDS,
	CAPACITY_PROCESS_FILES,      /* against the process' own limit */
	CAPACITY_COUNT,
};
extern const char *const capacity_names[CAPACITY_COUNT];
extern const char *const capacity_units[CAPACITY_COUNT]; /* "bytes" or "" */

/* From nothing to everything: of several windows the one that comes closest to a forecast is heard. */
enum evidence {
	EVIDENCE_SHORT,              /* too little history */
	EVIDENCE_NOT_RISING,         /* it does not rise: nothing to run out of */
	EVIDENCE_ERRATIC,            /* it rises, but not along any line */
	EVIDENCE_FAR,                /* it rises, too slowly to say when by as much as was seen */
	EVIDENCE_USUAL,              /* it rises, as it did before, to where it has been before */
	EVIDENCE_ENOUGH,             /* a time, and its range */
	EVIDENCE_FULL,               /* it is full now */
	EVIDENCE_COUNT,
};
extern const char *const evidence_names[EVIDENCE_COUNT];

/* What a process leaks. */
enum leak_figure { LEAK_MEMORY, LEAK_FILES, LEAK_THREADS, LEAK_FIGURES };
extern const char *const leak_names[LEAK_FIGURES];

/* UINT64_MAX, INT64_MIN: unknown. */
struct outlook_row {
	uint8_t resource;            /* enum capacity_resource */
	uint8_t evidence;            /* enum evidence */
	bool soon;                   /* the time is of the last minute's run, not of the history */
	bool unasked;                /* its history is from before the start and has not been asked yet: no forecast so far says nothing */
	uint32_t dev;                /* filesystem, inodes */
	int32_t pid;                 /* process, with start_ns */
	uint64_t start_ns, cgroup_id;
	char name[OUTLOOK_NAME_LEN]; /* mount point, cgroup's path, process' comm, or the resource's own name */
	uint64_t measured_ns;
	uint64_t used, capacity;
	uint64_t exhausted_in_ns, low_ns, high_ns; /* UINT64_MAX where there is no forecast */
	uint32_t confidence_permille;
	int64_t per_day, per_week;   /* growth over the last day and week, in the resource's unit */
	uint64_t history_ns;         /* since it has been followed, gaps included */
	uint64_t suggested;          /* filesystem: the size that keeps the buffer free for a month; UINT64_MAX: not enough evidence */
};

struct leak_row {
	int32_t pid;
	uint64_t start_ns, cgroup_id;
	char comm[OUTLOOK_COMM_LEN];
	uint8_t figure;              /* enum leak_figure */
	uint64_t now, grown;         /* bytes, descriptors or threads: it has, and has grown by in the run */
	uint64_t run_ns;             /* how long it has grown without giving back */
	uint64_t per_hour;
	uint64_t exhausted_in_ns;    /* until its limit (or the node's) at that pace; UINT64_MAX: no limit is known */
};

/* What a cgroup used, and what it should ask for. Percentiles decay with a half-life of a week. */
struct sizing_row {
	uint64_t cgroup_id;
	uint32_t minutes;            /* that were seen; below a day nothing is suggested */
	bool enough;
	uint32_t cpu_p50_milli, cpu_p95_milli, cpu_p99_milli; /* thousandths of a core */
	uint32_t cpu_request_milli, cpu_limit_milli;          /* UINT32_MAX, as below UINT64_MAX: not enough evidence */
	uint64_t memory_p50, memory_p95, memory_p99, memory_peak;
	uint64_t memory_request, memory_limit; /* all four with the buffers of 20 and 25 % */
};

struct outlook_section {
	uint64_t measured_ns;
	uint64_t leaks_since_ns;     /* processes have been followed without a gap since then; 0: not yet */
	uint32_t count, cut;         /* cut: capacities that found no room, now */
	uint32_t leak_count, sizing_count;
	uint64_t series_folded, processes_folded, cgroups_folded; /* that found no room, since the agent started */
	uint64_t state_dropped;      /* remembered states that were damaged or of another version */
	struct leak_row leaks[MAX_LEAKS];
	struct sizing_row sizing[MAX_SIZED];
	struct outlook_row each[MAX_OUTLOOK];
};

#endif
