/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incidents and actions as OTLP logs and traces, unpacked again by protobuf-c: golden facts, ids that stay, who is whose child; and the
 * file that remembers what was told.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "otlp.pb-c.h"
#include "push/otlp_id.h"
#include "push/otlp_logs.h"
#include "push/otlp_news.h"
#include "push/otlp_traces.h"

enum { ITEMS_MAX = 32 };
#define SECOND 1000000000LL
#define OPENED (1795485165 * SECOND)

struct fixture {
	struct incident incident;
	struct action action;
	struct otlp_node node;
	struct otlp_resource resource;
	struct otlp_records records;
	Otlp__Envelope *request;
	uint32_t count;
	Otlp__LogRecord *logs[ITEMS_MAX];
	Otlp__Span *spans[ITEMS_MAX];
};

static void fill_incident(struct incident *incident)
{
	*incident = (struct incident){
		.id = "i6b04f1ad-1", .policy = "data-fills", .kind = KIND_DISK_EXHAUSTION, .severity = SEVERITY_CRITICAL,
		.state = INCIDENT_RESOLVED, .opened_wall_ns = OPENED, .resolved_wall_ns = OPENED + 30 * SECOND,
		.resource = { .type = TARGET_FILESYSTEM, .name = "/data\xff", .device = "/dev/vdb" },
		.signal = { .metric = "node_filesystem_avail_bytes", .value = 0.93, .threshold = 0.9, .exhausted_in_ns = 412 * NSEC_PER_SEC },
		.cause_count = 2,
		.causes = { { .rank = 1, .pid = 4242, .comm = "dd", .cgroup = "/user.slice", .share_permille = 973 },
			    { .rank = 2, .share_permille = 20 } },
		.history_count = 3,
		.history = { { OPENED, INCIDENT_OPEN, "it fills" }, { OPENED + SECOND, INCIDENT_MENDING, "policy data-fills: clean-files" },
			     { OPENED + 30 * SECOND, INCIDENT_RESOLVED, "it is below" } },
	};
}

static void fill_action(struct action *action)
{
	*action = (struct action){
		.id = "a6b04f1ad-7", .incident = "i6b04f1ad-1", .policy = "data-fills", .remedy = "clean-files", .mode = MODE_ENFORCE,
		.target = { .type = TARGET_FILESYSTEM, .name = "/data" }, .plan_count = 2, .plan = { "delete /data/a", "delete /data/b" },
		.started_wall_ns = OPENED + SECOND, .ended_wall_ns = OPENED + 20 * SECOND, .outcome = OUTCOME_FIXED, .step_count = 2,
		.steps = { { .name = "find", .started_wall_ns = OPENED + SECOND, .ended_wall_ns = OPENED + 2 * SECOND, .ok = true },
			   { .name = "delete", .started_wall_ns = OPENED + 2 * SECOND, .ended_wall_ns = OPENED + 5 * SECOND, .detail = "one was in use" } },
	};
	effect_clear(&action->expected);
	effect_clear(&action->observed);
	action->expected.freed_bytes = 209715200;
	action->observed.freed_bytes = 209715201;
}

static int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fill_incident(&fixture->incident);
	fill_action(&fixture->action);
	fixture->node = (struct otlp_node){ .name = "n1", .host_id = "0123456789abcdef0123456789abcdef" };
	assert_int_equal(otlp_resource_make(&fixture->node, NULL, &fixture->resource), 0);
	fixture->records = (struct otlp_records){ .node = &fixture->node, .resource = &fixture->resource };
	otlp_records_begin(&fixture->records);
	*state = fixture;
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t i = 0; i < fixture->count; i++) {
		if (fixture->logs[i])
			otlp__log_record__free_unpacked(fixture->logs[i], NULL);
		if (fixture->spans[i])
			otlp__span__free_unpacked(fixture->spans[i], NULL);
	}
	if (fixture->request)
		otlp__envelope__free_unpacked(fixture->request, NULL);
	otlp_records_free(&fixture->records);
	otlp_resource_free(&fixture->resource);
	free(fixture);
	return 0;
}

