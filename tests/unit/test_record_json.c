/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents and actions as documents: the shape others rely on, the way back, and names that try to break either. */
#include "tests/unit/keep_fixture.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>

#include "keep/document.h"

enum { ROUNDS = 300 };

/* Doubles may lose their last bit on the way through text; everything else comes back as it was. */
static void same_incident(const struct incident *a, struct incident *b)
{
	assert_true(fabs(a->signal.value - b->signal.value) < 1e-9 && fabs(a->signal.threshold - b->signal.threshold) < 1e-9);
	b->signal.value = a->signal.value;
	b->signal.threshold = a->signal.threshold;
	assert_memory_equal(a, b, sizeof(*a));
}

static cJSON *through_text(cJSON *json)
{
	assert_non_null(json);
	char *text = cJSON_PrintUnformatted(json);
	assert_non_null(text);
	assert_null(strchr(text, '\n'));
	cJSON *again = cJSON_Parse(text);
	assert_non_null(again);
	cJSON_free(text);
	cJSON_Delete(json);
	return again;
}

static void actions_come_back(void **state)
{
	uint64_t seed = 42;
	static struct action from, to;
	for (int i = 0; i < ROUNDS; i++) {
		memset(&from, 0, sizeof(from));
		draw_action(&seed, &from);
		cJSON *json = through_text(action_to_json(&from));
		memset(&to, 0xff, sizeof(to));
		assert_int_equal(action_from_json(json, &to), 0);
		cJSON_Delete(json);
		/* freed_bytes above 2^50 are not exact in a document's number; draw_amount stays below. */
		assert_memory_equal(&from, &to, sizeof(from));
	}
}

static void incidents_come_back(void **state)
{
	uint64_t seed = 7;
	static struct incident from, to;
	for (int i = 0; i < ROUNDS; i++) {
		memset(&from, 0, sizeof(from));
		draw_incident(&seed, &from);
		cJSON *json = through_text(incident_to_json(&from, NULL, 0));
		assert_int_equal(incident_from_json(json, &to), 0);
		cJSON_Delete(json);
		same_incident(&from, &to);
	}
}

static void assert_text(const cJSON *json, const char *name, const char *expected)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
	assert_true(cJSON_IsString(item));
	assert_string_equal(item->valuestring, expected);
}

static void assert_number(const cJSON *json, const char *name, double expected)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
	assert_true(cJSON_IsNumber(item) && fabs(item->valuedouble - expected) < 1e-9);
}

static const cJSON *member(const cJSON *json, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(json, name);
}

static void incident_has_the_promised_shape(void **state)
{
	static struct incident incident;
	static struct action actions[2];
	incident = (struct incident){ .id = "i6923-1", .kind = KIND_DISK_EXHAUSTION, .severity = SEVERITY_CRITICAL, .state = INCIDENT_MENDING,
		.opened_wall_ns = 1763892000250000000, .resource = { .type = TARGET_FILESYSTEM, .name = "/data", .device = "/dev/vdb" },
		.signal = { "nodemend_filesystem_used_percent", 93, 90, 412 * NSEC_PER_SEC, 900 },
		.cause_count = 1, .causes = { { .rank = 1, .pid = 4242, .comm = "dd", .share_permille = 970 } },
		.action_count = 2, .actions = { "a-1", "a-2" } };
	plain_action(&actions[0], 0, OUTCOME_FIXED);
	strcpy(actions[0].id, "a-2");
	cJSON *json = through_text(incident_to_json(&incident, actions, 1));

	assert_text(json, "schema", "nodemend.incident/1");
	assert_text(json, "kind", "disk_exhaustion");
	assert_text(json, "severity", "critical");
	assert_text(json, "state", "mending");
	assert_text(json, "opened", "2025-11-23T10:00:00.250Z");
	assert_true(cJSON_IsNull(member(json, "resolved")));
	assert_text(member(json, "resource"), "type", "filesystem");
	assert_text(member(json, "resource"), "mountpoint", "/data");
	assert_text(member(json, "resource"), "device", "/dev/vdb");
	assert_number(member(json, "signal"), "exhausted_in_seconds", 412);
	assert_number(member(json, "signal"), "confidence", 0.9);
	const cJSON *cause = cJSON_GetArrayItem(member(json, "causes"), 0);
	assert_number(cause, "share", 0.97);
	assert_number(cause, "pid", 4242);
	assert_null(member(cause, "unit")); /* unknown is absent */
	assert_int_equal(cJSON_GetArraySize(member(json, "actions")), 1);
	assert_text(cJSON_GetArrayItem(member(json, "actions"), 0), "schema", "nodemend.action/1");
	cJSON_Delete(json);

	incident.signal.exhausted_in_ns = UNKNOWN;
	json = incident_to_json(&incident, NULL, 0);
	assert_null(member(member(json, "signal"), "exhausted_in_seconds"));
	assert_int_equal(cJSON_GetArraySize(member(json, "actions")), 0);
	cJSON_Delete(json);
}

static void intent_has_null_outcome(void **state)
{
	static struct action action;
	plain_action(&action, 1, OUTCOME_NONE);
	action.expected.freed_bytes = 209715200;
	action.expected.within_ns = 5 * NSEC_PER_SEC;
	cJSON *json = action_to_json(&action);
	assert_true(cJSON_IsNull(member(json, "outcome")));
	assert_true(cJSON_IsNull(member(json, "refused_by")));
	assert_true(cJSON_IsNull(member(json, "ended")));
	assert_number(member(json, "expected"), "freed_bytes", 209715200);
	assert_number(member(json, "expected"), "within_seconds", 5);
	assert_int_equal(cJSON_GetArraySize(member(json, "observed")), 0);
	char *text = cJSON_PrintUnformatted(json);
	assert_non_null(strstr(text, "\"freed_bytes\":209715200,"));
	cJSON_free(text);
	cJSON_Delete(json);
}

