/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people and pagers are sent: templates, webhooks, mails. With arguments it prints one instead, for tests/unit/test_messages.py to
 * hold against schemas, golden files and other people's parsers: json, slack, pagerduty, mail or template FILE; then `hostile`,
 * `changed` or `many`.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "push/mail.h"
#include "push/template.h"
#include "push/webhook.h"
#include "tests/unit/notice_fixture.h"

static struct text out;
static struct notice notices[MESSAGE_MAX];
static struct config_faults faults;

static struct message message_of(uint32_t count, enum incident_state state)
{
	struct message message = { .firing = state != INCIDENT_RESOLVED, .count = count, .wall_ns = NOTICE_OPENED_NS + 10000000000, .thread = "i1" };
	for (uint32_t i = 0; i < count; i++) {
		char id[ID_LEN];
		snprintf(id, sizeof(id), "i%u", i + 1);
		notices[i] = make_notice(id, state);
		message.items[i] = (struct message_item){ .notice = &notices[i], .news = true };
	}
	return message;
}

static struct message hostile_message(void)
{
	struct message message = message_of(1, INCIDENT_OPEN);
	struct incident incident;
	fill_told_incident(&incident, "i1", INCIDENT_OPEN);
	make_hostile(&incident);
	notice_make(&notice_home, &incident, NOTICE_HOSTILE, &notices[0]);
	return message;
}

static int setup(void **state)
{
	text_reset(&out);
	faults.count = faults.cut = 0;
	return 0;
}

static int teardown(void **state)
{
	text_free(&out);
	return 0;
}

static const char *written(void)
{
	text_append(&out, "", 1);
	assert_false(out.failed);
	return out.data;
}

/* --- notices and deeds ------------------------------------------------------------------------------------------------ */

static void a_notice_is_clean_whoever_named_it(void **state)
{
	struct message message = hostile_message();
	const struct notice *notice = message.items[0].notice;
	assert_string_equal(notice->resource, "x\xef\xbf\xbd Bcc: a@b <!channel> &\"\\{{id}}\xef\xbf\xbd[2J\xef\xbf\xbd\xc3\xa9");
	assert_null(strpbrk(notice->cause, "\r\n\x1b"));
	assert_null(strpbrk(notice->action, "\r\n\x1b"));
}

