/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often each system call returned, with which errors, and how long it took, by cgroup. A call's start lives in the task's own
 * storage, so it can neither outlive the task nor be taken for another's: no phantoms, nothing to prune; and a walk over all tasks
 * finds the calls that have not returned yet. The same two hooks serve fallocate, since each hot point is hooked once.
 */
#include "core.bpf.h"
#include "depth.bpf.h"
#include "fallocate.bpf.h"
#include "fsync.bpf.h"
#include "slow_call.bpf.h"
#include "syscall_lower.bpf.h"
#include "syscall_number.bpf.h"
#include "syscall_rows.bpf.h"
#include "syscall_times.bpf.h"

/* Raised whenever the enter hook comes back, since a start from before is of a call whose end may have been seen by nobody; 0 while it is
 * away. Asked at every exit, and so the answer to keeps_histograms() as well. */
volatile __u32 epoch SEC(".data") = 1;

struct call {
	__u64 start_ns; /* 0: not in a call that we saw begin */
	__u32 number, epoch;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call);
} calls SEC(".maps");
counts_refused(calls);

__noinline int count_error(__u32 row, __u32 number, __u64 result)
{
	struct syscall_counters *mine = my_counters();

	if (!mine || returns_no_result(number))
		return 0;
	count(mine->rows[row & (SYSCALL_ROWS - 1)].errors, 1);
	if (!count_errno(number, -(long)result))
		count(mine->errors_unnamed, 1);
	return 0;
}

__noinline int count_untimed(__u64 cgroup_id, __u32 number, __u64 result)
{
	struct syscall_counters *mine = my_counters();

	if (!mine)
		return 0;
	__u32 row = row_of(mine, id_of(number), cgroup_id);
	count(mine->rows[row].count, 1);
	if (is_error(result))
		count_error(row, number, result);
	return 0;
}

/* Seen at the exit alone: the child of a fork, a call refused by seccomp before it began, one that was under way when we came; and every
 * call at DEPTH_COUNTS. */
static __always_inline int on_unpaired_exit(__u64 cgroup_id, __u32 number, long result)
{
	return is_return_of_child(number, result) ? 0 : count_untimed(cgroup_id, number, result);
}

/* What only a few calls need stands out of line: with its stack beside theirs, the hot programs would be given a private one by 6.13 and
 * later (from 64 bytes on), and each of their calls would save and restore its address. */
__noinline int on_last_call(__u32 number)
{
	return count_untimed(task_cgroup_id((const void *)bpf_get_current_task()), number, 0);
}

/* The calls whose ends other collectors want to see, since each hot point is hooked once. */
__noinline int on_watched_enter(__u32 number, __u32 descriptor)
{
	if (watch_fallocate)
		fallocate_begin((void *)bpf_get_current_task(), slot_of(number), table_of(number), descriptor);
	if (watch_fsync)
		fsync_begin((void *)bpf_get_current_task(), slot_of(number), table_of(number), descriptor);
	return 0;
}

__noinline int on_watched_exit(__u32 number, __u64 result)
{
	if (watch_fallocate)
		fallocate_end((void *)bpf_get_current_task(), slot_of(number), table_of(number));
	if (watch_fsync)
		fsync_end(slot_of(number), table_of(number), (long)result);
	return 0;
}

