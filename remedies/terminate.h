/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of terminate: one process (terminate.c) and a cgroup as a whole (terminate_group.c). */
#ifndef NODEMEND_REMEDIES_TERMINATE_H
#define NODEMEND_REMEDIES_TERMINATE_H

#include "remedy.h"

/* After KILL a process may need a moment of its own, even where the deadline has just passed. */
#define AFTER_KILL_NS (500 * NSEC_PER_MSEC)

/* Plans or applies; `id` and `path` say which cgroup. `term_wait_ns`: between TERM and KILL; 0: KILL at once. */
int terminate_group(const struct remedy_request *request, uint64_t id, const char *path, uint64_t term_wait_ns, struct remedy_result *result);
/* The same for the cgroup that the request is about: its target, or that of the first candidate that has one. With `whole_oom_group` the topmost
 * one around it that memory.oom.group says is to end as a whole. */
int terminate_aimed_group(const struct remedy_request *request, uint64_t term_wait_ns, bool whole_oom_group, struct remedy_result *result);

#endif
