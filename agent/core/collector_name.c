/* SPDX-License-Identifier: Apache-2.0 */
/* What collectors are called, for whoever shows them and reads no configuration. */
#include "config.h"

/* clang-format off */
const char *const collector_names[COLLECTOR_COUNT] = {
	[COLLECTOR_CPU] = "cpu",
	[COLLECTOR_MEMORY] = "memory",
	[COLLECTOR_PSI] = "psi",
	[COLLECTOR_FILESYSTEM] = "filesystem",
	[COLLECTOR_LOG] = "log",
	[COLLECTOR_DISK] = "disk",
	[COLLECTOR_INTERFACE] = "interface",
	[COLLECTOR_SYSCALL] = "syscall",
	[COLLECTOR_TASK] = "task",
	[COLLECTOR_FSWRITE] = "fswrite",
	[COLLECTOR_TCP] = "tcp",
	[COLLECTOR_SOCKET] = "socket",
	[COLLECTOR_DROP] = "drop",
	[COLLECTOR_DNS] = "dns",
	[COLLECTOR_OOM] = "oom",
	[COLLECTOR_BLOCK] = "block",
	[COLLECTOR_FSOP] = "fsop",
	[COLLECTOR_DELETED] = "deleted",
	[COLLECTOR_PROCESS] = "process",
	[COLLECTOR_CGROUP] = "cgroup",
	[COLLECTOR_IDENTITY] = "identity",
	[COLLECTOR_KILL] = "kill",
	[COLLECTOR_RECLAIM] = "reclaim",
	[COLLECTOR_PAGECACHE] = "pagecache",
	[COLLECTOR_SCHED] = "sched",
	[COLLECTOR_IRQ] = "irq",
	[COLLECTOR_UNIT] = "unit",
	[COLLECTOR_HOST] = "host",
	[COLLECTOR_CHANGE] = "change",
};
/* clang-format on */
