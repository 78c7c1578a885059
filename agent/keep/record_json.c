/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents and actions as the documents nodemend.incident/1 and nodemend.action/1: their names, and one table a struct. */
#include "record.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#include "keep/document.h"

const char *const mode_names[MODE_COUNT] = { "observe", "shadow", "enforce" };
const char *const severity_names[SEVERITY_COUNT] = { "warning", "critical", "emergency" };
const char *const incident_state_names[INCIDENT_STATE_COUNT] = { "open", "mending", "resolved", "needs_human" };
const char *const incident_kind_names[KIND_COUNT] = {
	[KIND_DISK_EXHAUSTION] = "disk_exhaustion", [KIND_MEMORY_EXHAUSTION] = "memory_exhaustion", [KIND_CPU_EXHAUSTION] = "cpu_exhaustion",
	[KIND_IO_SATURATION] = "io_saturation", [KIND_PROCESS_CRASH] = "process_crash", [KIND_SERVICE_DOWN] = "service_down",
	[KIND_SERVICE_HUNG] = "service_hung", [KIND_PID_EXHAUSTION] = "pid_exhaustion", [KIND_FD_EXHAUSTION] = "fd_exhaustion",
	[KIND_NETWORK_SATURATION] = "network_saturation", [KIND_OOM_KILL] = "oom_kill", [KIND_KERNEL_FAULT] = "kernel_fault",
	[KIND_LOG_PATTERN] = "log_pattern", [KIND_ANOMALY] = "anomaly", [KIND_DEPENDENCY_DOWN] = "dependency_down",
};
const char *const outcome_names[OUTCOME_COUNT] = { "none", "fixed", "improved", "no_effect", "failed", "refused", "rolled_back", "told" };
const char *const target_type_names[TARGET_TYPE_COUNT] = { "node", "filesystem", "process", "cgroup", "unit", "interface", "disk", "peer", "log" };

/* Choices are read and written through a uint32_t. */
_Static_assert(sizeof(enum mode) == sizeof(uint32_t) && offsetof(struct target, type) == 0, "enums are four bytes, a target begins with its type");

void effect_clear(struct effect *effect)
{
	memset(effect, 0xff, sizeof(*effect)); /* all of its members are amounts */
}

/* --- target ------------------------------------------------------------------------------------------------------------- */

static const struct field target_type[] = {
	{ .name = "type", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(target, type), FIELD_NAMES(target_type_names) },
};
static const struct field node_fields[] = {
	{ .name = "name", .type = FIELD_EXACT, FIELD_AT(target, name) },
};
static const struct field filesystem_fields[] = {
	{ .name = "mountpoint", .type = FIELD_EXACT, FIELD_AT(target, name) },
	{ .name = "device", .type = FIELD_EXACT, .flags = FIELD_OMIT, FIELD_AT(target, device) },
	{ .name = "dev", .type = FIELD_UNSIGNED, .flags = FIELD_OMIT, FIELD_AT(target, dev) },
};
static const struct field process_fields[] = {
	{ .name = "comm", .type = FIELD_EXACT, FIELD_AT(target, name) },
	{ .name = "pid", .type = FIELD_SIGNED, FIELD_AT(target, pid) },
	{ .name = "start_ns", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(target, start_ns) },
	{ .name = "cgroup_id", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(target, cgroup_id) },
};
static const struct field cgroup_fields[] = {
	{ .name = "cgroup", .type = FIELD_EXACT, FIELD_AT(target, name) },
	{ .name = "cgroup_id", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(target, cgroup_id) },
};
static const struct field unit_fields[] = {
	{ .name = "unit", .type = FIELD_EXACT, FIELD_AT(target, name) },
};
static const struct field interface_fields[] = {
	{ .name = "interface", .type = FIELD_EXACT, FIELD_AT(target, name) },
};
static const struct field disk_fields[] = {
	{ .name = "device", .type = FIELD_EXACT, FIELD_AT(target, name) },
};
static const struct field peer_fields[] = {
	{ .name = "peer", .type = FIELD_EXACT, FIELD_AT(target, name) },
};
static const struct field log_fields[] = {
	{ .name = "log", .type = FIELD_EXACT, FIELD_AT(target, name) },
};
static const struct fields target_by_type[TARGET_TYPE_COUNT] = {
	[TARGET_NODE] = FIELDS(node_fields), [TARGET_FILESYSTEM] = FIELDS(filesystem_fields), [TARGET_PROCESS] = FIELDS(process_fields),
	[TARGET_CGROUP] = FIELDS(cgroup_fields), [TARGET_UNIT] = FIELDS(unit_fields),
	[TARGET_INTERFACE] = FIELDS(interface_fields), [TARGET_DISK] = FIELDS(disk_fields), [TARGET_PEER] = FIELDS(peer_fields),
	[TARGET_LOG] = FIELDS(log_fields),
};
static const struct fields target_rows = { .each = target_type, .count = 1, .by_type = target_by_type, .type_count = TARGET_TYPE_COUNT };

