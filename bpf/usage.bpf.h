/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process has used over its whole life, and the maps by which its records are told without loss: shared by the programs that
 * see it end and the walk that sees it live.
 */
#ifndef NODEMEND_USAGE_BPF_H
#define NODEMEND_USAGE_BPF_H

#include "core.bpf.h"

/*
 * The siblings that are still listed: all of a living process', or those that died with the last one. A few at once, since the verifier
 * walks every turn of a loop: 16 turns and 8 of a global function, which it looks at once, are 24, where 128 in one piece took 50 ms.
 */
enum { SIBLINGS_AT_ONCE = 8, MAX_SIBLINGS = 128, PF_EXITING_BIT = 0x4 };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 * 1024); /* about 2000 records a tick */
} task_events SEC(".maps");
counts_refused(task_events);

/* A process, whatever becomes of its pid: the start of the first is before the start of the next. */
struct life {
	__u64 start_ns;
	__u64 pid;
};

/*
 * What the kernel does not keep of threads that ended. It adds up their bytes in signal->ioac, but those of children that were waited
 * for, too (wait_task_zombie, and so /proc/PID/io): a shell would have written all that its commands wrote, a second time.
 */
struct dead_threads {
	__u64 read_bytes, written_bytes, run_delay_ns;
};

struct told {
	union usage used;       /* as of the end of the last thread: what the totals have */
	struct dead_threads dead, leader; /* the leader's own part of it */
	__u64 cgroup_id;
	__u64 ended;
};

/*
 * From the first end of a thread until the task is freed. The scheduler's clock of a running task is brought up to date at ticks and
 * switches only, and since v6.16 the memory is given back after the tracepoint: a life of a millisecond would seem free of cost.
 * The rest is added when its parent has reaped it; entries are as many as there are zombies and processes that lost a thread.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct life);
	__type(value, struct told);
} told SEC(".maps");
counts_refused(told);

/*
 * The record that is being made, where global functions reach it. One walk at a time, which never sleeps; and sched_process_exit does not
 * come a second time on a CPU before its program has ended, as tracepoints run with preemption off.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_event);
} task_scratch SEC(".maps");

static __always_inline struct task_event *get_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&task_scratch, &zero);
}

struct sliced {
	union usage used;       /* as of its last record */
	__u64 peak_rss_bytes;
};

/* Only those that ever used a slice: the thousands that sleep have no entry and cost no look-up. Gone with the end of the process. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct life);
	__type(value, struct sliced);
} sliced SEC(".maps");
counts_refused(sliced);

/* As large as is worth a record of its own. */
const volatile __u64 slice_cpu_ns = 10000000000ULL;
const volatile __u64 slice_io_bytes = 256ULL << 20;
const volatile __u64 slice_rss_bytes = 256ULL << 20;

static __always_inline struct life life_of(const struct task_struct *leader)
{
	return (struct life){ .start_ns = BPF_CORE_READ(leader, start_boottime), .pid = (__u64)BPF_CORE_READ(leader, pid) };
}

static __always_inline void describe(struct task_event *event, enum task_event_kind kind, const struct task_struct *leader)
{
	const struct task_struct *parent = BPF_CORE_READ(leader, real_parent, group_leader);

	event->kind = kind;
	event->pid = task_pid_seen(leader);
	event->ppid = task_pid_seen(parent);
	event->uid = BPF_CORE_READ(leader, real_cred, euid.val);
	event->at_ns = bpf_ktime_get_boot_ns();
	event->start_ns = BPF_CORE_READ(leader, start_boottime);
	event->cgroup_id = task_cgroup_id(leader);
	BPF_CORE_READ_STR_INTO(&event->comm, leader, comm);
}

static __always_inline struct dead_threads read_thread(const struct task_struct *thread)
{
	return (struct dead_threads){
		.read_bytes = BPF_CORE_READ(thread, ioac.read_bytes), .written_bytes = BPF_CORE_READ(thread, ioac.write_bytes),
		.run_delay_ns = BPF_CORE_READ(thread, sched_info.run_delay),
	};
}

static __always_inline void add_dead(union usage *used, const struct dead_threads *dead)
{
	used->read_bytes += dead->read_bytes;
	used->written_bytes += dead->written_bytes;
	used->run_delay_ns += dead->run_delay_ns;
}

static __always_inline void add_thread(struct task_event *event, const struct task_struct *thread)
{
	event->used.cpu_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
	event->used.major_faults += BPF_CORE_READ(thread, maj_flt);
	event->used.voluntary_switches += BPF_CORE_READ(thread, nvcsw);
	event->used.involuntary_switches += BPF_CORE_READ(thread, nivcsw);
	/* Of one that exits it is, or is about to be, in `told`. */
	if (!(BPF_CORE_READ(thread, flags) & PF_EXITING_BIT)) {
		struct dead_threads living = read_thread(thread);

		add_dead(&event->used, &living);
	}
	event->user_ns += BPF_CORE_READ(thread, utime);
	event->system_ns += BPF_CORE_READ(thread, stime);
}

static __always_inline void read_signal(union usage *used, const struct signal_struct *signal)
{
	used->cpu_ns = BPF_CORE_READ(signal, sum_sched_runtime);
	used->read_bytes = used->written_bytes = used->run_delay_ns = 0;
	used->major_faults = BPF_CORE_READ(signal, maj_flt);
	used->voluntary_switches = BPF_CORE_READ(signal, nvcsw);
	used->involuntary_switches = BPF_CORE_READ(signal, nivcsw);
}

/* To the scratch, from this node of a list of siblings on; what comes back is the next one. */
__noinline __u64 add_threads(__u64 node, __u64 head)
{
	struct task_event *event = get_scratch();

	if (!event)
		return 0;
	for (int i = 0; i < SIBLINGS_AT_ONCE && node && node != head; i++) {
		add_thread(event, (const void *)node - bpf_core_field_offset(struct task_struct, thread_node));
		node = (__u64)BPF_CORE_READ((const struct list_head *)node, next);
	}
	return node;
}

/* What released threads had used stands in the signal struct and in `told`; the others are on the list. `event` is the scratch. */
static __always_inline void add_up(struct task_event *event, const struct task_struct *leader, const struct told *rest)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);
	__u64 head = (__u64)&signal->thread_head, node = (__u64)BPF_CORE_READ(signal, thread_head.next);

	read_signal(&event->used, signal);
	if (rest)
		add_dead(&event->used, &rest->dead);
	event->user_ns = BPF_CORE_READ(signal, utime);
	event->system_ns = BPF_CORE_READ(signal, stime);
	event->peak_rss_bytes = BPF_CORE_READ(signal, maxrss) << page_shift;
	for (int i = 0; i < MAX_SIBLINGS / SIBLINGS_AT_ONCE && node && node != head; i++)
		node = add_threads(node, head);
	event->threads_cut = node && node != head;
}

static __always_inline __u64 above(__u64 now, __u64 before)
{
	return now > before ? now - before : 0;
}

static __always_inline void cut_slice(struct task_event *event, const struct sliced *before)
{
	for (int i = 0; i < USAGE_COUNT; i++)
		event->slice.each[i] = above(event->used.each[i], before ? before->used.each[i] : 0);
}

#endif
