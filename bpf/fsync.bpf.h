/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fsync, fdatasync, sync_file_range and msync between their enter and their exit, on any filesystem. For whoever has the hooks of
 * system calls already: fsync_begin() in sys_enter once number, ABI and first argument are known, fsync_end() in sys_exit with the number and ABI
 * of the enter, both behind `watch_fsync`. xfs, btrfs and nfs have a tracepoint where fsync begins and none where it ends.
 */
#ifndef NODEMEND_FSYNC_BPF_H
#define NODEMEND_FSYNC_BPF_H

#include "fsop.bpf.h"

const volatile bool watch_fsync = false;

#if defined(__TARGET_ARCH_x86)
enum {
	NR_FSYNC = 74, NR_FDATASYNC = 75, NR_SYNC_FILE_RANGE = 277, NR_MSYNC = 26,
	NR32_FSYNC = 118, NR32_FDATASYNC = 148, NR32_SYNC_FILE_RANGE = 314, NR32_MSYNC = 144,
};
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_FSYNC = 82, NR_FDATASYNC = 83, NR_SYNC_FILE_RANGE = 84, NR_MSYNC = 227,
	NR32_FSYNC = 118, NR32_FDATASYNC = 148, NR32_SYNC_FILE_RANGE = 341, NR32_MSYNC = 144,
};
#endif

/* FSOP_COUNT: none of them. */
static __always_inline enum fsop fsync_op_of(__u32 slot, __u32 abi)
{
	if (slot == (abi == SYSCALL_ABI_64 ? NR_FSYNC : NR32_FSYNC))
		return FSOP_FSYNC;
	if (slot == (abi == SYSCALL_ABI_64 ? NR_FDATASYNC : NR32_FDATASYNC))
		return FSOP_FDATASYNC;
	if (slot == (abi == SYSCALL_ABI_64 ? NR_SYNC_FILE_RANGE : NR32_SYNC_FILE_RANGE))
		return FSOP_SYNC_FILE_RANGE;
	if (slot == (abi == SYSCALL_ABI_64 ? NR_MSYNC : NR32_MSYNC))
		return FSOP_MSYNC;
	return FSOP_COUNT;
}

static __always_inline void fsync_begin(const struct task_struct *task, __u32 slot, __u32 abi, __u32 descriptor)
{
	enum fsop op = fsync_op_of(slot, abi);
	const struct inode *inode = NULL;

	if (op == FSOP_COUNT)
		return;
	if (op != FSOP_MSYNC) {
		inode = inode_of_descriptor(task, descriptor);
		if (!inode) /* no such descriptor: no filesystem is asked */
			return;
	}
	fsop_begin(bpf_get_current_pid_tgid(), op, inode ? BPF_CORE_READ(inode, i_sb, s_dev) : 0);
}

static __always_inline void fsync_end(__u32 slot, __u32 abi, long result)
{
	enum fsop op = fsync_op_of(slot, abi);

	if (op != FSOP_COUNT)
		fsop_end(bpf_get_current_pid_tgid(), op, result < 0);
}

#endif