/* --- action ------------------------------------------------------------------------------------------------------------- */

static const struct field effect_fields[] = {
	{ .name = "freed_bytes", .type = FIELD_AMOUNT, FIELD_AT(effect, freed_bytes) },
	{ .name = "freed_files", .type = FIELD_AMOUNT, FIELD_AT(effect, freed_files) },
	{ .name = "exited", .type = FIELD_AMOUNT, FIELD_AT(effect, exited) },
	{ .name = "unit_active", .type = FIELD_TRUTH, FIELD_AT(effect, unit_active) },
	{ .name = "use_percent", .type = FIELD_AMOUNT, FIELD_AT(effect, use_percent) },
	{ .name = "available_bytes", .type = FIELD_AMOUNT, FIELD_AT(effect, available_bytes) },
	{ .name = "cleared", .type = FIELD_TRUTH, FIELD_AT(effect, cleared) },
	{ .name = "within_seconds", .type = FIELD_SECONDS, FIELD_AT(effect, within_ns) },
};
static const struct fields effect_rows = FIELDS(effect_fields);

static const struct field plan_line[] = { { .type = FIELD_TEXT, .size = PLAN_LINE_LEN } };
static const struct fields plan_rows = FIELDS(plan_line);

static const struct field step_fields[] = {
	{ .name = "name", .type = FIELD_TEXT, FIELD_AT(action_step, name) },
	{ .name = "started", .type = FIELD_TIME, FIELD_AT(action_step, started_wall_ns) },
	{ .name = "ended", .type = FIELD_TIME, FIELD_AT(action_step, ended_wall_ns) },
	{ .name = "ok", .type = FIELD_BOOL, FIELD_AT(action_step, ok) },
	{ .name = "detail", .type = FIELD_TEXT, FIELD_AT(action_step, detail) },
};
static const struct fields step_rows = FIELDS(step_fields);

static const struct field candidate_fields[] = {
	{ .name = "pid", .type = FIELD_SIGNED, .flags = FIELD_OMIT, FIELD_AT(candidate, pid) },
	{ .name = "comm", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(candidate, comm) },
	{ .name = "cgroup", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(candidate, cgroup) },
	{ .name = "share", .type = FIELD_PERMILLE, FIELD_AT(candidate, share_permille) },
	{ .name = "score", .type = FIELD_PERMILLE, FIELD_AT(candidate, score) },
	{ .name = "why", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(candidate, why) },
};
static const struct fields candidate_rows = FIELDS(candidate_fields);

static const struct field choice_fields[] = {
	{ .name = "candidates", .type = FIELD_LIST, FIELD_EACH(selection, each, count), .inner = &candidate_rows },
	{ .name = "margin", .type = FIELD_PERMILLE, FIELD_AT(selection, margin_permille) },
	{ .name = "otherwise", .type = FIELD_TEXT, FIELD_AT(selection, otherwise) },
};
static const struct fields choice_rows = FIELDS(choice_fields);

