/* SPDX-License-Identifier: Apache-2.0 */
/* Ending a cgroup where the kernel has no cgroup.kill (before 5.14): frozen, killed one by one, thawed. */
#ifndef NODEMEND_REMEDIES_FREEZE_H
#define NODEMEND_REMEDIES_FREEZE_H

#include "remedies/group.h"

/*
 * It is let go again on every way out. Where there is a book, the freeze is on lease: written down before it is set, so that whoever comes next lets go
 * what we, killed in between, could not. 0; -errno.
 */
int freeze_and_kill(const struct remedy_request *request, const struct group *group, uint64_t id, uint64_t until_boot_ns, struct remedy_result *result);

#endif
