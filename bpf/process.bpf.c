/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One walk over all threads: what each costs now. Totals of a group are added up by the agent, which has the memory for it. Who has
 * used another slice since its last record gets the next one on the way: no other program need run for it.
 */
#include "open_files.bpf.h"
#include "usage.bpf.h"

enum { LIMIT_OF_FILES = 7 /* RLIMIT_NOFILE */ };

/* The maps of usage.bpf.h are those of the task collector. Without it nobody reads the ring, and dead threads leave no run delay. */
const volatile bool with_task = false;

/* Turned on by the agent for one walk in some. */
volatile bool count_files_now SEC(".data") = true;

volatile __u64 slices_lost SEC(".data") = 0;

/*
 * Most processes sleep, and reading one whole is twenty cache lines that nobody has touched since the last walk. Of those that have not run since, a
 * short record is enough, and the five lines that show that they have not. The scheduler's own mark of when a task ran last, exec_start, is in the
 * clock of its run queue, which no two share (it leaves interrupts out); so each walk notes all of them, and the agent sets what the next is
 * compared with: the clocks of a walk that was over before the last one began. Zero: read all.
 */
volatile __u64 seen_clock[WALK_CPUS] SEC(".data") = {}, still_since[WALK_CPUS] SEC(".data") = {};
volatile __u32 walk_number SEC(".data") = 0;

/*
 * The way on through trusted pointers, taken once for each task and before anything branches: for every load of a pointer through one, on
 * every path, the verifier searches all types of the kernel by name (verifier.c, type_is_trusted): 0.4 ms each, and 100 of them were 35 ms.
 * A number through a pointer that is kept here is a plain load; by BPF_CORE_READ it is a call for each step, 15 to 50 ns, and the id of the parent
 * and its user took five of them.
 */
struct about {
	const struct task_struct *leader;
	const struct mm_struct *mm;
	const struct signal_struct *signal;
	const struct kernfs_node *cgroup;
	const struct task_struct *parent;
	const struct cred *cred;
	const struct rq *queue;
};

#define KEEP(pointer) barrier_var(pointer) /* here, and not where it is used */

static __always_inline struct about about_of(const struct task_struct *task)
{
	struct about about = {
		.leader = task->group_leader, .mm = task->mm, .signal = task->signal, .cgroup = task->cgroups->dfl_cgrp->kn,
		.parent = task->real_parent, .cred = task->real_cred, .queue = runqueue_of(task),
	};

	KEEP(about.leader);
	KEEP(about.mm);
	KEEP(about.signal);
	KEEP(about.cgroup);
	KEEP(about.parent);
	KEEP(about.cred);
	KEEP(about.queue);
	return about;
}

static __always_inline void fill_thread(struct thread_record *record, const struct task_struct *task, const struct task_struct *leader)
{
	record->pid = task_pid_seen_of(leader);
	record->tid = task == leader ? record->pid : task_pid_seen_of(task);
	record->start_ns = leader->start_boottime;
	record->used.cpu_ns = task->se.sum_exec_runtime;
	/* Of one that exits it is, or is about to be, in `told`. */
	if (!with_task || !(task->flags & PF_EXITING_BIT)) {
		record->used.read_bytes = task->ioac.read_bytes;
		record->used.written_bytes = task->ioac.write_bytes;
		record->used.run_delay_ns = task->sched_info.run_delay;
	}
	record->used.major_faults = task->maj_flt;
	record->used.voluntary_switches = task->nvcsw;
	record->used.involuntary_switches = task->nivcsw;
	record->switches = task->nvcsw + task->nivcsw;
	record->state = task_state_of(task);
	record->exit_state = task->exit_state;
}

static __always_inline void fill_memory(struct thread_record *record, const struct mm_struct *mm)
{
	record->rss_bytes = (mm_pages_of(mm, COUNTER_FILE) + mm_pages_of(mm, COUNTER_ANON) + mm_pages_of(mm, COUNTER_SHMEM)) << page_shift;
	record->swap_bytes = mm_pages_of(mm, COUNTER_SWAP) << page_shift;
}

static __always_inline void add_dead_threads(union usage *used, const struct task_struct *leader, const struct signal_struct *signal)
{
	used->cpu_ns += signal->sum_sched_runtime;
	used->major_faults += signal->maj_flt;
	used->voluntary_switches += signal->nvcsw;
	used->involuntary_switches += signal->nivcsw;
	/* No thread of it has ended yet: most never look. */
	if (!with_task || (!signal->sum_sched_runtime && !(leader->flags & PF_EXITING_BIT)))
		return;

	struct life life = { .start_ns = leader->start_boottime, .pid = (__u64)leader->pid };
	const struct told *rest = bpf_map_lookup_elem(&told, &life);
	if (rest)
		add_dead(used, &rest->dead);
}

static __always_inline void fill_process(struct process_record *record, const struct task_struct *task, const struct about *about)
{
	const struct signal_struct *signal = about->signal;

	add_dead_threads(&record->thread.used, task, signal);
	record->threads = 0;
	record->cgroup_id = about->cgroup->id;
	record->ppid = pidns_inode ? task_pid_seen(BPF_CORE_READ(task, real_parent, group_leader)) : about->parent->tgid;
	record->uid = about->cred->euid.val;
	record->oom_score_adj = signal->oom_score_adj;
	record->kernel_thread = task->flags & PF_KTHREAD_BIT ? 1 : 0;
	record->ended = signal->live.counter == 0;
	record->files_max = signal->rlim[LIMIT_OF_FILES].rlim_cur;
	record->files = FILES_UNKNOWN;
	if (count_files_now && !record->kernel_thread)
		record->files = count_files((__u64)BPF_CORE_READ(task, files));
	__builtin_memcpy(record->comm, task->comm, sizeof(record->comm));
}

