/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON feed and the lists of records. With an argument it prints a document instead, for tests/unit/test_formats.py to hold
 * against its schema: metrics, incident, incidents, action or actions.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "publish/event_json.h"
#include "publish/metric.h"
#include "publish/publish.h"
#include "publish/records.h"
#include "tests/unit/full_snapshot.h"
#include "tests/unit/notice_fixture.h"

#define OPENED_NS 1795485165000000000

struct fixture {
	struct snapshot *snap;
	struct shown *shown;
	struct records *records;
	struct incident *incident;
	struct action *action;
	struct publisher_counters counters;
	struct text out;
};

static void fill_incident(struct incident *incident, const char *id, int64_t opened_ns, enum incident_state state)
{
	fill_told_incident(incident, id, state);
	incident->opened_wall_ns = incident->history[0].wall_ns = opened_ns;
	incident->resolved_wall_ns = state == INCIDENT_RESOLVED ? opened_ns + 5000000000 : 0;
	strcpy(incident->resource.name, "/data \"actions\":[");
	strcpy(incident->resource.device, "/dev/loop0");
	strcpy(incident->causes[0].comm, HOSTILE_COMM);
	strcpy(incident->causes[0].cgroup, "/x");
	incident->causes[0].unit[0] = 0;
	strcpy(incident->causes[0].evidence, "wrote \"most\" of it");
	incident->action_count = 2;
	snprintf(incident->actions[0], ID_LEN, "a1");
	snprintf(incident->actions[1], ID_LEN, "forgotten");
}

static void fill_action(struct action *action, const char *id, int64_t started_ns, enum outcome outcome)
{
	*action = (struct action){ .mode = MODE_ENFORCE, .started_wall_ns = started_ns, .ended_wall_ns = outcome ? started_ns + 2000000000 : 0, .outcome = outcome };
	snprintf(action->id, sizeof(action->id), "%s", id);
	strcpy(action->incident, "i1");
	strcpy(action->policy, "data-fills");
	strcpy(action->remedy, "clean-files");
	action->target.type = TARGET_FILESYSTEM;
	strcpy(action->target.name, "/data");
	action->plan_count = 1;
	strcpy(action->plan[0], "unlink \"/data/app.log.1\"");
	effect_clear(&action->expected);
	effect_clear(&action->observed);
	action->expected.freed_bytes = 209715200;
	action->expected.within_ns = 5000000000;
	action->observed.freed_bytes = 209715200;
	action->step_count = 1;
	action->steps[0] = (struct action_step){ .started_wall_ns = started_ns, .ended_wall_ns = started_ns + 1, .ok = true };
	strcpy(action->steps[0].name, "unlink");
}

static int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->snap = empty_snapshot();
	fixture->shown = calloc(1, sizeof(*fixture->shown));
	fixture->records = calloc(1, sizeof(*fixture->records));
	fixture->incident = calloc(1, sizeof(*fixture->incident));
	fixture->action = calloc(1, sizeof(*fixture->action));
	fill_snapshot(fixture->snap, 42, FULL_SNAPSHOT_BOOT_NS, 40, 100);
	shown_choose(fixture->shown, fixture->snap, 10);
	*state = fixture;
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;
	records_free(fixture->records);
	munmap(fixture->snap, sizeof(*fixture->snap));
	free(fixture->shown);
	free(fixture->records);
	free(fixture->incident);
	free(fixture->action);
	text_free(&fixture->out);
	free(fixture);
	return 0;
}

static const char *text_of(struct fixture *fixture)
{
	text_append(&fixture->out, "", 1);
	assert_false(fixture->out.failed);
	return fixture->out.data;
}

static const char *feed(struct fixture *fixture)
{
	struct metric_context context = { .snap = fixture->snap, .now_ns = FULL_SNAPSHOT_BOOT_NS, .shown = fixture->shown,
					  .records = fixture->records, .counters = &fixture->counters };
	text_reset(&fixture->out);
	metrics_write(&json_writer, &context, 0, &fixture->out);
	return text_of(fixture);
}

static const cJSON *family(const cJSON *document, const char *name)
{
	const cJSON *metric;
	cJSON_ArrayForEach(metric, cJSON_GetObjectItemCaseSensitive(document, "metrics"))
		if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(metric, "name")), name) == 0)
			return metric;
	fail_msg("no family %s", name);
	return NULL;
}

