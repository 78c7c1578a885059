/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where each thread's time went, kept in the thread's own storage: a switch then costs two look-ups and no hash, nothing can be
 * charged to another thread that got the same id, and a CPU more costs no memory. A thread's sums go to its cgroup's row when
 * it ends or is moved; those of the living are added up by a walk when the agent reads.
 */
#ifndef NODEMEND_THREADS_BPF_H
#define NODEMEND_THREADS_BPF_H

#include "core.bpf.h"
#include "signals/sched.h"

/*
 * 120 bytes: with the kernel's 72 in front the slab object of 192, which is also what 57 bytes would take. The hot ones share a cache line with the
 * kernel's own pointer. What passes from one departure from a CPU to the next is charged at its end, by one look-up: when the thread came
 * back meanwhile, and what it waited for that, stands in its sched_info. A look-up at arrival too took 30 ns more of a switch.
 */
struct thread {
	__u64 since_ns;              /* begin of the open interval: when it left a CPU; 0: there is none yet, or it is being closed at this moment */
	__u64 cgroup_id;             /* whose time this is */
	__u64 mark;                  /* runnable: who took the CPU away, a cgroup id; asleep: run_delay when it fell asleep */
	__u8 blame;                  /* what the open interval began as; BLAME_COUNT: the thread has ended */
	__u8 looked_at;              /* when the kind of a descriptor was looked at, see asleep.bpf.h */
	__u16 looked;                /* and which: its number, and whether it is a socket */
	__u32 migrations_base, voluntary_base, involuntary_base; /* settled long before they come round */
	__u64 ns[BLAME_COUNT];       /* but for those two: */
};
enum { RUN_BASE = BLAME_ON_CPU, WHOLE_SLICES = BLAME_STOLEN }; /* sum_exec_runtime at the beginning; the time on a CPU, stolen or not */
enum { SINCE_BIRTH = 1 };            /* as since_ns: sched_info has the beginning */

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");
counts_refused(threads);

/* Of threads that ended or moved. Preallocated: rows are made with a run queue's lock held, where kernels before 6.1 must not allocate. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_BLAME_ROWS);
	__type(key, __u64);
	__type(value, struct blame_sums);
} ended_threads SEC(".maps");
counts_refused(ended_threads);

/* Filled by the walk, in the agent's own time; what an older walk left in a row does not count. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_BLAME_ROWS);
	__type(key, __u64);
	__type(value, struct blame_live);
} live_threads SEC(".maps");
counts_refused(live_threads);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sched_counts);
} counts SEC(".maps");

static __always_inline struct sched_counts *get_counts(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

/* Global, since clocks are compared in many places, and it is rare. */
__noinline int lose_clock(void)
{
	struct sched_counts *lost = get_counts();

	if (lost)
		bump(lost->lost_clock, 1);
	return 0;
}

#define lose(what) \
	do { \
		struct sched_counts *lost_ = get_counts(); \
		if (lost_) \
			bump(lost_->what, 1); \
	} while (0)

/* The chain of core.bpf.h's task_cgroup_id() by plain loads, which a task that the verifier knows allows: 1 ns instead of 12. */
static __always_inline __u64 cgroup_id_of(const struct task_struct *task)
{
	return task->cgroups->dfl_cgrp->kn->id;
}

/*
 * An interval by its parts: off the CPU, some of that waiting for one after a sleep, and back on it. They are worked out in a map, since what is read
 * back from there is any number to the verifier: on the stack each way they were come by is another one on through the whole program, and
 * on_thread took 10 900 instructions of looking, on_switch 14 800.
 */
struct parts {
	__u64 begin, end, off_ns, wait_ns, on_ns;
	__u64 since_ns, blame;       /* as the walk found them: what they were compared with is forgotten here, too */
};
enum { PARTS_OF_SWITCH, PARTS_OF_WALK, PARTS_COUNT }; /* a switch may come in the middle of a walk */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PARTS_COUNT);
	__type(key, __u32);
	__type(value, struct parts);
} parts_scratch SEC(".maps");

static __always_inline volatile struct parts *get_parts(__u32 of)
{
	return bpf_map_lookup_elem(&parts_scratch, &of);
}

/*
 * The interval of a thread up to now. `leaves`: it is on a CPU for sure; else only the time when it came back tells. Whoever was on one when we began
 * to look, or got there behind our back, was there all the time. A thread that had to go while it was about to sleep is not noted by the scheduler when
 * it comes back (sched_info_depart() asks whether it is running); its account was settled then, so all that it has run since is after that.
 */
