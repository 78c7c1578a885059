/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-made nodes for the tests of detecting and deciding: a snapshot that is fresh, and rows added to it one by one. */
#ifndef NODEMEND_TESTS_SCENE_H
#define NODEMEND_TESTS_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "detect/detect.h"

#define SECONDS(n) ((uint64_t)(n) * NSEC_PER_SEC)
#define MIB(n) ((uint64_t)(n) << 20)

static inline struct snapshot *scene_new(void)
{
	struct snapshot *snap = calloc(1, sizeof(*snap));
	assert_non_null(snap);
	snap->interval_ns = snap->elapsed_ns = SECONDS(1);
	snap->boot_ns = SECONDS(1000);
	return snap;
}

/* Everything in the scene was measured now. */
static inline void scene_at(struct snapshot *snap, uint64_t boot_ns)
{
	snap->boot_ns = boot_ns;
	snap->cpu.measured_ns = snap->memory.measured_ns = snap->psi.measured_ns = snap->filesystems.measured_ns = snap->writers.measured_ns =
		snap->processes.measured_ns = snap->cgroups.measured_ns = snap->units.measured_ns = snap->interfaces.measured_ns = snap->disks.measured_ns =
		snap->listeners.measured_ns = snap->dependencies.measured_ns = boot_ns;
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		snap->filesystems.each[i].measured_ns = boot_ns;
	for (uint32_t i = 0; i < snap->units.count; i++)
		snap->units.each[i].measured_ns = boot_ns;
}

static inline struct filesystem *scene_filesystem(struct snapshot *snap, const char *mountpoint, uint32_t dev, uint32_t used_percent)
{
	struct filesystem *fs = &snap->filesystems.each[snap->filesystems.count++];
	snprintf(fs->mountpoint, sizeof(fs->mountpoint), "%s", mountpoint);
	fs->dev = dev;
	fs->size = MIB(100);
	fs->free = fs->avail = MIB(100 - used_percent);
	fs->files = 1000;
	fs->files_free = 500;
	fs->exhausted_in_ns = UNKNOWN;
	return fs;
}

/* Rows must come in ascending pid order. */
static inline struct process *scene_process(struct snapshot *snap, int32_t pid, const char *comm, uint64_t rss, int64_t growth)
{
	struct process *process = &snap->processes.each[snap->processes.count++];
	process->pid = pid;
	process->start_ns = (uint64_t)pid * 1000;
	process->rss_bytes = rss;
	process->rss_growth_bytes = process->rss_growing_bytes = growth;
	process->cgroup_index = NO_INDEX;
	process->threads = 1;
	snprintf(process->comm, sizeof(process->comm), "%s", comm);
	return process;
}

static inline struct cgroup *scene_cgroup(struct snapshot *snap, uint64_t id, const char *path, uint64_t rss)
{
	struct cgroup *cgroup = &snap->cgroups.each[snap->cgroups.count++];
	cgroup->id = id;
	cgroup->processes = 1;
	cgroup->rss_bytes = rss;
	cgroup->memory_current = cgroup->memory_max = cgroup->memory_low = cgroup->memory_file = cgroup->pids_current = cgroup->pids_max = UNKNOWN;
	snprintf(cgroup->path, sizeof(cgroup->path), "%s", path);
	return cgroup;
}

/* A configuration of one policy, written as a user would. */
static inline struct config *scene_config(const char *yaml)
{
	struct config *config = calloc(1, sizeof(*config));
	struct config_faults *faults = calloc(1, sizeof(*faults));
	assert_non_null(config);
	assert_non_null(faults);
	config_defaults(config);
	int error = config_parse("scene.yaml", yaml, strlen(yaml), config, faults);
	if (error < 0)
		config_print_faults(faults, stderr);
	assert_int_equal(error, 0);
	free(faults);
	return config;
}

#endif
