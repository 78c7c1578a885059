/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of terminate: one process (terminate.c) and a cgroup as a whole (terminate_group.c). */
#ifndef NODEMEND_REMEDIES_TERMINATE_H
#define NODEMEND_REMEDIES_TERMINATE_H

#include "remedy.h"

/* After KILL a process may need a moment of its own, even where the deadline has just passed. */
#define AFTER_KILL_NS (500 * NSEC_PER_MSEC)

/* Plans or applies; `id` and `path` say which cgroup. */
int terminate_group(const struct remedy_request *request, uint64_t id, const char *path, struct remedy_result *result);

#endif