static double number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	assert_true(cJSON_IsNumber(item));
	return item->valuedouble;
}

static void the_feed_says_what_the_page_says(void **state)
{
	const char *text = feed(*state);
	assert_null(strchr(text, '\n')); /* one line: the streams and metrics.json rely on it */
	cJSON *document = cJSON_Parse(text);
	assert_non_null(document);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(document, "schema")), "nodemend.metrics/1");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(document, "node")), "n\"1");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(document, "time")), "2026-11-24T01:52:45.500Z");
	assert_true(number(document, "seq") == 42);
	assert_true(number(document, "interval_seconds") == 1);

	const cJSON *metric = family(document, "nodemend_syscall_latency_seconds");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(metric, "type")), "histogram");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(metric, "unit")), "seconds");
	const cJSON *sample = cJSON_GetArrayItem(cJSON_GetObjectItem(metric, "samples"), 0);
	const cJSON *buckets = cJSON_GetObjectItem(sample, "buckets");
	assert_true(number(sample, "count") == 12 && number(sample, "sum") == 0.004);
	assert_int_equal(cJSON_GetArraySize(buckets), HISTOGRAM_CLASSIC);
	assert_true(cJSON_GetArrayItem(cJSON_GetArrayItem(buckets, 1), 0)->valuedouble == 0x1p-21);
	assert_true(cJSON_GetArrayItem(cJSON_GetArrayItem(buckets, 1), 1)->valuedouble == 9);

	metric = family(document, "nodemend_process_resident_bytes");
	sample = cJSON_GetArrayItem(cJSON_GetObjectItem(metric, "samples"), 0);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(sample, "labels"), "comm")), "a\"b\\c\n\xef\xbf\xbd[2J\xef\xbf\xbd");
	cJSON_Delete(document);
}

static void put_incident(struct fixture *fixture, const char *id, int64_t opened_ns, enum incident_state state)
{
	fill_incident(fixture->incident, id, opened_ns, state);
	assert_non_null(records_put_incident(fixture->records, fixture->incident));
}

static void put_action(struct fixture *fixture, const char *id, int64_t started_ns, enum outcome outcome)
{
	fill_action(fixture->action, id, started_ns, outcome);
	assert_non_null(records_put_action(fixture->records, fixture->action));
}

static cJSON *incidents(struct fixture *fixture, const struct records_query *query)
{
	text_reset(&fixture->out);
	records_write_incidents(fixture->records, query, &fixture->out);
	cJSON *document = cJSON_Parse(text_of(fixture));
	assert_non_null(document);
	return document;
}

static const char *id_at(const cJSON *document, const char *list, int index)
{
	return cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(document, list), index), "id"));
}

static void an_incident_holds_the_actions_in_memory(void **state)
{
	struct fixture *fixture = *state;
	put_incident(fixture, "i1", OPENED_NS, INCIDENT_OPEN);
	put_action(fixture, "a1", OPENED_NS, OUTCOME_NONE);
	put_action(fixture, "a1", OPENED_NS, OUTCOME_FIXED); /* replaces */
	put_action(fixture, "a2", OPENED_NS, OUTCOME_FIXED); /* another incident's */
	assert_int_equal(fixture->records->action_count, 2);

	cJSON *document = incidents(fixture, &(struct records_query){ .since_ns = INT64_MIN, .limit = 10 });
	const cJSON *incident = cJSON_GetArrayItem(cJSON_GetObjectItem(document, "incidents"), 0);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(incident, "actions")), 1);
	const cJSON *action = cJSON_GetArrayItem(cJSON_GetObjectItem(incident, "actions"), 0);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(action, "outcome")), "fixed");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(incident, "resource"), "mountpoint")), "/data \"actions\":[");
	cJSON_Delete(document);
}

