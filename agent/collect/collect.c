/* SPDX-License-Identifier: Apache-2.0 */
/* The collectors, in the order of enum collector_id, in which a tick runs them: what names or completes another's rows stands after it. */
#include "collector.h"

/* clang-format off */
extern const struct collector collector_cpu;
extern const struct collector collector_memory;
extern const struct collector collector_psi;
extern const struct collector collector_filesystem;
extern const struct collector collector_log;
extern const struct collector collector_disk;
extern const struct collector collector_interface;
extern const struct collector collector_syscall;
extern const struct collector collector_task;
extern const struct collector collector_fswrite;
extern const struct collector collector_tcp;
extern const struct collector collector_socket;
extern const struct collector collector_drop;
extern const struct collector collector_dns;
extern const struct collector collector_oom;
extern const struct collector collector_block;
extern const struct collector collector_fsop;
extern const struct collector collector_deleted;
extern const struct collector collector_process;
extern const struct collector collector_cgroup;
extern const struct collector collector_identity;
extern const struct collector collector_kill;
extern const struct collector collector_reclaim;
extern const struct collector collector_pagecache;
extern const struct collector collector_sched;
extern const struct collector collector_irq;
extern const struct collector collector_unit;
extern const struct collector collector_host;
extern const struct collector collector_change;

const struct collector *const collectors[COLLECTOR_COUNT] = {
	[COLLECTOR_CPU] = &collector_cpu,
	[COLLECTOR_MEMORY] = &collector_memory,
	[COLLECTOR_PSI] = &collector_psi,
	[COLLECTOR_FILESYSTEM] = &collector_filesystem,
	[COLLECTOR_LOG] = &collector_log,
	[COLLECTOR_DISK] = &collector_disk,
	[COLLECTOR_INTERFACE] = &collector_interface,
	[COLLECTOR_SYSCALL] = &collector_syscall,
	[COLLECTOR_TASK] = &collector_task,
	[COLLECTOR_FSWRITE] = &collector_fswrite,
	[COLLECTOR_TCP] = &collector_tcp,
	[COLLECTOR_SOCKET] = &collector_socket,
	[COLLECTOR_DROP] = &collector_drop,
	[COLLECTOR_DNS] = &collector_dns,
	[COLLECTOR_OOM] = &collector_oom,
	[COLLECTOR_BLOCK] = &collector_block,
	[COLLECTOR_FSOP] = &collector_fsop,
	[COLLECTOR_DELETED] = &collector_deleted,
	[COLLECTOR_PROCESS] = &collector_process,
	[COLLECTOR_CGROUP] = &collector_cgroup,
	[COLLECTOR_IDENTITY] = &collector_identity,
	[COLLECTOR_KILL] = &collector_kill,
	[COLLECTOR_RECLAIM] = &collector_reclaim,
	[COLLECTOR_PAGECACHE] = &collector_pagecache,
	[COLLECTOR_SCHED] = &collector_sched,
	[COLLECTOR_IRQ] = &collector_irq,
	[COLLECTOR_UNIT] = &collector_unit,
	[COLLECTOR_HOST] = &collector_host,
	[COLLECTOR_CHANGE] = &collector_change,
};
/* clang-format on */
