/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: names of others never steer the terminal, `status` and `why` of a known agent look as they are kept in tests/golden. */
#include "agent_fixture.h"

#include <cjson/cJSON.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

static cJSON *ask(struct agent *agent, const char *request)
{
	cJSON *json = cJSON_Parse(request);
	assert_non_null(json);
	cJSON *answer = agent_answer(agent, json, false);
	assert_non_null(answer);
	cJSON_Delete(json);
	return answer;
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	if (!file)
		return NULL;
	char *text = calloc(1, 1 << 16);
	assert_non_null(text);
	(void)!fread(text, 1, (1 << 16) - 1, file);
	fclose(file);
	return text;
}

/* Prints into memory. Owned by the caller. */
static char *shown_by(void (*show)(const struct look *, const cJSON *), const cJSON *json, bool terminal, bool colour)
{
	char *text = NULL;
	size_t size;
	struct look look = { .out = open_memstream(&text, &size), .terminal = terminal, .colour = colour };
	assert_non_null(look.out);
	show(&look, json);
	fclose(look.out);
	return text;
}

/* A change that is wanted: run with GOLDEN_UPDATE=1, and look at the difference. */
static void assert_golden(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "tests/golden/%s", name);
	if (getenv("GOLDEN_UPDATE")) {
		FILE *file = fopen(path, "w");
		assert_non_null(file);
		fputs(text, file);
		fclose(file);
	}
	char *wanted = read_file(path);
	if (!wanted)
		fail_msg("%s cannot be read: tests run at the root of the tree", path);
	if (strcmp(text, wanted) != 0)
		fail_msg("%s differs; this is what is shown now:\n%s", path, text);
	free(wanted);
}

/* --- names of others ------------------------------------------------------------------------------------------------------ */

static void text_is_safe(void **state)
{
	static const struct { const char *text, *shown; } cases[] = {
		{ "", "" },
		{ "nginx: worker", "nginx: worker" },
		{ "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe6\xbc\xa2 \xf0\x9f\x98\x80" },
		{ "a\033[2Jb", "a\\x1b[2Jb" },
		{ "a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd" },
		{ "\x7f", "\\x7f" },
		{ "\xc2\x9b" "31m", "\\u{9b}31m" },                  /* C1: one character that is ESC [ */
		{ "\x9b" "31m", "\\x9b31m" },                        /* the same for a terminal that reads bytes */
		{ "\xe2\x80\xaegpj.exe", "\\u{202e}gpj.exe" },       /* right to left */
		{ "a\xe2\x80\x8b" "b", "a\\u{200b}b" },              /* not there to be seen */
		{ "\xe2\x80\xa8", "\\u{2028}" },
		{ "\xf3\xa0\x81\x81", "\\u{e0041}" },                /* tags */
		{ "\xc0\xaf", "\\xc0\\xaf" },                        /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },               /* a surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },      /* beyond Unicode */
		{ "cut \xe6\xbc", "cut \\xe6\\xbc" },
		{ "dev-disk\\x2dby", "dev-disk\\x2dby" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(show_text(cases[i].text).text, cases[i].shown);
}

static void long_text_is_cut_whole(void **state)
{
	char text[4000];
	memset(text, '\033', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	struct shown shown = show_text(text);
	size_t length = strlen(shown.text);
	assert_true(length < sizeof(shown.text));
	assert_string_equal(shown.text + length - 3, "...");
	assert_int_equal((length - 3) % 4, 0);
}

static void json_is_safe_and_the_same(void **state)
{
	cJSON *json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "comm", "a\033\xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81\x7fz\xc3\xbc");
	cJSON_AddStringToObject(json, "bad", "\xff");
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	show_json(out, json);
	fclose(out);
	assert_string_equal(text, "{\"comm\":\"a\\u001b\\u009b\\u202e\\udb40\\udc41\\u007fz\xc3\xbc\",\"bad\":\"\\ufffd\"}\n");
	cJSON *back = cJSON_Parse(text);
	assert_non_null(back);
	assert_string_equal(get_text(back, "comm"), get_text(json, "comm"));
	cJSON_Delete(back);
	cJSON_Delete(json);
	free(text);
}

/* Every string of every document is hostile, and nothing but what we tint ourselves reaches the terminal raw. */
static void make_hostile(cJSON *json)
{
	for (cJSON *item = json; item; item = item->next) {
		if (cJSON_IsString(item))
			cJSON_SetValuestring(item, "\033]0;x\a\xc2\x9b\n\xff");
		make_hostile(item->child);
	}
}

static void assert_plain(char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++)
		if ((*at < ' ' && *at != '\n') || *at >= 0x7f)
			fail_msg("byte %02x in: %s", *at, text);
	free(text);
}

