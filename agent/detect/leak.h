/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that grow and never give back: resident memory, open descriptors, threads. A bounded number of them is followed, by pid and
 * start, with the lowest figure of each five minutes: a collector that runs gives back, and its floor stands still. Pure.
 */
#ifndef NODEMEND_DETECT_LEAK_H
#define NODEMEND_DETECT_LEAK_H

#include "snapshot.h"

struct leak_watch;
struct leak_watch *leak_watch_new(void); /* NULL when out of memory; all it will ever need */
void leak_watch_free(struct leak_watch *watch);
/* Once a minute, `minute` on a clock that does not step back. */
void leak_look(struct leak_watch *watch, const struct snapshot *snap, uint32_t minute);
/* How long one must be followed before anything can be said of it. */
#define LEAK_RUN_NS (65 * 60 * NSEC_PER_SEC)
/* Fills leaks, leak_count, leaks_since_ns and processes_folded. */
void leak_show(const struct leak_watch *watch, const struct snapshot *snap, struct outlook_section *ret);

#endif