static const Otlp__ScopeItems *unpack(struct fixture *fixture)
{
	assert_int_equal(otlp_records_end(&fixture->records), 1);
	fixture->request = otlp__envelope__unpack(NULL, fixture->records.out.length, (const uint8_t *)fixture->records.out.data);
	assert_non_null(fixture->request);
	const Otlp__ScopeItems *scope = fixture->request->resource_items[0]->scope_items[0];
	assert_int_equal(scope->n_items, fixture->records.count);
	assert_true(scope->n_items <= ITEMS_MAX);
	fixture->count = fixture->records.count;
	return scope;
}

static void unpack_logs(struct fixture *fixture)
{
	const Otlp__ScopeItems *scope = unpack(fixture);

	for (size_t i = 0; i < scope->n_items; i++)
		assert_non_null(fixture->logs[i] = otlp__log_record__unpack(NULL, scope->items[i].len, scope->items[i].data));
}

static void unpack_spans(struct fixture *fixture)
{
	const Otlp__ScopeItems *scope = unpack(fixture);

	for (size_t i = 0; i < scope->n_items; i++)
		assert_non_null(fixture->spans[i] = otlp__span__unpack(NULL, scope->items[i].len, scope->items[i].data));
}

static const Otlp__AnyValue *value_of(Otlp__KeyValue *const *attributes, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(attributes[i]->key, key) == 0)
			return attributes[i]->value;
	return NULL;
}

static const Otlp__Span *span_named(const struct fixture *fixture, const char *name)
{
	for (uint32_t i = 0; i < fixture->count; i++)
		if (strcmp(fixture->spans[i]->name, name) == 0)
			return fixture->spans[i];
	fail_msg("no span %s", name);
	return NULL;
}

