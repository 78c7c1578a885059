/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Files that have no name any more and are still open: their space is free only when the last who holds them lets go. */
#ifndef NODEMEND_SIGNALS_DELETED_H
#define NODEMEND_SIGNALS_DELETED_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum { DELETED_COMM_LEN = 16 };

/* One open descriptor of such a file. */
struct deleted_record {
	__u64 ino, bytes;               /* bytes: what it takes on the filesystem, not its length */
	__u64 start_ns, cgroup_id;      /* of the process: boot time of its start */
	__u32 dev;                      /* of the super block: major << 20 | minor */
	__s32 pid;
	char comm[DELETED_COMM_LEN];
};

#ifndef __bpf__

#include <stdint.h>

enum { MAX_DELETED_HOLDERS = 128, MAX_DELETED_FILESYSTEMS = 128 };

/* A process and what it holds on one filesystem. A file that two hold counts for both, and once in the filesystem's. */
struct deleted_holder {
	uint64_t start_ns, cgroup_id;
	uint32_t dev;
	int32_t pid;
	char comm[DELETED_COMM_LEN];
	uint64_t bytes;
	uint32_t files;
};

/* Each file once, however many hold it. */
struct deleted_filesystem {
	uint32_t dev, files;
	uint64_t bytes;
};

struct deleted_section {
	uint64_t measured_ns;           /* of the tick; the look itself is up to ten seconds older */
	uint64_t looked_ns;             /* what the last look took */
	uint32_t filesystem_count;
	struct deleted_filesystem filesystems[MAX_DELETED_FILESYSTEMS]; /* every one in snapshot.filesystems, those without such files too */
	uint32_t count, cut;
	struct deleted_holder each[MAX_DELETED_HOLDERS]; /* by bytes, largest first */
};

#endif
#endif
