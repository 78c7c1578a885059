/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups as they are made and removed, told by the kernel: the names of those that live for less than a tick, and who is gone for
 * good. Names are kept from the making to a minute after the removal.
 */
#ifndef NODEMEND_COLLECT_CGROUP_WATCH_H
#define NODEMEND_COLLECT_CGROUP_WATCH_H

#include "collector.h"

struct cgroup_watch;

/* -EXDEV: the agent is in a cgroup namespace of its own, where the kernel's paths are not ours. `why` on every error. */
int cgroup_watch_open(const struct collector_env *env, struct cgroup_watch **ret, char *why, size_t why_size);
void cgroup_watch_close(struct cgroup_watch *watch); /* NULL is fine */

/* Takes what has been told since the last call. 0 or -errno. */
int cgroup_watch_take(struct cgroup_watch *watch, uint64_t boot_ns);
/* "/a/b", good until the next take; NULL: not known. */
const char *cgroup_watch_path(const struct cgroup_watch *watch, uint64_t id);
bool cgroup_watch_replaced(const struct cgroup_watch *watch, uint64_t id); /* it was removed, and another one has its path now */
bool cgroup_watch_removed(const struct cgroup_watch *watch, uint64_t id);
/* Brings the section's list of the gone up to date. */
void cgroup_watch_fill_gone(const struct cgroup_watch *watch, struct cgroup_section *section, uint64_t boot_ns);
/* Events that found no room. */
uint64_t cgroup_watch_lost(struct cgroup_watch *watch);
uint64_t cgroup_watch_map_bytes(const struct cgroup_watch *watch);

#endif
