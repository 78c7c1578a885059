/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where kernels differ: every field that moved, with the version that moved it, behind one name. Nothing else in bpf/ asks
 * which kernel it runs on. Also the few notions all programs must share: a process' identity, its cgroup, its times.
 */
#ifndef NODEMEND_CORE_BPF_H
#define NODEMEND_CORE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "wire.h"

#ifndef PAGE_SHIFT
#define PAGE_SHIFT 12
#endif

enum { PF_KTHREAD_BIT = 0x00200000, SIGNAL_GROUP_EXIT_BIT = 0x00000004, MAX_PIDNS_LEVEL = 32 };

/* Inode of the agent's pid namespace; 0 = the initial one, whose ids stand in the task itself. */
const volatile __u32 pidns_inode = 0;
/* log2 of the page size: 16 KiB and 64 KiB pages are common on arm64. */
const volatile __u32 page_shift = PAGE_SHIFT;

#define bump(counter, by) ((void)__sync_fetch_and_add(&(counter), (by)))

/* --- syscall ABI ------------------------------------------------------------------------------------------------------ */

#if defined(__TARGET_ARCH_x86)
enum {
	NR_FORK = 57, NR_VFORK = 58, NR_CLONE = 56, NR_EXIT = 60, NR_EXIT_GROUP = 231, NR_SIGRETURN = 15, NR_FALLOCATE = 285,
	NR32_FORK = 2, NR32_VFORK = 190, NR32_CLONE = 120, NR32_EXIT = 1, NR32_EXIT_GROUP = 252, NR32_SIGRETURN = 173, NR32_OLD_SIGRETURN = 119,
	NR32_FALLOCATE = 324,
	TS_COMPAT_BIT = 2, X32_BIT = 0x40000000,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_FORK = -2, NR_VFORK = -2, NR_CLONE = 220, NR_EXIT = 93, NR_EXIT_GROUP = 94, NR_SIGRETURN = 139, NR_FALLOCATE = 47,
	NR32_FORK = 2, NR32_VFORK = 190, NR32_CLONE = 120, NR32_EXIT = 1, NR32_EXIT_GROUP = 248, NR32_SIGRETURN = 173, NR32_OLD_SIGRETURN = 119,
	NR32_FALLOCATE = 352,
	TIF_32BIT_BIT = 22,
};
#else
#error "syscall numbers of this architecture are not known here"
#endif
enum { NR_CLONE3 = 435 }; /* the same everywhere */

static __always_inline __u32 syscall_abi_of(const struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & TS_COMPAT_BIT ? SYSCALL_ABI_32 : SYSCALL_ABI_64;
#else
	return task->thread_info.flags >> TIF_32BIT_BIT & 1 ? SYSCALL_ABI_32 : SYSCALL_ABI_64;
#endif
}

/* The same where the task is a mere pointer (bpf_get_current_task_btf came with v5.11). */
static __always_inline __u32 syscall_abi_read(const struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT_BIT ? SYSCALL_ABI_32 : SYSCALL_ABI_64;
#else
	return BPF_CORE_READ(task, thread_info.flags) >> TIF_32BIT_BIT & 1 ? SYSCALL_ABI_32 : SYSCALL_ABI_64;
#endif
}

/* At exit; -1 once rt_sigreturn has put the interrupted registers back. */
static __always_inline long syscall_nr_of(const struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return (long)regs->orig_ax;
#else
	return (int)regs->syscallno;
#endif
}

/* x32 numbers are those of the 64-bit table with a bit set; the few of its own (512…547) end in the last slot. */
static __always_inline __u32 syscall_slot(long nr)
{
#if defined(__TARGET_ARCH_x86)
	nr &= ~(long)X32_BIT;
#endif
	return nr < 0 || nr >= SYSCALL_NR_MAX ? SYSCALL_NR_MAX - 1 : (__u32)nr;
}

static __always_inline __u32 syscall_first_argument(struct pt_regs *regs, __u32 abi)
{
#if defined(__TARGET_ARCH_x86)
	return (__u32)(abi == SYSCALL_ABI_32 ? regs->bx : regs->di);
#else
	return (__u32)regs->regs[0];
#endif
}

/* --- tasks ------------------------------------------------------------------------------------------------------------ */

/* v5.14, 2f064a59a11f: sched: Change task_struct::state (long state became unsigned int __state) */
struct task_struct___before_5_14 {
	volatile long state;
} __attribute__((preserve_access_index));

static __always_inline __u32 task_state(const struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return (__u32)BPF_CORE_READ((const struct task_struct___before_5_14 *)task, state);
}

/* The same where the verifier knows the pointer: a load, and not a call of 15 ns. */
static __always_inline __u32 task_state_of(const struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return (__u32)((const struct task_struct___before_5_14 *)task)->state;
}

static __always_inline bool task_is_kernel_thread(const struct task_struct *task)
{
	return BPF_CORE_READ(task, flags) & PF_KTHREAD_BIT;
}

