/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in hashes of its own beside the rows: errors by errno, the deep histograms, and the counts of the lower rung. */
#ifndef NODEMEND_COLLECT_SYSCALL_GATHER_H
#define NODEMEND_COLLECT_SYSCALL_GATHER_H

#include "collect/bpf.h"
#include "snapshot.h"

struct syscall_bpf;

/* Each fills its section of `snap`. 0 or -errno. */
int syscall_gather_errors(const struct object_walk *walk, const struct syscall_bpf *skel, struct snapshot *snap);
int syscall_gather_deep(const struct object_walk *walk, const struct syscall_bpf *skel, struct snapshot *snap, bool looks_deep);
int syscall_gather_counts(const struct object_walk *walk, const struct syscall_bpf *skel, struct snapshot *snap, uint64_t *ret_lost);

#endif
