/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conservation: what the kernel counts for the node, beside what all cgroups' rows and their rest add up to, over the last minute. The
 * difference is what the agent could not attribute, and ought to be next to nothing.
 */
#ifndef NODEMEND_COLLECT_ATTRIBUTION_H
#define NODEMEND_COLLECT_ATTRIBUTION_H

#include "snapshot.h"

struct attribution_window;
struct attribution_window *attribution_new(void); /* NULL: no memory */
void attribution_free(struct attribution_window *window);
/* At full ticks, when the cpu, memory and cgroup sections are this tick's. */
void attribution_fill(struct attribution_window *window, struct snapshot *snap);

#endif