static void queries_choose_and_order(void **state)
{
	struct fixture *fixture = *state;
	put_incident(fixture, "newest", OPENED_NS + 60000000000, INCIDENT_OPEN);
	put_incident(fixture, "old-resolved", OPENED_NS, INCIDENT_RESOLVED);
	put_incident(fixture, "old-open", OPENED_NS + 1, INCIDENT_NEEDS_HUMAN);

	cJSON *all = incidents(fixture, &(struct records_query){ .since_ns = INT64_MIN, .limit = 10 });
	assert_string_equal(id_at(all, "incidents", 0), "newest");
	assert_string_equal(id_at(all, "incidents", 1), "old-open");
	assert_string_equal(id_at(all, "incidents", 2), "old-resolved");
	cJSON *one = incidents(fixture, &(struct records_query){ .since_ns = INT64_MIN, .limit = 1 });
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(one, "incidents")), 1);
	/* What is still open concerns every since. */
	cJSON *since = incidents(fixture, &(struct records_query){ .since_ns = OPENED_NS + 30000000000, .limit = 10 });
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(since, "incidents")), 2);
	cJSON *human = incidents(fixture, &(struct records_query){ .since_ns = INT64_MIN, .has_state = true, .state = INCIDENT_NEEDS_HUMAN, .limit = 10 });
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(human, "incidents")), 1);
	assert_string_equal(id_at(human, "incidents", 0), "old-open");
	cJSON_Delete(all);
	cJSON_Delete(one);
	cJSON_Delete(since);
	cJSON_Delete(human);
}

static void memory_is_bounded_and_open_ones_stay(void **state)
{
	struct fixture *fixture = *state;
	char id[ID_LEN];
	put_incident(fixture, "first", OPENED_NS, INCIDENT_OPEN);
	for (int i = 0; i < RECORDS_INCIDENTS + 10; i++) {
		snprintf(id, sizeof(id), "i%d", i);
		put_incident(fixture, id, OPENED_NS + 1 + i, INCIDENT_RESOLVED);
	}
	assert_int_equal(fixture->records->incident_count, RECORDS_INCIDENTS);
	assert_int_equal(fixture->records->incidents_dropped, 11);
	assert_non_null(records_incident(fixture->records, "first"));
	assert_null(records_incident(fixture->records, "i10"));
	assert_non_null(records_incident(fixture->records, "i11"));

	for (int i = 0; i < RECORDS_ACTIONS + 5; i++) {
		snprintf(id, sizeof(id), "a%d", i);
		put_action(fixture, id, OPENED_NS + i, OUTCOME_FIXED);
	}
	assert_int_equal(fixture->records->action_count, RECORDS_ACTIONS);
	assert_int_equal(fixture->records->actions_dropped, 5);
	assert_string_equal(fixture->records->actions[0].id, "a5");
}

