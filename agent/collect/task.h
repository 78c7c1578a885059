/* SPDX-License-Identifier: Apache-2.0 */
/* What the task collector read from its ring in the last tick: execs and ends of processes, oldest first. */
#ifndef NODEMEND_COLLECT_TASK_H
#define NODEMEND_COLLECT_TASK_H

#include <stdint.h>

#include "wire.h"

/* The sums by cgroup of what ended, in the kernel: u64 cgroup id → struct ended_cost. See object_shared_map(). */
#define TASK_ENDED_MAP "ended"

enum { MAX_TASK_EVENTS = 2048 }; /* more than the ring holds */

/* Good until the next collect(); *ret_count of them. */
const struct task_event *task_events(const void *state, uint32_t *ret_count);

#endif
