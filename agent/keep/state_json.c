/* SPDX-License-Identifier: Apache-2.0 */
/* See state_json.h: the tables of the state document, and what a reboot between saving and loading means for its times. */
#include "keep/state_json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keep/document.h"
#include "keep/state.h"

#define SCHEMA "nodemend.state/1"

static const struct field act_fields[] = {
	{ .name = "action", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(act, action_id) },
	{ .name = "policy", .type = FIELD_TEXT, .flags = FIELD_NEEDED, FIELD_AT(act, policy) },
	{ .name = "remedy", .type = FIELD_TEXT, .flags = FIELD_NEEDED, FIELD_AT(act, remedy) },
	{ .name = "target_key", .type = FIELD_EXACT, .flags = FIELD_NEEDED, FIELD_AT(act, target_key) },
	{ .name = "time", .type = FIELD_TIME, FIELD_AT(act, wall_ns) },
	{ .name = "boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(act, boot_ns) },
	{ .name = "outcome", .type = FIELD_CHOICE, .flags = FIELD_NULL, FIELD_AT(act, outcome), FIELD_NAMES(outcome_names) },
	{ .name = "step", .type = FIELD_UNSIGNED, FIELD_AT(act, step) },
};
static const struct fields act_rows = FIELDS(act_fields);

static const struct field machine_fields[] = {
	{ .name = "policy", .type = FIELD_TEXT, .flags = FIELD_NEEDED, FIELD_AT(machine, policy) },
	{ .name = "target_key", .type = FIELD_EXACT, .flags = FIELD_NEEDED, FIELD_AT(machine, target_key) },
	{ .name = "incident", .type = FIELD_ID, .flags = FIELD_NULL, FIELD_AT(machine, incident) },
	{ .name = "state", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(machine, state), FIELD_NAMES(engine_state_names) },
	{ .name = "step", .type = FIELD_UNSIGNED, FIELD_AT(machine, step) },
	{ .name = "tried", .type = FIELD_UNSIGNED, .flags = FIELD_OMIT, FIELD_AT(machine, tried) },
	{ .name = "failed_rounds", .type = FIELD_UNSIGNED, FIELD_AT(machine, failed_rounds) },
	{ .name = "since_boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(machine, since_boot_ns) },
	{ .name = "hold_until_boot_ns", .type = FIELD_I64, .flags = FIELD_OMIT, FIELD_AT(machine, hold_until_boot_ns) },
};
static const struct fields machine_rows = FIELDS(machine_fields);

static const struct field closed_fields[] = {
	{ .name = "id", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(closed_incident, id) },
	{ .name = "kind", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(closed_incident, kind), FIELD_NAMES(incident_kind_names) },
	{ .name = "target_key", .type = FIELD_EXACT, .flags = FIELD_NEEDED, FIELD_AT(closed_incident, target_key) },
	{ .name = "opened", .type = FIELD_TIME, FIELD_AT(closed_incident, opened_wall_ns) },
	{ .name = "closed_boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(closed_incident, closed_boot_ns) },
	{ .name = "reopened", .type = FIELD_UNSIGNED, FIELD_AT(closed_incident, reopened) },
	{ .name = "flaps", .type = FIELD_UNSIGNED, FIELD_AT(closed_incident, flaps) },
};
static const struct fields closed_rows = FIELDS(closed_fields);

static const struct field task_step[] = { { .type = FIELD_TEXT, .size = TASK_TEXT_LEN } };
static const struct fields task_step_rows = FIELDS(task_step);
static const struct field task_fields[] = {
	{ .name = "id", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(task, id) },
	{ .name = "incident", .type = FIELD_ID, .flags = FIELD_NULL, FIELD_AT(task, incident) },
	{ .name = "policy", .type = FIELD_TEXT, FIELD_AT(task, policy) },
	{ .name = "target_key", .type = FIELD_EXACT, .flags = FIELD_NEEDED, FIELD_AT(task, target_key) },
	{ .name = "title", .type = FIELD_TEXT, FIELD_AT(task, title) },
	{ .name = "steps", .type = FIELD_LIST, FIELD_EACH(task, steps, step_count), .inner = &task_step_rows },
	{ .name = "times", .type = FIELD_UNSIGNED, FIELD_AT(task, times) },
	{ .name = "opened", .type = FIELD_TIME, FIELD_AT(task, opened_wall_ns) },
	{ .name = "closed", .type = FIELD_TIME, FIELD_AT(task, closed_wall_ns) },
};
static const struct fields task_rows = FIELDS(task_fields);
static const struct field foreign_fields[] = {
	{ .name = "pid", .type = FIELD_SIGNED, .flags = FIELD_NEEDED, FIELD_AT(foreign_kill, pid) },
	{ .name = "start_ns", .type = FIELD_U64, .flags = FIELD_NEEDED, FIELD_AT(foreign_kill, start_ns) },
	{ .name = "cgroup_id", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(foreign_kill, cgroup_id) },
	{ .name = "comm", .type = FIELD_TEXT, FIELD_AT(foreign_kill, comm) },
	{ .name = "killer", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(foreign_kill, killer), FIELD_NAMES(killer_names) },
	{ .name = "of_node", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(foreign_kill, of_node) },
	{ .name = "time", .type = FIELD_TIME, FIELD_AT(foreign_kill, wall_ns) },
	{ .name = "boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(foreign_kill, boot_ns) },
};
static const struct fields foreign_rows = FIELDS(foreign_fields);

static const struct field lesson_fields[] = {
	{ .name = "kind", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(lesson, kind), FIELD_NAMES(incident_kind_names) },
	{ .name = "cause", .type = FIELD_EXACT, FIELD_AT(lesson, cause) },
	{ .name = "remedy", .type = FIELD_TEXT, .flags = FIELD_NEEDED, FIELD_AT(lesson, remedy) },
	{ .name = "worked", .type = FIELD_UNSIGNED, FIELD_AT(lesson, worked) },
	{ .name = "failed", .type = FIELD_UNSIGNED, FIELD_AT(lesson, failed) },
	{ .name = "failed_in_a_row", .type = FIELD_UNSIGNED, FIELD_AT(lesson, failed_in_a_row) },
	{ .name = "time", .type = FIELD_TIME, FIELD_AT(lesson, wall_ns) },
	{ .name = "boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(lesson, boot_ns) },
};
static const struct fields lesson_rows = FIELDS(lesson_fields);

static const struct field pause_fields[] = {
	{ .name = "paused", .type = FIELD_BOOL, .flags = FIELD_NEEDED, FIELD_AT(pause, paused) },
	{ .name = "since", .type = FIELD_TIME, FIELD_AT(pause, since_wall_ns) },
	{ .name = "until", .type = FIELD_TIME, FIELD_AT(pause, until_wall_ns) },
	{ .name = "until_boot_ns", .type = FIELD_I64, .flags = FIELD_OMIT, FIELD_AT(pause, until_boot_ns) },
	{ .name = "reason", .type = FIELD_TEXT, FIELD_AT(pause, reason) },
};
static const struct fields pause_rows = FIELDS(pause_fields);

static const struct field state_fields[] = {
	{ .name = "boot_id", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(saved_state, boot_id) },
	{ .name = "saved", .type = FIELD_TIME, FIELD_AT(saved_state, saved_wall_ns) },
	{ .name = "saved_boot_ns", .type = FIELD_I64, .flags = FIELD_NEEDED, FIELD_AT(saved_state, saved_boot_ns) },
	{ .name = "next_incident", .type = FIELD_U64, .flags = FIELD_NEEDED, FIELD_AT(saved_state, next_incident) },
	{ .name = "next_action", .type = FIELD_U64, .flags = FIELD_NEEDED, FIELD_AT(saved_state, next_action) },
	{ .name = "pause", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(saved_state, pause), .inner = &pause_rows },
	{ .name = "acts", .type = FIELD_LIST, .flags = FIELD_NEEDED, FIELD_EACH(saved_state, acts, act_count), .inner = &act_rows },
	{ .name = "machines", .type = FIELD_LIST, .flags = FIELD_NEEDED, FIELD_EACH(saved_state, machines, machine_count), .inner = &machine_rows },
	{ .name = "closed", .type = FIELD_LIST, FIELD_EACH(saved_state, closed, closed_count), .inner = &closed_rows },
	{ .name = "tasks", .type = FIELD_LIST, FIELD_EACH(saved_state, tasks, task_count), .inner = &task_rows },
	{ .name = "foreign_kills", .type = FIELD_LIST, FIELD_EACH(saved_state, foreign, foreign_count), .inner = &foreign_rows },
	{ .name = "lessons", .type = FIELD_LIST, FIELD_EACH(saved_state, lessons, lesson_count), .inner = &lesson_rows },
};
static const struct fields state_rows = FIELDS(state_fields);

/* --- writing ------------------------------------------------------------------------------------------------------------- */

static void make_lean(cJSON *incident)
{
	cJSON_DeleteItemFromObjectCaseSensitive(incident, "causes");
	cJSON_DeleteItemFromObjectCaseSensitive(incident, "victims");
	cJSON_DeleteItemFromObjectCaseSensitive(incident, "changes");
	cJSON_DeleteItemFromObjectCaseSensitive(incident, "before");
	cJSON_DeleteItemFromObjectCaseSensitive(incident, "history");
}

static int add_incidents(cJSON *json, const struct saved_state *state, bool lean)
{
	cJSON *list = cJSON_AddArrayToObject(json, "incidents");
	for (uint32_t i = 0; list && i < state->incident_count && i < MAX_OPEN_INCIDENTS; i++) {
		cJSON *incident = incident_to_json(&state->incidents[i], NULL, 0);
		if (!incident)
			return -ENOMEM;
		if (lean)
			make_lean(incident);
		cJSON_AddItemToArray(list, incident);
	}
	return list ? 0 : -ENOMEM;
}

cJSON *state_to_json(const struct saved_state *state, const char *journal_head, bool lean)
{
	cJSON *json = cJSON_CreateObject();
	if (!json)
		return NULL;
	bool whole = cJSON_AddStringToObject(json, "schema", SCHEMA) && (!journal_head[0] || cJSON_AddStringToObject(json, "journal_head", journal_head)) &&
		fields_write(&state_rows, state, json) == 0 && add_incidents(json, state, lean) == 0;
	if (!whole) {
		cJSON_Delete(json);
		return NULL;
	}
	return json;
}

/* --- reading ------------------------------------------------------------------------------------------------------------- */

static int read_incidents(const cJSON *json, struct saved_state *ret)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "incidents"), *item;
	if (!cJSON_IsArray(list))
		return -EINVAL;
	cJSON_ArrayForEach(item, list) {
		if (ret->incident_count == MAX_OPEN_INCIDENTS || incident_from_json(item, &ret->incidents[ret->incident_count]) < 0)
			return -EINVAL;
		ret->incident_count++;
	}
	return 0;
}

static int read_anchor(const cJSON *json, char ret[DIGEST_LEN])
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, "journal_head");
	ret[0] = '\0';
	if (!item)
		return 0;
	if (!cJSON_IsString(item) || strlen(item->valuestring) != DIGEST_LEN - 1 || strspn(item->valuestring, "0123456789abcdef") != DIGEST_LEN - 1)
		return -EINVAL;
	memcpy(ret, item->valuestring, DIGEST_LEN);
	return 0;
}

int state_parse(const char *text, size_t size, struct saved_state *ret, char ret_anchor[DIGEST_LEN], char *why, size_t why_size)
{
	cJSON *json = cJSON_ParseWithLength(text, size);
	const cJSON *schema = cJSON_GetObjectItemCaseSensitive(json, "schema");
	const char *bad = NULL;
	why[0] = '\0';
	state_clear(ret);
	ret_anchor[0] = '\0';

	if (!json)
		snprintf(why, why_size, "it is not JSON");
	else if (!cJSON_IsString(schema) || strcmp(schema->valuestring, SCHEMA) != 0)
		snprintf(why, why_size, "it is not of schema " SCHEMA);
	else if (fields_read(&state_rows, json, ret, &bad) < 0)
		snprintf(why, why_size, "its member %s is missing or out of range", bad ? bad : "");
	else if (read_incidents(json, ret) < 0)
		snprintf(why, why_size, "its incident %u is malformed", ret->incident_count + 1);
	else if (read_anchor(json, ret_anchor) < 0)
		snprintf(why, why_size, "its journal_head is no hash");
	cJSON_Delete(json);
	if (!why[0])
		return 0;
	state_clear(ret);
	return -EBADMSG;
}

/* --- time ---------------------------------------------------------------------------------------------------------------- */

/* Sums that saturate: what a file says may be anything. */
static int64_t add_ns(int64_t a, int64_t b)
{
	int64_t sum;
	if (__builtin_add_overflow(a, b, &sum))
		return b < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

static int64_t subtract_ns(int64_t a, int64_t b)
{
	return b == INT64_MIN ? add_ns(add_ns(a, INT64_MAX), 1) : add_ns(a, -b);
}

/* What to add to a boot time of then. The wall clock says how long it has been; one that was set back says nothing: no time passed. */
static int64_t shift_between(const struct saved_state *state, int64_t boot_now_ns, int64_t wall_now_ns)
{
	int64_t passed = subtract_ns(wall_now_ns, state->saved_wall_ns);
	return subtract_ns(subtract_ns(boot_now_ns, passed > 0 ? passed : 0), state->saved_boot_ns);
}

/* 0 stands for "none" in both of these and must stay it, nor may anything else become it. */
static int64_t shift_deadline(int64_t deadline, int64_t shift)
{
	int64_t shifted = add_ns(deadline, shift);
	return deadline && !shifted ? -1 : deadline ? shifted : 0;
}

static void shift_times(struct saved_state *state, int64_t shift)
{
	for (uint32_t i = 0; i < state->act_count; i++)
		state->acts[i].boot_ns = add_ns(state->acts[i].boot_ns, shift);
	for (uint32_t i = 0; i < state->machine_count; i++) {
		struct machine *machine = &state->machines[i];
		machine->since_boot_ns = add_ns(machine->since_boot_ns, shift);
		machine->hold_until_boot_ns = shift_deadline(machine->hold_until_boot_ns, shift);
	}
	for (uint32_t i = 0; i < state->incident_count; i++) {
		struct incident *incident = &state->incidents[i];
		int64_t opened = incident->opened_boot_ns > INT64_MAX ? INT64_MAX : (int64_t)incident->opened_boot_ns;
		opened = add_ns(opened, shift);
		int64_t phase = incident->phase_boot_ns > INT64_MAX ? INT64_MAX : (int64_t)incident->phase_boot_ns;
		phase = add_ns(phase, shift);
		incident->phase_boot_ns = phase > 0 ? (uint64_t)phase : 0;
		incident->opened_boot_ns = opened > 0 ? (uint64_t)opened : 0; /* before this boot: its wall time says when */
	}
	for (uint32_t i = 0; i < state->closed_count; i++)
		state->closed[i].closed_boot_ns = add_ns(state->closed[i].closed_boot_ns, shift);
	for (uint32_t i = 0; i < state->foreign_count; i++)
		state->foreign[i].boot_ns = add_ns(state->foreign[i].boot_ns, shift);
	for (uint32_t i = 0; i < state->lesson_count; i++)
		state->lessons[i].boot_ns = add_ns(state->lessons[i].boot_ns, shift);
	state->pause.until_boot_ns = shift_deadline(state->pause.until_boot_ns, shift);
	state->saved_boot_ns = add_ns(state->saved_boot_ns, shift);
}

static void drop_old_acts(struct saved_state *state, int64_t boot_now_ns)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < state->act_count; i++) {
		struct act *act = &state->acts[i];
		if (act->boot_ns > boot_now_ns)
			act->boot_ns = boot_now_ns; /* an act of the future would hold the cooldown for ever */
		if (subtract_ns(boot_now_ns, act->boot_ns) <= STATE_ACT_MAX_AGE_NS)
			state->acts[kept++] = *act;
	}
	state->act_count = kept;
	/* Likewise of what others did, and of what is set aside. */
	for (uint32_t i = 0; i < state->foreign_count; i++)
		if (state->foreign[i].boot_ns > boot_now_ns)
			state->foreign[i].boot_ns = boot_now_ns;
	for (uint32_t i = 0; i < state->lesson_count; i++)
		if (state->lessons[i].boot_ns > boot_now_ns)
			state->lessons[i].boot_ns = boot_now_ns;
}

void state_translate(struct saved_state *state, const char *boot_id, int64_t boot_now_ns, int64_t wall_now_ns)
{
	if (strcmp(state->boot_id, boot_id) != 0) {
		shift_times(state, shift_between(state, boot_now_ns, wall_now_ns));
		snprintf(state->boot_id, sizeof(state->boot_id), "%s", boot_id);
	}
	drop_old_acts(state, boot_now_ns);
}

void state_copy(struct saved_state *to, const struct saved_state *from)
{
	memcpy(to, from, offsetof(struct saved_state, acts));
	memcpy(to->acts, from->acts, from->act_count * sizeof(from->acts[0]));
	memcpy(to->machines, from->machines, from->machine_count * sizeof(from->machines[0]));
	memcpy(to->incidents, from->incidents, from->incident_count * sizeof(from->incidents[0]));
	memcpy(to->tasks, from->tasks, from->task_count * sizeof(from->tasks[0]));
}
