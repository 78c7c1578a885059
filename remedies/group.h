/* SPDX-License-Identifier: Apache-2.0 */
/* One cgroup of the v2 hierarchy, held by its directory: who is in it, and ending all of them at once. */
#ifndef NODEMEND_REMEDIES_GROUP_H
#define NODEMEND_REMEDIES_GROUP_H

#include "remedy.h"

struct group {
	int fd;                /* of its directory */
	char path[PATH_LEN];   /* below the hierarchy's mount */
};

/* The root of the v2 hierarchy, which may be the one of a hybrid set-up; -ENODEV: there is none. */
int group_open_hierarchy(void);
/* The cgroup with this kernfs id, which must still be the one with this path. 0; -ENODEV: no v2 hierarchy; -ESTALE: not the same; -errno. */
int group_open(uint64_t id, const char *path, struct group *ret);
void group_close(struct group *group);
/*
 * Calls `visit` for every process in it and below, until one returns other than 0, which is then returned. -EXDEV: a member lives
 * outside of our pid namespace; -EOVERFLOW: more cgroups below it than are looked at.
 */
int group_each(const struct group *group, int (*visit)(int32_t pid, void *context), void *context);
int group_wait_empty(const struct group *group, uint64_t until_boot_ns); /* 1 empty, 0 not, -errno */
int group_wait_frozen(const struct group *group, uint64_t until_boot_ns); /* 1 all of it is frozen, 0 not, -errno */
int group_is_leaf(const struct group *group); /* 1 no cgroup is below it, 0 there is, -errno */

/* SIGKILL to all of it in one stroke, which no fork outruns (5.14). -ENOENT: this kernel cannot. */
int group_kill(const struct group *group);
/* For older kernels, one after the other (freeze.h): held still, each member killed that is still in it, let go. */
int group_freeze(const struct group *group, uint64_t until_boot_ns); /* 1 all of it stands still, 0 not all in time, -errno */
int group_kill_each(const struct group *group);
int group_thaw(const struct group *group); /* 0, also where it is gone; -errno */
/* The three at once, for a cgroup of our own: who is killed in between leaves it frozen. It is let go again on every way out. */
int group_freeze_and_kill(const struct group *group, uint64_t until_boot_ns);

#endif