static const struct field action_fields[] = {
	{ .name = "id", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(action, id) },
	{ .name = "incident", .type = FIELD_ID, .flags = FIELD_NULL, FIELD_AT(action, incident) },
	{ .name = "policy", .type = FIELD_TEXT, .flags = FIELD_NULL, FIELD_AT(action, policy) },
	{ .name = "remedy", .type = FIELD_TEXT, .flags = FIELD_NEEDED, FIELD_AT(action, remedy) },
	{ .name = "mode", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(action, mode), FIELD_NAMES(mode_names) },
	{ .name = "dry_run", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(action, dry_run) },
	{ .name = "target", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(action, target), .inner = &target_rows },
	{ .name = "plan", .type = FIELD_LIST, FIELD_EACH(action, plan, plan_count), .inner = &plan_rows },
	{ .name = "plan_cut", .type = FIELD_UNSIGNED, .flags = FIELD_OMIT, FIELD_AT(action, plan_cut) },
	{ .name = "choice", .type = FIELD_OBJECT, .flags = FIELD_OMIT, FIELD_AT(action, choice), .inner = &choice_rows },
	{ .name = "expected", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(action, expected), .inner = &effect_rows },
	{ .name = "observed", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(action, observed), .inner = &effect_rows },
	{ .name = "started", .type = FIELD_TIME, FIELD_AT(action, started_wall_ns) },
	{ .name = "ended", .type = FIELD_TIME, FIELD_AT(action, ended_wall_ns) },
	{ .name = "outcome", .type = FIELD_CHOICE, .flags = FIELD_NULL, FIELD_AT(action, outcome), FIELD_NAMES(outcome_names) },
	{ .name = "refused_by", .type = FIELD_TEXT, .flags = FIELD_NULL, FIELD_AT(action, refused_by) },
	{ .name = "steps", .type = FIELD_LIST, FIELD_EACH(action, steps, step_count), .inner = &step_rows },
	{ .name = "started_boot_ns", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(action, started_boot_ns) },
};
static const struct fields action_rows = FIELDS(action_fields);

/* --- incident ----------------------------------------------------------------------------------------------------------- */

static const struct field signal_fields[] = {
	{ .name = "metric", .type = FIELD_TEXT, FIELD_AT(signal_value, metric) },
	{ .name = "value", .type = FIELD_DOUBLE, FIELD_AT(signal_value, value) },
	{ .name = "threshold", .type = FIELD_DOUBLE, FIELD_AT(signal_value, threshold) },
	{ .name = "exhausted_in_seconds", .type = FIELD_SECONDS, FIELD_AT(signal_value, exhausted_in_ns) },
	{ .name = "confidence", .type = FIELD_PERMILLE, FIELD_AT(signal_value, confidence_permille) },
};
static const struct fields signal_rows = FIELDS(signal_fields);

static const struct field cause_fields[] = {
	{ .name = "rank", .type = FIELD_UNSIGNED, FIELD_AT(cause, rank) },
	{ .name = "pid", .type = FIELD_SIGNED, .flags = FIELD_OMIT, FIELD_AT(cause, pid) },
	{ .name = "start_ns", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(cause, start_ns) },
	{ .name = "comm", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, comm) },
	{ .name = "cgroup", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, cgroup) },
	{ .name = "cgroup_id", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(cause, cgroup_id) },
	{ .name = "unit", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, unit) },
	{ .name = "namespace", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, namespace) },
	{ .name = "pod", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, pod) },
	{ .name = "container", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, container) },
	{ .name = "container_id", .type = FIELD_TEXT, .flags = FIELD_OMIT, FIELD_AT(cause, container_id) },
	{ .name = "rss_bytes", .type = FIELD_AMOUNT, .flags = FIELD_OMIT, FIELD_AT(cause, rss_bytes) },
	{ .name = "oom_score_adj", .type = FIELD_SIGNED, .flags = FIELD_OMIT, FIELD_AT(cause, oom_score_adj) },
	{ .name = "share", .type = FIELD_PERMILLE, FIELD_AT(cause, share_permille) },
	{ .name = "explains", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(cause, explains) },
	{ .name = "self_inflicted", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(cause, self_inflicted) },
	{ .name = "evidence", .type = FIELD_TEXT, FIELD_AT(cause, evidence) },
};
static const struct fields cause_rows = FIELDS(cause_fields);

