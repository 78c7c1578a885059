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

enum { WALK_BEGIN, WALK_READ, WALK_SETTLE, READ_TRIES = 3 };
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
	thread->mark = blame == BLAME_RUNQUEUE ? 0 :
		blame == BLAME_ON_CPU ? task->se.sum_exec_runtime : task->sched_info.run_delay;
	begin_counts(thread, task);
	thread->since_ns = now;
}

static __always_inline void add_open_slice(struct blame_sums *sums, const struct task_struct *task, __u64 mark, __u64 open_ns)
{
	__u64 run_ns = task->se.sum_exec_runtime - mark + TICK_NS;

	if (run_ns > open_ns)
		run_ns = open_ns;
	sums->ns[BLAME_ON_CPU] += run_ns;
	sums->ns[BLAME_STOLEN] += open_ns - run_ns;
}

/* By the part of it that is waiting for a CPU, which the scheduler knows of a thread that has been woken. */
static __always_inline void add_open(struct blame_sums *sums, const struct thread *thread, __u32 blame, __u64 mark, __u64 open_ns,
				     const struct task_struct *task, __u64 now)
{
	__u64 queued = task->sched_info.last_queued, wait_ns = 0;

	if (blame == BLAME_ON_CPU) {
		add_open_slice(sums, task, mark, open_ns);
		return;
	}
	if (blame != BLAME_RUNQUEUE && blame != BLAME_THROTTLED)
		wait_ns = task->sched_info.run_delay - mark + (queued && now > queued ? now - queued : 0);
	if (wait_ns > open_ns)
		wait_ns = open_ns;
	for (__u32 i = 0; i < BLAME_COUNT; i++) /* no index into the stack that the verifier cannot follow */
		sums->ns[i] += i == blame ? open_ns - wait_ns : 0;
	sums->ns[BLAME_RUNQUEUE] += wait_ns;
}

/* The thread may switch on another CPU at this moment: what is read counts only if its interval is the same one after as before. */
static __always_inline bool read_thread(struct blame_sums *sums, struct thread *thread, const struct task_struct *task, __u64 now)
{
	for (int try = 0; try < READ_TRIES; try++) {
		__u64 begin = *(volatile __u64 *)&thread->since_ns, mark = thread->mark;
		__u32 blame = thread->blame;

		read_sums(sums, thread, task);
		barrier();
		if (begin != *(volatile __u64 *)&thread->since_ns)
			continue;
		if (begin && now > begin)
			add_open(sums, thread, blame, mark, now - begin, task, now);
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
static __always_inline void settle_thread(struct thread *thread, const struct task_struct *task, __u64 now)
{
	struct blame_sums sums;

	if (!read_thread(&sums, thread, task, now))
		return;
	add_to_ended(thread->cgroup_id, &sums);
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
	if (!thread || thread->blame == BLAME_COUNT)
		return 0;
	if (walk_mode == WALK_SETTLE)
		settle_thread(thread, task, now);
	else if (read_thread(&sums, thread, task, now))
		add_to_live(thread->cgroup_id, &sums);
	return 0;
}

#endif