static bool same_bytes(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* --- logs ------------------------------------------------------------------------------------------------------------------ */

static void a_change_is_a_record(void **state)
{
	struct fixture *fixture = *state;

	otlp_log_incident(&fixture->records, &fixture->incident, 0, OPENED + 5);
	otlp_log_incident(&fixture->records, &fixture->incident, 2, OPENED + 5);
	unpack_logs(fixture);
	const Otlp__LogRecord *opened = fixture->logs[0], *over = fixture->logs[1];
	assert_int_equal(opened->time_unix_nano, OPENED);
	assert_int_equal(opened->observed_time_unix_nano, OPENED + 5);
	assert_int_equal(opened->severity_number, 17);
	assert_string_equal(opened->severity_text, "ERROR");
	assert_string_equal(opened->event_name, "nodemend.incident");
	assert_string_equal(opened->body->string_value, "disk exhaustion of /data\xef\xbf\xbd is open: it fills");
	assert_int_equal(opened->trace_id.len, 16);
	assert_int_equal(opened->span_id.len, 8);
	assert_string_equal(value_of(opened->attributes, opened->n_attributes, "nodemend.incident.kind")->string_value, "disk_exhaustion");
	assert_true(value_of(opened->attributes, opened->n_attributes, "nodemend.signal.exhausted_in_seconds")->double_value == 412);
	const Otlp__ArrayValue *causes = value_of(opened->attributes, opened->n_attributes, "nodemend.causes")->array_value;
	assert_int_equal(causes->n_values, 2);
	assert_string_equal(causes->values[0]->string_value, "97.3 % dd (pid 4242) in /user.slice");
	assert_string_equal(causes->values[1]->string_value, "2.0 % a group");
	assert_int_equal(over->severity_number, 9);
	assert_string_equal(over->body->string_value, "disk exhaustion of /data\xef\xbf\xbd is over: it is below");
	assert_string_not_equal(value_of(opened->attributes, opened->n_attributes, "log.record.uid")->string_value,
				value_of(over->attributes, over->n_attributes, "log.record.uid")->string_value);
}

static void an_action_is_a_record(void **state)
{
	struct fixture *fixture = *state;
	struct action *action = &fixture->action;

	otlp_log_action(&fixture->records, action, OPENED);
	action->outcome = OUTCOME_REFUSED;
	strcpy(action->refused_by, "cooldown");
	otlp_log_action(&fixture->records, action, OPENED);
	action->mode = MODE_SHADOW;
	action->outcome = OUTCOME_NONE;
	action->refused_by[0] = action->incident[0] = '\0';
	otlp_log_action(&fixture->records, action, OPENED);
	unpack_logs(fixture);
	const Otlp__LogRecord *fixed = fixture->logs[0];
	assert_string_equal(fixed->body->string_value, "clean-files on /data: fixed it");
	assert_int_equal(value_of(fixed->attributes, fixed->n_attributes, "nodemend.observed.freed_bytes")->int_value, 209715201);
	assert_null(value_of(fixed->attributes, fixed->n_attributes, "nodemend.observed.exited"));
	assert_int_equal(value_of(fixed->attributes, fixed->n_attributes, "nodemend.plan")->array_value->n_values, 2);
	assert_string_equal(fixture->logs[1]->body->string_value, "clean-files on /data: refused by cooldown");
	assert_int_equal(fixture->logs[1]->severity_number, 13);
	assert_string_equal(fixture->logs[2]->body->string_value, "clean-files on /data (shadow): planned, nothing done");
	assert_int_equal(fixture->logs[2]->trace_id.len, 0); /* by hand: of no incident */
}

/* --- traces ---------------------------------------------------------------------------------------------------------------- */

static void a_trace_is_a_tree(void **state)
{
	struct fixture *fixture = *state;

	otlp_span_detection(&fixture->records, &fixture->incident);
	otlp_span_action(&fixture->records, &fixture->action, "a6b04f1ad-3");
	otlp_span_incident(&fixture->records, &fixture->incident);
	unpack_spans(fixture);
	assert_int_equal(fixture->count, 6);
	const Otlp__Span *root = fixture->spans[5], *action = span_named(fixture, "clean-files");
	assert_string_equal(root->name, "disk exhaustion of /data\xef\xbf\xbd");
	assert_int_equal(root->parent_span_id.len, 0);
	assert_int_equal(root->start_time_unix_nano, OPENED);
	assert_int_equal(root->end_time_unix_nano, OPENED + 30 * SECOND);
	assert_int_equal(root->status->code, 1);
	assert_int_equal(root->n_events, 3);
	assert_string_equal(root->events[1]->name, "mending");
	static const struct { const char *name; bool of_root; int64_t start_s, end_s; int status; } wanted[] = {
		{ "detection", true, 0, 0, 1 }, { "clean-files", true, 1, 20, 1 }, { "find", false, 1, 2, 1 },
		{ "delete", false, 2, 5, 2 }, { "verification", false, 5, 20, 1 },
	};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		const Otlp__Span *span = span_named(fixture, wanted[i].name);

		assert_true(same_bytes(span->trace_id, root->trace_id));
		assert_true(same_bytes(span->parent_span_id, wanted[i].of_root ? root->span_id : action->span_id));
		assert_int_equal(span->start_time_unix_nano, OPENED + wanted[i].start_s * SECOND);
		assert_int_equal(span->end_time_unix_nano, OPENED + wanted[i].end_s * SECOND);
		assert_int_equal(span->status->code, wanted[i].status);
		for (uint32_t other = 0; other < fixture->count; other++)
			assert_true(fixture->spans[other] == span || !same_bytes(fixture->spans[other]->span_id, span->span_id));
	}
	assert_string_equal(span_named(fixture, "delete")->status->message, "one was in use");
	uint8_t shadow[OTLP_SPAN_ID_LEN];
	otlp_span_id(root->trace_id.data, OTLP_SPAN_ACTION, "a6b04f1ad-3", 0, shadow);
	assert_int_equal(action->n_links, 1);
	assert_memory_equal(action->links[0]->span_id.data, shadow, sizeof(shadow));
}

static void what_was_not_done_is_not_verified(void **state)
{
	struct fixture *fixture = *state;
	struct action *action = &fixture->action;

	action->mode = MODE_SHADOW;
	action->outcome = OUTCOME_NONE;
	action->step_count = 0;
	otlp_span_action(&fixture->records, action, "");
	action->mode = MODE_ENFORCE;
	action->outcome = OUTCOME_REFUSED;
	action->started_wall_ns = 0;
	otlp_span_action(&fixture->records, action, "");
	unpack_spans(fixture);
	assert_int_equal(fixture->count, 2);
	assert_null(fixture->spans[0]->status);
	assert_int_equal(fixture->spans[0]->n_links, 0);
	assert_int_equal(fixture->spans[1]->start_time_unix_nano, OPENED + 20 * SECOND);
}

