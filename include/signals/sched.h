/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The processor as its users see it: where the time of threads goes, who waits for a CPU and because of whom, and how full the CPUs
 * are in windows too short for a scrape. Times are by the clock of the run queues, which is the one the kernel's own sched_info has.
 */
#ifndef NODEMEND_SIGNALS_SCHED_H
#define NODEMEND_SIGNALS_SCHED_H

#include "histogram.h"

/* What a thread's time goes into; each moment of a thread between its fork and its end is in exactly one. */
enum blame {
	BLAME_ON_CPU,
	BLAME_STOLEN,                /* on a CPU that ran something else: the hypervisor's, or interrupts where the kernel accounts them */
	BLAME_RUNQUEUE,              /* runnable, and another one has the CPU */
	BLAME_THROTTLED,             /* taken off the CPU by the bandwidth limit of its cgroup, until it runs again */
	BLAME_BLOCK_IO,
	BLAME_RECLAIM,               /* waiting inside direct reclaim */
	BLAME_FUTEX,
	BLAME_NETWORK,               /* on a socket of any family, or in poll, select and epoll */
	BLAME_SLEEP,                 /* every other interruptible wait: timers, pipes, children */
	BLAME_OTHER,                 /* uninterruptible without being I/O, stopped, traced */
	BLAME_COUNT,
};

/* Sums over the threads of a cgroup. Threads are credited to the cgroup they were in when the interval began. */
struct blame_sums {
	__u64 ns[BLAME_COUNT];
	__u64 voluntary, involuntary, migrations; /* the kernel's own nvcsw, nivcsw, nr_migrations */
};
enum { BLAME_SUMS = sizeof(struct blame_sums) / sizeof(__u64), MAX_BLAME_ROWS = 2048, MAX_DEEP_ROWS = 64 };

/* Of the threads that are alive, as of the walk with this number. */
struct blame_live {
	__u64 walk;
	struct blame_sums sums;
};

/* How a system call is read when a thread falls asleep in it. */
enum call_class { CALL_PLAIN, CALL_FUTEX, CALL_NETWORK, CALL_BY_DESCRIPTOR, CALL_YIELD };

/* The victim was runnable and had to give the CPU to the aggressor. */
struct preemption_key { __u64 victim, aggressor; }; /* cgroup ids */
struct preemption_value { __u64 count, wait_ns; };  /* wait_ns: until the victim ran again */
struct preemption_open { struct preemption_key pair; struct preemption_value value; }; /* what is not in the pair's row yet */

enum { BURST_WINDOW_NS = 10 * 1000 * 1000 };

/* Of one CPU. An epoch is the time between two readings; busy_ns is of the window that ends at end_ns. */
struct burst {
	__u64 since_ns, end_ns, busy_ns;
	__u64 max_ns, last_max_ns;   /* the fullest window that was closed in this epoch, and in the one before it */
	__u32 epoch, busy;           /* busy: something else than the idle task has run since since_ns */
};

/* One a CPU; all three are plainly added to under the lock of its run queue. */
struct sched_histograms {
	struct histogram wait, slice, off, window;
};

/* One a CPU, of u64 for object_sum(). */
struct sched_counts {
	__u64 preemptions, preempted_ns;
	__u64 lost_clock;            /* intervals dropped: the clocks of two CPUs disagreed */
	__u64 lost_threads;          /* threads without room for their times */
	__u64 lost_cgroups;          /* ends of threads, or live threads, whose cgroup had no room */
	__u64 lost_pairs;            /* preemptions that are in the total, and not in a pair */
};
enum { SCHED_COUNTS = sizeof(struct sched_counts) / sizeof(__u64) };

#ifndef __bpf__
#include <stdbool.h>
#include <stdint.h>

enum { MAX_BLAME_GROUPS = 2048, MAX_PREEMPTIONS = 64, MAX_BANDWIDTHS = 512, MAX_BURST_CPUS = 512 };

/* As numbers: the kernel's __u64 is another type than uint64_t, and a cast between them is read wrongly where it is inlined. */
union blame_words {
	struct blame_sums sums;
	uint64_t words[BLAME_SUMS];
};

struct blame_group {
	uint64_t cgroup_id;
	struct blame_sums sums;      /* since the agent started */
};

struct sched_section {
	uint64_t measured_ns;
	uint64_t histograms_ns;      /* when they were last kept; 0: never */
	struct sched_histograms histograms;
	uint32_t cpus;
	uint16_t burst_permille[MAX_BURST_CPUS]; /* of the fullest window of the last interval; UINT16_MAX: this CPU said nothing */
	bool has_threads;            /* else only what needs no memory of threads: waits, slices, windows */
	struct blame_sums rest;      /* of cgroups that are gone */
	uint32_t count, cut;
	struct blame_group each[MAX_BLAME_GROUPS]; /* by id, ascending */
};

struct preemption {
	uint64_t victim, aggressor;
	uint64_t count, wait_ns;
};

struct preemption_section {
	uint64_t measured_ns;
	uint64_t total, total_wait_ns; /* of all, with those that have no row */
	uint32_t count, cut;
	struct preemption each[MAX_PREEMPTIONS]; /* by recent waiting, largest first */
};

/* Kept only while the collector looks deep, and since then. */
struct deep_wait_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct { uint64_t cgroup_id; struct histogram wait; } each[MAX_DEEP_ROWS];
};

/* CFS bandwidth control, of the cgroups that have a limit or had one. */
struct bandwidth {
	uint64_t cgroup_id;
	uint64_t periods, throttled, throttled_ns;
};

struct bandwidth_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct bandwidth each[MAX_BANDWIDTHS];
};
#endif

#endif