static __always_inline bool used_a_slice(const union usage *used, __u64 peak_rss_bytes, const struct sliced *before)
{
	__u64 cpu_ns = used->cpu_ns, io_bytes = used->read_bytes + used->written_bytes, rss_bytes = peak_rss_bytes;

	if (before) {
		cpu_ns = above(cpu_ns, before->used.cpu_ns);
		io_bytes = above(io_bytes, before->used.read_bytes + before->used.written_bytes);
		rss_bytes = above(rss_bytes, before->peak_rss_bytes);
	}
	return cpu_ns >= slice_cpu_ns || io_bytes >= slice_io_bytes || rss_bytes >= slice_rss_bytes;
}

/* Global for the same reason as count_files(). */
__noinline int add_up_slice(__u64 leader_)
{
	const struct task_struct *leader = (const void *)leader_;
	struct life life = life_of(leader);
	struct task_event *event = get_scratch();

	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	add_up(event, leader, bpf_map_lookup_elem(&told, &life));
	return 0;
}

/* The first look costs no map: the numbers of a single thread are at hand, and other threads only add to them. */
static __always_inline void tell_slice(const struct task_struct *task, const struct process_record *record, const struct about *about)
{
	struct sliced now = {};

	/* signal->maxrss is of memory that was given up; the peak of the memory in use stands in it. */
	if (about->mm)
		now.peak_rss_bytes = about->mm->hiwater_rss << page_shift;
	if (now.peak_rss_bytes < record->thread.rss_bytes)
		now.peak_rss_bytes = record->thread.rss_bytes;
	if (about->signal->nr_threads == 1 && !used_a_slice(&record->thread.used, now.peak_rss_bytes, NULL))
		return;

	struct task_event *event = get_scratch();
	if (!event)
		return;
	(void)add_up_slice((__u64)BPF_CORE_READ(task, group_leader));
	if (!used_a_slice(&event->used, now.peak_rss_bytes, NULL))
		return;
	struct life life = life_of(task);
	struct sliced *before = bpf_map_lookup_elem(&sliced, &life);
	if (before && !used_a_slice(&event->used, now.peak_rss_bytes, before))
		return;
	if (!before) {
		struct sliced none = {};

		bpf_map_update_elem(&sliced, &life, &none, BPF_NOEXIST);
		before = bpf_map_lookup_elem(&sliced, &life);
	}
	if (!before) {
		refuse(sliced);
		bump(slices_lost, 1);
		return;
	}

	describe(event, TASK_EVENT_SLICE, task);
	cut_slice(event, before);
	if (event->peak_rss_bytes < now.peak_rss_bytes)
		event->peak_rss_bytes = now.peak_rss_bytes;
	now.used = event->used;
	/* A full ring: the next walk tells it, together with what comes until then. */
	if (!bpf_ringbuf_output(&task_events, event, sizeof(*event), BPF_RB_NO_WAKEUP)) {
		*before = now;
		return;
	}
	refuse(task_events);
	bump(slices_lost, 1);
}

/* Whether it has slept since `still_since`, alone: of its list of threads, the one node beside the head is its own. */
static __always_inline bool is_still(const struct task_struct *task, const struct about *about)
{
	__u32 state = task_state_of(task), cpu;

	if (!about->queue)
		return false;
	cpu = (__u32)about->queue->cpu & (WALK_CPUS - 1);
	if (!seen_clock[cpu])
		seen_clock[cpu] = about->queue->clock_task;
	if (task != about->leader || (state != TASK_INTERRUPTIBLE_BIT && state != (TASK_UNINTERRUPTIBLE_BIT | TASK_NOLOAD_BIT)) || task->exit_state)
		return false;
	if (task->se.exec_start > still_since[cpu] || task->thread_node.next != task->thread_node.prev)
		return false;
	return (task->pid + walk_number) % STILL_WALKS;
}

static __always_inline void tell_still(struct seq_file *seq, const struct task_struct *task, const struct about *about)
{
	struct still_record record = {
		.kind = THREAD_STILL, .pid = task_pid_seen_of(task), .start_ns = task->start_boottime, .cgroup_id = about->cgroup->id,
		.ppid = pidns_inode ? task_pid_seen(BPF_CORE_READ(task, real_parent, group_leader)) : about->parent->tgid, .state = task_state_of(task),
	};

	if (record.pid)
		bpf_seq_write(seq, &record, sizeof(record));
}

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	struct process_record record = {};

	if (!task)
		return 0;

	struct about about = about_of(task);
	const struct task_struct *leader = about.leader;
	if (is_still(task, &about)) {
		tell_still(seq, task, &about);
		return 0;
	}
	fill_thread(&record.thread, task, leader);
	if (!record.thread.pid)
		return 0;
	/* A kernel thread may have borrowed a process' memory for a moment. */
	if (about.mm && !(task->flags & PF_KTHREAD_BIT) && (task == leader || !BPF_CORE_READ(leader, mm)))
		fill_memory(&record.thread, about.mm);
	if (task != leader) {
		bpf_seq_write(seq, &record.thread, sizeof(record.thread));
		return 0;
	}
	record.thread.kind = THREAD_LEADER;
	fill_process(&record, task, &about);
	if (with_task && !record.kernel_thread && !record.ended)
		tell_slice(task, &record, &about);
	bpf_seq_write(seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
