/* SPDX-License-Identifier: Apache-2.0 */
/* The collectors, in the order in which a tick runs them: what names or completes another's rows stands after it. */
#include "collector.h"

extern const struct collector collector_cpu, collector_memory, collector_psi, collector_filesystem, collector_disk, collector_interface,
	collector_syscall, collector_task, collector_fswrite, collector_process, collector_cgroup, collector_unit;

const struct collector *const collectors[COLLECTOR_COUNT] = {
	&collector_cpu,	    &collector_memory, &collector_psi,	   &collector_filesystem, &collector_disk,   &collector_interface,
	&collector_syscall, &collector_task,   &collector_fswrite, &collector_process,	  &collector_cgroup, &collector_unit,
};