static bool is_clean(const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		if (*at < ' ' || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0))
			return false;
	char again[8192];
	return !text_clean(text, strlen(text) + 1, again);
}

static void assert_prints_clean(const cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);
	assert_true(is_clean(text));
	cJSON_free(text);
}

/* A comm may be any bytes. The document is valid UTF-8 without control codes, can be read, and a key keeps its bytes. */
static void hostile_names_survive(void **state)
{
	static const char *const names[] = { "\xff\xfe\xfd\xff\xfe\xfd\xff\xfe\xfd\xff\xfe\xfd\xff\xfe\xfd", "\x1b[2J\x07\x7f", "\xc0\xaf\xe0\x80\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "a\xc2", "\xc2\x9b[31m", "\",\"outcome\":\"x", "\xe2\x82" };
	static struct incident incident, back;
	static struct action action, action_back;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		plain_action(&action, 1, OUTCOME_FIXED);
		action.target = (struct target){ .type = TARGET_PROCESS, .pid = 7 };
		snprintf(action.target.name, sizeof(action.target.name), "%s", names[i]);
		cJSON *json = action_to_json(&action);
		assert_prints_clean(json);
		json = through_text(json);
		assert_int_equal(action_from_json(json, &action_back), 0);
		assert_string_equal(action_back.target.name, names[i]); /* exactly: cooldowns are counted by it */
		cJSON_Delete(json);

		incident = (struct incident){ .id = "i-1", .cause_count = 1 };
		snprintf(incident.causes[0].comm, sizeof(incident.causes[0].comm), "%s", names[i]);
		json = through_text(incident_to_json(&incident, NULL, 0));
		assert_int_equal(incident_from_json(json, &back), 0); /* three times as long now, cut and not refused */
		assert_true(strlen(back.causes[0].comm) < COMM_LEN);
		assert_prints_clean(json);
		cJSON_Delete(json);
	}
}

static void cut_only_between_characters(void **state)
{
	char to[6];
	text_copy(to, sizeof(to), "abcd\xe2\x82\xac");
	assert_string_equal(to, "abcd");
	text_copy(to, sizeof(to), "ab\xe2\x82\xac");
	assert_string_equal(to, "ab\xe2\x82\xac");
}

static void malformed_is_refused(void **state)
{
	static const char *const wrong[] = {
		"[]", "7", "{}", "{\"schema\":\"nodemend.action/2\"}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a b\"}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"always\"}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"shadow\",\"target\":{\"type\":\"moon\"}}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"shadow\",\"target\":{\"type\":\"process\",\"pid\":1.5},\"expected\":{},\"observed\":{}}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"shadow\",\"target\":{\"type\":\"node\"},\"expected\":{\"exited\":-1},\"observed\":{}}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"shadow\",\"target\":{\"type\":\"node\"},\"expected\":{},\"observed\":{},\"started\":\"soon\"}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"shadow\",\"target\":{\"type\":\"node\"},\"expected\":{},\"observed\":{},"
		"\"plan\":[1,2]}",
		"{\"schema\":\"nodemend.action/1\",\"id\":\"a\",\"remedy\":\"x\",\"mode\":\"shadow\",\"target\":{\"type\":\"node\"},\"expected\":{},\"observed\":{},"
		"\"plan\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}",
	};
	static struct action action, before;
	memset(&before, 0x5a, sizeof(before));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		action = before;
		cJSON *json = cJSON_Parse(wrong[i]);
		assert_non_null(json);
		assert_int_equal(action_from_json(json, &action), -EINVAL);
		assert_memory_equal(&action, &before, sizeof(action)); /* untouched */
		cJSON_Delete(json);
	}
	assert_int_equal(action_from_json(NULL, &action), -EINVAL);
	assert_int_equal(incident_from_json(NULL, NULL), -EINVAL);
}

/* What is not a number is not said, and a count beyond the array is not believed. */
static void bad_structs_do_no_harm(void **state)
{
	static struct incident incident;
	incident = (struct incident){ .id = "i-1", .signal = { .value = NAN, .threshold = INFINITY, .exhausted_in_ns = UNKNOWN } };
	incident.cause_count = incident.action_count = incident.history_count = 4000000000;
	memset(incident.causes[0].evidence, 'x', EVIDENCE_LEN); /* no end */
	cJSON *json = through_text(incident_to_json(&incident, NULL, 0));
	assert_null(member(member(json, "signal"), "value"));
	assert_null(member(member(json, "signal"), "threshold"));
	assert_int_equal(cJSON_GetArraySize(member(json, "causes")), MAX_CAUSES);
	assert_int_equal(cJSON_GetArraySize(member(json, "history")), MAX_INCIDENT_HISTORY);
	assert_int_equal(strlen(cJSON_GetStringValue(member(cJSON_GetArrayItem(member(json, "causes"), 0), "evidence"))), EVIDENCE_LEN);
	cJSON_Delete(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(actions_come_back),
		cmocka_unit_test(incidents_come_back),
		cmocka_unit_test(incident_has_the_promised_shape),
		cmocka_unit_test(intent_has_null_outcome),
		cmocka_unit_test(hostile_names_survive),
		cmocka_unit_test(cut_only_between_characters),
		cmocka_unit_test(malformed_is_refused),
		cmocka_unit_test(bad_structs_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
