/* SPDX-License-Identifier: Apache-2.0 */
/* A line in each format, what hostile names do to it, how often one place may speak, and a pipe that nobody reads. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "core/log_render.h"

static struct log_record record_of(const char *message, const struct log_fields *fields)
{
	struct log_record record = { .level = LOG_LEVEL_WARNING, .wall_ns = 1764150000000000000, .pid = 7, .process = "nodemend", .fields = fields };
	snprintf(record.message, sizeof(record.message), "%s", message);
	return record;
}

static void test_text(void **state)
{
	char out[LOG_RENDERED_MAX];
	struct log_record record = record_of("runq: unavailable", NULL);
	size_t length = log_render_text(&record, false, out, sizeof(out));
	assert_int_equal(length, strlen("nodemend: warning: runq: unavailable\n"));
	assert_memory_equal(out, "nodemend: warning: runq: unavailable\n", length);
	record.lost = 3;
	length = log_render_text(&record, true, out, sizeof(out));
	assert_memory_equal(out, "<4>nodemend: runq: unavailable (3 lines before this were lost)\n", length);
}

static void test_json(void **state)
{
	char out[LOG_RENDERED_MAX], long_text[LOG_MESSAGE_LEN];
	const struct log_fields fields = { .incident = "i-1", .remedy = "clean-\"files\"", .outcome = "" };
	struct log_record record = record_of("a \"b\" \\ \xff c", &fields);
	out[log_render_json(&record, out, sizeof(out))] = '\0';
	cJSON *json = cJSON_Parse(out);
	assert_non_null(json);
	assert_string_equal(cJSON_GetObjectItem(json, "message")->valuestring, "a \"b\" \\ \xef\xbf\xbd c");
	assert_string_equal(cJSON_GetObjectItem(json, "incident")->valuestring, "i-1");
	assert_string_equal(cJSON_GetObjectItem(json, "remedy")->valuestring, "clean-\"files\"");
	assert_string_equal(cJSON_GetObjectItem(json, "level")->valuestring, "warning");
	assert_null(cJSON_GetObjectItem(json, "outcome"));
	cJSON_Delete(json);

	/* What grows most: each byte three. Cut, but whole, in one line, and one piece for a pipe. */
	memset(long_text, '\xff', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	record = record_of(long_text, &fields);
	size_t length = log_render_json(&record, out, sizeof(out));
	assert_true(length <= 4096 && out[length - 1] == '\n');
	json = cJSON_ParseWithLength(out, length);
	assert_non_null(json);
	cJSON_Delete(json);
}

static void test_journal(void **state)
{
	char out[LOG_RENDERED_MAX];
	const struct log_fields fields = { .incident = "i-1", .policy = "p\nMESSAGE=forged" };
	struct log_record record = record_of("said", &fields);
	out[log_render_journal(&record, out, sizeof(out))] = '\0';
	assert_string_equal(out, "PRIORITY=4\nSYSLOG_IDENTIFIER=nodemend\nSYSLOG_PID=7\nNODEMEND_PROCESS=nodemend\nNODEMEND_INCIDENT=i-1\n"
				 "NODEMEND_POLICY=p\nMESSAGE=said\n");
}

/* stderr goes to a pipe while `say` runs; what it holds afterwards, closed. */
static void capture(void (*say)(void), int room, char *ret, size_t size)
{
	int pipes[2], before = dup(STDERR_FILENO);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fcntl(pipes[1], F_SETPIPE_SZ, room), room);
	assert_int_equal(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
	dup2(pipes[1], STDERR_FILENO);
	say();
	dup2(before, STDERR_FILENO);
	ssize_t got = read(pipes[0], ret, size - 1);
	ret[got > 0 ? got : 0] = '\0';
	close(before);
	close(pipes[0]);
	close(pipes[1]);
}

static void say_secret(void)
{
	log_info("program: app --password hunter2\x1b[2J ended");
}

static void test_masked_and_printable(void **state)
{
	char out[4096];
	capture(say_secret, 65536, out, sizeof(out));
	assert_string_equal(out, "nodemend: program: app --password *** ended\n");
}

static void say_much(void)
{
	char text[600];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 50; i++)
		log_info("%s", text);
}

/* It comes back, and says what it could not. */
static void test_full_pipe_drops(void **state)
{
	char out[8192];
	uint64_t before = log_lost();
	capture(say_much, 4096, out, sizeof(out));
	assert_true(log_lost() - before >= 40);
	capture(say_secret, 65536, out, sizeof(out));
	assert_non_null(strstr(out, "lines before this were lost)"));
}

static void say_often(void)
{
	for (int i = 0; i < 2 * LOG_SITE_LINES; i++)
		log_info("x");
}

static void test_one_place_is_bounded(void **state)
{
	char out[4096];
	uint64_t before = log_lost();
	uint32_t lines = 0;
	capture(say_often, 65536, out, sizeof(out));
	for (const char *at = out; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, LOG_SITE_LINES);
	assert_int_equal(log_lost() - before, LOG_SITE_LINES);
}

int main(void)
{
	unsetenv("JOURNAL_STREAM");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_json), cmocka_unit_test(test_journal), cmocka_unit_test(test_masked_and_printable),
		cmocka_unit_test(test_full_pipe_drops), cmocka_unit_test(test_one_place_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
