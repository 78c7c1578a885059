/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number of a call over all ABIs (see signals/syscall.h), and the few numbers whose returns are not what they seem. */
#ifndef NODEMEND_SYSCALL_NUMBER_BPF_H
#define NODEMEND_SYSCALL_NUMBER_BPF_H

#include "syscall_rows.bpf.h"

static __always_inline __u32 number_of(long nr, __u32 abi)
{
	if (abi == SYSCALL_ABI_64 && (__u64)nr < SYSCALL_NUMBER_OTHER)
		return nr;

	__u32 slot = syscall_slot(nr);

#if defined(__TARGET_ARCH_x86)
	if (nr & X32_BIT && abi == SYSCALL_ABI_64)
		abi = SYSCALL_ABI_X32;
#endif
	return slot == SYSCALL_NUMBER_OTHER ? slot : abi * SYSCALL_NR_MAX + slot;
}

static __always_inline __u32 slot_of(__u32 number) { return number & (SYSCALL_NR_MAX - 1); }
static __always_inline __u32 table_of(__u32 number) { return number / SYSCALL_NR_MAX == SYSCALL_ABI_32 ? SYSCALL_ABI_32 : SYSCALL_ABI_64; }

/* What rt_sigreturn "returns" is the register of the code it resumes. */
static __always_inline bool returns_no_result(__u32 number)
{
	__u32 slot = slot_of(number);

	return table_of(number) == SYSCALL_ABI_64 ? slot == NR_SIGRETURN : slot == NR32_SIGRETURN || slot == NR32_OLD_SIGRETURN;
}

static __always_inline bool never_returns(__u32 number)
{
	__u32 slot = slot_of(number);

	if (number < SYSCALL_NR_MAX)
		return number == NR_EXIT || number == NR_EXIT_GROUP;
	return table_of(number) == SYSCALL_ABI_64 ? slot == NR_EXIT || slot == NR_EXIT_GROUP : slot == NR32_EXIT || slot == NR32_EXIT_GROUP;
}

/* One call, two returns: the child's comes first to a task that never entered anything. */
static __always_inline bool is_return_of_child(__u32 number, long result)
{
	__u32 slot = slot_of(number);

	if (result)
		return false;
	if (slot == NR_CLONE3)
		return true;
	return table_of(number) == SYSCALL_ABI_64 ? slot == NR_CLONE || slot == NR_FORK || slot == NR_VFORK :
		slot == NR32_CLONE || slot == NR32_FORK || slot == NR32_VFORK;
}

static __always_inline bool is_error(long result)
{
	return unlikely((unsigned long)result >= (unsigned long)-4095L);
}

static __always_inline __u32 number_at_exit(const struct pt_regs *regs, __u32 abi)
{
	long nr = syscall_nr_of(regs);

	return number_of(nr != -1 ? nr : abi == SYSCALL_ABI_64 ? NR_SIGRETURN : NR32_SIGRETURN, abi);
}

#endif
