/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Files that are written to, and by how much each grew: one row a file in the kernel, the largest few in the snapshot. */
#ifndef NODEMEND_SIGNALS_GROWTH_H
#define NODEMEND_SIGNALS_GROWTH_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum { FILE_NAME_PARTS = 5, FILE_PART_LEN = 32, FILE_COMM_LEN = 16 };

/* The generation tells a file from the next one that gets its number. */
struct file_key {
	__u64 ino;
	__u32 dev;                      /* of the super block: major << 20 | minor */
	__u32 generation;
};

struct file_value {
	__u64 size;                     /* as last seen */
	__u64 grown;                    /* sum of its rises; a file that is cut off and grows again has grown again */
	__u64 cgroup_id;                /* of who dirtied it last */
	__s32 pid;                      /* likewise */
	__u32 parts;                    /* in use of names */
	char comm[FILE_COMM_LEN];
	char names[FILE_NAME_PARTS][FILE_PART_LEN]; /* when first seen: its own, its folder's, and so on upwards; cut to fit */
};

/* A file without a row, whose growth is in no figure; a filesystem without a row. */
enum growth_loss { GROWTH_LOSS_FILE, GROWTH_LOSS_TOTAL, GROWTH_LOSS_COUNT };

#ifndef __bpf__

#include <stdint.h>

enum { MAX_GROWING = 64, MAX_GROWN_FILESYSTEMS = 128, GROWN_PATH_LEN = FILE_NAME_PARTS * FILE_PART_LEN + 8 };

struct grown_file {
	uint64_t ino;
	uint32_t dev;
	int32_t pid;                    /* of who dirtied it last */
	uint64_t cgroup_id;
	char comm[FILE_COMM_LEN];
	char path[GROWN_PATH_LEN];      /* in its filesystem, "/logs/a.log"; begins with "…/" where it is deeper than we look; "" unknown */
	uint64_t grown_total, grown_delta, grown_recent;
};

/* Of one filesystem, over all files, since the agent started. */
struct grown_filesystem {
	uint32_t dev;
	uint64_t grown_total;
};

struct growth_section {
	uint64_t measured_ns;
	uint32_t filesystem_count;
	struct grown_filesystem filesystems[MAX_GROWN_FILESYSTEMS];
	uint32_t count, cut;
	struct grown_file each[MAX_GROWING]; /* by grown_recent, largest first */
};

#endif
#endif
