/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who puts how many bytes on which filesystem: pages as they become dirty (write, mmap, anything that goes through the page
 * cache), direct writes as they are queued, and fallocate. Overwriting dirties too: growth is for statvfs to say.
 */
#include "core.bpf.h"
#include "fallocate.bpf.h"
#include "functions.bpf.h"
#include "growth.bpf.h"

enum { BIO_OP_MASK = 0xff, BIO_OP_WRITE = 1, FMT_MASK = 0170000, FMT_BLOCK = 0060000, BIO_CLONED_BIT = 1 };

static __always_inline void on_dirty(const void *folio, struct address_space *mapping, __u64 bytes)
{
	struct inode *host;

	if (!mapping) /* the argument may be NULL, and swap cache has no host */
		return;
	host = BPF_CORE_READ(mapping, host);
	if (!host || (BPF_CORE_READ(host, i_mode) & FMT_MASK) == FMT_BLOCK) /* a raw device is no filesystem: metadata, dd to a disk */
		return;
	add_write((void *)bpf_get_current_task(), BPF_CORE_READ(host, i_sb, s_dev), bytes);
	if (watch_growth && is_regular(host))
		note_size(host);
}

SEC("tp_btf/writeback_dirty_folio")
int BPF_PROG(on_dirty_folio, void *folio, struct address_space *mapping)
{
	on_dirty(folio, mapping, folio_bytes(folio));
	return 0;
}

/* Its name before v5.16, 203a31516616: mm/writeback: Add __folio_mark_dirty() */
SEC("tp_btf/writeback_dirty_page")
int BPF_PROG(on_dirty_page, void *page, struct address_space *mapping)
{
	on_dirty(page, mapping, 1UL << page_shift);
	return 0;
}

SEC("tp_btf/writeback_dirty_inode")
int BPF_PROG(on_dirty_inode, struct inode *inode)
{
	if (is_regular(inode) && !task_is_kernel_thread((void *)bpf_get_current_task()))
		note_size(inode);
	return 0;
}

SEC("tp_btf/writeback_single_inode_start")
int BPF_PROG(on_writeback, struct inode *inode)
{
	if (is_regular(inode))
		note_final_size(inode);
	return 0;
}

/*
 * A direct write: the data stands in the writer's own anonymous memory. Page cache under writeback, swap and metadata fail one of
 * the tests; buffers in shared memory and those registered with io_uring do too and stay unseen. Clones (device mapper, md)
 * carry bytes that were counted above.
 */
static __always_inline void on_bio(const struct bio *bio)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct page *page;

	if (task_is_kernel_thread(task) || BPF_CORE_READ(bio, bi_flags) & 1U << BIO_CLONED_BIT)
		return;
	page = BPF_CORE_READ(bio, bi_io_vec, bv_page);
	if (!page || page_flags(page) & 1UL << bpf_core_enum_value(enum pageflags, PG_writeback) || !page_is_anonymous(page))
		return;
	__u32 dev = bio_dev(bio);
	if (dev)
		add_write(task, dev, BPF_CORE_READ(bio, bi_iter.bi_size));
}

SEC("tp_btf/block_bio_queue")
int BPF_PROG(on_bio_queue, struct bio *bio)
{
	if ((bio->bi_opf & BIO_OP_MASK) == BIO_OP_WRITE)
		on_bio(bio);
	return 0;
}

/* Before v5.12, when the partition is forgotten on the way to that tracepoint. */
SEC("fentry/submit_bio")
int BPF_PROG(on_submit_bio, struct bio *bio)
{
	if (functions_on && (bio->bi_opf & BIO_OP_MASK) == BIO_OP_WRITE)
		on_bio(bio);
	return 0;
}

/* Only where the syscall collector, which has these hooks already, is off. */
SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 abi = syscall_abi_read(task);

	fallocate_begin(task, syscall_slot(nr), abi, syscall_first_argument(regs, abi));
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	fallocate_end(task, syscall_slot(syscall_nr_of(regs)), syscall_abi_read(task));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
