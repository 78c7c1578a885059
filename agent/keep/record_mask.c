/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in the texts of a record, hidden before it is given to another process. Ids and numbers have none. */
#include "mask.h"
#include "record.h"

#define MASK(member_) mask_in_place((member_), sizeof(member_))

static void target_mask(struct target *target)
{
	MASK(target->name);
	MASK(target->device);
}

static void cause_mask(struct cause *cause)
{
	MASK(cause->comm);
	MASK(cause->cgroup);
	MASK(cause->unit);
	MASK(cause->container);
	MASK(cause->evidence);
}

void incident_mask(struct incident *incident)
{
	target_mask(&incident->resource);
	for (uint32_t i = 0; i < incident->cause_count && i < MAX_CAUSES; i++)
		cause_mask(&incident->causes[i]);
	for (uint32_t i = 0; i < incident->victim_count && i < MAX_VICTIMS; i++)
		cause_mask(&incident->victims[i]);
	for (uint32_t i = 0; i < incident->change_count && i < MAX_INCIDENT_CHANGES; i++)
		MASK(incident->changes[i].what);
	for (uint32_t i = 0; i < incident->history_count && i < MAX_INCIDENT_HISTORY; i++)
		MASK(incident->history[i].why);
}

void action_mask(struct action *action)
{
	target_mask(&action->target);
	for (uint32_t i = 0; i < action->choice.count && i < MAX_CAUSES; i++) {
		MASK(action->choice.each[i].comm);
		MASK(action->choice.each[i].cgroup);
	}
	MASK(action->choice.otherwise);
	for (uint32_t i = 0; i < action->plan_count && i < MAX_PLAN_LINES; i++)
		MASK(action->plan[i]);
	for (uint32_t i = 0; i < action->step_count && i < MAX_ACTION_STEPS; i++)
		MASK(action->steps[i].detail);
}
