/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What fallocate really took: the growth of the file's blocks between its enter and its exit. It dirties no page, so nothing
 * else here would see it. Blocks that writeback allocates for the same file in between are counted with it.
 */
#ifndef NODEMEND_FALLOCATE_BPF_H
#define NODEMEND_FALLOCATE_BPF_H

#include "core.bpf.h"
#include "writes.bpf.h"

const volatile bool watch_fallocate = false;

struct fallocate_call {
	__u64 inode; /* held by the caller's open file while the call lasts */
	__u64 blocks;
};

/* By thread: one that is killed in the call still leaves it, so no entry stays behind. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct fallocate_call);
} fallocate_calls SEC(".maps");
counts_refused(fallocate_calls);

static __always_inline bool is_fallocate(__u32 slot, __u32 abi)
{
	return slot == (abi == SYSCALL_ABI_64 ? NR_FALLOCATE : NR32_FALLOCATE);
}

static __always_inline void fallocate_begin(const struct task_struct *task, __u32 slot, __u32 abi, __u32 descriptor)
{
	if (!is_fallocate(slot, abi))
		return;
	struct inode *inode = inode_of_descriptor(task, descriptor);
	if (!inode)
		return;

	struct fallocate_call call = { .inode = (__u64)inode, .blocks = BPF_CORE_READ(inode, i_blocks) };
	__u64 thread = bpf_get_current_pid_tgid();
	if (bpf_map_update_elem(&fallocate_calls, &thread, &call, BPF_ANY)) {
		refuse(fallocate_calls);
		lose_write(WRITE_LOSS_FALLOCATE);
	}
}

static __always_inline void fallocate_end(const struct task_struct *task, __u32 slot, __u32 abi)
{
	if (!is_fallocate(slot, abi))
		return;
	__u64 thread = bpf_get_current_pid_tgid();
	struct fallocate_call *call = bpf_map_lookup_elem(&fallocate_calls, &thread);
	if (!call)
		return;

	/* Another thread may have closed the file meanwhile; the call itself still holds it until it has returned, which is now. */
	struct inode *inode = (void *)call->inode;
	__u64 blocks = BPF_CORE_READ(inode, i_blocks), before = call->blocks;
	__u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);
	bpf_map_delete_elem(&fallocate_calls, &thread);
	if (blocks > before && dev)
		add_write(task, dev, (blocks - before) << 9);
}

#endif