static const struct field change_fields[] = {
	{ .name = "time", .type = FIELD_TIME, FIELD_AT(incident_change, wall_ns) },
	{ .name = "what", .type = FIELD_TEXT, FIELD_AT(incident_change, what) },
};
static const struct fields change_rows = FIELDS(change_fields);

static const struct field before_value[] = { { .type = FIELD_DOUBLE, .size = sizeof(double) } };
static const struct fields before_value_rows = FIELDS(before_value);
static const struct field before_fields[] = {
	{ .name = "step_seconds", .type = FIELD_SECONDS, FIELD_AT(foretime, step_ns) },
	{ .name = "values", .type = FIELD_LIST, FIELD_EACH(foretime, values, count), .inner = &before_value_rows },
};
static const struct fields before_rows = FIELDS(before_fields);

static const struct field action_id[] = { { .type = FIELD_ID, .size = ID_LEN } };
static const struct fields action_id_rows = FIELDS(action_id);

static const struct field history_fields[] = {
	{ .name = "time", .type = FIELD_TIME, FIELD_AT(history_entry, wall_ns) },
	{ .name = "state", .type = FIELD_CHOICE, FIELD_AT(history_entry, state), FIELD_NAMES(incident_state_names) },
	{ .name = "why", .type = FIELD_TEXT, FIELD_AT(history_entry, why) },
};
static const struct fields history_rows = FIELDS(history_fields);

/* Two tables, since `actions` stands between them and is more than what the struct holds. */
static const struct field incident_head[] = {
	{ .name = "id", .type = FIELD_ID, .flags = FIELD_NEEDED, FIELD_AT(incident, id) },
	{ .name = "policy", .type = FIELD_TEXT, .flags = FIELD_NULL, FIELD_AT(incident, policy) },
	{ .name = "kind", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(incident, kind), FIELD_NAMES(incident_kind_names) },
	{ .name = "severity", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(incident, severity), FIELD_NAMES(severity_names) },
	{ .name = "state", .type = FIELD_CHOICE, .flags = FIELD_NEEDED, FIELD_AT(incident, state), FIELD_NAMES(incident_state_names) },
	{ .name = "opened", .type = FIELD_TIME, FIELD_AT(incident, opened_wall_ns) },
	{ .name = "resolved", .type = FIELD_TIME, FIELD_AT(incident, resolved_wall_ns) },
	{ .name = "resource", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(incident, resource), .inner = &target_rows },
	{ .name = "signal", .type = FIELD_OBJECT, .flags = FIELD_NEEDED, FIELD_AT(incident, signal), .inner = &signal_rows },
	{ .name = "causes", .type = FIELD_LIST, FIELD_EACH(incident, causes, cause_count), .inner = &cause_rows },
	{ .name = "victims", .type = FIELD_LIST, FIELD_EACH(incident, victims, victim_count), .inner = &cause_rows },
	{ .name = "changes", .type = FIELD_LIST, FIELD_EACH(incident, changes, change_count), .inner = &change_rows },
	{ .name = "parent", .type = FIELD_ID, .flags = FIELD_NULL, FIELD_AT(incident, parent) },
	{ .name = "reopened", .type = FIELD_UNSIGNED, .flags = FIELD_OMIT, FIELD_AT(incident, reopened) },
	{ .name = "flaps", .type = FIELD_UNSIGNED, .flags = FIELD_OMIT, FIELD_AT(incident, flaps) },
	{ .name = "flapping", .type = FIELD_BOOL, .flags = FIELD_OMIT, FIELD_AT(incident, flapping) },
};
static const struct field incident_tail[] = {
	{ .name = "action_ids", .type = FIELD_LIST, FIELD_EACH(incident, actions, action_count), .inner = &action_id_rows },
	{ .name = "history", .type = FIELD_LIST, FIELD_EACH(incident, history, history_count), .inner = &history_rows },
	{ .name = "before", .type = FIELD_OBJECT, FIELD_AT(incident, before), .inner = &before_rows },
	{ .name = "history_cut", .type = FIELD_UNSIGNED, .flags = FIELD_OMIT, FIELD_AT(incident, history_cut) },
	{ .name = "opened_boot_ns", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(incident, opened_boot_ns) },
	{ .name = "phase_boot_ns", .type = FIELD_U64, .flags = FIELD_OMIT, FIELD_AT(incident, phase_boot_ns) },
};
static const struct fields incident_head_rows = FIELDS(incident_head);
static const struct fields incident_tail_rows = FIELDS(incident_tail);

