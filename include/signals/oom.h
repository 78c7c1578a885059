/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* OOM kills: who was chosen, who asked for memory at that moment, and whose limit it was. */
#ifndef NODEMEND_SIGNALS_OOM_H
#define NODEMEND_SIGNALS_OOM_H

#include "signals/party.h"

/* What had run out. NODE includes the limits of a cpuset or a memory policy, which no tracepoint tells apart. */
enum oom_scope { OOM_SCOPE_NODE, OOM_SCOPE_CGROUP, OOM_SCOPE_COUNT };

enum { OOM_UNDESCRIBED = 0, OOM_DESCRIBED = 1 };

struct oom_record {
	__u64 at_ns;                 /* CLOCK_BOOTTIME */
	struct party victim;
	struct party asker;          /* current: whose allocation it was; the victim itself as often as not */
	__u64 virtual_bytes, anon_bytes, file_bytes, shmem_bytes, swap_bytes, page_table_bytes; /* of the victim */
	__u64 limit_cgroup_id;       /* of the memory controller's hierarchy; 0 where the scope is the node */
	__u64 limit_bytes, usage_bytes;
	__u32 scope;
	__s16 oom_score_adj;
	__u16 described;             /* before v6.9 the kernel tells the victim's pid only */
};

/* Of the kernel side: kills without a record, by scope. */
struct oom_losses { __u64 of[OOM_SCOPE_COUNT]; };

#ifndef __bpf__
#include <stdint.h>

enum { MAX_OOM_ROWS = 64, OOM_PATH_LEN = 256 };

/* Kills by the victim's cgroup. The path is kept: the cgroup may be gone when somebody asks. */
struct oom_row {
	uint64_t cgroup_id, kills;
	uint32_t scope;
	char path[OOM_PATH_LEN];     /* "" = no name was found */
};

struct oom_section {
	uint64_t measured_ns;
	uint64_t folded[OOM_SCOPE_COUNT]; /* beyond the rows */
	uint64_t lost[OOM_SCOPE_COUNT];   /* on the way. Rows, folded and lost together are all kills */
	uint32_t count;
	struct oom_row each[MAX_OOM_ROWS];
};
#endif

#endif
