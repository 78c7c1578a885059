/* SPDX-License-Identifier: Apache-2.0 */
/* See records.h. */
#include "publish/records.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static const char actions_key[] = "\"actions\":[";

/* Takes the tree over. */
static char *print_and_delete(cJSON *json)
{
	char *text = json ? cJSON_PrintUnformatted(json) : NULL;
	cJSON_Delete(json);
	return text;
}

static void copy_id(char to[ID_LEN], const char from[ID_LEN])
{
	memcpy(to, from, ID_LEN - 1);
	to[ID_LEN - 1] = 0;
}

static void remove_incident(struct records *records, uint32_t index)
{
	free(records->incidents[index].json);
	memmove(&records->incidents[index], &records->incidents[index + 1],
		(records->incident_count - index - 1) * sizeof(records->incidents[0]));
	records->incident_count--;
}

static struct incident_entry *room_for_incident(struct records *records, const char *id)
{
	for (uint32_t i = 0; i < records->incident_count; i++)
		if (strcmp(records->incidents[i].id, id) == 0)
			return &records->incidents[i];

	if (records->incident_count == RECORDS_INCIDENTS) {
		uint32_t victim = 0;
		while (victim < RECORDS_INCIDENTS - 1 && records->incidents[victim].state != INCIDENT_RESOLVED)
			victim++;
		if (records->incidents[victim].state != INCIDENT_RESOLVED)
			victim = 0;
		remove_incident(records, victim);
		records->incidents_dropped++;
	}
	struct incident_entry *entry = &records->incidents[records->incident_count++];
	*entry = (struct incident_entry){ 0 };
	copy_id(entry->id, id);
	return entry;
}

static int64_t last_change(const struct incident *incident)
{
	if (incident->resolved_wall_ns)
		return incident->resolved_wall_ns;
	uint32_t count = incident->history_count;
	return count && count <= MAX_INCIDENT_HISTORY ? incident->history[count - 1].wall_ns : incident->opened_wall_ns;
}

const struct incident_entry *records_put_incident(struct records *records, const struct incident *incident)
{
	char id[ID_LEN];
	copy_id(id, incident->id);
	records->changes++;

	/* cJSON escapes every quote within a string, so the first such key without a backslash is the record's own. */
	char *json = print_and_delete(incident_to_json(incident, NULL, 0));
	char *splice = json ? strstr(json, actions_key) : NULL;
	if (!splice) {
		free(json);
		records->incidents_dropped++;
		return NULL;
	}

	struct incident_entry *entry = room_for_incident(records, id);
	free(entry->json);
	entry->json = json;
	entry->length = strlen(json);
	entry->splice = (size_t)(splice - json) + strlen(actions_key);
	entry->kind = incident->kind;
	entry->severity = incident->severity;
	entry->state = incident->state;
	entry->opened_ns = incident->opened_wall_ns;
	entry->changed_ns = last_change(incident);
	entry->about = incident->resource.type;
	snprintf(entry->name, sizeof(entry->name), "%.*s", PATH_LEN - 1, incident->resource.name);
	entry->cause_count = incident->cause_count < MAX_CAUSES ? incident->cause_count : MAX_CAUSES;
	for (uint32_t i = 0; i < entry->cause_count; i++)
		entry->cause_pids[i] = incident->causes[i].pid;
	entry->action_count = incident->action_count < MAX_INCIDENT_ACTIONS ? incident->action_count : MAX_INCIDENT_ACTIONS;
	for (uint32_t i = 0; i < entry->action_count; i++)
		copy_id(entry->actions[i], incident->actions[i]);

	/* A publisher that starts is told of the past in no particular order. */
	for (; entry > records->incidents && entry[-1].opened_ns > entry->opened_ns; entry--) {
		struct incident_entry later = entry[-1];
		entry[-1] = *entry;
		*entry = later;
	}
	return entry;
}

static struct action_entry *find_action(const struct records *records, const char *id)
{
	for (uint32_t i = records->action_count; i--;)
		if (strcmp(records->actions[i].id, id) == 0)
			return (struct action_entry *)&records->actions[i];
	return NULL;
}

