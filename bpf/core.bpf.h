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

/*
 * How often a map or a ring had no room: a word right behind it, which is touched on such a failure only. The agent's census finds it by
 * its name (agent/collect/census.c) and adds up those of the objects that share a map.
 */
#define counts_refused(map) volatile __u64 refused_##map SEC(".data") = 0
#define refuse(map) bump(refused_##map, 1)

/* The address as a mere number, which is all that a global function may be given on all our kernels. */
static __always_inline __u64 as_number(const void *pointer)
{
	__u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return number;
}

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

/* x32 numbers are those of the 64-bit table with a bit set; the few of its own (512…547) are beyond the table. */
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

static __always_inline struct inode *inode_of_descriptor(const struct task_struct *task, __u32 number)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots = BPF_CORE_READ(table, fd), *file = NULL;

	if (number >= BPF_CORE_READ(table, max_fds) || bpf_probe_read_kernel(&file, sizeof(file), slots + number))
		return NULL;
	return file ? BPF_CORE_READ(file, f_inode) : NULL;
}

/* --- sockets ---------------------------------------------------------------------------------------------------------- */

enum { FAMILY_INET = 2, FAMILY_INET6 = 10, SOCK_DONE_BIT = 1 };

/* v5.15, 8520e224f547: bpf, cgroups: Fix cgroup v2 fallback on v1/v2 mixed mode. Before, one word held either the pointer with two
 * tags in its low bits, or v1's numbers, which the lowest bit tells. */
struct sock_cgroup_data___before_5_15 {
	__u64 val;
} __attribute__((preserve_access_index));

/* Of whoever made the socket; an accepted one has its listener's. 0 where the kernel does not keep it. */
static __always_inline __u64 sock_cgroup_id(const struct sock *sk)
{
	const struct cgroup *cgroup = NULL;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup)) {
		cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	} else if (bpf_core_field_exists(sk->sk_cgrp_data)) {
		const struct sock_cgroup_data___before_5_15 *data = (const void *)sk + bpf_core_field_offset(sk->sk_cgrp_data);
		__u64 word = BPF_CORE_READ(data, val);

		cgroup = word & 1 ? NULL : (const void *)(word & ~3ULL);
	}
	return cgroup ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

/* --- scheduler -------------------------------------------------------------------------------------------------------- */

enum {
	TASK_INTERRUPTIBLE_BIT = 0x1, TASK_UNINTERRUPTIBLE_BIT = 0x2, TASK_DEAD_BIT = 0x80, TASK_NOLOAD_BIT = 0x400, /* since v4.14 */
	PF_IO_WORKER_BIT = 0x10, PF_MEMALLOC_BIT = 0x800,
};

/*
 * The clock that sched_info is kept by, of the CPU that the task runs on or ran on last. The scheduler brings it up to date before it
 * switches; else each tick does. By way of the task, since kernels without KALLSYMS_ALL do not give the address of `runqueues`.
 */
static __always_inline __u64 runqueue_clock(const struct task_struct *task)
{
	return task->se.cfs_rq->rq->clock;
}

/* The run queue of the CPU that the task runs on, or ran on last; NULL where fair scheduling knows no groups. */
static __always_inline const struct rq *runqueue_of(const struct task_struct *task)
{
	return bpf_core_field_exists(task->se.cfs_rq) ? task->se.cfs_rq->rq : NULL;
}

/* Of the system call that a thread is in: bpf_task_pt_regs came with v5.15 (dd6e10fbd9fb). */
static __always_inline bool knows_registers(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs);
}

/* Its size differs: it is no int any more in v7.3, where a plain load is refused. */
static __always_inline bool task_on_cpu(const struct task_struct *task)
{
	__u32 on_cpu = 0;

	bpf_core_read(&on_cpu, bpf_core_field_size(task->on_cpu), &task->on_cpu);
	return on_cpu;
}

