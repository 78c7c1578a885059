/* SPDX-License-Identifier: Apache-2.0 */
/* What the watch has learnt of the node, over a restart: read once, and given to the scribe now and then. */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "keep/learnt.h"
#include "keep/scribe.h"

#define LEARNT_EVERY_NS (1800 * NSEC_PER_SEC)

/* A damaged one is said and dropped: it costs learning, and decides nothing. */
void learnt_recall(struct agent *agent)
{
	void *bytes = NULL;
	size_t size = 0;
	char why[WHY_LEN] = "";
	int error = scribe_learnt_load(agent->scribe, &bytes, &size, why, sizeof(why));
	if (error == 0)
		error = watch_load(agent->watch, bytes, size, why, sizeof(why));
	if (error < 0 && error != -ENOENT)
		log_warning("%s/%s: what was learnt of the node is dropped, it is learnt again: %s", agent->state_dir, LEARNT_FILE, why);
	free(bytes);
	agent->learnt_ns = clock_boot_ns();
}

/* Half an hour is what a crash may cost. */
void learnt_keep(struct agent *agent, bool now)
{
	if (!now && clock_boot_ns() < agent->learnt_ns + LEARNT_EVERY_NS)
		return;
	agent->learnt_ns = clock_boot_ns();
	void *room = watch_saved_most() <= LEARNT_MOST ? scribe_learnt_room(agent->scribe) : NULL;
	if (room)
		scribe_learnt(agent->scribe, (uint32_t)watch_save(agent->watch, room));
}
