/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What limits the node now (the USE method: Gregg, "Thinking Methodically about Performance", 2013): a resource that is in use and for
 * which somebody waits. One that is merely busy limits nobody.
 */
#ifndef NODEMEND_DETECT_BOTTLENECK_H
#define NODEMEND_DETECT_BOTTLENECK_H

#include "snapshot.h"

/* `section` comes as the last full tick left it, and leaves as of this one. Of the snapshot everything else is read only. */
void bottleneck_find(const struct snapshot *snap, struct bottleneck_section *section);

#endif
