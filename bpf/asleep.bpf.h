/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a thread leaves the CPU, asked at the moment it does. Cheapest sure sign first: its flags, then the system call whose
 * registers it left on its stack, and only for read and write what kind of file stands behind the descriptor.
 */
#ifndef NODEMEND_ASLEEP_BPF_H
#define NODEMEND_ASLEEP_BPF_H

#include "core.bpf.h"
#include "threads.bpf.h"

enum { S_IFMT_BITS = 0170000, S_IFSOCK_BITS = 0140000 };

/* By name, so by the agent: numbers differ between architectures. */
const volatile __u8 call_classes[SYSCALL_ABI_COUNT][SYSCALL_NR_MAX] = {};

static __always_inline enum call_class call_class_of(const struct pt_regs *regs, __u32 abi)
{
	long nr = syscall_nr_of(regs);
	__u32 slot = syscall_slot(nr);

	barrier_var(slot); /* else the compiler knows the bound, and the verifier does not */
	return nr < 0 ? CALL_PLAIN : call_classes[abi][slot & (SYSCALL_NR_MAX - 1)];
}

/* Global, so that the verifier looks at it once; and it takes numbers. */
__noinline __u32 is_socket(__u64 files, __u32 number)
{
	const struct fdtable *table = BPF_CORE_READ((const struct files_struct *)files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd), *file = NULL;

	if (number >= BPF_CORE_READ(table, max_fds) || bpf_probe_read_kernel(&file, sizeof(file), slots + number) || !file)
		return 0;
	return (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT_BITS) == S_IFSOCK_BITS;
}

/* The answer to a look at a descriptor holds to the end of its 2^23 ns: a look takes 70 ns, and who sleeps that often mostly does so on the
 * same one. Closed and opened again meanwhile as another kind of file, it may give one sleep the wrong name. */
enum { LOOK_SHIFT = 23, LOOKED_SOCKET = 0x8000 };

static __always_inline bool waits_on_socket(struct task_struct *task, struct thread *thread, __u32 number, __u64 now)
{
	__u8 at = (__u8)(now >> LOOK_SHIFT);

	if (thread->looked_at != at || (thread->looked & ~LOOKED_SOCKET) != number) {
		__u16 socket = is_socket((__u64)BPF_CORE_READ(task, files), number) ? LOOKED_SOCKET : 0;

		if (number >= LOOKED_SOCKET)
			return socket;
		thread->looked = (__u16)number | socket;
		thread->looked_at = at;
	}
	return thread->looked & LOOKED_SOCKET;
}

/* The registers are asked for once: a call of a helper and back is 5 ns where returns are guarded against speculation. */
static __always_inline enum blame blame_of_call(struct task_struct *task, struct thread *thread, __u64 now)
{
	__u32 abi = syscall_abi_of(task);

	if (!knows_registers())
		return BLAME_SLEEP;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u32 first = syscall_first_argument(regs, abi);

	switch (call_class_of(regs, abi)) {
	case CALL_FUTEX: return BLAME_FUTEX;
	case CALL_NETWORK: return BLAME_NETWORK;
	case CALL_BY_DESCRIPTOR: return waits_on_socket(task, thread, first, now) ? BLAME_NETWORK : BLAME_SLEEP;
	default: return BLAME_SLEEP;
	}
}

static __always_inline bool has_no_calls(const struct task_struct *task)
{
	return task->flags & (PF_KTHREAD_BIT | PF_IO_WORKER_BIT);
}

/* kswapd wears PF_MEMALLOC all its life, and a kernel thread's stack has no call to look at. */
static __always_inline enum blame blame_of_sleep(struct task_struct *task, struct thread *thread, __u32 state, __u64 now)
{
	bool of_kernel = has_no_calls(task);

	if (!of_kernel && task->flags & PF_MEMALLOC_BIT)
		return BLAME_RECLAIM;
	if (BPF_CORE_READ_BITFIELD(task, in_iowait))
		return BLAME_BLOCK_IO;
	if (of_kernel)
		return state & TASK_INTERRUPTIBLE_BIT || state & TASK_NOLOAD_BIT ? BLAME_SLEEP : BLAME_OTHER;
	return state & TASK_INTERRUPTIBLE_BIT ? blame_of_call(task, thread, now) : BLAME_OTHER;
}

/* It gives way by its own wish. */
static __always_inline bool yields(struct task_struct *task)
{
	return !has_no_calls(task) && knows_registers() &&
		call_class_of((const struct pt_regs *)bpf_task_pt_regs(task), syscall_abi_of(task)) == CALL_YIELD;
}

#endif