static void who_needed_a_person_did_not_end_well(void **state)
{
	struct fixture *fixture = *state;

	fixture->incident.history[1].state = INCIDENT_NEEDS_HUMAN;
	otlp_span_incident(&fixture->records, &fixture->incident);
	unpack_spans(fixture);
	assert_int_equal(fixture->spans[0]->status->code, 2);
	assert_string_equal(fixture->spans[0]->status->message, "needed a person");
}

/* --- ids ------------------------------------------------------------------------------------------------------------------- */

/* Golden: a release that derives others would break what a receiver has already. */
static void ids_stay(void **state)
{
	static const uint8_t trace_golden[] = {
		0x83, 0xe6, 0x0c, 0x4a, 0xcb, 0x58, 0xc2, 0xd9, 0x75, 0x92, 0x25, 0x43, 0x1b, 0x90, 0x9b, 0xfa,
	};
	static const uint8_t span_golden[] = { 0x54, 0x94, 0x01, 0x57, 0xde, 0xcb, 0xef, 0x27 };
	struct fixture *fixture = *state;
	struct otlp_node other = fixture->node;
	uint8_t trace[OTLP_TRACE_ID_LEN], of_other[OTLP_TRACE_ID_LEN], span[OTLP_SPAN_ID_LEN];
	char uid[OTLP_UID_LEN];

	otlp_trace_id(&fixture->node, "i6b04f1ad-1", trace);
	otlp_span_id(trace, OTLP_SPAN_STEP, "a6b04f1ad-7", 1, span);
	otlp_uid(&fixture->node, "i6b04f1ad-1", 2, uid);
	assert_memory_equal(trace, trace_golden, sizeof(trace));
	assert_memory_equal(span, span_golden, sizeof(span));
	assert_string_equal(uid, "5feb8ba25d7fd9a784ef294bca11efaa");
	other.name[0] = 'm'; /* an incident's id is unique on its node only */
	otlp_trace_id(&other, "i6b04f1ad-1", of_other);
	assert_memory_not_equal(trace, of_other, sizeof(trace));
}

/* The first half of a history stays, what is cut comes behind it. */
static void ordinals_survive_a_cut(void **state)
{
	struct fixture *fixture = *state;

	fixture->incident.history_count = MAX_INCIDENT_HISTORY;
	fixture->incident.history_cut = 5;
	assert_int_equal(otlp_history_ordinal(&fixture->incident, 7), 7);
	assert_int_equal(otlp_history_ordinal(&fixture->incident, 8), 13);
	assert_int_equal(otlp_history_ordinal(&fixture->incident, 15), 20);
}

/* --- news -------------------------------------------------------------------------------------------------------------------- */

static void each_change_is_news_once(void **state)
{
	static struct otlp_news news;
	struct fixture *fixture = *state;
	struct incident *incident = &fixture->incident;
	struct otlp_incident_news ret;

	incident->state = INCIDENT_OPEN;
	incident->history_count = 1;
	assert_true(otlp_news_incident(&news, incident, &ret));
	assert_true(ret.opened && !ret.over && ret.first_entry == 0 && ret.entry_end == 1);
	incident->causes[0].share_permille = 500;
	assert_false(otlp_news_incident(&news, incident, &ret));
	incident->history_count = 3;
	incident->state = INCIDENT_RESOLVED;
	assert_true(otlp_news_incident(&news, incident, &ret));
	assert_true(!ret.opened && ret.over && ret.first_entry == 1 && ret.entry_end == 3);
	assert_false(otlp_news_incident(&news, incident, &ret));

	/* A long story whose middle was cut meanwhile: what is left of the new is told, and nothing of the old. */
	strcpy(incident->id, "i2");
	incident->state = INCIDENT_OPEN;
	incident->history_count = 10;
	assert_true(otlp_news_incident(&news, incident, &ret));
	incident->history_count = MAX_INCIDENT_HISTORY;
	incident->history_cut = 1; /* ordinals 0 to 7 and 9 to 16 */
	assert_true(otlp_news_incident(&news, incident, &ret));
	assert_true(ret.first_entry == 9 && ret.entry_end == MAX_INCIDENT_HISTORY);
}

