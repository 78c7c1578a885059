/* SPDX-License-Identifier: Apache-2.0 */
/* See machine.h. */
#include "decide/machine.h"

#include <stdio.h>
#include <string.h>

#include "decide/incident.h"
#include "decide/knowledge.h"

const char *const engine_state_names[ENGINE_STATE_COUNT] = { "ok", "pending", "armed", "acting", "verifying", "rollback", "quarantined" };

void engine_init(struct engine *engine, struct saved_state *saved)
{
	engine->saved = saved;
	for (uint32_t i = 0; i < saved->machine_count; i++) {
		struct machine *machine = &saved->machines[i];
		/* What was under way when the agent ended is over; the caller journals it. The round goes on with its next step, after a new look. */
		if (machine->state == ENGINE_ACTING || machine->state == ENGINE_VERIFYING || machine->state == ENGINE_ROLLBACK)
			machine->tried |= 1U << (machine->step % MAX_STEPS);
		if (machine->state != ENGINE_QUARANTINED)
			machine->state = ENGINE_ARMED;
	}
}

uint32_t machine_find(const struct engine *engine, const char *policy, const char *key)
{
	for (uint32_t i = 0; i < engine->saved->machine_count; i++) {
		const struct machine *machine = &engine->saved->machines[i];
		if (strcmp(machine->policy, policy) == 0 && strcmp(machine->target_key, key) == 0)
			return i;
	}
	return NO_MACHINE;
}

uint32_t machine_new(struct engine *engine, const char *policy, const char *key, const struct circumstances *now)
{
	struct saved_state *saved = engine->saved;
	if (saved->machine_count == MAX_MACHINES)
		return NO_MACHINE;
	uint32_t at = saved->machine_count++;
	saved->machines[at] = (struct machine){ .state = ENGINE_PENDING, .since_boot_ns = (int64_t)now->boot_ns };
	snprintf(saved->machines[at].policy, NAME_LEN, "%s", policy);
	snprintf(saved->machines[at].target_key, KEY_LEN, "%s", key);
	engine->refusals[at][0] = '\0';
	return at;
}

/* The last one takes its place, and its order follows. */
void machine_drop(struct engine *engine, uint32_t at, struct changes *ret)
{
	struct saved_state *saved = engine->saved;
	uint32_t last = --saved->machine_count;
	saved->machines[at] = saved->machines[last];
	memcpy(engine->refusals[at], engine->refusals[last], NAME_LEN);
	engine->held_seq[at] = engine->held_seq[last];
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		if (engine->orders[i].phase != ORDER_FREE && engine->orders[i].machine == last)
			engine->orders[i].machine = at;
	ret->state_changed = true;
}

void machine_enter(struct machine *machine, enum engine_state state, const struct circumstances *now, struct changes *ret)
{
	if (machine->state == state)
		return;
	machine->state = state;
	machine->since_boot_ns = (int64_t)now->boot_ns;
	ret->state_changed |= state != ENGINE_PENDING;
}

void machine_quarantine(struct engine *engine, uint32_t at, const struct circumstances *now, struct changes *ret, const char *why)
{
	struct machine *machine = &engine->saved->machines[at];
	machine_enter(machine, ENGINE_QUARANTINED, now, ret);
	struct incident *incident = incident_by_id(engine, machine->incident);
	if (incident)
		incident_enter(incident, INCIDENT_NEEDS_HUMAN, now, ret, "policy %s is quarantined here: %s; `nodemend resume` lifts it", machine->policy, why);
}

uint32_t engine_lift_quarantine(struct engine *engine, const struct circumstances *now, struct changes *ret)
{
	uint32_t lifted = 0;
	ret->state_changed |= knowledge_lift(engine->saved, (int64_t)now->boot_ns) > 0;
	for (uint32_t i = 0; i < engine->saved->machine_count; i++) {
		struct machine *machine = &engine->saved->machines[i];
		if (machine->state != ENGINE_QUARANTINED)
			continue;
		machine_enter(machine, ENGINE_ARMED, now, ret);
		machine->step = machine->tried = machine->failed_rounds = 0;
		machine->hold_until_boot_ns = 0;
		lifted++;
		/* What was spent is forgiven with it, else the budget would send it straight back. */
		for (uint32_t a = engine->saved->act_count; a-- > 0;)
			if (strcmp(engine->saved->acts[a].policy, machine->policy) == 0 && strcmp(engine->saved->acts[a].target_key, machine->target_key) == 0)
				memmove(&engine->saved->acts[a], &engine->saved->acts[a + 1], (--engine->saved->act_count - a) * sizeof(struct act));
		struct incident *incident = incident_by_id(engine, machine->incident);
		if (incident && incident->state == INCIDENT_NEEDS_HUMAN)
			incident_enter(incident, INCIDENT_OPEN, now, ret, "a person lifted the quarantine of policy %s", machine->policy);
	}
	return lifted;
}

void engine_forget_policies(struct engine *engine, const struct config *config, const struct circumstances *now, struct changes *ret)
{
	for (uint32_t i = engine->saved->machine_count; i-- > 0;) {
		bool known = false;
		for (uint32_t p = 0; p < config->policy_count; p++)
			known |= strcmp(config->policies[p].name, engine->saved->machines[i].policy) == 0;
		if (!known)
			machine_drop(engine, i, ret);
	}
	for (uint32_t i = engine->saved->incident_count; i-- > 0;) {
		struct incident *incident = &engine->saved->incidents[i];
		bool known = false;
		for (uint32_t p = 0; p < config->policy_count; p++)
			known |= strcmp(config->policies[p].name, incident->policy) == 0;
		if (!known)
			incident_close(engine, incident, now, ret, "no policy watches it any more");
	}
}
