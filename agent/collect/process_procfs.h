/* SPDX-License-Identifier: Apache-2.0 */
/* The walk where there is no BPF: one record a process from procfs, with what procfs has of it. */
#ifndef NODEMEND_COLLECT_PROCESS_PROCFS_H
#define NODEMEND_COLLECT_PROCESS_PROCFS_H

#include <stdint.h>

struct process_section;
struct process_table;

/* Where the v2 hierarchy is below sysfs: "fs/cgroup" or "fs/cgroup/unified"; NULL: nowhere. */
const char *process_procfs_cgroup_root(int sys_fd);
/* Takes every process below proc_fd into the table. 0 or -errno. */
int process_procfs_walk(int proc_fd, int sys_fd, const char *cgroup_root, struct process_table *table);

/* What the node has of pids, threads and open files, and may have; UNKNOWN where it does not say. */
void process_procfs_limits(int proc_fd, struct process_section *section);

#endif