/* --- both ways ---------------------------------------------------------------------------------------------------------- */

static cJSON *begin(const char *schema)
{
	cJSON *json = cJSON_CreateObject();
	if (json && !cJSON_AddStringToObject(json, "schema", schema)) {
		cJSON_Delete(json);
		return NULL;
	}
	return json;
}

cJSON *action_to_json(const struct action *action)
{
	cJSON *json = begin("nodemend.action/1");
	if (json && fields_write(&action_rows, action, json) < 0) {
		cJSON_Delete(json);
		return NULL;
	}
	return json;
}

static const struct action *find_action(const struct action *actions, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (strncmp(actions[i].id, id, ID_LEN) == 0)
			return &actions[i];
	return NULL;
}

static int add_actions(cJSON *json, const struct incident *incident, const struct action *actions, size_t count)
{
	cJSON *list = cJSON_AddArrayToObject(json, "actions");
	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < incident->action_count && i < MAX_INCIDENT_ACTIONS; i++) {
		const struct action *action = find_action(actions, count, incident->actions[i]);
		if (!action)
			continue;
		cJSON *item = action_to_json(action);
		if (!item)
			return -ENOMEM;
		cJSON_AddItemToArray(list, item);
	}
	return 0;
}

cJSON *incident_to_json(const struct incident *incident, const struct action *actions, size_t action_count)
{
	cJSON *json = begin("nodemend.incident/1");
	if (!json)
		return NULL;
	if (fields_write(&incident_head_rows, incident, json) < 0 || add_actions(json, incident, actions, action_count) < 0 ||
	    fields_write(&incident_tail_rows, incident, json) < 0) {
		cJSON_Delete(json);
		return NULL;
	}
	return json;
}

static bool is_document(const cJSON *json, const char *schema)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, "schema");
	return cJSON_IsString(item) && strcmp(item->valuestring, schema) == 0;
}

int action_from_json(const cJSON *json, struct action *ret)
{
	struct action action = { 0 };
	if (!is_document(json, "nodemend.action/1") || fields_read(&action_rows, json, &action, NULL) < 0)
		return -EINVAL;
	*ret = action;
	return 0;
}

int incident_from_json(const cJSON *json, struct incident *ret)
{
	struct incident incident = { 0 };
	if (!is_document(json, "nodemend.incident/1") || fields_read(&incident_head_rows, json, &incident, NULL) < 0 ||
	    fields_read(&incident_tail_rows, json, &incident, NULL) < 0)
		return -EINVAL;
	*ret = incident;
	return 0;
}
