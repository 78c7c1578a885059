/* SPDX-License-Identifier: Apache-2.0 */
/* The incidents: one a (kind, resource), opened by a finding, worsened, mended, and closed when nothing says so any more. Pure. */
#ifndef NODEMEND_DECIDE_INCIDENT_H
#define NODEMEND_DECIDE_INCIDENT_H

#include "decide/decide.h"

/* Opens and updates incidents for what is true, closes those that nobody finds any more. */
void incidents_update(struct engine *engine, const struct snapshot *snap, const struct findings *findings, const struct config *config,
		      const struct circumstances *now, struct changes *ret);
/* NULL when there is none (also when it was not opened for want of room). */
struct incident *incident_of(struct engine *engine, enum incident_kind kind, const char *key);
struct incident *incident_by_id(struct engine *engine, const char *id);
/* Says why in the history; a change of state or a repeated state, both are told. */
void incident_enter(struct incident *incident, enum incident_state state, const struct circumstances *now, struct changes *ret, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void incident_add_action(struct incident *incident, const char *action_id);
/* Moves it from the open ones to the recent ones. */
void incident_close(struct engine *engine, struct incident *incident, const struct circumstances *now, struct changes *ret, const char *why);

#endif
