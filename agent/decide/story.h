/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Related incidents are one story: one of them is what the others come from, and they hang under it, so that one sick disk does not page ten
 * times. A link is evidence of the kernel's (the same device, the same culprit, a thread that waits for it), never mere coincidence in time.
 * Pure.
 */
#ifndef NODEMEND_DECIDE_STORY_H
#define NODEMEND_DECIDE_STORY_H

#include "decide/decide.h"

/* After the incidents have been brought up to date: hangs new ones under what they come from, and lets go of those whose cause is over. */
void stories_update(struct engine *engine, const struct snapshot *snap, const struct circumstances *now, struct changes *ret);
/* Why `child` comes from `parent`, as words; NULL: it does not. */
const char *story_link(const struct incident *child, const struct incident *parent, const struct snapshot *snap);

#endif