/* Whether bandwidth control holds this run queue, or one above it. */
static __always_inline bool queue_is_throttled(const struct cfs_rq *queue)
{
	if (!bpf_core_field_exists(queue->throttle_count))
		return false;
	return queue->throttle_count > 0;
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

/*
 * How a tail page tells its head: by the address of the head, or by the mask that makes that address of its own (compound_info, since
 * v7.1, 8c846c879e22, and only where huge pages' struct pages may be freed). Both have TAIL_BIT; a mask covers folios of up to 2^24
 * pages, and no struct page lies in the last gigabyte of the address space.
 */
struct page___since_7_1 {
	unsigned long compound_info;
} __attribute__((preserve_access_index));
struct page___before_7_1 {
	unsigned long compound_head;
} __attribute__((preserve_access_index));

static __always_inline const void *page_head(const void *page)
{
	const struct page___since_7_1 *now = page;
	const struct page___before_7_1 *old = page;
	__u64 told = 0;

	if (bpf_core_field_exists(now->compound_info))
		bpf_core_read(&told, sizeof(told), &now->compound_info);
	else
		bpf_core_read(&told, sizeof(told), &old->compound_head);
	if (!(told & TAIL_BIT))
		return page;
	return (const void *)(told >= -(1ULL << 30) ? (__u64)page & told : told - TAIL_BIT);
}

/* Whether the page is part of a process' own memory: the head of its folio knows. */
static __always_inline bool page_is_anonymous(const void *page)
{
	const struct page *head = page_head(page);

	return (__u64)BPF_CORE_READ(head, mapping) & MAPPING_ANON_BIT;
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

/* --- names of files ---------------------------------------------------------------------------------------------------- */

/* By v7.3 the words that an unused dentry shares with others have lost the union's name d_u. */
struct dentry___by_7_3 {
	struct hlist_node d_alias;
} __attribute__((preserve_access_index));

/* The dentry in whose list of an inode's names this is a link; NULL: not known here. */
static __always_inline const struct dentry *dentry_of_alias(const struct hlist_node *alias)
{
	const struct dentry *old = NULL;
	const struct dentry___by_7_3 *now = NULL;

	if (bpf_core_field_exists(old->d_u.d_alias))
		return (const void *)alias - bpf_core_field_offset(old->d_u.d_alias);
	if (bpf_core_field_exists(now->d_alias))
		return (const void *)alias - bpf_core_field_offset(now->d_alias);
	return NULL;
}

/* --- block ------------------------------------------------------------------------------------------------------------ */

/* v5.15, d152c682f03c: block: add an explicit ->disk backpointer to the request_queue; v5.17, f3fa33acca9f took rq_disk away. */
struct request_queue___since_5_15 {
	struct gendisk *disk;
} __attribute__((preserve_access_index));
struct request___before_5_17 {
	struct gendisk *rq_disk;
} __attribute__((preserve_access_index));

/* The whole disk's number; 0 for a queue without one. */
static __always_inline __u32 request_dev(const struct request *rq)
{
	const struct request_queue___since_5_15 *queue = (const void *)BPF_CORE_READ(rq, q);
	const struct request___before_5_17 *old = (const void *)rq;
	const struct gendisk *disk = NULL;

	if (bpf_core_field_exists(queue->disk))
		bpf_core_read(&disk, sizeof(disk), &queue->disk);
	else
		bpf_core_read(&disk, sizeof(disk), &old->rq_disk);
	return disk ? (__u32)BPF_CORE_READ(disk, major) << 20 | (__u32)BPF_CORE_READ(disk, first_minor) : 0;
}

/* v5.12, 309dca309fc3: block: store a block_device pointer in struct bio */
struct hd_struct___before_5_11 {
	struct device __dev;
} __attribute__((preserve_access_index));
struct disk_part_tbl___before_5_12 {
	struct hd_struct___before_5_11 *part[1];
} __attribute__((preserve_access_index));
struct gendisk___before_5_12 {
	struct disk_part_tbl___before_5_12 *part_tbl;
} __attribute__((preserve_access_index));
struct bio___before_5_12 {
	struct gendisk___before_5_12 *bi_disk;
	__u8 bi_partno;
} __attribute__((preserve_access_index));

/* The partition's number, of a bio as it is submitted: before v5.12 only the whole disk's is left of it further down. 0: not known. */
static __always_inline __u32 bio_dev(const struct bio *bio)
{
	const struct bio___before_5_12 *old = (const void *)bio;
	const struct disk_part_tbl___before_5_12 *table;
	const struct hd_struct___before_5_11 *part = NULL;

	if (bpf_core_field_exists(bio->bi_bdev))
		return BPF_CORE_READ(bio, bi_bdev, bd_dev);
	if (!bpf_core_field_exists(old->bi_partno) || !bpf_core_field_exists(part->__dev))
		return 0;
	table = BPF_CORE_READ(old, bi_disk, part_tbl);
	bpf_probe_read_kernel(&part, sizeof(part), (const void *)table + bpf_core_field_offset(table->part) + BPF_CORE_READ(old, bi_partno) * sizeof(part));
	return part ? BPF_CORE_READ(part, __dev.devt) : 0;
}

/* RQF_IO_STAT's place; it was 13 until the flags became an enum (v6.12), which the agent looks up: in v6.12 it had no name yet. */
const volatile __u32 io_stat_bit = 13;

/* When the request was made (CLOCK_MONOTONIC); 0: not noted. The field keeps an older request's time where the kernel notes none. */
static __always_inline __u64 request_arrived_ns(const struct request *rq)
{
	return (__u32)rq->rq_flags >> io_stat_bit & 1 ? rq->start_time_ns : 0;
}

/* v5.14, 8cd54c1c8480: iov_iter: separate direction from flavour; before, its lowest bit, and before v5.14 the word was `type` */
struct iov_iter___before_5_14 {
	unsigned int type;
} __attribute__((preserve_access_index));

/* Whether the data goes out of it: a write. */
static __always_inline bool iter_is_source(const struct iov_iter *iter)
{
	if (bpf_core_field_exists(iter->data_source))
		return BPF_CORE_READ(iter, data_source);
	return BPF_CORE_READ((const struct iov_iter___before_5_14 *)iter, type) & 1;
}

/* --- cgroups of other controllers ------------------------------------------------------------------------------------- */

/* Of a controller's state: its cgroup's id where it is in the unified hierarchy, whose number is 0, and below its root; else 0. */
static __always_inline __u64 css_cgroup_id(const struct cgroup_subsys_state *css)
{
	const struct cgroup *cgroup = css ? BPF_CORE_READ(css, cgroup) : NULL;

	if (!cgroup || BPF_CORE_READ(cgroup, root, hierarchy_id) || !BPF_CORE_READ(cgroup, level))
		return 0;
	return BPF_CORE_READ(cgroup, kn, id);
}

#endif
