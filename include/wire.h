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

enum {
	WIRE_COMM_LEN = 16,
	SYSCALL_NR_MAX = 512,   /* numbers above are counted together in the last slot */
	/* Bucket k holds 2^(k+7) < ns <= 2^(k+8) (bucket 0: all up to 256 ns); the last one holds everything longer than 2^34 ns = 17 s. */
	LATENCY_BUCKETS = 28,
	LATENCY_FIRST_EXP = 8,
};

enum syscall_abi { SYSCALL_ABI_64, SYSCALL_ABI_32, SYSCALL_ABI_COUNT };

/* Errors are told apart as far as an operator acts differently on them; the rest is one class. RESTART: -512…-516, a call
 * interrupted and resumed by the kernel, which no program ever saw. */
enum errno_class {
	ERRNO_CLASS_EPERM, ERRNO_CLASS_ENOENT, ERRNO_CLASS_EINTR, ERRNO_CLASS_EIO, ERRNO_CLASS_EBADF, ERRNO_CLASS_EAGAIN,
	ERRNO_CLASS_ENOMEM, ERRNO_CLASS_EACCES, ERRNO_CLASS_EEXIST, ERRNO_CLASS_EINVAL, ERRNO_CLASS_EMFILE, ERRNO_CLASS_ENOSPC,
	ERRNO_CLASS_EPIPE, ERRNO_CLASS_ETIMEDOUT, ERRNO_CLASS_ECONN, ERRNO_CLASS_RESTART, ERRNO_CLASS_OTHER, ERRNO_CLASS_COUNT,
};

#endif
