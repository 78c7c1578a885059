/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the outlook, for detection, for policies and for whoever shows it. */
#include "policy.h"

const char *const capacity_names[CAPACITY_COUNT] = {
	[CAPACITY_FILESYSTEM] = "filesystem", [CAPACITY_INODES] = "inodes", [CAPACITY_MEMORY] = "memory", [CAPACITY_SWAP] = "swap",
	[CAPACITY_PIDS] = "pids", [CAPACITY_FILES] = "files", [CAPACITY_CONNTRACK] = "conntrack", [CAPACITY_CGROUP_MEMORY] = "cgroup_memory",
	[CAPACITY_CGROUP_PIDS] = "cgroup_pids", [CAPACITY_PROCESS_FILES] = "process_files",
};

const char *const capacity_units[CAPACITY_COUNT] = {
	[CAPACITY_FILESYSTEM] = "bytes", [CAPACITY_INODES] = "", [CAPACITY_MEMORY] = "bytes", [CAPACITY_SWAP] = "bytes",
	[CAPACITY_PIDS] = "", [CAPACITY_FILES] = "", [CAPACITY_CONNTRACK] = "", [CAPACITY_CGROUP_MEMORY] = "bytes",
	[CAPACITY_CGROUP_PIDS] = "", [CAPACITY_PROCESS_FILES] = "",
};

const char *const leak_names[LEAK_FIGURES] = { [LEAK_MEMORY] = "memory", [LEAK_FILES] = "files", [LEAK_THREADS] = "threads" };

const char *const evidence_names[EVIDENCE_COUNT] = {
	[EVIDENCE_ENOUGH] = "enough", [EVIDENCE_FULL] = "full", [EVIDENCE_SHORT] = "short_history", [EVIDENCE_NOT_RISING] = "not_rising",
	[EVIDENCE_ERRATIC] = "erratic", [EVIDENCE_FAR] = "far", [EVIDENCE_USUAL] = "usual",
};

enum incident_kind capacity_kind(uint32_t resources)
{
	static const enum incident_kind kinds[CAPACITY_COUNT] = {
		[CAPACITY_FILESYSTEM] = KIND_DISK_EXHAUSTION, [CAPACITY_INODES] = KIND_DISK_EXHAUSTION,
		[CAPACITY_MEMORY] = KIND_MEMORY_EXHAUSTION, [CAPACITY_SWAP] = KIND_MEMORY_EXHAUSTION,
		[CAPACITY_CGROUP_MEMORY] = KIND_MEMORY_EXHAUSTION, [CAPACITY_PIDS] = KIND_PID_EXHAUSTION,
		[CAPACITY_CGROUP_PIDS] = KIND_PID_EXHAUSTION, [CAPACITY_FILES] = KIND_FD_EXHAUSTION,
		[CAPACITY_PROCESS_FILES] = KIND_FD_EXHAUSTION, [CAPACITY_CONNTRACK] = KIND_NETWORK_SATURATION,
	};
	enum incident_kind found = KIND_COUNT;
	for (uint32_t i = 0; i < CAPACITY_COUNT; i++) {
		if (!(resources >> i & 1))
			continue;
		if (found != KIND_COUNT && found != kinds[i])
			return KIND_COUNT;
		found = kinds[i];
	}
	return found;
}
