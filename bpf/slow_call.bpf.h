/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is looked at only when a call took long: what kind of file it was called on, whether it therefore waited rather than worked, and
 * the record of one that is beyond its threshold.
 */
#ifndef NODEMEND_SLOW_CALL_BPF_H
#define NODEMEND_SLOW_CALL_BPF_H

#include "fallocate.bpf.h"
#include "syscall_rows.bpf.h"

enum {
	MODE_MASK = 0170000, MODE_FIFO = 0010000, MODE_CHARACTER = 0020000, MODE_DIRECTORY = 0040000, MODE_BLOCK = 0060000, MODE_FILE = 0100000,
	MODE_LINK = 0120000, MODE_SOCKET = 0140000,
};

/* A call shorter than this is not looked at: what it may have waited swamps no percentile. */
#define LONG_NS 1000000ULL

/* enum syscall_trait by number, from the agent, which has the names. */
const volatile __u8 traits[SYSCALL_WAITED] = {};
const volatile __u64 slow_ns = 1000000000ULL;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024); /* 600 records a tick */
} slow_calls SEC(".maps");
counts_refused(slow_calls);

static __always_inline __u8 traits_of(__u32 number)
{
	return traits[number & (SYSCALL_WAITED - 1)];
}

static __always_inline enum descriptor_kind kind_of_inode(const struct inode *inode)
{
	switch (BPF_CORE_READ(inode, i_mode) & MODE_MASK) {
	case MODE_FIFO: return DESCRIPTOR_PIPE;
	case MODE_CHARACTER: return DESCRIPTOR_DEVICE;
	case MODE_SOCKET: return DESCRIPTOR_SOCKET;
	case 0: return DESCRIPTOR_EVENT; /* the one inode of all eventfds, timerfds, inotifies and their like */
	default: return DESCRIPTOR_FILE;
	}
}

static __always_inline __u32 first_argument(const struct pt_regs *regs, __u32 number)
{
#if defined(__TARGET_ARCH_x86)
	return number / SYSCALL_NR_MAX == SYSCALL_ABI_32 ? (__u32)BPF_CORE_READ(regs, bx) : (__u32)BPF_CORE_READ(regs, di);
#else
	return (__u32)BPF_CORE_READ(regs, orig_x0); /* the result stands where the argument was */
#endif
}

static __always_inline enum descriptor_kind descriptor_of(const struct task_struct *task, __u32 argument, __u32 number)
{
	if (!(traits_of(number) & SYSCALL_TRAIT_DESCRIPTOR))
		return DESCRIPTOR_NONE;
	struct inode *inode = inode_of_descriptor(task, argument);
	return inode ? kind_of_inode(inode) : DESCRIPTOR_NONE;
}

static __always_inline bool waits(__u32 number, enum descriptor_kind descriptor)
{
	__u8 its = traits_of(number);

	return its & SYSCALL_TRAIT_WAITS || (its & SYSCALL_TRAIT_MAY_WAIT && descriptor > DESCRIPTOR_FILE);
}

struct long_call {
	__u64 start_ns, took_ns;
	long result;
	__u32 number, descriptor;
};

static __always_inline void record_slow(const struct task_struct *task, const struct long_call *call)
{
	struct syscall_counters *mine = my_counters();

	if (!mine)
		return;
	count(mine->slow, 1);
	struct slow_call_record *record = bpf_ringbuf_reserve(&slow_calls, sizeof(*record), 0);
	if (!record) {
		refuse(slow_calls);
		count(mine->slow_lost, 1);
		return;
	}
	record->at_ns = bpf_ktime_get_boot_ns();
	record->start_ns = call->start_ns;
	record->took_ns = call->took_ns;
	record->cgroup_id = task_cgroup_id(task);
	record->number = call->number;
	record->descriptor = call->descriptor;
	record->pid = task_pid_seen(BPF_CORE_READ(task, group_leader));
	record->tid = task_pid_seen(task);
	record->uid = (__u32)bpf_get_current_uid_gid();
	record->error = call->result < 0 && call->result >= -4095 ? (__s32)-call->result : 0;
	bpf_get_current_comm(record->comm, sizeof(record->comm));
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* The number under which the call is counted. Out of line: a few in a thousand calls come here. */
__noinline __u32 look_at_long(__u32 number, __u32 argument, __u64 start_ns, __u64 took_ns, __u64 result)
{
	const struct task_struct *task = (void *)bpf_get_current_task();

	if (traits_of(number) & SYSCALL_TRAIT_WAITS)
		return number;

	struct long_call call = {
		.start_ns = start_ns, .took_ns = took_ns, .number = number, .result = (long)result,
		.descriptor = descriptor_of(task, argument, number),
	};
	if (waits(number, call.descriptor))
		return number | SYSCALL_WAITED;
	if (took_ns >= slow_ns)
		record_slow(task, &call);
	return number;
}

#endif
