/* SPDX-License-Identifier: Apache-2.0 */
/* Whether processes live: those that ended badly, and those that do not end and do nothing. */
#ifndef NODEMEND_SIGNALS_LIFE_H
#define NODEMEND_SIGNALS_LIFE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CRASHES_KEPT = 64,
	MAX_LIVES = 64,
	UNIT_STARTS_KEPT = 32,
	LIFE_NAME_LEN = 96,
	LIFE_PATH_LEN = 256,
};

/* An end that some crash condition asks for. */
struct crash {
	uint64_t at_ns, start_ns;    /* CLOCK_BOOTTIME */
	uint64_t cgroup_id;
	int32_t pid, ppid;
	uint32_t uid;
	uint32_t signal;             /* 0: it ended by itself */
	uint32_t exit_code;
	bool core_dumped;
	char comm[16];
	/* Of its cgroup, once that is known; kept, since the cgroup may be gone with it. */
	char cgroup[LIFE_PATH_LEN], unit[LIFE_NAME_LEN], container[LIFE_NAME_LEN];
	char line[192];              /* all of it in one sentence */
};

struct crash_section {
	uint64_t measured_ns, since_ns; /* since_ns: none before this was seen */
	uint64_t total;              /* ever; what is older than the newest CRASHES_KEPT has fallen off */
	uint32_t count, cut;
	struct crash each[CRASHES_KEPT]; /* oldest first */
};

/*
 * What a hung condition speaks of, a cgroup or a process: how long ago its counters last moved, and what waits for it. All of its
 * members are added up; a service is as alive as the liveliest of them.
 */
struct life {
	uint64_t cgroup_id;          /* 0: one process */
	int32_t pid;                 /* its main process: of a unit, the unit's; else the oldest member */
	uint64_t start_ns;
	char comm[16];
	char unit[LIFE_NAME_LEN], cgroup[LIFE_PATH_LEN];
	uint64_t still_ns;           /* no CPU, no I/O, no context switch for so long */
	uint64_t held_ns;            /* its main process in uninterruptible sleep, without having run, for so long */
	uint64_t backlog;            /* connections that nobody has accepted */
	uint64_t backlog_ns;         /* …and never fewer than before for so long */
	bool probe_failing;
	uint32_t cpu_permille;       /* of one processor, in the last interval */
	uint32_t wait_permille;      /* of the last interval, ready to run and not running */
	char line[192];              /* what was seen, in one sentence */
};

struct life_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct life each[MAX_LIVES];
};

#endif
