/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One walk over all open descriptors; a record for each that holds a file without a name. What is only mapped, or sits in a socket's
 * buffer on its way to another process, has no descriptor and is not seen.
 */
#include "core.bpf.h"
#include "signals/deleted.h"

enum { FILE_TYPE_MASK = 0170000, FILE_TYPE_REGULAR = 0100000, SECTOR_SHIFT = 9 };

SEC("iter/task_file")
int on_task_file(struct bpf_iter__task_file *ctx)
{
	const struct task_struct *task = ctx->task;
	const struct file *file = ctx->file;
	struct deleted_record record = {};

	if (!task || !file)
		return 0;
	const struct inode *inode = file->f_inode;
	if (inode->i_nlink || !inode->i_blocks || (inode->i_mode & FILE_TYPE_MASK) != FILE_TYPE_REGULAR)
		return 0;

	const struct task_struct *leader = task->group_leader;
	record.pid = task_pid_seen(leader);
	record.start_ns = leader->start_boottime;
	record.cgroup_id = task_cgroup_id(task);
	record.ino = inode->i_ino;
	record.bytes = inode->i_blocks << SECTOR_SHIFT;
	record.dev = inode->i_sb->s_dev;
	bpf_probe_read_kernel_str(record.comm, sizeof(record.comm), leader->comm);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
