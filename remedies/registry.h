/* SPDX-License-Identifier: Apache-2.0 */
/* The remedies that are built in; each in the file of its name. */
#ifndef NODEMEND_REMEDIES_REGISTRY_H
#define NODEMEND_REMEDIES_REGISTRY_H

#include "remedy.h"

extern const struct remedy clean_files, evict_pod, hook, limit_cpu, manual_task, notify, restart_unit, terminate;
extern const struct remedy truncate_open;
extern const struct remedy vacuum_journal;
extern const struct remedy rotate_logs;
extern const struct remedy prune_coredumps;
extern const struct remedy trim_tmp;
extern const struct remedy prune_packages;
extern const struct remedy release_ballast;
extern const struct remedy clean_files, evict_pod, hook, kill_container, limit_cpu, manual_task, notify, prune_images, restart_container, restart_unit,
	terminate;

extern const struct remedy cpu_weight, isolate, limit_memory, renice, stop_writer, throttle_writer;
extern const struct remedy start_unit, reload_unit, reset_failed;
extern const struct remedy raise_conntrack, raise_neighbours, restart_interface;
extern const struct remedy reclaim, kill_cgroup, kill_fork_bomb, reap, raise_limits, drop_caches, compact, add_swapfile, add_zram;

#endif
