/* SPDX-License-Identifier: Apache-2.0 */
/* A probe that is asked once and waited for: for a remedy, which has the time, as the unit collector's worker has not. */
#ifndef NODEMEND_COLLECT_PROBE_ONCE_H
#define NODEMEND_COLLECT_PROBE_ONCE_H

#include <stddef.h>

#include "probing.h"

/* Whether it passes within `patience_ns`; else `why` says why not. Nothing that it started is left, and no other child of this process touched. */
bool probe_once(const struct probe *what, uint64_t patience_ns, char *why, size_t size);

#endif
