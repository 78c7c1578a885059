/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often each syscall returned, with which class of error, and how long it took. A call's start lives in the task's own
 * storage, so it can neither outlive the task nor be taken for another's: no phantoms, nothing to prune. The same two hooks
 * serve fallocate, since each hot point is hooked once.
 */
#include "core.bpf.h"
#include "fallocate.bpf.h"

struct call {
	__u64 start_ns; /* 0: not in a call that we saw begin */
	__u32 slot, abi;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SYSCALL_NR_MAX);
	__type(key, __u32);
	__type(value, struct syscall_counts);
} counts_64 SEC(".maps");

/* Most hosts never make a 32-bit call: rows come with the first one. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SYSCALL_NR_MAX);
	__type(key, __u32);
	__type(value, struct syscall_counts);
} counts_32 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[SYSCALL_LOSS_COUNT]);
} losses SEC(".maps");

/*
 * Each processor has its own slot, a system call is not made from an interrupt, and a program does not run again where it was preempted
 * (the kernel skips it then and says how often; only 7.x can preempt it at all): a plain addition loses nothing and saves 5 ns of
 * a locked one. No counter is written by both programs.
 */
#define count(counter, by) ((void)((counter) += (by)))

static const struct syscall_counts no_counts;

static __always_inline void lose(enum syscall_loss what)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&losses, &zero);

	if (lost)
		bump(lost[what], 1);
}

static __always_inline struct syscall_counts *counts_32_of(__u32 slot)
{
	struct syscall_counts *counts = bpf_map_lookup_elem(&counts_32, &slot);

	if (counts)
		return counts;
	bpf_map_update_elem(&counts_32, &slot, &no_counts, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts_32, &slot);
}

static __always_inline struct syscall_counts *counts_of(__u32 slot, __u32 abi)
{
	struct syscall_counts *counts = abi == SYSCALL_ABI_64 ? bpf_map_lookup_elem(&counts_64, &slot) : counts_32_of(slot);

	if (!counts)
		lose(SYSCALL_LOSS_CALL);
	return counts;
}

static __always_inline enum errno_class errno_class_of(long error)
{
	switch (error) {
	case 1: return ERRNO_CLASS_EPERM;
	case 2: return ERRNO_CLASS_ENOENT;
	case 4: return ERRNO_CLASS_EINTR;
	case 5: return ERRNO_CLASS_EIO;
	case 9: return ERRNO_CLASS_EBADF;
	case 11: return ERRNO_CLASS_EAGAIN;
	case 12: return ERRNO_CLASS_ENOMEM;
	case 13: return ERRNO_CLASS_EACCES;
	case 17: return ERRNO_CLASS_EEXIST;
	case 22: return ERRNO_CLASS_EINVAL;
	case 24: return ERRNO_CLASS_EMFILE;
	case 28: return ERRNO_CLASS_ENOSPC;
	case 32: return ERRNO_CLASS_EPIPE;
	case 110: return ERRNO_CLASS_ETIMEDOUT;
	case 103: case 104: case 111: return ERRNO_CLASS_ECONN; /* aborted, reset, refused */
	case 512: case 513: case 514: case 516: return ERRNO_CLASS_RESTART;
	default: return ERRNO_CLASS_OTHER;
	}
}

/* What rt_sigreturn "returns" is the register of the code it resumes. */
static __always_inline bool returns_no_result(__u32 slot, __u32 abi)
{
	return abi == SYSCALL_ABI_64 ? slot == NR_SIGRETURN : slot == NR32_SIGRETURN || slot == NR32_OLD_SIGRETURN;
}

static __always_inline bool never_returns(__u32 slot, __u32 abi)
{
	return abi == SYSCALL_ABI_64 ? slot == NR_EXIT || slot == NR_EXIT_GROUP : slot == NR32_EXIT || slot == NR32_EXIT_GROUP;
}

/* One call, two returns: the child's comes first to a task that never entered anything. */
static __always_inline bool is_return_of_child(__u32 slot, __u32 abi, long result)
{
	if (result)
		return false;
	if (slot == NR_CLONE3)
		return true;
	return abi == SYSCALL_ABI_64 ? slot == NR_CLONE || slot == NR_FORK || slot == NR_VFORK :
		slot == NR32_CLONE || slot == NR32_FORK || slot == NR32_VFORK;
}

static __always_inline void count_error(struct syscall_counts *counts, __u32 slot, __u32 abi, long result)
{
	if (result < 0 && result >= -4095 && !returns_no_result(slot, abi))
		count(counts->errors[errno_class_of(-result)], 1);
}

static __always_inline void count_untimed(__u32 slot, __u32 abi, long result)
{
	struct syscall_counts *counts = counts_of(slot, abi);

	if (!counts)
		return;
	count(counts->untimed, 1);
	count_error(counts, slot, abi, result);
}

/* Seen at the exit alone: the child of a fork, a call refused by seccomp before it began, one that was under way when we came. */
static __always_inline void on_unpaired_exit(const struct pt_regs *regs, __u32 abi, long result)
{
	long nr = syscall_nr_of(regs);
	__u32 slot = nr != -1 ? syscall_slot(nr) : abi == SYSCALL_ABI_64 ? NR_SIGRETURN : NR32_SIGRETURN;

	if (!is_return_of_child(slot, abi, result))
		count_untimed(slot, abi, result);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 abi = syscall_abi_of(task), slot = syscall_slot(nr);

	if (never_returns(slot, abi)) {
		count_untimed(slot, abi, 0);
		return 0;
	}
	if (watch_fallocate)
		fallocate_begin(regs, task, slot, abi);

	struct call *call = bpf_task_storage_get(&calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call) {
		lose(SYSCALL_LOSS_START);
		return 0;
	}
	call->slot = slot;
	call->abi = abi;
	call->start_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct call *call = bpf_task_storage_get(&calls, task, NULL, 0);

	if (!call || !call->start_ns) {
		on_unpaired_exit(regs, syscall_abi_of(task), result);
		return 0;
	}

	/* The name comes from the enter: an exec has another image, perhaps another ABI, by now. */
	__u32 slot = call->slot, abi = call->abi;
	__u64 now = bpf_ktime_get_ns(), start = call->start_ns;
	call->start_ns = 0;
	if (watch_fallocate)
		fallocate_end(task, slot, abi);

	struct syscall_counts *counts = counts_of(slot, abi);
	if (!counts)
		return 0;
	__u64 ns = now > start ? now - start : 0;
	__u32 bucket = histogram_bucket(ns);
	if (bucket < HISTOGRAM_BUCKETS)
		count(counts->latency.buckets[bucket], 1);
	count(counts->latency.sum_ns, ns);
	count_error(counts, slot, abi, result);
	return 0;
}

/* The rung below, for kernels without task storage: counts and errors at the exit, no latency, and no exit_group. */
SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit_only, struct pt_regs *regs, long result)
{
	on_unpaired_exit(regs, syscall_abi_read((void *)bpf_get_current_task()), result);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
