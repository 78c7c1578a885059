/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One walk over all threads: what each costs now. Totals of a group are added up by the agent, which has the memory for it. */
#include "core.bpf.h"

static __always_inline void fill_thread(struct thread_record *record, const struct task_struct *task, const struct task_struct *leader)
{
	record->pid = task_pid_seen(leader);
	record->start_ns = leader->start_boottime;
	record->cpu_ns = task->se.sum_exec_runtime;
	record->read_bytes = task->ioac.read_bytes;
	record->written_bytes = task->ioac.write_bytes;
	record->run_delay_ns = task->sched_info.run_delay;
	record->major_faults = task->maj_flt;
	record->voluntary_switches = task->nvcsw;
	record->involuntary_switches = task->nivcsw;
	record->state = task_state(task);
	record->exit_state = task->exit_state;
}

static __always_inline void fill_memory(struct thread_record *record, const struct mm_struct *mm)
{
	record->rss_bytes = (mm_pages(mm, COUNTER_FILE) + mm_pages(mm, COUNTER_ANON) + mm_pages(mm, COUNTER_SHMEM)) << page_shift;
	record->swap_bytes = mm_pages(mm, COUNTER_SWAP) << page_shift;
}

static __always_inline void add_dead_threads(struct thread_record *record, const struct signal_struct *signal)
{
	record->cpu_ns += signal->sum_sched_runtime;
	record->read_bytes += signal->ioac.read_bytes;
	record->written_bytes += signal->ioac.write_bytes;
	record->major_faults += signal->maj_flt;
	record->voluntary_switches += signal->nvcsw;
	record->involuntary_switches += signal->nivcsw;
}

static __always_inline void fill_process(struct process_record *record, const struct task_struct *task)
{
	const struct signal_struct *signal = task->signal;

	add_dead_threads(&record->thread, signal);
	record->threads = 0;
	record->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	record->ppid = task_pid_seen(task->real_parent->group_leader);
	record->uid = task->real_cred->euid.val;
	record->oom_score_adj = signal->oom_score_adj;
	record->kernel_thread = task->flags & PF_KTHREAD_BIT ? 1 : 0;
	record->ended = signal->live.counter == 0;
	__builtin_memcpy(record->comm, task->comm, sizeof(record->comm));
}

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct process_record record = {};

	if (!task)
		return 0;

	const struct task_struct *leader = task->group_leader;
	const struct mm_struct *mm = task->mm;

	fill_thread(&record.thread, task, leader);
	if (!record.thread.pid)
		return 0;
	/* A kernel thread may have borrowed a process' memory for a moment. */
	if (mm && !(task->flags & PF_KTHREAD_BIT) && (task == leader || !leader->mm))
		fill_memory(&record.thread, mm);
	if (task != leader) {
		bpf_seq_write(seq, &record.thread, sizeof(record.thread));
		return 0;
	}
	record.thread.kind = THREAD_LEADER;
	fill_process(&record, task);
	bpf_seq_write(seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
