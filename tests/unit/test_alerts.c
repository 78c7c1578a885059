/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts as an Alertmanager gets them; tests/e2e/test_alertmanager.py asks a real one what it makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "push/alerts.h"
#include "push/parcel.h"
#include "tests/unit/notice_fixture.h"

#define MINUTE_NS (60 * NSEC_PER_SEC)

static struct alerts alerts;
static struct text out;

static int setup(void **state)
{
	alerts_init(&alerts, MINUTE_NS);
	return 0;
}

static int teardown(void **state)
{
	text_free(&out);
	return 0;
}

/* The batch that is due at `seconds`, parsed; an empty array where none is. */
static cJSON *batch_at(double seconds)
{
	uint64_t now_ns = (uint64_t)(seconds * 1e9);
	text_reset(&out);
	if (alerts_due(&alerts) <= now_ns)
		alerts_write(&alerts, now_ns, NOTICE_OPENED_NS + (int64_t)now_ns, &out);
	else
		text_string(&out, "[]");
	text_append(&out, "", 1);
	cJSON *batch = cJSON_Parse(out.data);
	assert_non_null(batch);
	return batch;
}

static void note(struct notice notice, double seconds)
{
	alerts_note(&alerts, &notice, (uint64_t)(seconds * 1e9), NOTICE_OPENED_NS + (int64_t)(seconds * 1e9));
}

static const char *get(const cJSON *alert, const char *group, const char *name)
{
	const char *value = cJSON_GetStringValue(cJSON_GetObjectItem(group ? cJSON_GetObjectItem(alert, group) : alert, name));
	return value ? value : "absent";
}

static void says_what_the_api_asks(void **state)
{
	note(make_notice("i1", INCIDENT_OPEN), 1);
	cJSON *batch = batch_at(1);
	assert_int_equal(cJSON_GetArraySize(batch), 1);
	const cJSON *alert = cJSON_GetArrayItem(batch, 0);
	assert_string_equal(get(alert, "labels", "alertname"), "NodemendDiskExhaustion");
	assert_string_equal(get(alert, "labels", "severity"), "critical");
	assert_string_equal(get(alert, "labels", "instance"), "n1");
	assert_string_equal(get(alert, "labels", "cluster"), "c1");
	assert_string_equal(get(alert, "labels", "mountpoint"), "/data");
	assert_string_equal(get(alert, "labels", "device"), "/dev/vdb");
	assert_string_equal(get(alert, "labels", "policy"), "data-fills");
	assert_string_equal(get(alert, "labels", "pid"), "absent");
	assert_string_equal(get(alert, "annotations", "incident"), "i1");
	assert_string_equal(get(alert, "annotations", "cause"), "dd (pid 4242) of app.service");
	assert_string_equal(get(alert, "annotations", "cause_share"), "0.97");
	assert_string_equal(get(alert, "annotations", "action"), "clean-files: fixed, 200 MiB freed in 1.2s");
	assert_string_equal(get(alert, NULL, "generatorURL"), "http://127.0.0.1:9847/v1/incidents/i1");
	assert_string_equal(get(alert, NULL, "startsAt"), "2026-11-24T01:52:45.123Z");
	assert_string_equal(get(alert, NULL, "endsAt"), "2026-11-24T01:56:46.123Z"); /* 1 s later, and four resends */
	cJSON_Delete(batch);
}

static void is_resent_while_it_fires(void **state)
{
	note(make_notice("i1", INCIDENT_OPEN), 1);
	cJSON_Delete(batch_at(1));
	cJSON *early = batch_at(60.9), *batch = batch_at(61);
	assert_int_equal(cJSON_GetArraySize(early), 0);
	assert_int_equal(cJSON_GetArraySize(batch), 1);
	assert_string_equal(get(cJSON_GetArrayItem(batch, 0), NULL, "endsAt"), "2026-11-24T01:57:46.123Z");
	cJSON_Delete(early);
	cJSON_Delete(batch);
}

static void a_resolved_one_is_said_for_a_while(void **state)
{
	note(make_notice("i1", INCIDENT_OPEN), 1);
	cJSON_Delete(batch_at(1));
	note(make_notice("i1", INCIDENT_RESOLVED), 5);
	for (int second = 5; second < 5 + 15 * 60; second += 60) {
		cJSON *batch = batch_at(second);
		assert_string_equal(get(cJSON_GetArrayItem(batch, 0), NULL, "endsAt"), "2026-11-24T01:52:50.123Z");
		cJSON_Delete(batch);
	}
	cJSON_Delete(batch_at(5 + 15 * 60));
	assert_int_equal(alerts.count, 0);
	assert_true(alerts_due(&alerts) == UINT64_MAX);
}

static void another_severity_is_another_alert(void **state)
{
	struct notice notice = make_notice("i1", INCIDENT_OPEN);
	note(notice, 1);
	cJSON_Delete(batch_at(1));
	notice.severity = SEVERITY_EMERGENCY;
	note(notice, 3);
	cJSON *batch = batch_at(3);
	assert_int_equal(cJSON_GetArraySize(batch), 2);
	assert_string_equal(get(cJSON_GetArrayItem(batch, 0), "labels", "severity"), "critical");
	assert_string_equal(get(cJSON_GetArrayItem(batch, 0), NULL, "endsAt"), "2026-11-24T01:52:48.123Z");
	assert_string_equal(get(cJSON_GetArrayItem(batch, 1), "labels", "severity"), "emergency");
	assert_string_equal(get(cJSON_GetArrayItem(batch, 1), NULL, "endsAt"), "2026-11-24T01:56:48.123Z");
	cJSON_Delete(batch);
}

