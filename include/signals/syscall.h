/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls: the layout of the counters that the BPF programs keep and the agent reads, the records of single calls, and what the
 * snapshot holds of them.
 *
 * A call has a number of its own on all ABIs: abi * SYSCALL_NR_MAX + nr, and SYSCALL_WAITED more where its class turned out to be
 * waiting only by what it was called on. Numbers are sparse, so the first call of each gets a small id, and the first of a cgroup a
 * row: (cgroup index, id) -> row is one load in the hot path, and memory follows what a node does, not what it could do.
 */
#ifndef NODEMEND_SIGNALS_SYSCALL_H
#define NODEMEND_SIGNALS_SYSCALL_H

#ifndef __bpf__
#include <linux/types.h>
#include <stdint.h>
#endif

#include "histogram.h"

enum syscall_abi { SYSCALL_ABI_64, SYSCALL_ABI_32, SYSCALL_ABI_X32, SYSCALL_ABI_COUNT };
enum syscall_class { SYSCALL_WORKING, SYSCALL_WAITING, SYSCALL_CLASS_COUNT };

enum {
	SYSCALL_NR_MAX = 512,
	SYSCALL_NUMBER_OTHER = SYSCALL_NR_MAX - 1, /* numbers beyond the table, of any ABI, and those that found no id */
	SYSCALL_WAITED = 4 * SYSCALL_NR_MAX,
	SYSCALL_NUMBERS = 2 * SYSCALL_WAITED,

	/* Powers of two: an index is masked, which costs less than a branch and satisfies the verifier. A node with all of Debian's
	 * services makes about 110 different calls. Ids from SYSCALL_TIMED on have counts and sums, but no histogram. */
	SYSCALL_IDS = 256,
	SYSCALL_TIMED = 128,
	SYSCALL_CGROUPS = 1024,
	SYSCALL_ROWS = 8192,
	SYSCALL_CLAIMED = -1,       /* between the claim of a place and its row */

	SYSCALL_ERRNO_RESTART = 512, /* -512 … -516: interrupted and resumed by the kernel; no program ever saw it */
	SYSCALL_STACK = 16,
	SYSCALL_COMM_LEN = 16,
};

enum syscall_trait {
	SYSCALL_TRAIT_WAITS = 1,     /* its time is spent waiting for somebody else to do something */
	SYSCALL_TRAIT_MAY_WAIT = 2,  /* so it is where the descriptor is a pipe, socket, terminal or the like */
	SYSCALL_TRAIT_DESCRIPTOR = 4, /* its first argument is one */
	SYSCALL_TRAIT_WATCHED = 8,   /* fallocate, fsync and its kin: fswrite and fsop want to see both ends */
};

/* Calls that returned, in one cgroup, on one CPU. 32 bits wrap: the agent adds up differences, and 2^32 calls take longer than a tick. */
struct syscall_row {
	__u32 count, errors;
	__u64 sum_ns;
};

struct syscall_times {
	__u32 buckets[HISTOGRAM_BUCKETS];
};

/* All that one CPU counts, in one element of an array. Plain additions: see syscall_rows.bpf.h. */
struct syscall_counters {
	__u32 cgroup;                /* index of the one whose task was here last */
	__u32 unused;
	__u64 starts_lost, errors_unnamed, deep_lost, slow, slow_lost;
	struct syscall_row rows[SYSCALL_ROWS];
	struct syscall_times times[SYSCALL_TIMED];
} __attribute__((aligned(4096)));

/* Places are handed out by tickets: BPF takes each[taken % N] while taken < given, the agent alone puts in and raises given. Tickets
 * only grow, so a compare-and-swap on them cannot be fooled by a place that went round. */
struct syscall_tickets { __u64 taken, given; };

struct syscall_error_key { __u16 number, error; };

struct syscall_deep_key {
	__u64 cgroup_id;
	__u32 number, unused;
};