static void hostile_documents_are_shown_safely(void **state)
{
	struct agent *agent = fixture_new();
	static const struct { const char *request; void (*show)(const struct look *, const cJSON *); } cases[] = {
		{ "{\"command\":\"status\"}", status_show },
		{ "{\"command\":\"incidents\"}", incidents_show },
		{ "{\"command\":\"incident\",\"id\":\"i\"}", why_show },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cJSON *answer = ask(agent, cases[i].request);
		assert_true(get_true(answer, "ok"));
		make_hostile(answer);
		assert_plain(shown_by(cases[i].show, answer, true, false));
		cJSON_Delete(answer);
	}
	fixture_free(agent);
}

/* --- numbers --------------------------------------------------------------------------------------------------------------- */

static void numbers_have_units(void **state)
{
	assert_string_equal(show_bytes(0).text, "0 B");
	assert_string_equal(show_bytes(1023).text, "1023 B");
	assert_string_equal(show_bytes(1536).text, "1.5 KiB");
	assert_string_equal(show_bytes(200.0 * 1024 * 1024).text, "200 MiB");
	assert_string_equal(show_bytes(1e30).text, "888178419700125 PiB");
	assert_string_equal(show_bytes(get_number(NULL, "x")).text, "-");
	assert_string_equal(show_seconds(0.85).text, "850 ms");
	assert_string_equal(show_seconds(1.25).text, "1.2 s");
	assert_string_equal(show_seconds(5).text, "5 s");
	assert_string_equal(show_seconds(412).text, "6 min 52 s");
	assert_string_equal(show_seconds(7200).text, "2 h");
	assert_string_equal(show_seconds(90000).text, "1 d 1 h");
	assert_string_equal(show_seconds(-1).text, "-");
	assert_string_equal(show_percent(12.34).text, "12.3 %");
	assert_string_equal(show_bar(50).text, "[##########..........]");
	assert_string_equal(show_bar(1e9).text, "[####################]");
	assert_string_equal(show_bar(get_number(NULL, "x")).text, "");
}

static void durations_are_those_of_the_configuration(void **state)
{
	uint64_t ns = 0;
	char why[160];
	assert_int_equal(cli_duration("90s", &ns, why, sizeof(why)), 0);
	assert_int_equal(ns, SECONDS(90));
	assert_int_equal(cli_duration("2h", &ns, why, sizeof(why)), 0);
	assert_int_equal(ns, SECONDS(7200));
	static const char *const wrong[] = { "soon", "", "-1s", "0s", "1e99h", "99999999999999d" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(cli_duration(wrong[i], &ns, why, sizeof(why)), -EINVAL);
}

/* --- the look -------------------------------------------------------------------------------------------------------------- */

static void status_piped(void **state)
{
	struct agent *agent = fixture_new();
	cJSON *answer = ask(agent, "{\"command\":\"status\"}");
	char *text = shown_by(status_show, answer, false, false);
	assert_golden("status.txt", text);
	free(text);
	cJSON_Delete(answer);
	fixture_free(agent);
}

static void status_on_a_terminal(void **state)
{
	struct agent *agent = fixture_new();
	agent->saved->pause = (struct pause){ .paused = true, .since_wall_ns = FIXTURE_WALL_NS - (int64_t)SECONDS(60), .reason = "upgrade\033[1m" };
	cJSON *answer = ask(agent, "{\"command\":\"status\"}");
	char *text = shown_by(status_show, answer, true, true);
	assert_golden("status-terminal.txt", text);
	free(text);
	cJSON_Delete(answer);
	fixture_free(agent);
}

static void why_of_an_open_incident(void **state)
{
	struct agent *agent = fixture_new();
	cJSON *answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f\"}");
	char *text = shown_by(why_show, answer, false, false);
	assert_golden("why.txt", text);
	free(text);
	cJSON_Delete(answer);
	fixture_free(agent);
}