static void an_action_is_news_when_it_ended(void **state)
{
	static struct otlp_news news;
	struct fixture *fixture = *state;
	struct action *action = &fixture->action, shadow = fixture->action;

	shadow.mode = MODE_SHADOW;
	strcpy(shadow.id, "a1");
	assert_true(otlp_news_action(&news, &shadow));
	assert_false(otlp_news_action(&news, &shadow));
	assert_string_equal(otlp_news_shadow(&news, &shadow), "");
	action->ended_wall_ns = 0;
	assert_false(otlp_news_action(&news, action));
	action->ended_wall_ns = OPENED;
	assert_true(otlp_news_action(&news, action));
	assert_string_equal(otlp_news_shadow(&news, action), "a1");
	strcpy(action->remedy, "terminate");
	assert_string_equal(otlp_news_shadow(&news, action), "");
}

/* --- what was told --------------------------------------------------------------------------------------------------------- */

static int open_folder(char path[64])
{
	strcpy(path, "/tmp/nodemend-told-XXXXXX");
	assert_non_null(mkdtemp(path));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void it_remembers(void **state)
{
	static struct otlp_told told, again;
	char path[64];
	int dir_fd = open_folder(path);

	assert_int_equal(otlp_told_load(dir_fd, "x.told", &told), -ENOENT);
	otlp_told_of(&told, "i1")->changes = 3;
	otlp_told_of(&told, "a1")->changes = 1;
	told.changed = true;
	assert_int_equal(otlp_told_save(dir_fd, "x.told", &told), 0);
	assert_false(told.changed);
	assert_int_equal(otlp_told_load(dir_fd, "x.told", &again), 0);
	assert_int_equal(otlp_told_of(&again, "i1")->changes, 3);
	assert_int_equal(otlp_told_of(&again, "a1")->changes, 1);
	assert_int_equal(otlp_told_of(&again, "i2")->changes, 0);

	int fd = openat(dir_fd, "x.told", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\xff", 1, 100), 1);
	assert_int_equal(otlp_told_load(dir_fd, "x.told", &again), -EBADMSG);
	assert_int_equal(otlp_told_of(&again, "i1")->changes, 0);
	assert_int_equal(ftruncate(fd, 50), 0);
	assert_int_equal(otlp_told_load(dir_fd, "x.told", &again), -EBADMSG);
	close(fd);
	assert_int_equal(unlinkat(dir_fd, "x.told", 0), 0);
	/* It follows no link. The link's end is ours, too: were it followed, nothing else is lost. */
	fd = openat(dir_fd, "other", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(symlinkat("other", dir_fd, "x.told"), 0);
	assert_int_equal(otlp_told_save(dir_fd, "x.told", &told), -ELOOP);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	assert_int_equal(unlinkat(dir_fd, "other", 0), 0);
	assert_int_equal(unlinkat(dir_fd, "x.told", 0), 0);
	close(dir_fd);
	assert_int_equal(rmdir(path), 0);
}

static void it_forgets_what_was_not_asked_for_longest(void **state)
{
	static struct otlp_told told;
	char id[ID_LEN];

	otlp_told_of(&told, "old but open")->changes = 7;
	otlp_told_of(&told, "old")->changes = 8;
	for (int i = 0; i < OTLP_TOLD_MAX - 1; i++) {
		snprintf(id, sizeof(id), "i%d", i);
		otlp_told_of(&told, id)->changes = 1;
		assert_int_equal(otlp_told_of(&told, "old but open")->changes, 7);
	}
	assert_int_equal(otlp_told_of(&told, "old")->changes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_change_is_a_record), TEST(an_action_is_a_record), TEST(a_trace_is_a_tree), TEST(what_was_not_done_is_not_verified),
		TEST(who_needed_a_person_did_not_end_well), TEST(ids_stay), TEST(ordinals_survive_a_cut),
		TEST(each_change_is_news_once), TEST(an_action_is_news_when_it_ended), TEST(it_remembers),
		TEST(it_forgets_what_was_not_asked_for_longest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
