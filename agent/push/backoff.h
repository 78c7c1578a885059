/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait after a failure: a pure function. */
#ifndef NODEMEND_PUSH_BACKOFF_H
#define NODEMEND_PUSH_BACKOFF_H

#include <stdint.h>

/*
 * After the `failures`-th failure in a row (from 1): between half and all of 1 s · 2^(failures-1), at most 5 min; `random` picks where, so that
 * a fleet does not come back at once. What the receiver asked for (0 = nothing) is waited for at least, but no longer than 5 min either.
 */
uint64_t backoff_ns(uint32_t failures, uint32_t random, uint64_t asked_ns);

/* Retry-After: seconds, or an HTTP date. 0 where it says nothing that holds. */
uint64_t retry_after_ns(const char *value, int64_t wall_ns);

#endif
