/* SPDX-License-Identifier: Apache-2.0 */
/* See lifecycle.h. */
#include "decide/lifecycle.h"

#include <stdio.h>
#include <string.h>

#include "detect/condition.h"

static void forget(struct saved_state *saved, uint32_t at)
{
	saved->closed_count--;
	memmove(&saved->closed[at], &saved->closed[at + 1], (saved->closed_count - at) * sizeof(saved->closed[0]));
}

static void forget_old(struct saved_state *saved, uint64_t hold_down_ns, const struct circumstances *now)
{
	while (saved->closed_count && (int64_t)now->boot_ns - saved->closed[0].closed_boot_ns > (int64_t)hold_down_ns)
		forget(saved, 0);
}

/* Its record among those that ended, which then is no longer one of them; false after a restart, which forgets them. */
static bool take_back(struct engine *engine, const char *id, struct incident *ret)
{
	uint32_t count = engine->recent_incident_count < MAX_RECENT ? engine->recent_incident_count : MAX_RECENT;
	for (uint32_t i = 0; i < count; i++) {
		struct incident *recent = &engine->recent_incidents[i];
		if (strcmp(recent->id, id) != 0)
			continue;
		*ret = *recent;
		recent->id[0] = '\0';
		return true;
	}
	return false;
}

bool lifecycle_reopen(struct engine *engine, enum incident_kind kind, const char *key, uint64_t hold_down_ns, const struct circumstances *now,
		      struct incident *ret)
{
	struct saved_state *saved = engine->saved;
	forget_old(saved, hold_down_ns, now);
	for (uint32_t i = 0; i < saved->closed_count; i++) {
		const struct closed_incident closed = saved->closed[i];
		if (closed.kind != kind || strcmp(closed.target_key, key) != 0)
			continue;
		if (!take_back(engine, closed.id, ret)) {
			*ret = (struct incident){ .opened_wall_ns = closed.opened_wall_ns, .reopened = closed.reopened, .flaps = closed.flaps };
			memcpy(ret->id, closed.id, sizeof(ret->id));
		}
		forget(saved, i);
		ret->resolved_wall_ns = 0;
		ret->parent[0] = '\0';
		ret->reopened++;
		ret->flapping = ret->flaps >= FLAPS_UNTIL_DAMPED;
		return true;
	}
	return false;
}

bool lifecycle_may_end(struct incident *incident, uint64_t hold_down_ns, const struct circumstances *now)
{
	if (!incident->flapping)
		return true;
	if (!incident->quiet_boot_ns)
		incident->quiet_boot_ns = now->boot_ns;
	return now->boot_ns - incident->quiet_boot_ns >= hold_down_ns;
}

void lifecycle_note_end(struct saved_state *saved, struct incident *incident, uint64_t hold_down_ns, const struct circumstances *now)
{
	bool brief = now->boot_ns - incident->phase_boot_ns <= hold_down_ns;
	incident->flaps = brief && !incident->flapping ? incident->flaps + 1 : 0;
	incident->flapping = false;
	incident->quiet_boot_ns = 0;
	if (!hold_down_ns || incident->resource.type == TARGET_PROCESS)
		return; /* a process that ended does not come back: the next one is another */

	forget_old(saved, hold_down_ns, now);
	if (saved->closed_count == MAX_CLOSED)
		forget(saved, 0);
	struct closed_incident *closed = &saved->closed[saved->closed_count++];
	*closed = (struct closed_incident){
		.kind = incident->kind, .opened_wall_ns = incident->opened_wall_ns, .closed_boot_ns = (int64_t)now->boot_ns,
		.reopened = incident->reopened, .flaps = incident->flaps,
	};
	memcpy(closed->id, incident->id, sizeof(closed->id));
	target_key(&incident->resource, closed->target_key);
}
