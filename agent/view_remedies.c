/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of `remedies`: what each is, whether it would work here, where it may act, what is left to spend, and its record. */
#include "view.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "agent.h"
#include "core/control.h"
#include "decide/guard.h"
#include "decide/knowledge.h"

static void add_armed(cJSON *row, const struct agent *agent, enum remedy_id id)
{
	if (agent->next_check <= (uint32_t)id) {
		cJSON_AddNullToObject(row, "armed");
		cJSON_AddStringToObject(row, "why", "not asked yet");
		return;
	}
	const struct remedy_result *result = &agent->armed[id];
	cJSON_AddBoolToObject(row, "armed", result->armed);
	if (!result->armed || result->why[0])
		cJSON_AddStringToObject(row, "why", result->why);
}

static void add_budget(cJSON *row, const char *name, const struct budget *budget)
{
	cJSON *object = cJSON_AddObjectToObject(row, name);
	cJSON_AddNumberToObject(object, "count", budget->count);
	view_add_seconds(object, "per_seconds", budget->per_ns);
}

static void add_policy(cJSON *list, const struct agent *agent, const struct policy *policy)
{
	cJSON *row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "policy", policy->name);
	cJSON_AddStringToObject(row, "mode", mode_names[policy->mode]);
	cJSON_AddStringToObject(row, "effective_mode", mode_names[effective_mode(agent->config, policy)]);
	cJSON_AddBoolToObject(row, "shipped", policy->shipped);
	view_add_seconds(row, "cooldown_seconds", policy->limits.cooldown_ns);
	add_budget(row, "per_target", &policy->limits.per_target);
	add_budget(row, "per_node", &policy->limits.per_node);
	cJSON_AddNumberToObject(row, "node_budget_left", budget_left(agent->saved, policy, NULL, (int64_t)agent->snap->boot_ns));

	uint32_t quarantined = 0;
	for (uint32_t i = 0; i < agent->saved->machine_count; i++) {
		const struct machine *machine = &agent->saved->machines[i];
		quarantined += machine->state == ENGINE_QUARANTINED && strcmp(machine->policy, policy->name) == 0;
	}
	cJSON_AddNumberToObject(row, "quarantined", quarantined);
	cJSON_AddItemToArray(list, row);
}

static bool uses(const struct policy *policy, enum remedy_id id)
{
	for (uint32_t i = 0; i < policy->step_count; i++)
		if (policy->steps[i].remedy == id)
			return true;
	return false;
}

/* {"enforce":{"fixed":3}, …}: what did not happen is not there. */
static void add_record(cJSON *row, const struct engine *engine, enum remedy_id id)
{
	cJSON *record = cJSON_AddObjectToObject(row, "record");
	for (uint32_t mode = 0; mode < MODE_COUNT; mode++) {
		cJSON *counts = cJSON_CreateObject();
		for (uint32_t outcome = 0; outcome < OUTCOME_COUNT; outcome++)
			if (engine->actions_total[id][mode][outcome])
				cJSON_AddNumberToObject(counts, outcome == OUTCOME_NONE ? "planned" : outcome_names[outcome],
							(double)engine->actions_total[id][mode][outcome]);
		if (cJSON_GetArraySize(counts))
			cJSON_AddItemToObject(record, mode_names[mode], counts);
		else
			cJSON_Delete(counts);
	}
}

/* What it has brought here, against what by whom; the one used last is the last. */
static void add_lessons(cJSON *row, const struct agent *agent, const struct remedy *remedy)
{
	cJSON *list = cJSON_AddArrayToObject(row, "lessons");
	for (uint32_t i = 0; i < agent->saved->lesson_count; i++) {
		const struct lesson *lesson = &agent->saved->lessons[i];
		if (strcmp(lesson->remedy, remedy->name) != 0)
			continue;
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "kind", incident_kind_names[lesson->kind]);
		view_add_text(item, "cause", lesson->cause); /* a name of somebody's: cleaned and masked as everywhere */
		cJSON_AddNumberToObject(item, "worked", lesson->worked);
		cJSON_AddNumberToObject(item, "failed", lesson->failed);
		cJSON_AddBoolToObject(item, "set_aside", lesson_sets_aside(lesson, (int64_t)agent->snap->boot_ns));
		view_add_time(item, "last", lesson->wall_ns);
		cJSON_AddItemToArray(list, item);
	}
}

static cJSON *remedy_row(const struct agent *agent, const struct remedy *remedy)
{
	cJSON *row = cJSON_CreateObject();
	cJSON_AddStringToObject(row, "name", remedy->name);
	cJSON_AddStringToObject(row, "help", remedy->help);
	cJSON_AddStringToObject(row, "undo", remedy->undo);
	cJSON_AddBoolToObject(row, "destructive", remedy->destructive);
	add_armed(row, agent, remedy->id);
	cJSON *list = cJSON_AddArrayToObject(row, "policies");
	for (uint32_t i = 0; i < agent->config->policy_count; i++)
		if (uses(&agent->config->policies[i], remedy->id))
			add_policy(list, agent, &agent->config->policies[i]);
	add_record(row, &agent->engine, remedy->id);
	add_lessons(row, agent, remedy);
	return row;
}

cJSON *view_remedies(const struct agent *agent)
{
	cJSON *document = view_document("remedies");
	cJSON_AddStringToObject(document, "mode", mode_names[agent->config->mode]);
	cJSON *list = cJSON_AddArrayToObject(document, "remedies");
	for (uint32_t i = 0; i < REMEDY_COUNT; i++)
		cJSON_AddItemToArray(list, remedy_row(agent, remedies[i]));
	return document;
}

cJSON *view_remedy(const struct agent *agent, const char *name)
{
	const struct remedy *remedy = remedy_by_name(name);
	if (!remedy)
		return control_error(2, "there is no such remedy");
	cJSON *document = view_document("remedy");
	cJSON_AddStringToObject(document, "mode", mode_names[agent->config->mode]);
	cJSON_AddItemToObject(document, "remedy", remedy_row(agent, remedy));
	return document;
}
