/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns the counters of TCP peers and name servers into what each service was like of late, against its own history: shares of
 * failures and resets in a window that decays, and how many times slower than its median.
 */
#ifndef NODEMEND_DETECT_DEPENDENCY_H
#define NODEMEND_DETECT_DEPENDENCY_H

#include "snapshot.h"

struct dependencies;
struct dependencies *dependencies_new(void);
void dependencies_free(struct dependencies *dependencies);
/* Takes this full tick's counters and fills snap->dependencies. */
void dependencies_update(struct dependencies *dependencies, struct snapshot *snap);

#endif
