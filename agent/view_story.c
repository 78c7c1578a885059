/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of `incidents`, `why` and `apply`: what was found, who causes it, what was considered, done and seen. */
#include "view.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "core/control.h"
#include "decide/guard.h"

enum { MAX_STORIES = MAX_OPEN_INCIDENTS + MAX_RECENT };

static uint32_t in_ring(uint32_t count)
{
	return count < MAX_RECENT ? count : MAX_RECENT;
}

static const struct action *recent_action(const struct engine *engine, const char *id)
{
	for (uint32_t i = 0; i < in_ring(engine->recent_action_count); i++)
		if (strcmp(engine->recent_actions[i].id, id) == 0)
			return &engine->recent_actions[i];
	return NULL;
}

static cJSON *incident_document(const struct agent *agent, const struct incident *incident)
{
	return incident_to_json(incident, agent->engine.recent_actions, in_ring(agent->engine.recent_action_count));
}

static int newest_first(const void *left, const void *right)
{
	const struct incident *a = *(const struct incident *const *)left, *b = *(const struct incident *const *)right;
	if (a->opened_wall_ns != b->opened_wall_ns)
		return a->opened_wall_ns < b->opened_wall_ns ? 1 : -1;
	return strcmp(b->id, a->id);
}

static uint32_t all_incidents(const struct agent *agent, bool ended, const struct incident *ret[MAX_STORIES])
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < agent->saved->incident_count; i++)
		ret[count++] = &agent->saved->incidents[i];
	for (uint32_t i = 0; ended && i < in_ring(agent->engine.recent_incident_count); i++)
		if (agent->engine.recent_incidents[i].id[0]) /* else it is open again */
			ret[count++] = &agent->engine.recent_incidents[i];
	qsort(ret, count, sizeof(const struct incident *), newest_first);
	return count;
}

cJSON *view_incidents(const struct agent *agent, int64_t since_wall_ns, bool all)
{
	const struct incident *found[MAX_STORIES];
	uint32_t count = all_incidents(agent, all, found);
	cJSON *document = view_document("incidents");
	view_add_time(document, "time", agent->snap->wall_ns);
	cJSON *list = cJSON_AddArrayToObject(document, "incidents");
	for (uint32_t i = 0; i < count; i++) {
		if (found[i]->opened_wall_ns < since_wall_ns && found[i]->resolved_wall_ns < since_wall_ns)
			continue;
		cJSON_AddItemToArray(list, incident_document(agent, found[i]));
	}
	return document;
}

/* --- what was considered ------------------------------------------------------------------------------------------------ */

static const struct machine *machine_of(const struct agent *agent, const char *policy, const char *incident, uint32_t *ret_index)
{
	for (uint32_t i = 0; i < agent->saved->machine_count; i++) {
		const struct machine *machine = &agent->saved->machines[i];
		if (strcmp(machine->policy, policy) == 0 && strcmp(machine->incident, incident) == 0) {
			*ret_index = i;
			return machine;
		}
	}
	return NULL;
}

/* Which entry of `do` an act was; UINT32_MAX where the ledger does not know it (a dry run, a refusal). */
static uint32_t step_of(const struct saved_state *saved, const char *action_id)
{
	for (uint32_t i = 0; i < saved->act_count; i++)
		if (strcmp(saved->acts[i].action_id, action_id) == 0)
			return saved->acts[i].step;
	return UINT32_MAX;
}

/* The newest action of this incident that was this step of this policy. */
static const struct action *action_at(const struct agent *agent, const struct incident *incident, const struct policy *policy, uint32_t at)
{
	for (uint32_t i = incident->action_count; i-- > 0;) {
		const struct action *action = recent_action(&agent->engine, incident->actions[i]);
		if (!action || strcmp(action->policy, policy->name) != 0 || strcmp(action->remedy, remedies[policy->steps[at].remedy]->name) != 0)
			continue;
		uint32_t step = step_of(agent->saved, action->id);
		if (step == at || step == UINT32_MAX)
			return action;
	}
	return NULL;
}

/* "chosen", "refused", "held", "skipped" and the sentence that says why. */
static const char *verdict(const struct agent *agent, const struct incident *incident, const struct policy *policy, uint32_t at, char *why, size_t size)
{
	const struct action *action = action_at(agent, incident, policy, at);
	enum mode mode = effective_mode(agent->config, policy);
	uint32_t index = 0;
	const struct machine *machine = machine_of(agent, policy->name, incident->id, &index);

	if (action && action->refused_by[0]) {
		snprintf(why, size, "the guard %s refused it", action->refused_by);
		return "refused";
	}
	if (action) {
		if (at == 0)
			snprintf(why, size, "first in the policy's list");
		else
			snprintf(why, size, "what stands before it in the list did not verify");
		return "chosen";
	}
	if (mode == MODE_OBSERVE) {
		snprintf(why, size, "mode observe: nothing is tried");
		return "skipped";
	}
	if (machine && machine->step == at && machine->state == ENGINE_QUARANTINED) {
		snprintf(why, size, "quarantined after %u rounds that did not mend: `nodemend resume` lifts it", machine->failed_rounds);
		return "held";
	}
	if (machine && machine->step == at && agent->engine.refusals[index][0]) {
		snprintf(why, size, "the guard %s holds it back", agent->engine.refusals[index]);
		return "held";
	}
	if (machine && machine->step == at && incident->state != INCIDENT_RESOLVED) {
		snprintf(why, size, "it is next");
		return "held";
	}
	snprintf(why, size, at == 0 ? "its turn never came" : "only where what stands before it did not verify");
	return "skipped";
}

