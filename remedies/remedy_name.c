/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the remedies, apart from what they do: the publisher tells them and has no way to run them. */
#include "remedy.h"

const char *const remedy_names[REMEDY_COUNT] = {
	[REMEDY_CLEAN_FILES] = "clean-files",
	[REMEDY_RESTART_UNIT] = "restart-unit",
	[REMEDY_TERMINATE] = "terminate",
	[REMEDY_LIMIT_CPU] = "limit-cpu",
	[REMEDY_HOOK] = "hook",
	[REMEDY_NOTIFY] = "notify",
	[REMEDY_MANUAL_TASK] = "manual-task",
	[REMEDY_EVICT_POD] = "evict-pod",
	[REMEDY_TRUNCATE_OPEN] = "truncate-open",
	[REMEDY_VACUUM_JOURNAL] = "vacuum-journal",
	[REMEDY_ROTATE_LOGS] = "rotate-logs",
	[REMEDY_PRUNE_COREDUMPS] = "prune-coredumps",
	[REMEDY_TRIM_TMP] = "trim-tmp",
	[REMEDY_PRUNE_PACKAGES] = "prune-packages",
	[REMEDY_RELEASE_BALLAST] = "release-ballast",
	[REMEDY_PRUNE_IMAGES] = "prune-images",
	[REMEDY_RESTART_CONTAINER] = "restart-container",
	[REMEDY_KILL_CONTAINER] = "kill-container",
	[REMEDY_CORDON] = "cordon",
};
