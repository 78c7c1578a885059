/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Births, execs and deaths of processes. When the last thread of a group exits, what the whole life cost is recorded, so that
 * a process shorter than a tick is not lost. Totals and the sums by cgroup are kept beside the ring: they stay exact when it is full.
 */
#include "core.bpf.h"

/* The siblings that are still listed when the last one exits: those that died at the same moment, and a leader that went first. */
enum { MAX_SIBLINGS = 128 };

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024); /* about 1500 records a tick */
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_totals);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct ended_cost);
} ended SEC(".maps");

struct life {
	__u64 start_ns;
	__u64 pid;
};

/* Two threads that exit at once can both find none left alive; the second one is told apart here. A cache: LRU will do. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct life);
	__type(value, __u8);
} buried SEC(".maps");

struct told {
	struct ended_cost cost;
	__u64 cgroup_id;
};

/*
 * What was told at the exit, until the task is freed. The scheduler's clock of a running task is brought up to date at ticks and
 * switches only, and since v6.16 the memory is given back after the tracepoint: a life of a millisecond would seem free of cost.
 * The rest is added when its parent has reaped it; entries are as many as there are zombies.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 32768);
	__type(key, struct life);
	__type(value, struct told);
} told SEC(".maps");

static __always_inline struct life life_of(const struct task_struct *leader)
{
	return (struct life){ .start_ns = BPF_CORE_READ(leader, start_boottime), .pid = (__u64)BPF_CORE_READ(leader, pid) };
}

static __always_inline struct task_totals *get_totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&totals, &zero);
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

/* NO_WAKEUP: the agent reads at its ticks; nobody's exit pays for waking it. */
static __always_inline void send(const struct task_event *event, struct task_totals *sums)
{
	if (event->pid && bpf_ringbuf_output(&events, (void *)event, sizeof(*event), BPF_RB_NO_WAKEUP))
		bump(sums->ring_lost, 1);
}

static __always_inline void add_thread(struct task_event *event, const struct task_struct *thread)
{
	event->cpu_ns += BPF_CORE_READ(thread, se.sum_exec_runtime);
	event->user_ns += BPF_CORE_READ(thread, utime);
	event->system_ns += BPF_CORE_READ(thread, stime);
	event->read_bytes += BPF_CORE_READ(thread, ioac.read_bytes);
	event->written_bytes += BPF_CORE_READ(thread, ioac.write_bytes);
}

/* What released threads had used stands in the signal struct; the others are on its list. */
static __always_inline void add_up(struct task_event *event, const struct task_struct *leader)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);
	const void *head = &signal->thread_head;
	const struct list_head *node = BPF_CORE_READ(signal, thread_head.next);

	event->cpu_ns = BPF_CORE_READ(signal, sum_sched_runtime);
	event->user_ns = BPF_CORE_READ(signal, utime);
	event->system_ns = BPF_CORE_READ(signal, stime);
	event->read_bytes = BPF_CORE_READ(signal, ioac.read_bytes);
	event->written_bytes = BPF_CORE_READ(signal, ioac.write_bytes);
	event->peak_rss_bytes = BPF_CORE_READ(signal, maxrss) << page_shift;
	for (int i = 0; i < MAX_SIBLINGS && node && node != head; i++) {
		add_thread(event, (const void *)node - bpf_core_field_offset(struct task_struct, thread_node));
		node = BPF_CORE_READ(node, next);
	}
	event->threads_cut = node && node != head;
}

/* As wait() tells it: the group's code where one was set, else the leader's own. */
static __always_inline __s32 exit_code_of(const struct task_struct *leader)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT_BIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(leader, exit_code);
}

static __always_inline void count_exit(struct task_totals *sums, __s32 exit_code)
{
	bump(sums->exits, 1);
	if (exit_code & 0x7f)
		bump(sums->exits_signal, 1);
	else if (exit_code)
		bump(sums->exits_error, 1);
	else
		bump(sums->exits_ok, 1);
}

static __always_inline void add_to_cgroup(struct task_totals *sums, __u64 cgroup_id, const struct ended_cost *more)
{
	struct ended_cost none = {}, *cost = bpf_map_lookup_elem(&ended, &cgroup_id);

	if (!cost) {
		bpf_map_update_elem(&ended, &cgroup_id, &none, BPF_NOEXIST);
		cost = bpf_map_lookup_elem(&ended, &cgroup_id);
	}
	if (!cost) {
		bump(sums->ended_lost, 1);
		return;
	}
	bump(cost->cpu_ns, more->cpu_ns);
	bump(cost->read_bytes, more->read_bytes);
	bump(cost->written_bytes, more->written_bytes);
}

static __always_inline void add_cost(struct task_totals *sums, __u64 cgroup_id, const struct ended_cost *more)
{
	bump(sums->cpu_ns, more->cpu_ns);
	bump(sums->read_bytes, more->read_bytes);
	bump(sums->written_bytes, more->written_bytes);
	add_to_cgroup(sums, cgroup_id, more);
}

static __always_inline void bury(const struct task_struct *task)
{
	struct task_totals *sums = get_totals();
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_event event = {};

	if (!sums)
		return;
	describe(&event, TASK_EVENT_EXIT, leader);
	add_up(&event, leader);
	event.exit_code = exit_code_of(leader);
	send(&event, sums);
	count_exit(sums, event.exit_code);

	struct life life = life_of(leader);
	struct told rest = {
		.cost = { .cpu_ns = event.cpu_ns, .read_bytes = event.read_bytes, .written_bytes = event.written_bytes },
		.cgroup_id = event.cgroup_id,
	};
	add_cost(sums, rest.cgroup_id, &rest.cost);
	if (bpf_map_update_elem(&told, &life, &rest, BPF_ANY))
		bump(sums->ended_lost, 1);
}

/* v6.16, 4cc2b0a3ba31: the tracepoint itself says whether the group is dead. The agent loads the one of the two that fits. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task, bool group_dead)
{
	if (group_dead && !task_is_kernel_thread(task))
		bury(task);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_before, struct task_struct *task)
{
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct life life = life_of(leader);
	__u8 one = 1;

	if (task_is_kernel_thread(task) || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	if (!bpf_map_update_elem(&buried, &life, &one, BPF_NOEXIST))
		bury(task);
	return 0;
}

static __always_inline __u64 above(__u64 now, __u64 before)
{
	return now > before ? now - before : 0;
}

/* The leader is released last: by now the signal struct has everything of every thread. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	struct life life = life_of(task);
	struct told *rest = bpf_map_lookup_elem(&told, &life);
	struct task_totals *sums = get_totals();

	if (!rest || !sums)
		return 0;
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct ended_cost more = {
		.cpu_ns = above(BPF_CORE_READ(signal, sum_sched_runtime), rest->cost.cpu_ns),
		.read_bytes = above(BPF_CORE_READ(signal, ioac.read_bytes), rest->cost.read_bytes),
		.written_bytes = above(BPF_CORE_READ(signal, ioac.write_bytes), rest->cost.written_bytes),
	};
	add_cost(sums, rest->cgroup_id, &more);
	bpf_map_delete_elem(&told, &life);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	struct task_totals *sums = get_totals();
	struct task_event event = {};

	if (!sums)
		return 0;
	bump(sums->execs, 1);
	describe(&event, TASK_EVENT_EXEC, task); /* whoever calls exec has become the leader by now */
	send(&event, sums);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_totals *sums = get_totals();

	/* Threads and kernel threads are no processes. */
	if (sums && child->pid == child->tgid && !task_is_kernel_thread(child))
		bump(sums->forks, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
