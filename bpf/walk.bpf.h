/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk over all threads, in three modes. BEGIN opens their intervals before the switches are hooked; READ adds up by cgroup
 * what is on their accounts and the intervals that are open, so that a thread blocked for an hour is seen while it is; SETTLE
 * closes all accounts once the switches are detached, so that a pause is in no figure.
 */
#ifndef NODEMEND_WALK_BPF_H
#define NODEMEND_WALK_BPF_H

#include "asleep.bpf.h"
#include "threads.bpf.h"

enum { WALK_BEGIN, WALK_READ, WALK_SETTLE, READ_TRIES = 2 };
/* sum_exec_runtime of a thread that runs is of the last tick: up to 10 ms behind at HZ=100, which is not stolen. */
enum { TICK_NS = 10 * 1000 * 1000 };

volatile __u32 walk_mode SEC(".data") = WALK_BEGIN;
volatile __u64 walk_number SEC(".data") = 0;
volatile __u64 walk_clock SEC(".data") = 0; /* of the run queues, when the walk was at work */

static __always_inline __u32 blame_now(struct task_struct *task, struct thread *thread, __u64 now)
{
	__u32 state = task_state(task);

	if (task->exit_state)
		return BLAME_COUNT;
	if (task_on_cpu(task))
		return BLAME_ON_CPU;
	return state && !task->sched_info.last_queued ? blame_of_sleep(task, thread, state, now) : BLAME_RUNQUEUE;
}

static __always_inline void begin_thread(struct task_struct *task, __u64 now)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!thread) {
		refuse(threads);
		lose(lost_threads);
		return;
	}
	thread->cgroup_id = task_cgroup_id(task);
	__u32 blame = blame_now(task, thread, now);
	thread->blame = (__u8)blame;
	thread->mark = blame == BLAME_RUNQUEUE ? 0 : task->sched_info.run_delay;
	begin_counts(thread, task);
	thread->since_ns = now;
}

/* The thread may switch on another CPU at this moment: what is read counts only if its interval is the same one after as before. */
static __always_inline bool read_thread(struct blame_sums *sums, struct thread *thread, const struct task_struct *task, __u64 now)
{
	volatile struct parts *open = get_parts(PARTS_OF_WALK);

	for (int try = 0; open && try < READ_TRIES; try++) {
		__u64 begin = *(volatile __u64 *)&thread->since_ns, mark = thread->mark;
		__u32 blame = thread->blame;

		open->since_ns = begin;
		open->blame = blame;
		open->off_ns = open->wait_ns = open->on_ns = 0;
		if (begin && now > begin)
			take_apart(open, thread, begin, blame, mark, task, now, false);
		begin = open->since_ns;
		blame = (__u32)open->blame;
		__u64 on_ns = open->on_ns, off_ns = open->off_ns, wait_ns = open->wait_ns;
		read_sums(sums, thread, task, on_ns, on_ns ? TICK_NS : 0);
		barrier();
		if (begin != *(volatile __u64 *)&thread->since_ns)
			continue;
		for (__u32 i = 0; i < BLAME_COUNT; i++) /* no index into the stack that the verifier cannot follow */
			sums->ns[i] += i == blame ? off_ns - wait_ns : 0;
		sums->ns[BLAME_RUNQUEUE] += wait_ns;
		return true;
	}
	return false;
}

static __always_inline void add_to_live(__u64 cgroup_id, const struct blame_sums *more)
{
	struct blame_live *row = bpf_map_lookup_elem(&live_threads, &cgroup_id);

	if (!row) {
		struct blame_live none = {};

		bpf_map_update_elem(&live_threads, &cgroup_id, &none, BPF_NOEXIST);
		row = bpf_map_lookup_elem(&live_threads, &cgroup_id);
	}
	if (!row) {
		refuse(live_threads);
		lose(lost_cgroups);
		return;
	}
	if (row->walk != walk_number) {
		row->walk = walk_number;
		row->sums = *more;
		return;
	}
	for (int i = 0; i < BLAME_COUNT; i++)
		row->sums.ns[i] += more->ns[i];
	row->sums.voluntary += more->voluntary;
	row->sums.involuntary += more->involuntary;
	row->sums.migrations += more->migrations;
}

/* Every account that is closed is handed over as it stands; the open interval first. */
static __always_inline void settle_thread(struct thread *thread, const struct task_struct *task, const struct blame_sums *sums)
{
	add_to_ended(thread->cgroup_id, sums);
	__builtin_memset(thread->ns, 0, sizeof(thread->ns));
	begin_counts(thread, task);
	thread->since_ns = 0;
}

SEC("iter/task")
int on_thread(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u64 now = runqueue_clock(bpf_get_current_task_btf());
	struct blame_sums sums;

	if (!task)
		return 0;
	walk_clock = now;
	if (walk_mode == WALK_BEGIN) {
		begin_thread(task, now);
		return 0;
	}
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);
	if (!thread || thread->blame == BLAME_COUNT || !read_thread(&sums, thread, task, now))
		return 0;
	if (walk_mode == WALK_SETTLE)
		settle_thread(thread, task, &sums);
	else
		add_to_live(thread->cgroup_id, &sums);
	return 0;
}

#endif