static void a_deed_says_what_it_brought(void **state)
{
	static const struct { enum mode mode; enum outcome outcome; const char *refused_by, *line; } cases[] = {
		{ MODE_ENFORCE, OUTCOME_FIXED, "", "clean-files: fixed, 200 MiB freed, 3 files deleted in 1.2s" },
		{ MODE_ENFORCE, OUTCOME_NONE, "", "clean-files: under way, 200 MiB freed, 3 files deleted" },
		{ MODE_ENFORCE, OUTCOME_REFUSED, "cooldown", "clean-files: refused by cooldown" },
		{ MODE_SHADOW, OUTCOME_NONE, "", "clean-files (shadow): changed nothing; expected, 100 MiB freed" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct deeds deeds = { 0 };
		struct action action = { .id = "a1", .incident = "i1", .remedy = "clean-files", .mode = cases[i].mode, .outcome = cases[i].outcome };
		effect_clear(&action.expected);
		effect_clear(&action.observed);
		action.expected.freed_bytes = 100 << 20;
		action.observed = (struct effect){ .freed_bytes = 200 << 20, .freed_files = 3, .exited = UNKNOWN, .unit_active = UNKNOWN, .use_percent = UNKNOWN, .available_bytes = UNKNOWN,
								    .cleared = UNKNOWN, .within_ns = 1200000000 };
		strcpy(action.refused_by, cases[i].refused_by);
		assert_string_equal(deeds_note(&deeds, &action), "i1");
		assert_string_equal(deeds_of(&deeds, "i1"), cases[i].line);
	}
}

static void deeds_keep_the_newest_and_are_bounded(void **state)
{
	struct deeds deeds = { 0 };
	struct action action = { .remedy = "kill", .mode = MODE_ENFORCE, .outcome = OUTCOME_FIXED, .started_wall_ns = 5 };
	effect_clear(&action.observed);
	assert_null(deeds_note(&deeds, &action)); /* by hand: of no incident */
	for (int i = 0; i < DEEDS_MAX + 1; i++) {
		snprintf(action.incident, sizeof(action.incident), "i%d", i);
		assert_non_null(deeds_note(&deeds, &action));
	}
	assert_null(deeds_of(&deeds, "i0"));
	action.started_wall_ns = 4; /* older than what is known */
	action.outcome = OUTCOME_FAILED;
	assert_null(deeds_note(&deeds, &action));
	assert_string_equal(deeds_of(&deeds, "i64"), "kill: fixed");
}

/* --- templates -------------------------------------------------------------------------------------------------------- */

static int read_template(const char *text, struct template *ret)
{
	return template_read(TEMPLATE_JSON, "t.json", text, strlen(text), ret, &faults);
}

static void a_template_is_filled_and_stays_json(void **state)
{
	struct template template;
	struct message message = hostile_message();
	assert_int_equal(read_template("{\"a\":\"{{resource}}|{{ id }}|{{description}}\", \"b\": [1, \"{{title}}\"]}\n", &template), 0);
	template_write(&template, &message, &out);
	cJSON *json = cJSON_Parse(written());
	assert_non_null(json);
	assert_int_equal(cJSON_GetArraySize(json), 2);
	/* The value that looks like a field is not one. */
	assert_non_null(strstr(cJSON_GetObjectItem(json, "a")->valuestring, "{{id}}"));
	assert_non_null(strstr(cJSON_GetObjectItem(json, "a")->valuestring, "|i1|"));
	cJSON_Delete(json);
	template_free(&template);
}

static void every_field_can_be_written(void **state)
{
	struct message message = message_of(2, INCIDENT_OPEN);
	struct notice bare = { .exhausted_in_ns = UNKNOWN };
	for (size_t i = 0; i < message_field_count; i++) {
		text_reset(&out);
		message_fields[i].write(&message, &out);
		bool empty_is_right = strcmp(message_fields[i].name, "resolved") == 0;
		assert_int_equal(out.length == 0, empty_is_right);
	}
	message.items[0].notice = &bare;
	message.count = 1;
	for (size_t i = 0; i < message_field_count; i++)
		message_fields[i].write(&message, &out);
	assert_false(out.failed);
}

static void faults_of_a_template_have_their_place(void **state)
{
	static const struct { const char *text, *says; uint32_t line, column; } cases[] = {
		{ "{\n \"a\": \"x {{nodee}}\"}", "unknown field \"nodee\"; docs/outputs.md lists the known ones", 2, 12 },
		{ "{\"\xc3\xa9\": \"{{ }}\"}", "unknown field \"\"; docs/outputs.md lists the known ones", 1, 11 },
		{ "{\"a\": \"{{node\", \"b\": \"}}\"}", "{{ without }} in the same string", 1, 8 },
		{ "{\"a\": {{node}}}", "not JSON from here on; a template is one JSON document with {{field}} in its strings", 1, 9 },
		{ "{\"a\": 1} x", "not JSON from here on; a template is one JSON document with {{field}} in its strings", 1, 10 },
		{ "{\"a\": \"1\n2\"}", "not JSON from here on; a template is one JSON document with {{field}} in its strings", 1, 9 },
		{ "", "not JSON from here on; a template is one JSON document with {{field}} in its strings", 1, 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct template template;
		faults.count = 0;
		assert_int_equal(read_template(cases[i].text, &template), -EINVAL);
		assert_int_equal(faults.count, 1);
		assert_string_equal(faults.each[0].text, cases[i].says);
		assert_int_equal(faults.each[0].line, cases[i].line);
		assert_int_equal(faults.each[0].column, cases[i].column);
	}
}

static void a_template_is_bounded(void **state)
{
	struct template template;
	struct text text = { 0 };
	text_string(&text, "\"");
	for (int i = 0; i < TEMPLATE_MAX_FIELDS + 1; i++)
		text_string(&text, "{{id}}");
	text_string(&text, "\"");
	assert_int_equal(template_read(TEMPLATE_JSON, "t", text.data, text.length, &template, &faults), -EINVAL);
	text_reset(&text);
	text_string(&text, "\"{{nope}}{{id}}\"");
	while (text.length <= TEMPLATE_MAX_SIZE)
		text_string(&text, "                                ");
	assert_int_equal(template_read(TEMPLATE_JSON, "t", text.data, text.length, &template, &faults), -EINVAL);
	assert_int_equal(faults.count, 2);
	text_free(&text);
}

/* --- webhooks --------------------------------------------------------------------------------------------------------- */

static void slack_cuts_to_what_it_takes(void **state)
{
	struct message message = message_of(MESSAGE_MAX, INCIDENT_OPEN);
	for (uint32_t i = 0; i < MESSAGE_MAX; i++) {
		memset(notices[i].resource, '&', sizeof(notices[i].resource) - 1);
		memset(notices[i].evidence, '<', sizeof(notices[i].evidence) - 1);
	}
	message.cut = 7;
	webhook_write_slack(&message, &out);
	cJSON *json = cJSON_Parse(written()), *block;
	assert_non_null(json);
	cJSON_ArrayForEach(block, cJSON_GetObjectItem(json, "blocks")) {
		const cJSON *text = cJSON_GetObjectItem(cJSON_GetObjectItem(block, "text"), "text");
		bool header = strcmp(cJSON_GetObjectItem(block, "type")->valuestring, "header") == 0;
		assert_true(!text || strlen(text->valuestring) <= (header ? 150 : 3000));
		assert_true(!text || header || !strstr(text->valuestring, "<"));
	}
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "blocks")), MESSAGE_MAX + 2);
	cJSON_Delete(json);
}

