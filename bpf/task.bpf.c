/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Births, execs and deaths of processes. When the last thread of a group exits, what the whole life cost is recorded, so that
 * a process shorter than a tick is not lost. Totals and the sums by cgroup are kept beside the ring: they stay exact when it is full.
 */
#include "usage.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_totals);
} totals SEC(".maps");

/* Not preallocated: nothing here runs with interrupts off, so it may allocate. What finds no room goes to CGROUP_UNKNOWN's row. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct cgroup_lives);
} lives SEC(".maps");
counts_refused(lives);

/* Two threads that exit at once can both find none left alive; the second one is told apart here. A cache: LRU will do. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct life);
	__type(value, __u8);
} buried SEC(".maps");

static __always_inline struct task_totals *get_totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&totals, &zero);
}

/* Ends that some policy wants to know of at once: by a signal, or with an exit code. Turned on by the agent. */
volatile __u64 wake_signals SEC(".data") = 0, wake_codes[4] SEC(".data") = {}; /* bit n for n */

static __always_inline bool is_awaited(__s32 exit_code)
{
	__u32 signal = exit_code & (EXIT_SIGNALS - 1), code = exit_code >> 8 & 0xff;

	return signal ? wake_signals >> (signal & 63) & 1 : wake_codes[code >> 6 & 3] >> (code & 63) & 1;
}

/* NO_WAKEUP: the agent reads at its ticks; nobody's exit pays for waking it but those that were asked for. */
static __always_inline void send(const struct task_event *event, struct task_totals *sums)
{
	bool wake = event->kind == TASK_EVENT_EXIT && is_awaited(event->exit_code);

	if (event->pid && bpf_ringbuf_output(&task_events, (void *)event, sizeof(*event), wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP)) {
		refuse(task_events);
		bump(sums->ring_lost, 1);
	}
}

static __always_inline struct cgroup_lives *get_lives(struct task_totals *sums, __u64 cgroup_id)
{
	struct cgroup_lives none = {}, *of = bpf_map_lookup_elem(&lives, &cgroup_id);

	if (of)
		return of;
	bpf_map_update_elem(&lives, &cgroup_id, &none, BPF_NOEXIST);
	of = bpf_map_lookup_elem(&lives, &cgroup_id);
	if (of)
		return of;
	refuse(lives);
	bump(sums->ended_lost, 1);
	cgroup_id = CGROUP_UNKNOWN;
	return bpf_map_lookup_elem(&lives, &cgroup_id);
}

/* As wait() tells it: the group's code where one was set, else the leader's own. */
static __always_inline __s32 exit_code_of(const struct task_struct *leader)
{
	struct signal_struct *signal = BPF_CORE_READ(leader, signal);

	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT_BIT)
		return BPF_CORE_READ(signal, group_exit_code);
	return BPF_CORE_READ(leader, exit_code);
}

static __always_inline enum exit_cause count_exit(struct task_totals *sums, __s32 exit_code)
{
	__u32 number = exit_code & (EXIT_SIGNALS - 1);
	enum exit_cause cause = number ? EXIT_SIGNAL : exit_code ? EXIT_ERROR : EXIT_OK;

	bump(sums->lives.exits[cause], 1);
	if (number)
		bump(sums->exit_signals[number], 1);
	if (exit_code & 0x80)
		bump(sums->core_dumps, 1);
	return cause;
}

static __always_inline void add_usage(struct task_totals *sums, struct cgroup_lives *of, const union usage *more)
{
	for (int i = 0; i < USAGE_COUNT; i++) {
		bump(sums->ended.each[i], more->each[i]);
		if (of)
			bump(of->ended.each[i], more->each[i]);
	}
}

static __always_inline struct told *add_dead_thread(const struct task_struct *thread, const struct task_struct *leader, struct life *life,
						    struct task_totals *sums)
{
	struct dead_threads dead = read_thread(thread);
	struct told *rest = bpf_map_lookup_elem(&told, life);

