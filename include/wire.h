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
#include "signals/syscall.h"

enum { WIRE_COMM_LEN = PROCESS_COMM_LEN };

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
