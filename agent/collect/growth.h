/* SPDX-License-Identifier: Apache-2.0 */
/* Which files grow: fswrite's second table, made into the few largest growers with their paths, and exact totals a filesystem. */
#ifndef NODEMEND_COLLECT_GROWTH_H
#define NODEMEND_COLLECT_GROWTH_H

#include "collect/bpf.h"

struct growth;

struct growth *growth_new(void); /* NULL without memory */
void growth_free(struct growth *growth); /* NULL is fine */
/* Fills snap->growth from the kernel's maps and prunes `files`. At full ticks. */
int growth_collect(struct growth *growth, const struct object_walk *walk, int files_fd, int grown_fd, struct snapshot *snap);
uint64_t growth_cut(const struct growth *growth);

#endif
