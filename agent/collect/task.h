/* SPDX-License-Identifier: Apache-2.0 */
/* What the task collector read from its ring in the last tick: execs, slices of usage and ends of processes, oldest first. */
#ifndef NODEMEND_COLLECT_TASK_H
#define NODEMEND_COLLECT_TASK_H

#include <stdint.h>

#include "signals/process.h"

/* The sums by cgroup, in the kernel: u64 cgroup id → struct cgroup_lives. See object_shared_map(). */
#define TASK_LIVES_MAP "lives"
/* What the walk writes into, too: the ring, what was told of whom, and what dead threads left. */
#define TASK_RING "task_events"
#define TASK_SLICED_MAP "sliced"
#define TASK_TOLD_MAP "told"

enum { MAX_TASK_EVENTS = 2560 }; /* more than the ring holds */

/* Good until the next collect(); *ret_count of them. */
const struct task_event *task_events(const void *state, uint32_t *ret_count);

#endif
