/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger.h. */
#include "decide/ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide/incident.h"

void action_remember(struct engine *engine, const struct action *action)
{
	uint32_t count = engine->recent_action_count < MAX_RECENT ? engine->recent_action_count : MAX_RECENT;
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(engine->recent_actions[i].id, action->id) == 0) {
			engine->recent_actions[i] = *action;
			return;
		}
	}
	engine->recent_actions[engine->recent_action_count++ % MAX_RECENT] = *action;
}

void action_tell(struct engine *engine, const struct action *action, struct changes *ret)
{
	action_remember(engine, action);
	if (action->outcome != OUTCOME_NONE)
		for (enum remedy_id i = 0; i < REMEDY_COUNT; i++)
			if (strcmp(remedies[i]->name, action->remedy) == 0)
				engine->actions_total[i][action->mode][action->outcome]++;
	if (ret->action_count < MAX_CHANGES)
		ret->actions[ret->action_count++] = *action;
	else
		ret->cut++;
}

void action_name(struct engine *engine, struct action *action, const struct circumstances *now)
{
	snprintf(action->id, sizeof(action->id), "a%llx-%llu", (unsigned long long)(now->wall_ns / (int64_t)NSEC_PER_SEC),
		 (unsigned long long)++engine->saved->next_action);
	action->started_wall_ns = now->wall_ns;
	action->started_boot_ns = now->boot_ns;
}

void ledger_add(struct saved_state *saved, const struct action *action, const char *key, uint32_t step, const struct circumstances *now)
{
	if (saved->act_count == MAX_ACTS)
		memmove(saved->acts, saved->acts + 1, --saved->act_count * sizeof(saved->acts[0]));
	struct act *act = &saved->acts[saved->act_count++];
	*act = (struct act){ .boot_ns = (int64_t)now->boot_ns, .wall_ns = now->wall_ns, .step = step };
	snprintf(act->action_id, sizeof(act->action_id), "%s", action->id);
	snprintf(act->policy, sizeof(act->policy), "%s", action->policy);
	snprintf(act->remedy, sizeof(act->remedy), "%s", action->remedy);
	snprintf(act->target_key, sizeof(act->target_key), "%s", key);
}

/* A lane may have been busy for long: cooldowns count from when it was really begun. */
void ledger_begin(struct saved_state *saved, const struct action *action, const struct circumstances *now)
{
	for (uint32_t i = saved->act_count; i-- > 0;) {
		if (strcmp(saved->acts[i].action_id, action->id) != 0)
			continue;
		saved->acts[i].boot_ns = (int64_t)now->boot_ns;
		saved->acts[i].wall_ns = now->wall_ns;
		return;
	}
}

/* With an outcome: how it ended. A refusal is taken out again: nothing was done. */
void ledger_close(struct saved_state *saved, const struct action *action)
{
	for (uint32_t i = saved->act_count; i-- > 0;) {
		if (strcmp(saved->acts[i].action_id, action->id) != 0)
			continue;
		saved->acts[i].outcome = action->outcome;
		if (action->outcome == OUTCOME_REFUSED) {
			memmove(&saved->acts[i], &saved->acts[i + 1], (saved->act_count - i - 1) * sizeof(saved->acts[0]));
			saved->act_count--;
		}
		return;
	}
}

uint32_t budget_left(const struct saved_state *saved, const struct policy *policy, const char *target_key, int64_t boot_ns)
{
	const struct budget *budget = target_key ? &policy->limits.per_target : &policy->limits.per_node;
	uint32_t used = 0;
	for (uint32_t i = 0; i < saved->act_count; i++) {
		const struct act *act = &saved->acts[i];
		if (strcmp(act->policy, policy->name) == 0 && (!target_key || strcmp(act->target_key, target_key) == 0) &&
		    boot_ns - act->boot_ns < (int64_t)budget->per_ns)
			used++;
	}
	return used < budget->count ? budget->count - used : 0;
}

uint32_t acts_within(const struct saved_state *saved, const char *remedy, uint64_t per_ns, int64_t boot_ns)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < saved->act_count; i++)
		count += boot_ns - saved->acts[i].boot_ns < (int64_t)per_ns && (!remedy || strcmp(saved->acts[i].remedy, remedy) == 0);
	return count;
}

void action_note(struct action *action, const char *name, bool ok, const struct circumstances *now, const char *format, ...)
{
	uint32_t at = action->step_count < MAX_ACTION_STEPS ? action->step_count++ : MAX_ACTION_STEPS - 1;
	struct action_step *step = &action->steps[at];
	*step = (struct action_step){ .started_wall_ns = now->wall_ns, .ended_wall_ns = now->wall_ns, .ok = ok };
	snprintf(step->name, sizeof(step->name), "%s", name);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(step->detail, sizeof(step->detail), format, arguments);
	va_end(arguments);
}

void refusal_tell(struct engine *engine, uint32_t machine_at, const struct policy *policy, const struct finding *finding, const char *guard,
		  const struct circumstances *now, struct changes *ret)
{
	if (strcmp(engine->refusals[machine_at], guard) == 0)
		return;
	snprintf(engine->refusals[machine_at], NAME_LEN, "%s", guard);
	if (strcmp(guard, "startup-grace") == 0 || strcmp(guard, "target-busy") == 0 || strcmp(guard, "victim-pending") == 0)
		return; /* passes by itself within seconds */

	const struct machine *machine = &engine->saved->machines[machine_at];
	struct incident *incident = incident_by_id(engine, machine->incident);
	if (incident)
		incident_enter(incident, incident->state, now, ret, "policy %s: %s held back by %s", policy->name, remedies[policy->steps[machine->step].remedy]->name,
			       guard);
	if (strcmp(guard, "cooldown") == 0)
		return; /* its own last act is on record; another line a round says nothing new */

	struct action action = { .mode = MODE_ENFORCE, .target = finding->target, .outcome = OUTCOME_REFUSED, .ended_wall_ns = now->wall_ns };
	action_name(engine, &action, now);
	effect_clear(&action.expected);
	effect_clear(&action.observed);
	snprintf(action.incident, sizeof(action.incident), "%s", machine->incident);
	snprintf(action.policy, sizeof(action.policy), "%s", policy->name);
	snprintf(action.remedy, sizeof(action.remedy), "%.*s", NAME_LEN - 1, remedies[policy->steps[machine->step].remedy]->name);
	snprintf(action.refused_by, sizeof(action.refused_by), "%s", guard);
	if (incident)
		incident_add_action(incident, action.id);
	action_tell(engine, &action, ret);
}

bool had_effect(const struct effect *observed)
{
	return (observed->freed_bytes != UNKNOWN && observed->freed_bytes) || (observed->freed_files != UNKNOWN && observed->freed_files) ||
	       (observed->exited != UNKNOWN && observed->exited) || (observed->unit_active != UNKNOWN && observed->unit_active) ||
	       (observed->use_percent != UNKNOWN && observed->use_percent < 100) || (observed->available_bytes != UNKNOWN && observed->available_bytes);
}