static void since_takes_times_and_durations(void **state)
{
	const int64_t now = OPENED_NS;
	int64_t ns;
	assert_int_equal(since_parse("2026-11-24T02:12:45Z", now, &ns), 0);
	assert_true(ns == 1795486365000000000);
	assert_int_equal(since_parse("1795485165", now, &ns), 0);
	assert_true(ns == 1795485165000000000);
	assert_int_equal(since_parse("1795485165.25", now, &ns), 0);
	assert_true(ns == 1795485165250000000);
	assert_int_equal(since_parse("24h", now, &ns), 0);
	assert_true(ns == now - 86400000000000);
	assert_int_equal(since_parse("90s", now, &ns), 0);
	assert_true(ns == now - 90000000000);
	static const char *const bad[] = { "", "x", "-1", "1y", " 1h", "1h ", "99999999999999999999", "99999999999d", "2026-11-24", "+5s" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(since_parse(bad[i], now, &ns), -EINVAL);
}

static int print(const char *what)
{
	void *state;
	open_fixture(&state);
	struct fixture *fixture = state;
	struct records_query all = { .since_ns = INT64_MIN, .limit = 100 };
	put_action(fixture, "a1", OPENED_NS, OUTCOME_FIXED);
	put_action(fixture, "a2", OPENED_NS + 1, OUTCOME_NONE);
	put_incident(fixture, "i2", OPENED_NS - 5, INCIDENT_RESOLVED);
	put_incident(fixture, "i1", OPENED_NS, INCIDENT_MENDING);

	if (strcmp(what, "metrics") == 0)
		feed(fixture);
	else if (strcmp(what, "incident") == 0)
		records_write_incident(fixture->records, records_incident(fixture->records, "i1"), &fixture->out);
	else if (strcmp(what, "incidents") == 0)
		records_write_incidents(fixture->records, &all, &fixture->out);
	else if (strcmp(what, "events") == 0)
		events_write(fixture->snap, &(struct event_query){ .since_ns = INT64_MIN, .limit = MAX_EVENTS }, &fixture->out);
	else if (strcmp(what, "action") == 0)
		text_append(&fixture->out, fixture->records->actions[0].json, fixture->records->actions[0].length);
	else
		records_write_actions(fixture->records, &all, &fixture->out);
	puts(text_of(fixture));
	close_fixture(&state);
	return 0;
}

static cJSON *events(struct fixture *fixture, const struct event_query *query)
{
	text_reset(&fixture->out);
	events_write(fixture->snap, query, &fixture->out);
	cJSON *document = cJSON_Parse(text_of(fixture));
	assert_non_null(document);
	return document;
}

static double seq_at(const cJSON *document, int index)
{
	return number(cJSON_GetArrayItem(cJSON_GetObjectItem(document, "events"), index), "seq");
}

static void events_are_chosen_newest_first(void **state)
{
	struct fixture *fixture = *state;
	struct event_query query = { .since_ns = INT64_MIN, .limit = 100 };
	cJSON *document = events(fixture, &query);
	const cJSON *list = cJSON_GetObjectItem(document, "events"), *killed = cJSON_GetArrayItem(list, 0);

	assert_int_equal(cJSON_GetArraySize(list), EVENT_KIND_COUNT);
	assert_true(number(document, "last") == EVENT_KIND_COUNT && seq_at(document, 0) == EVENT_KIND_COUNT && seq_at(document, 4) == 1);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(killed, "signal")), "SIGKILL");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(killed, "killer")), "operator");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(killed, "cgroup")), "/system.slice/app.service");
	cJSON_Delete(document);

	query = (struct event_query){ .since_ns = INT64_MIN, .limit = 100, .has_kind = true, .kind = EVENT_SLOW_CALL };
	document = events(fixture, &query);
	const cJSON *slow = cJSON_GetArrayItem(cJSON_GetObjectItem(document, "events"), 0);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(document, "events")), 1);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(slow, "syscall")), "fsync");
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(slow, "errno")), "EIO");
	assert_true(number(slow, "seconds") == 2.5);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(slow, "time")), "2026-11-24T01:52:40.500Z");
	cJSON_Delete(document);

	query = (struct event_query){ .since_ns = INT64_MIN, .limit = 2, .after = 2 };
	document = events(fixture, &query);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(document, "events")), 2);
	assert_true(seq_at(document, 1) == 4);
	cJSON_Delete(document);
	query = (struct event_query){ .since_ns = fixture->snap->wall_ns - 2 * (int64_t)NSEC_PER_SEC, .limit = 100 };
	document = events(fixture, &query);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(document, "events")), 2);
	cJSON_Delete(document);
}

/* The ring comes round: the newest are there, and the gap is visible. */
static void old_events_fall_off(void **state)
{
	struct fixture *fixture = *state;
	struct event_query query = { .since_ns = INT64_MIN, .limit = MAX_EVENTS };

	for (int i = 0; i < MAX_EVENTS; i++)
		event_add(&fixture->snap->events, EVENT_USAGE)->at_ns = fixture->snap->boot_ns;
	cJSON *document = events(fixture, &query);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(document, "events")), MAX_EVENTS);
	assert_true(number(document, "last") == MAX_EVENTS + EVENT_KIND_COUNT && seq_at(document, MAX_EVENTS - 1) == EVENT_KIND_COUNT + 1);
	cJSON_Delete(document);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(int argc, char **argv)
{
	if (argc > 1)
		return print(argv[1]);

	const struct CMUnitTest tests[] = {
		TEST(the_feed_says_what_the_page_says),
		TEST(an_incident_holds_the_actions_in_memory),
		TEST(queries_choose_and_order),
		TEST(memory_is_bounded_and_open_ones_stay),
		TEST(events_are_chosen_newest_first),
		TEST(old_events_fall_off),
		cmocka_unit_test(since_takes_times_and_durations),
	};
	return cmocka_run_group_tests_name("json_feed", tests, NULL, NULL);
}
