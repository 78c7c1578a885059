/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Processes and cgroups between the BPF programs and the agent: what they used, how they were born and ended, and the walk's records. */
#ifndef NODEMEND_SIGNALS_PROCESS_H
#define NODEMEND_SIGNALS_PROCESS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum {
	PROCESS_COMM_LEN = 16,
	EXIT_SIGNALS = 128,             /* all that the seven bits of an exit code can say; signals are 1 … 64 */
	CGROUP_PATH_LEN = 256,
};

/* What a thread, a process or all members of a cgroup have used; all of it only grows. */
#define USAGE_FIELDS __u64 cpu_ns, read_bytes, written_bytes, run_delay_ns, major_faults, voluntary_switches, involuntary_switches
enum { USAGE_COUNT = 7 };
union usage {
	struct { USAGE_FIELDS; };
	__u64 each[USAGE_COUNT];
};

/* What the members of one cgroup did: born by fork, exec'ed, ended; and what those that ended had used over their whole lives. */
enum exit_cause { EXIT_OK, EXIT_ERROR, EXIT_SIGNAL, EXIT_CAUSES };
#define LIVES_FIELDS __u64 forks, execs, exits[EXIT_CAUSES]
enum { LIVES_COUNT = 2 + EXIT_CAUSES };
union lives {
	struct { LIVES_FIELDS; };
	__u64 each[LIVES_COUNT];
};

struct cgroup_lives {
	union usage ended;
	union lives lives;
};
/* The row of those whose cgroup found no room. No cgroup has this id. */
enum { CGROUP_UNKNOWN = 0 };

enum task_event_kind { TASK_EVENT_EXEC, TASK_EVENT_EXIT, TASK_EVENT_SLICE };

/*
 * An exec; the end of the last thread of a group; or another slice of what a living one used. Records of one process are complete:
 * the `slice`s of all of them add up to what the last one says it `used`. At an exec both are zero.
 */
struct task_event {
	__u32 kind;
	__s32 pid, ppid;
	__u32 uid;
	__u64 at_ns, start_ns;          /* CLOCK_BOOTTIME */
	__u64 cgroup_id;
	union usage used;               /* over its whole life; cpu_ns as of its last tick or switch: the totals get the rest */
	union usage slice;              /* since the record before */
	__u64 user_ns, system_ns;       /* by ticks */
	__u64 peak_rss_bytes;
	__s32 exit_code;                /* as wait() gives it */
	__u32 threads_cut;              /* threads too many to add up: their cost is not in here */
	char comm[PROCESS_COMM_LEN];
};

/* Exact whatever happens to the ring. */
struct task_totals {
	union lives lives;
	__u64 core_dumps;
	union usage ended;                       /* of all that ended; exact once reaped */
	__u64 ring_lost, ended_lost;             /* events without a record; ends whose cost had no room */
	__u64 exit_signals[EXIT_SIGNALS];
};

enum thread_kind { THREAD_FOLLOWER, THREAD_LEADER, THREAD_STILL };

/* One thread of the walk. rss and swap: of the leader, or of each thread whose leader has given up its memory already. */
struct thread_record {
	__u32 kind;
	__s32 pid;                      /* thread group id as the agent's pid namespace sees it */
	__u64 start_ns;                 /* of the leader */
	union usage used;
	__u64 rss_bytes, swap_bytes;
	__u64 switches;                 /* of this thread alone, both kinds: unchanged, it has not run since */
	__s32 tid;                      /* 0: the source does not tell threads apart */
	__u32 state, exit_state;
	__u32 reserved;
};

enum { FILES_UNKNOWN = 0xffffffff };

/* A leader with what belongs to the whole group; the costs of its dead threads are added to the thread's own. */
struct process_record {
	struct thread_record thread;
	__u64 cgroup_id;
	__u64 files_max;                /* its limit of open files */
	__u32 files;                    /* open; FILES_UNKNOWN: not counted in this walk, or more than can be counted */
	__s32 ppid;
	__u32 uid;
	__s16 oom_score_adj;
	__u8 kernel_thread;
	__u8 ended;                     /* the last thread has exited; its cost is in cgroup_lives */
	__u32 threads;                  /* 0: count the records */
	char comm[PROCESS_COMM_LEN];
	__u32 reserved;
};

/* A process of one thread that has slept since the walk before the last, or longer: all that somebody else may have changed. */
struct still_record {
	__u32 kind;                     /* THREAD_STILL */
	__s32 pid;
	__u64 start_ns;
	__u64 cgroup_id;
	__s32 ppid;
	__u32 state;
};

enum { WALK_CPUS = 512, STILL_WALKS = 8 }; /* every so many walks a sleeper is read whole: its memory may have been swapped out, its limits changed */

enum cgroup_event_kind { CGROUP_EVENT_MADE, CGROUP_EVENT_REMOVED };

/* Cut behind the path's NUL; a removal has none. */
struct cgroup_event {
	__u64 id;
	__u32 kind;
	__u32 length;                   /* of the path with its NUL; 0: it could not be read, or did not fit */
	char path[CGROUP_PATH_LEN];     /* from the hierarchy's root */
};

/* The payload of EVENT_USAGE. */
struct usage_event {
	__u32 ended;                    /* 1: this is all of it; 0: it lives on */
	__s32 ppid;
	__s32 exit_code;
	__u64 start_ns;
	union usage used, slice;
	__u64 peak_rss_bytes;
};

#endif