/* What was before it, who suffers, what was changed, and what hangs under it. */
static void why_tells_the_story(void **state)
{
	struct agent *agent = fixture_new();
	struct incident *incident = &agent->saved->incidents[0], *child = &agent->saved->incidents[agent->saved->incident_count++];
	incident->causes[0].explains = true;
	incident->before = (struct foretime){ .step_ns = SECONDS(1), .count = 4, .values = { 10, 20, 40, 80 } };
	incident->victim_count = 1;
	incident->victims[0] = (struct cause){ .rank = 1, .share_permille = 900, .unit = "web.service", .evidence = "its threads waited" };
	incident->change_count = 1;
	incident->changes[0] = (struct incident_change){ .wall_ns = FIXTURE_WALL_NS, .what = "/etc/app.conf was written\033[1m" };
	*child = (struct incident){ .id = "i9-9", .kind = KIND_SERVICE_HUNG, .opened_wall_ns = FIXTURE_WALL_NS, .resource = { .type = TARGET_UNIT, .name = "web.service" } };
	memcpy(child->parent, incident->id, sizeof(child->parent));
	char request[96];
	snprintf(request, sizeof(request), "{\"command\":\"incident\",\"id\":\"%s\"}", incident->id);
	cJSON *answer = ask(agent, request);
	char *text = shown_by(why_show, answer, false, false);
	assert_non_null(strstr(text, "before     \u2581\u2582\u2584\u2588 10 to 80 in the 4 s before"));
	assert_non_null(strstr(text, "a group, unit web.service\n               its threads waited"));
	assert_non_null(strstr(text, "/etc/app.conf was written\\x1b[1m"));
	assert_non_null(strstr(text, "these come from it\n  i9-9, service_hung of web.service, open"));
	free(text);
	cJSON_Delete(answer);
	answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i9-9\"}");
	text = shown_by(why_show, answer, false, false);
	assert_non_null(strstr(text, "it is part of\n"));
	free(text);
	cJSON_Delete(answer);
	fixture_free(agent);
}

/* In shadow: the story is told, and it says that nothing was changed. */
static void why_in_shadow(void **state)
{
	struct agent *agent = fixture_new();
	struct incident *incident = &agent->saved->incidents[0];
	agent->config->mode = MODE_SHADOW;
	incident->action_count = 1;
	incident->state = INCIDENT_RESOLVED;
	incident->resolved_wall_ns = FIXTURE_WALL_NS;
	struct action *action = &agent->engine.recent_actions[0];
	action->mode = MODE_SHADOW;
	action->dry_run = true;
	action->outcome = OUTCOME_NONE;
	action->step_count = 0;
	effect_clear(&action->observed);
	agent->saved->machine_count = agent->saved->act_count = 0;
	cJSON *answer = ask(agent, "{\"command\":\"incident\",\"id\":\"i65f1a2b0-1\"}");
	char *text = shown_by(why_show, answer, false, false);
	assert_golden("why-shadow.txt", text);
	free(text);
	cJSON_Delete(answer);
	fixture_free(agent);
}

static void incidents_listed(void **state)
{
	struct agent *agent = fixture_new();
	cJSON *answer = ask(agent, "{\"command\":\"incidents\"}");
	char *text = shown_by(incidents_show, answer, false, false);
	assert_golden("incidents.txt", text);
	free(text);
	cJSON_Delete(answer);
	fixture_free(agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_safe), cmocka_unit_test(long_text_is_cut_whole), cmocka_unit_test(json_is_safe_and_the_same),
		cmocka_unit_test(hostile_documents_are_shown_safely), cmocka_unit_test(numbers_have_units),
		cmocka_unit_test(durations_are_those_of_the_configuration), cmocka_unit_test(status_piped), cmocka_unit_test(status_on_a_terminal),
		cmocka_unit_test(why_of_an_open_incident), cmocka_unit_test(why_tells_the_story), cmocka_unit_test(why_in_shadow), cmocka_unit_test(incidents_listed),
	};
	setenv("TZ", "UTC", 1); /* the files hold UTC */
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
