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

/* 120 bytes: with the kernel's 72 in front the slab object of 192, which is also what 57 bytes would take. The hot ones share a cache line with the kernel's own pointer. */
struct thread {
	__u64 since_ns;              /* begin of the open interval; 0: there is none yet, or it is being closed at this moment */
	__u64 cgroup_id;             /* whose time this is */
	__u64 mark;                  /* on a CPU: sum_exec_runtime when it got there; runnable: who took the CPU away, a cgroup id; asleep: run_delay
					when it fell asleep */
	__u8 blame;                  /* what the open interval is; BLAME_COUNT: the thread has ended */
	__u8 looked_at;              /* when the kind of a descriptor was looked at, see asleep.bpf.h */
	__u16 looked;                /* and which: its number, and whether it is a socket */
	__u32 migrations_base, voluntary_base, involuntary_base; /* settled long before they come round */
	__u64 ns[BLAME_COUNT];
};

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

static __always_inline void begin_counts(struct thread *thread, const struct task_struct *task)
{
	thread->voluntary_base = (__u32)task->nvcsw;
	thread->involuntary_base = (__u32)task->nivcsw;
	thread->migrations_base = (__u32)task->se.nr_migrations;
}

/* What the thread has on its account, without the open interval. */
static __always_inline void read_sums(struct blame_sums *ret, const struct thread *thread, const struct task_struct *task)
{
	for (int i = 0; i < BLAME_COUNT; i++)
		ret->ns[i] = thread->ns[i];
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

	read_sums(&sums, thread, task);
	add_to_ended(thread->cgroup_id, &sums);
	__builtin_memset(thread->ns, 0, sizeof(thread->ns));
	begin_counts(thread, task);
}

#endif
