/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long filesystems take, from tracepoints that come in true pairs. Each pair is loaded where the kernel has both ends:
 * ext4's own, iomap's direct I/O (newer kernels; ext4, xfs, btrfs and others), nfs' own. fsync comes from the system calls, which
 * cover every filesystem; where another object has their hooks and does not watch fsync for us, ext4's pair stands in.
 */
#include "fsync.bpf.h"
#include "functions.bpf.h"

static __always_inline __u64 this_thread(void)
{
	return bpf_get_current_pid_tgid();
}

/* Private to fs/iomap: not every kernel that this is built on shows it. */
struct iomap_dio___private {
	struct kiocb *iocb;
	int error;
} __attribute__((preserve_access_index));

/* What a module's tracepoint hands over may be NULL for all that the verifier knows, and wants to be asked first. */
static __always_inline __u32 inode_dev(const struct inode *inode)
{
	return inode ? BPF_CORE_READ(inode, i_sb, s_dev) : 0;
}

/* --- ext4 ------------------------------------------------------------------------------------------------------------- */

SEC("tp_btf/ext4_unlink_enter")
int BPF_PROG(on_ext4_unlink_enter, struct inode *parent)
{
	fsop_begin(this_thread(), FSOP_UNLINK, inode_dev(parent));
	return 0;
}

SEC("tp_btf/ext4_unlink_exit")
int BPF_PROG(on_ext4_unlink_exit, struct dentry *dentry, int result)
{
	fsop_end(this_thread(), FSOP_UNLINK, result < 0);
	return 0;
}

SEC("tp_btf/ext4_truncate_enter")
int BPF_PROG(on_ext4_truncate_enter, struct inode *inode)
{
	fsop_begin(this_thread(), FSOP_TRUNCATE, inode_dev(inode));
	return 0;
}

SEC("tp_btf/ext4_truncate_exit")
int BPF_PROG(on_ext4_truncate_exit, struct inode *inode)
{
	fsop_end(this_thread(), FSOP_TRUNCATE, false);
	return 0;
}

SEC("tp_btf/ext4_fallocate_enter")
int BPF_PROG(on_ext4_fallocate_enter, struct inode *inode)
{
	fsop_begin(this_thread(), FSOP_FALLOCATE, inode_dev(inode));
	return 0;
}

SEC("tp_btf/ext4_fallocate_exit")
int BPF_PROG(on_ext4_fallocate_exit, struct inode *inode, long long offset, unsigned int blocks, int result)
{
	fsop_end(this_thread(), FSOP_FALLOCATE, result < 0);
	return 0;
}

SEC("tp_btf/ext4_writepages")
int BPF_PROG(on_ext4_writepages, struct inode *inode)
{
	fsop_begin(this_thread(), FSOP_WRITEPAGES, inode_dev(inode));
	return 0;
}

SEC("tp_btf/ext4_writepages_result")
int BPF_PROG(on_ext4_writepages_result, struct inode *inode, struct writeback_control *control, int result)
{
	fsop_end(this_thread(), FSOP_WRITEPAGES, result < 0);
	return 0;
}

/* --- direct I/O, by the request: it may end in another's time ----------------------------------------------------------- */

static __always_inline void direct_begin(const struct kiocb *request, const struct iov_iter *data)
{
	fsop_begin((__u64)request, iter_is_source(data) ? FSOP_DIRECT_WRITE : FSOP_DIRECT_READ, inode_dev(BPF_CORE_READ(request, ki_filp, f_inode)));
}

static __always_inline void direct_end(const struct kiocb *request, bool failed)
{
	fsop_end((__u64)request, FSOP_DIRECT_READ, failed);
	fsop_end((__u64)request, FSOP_DIRECT_WRITE, failed);
}

SEC("tp_btf/iomap_dio_rw_begin")
int BPF_PROG(on_direct_begin, struct kiocb *request, struct iov_iter *data)
{
	direct_begin(request, data);
	return 0;
}

SEC("tp_btf/iomap_dio_complete")
int BPF_PROG(on_direct_complete, struct kiocb *request, int error, long result)
{
	direct_end(request, result < 0);
	return 0;
}

/* The functions in which those tracepoints stand since v6.6 (3fd41721cd5c), for kernels before. Nothing to do is no operation. */
SEC("fentry/__iomap_dio_rw")
int BPF_PROG(on_direct_enter, struct kiocb *request, struct iov_iter *data)
{
	if (functions_on && BPF_CORE_READ(data, count))
		direct_begin(request, data);
	return 0;
}

/* The same where a function of seven arguments is one too many for fentry: it has seven since v5.17, and x86 takes seven since v6.6. */
SEC("kprobe/__iomap_dio_rw")
int BPF_KPROBE(on_direct_probe, struct kiocb *request, struct iov_iter *data)
{
	if (BPF_CORE_READ(data, count))
		direct_begin(request, data);
	return 0;
}

SEC("fentry/iomap_dio_complete")
int BPF_PROG(on_direct_done, const struct iomap_dio___private *direct)
{
	if (functions_on)
		direct_end(BPF_CORE_READ(direct, iocb), BPF_CORE_READ(direct, error));
	return 0;
}

/* --- nfs -------------------------------------------------------------------------------------------------------------- */

SEC("tp_btf/nfs_lookup_enter")
int BPF_PROG(on_nfs_lookup_enter, struct inode *folder)
{
	fsop_begin(this_thread(), FSOP_LOOKUP, inode_dev(folder));
	return 0;
}

SEC("tp_btf/nfs_lookup_exit")
int BPF_PROG(on_nfs_lookup_exit, struct inode *folder, struct dentry *dentry, unsigned int flags, int error)
{
	fsop_end(this_thread(), FSOP_LOOKUP, error < 0);
	return 0;
}

SEC("tp_btf/nfs_getattr_enter")
int BPF_PROG(on_nfs_getattr_enter, struct inode *inode)
{
	fsop_begin(this_thread(), FSOP_GETATTR, inode_dev(inode));
	return 0;
}

SEC("tp_btf/nfs_getattr_exit")
int BPF_PROG(on_nfs_getattr_exit, struct inode *inode, int error)
{
	fsop_end(this_thread(), FSOP_GETATTR, error < 0);
	return 0;
}

/* --- system calls, only where the syscall collector, which has these hooks already, is off --------------------------------- */

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long nr)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	__u32 abi = syscall_abi_read(task);

	fsync_begin(task, syscall_slot(nr), abi, syscall_first_argument(regs, abi));
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	fsync_end(syscall_slot(syscall_nr_of(regs)), syscall_abi_read((const void *)bpf_get_current_task()), result);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