	if (!rest) {
		struct told none = {};

		bpf_map_update_elem(&told, life, &none, BPF_NOEXIST);
		rest = bpf_map_lookup_elem(&told, life);
	}
	if (!rest) {
		refuse(told);
		bump(sums->ended_lost, 1);
		return NULL;
	}
	bump(rest->dead.read_bytes, dead.read_bytes);
	bump(rest->dead.written_bytes, dead.written_bytes);
	bump(rest->dead.run_delay_ns, dead.run_delay_ns);
	if (thread == leader)
		rest->leader = dead;
	return rest;
}

static __always_inline void bury(struct task_totals *sums, struct told *rest, struct life *life, const struct task_struct *leader)
{
	struct task_event *event = get_scratch();
	struct sliced *before = bpf_map_lookup_elem(&sliced, life);

	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	describe(event, TASK_EVENT_EXIT, leader);
	add_up(event, leader, rest);
	event->exit_code = exit_code_of(leader);
	cut_slice(event, before);
	send(event, sums);
	if (before)
		bpf_map_delete_elem(&sliced, life);

	struct cgroup_lives *of = get_lives(sums, event->cgroup_id);
	enum exit_cause cause = count_exit(sums, event->exit_code);
	if (of)
		bump(of->lives.exits[cause], 1);
	add_usage(sums, of, &event->used);
	if (rest) {
		rest->used = event->used;
		rest->cgroup_id = event->cgroup_id;
		rest->ended = 1;
	}
}

static __always_inline void end_thread(const struct task_struct *task, bool group_dead)
{
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct life life = life_of(leader);
	struct task_totals *sums = get_totals();

	if (!sums)
		return;
	struct told *rest = add_dead_thread(task, leader, &life, sums);
	if (group_dead)
		bury(sums, rest, &life, leader);
}

/* v6.16, 4cc2b0a3ba31: the tracepoint itself says whether the group is dead. The agent loads the one of the two that fits. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task, bool group_dead)
{
	if (!task_is_kernel_thread(task))
		end_thread(task, group_dead);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_before, struct task_struct *task)
{
	struct life life = life_of(BPF_CORE_READ(task, group_leader));
	bool group_dead = !BPF_CORE_READ(task, signal, live.counter);
	__u8 one = 1;

	if (task_is_kernel_thread(task))
		return 0;
	if (group_dead && bpf_map_update_elem(&buried, &life, &one, BPF_NOEXIST))
		group_dead = false;
	end_thread(task, group_dead);
	return 0;
}

/* The leader is released last: by now the signal struct has everything of every thread. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	struct life life = life_of(task);
	struct told *rest = bpf_map_lookup_elem(&told, &life);
	struct task_totals *sums = get_totals();
	union usage more;

	if (!rest || !sums)
		return 0;
	read_signal(&more, BPF_CORE_READ(task, signal));
	add_dead(&more, &rest->dead);
	more.read_bytes += above(BPF_CORE_READ(task, ioac.read_bytes), rest->leader.read_bytes);
	more.written_bytes += above(BPF_CORE_READ(task, ioac.write_bytes), rest->leader.written_bytes);
	for (int i = 0; i < USAGE_COUNT; i++)
		more.each[i] = above(more.each[i], rest->used.each[i]);
	if (rest->ended)
		add_usage(sums, get_lives(sums, rest->cgroup_id), &more);
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
	describe(&event, TASK_EVENT_EXEC, task); /* whoever calls exec has become the leader by now */
	send(&event, sums);
	bump(sums->lives.execs, 1);
	struct cgroup_lives *of = get_lives(sums, event.cgroup_id);
	if (of)
		bump(of->lives.execs, 1);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct task_totals *sums = get_totals();

	/* Threads and kernel threads are no processes. The child is in its cgroup by now, CLONE_INTO_CGROUP's, too. */
	if (!sums || child->pid != child->tgid || task_is_kernel_thread(child))
		return 0;
	bump(sums->lives.forks, 1);
	struct cgroup_lives *of = get_lives(sums, task_cgroup_id(child));
	if (of)
		bump(of->lives.forks, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