/* kn->id is one u64 since v5.5 (67c0496e87d1), below our floor. Unified (v2) hierarchy, which also hybrid hosts have. */
static __always_inline __u64 task_cgroup_id(const struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

/* The id by which the agent's pid namespace knows this task; 0 where it does not see it at all. */
static __always_inline __s32 task_pid_seen(const struct task_struct *task)
{
	if (!pidns_inode)
		return BPF_CORE_READ(task, pid);

	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 deepest = BPF_CORE_READ(pid, level);
	for (__u32 level = 0; level < MAX_PIDNS_LEVEL; level++) {
		struct upid upid;

		if (level > deepest)
			break;
		if (bpf_probe_read_kernel(&upid, sizeof(upid), (void *)pid + bpf_core_field_offset(pid->numbers) + level * sizeof(upid)))
			break;
		if (BPF_CORE_READ(upid.ns, ns.inum) == pidns_inode)
			return upid.nr;
	}
	return 0;
}

static __always_inline __s32 task_pid_seen_of(const struct task_struct *task)
{
	return pidns_inode ? task_pid_seen(task) : task->pid;
}

/* --- memory ----------------------------------------------------------------------------------------------------------- */

enum { COUNTER_FILE, COUNTER_ANON, COUNTER_SWAP, COUNTER_SHMEM }; /* MM_FILEPAGES … since v4.5 */

/* v6.2, f1a7941243c1: mm: convert mm's rss stats into percpu_counter */
struct mm_rss_stat___before_6_2 {
	atomic_long_t count[4];
} __attribute__((preserve_access_index));
struct mm_struct___before_6_2 {
	struct mm_rss_stat___before_6_2 rss_stat;
} __attribute__((preserve_access_index));
struct mm_struct___since_6_2 {
	struct percpu_counter rss_stat[4];
} __attribute__((preserve_access_index));

/* As /proc/PID/statm has it: what CPUs still hold back is not in it, and a moment's negative is none. */
static __always_inline __u64 mm_pages(const struct mm_struct *mm, __u32 which)
{
	const struct mm_struct___before_6_2 *old = (const void *)mm;
	const struct mm_struct___since_6_2 *now = (const void *)mm;
	__s64 pages = 0;

	if (bpf_core_field_exists(old->rss_stat.count))
		bpf_core_read(&pages, sizeof(pages), &old->rss_stat.count[which].counter);
	else
		bpf_core_read(&pages, sizeof(pages), &now->rss_stat[which].count);
	return pages > 0 ? (__u64)pages : 0;
}

/* The same where the verifier knows the pointer; before 6.2 it follows none into an array of atomics. */
static __always_inline __u64 mm_pages_of(const struct mm_struct *mm, __u32 which)
{
	const struct mm_struct___before_6_2 *old = (const void *)mm;
	const struct mm_struct___since_6_2 *now = (const void *)mm;

	if (bpf_core_field_exists(old->rss_stat.count))
		return mm_pages(mm, which);
	__s64 pages = now->rss_stat[which].count;
	return pages > 0 ? (__u64)pages : 0;
}

/* --- pages ------------------------------------------------------------------------------------------------------------ */

/* v6.18, 53fbef56e07d: mm: introduce memdesc_flags_t (page and folio flags became a struct of one word) */
struct memdesc_flags___since_6_18 {
	unsigned long f;
};
struct page___since_6_18 {
	struct memdesc_flags___since_6_18 flags;
} __attribute__((preserve_access_index));
struct page___before_6_18 {
	unsigned long flags;
} __attribute__((preserve_access_index));

static __always_inline unsigned long page_flags(const void *page)
{
	const struct page___since_6_18 *now = page;
	const struct page___before_6_18 *old = page;
	unsigned long flags = 0;

	if (bpf_core_field_exists(now->flags.f))
		bpf_core_read(&flags, sizeof(flags), &now->flags.f);
	else
		bpf_core_read(&flags, sizeof(flags), &old->flags);
	return flags;
}

enum { MAPPING_ANON_BIT = 1, TAIL_BIT = 1 };

/* Whether the page is part of a process' own memory. A tail page points to its head, which knows. */
static __always_inline bool page_is_anonymous(const struct page *page)
{
	__u64 head = BPF_CORE_READ(page, compound_head);

	if (head & TAIL_BIT)
		page = (const void *)(head - TAIL_BIT);
	return (__u64)BPF_CORE_READ(page, mapping) & MAPPING_ANON_BIT;
}

/* The number of pages stands in the second page's words: as _nr_pages since v6.15 (4996fc547f5b), as _folio_nr_pages from v6.1
 * (c3a15bff46cb), as compound_nr of the second struct page before. */
struct folio___since_6_15 {
	unsigned int _nr_pages;
} __attribute__((preserve_access_index));
struct folio___since_6_1 {
	unsigned int _folio_nr_pages;
} __attribute__((preserve_access_index));
struct page___before_6_1 {
	unsigned int compound_nr;
} __attribute__((preserve_access_index));

static __always_inline __u64 folio_bytes(const void *folio)
{
	const struct folio___since_6_15 *now = folio;
	const struct folio___since_6_1 *middle = folio;
	const struct page___before_6_1 *second = folio + bpf_core_type_size(struct page);
	unsigned int pages = 0;

	if (!(page_flags(folio) & 1UL << bpf_core_enum_value(enum pageflags, PG_head)))
		return 1UL << page_shift;
	if (bpf_core_field_exists(now->_nr_pages))
		bpf_core_read(&pages, sizeof(pages), &now->_nr_pages);
	else if (bpf_core_field_exists(middle->_folio_nr_pages))
		bpf_core_read(&pages, sizeof(pages), &middle->_folio_nr_pages);
	else if (bpf_core_field_exists(second->compound_nr))
		bpf_core_read(&pages, sizeof(pages), &second->compound_nr);
	return (__u64)(pages ? pages : 1) << page_shift;
}

#endif