static __always_inline void take_apart(volatile struct parts *ret, const struct thread *thread, __u64 begin, __u32 blame, __u64 mark,
				       const struct task_struct *task, __u64 now, bool leaves)
{
	__u64 arrival = task->sched_info.last_arrival, delay = task->sched_info.run_delay, queued = leaves ? 0 : task->sched_info.last_queued;
	bool born = begin == SINCE_BIRTH, waits = blame == BLAME_RUNQUEUE || blame == BLAME_THROTTLED;

	ret->begin = begin;
	ret->end = arrival;
	if (born)
		ret->begin = arrival ? arrival - delay : queued ? queued : now;
	else if (blame == BLAME_ON_CPU)
		ret->end = begin;
	else if (waits && arrival < begin && (leaves || task_on_cpu(task)))
		ret->end = now - (task->se.sum_exec_runtime - thread->ns[RUN_BASE]);
	if (!leaves && blame != BLAME_ON_CPU && !(born && arrival) && ret->end <= ret->begin)
		ret->end = now; /* it has not come back */
	else
		queued = 0;

	begin = ret->begin;
	__u64 end = ret->end;
	if (end < begin || end > now) { /* a walk meets who came back after it looked at the clock; else clocks of two CPUs disagree */
		if (leaves)
			lose_clock();
		ret->end = end < begin ? begin : now;
	}
	end = ret->end;
	ret->off_ns = end - begin;
	ret->on_ns = now > end ? now - end : 0;
	ret->wait_ns = waits ? 0 : delay - mark + (queued && now > queued ? now - queued : 0);
	if (ret->wait_ns > ret->off_ns)
		ret->wait_ns = ret->off_ns;
}

static __always_inline void begin_counts(struct thread *thread, const struct task_struct *task)
{
	thread->voluntary_base = (__u32)task->nvcsw;
	thread->involuntary_base = (__u32)task->nivcsw;
	thread->migrations_base = (__u32)task->se.nr_migrations;
	thread->ns[RUN_BASE] = task->se.sum_exec_runtime;
}

/*
 * What the thread has on its account, and `slice_ns` of a slice that is under way. The scheduler's sum of what it ran may be behind by
 * `late_ns` then, which is not stolen.
 */
static __always_inline void read_sums(struct blame_sums *ret, const struct thread *thread, const struct task_struct *task, __u64 slice_ns,
				      __u64 late_ns)
{
	__u64 whole_ns = thread->ns[WHOLE_SLICES] + slice_ns, run_ns = task->se.sum_exec_runtime - thread->ns[RUN_BASE] + late_ns;

	for (int i = 0; i < BLAME_COUNT; i++)
		ret->ns[i] = thread->ns[i];
	if (run_ns > whole_ns)
		run_ns = whole_ns;
	ret->ns[BLAME_ON_CPU] = run_ns;
	ret->ns[BLAME_STOLEN] = whole_ns - run_ns;
	ret->voluntary = (__u32)task->nvcsw - thread->voluntary_base;
	ret->involuntary = (__u32)task->nivcsw - thread->involuntary_base;
	ret->migrations = (__u32)task->se.nr_migrations - thread->migrations_base;
}

static __always_inline void add_to_ended(__u64 cgroup_id, const struct blame_sums *more)
{
	struct blame_sums *row = bpf_map_lookup_elem(&ended_threads, &cgroup_id);

	if (!row) {
		struct blame_sums none = {};

		bpf_map_update_elem(&ended_threads, &cgroup_id, &none, BPF_NOEXIST);
		row = bpf_map_lookup_elem(&ended_threads, &cgroup_id);
	}
	if (!row) {
		refuse(ended_threads);
		lose(lost_cgroups);
		return;
	}
	for (int i = 0; i < BLAME_COUNT; i++)
		bump(row->ns[i], more->ns[i]);
	bump(row->voluntary, more->voluntary);
	bump(row->involuntary, more->involuntary);
	bump(row->migrations, more->migrations);
}

/* A word's difference is right for 2^32 switches, which a busy thread makes in hours. */
static __always_inline bool wants_settling(const struct thread *thread, const struct task_struct *task)
{
	return ((__u32)task->nvcsw - thread->voluntary_base) >> 31 || ((__u32)task->nivcsw - thread->involuntary_base) >> 31;
}

/* Only where nobody else can be at work on it: at the thread's own switch, or with the switches detached. */
static __always_inline void settle(struct thread *thread, const struct task_struct *task)
{
	struct blame_sums sums;

	read_sums(&sums, thread, task, 0, 0);
	add_to_ended(thread->cgroup_id, &sums);
	__builtin_memset(thread->ns, 0, sizeof(thread->ns));
	begin_counts(thread, task);
}

#endif
