/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One trouble is one incident also where it goes and comes back: within its hold-down it is reopened under its own id, and after some such
 * short phases in a row it is damped: held open, told once, until it has been calm. Pure; what it remembers is in the saved state.
 */
#ifndef NODEMEND_DECIDE_LIFECYCLE_H
#define NODEMEND_DECIDE_LIFECYCLE_H

#include "decide/decide.h"

/* The third time that it comes back after a short phase is no coincidence. */
enum { FLAPS_UNTIL_DAMPED = 3 };

/* True: *ret is what it was when it ended, with its id, its history and its first opening; the caller brings it up to date. */
bool lifecycle_reopen(struct engine *engine, enum incident_kind kind, const char *key, uint64_t hold_down_ns, const struct circumstances *now,
		      struct incident *ret);
/* Nobody sees it any more: whether that is enough to end it. */
bool lifecycle_may_end(struct incident *incident, uint64_t hold_down_ns, const struct circumstances *now);
/* Before it is resolved: that it may be reopened. */
void lifecycle_note_end(struct saved_state *saved, struct incident *incident, uint64_t hold_down_ns, const struct circumstances *now);

#endif