__noinline int lose_start(void)
{
	struct syscall_counters *mine = my_counters();

	refuse(calls);
	if (mine)
		count(mine->starts_lost, 1);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 number = number_of(nr, syscall_abi_of(task));

	if (unlikely(never_returns(number)))
		return on_last_call(number);
	if ((watch_fallocate || watch_fsync) && unlikely(traits_of(number) & SYSCALL_TRAIT_WATCHED))
		on_watched_enter(number, syscall_first_argument(regs, table_of(number)));

	struct call *call = bpf_task_storage_get(&calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (unlikely(!call))
		return lose_start();
	call->number = number;
	call->epoch = epoch;
	call->start_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 now_epoch = epoch;
	__u64 cgroup_id = task->cgroups->dfl_cgrp->kn->id; /* 8 ns less than bpf_get_current_cgroup_id() */

	/* Once and before the ways part: for a load of a pointer through a trusted one the verifier searches all types by name, up to four times
	 * and on every way (type_is_trusted and its kin): 3 ms to load for this chain. */
	barrier_var(cgroup_id);
	struct call *call = now_epoch ? bpf_task_storage_get(&calls, task, NULL, 0) : NULL;

	if (!call || !call->start_ns || call->epoch != now_epoch)
		return on_unpaired_exit(cgroup_id, number_at_exit(regs, syscall_abi_of(task)), result);

	/* The name comes from the enter: an exec has another image, perhaps another ABI, by now. */
	__u32 number = call->number;
	__u64 start = call->start_ns, ns = bpf_ktime_get_ns() - start;
	call->start_ns = 0;
	if ((watch_fallocate || watch_fsync) && unlikely(traits_of(number) & SYSCALL_TRAIT_WATCHED))
		on_watched_exit(number, result);

	struct syscall_counters *mine = my_counters();
	if (!mine)
		return 0;
	if (unlikely(ns >= LONG_NS)) {
		if ((__s64)ns < 0) /* the clocks of two CPUs */
			ns = 0;
		else
			number = look_at_long(number, first_argument(regs, number), start, ns, result);
	}
	__u32 id = id_of(number);
	__u32 row = row_of(mine, id, cgroup_id);
	count(mine->rows[row].count, 1);
	count(mine->rows[row].sum_ns, ns);
	if (id < SYSCALL_TIMED) {
		__u32 bucket = bucket_of(ns);
		if (bucket < HISTOGRAM_BUCKETS)
			count(mine->times[id].buckets[bucket], 1);
	}
	if (is_error(result))
		count_error(row, number, result);
	if (looks_deep())
		look_deeper(cgroup_id, number, ns);
	return 0;
}

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct {
		struct in_flight_record record;
		__u64 stack[SYSCALL_STACK];
	} out = {};
	struct task_struct *task = ctx->task;
	struct call *call = task ? bpf_task_storage_get(&calls, task, NULL, 0) : NULL;

	if (!call || call->epoch != epoch)
		return 0;
	/* The task may run: a start that has not changed around the number belongs to it. */
	out.record.start_ns = *(volatile __u64 *)&call->start_ns;
	out.record.number = *(volatile __u32 *)&call->number;
	if (!out.record.start_ns || out.record.start_ns != *(volatile __u64 *)&call->start_ns)
		return 0;
	out.record.cgroup_id = task_cgroup_id(task);
	out.record.pid = task_pid_seen(BPF_CORE_READ(task, group_leader));
	out.record.tid = task_pid_seen(task);

	__u64 now = bpf_ktime_get_ns(), age = now > out.record.start_ns ? now - out.record.start_ns : 0;
	long frames = 0;
	if (age >= LONG_NS && !(traits_of(out.record.number) & SYSCALL_TRAIT_WAITS)) {
		/* v5.15, dd6e10fbd9fb: bpf: Add bpf_task_pt_regs() helper */
		if (traits_of(out.record.number) & SYSCALL_TRAIT_MAY_WAIT && bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
			const struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
			if (waits(out.record.number, descriptor_of(task, first_argument(regs, out.record.number), out.record.number)))
				out.record.number |= SYSCALL_WAITED;
		}
		if (age >= slow_ns && !(out.record.number & SYSCALL_WAITED))
			frames = bpf_get_task_stack(task, out.stack, sizeof(out.stack), 0);
	}
	out.record.frames = frames > 0 ? (__u32)frames / sizeof(out.stack[0]) : 0;
	bpf_seq_write(ctx->meta->seq, &out, out.record.frames ? sizeof(out) : sizeof(out.record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
