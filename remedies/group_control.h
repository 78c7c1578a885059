/* SPDX-License-Identifier: Apache-2.0 */
/* Where a cgroup's control file is: in the v2 hierarchy where the controller is enabled for it, else in that controller's v1 hierarchy. */
#ifndef NODEMEND_REMEDIES_GROUP_CONTROL_H
#define NODEMEND_REMEDIES_GROUP_CONTROL_H

#include "lease.h"

struct control_name {
	const char *controller;   /* "cpu"; NULL: every cgroup of v2 has the file */
	const char *v1_controller; /* its name in v1 where that is another; NULL: the same */
	const char *v2, *v1;      /* "cpu.max", "cpu.cfs_quota_us"; NULL: there is none */
};

/*
 * Fills in a knob for the cgroup with this id and path. 0 and whether it is v2's; -ESTALE the cgroup is gone or another has its name;
 * -ENOENT neither hierarchy has the file for it; -EPERM it is the root of the v1 hierarchy, or shared with processes of other cgroups, so
 * turning it would hit others; -errno.
 */
int group_control(uint64_t id, const char *path, const struct control_name *name, struct knob *ret, bool *ret_v2);
/* Whether this host has the controller in either hierarchy, at its root. */
bool control_exists(const struct control_name *name);

#endif