static struct action_entry *room_for_action(struct records *records, const char *id)
{
	struct action_entry *entry = find_action(records, id);
	if (entry)
		return entry;

	if (records->action_count == RECORDS_ACTIONS) {
		free(records->actions[0].json);
		memmove(&records->actions[0], &records->actions[1], (RECORDS_ACTIONS - 1) * sizeof(records->actions[0]));
		records->action_count--;
		records->actions_dropped++;
	}
	entry = &records->actions[records->action_count++];
	*entry = (struct action_entry){ 0 };
	copy_id(entry->id, id);
	return entry;
}

const struct action_entry *records_put_action(struct records *records, const struct action *action)
{
	char id[ID_LEN];
	copy_id(id, action->id);
	records->changes++;

	char *json = print_and_delete(action_to_json(action));
	if (!json) {
		records->actions_dropped++;
		return NULL;
	}

	struct action_entry *entry = room_for_action(records, id);
	free(entry->json);
	entry->json = json;
	entry->length = strlen(json);
	entry->outcome = action->outcome;
	entry->mode = action->mode;
	copy_id(entry->incident, action->incident);
	snprintf(entry->remedy, sizeof(entry->remedy), "%.*s", NAME_LEN - 1, action->remedy);
	entry->started_ns = action->started_wall_ns;
	for (; entry > records->actions && entry[-1].started_ns > entry->started_ns; entry--) {
		struct action_entry later = entry[-1];
		entry[-1] = *entry;
		*entry = later;
	}
	return entry;
}

void records_free(struct records *records)
{
	for (uint32_t i = 0; i < records->incident_count; i++)
		free(records->incidents[i].json);
	for (uint32_t i = 0; i < records->action_count; i++)
		free(records->actions[i].json);
	records->incident_count = records->action_count = 0;
}

const struct incident_entry *records_incident(const struct records *records, const char *id)
{
	for (uint32_t i = 0; i < records->incident_count; i++)
		if (strcmp(records->incidents[i].id, id) == 0)
			return &records->incidents[i];
	return NULL;
}

void records_write_incident(const struct records *records, const struct incident_entry *entry, struct text *out)
{
	bool first = true;
	text_append(out, entry->json, entry->splice);
	for (uint32_t i = 0; i < entry->action_count; i++) {
		const struct action_entry *action = find_action(records, entry->actions[i]);
		if (!action)
			continue;
		text_append(out, ",", first ? 0 : 1);
		text_append(out, action->json, action->length);
		first = false;
	}
	text_append(out, entry->json + entry->splice, entry->length - entry->splice);
}

static bool incident_matches(const struct incident_entry *entry, const struct records_query *query)
{
	if (query->has_state && entry->state != query->state)
		return false;
	return entry->state != INCIDENT_RESOLVED || entry->changed_ns >= query->since_ns;
}

void records_write_incidents(const struct records *records, const struct records_query *query, struct text *out)
{
	uint32_t written = 0;
	text_string(out, "{\"schema\":\"nodemend.incidents/1\",\"incidents\":[");
	for (uint32_t i = records->incident_count; i-- && written < query->limit;) {
		const struct incident_entry *entry = &records->incidents[i];
		if (!incident_matches(entry, query))
			continue;
		text_append(out, ",", written++ ? 1 : 0);
		records_write_incident(records, entry, out);
	}
	text_string(out, "]}");
}

void records_write_actions(const struct records *records, const struct records_query *query, struct text *out)
{
	uint32_t written = 0;
	text_string(out, "{\"schema\":\"nodemend.actions/1\",\"actions\":[");
	for (uint32_t i = records->action_count; i-- && written < query->limit;) {
		const struct action_entry *entry = &records->actions[i];
		if (entry->started_ns < query->since_ns)
			continue;
		text_append(out, ",", written++ ? 1 : 0);
		text_append(out, entry->json, entry->length);
	}
	text_string(out, "]}");
}
