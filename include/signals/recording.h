/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorder's records: what the node looked like in the minute before an OOM kill, a tick a second. */
#ifndef NODEMEND_SIGNALS_RECORDING_H
#define NODEMEND_SIGNALS_RECORDING_H

#include <stdint.h>

#include "wire.h"

enum { RECORDED_TICKS = 60, RECORDED_PROCESSES = 8, MAX_RECORDINGS = 4 };

struct recorded_process {
	uint64_t cgroup_id, rss_bytes;
	int64_t growing_bytes;       /* against half a second to two intervals before */
	int32_t pid;
	char comm[WIRE_COMM_LEN];
};

/* UINT64_MAX, UINT32_MAX: unknown. */
struct recorded_tick {
	uint64_t boot_ns;
	int64_t wall_ns;
	uint64_t available_bytes, free_bytes, swap_free_bytes;
	uint32_t some_permille, full_permille; /* memory pressure of the interval */
	uint32_t largest_count, growing_count;
	struct recorded_process largest[RECORDED_PROCESSES], growing[RECORDED_PROCESSES];
};

/* Frozen at the tick that read the kill; one for all kills of that tick. */
struct recording {
	uint64_t first_seq, last_seq; /* the events that it belongs to */
	uint64_t at_ns;               /* CLOCK_BOOTTIME of the first kill */
	uint32_t count;
	struct recorded_tick each[RECORDED_TICKS]; /* oldest first */
};

/* The newest MAX_RECORDINGS: number n (from 1) stands in each[(n - 1) % MAX_RECORDINGS]. */
struct recording_section {
	uint64_t total;
	struct recording each[MAX_RECORDINGS];
};

#endif
