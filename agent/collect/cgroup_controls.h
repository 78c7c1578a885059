/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup's own files say that changes slowly or is dear to read: its pressure, and how many tasks it holds of how many it may. A
 * few rows a tick in turn, so that neither many cgroups nor short ticks make it dearer.
 */
#ifndef NODEMEND_COLLECT_CGROUP_CONTROLS_H
#define NODEMEND_COLLECT_CGROUP_CONTROLS_H

#include "snapshot.h"

enum {
	CONTROLS_TICKS = 5,          /* each row is read every so many full ticks… */
	CONTROLS_ROWS = 32,          /* …unless that were more rows than these in one */
};

struct cgroup_controls {
	int pressure_fd, pids_fd;    /* directories of the hierarchies; -1: nowhere. The caller's */
	uint32_t next;
};

/* A number at the start of a file of the cgroup; UNKNOWN: there is none, and for "max". */
uint64_t cgroup_read_value(int hierarchy_fd, const struct cgroup *row, const char *file);
void cgroup_controls_read(struct cgroup_controls *controls, struct cgroup_section *section);

#endif