enum descriptor_kind { DESCRIPTOR_NONE, DESCRIPTOR_FILE, DESCRIPTOR_PIPE, DESCRIPTOR_SOCKET, DESCRIPTOR_DEVICE, DESCRIPTOR_EVENT, DESCRIPTOR_KINDS };

/* A call of the working class that took longer than the threshold. */
struct slow_call_record {
	__u64 at_ns, start_ns, took_ns; /* CLOCK_BOOTTIME, CLOCK_MONOTONIC */
	__u64 cgroup_id;
	__u32 number, descriptor;
	__s32 pid, tid;
	__u32 uid;
	__s32 error;
	char comm[SYSCALL_COMM_LEN];
};

/* A thread in a call, from the walk over all tasks; `frames` addresses of its kernel stack follow. */
struct in_flight_record {
	__u64 start_ns, cgroup_id;   /* CLOCK_MONOTONIC */
	__u32 number, frames;
	__s32 pid, tid;
};

#ifndef __bpf__

enum { SLOW_CALL_STACK_LEN = 192 };

/* Payload of EVENT_SLOW_CALL. */
struct slow_call {
	uint64_t took_ns;
	uint16_t nr;
	uint8_t abi;
	uint8_t descriptor;             /* enum descriptor_kind of its first argument */
	int32_t tid;
	int32_t error;                  /* errno; 0 = it did well */
	char waits[SLOW_CALL_STACK_LEN]; /* where it stood when it was last seen in flight, innermost first; "" = not seen */
};

enum {
	MAX_SYSCALLS = SYSCALL_IDS,
	MAX_SYSCALL_ERRORS = 1024,
	MAX_SYSCALL_ROWS = SYSCALL_ROWS,
	MAX_SYSCALL_IN_FLIGHT = 1024,
	MAX_SYSCALL_DEEP = 512,
};

/* Of the whole node. */
struct syscall_stat {
	uint16_t nr;                    /* SYSCALL_NUMBER_OTHER: of all that have no row of their own */
	uint8_t abi, class;
	uint64_t count, errors, timed;  /* returned; of those with a latency */
	struct histogram latency;       /* sum_ns also where there are no buckets */
};

struct syscall_error {
	uint16_t nr, error;             /* errno; SYSCALL_ERRNO_RESTART */
	uint8_t abi;
	uint64_t count;
};

struct syscall_cgroup_row {
	uint64_t cgroup_id;             /* 0: of all that have no rows of their own, or no longer */
	uint16_t nr;
	uint8_t abi, class;
	uint64_t count, errors, sum_ns;
};

struct syscall_in_flight {
	uint64_t cgroup_id;
	uint16_t nr;
	uint8_t abi, class;
	uint32_t threads;
	uint64_t oldest_ns;             /* how long the oldest of them has been going on */
};

struct syscall_deep_row {
	uint64_t cgroup_id;
	uint16_t nr;
	uint8_t abi, class;
	struct histogram latency;
};

#define SYSCALL_SECTION(row_, most_) { uint64_t measured_ns; uint32_t count, cut; struct row_ each[most_]; }

struct syscall_section {
	uint64_t measured_ns;
	uint64_t slow_total, slow_lost; /* calls beyond the threshold; of those without a record */
	uint32_t count, cut;
	struct syscall_stat each[MAX_SYSCALLS]; /* those that occurred, by (abi, nr, class) */
};
struct syscall_error_section SYSCALL_SECTION(syscall_error, MAX_SYSCALL_ERRORS);
struct syscall_cgroup_section SYSCALL_SECTION(syscall_cgroup_row, MAX_SYSCALL_ROWS);       /* by (cgroup, abi, nr, class) */
struct syscall_in_flight_section SYSCALL_SECTION(syscall_in_flight, MAX_SYSCALL_IN_FLIGHT); /* likewise */
/* Those with most calls where not all have room. */
struct syscall_deep_section SYSCALL_SECTION(syscall_deep_row, MAX_SYSCALL_DEEP);

#endif
#endif
