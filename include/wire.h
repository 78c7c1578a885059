/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Records and constants that the BPF programs and the agent share. Included from both sides: fixed-width kernel types,
 * no padding left unwritten, no pointers.
 */
#ifndef NODEMEND_WIRE_H
#define NODEMEND_WIRE_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#include "histogram.h"
#include "signals/process.h"

enum {
	WIRE_COMM_LEN = PROCESS_COMM_LEN,
	SYSCALL_NR_MAX = 512,   /* numbers above are counted together in the last slot */
};

enum syscall_abi { SYSCALL_ABI_64, SYSCALL_ABI_32, SYSCALL_ABI_COUNT };

/* Errors are told apart as far as an operator acts differently on them; the rest is one class. RESTART: -512…-516, a call
 * interrupted and resumed by the kernel, which no program ever saw. */
enum errno_class {
	ERRNO_CLASS_EPERM, ERRNO_CLASS_ENOENT, ERRNO_CLASS_EINTR, ERRNO_CLASS_EIO, ERRNO_CLASS_EBADF, ERRNO_CLASS_EAGAIN,
	ERRNO_CLASS_ENOMEM, ERRNO_CLASS_EACCES, ERRNO_CLASS_EEXIST, ERRNO_CLASS_EINVAL, ERRNO_CLASS_EMFILE, ERRNO_CLASS_ENOSPC,
	ERRNO_CLASS_EPIPE, ERRNO_CLASS_ETIMEDOUT, ERRNO_CLASS_ECONN, ERRNO_CLASS_RESTART, ERRNO_CLASS_OTHER, ERRNO_CLASS_COUNT,
};

/* Of one syscall number on one CPU. Returned calls are `untimed` and all buckets together. */
struct syscall_counts {
	__u64 untimed;                  /* no latency: never returns, was refused before it began, or its start could not be kept */
	__u64 errors[ERRNO_CLASS_COUNT];
	struct histogram latency;
};

enum syscall_loss { SYSCALL_LOSS_START, SYSCALL_LOSS_CALL, SYSCALL_LOSS_COUNT }; /* a latency sample; a whole call */

/* The first run since boot of a thread group: pid and start never repeat together. Kernel-wide notion: start_boottime of the leader. */
struct writer_key {
	__u64 start_ns;
	__u64 cgroup_id;
	__u32 dev;                      /* kernel dev_t of the super block: major << 20 | minor */
	__s32 pid;                      /* as the agent's pid namespace sees it */
};

struct writer_value {
	__u64 bytes;
	char comm[WIRE_COMM_LEN];
};

enum write_loss { WRITE_LOSS_NAME, WRITE_LOSS_TOTAL, WRITE_LOSS_FALLOCATE, WRITE_LOSS_COUNT }; /* failed inserts */

#endif
