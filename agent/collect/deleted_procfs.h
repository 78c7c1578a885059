/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over open descriptors of deleted files for kernels without iter/task_file: by the links in /proc/PID/fd. */
#ifndef NODEMEND_COLLECT_DELETED_PROCFS_H
#define NODEMEND_COLLECT_DELETED_PROCFS_H

#include "snapshot.h"

/* How many processes were left out because the look had taken its share of descriptors. No start times and cgroups are told here. */
uint32_t deleted_procfs_look(int proc_fd, void (*take)(const struct deleted_record *record, void *arg), void *arg);

#endif
