/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what hung conditions speak of still moves. Pure: (state, snapshot, policies) in, rows of the snapshot out; one call a full tick.
 * Signs of life are processor time, bytes read and written, waits for a processor and context switches. A system call costs processor time, so
 * what makes none of these made no call either. A runtime with a clock of its own (the JVM's) is never still: give such a service a probe.
 */
#ifndef NODEMEND_DETECT_LIFE_H
#define NODEMEND_DETECT_LIFE_H

#include "config.h"

struct life_watch;
struct life_watch *life_watch_new(void);  /* NULL when out of memory; all it will ever need */
void life_watch_free(struct life_watch *watch);
void life_tick(struct life_watch *watch, struct snapshot *snap, const struct config *config);

/* For the hung condition: whether a row is one of its own, and whether it is hung by its time. */
bool life_matches(const struct condition *condition, const struct life *life);
bool life_is_hung(const struct life *life, uint64_t for_ns);

#endif
