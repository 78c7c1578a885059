/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Records and constants that the BPF programs and the agent share. Included from both sides: fixed-width kernel types,
 * no padding left unwritten, no pointers.
 */
#ifndef NODEMEND_WIRE_H
#define NODEMEND_WIRE_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#include "histogram.h"
#include "signals/syscall.h"

enum { WIRE_COMM_LEN = 16 };

/* The first run since boot of a thread group: pid and start never repeat together. Kernel-wide notion: start_boottime of the leader. */
struct writer_key {
	__u64 start_ns;
	__u64 cgroup_id;
	__u32 dev;                      /* kernel dev_t of the super block: major << 20 | minor */
	__s32 pid;                      /* as the agent's pid namespace sees it */
};

struct writer_value {
	__u64 bytes;
	char comm[WIRE_COMM_LEN];
};

enum write_loss { WRITE_LOSS_NAME, WRITE_LOSS_TOTAL, WRITE_LOSS_FALLOCATE, WRITE_LOSS_COUNT }; /* failed inserts */

enum task_event_kind { TASK_EVENT_EXEC, TASK_EVENT_EXIT };

/* An exec, or the end of the last thread of a group with the cost of its whole life. At an exec the costs are zero. */
struct task_event {
	__u32 kind;
	__s32 pid, ppid;
	__u32 uid;
	__u64 at_ns, start_ns;          /* CLOCK_BOOTTIME */
	__u64 cgroup_id;
	__u64 cpu_ns;                   /* on a CPU, as of its last tick or switch; the totals get the rest. user, system: by ticks */
	__u64 user_ns, system_ns;
	__u64 read_bytes, written_bytes;
	__u64 peak_rss_bytes;
	__s32 exit_code;                /* as wait() gives it */
	__u32 threads_cut;              /* threads too many to add up: their cost is not in here */
	char comm[WIRE_COMM_LEN];
};

/* Exact whatever happens to the ring. */
struct task_totals {
	__u64 execs, forks, exits, exits_ok, exits_error, exits_signal;
	__u64 cpu_ns, read_bytes, written_bytes; /* of all that ended; exact once reaped */
	__u64 ring_lost, ended_lost;             /* events without a record; ends whose cost had no room */
};

/* What the members of one cgroup that ended had used. */
struct ended_cost {
	__u64 cpu_ns, read_bytes, written_bytes;
};

enum thread_kind { THREAD_FOLLOWER, THREAD_LEADER };

/* One thread of the walk. rss and swap: of the leader, or of each thread whose leader has given up its memory already. */
struct thread_record {
	__u32 kind;
	__s32 pid;                      /* thread group id as the agent's pid namespace sees it */
	__u64 start_ns;                 /* of the leader */
	__u64 cpu_ns, read_bytes, written_bytes, run_delay_ns, major_faults, voluntary_switches, involuntary_switches;
	__u64 rss_bytes, swap_bytes;
	__u32 state, exit_state;
};

/* A leader with what belongs to the whole group; the costs of its dead threads are added to the thread's own. */
struct process_record {
	struct thread_record thread;
	__u64 cgroup_id;
	__s32 ppid;
	__u32 uid;
	__s16 oom_score_adj;
	__u8 kernel_thread;
	__u8 ended;                     /* the last thread has exited; its cost is in ended_cost */
	__u32 threads;                  /* 0: count the records */
	char comm[WIRE_COMM_LEN];
};

#endif