/* The labels of a later incident are those of the one before it: an end that is still repeated must not end the new one. */
static void a_later_incident_takes_the_labels_over(void **state)
{
	struct notice later = make_notice("i2", INCIDENT_OPEN);
	later.opened_wall_ns += 20 * (int64_t)NSEC_PER_SEC;
	note(make_notice("i1", INCIDENT_OPEN), 1);
	note(make_notice("i1", INCIDENT_RESOLVED), 5);
	note(later, 20);
	note(make_notice("i1", INCIDENT_RESOLVED), 21); /* said again, as to a sender that starts */
	cJSON *batch = batch_at(22);
	assert_int_equal(cJSON_GetArraySize(batch), 1);
	assert_string_equal(get(cJSON_GetArrayItem(batch, 0), "annotations", "incident"), "i2");
	assert_string_equal(get(cJSON_GetArrayItem(batch, 0), NULL, "endsAt"), "2026-11-24T01:57:07.123Z");
	cJSON_Delete(batch);
}

static void what_ended_long_ago_is_not_said(void **state)
{
	note(make_notice("i1", INCIDENT_RESOLVED), 5 + 15 * 60 + 1);
	assert_int_equal(alerts.count, 0);
}

static void a_burst_is_one_batch(void **state)
{
	note(make_notice("i1", INCIDENT_OPEN), 1);
	cJSON_Delete(batch_at(1));
	note(make_notice("i1", INCIDENT_MENDING), 1.1);
	note(make_notice("i1", INCIDENT_OPEN), 1.2);
	cJSON *early = batch_at(1.9), *batch = batch_at(2);
	assert_int_equal(cJSON_GetArraySize(early), 0);
	assert_int_equal(cJSON_GetArraySize(batch), 1);
	cJSON_Delete(early);
	cJSON_Delete(batch);
}

static void a_full_table_lets_resolved_ones_go_first(void **state)
{
	char id[ID_LEN];
	struct notice notice = make_notice("i", INCIDENT_RESOLVED);
	strcpy(notice.resource, "/old");
	note(notice, 1);
	for (int i = 0; i < ALERTS_MAX + 1; i++) {
		notice = make_notice("i", INCIDENT_OPEN);
		snprintf(id, sizeof(id), "i%d", i);
		strcpy(notice.id, id);
		snprintf(notice.resource, sizeof(notice.resource), "%04d", i);
		memset(notice.cause, '"', sizeof(notice.cause) - 1); /* as long as they come, and each byte escaped */
		memset(notice.evidence, '"', sizeof(notice.evidence) - 1);
		memset(notice.action, '"', sizeof(notice.action) - 1);
		memset(notice.why, '"', sizeof(notice.why) - 1);
		memset(notice.policy, '"', sizeof(notice.policy) - 1);
		memset(notice.device, '"', sizeof(notice.device) - 1);
		memset(notice.metric, '"', sizeof(notice.metric) - 1);
		memset(notice.resource + 4, '"', sizeof(notice.resource) - 5);
		notice.severity = i == 0 ? SEVERITY_EMERGENCY : SEVERITY_WARNING;
		note(notice, 2);
	}
	assert_int_equal(alerts.count, ALERTS_MAX);
	assert_int_equal(alerts.lost, 2);
	bool emergency = false;
	for (uint32_t i = 0; i < alerts.count; i++) {
		emergency |= alerts.each[i].notice.severity == SEVERITY_EMERGENCY;
		assert_string_not_equal(alerts.each[i].notice.resource, "/old");
	}
	assert_true(emergency);
	cJSON_Delete(batch_at(3));
	assert_true(out.length < PARCEL_MAX);
}

static void a_clock_set_back_ends_nothing_before_it_began(void **state)
{
	struct notice notice = make_notice("i1", INCIDENT_RESOLVED);
	notice.resolved_wall_ns = notice.opened_wall_ns - 1000000000;
	note(notice, 1);
	cJSON *batch = batch_at(1);
	assert_string_equal(get(cJSON_GetArrayItem(batch, 0), NULL, "endsAt"), get(cJSON_GetArrayItem(batch, 0), NULL, "startsAt"));
	cJSON_Delete(batch);
}

static void hostile_names_stay_values(void **state)
{
	struct incident incident;
	struct notice notice;
	fill_told_incident(&incident, "i1", INCIDENT_OPEN);
	make_hostile(&incident);
	notice_make(&notice_home, &incident, NULL, &notice);
	note(notice, 1);
	cJSON *batch = batch_at(1);
	const cJSON *labels = cJSON_GetObjectItem(cJSON_GetArrayItem(batch, 0), "labels"), *label;
	cJSON_ArrayForEach(label, labels)
		assert_null(strpbrk(label->valuestring, "\r\n\x1b"));
	assert_int_equal(cJSON_GetArraySize(labels), 7);
	cJSON_Delete(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_what_the_api_asks, setup, teardown),
		cmocka_unit_test_setup_teardown(is_resent_while_it_fires, setup, teardown),
		cmocka_unit_test_setup_teardown(a_resolved_one_is_said_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(another_severity_is_another_alert, setup, teardown),
		cmocka_unit_test_setup_teardown(a_later_incident_takes_the_labels_over, setup, teardown),
		cmocka_unit_test_setup_teardown(what_ended_long_ago_is_not_said, setup, teardown),
		cmocka_unit_test_setup_teardown(a_burst_is_one_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_table_lets_resolved_ones_go_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_set_back_ends_nothing_before_it_began, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_names_stay_values, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