static void add_considered(cJSON *list, const struct agent *agent, const struct incident *incident, const struct policy *policy)
{
	uint32_t index;
	const struct machine *machine = machine_of(agent, policy->name, incident->id, &index);
	cJSON *row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "policy", policy->name);
	cJSON_AddStringToObject(row, "mode", mode_names[policy->mode]);
	cJSON_AddStringToObject(row, "effective_mode", mode_names[effective_mode(agent->config, policy)]);
	cJSON_AddStringToObject(row, "state", engine_state_names[machine ? machine->state : ENGINE_OK]);
	cJSON *steps = cJSON_AddArrayToObject(row, "remedies");
	for (uint32_t at = 0; at < policy->step_count; at++) {
		char why[WHY_LEN];
		cJSON *step = cJSON_CreateObject();
		const struct action *action = action_at(agent, incident, policy, at);
		cJSON_AddStringToObject(step, "remedy", remedies[policy->steps[at].remedy]->name);
		cJSON_AddStringToObject(step, "verdict", verdict(agent, incident, policy, at, why, sizeof(why)));
		cJSON_AddStringToObject(step, "why", why);
		if (action)
			cJSON_AddStringToObject(step, "action", action->id);
		cJSON_AddItemToArray(steps, step);
	}
	cJSON_AddItemToArray(list, row);
}

static bool concerns(const struct agent *agent, const struct incident *incident, const struct policy *policy)
{
	uint32_t index;
	if (strcmp(incident->policy, policy->name) == 0 || machine_of(agent, policy->name, incident->id, &index))
		return true;
	for (uint32_t i = 0; i < incident->action_count; i++) {
		const struct action *action = recent_action(&agent->engine, incident->actions[i]);
		if (action && strcmp(action->policy, policy->name) == 0)
			return true;
	}
	return false;
}

/* --- one of them -------------------------------------------------------------------------------------------------------- */

/* What hangs under it, or what it hangs under: enough to go and look. */
static void add_to_story(cJSON *list, const struct incident *incident)
{
	cJSON *whole = incident_to_json(incident, NULL, 0), *row = cJSON_CreateObject();
	static const char *const members[] = { "id", "kind", "severity", "state", "resource", "parent" };
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		cJSON_AddItemToObject(row, members[i], cJSON_DetachItemFromObjectCaseSensitive(whole, members[i]));
	cJSON_Delete(whole);
	cJSON_AddItemToArray(list, row);
}

cJSON *view_incident(const struct agent *agent, const char *id)
{
	const struct incident *found[MAX_STORIES], *match = NULL;
	uint32_t count = all_incidents(agent, true, found), matches = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (strncmp(found[i]->id, id, strlen(id)) != 0)
			continue;
		match = found[i];
		matches++;
		if (strcmp(match->id, id) == 0) {
			matches = 1;
			break;
		}
	}
	if (matches == 0 || !id[0])
		return control_error(1, "no such incident is in memory: `nodemend incidents --all` lists those that are");
	if (matches > 1)
		return control_error(2, "%u incidents begin so: give more of the id", matches);

	cJSON *document = view_document("why");
	view_add_time(document, "time", agent->snap->wall_ns);
	cJSON_AddItemToObject(document, "incident", incident_document(agent, match));
	cJSON *story = cJSON_AddArrayToObject(document, "story");
	for (uint32_t i = 0; i < count; i++)
		if (found[i] != match && (strcmp(found[i]->parent, match->id) == 0 || strcmp(match->parent, found[i]->id) == 0))
			add_to_story(story, found[i]);
	cJSON *list = cJSON_AddArrayToObject(document, "considered");
	for (uint32_t i = 0; i < agent->config->policy_count; i++)
		if (concerns(agent, match, &agent->config->policies[i]))
			add_considered(list, agent, match, &agent->config->policies[i]);
	return document;
}

cJSON *view_actions(const struct agent *agent)
{
	const struct engine *engine = &agent->engine;
	cJSON *document = view_document("actions");
	cJSON *list = cJSON_AddArrayToObject(document, "actions");
	uint32_t count = in_ring(engine->recent_action_count);
	for (uint32_t i = 1; i <= count; i++)
		cJSON_AddItemToArray(list, action_to_json(&engine->recent_actions[(engine->recent_action_count - i) % MAX_RECENT]));
	return document;
}

cJSON *view_action(const struct agent *agent, const char *id)
{
	const struct action *action = recent_action(&agent->engine, id);
	if (!action)
		return control_error(1, "no such action is in memory: the journal has them all");
	cJSON *document = view_document("action");
	cJSON_AddItemToObject(document, "action", action_to_json(action));
	return document;
}