static void pagerduty_gets_the_events_of_a_life(void **state)
{
	static const struct { enum incident_state state; bool told, news; const char *first, *second; } cases[] = {
		{ INCIDENT_OPEN, false, true, "trigger", NULL },
		{ INCIDENT_OPEN, true, true, "trigger", NULL },
		{ INCIDENT_MENDING, false, true, "trigger", "acknowledge" },
		{ INCIDENT_MENDING, true, true, "acknowledge", NULL },
		{ INCIDENT_NEEDS_HUMAN, true, true, "trigger", NULL },
		{ INCIDENT_RESOLVED, true, true, "resolve", NULL },
		{ INCIDENT_RESOLVED, false, true, NULL, NULL },
		{ INCIDENT_OPEN, true, false, NULL, NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message message = message_of(1, cases[i].state);
		message.reason = REASON_CHANGED;
		message.items[0].told_before = cases[i].told;
		message.items[0].news = cases[i].news;
		for (uint32_t event = 0; event < 3; event++) {
			const char *wanted = event == 0 ? cases[i].first : event == 1 ? cases[i].second : NULL;
			text_reset(&out);
			assert_int_equal(webhook_write_pagerduty(&message, 0, event, &out), wanted != NULL);
			if (!wanted)
				break;
			cJSON *json = cJSON_Parse(written());
			assert_string_equal(cJSON_GetObjectItem(json, "event_action")->valuestring, wanted);
			assert_string_equal(cJSON_GetObjectItem(json, "dedup_key")->valuestring, "i1");
			cJSON_Delete(json);
		}
	}
	struct message message = message_of(1, INCIDENT_OPEN);
	assert_false(webhook_write_pagerduty(&message, 1, 0, &out));
}

/* --- mail ------------------------------------------------------------------------------------------------------------- */

static void header_words_are_whole_and_short(void **state)
{
	struct text value = { 0 };
	for (int i = 0; i < 60; i++)
		text_string(&value, i % 3 ? "a " : "\xf0\x9f\x94\xa5");
	text_append(&value, "", 1);
	mail_header_text(value.data, 9, &out);
	const char *line = written();
	for (size_t column = 9; *line; column = 0) {
		size_t length = strcspn(line, "\r");
		assert_true(column + length <= 76);
		line += length + (line[length] ? 2 : 0);
		assert_true(*line == ' ' || !*line);
	}
	text_free(&value);
}

static void header_text_cannot_end_its_line(void **state)
{
	mail_header_text("a\r\nBcc: x@y\r\n\r\nbody =?utf-8?q?x?=", 9, &out);
	const char *at = written();
	for (; (at = strstr(at, "\r\n")); at += 2)
		assert_int_equal(at[2], ' ');
	assert_null(strstr(out.data, "Bcc: x"));
}

static void plain_subjects_stay_plain(void **state)
{
	mail_header_text("[critical] n1: disk exhaustion of /data", 9, &out);
	assert_string_equal(written(), "[critical] n1: disk exhaustion of /data");
}

static void body_lines_are_short_and_lose_nothing(void **state)
{
	mail_body_text(".dot\nFrom x\nends in blank \na=b \xc3\xa9\n", &out);
	assert_string_equal(written(), "=2Edot\r\n=46rom x\r\nends in blank=20\r\na=3Db =C3=A9\r\n");
}

static void addresses_cannot_add_headers(void **state)
{
	static const char *const to[] = { "a@b\r\nBcc: c@d", "e@f>" };
	const struct mail_people people = { "pager", "x\r\n@y", to, 2 };
	struct message message = hostile_message();
	mail_write(&message, &people, NULL, &out);
	assert_non_null(strstr(written(), "To: <a@bBcc:c@d>,\r\n <e@f>\r\n"));
	assert_non_null(strstr(out.data, "From: nodemend <x@y>\r\n"));
}

/* --- printing --------------------------------------------------------------------------------------------------------- */

static int print_template(const struct message *message, const char *path)
{
	static char text[TEMPLATE_MAX_SIZE];
	struct template template;
	FILE *file = fopen(path, "r");
	if (!file)
		return 1;
	size_t size = fread(text, 1, sizeof(text), file);
	fclose(file);
	if (template_read(TEMPLATE_JSON, path, text, size, &template, &faults) < 0) {
		config_print_faults(&faults, stdout);
		return 1;
	}
	template_write(&template, message, &out);
	template_free(&template);
	return 0;
}

static void print_events(const struct message *message)
{
	struct text event = { 0 };
	for (uint32_t i = 0; i < message->count; i++) {
		for (uint32_t nth = 0; webhook_write_pagerduty(message, i, nth, &event); nth++) {
			webhook_add_routing_key(event.data, event.length, "R0UTING", &out);
			text_string(&out, "\n");
			text_reset(&event);
		}
	}
	text_free(&event);
}

static int print(int argc, char **argv)
{
	static const char *const to[] = { "ops@example.org", "boss@example.org" };
	const struct mail_people people = { "ops", "nodemend@example.org", to, 2 };
	const char *what = argv[1], *how = argv[argc - 1];
	struct message message = message_of(1, INCIDENT_OPEN);
	if (strcmp(how, "hostile") == 0)
		message = hostile_message();
	if (strcmp(how, "many") == 0)
		message = message_of(3, INCIDENT_MENDING);
	if (strcmp(how, "changed") == 0) {
		message = message_of(1, INCIDENT_RESOLVED);
		message.reason = REASON_CHANGED;
		message.items[0].told_before = true;
		message.sequence = 2;
	}
	int error = 0;
	if (strcmp(what, "json") == 0)
		webhook_write_json(&message, &out);
	else if (strcmp(what, "slack") == 0)
		webhook_write_slack(&message, &out);
	else if (strcmp(what, "pagerduty") == 0)
		print_events(&message);
	else if (strcmp(what, "mail") == 0)
		mail_write(&message, &people, NULL, &out);
	else if (strcmp(what, "fields") == 0)
		message_print_fields(stdout);
	else
		error = argc > 2 ? print_template(&message, argv[2]) : 2;
	fwrite(out.data, 1, out.length, stdout);
	text_free(&out);
	return error;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return print(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_notice_is_clean_whoever_named_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deed_says_what_it_brought, setup, teardown),
		cmocka_unit_test_setup_teardown(deeds_keep_the_newest_and_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(a_template_is_filled_and_stays_json, setup, teardown),
		cmocka_unit_test_setup_teardown(every_field_can_be_written, setup, teardown),
		cmocka_unit_test_setup_teardown(faults_of_a_template_have_their_place, setup, teardown),
		cmocka_unit_test_setup_teardown(a_template_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(slack_cuts_to_what_it_takes, setup, teardown),
		cmocka_unit_test_setup_teardown(pagerduty_gets_the_events_of_a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(header_words_are_whole_and_short, setup, teardown),
		cmocka_unit_test_setup_teardown(header_text_cannot_end_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(plain_subjects_stay_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(body_lines_are_short_and_lose_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_cannot_add_headers, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
