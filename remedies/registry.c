/* SPDX-License-Identifier: Apache-2.0 */
/* Which remedies there are: one row each. */
#include "remedies/registry.h"

#include <string.h>

#include "core/value.h"

const struct remedy *const remedies[REMEDY_COUNT] = {
	[REMEDY_CLEAN_FILES] = &clean_files,
	[REMEDY_RESTART_UNIT] = &restart_unit,
	[REMEDY_TERMINATE] = &terminate,
	[REMEDY_LIMIT_CPU] = &limit_cpu,
	[REMEDY_HOOK] = &hook,
	[REMEDY_NOTIFY] = &notify,
	[REMEDY_MANUAL_TASK] = &manual_task,
	[REMEDY_EVICT_POD] = &evict_pod,
	[REMEDY_TRUNCATE_OPEN] = &truncate_open,
	[REMEDY_VACUUM_JOURNAL] = &vacuum_journal,
	[REMEDY_ROTATE_LOGS] = &rotate_logs,
	[REMEDY_PRUNE_COREDUMPS] = &prune_coredumps,
	[REMEDY_TRIM_TMP] = &trim_tmp,
	[REMEDY_PRUNE_PACKAGES] = &prune_packages,
	[REMEDY_RELEASE_BALLAST] = &release_ballast,
	[REMEDY_PRUNE_IMAGES] = &prune_images,
	[REMEDY_RESTART_CONTAINER] = &restart_container,
	[REMEDY_KILL_CONTAINER] = &kill_container,
	[REMEDY_RENICE] = &renice,
	[REMEDY_CPU_WEIGHT] = &cpu_weight,
	[REMEDY_ISOLATE] = &isolate,
	[REMEDY_LIMIT_MEMORY] = &limit_memory,
	[REMEDY_THROTTLE_WRITER] = &throttle_writer,
	[REMEDY_STOP_WRITER] = &stop_writer,
	[REMEDY_START_UNIT] = &start_unit,
	[REMEDY_RELOAD_UNIT] = &reload_unit,
	[REMEDY_RESET_FAILED] = &reset_failed,
	[REMEDY_RAISE_CONNTRACK] = &raise_conntrack,
	[REMEDY_RAISE_NEIGHBOURS] = &raise_neighbours,
	[REMEDY_RESTART_INTERFACE] = &restart_interface,
	[REMEDY_RECLAIM] = &reclaim,
	[REMEDY_KILL_CGROUP] = &kill_cgroup,
	[REMEDY_KILL_FORK_BOMB] = &kill_fork_bomb,
	[REMEDY_REAP] = &reap,
	[REMEDY_RAISE_LIMITS] = &raise_limits,
	[REMEDY_DROP_CACHES] = &drop_caches,
	[REMEDY_COMPACT] = &compact,
	[REMEDY_ADD_SWAPFILE] = &add_swapfile,
	[REMEDY_ADD_ZRAM] = &add_zram,
};

const struct remedy *remedy_by_name(const char *name)
{
	for (size_t i = 0; i < REMEDY_COUNT; i++)
		if (strcmp(remedies[i]->name, name) == 0)
			return remedies[i];
	return NULL;
}

const char *remedy_unit(enum remedy_id id, const union remedy_args *args)
{
	const struct remedy *remedy = remedies[id];
	const struct setting *setting = remedy->aim == AIM_UNIT ? section_find(remedy->arguments, remedy->target_argument) : NULL;
	return setting ? (const char *)args + setting->offset : NULL;
}
