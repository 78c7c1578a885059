/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the engines' sockets against peers that are wrong in every way there is: each ends in an error, by its deadline, in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/engine.h"
#include "remedies/http_answer.h"
#include "remedies/unix_http.h"
#include "snapshot.h"

#include <cjson/cJSON.h>

enum { ROOM = 64 };

/* --- the reader ---------------------------------------------------------------------------------------------------------- */

static const struct row {
	const char *text;
	int end;               /* of feed, or of the close where feed wants more */
	int status;
	const char *body;
} rows[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 1, 200, "hello" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", 1, 200, "hello" },
	{ "HTTP/1.0 200\r\n\r\nhello", 1, 200, "hello" },
	{ "HTTP/1.1 200 OK\nContent-Length:5 \n\nhello", 1, 200, "hello" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 1, 204, "" },
	{ "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 1, 404, "" },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", 1, 200, "a" },
	{ "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n", 1, 200, "hello" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1, 200, "" },
	/* cut off */
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Le", -EPROTO, 200, NULL },
	{ "", -EPROTO, 0, NULL },
	/* no HTTP, or what could be read in two ways */
	{ "SSH-2.0-OpenSSH\r\n", -EPROTO, 0, NULL },
	{ "HTTP/2 200 OK\r\n\r\n", -EPROTO, 0, NULL },
	{ "HTTP/1.1 20 OK\r\n\r\n", -EPROTO, 0, NULL },
	{ "HTTP/1.1 2000 OK\r\n\r\n", -EPROTO, 0, NULL },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\nx", -EPROTO, 101, NULL },
	{ "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\n folded: 1\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nhel\r\n0\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhel\r\n0\r\n\r\n", -EPROTO, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", -EPROTO, 200, NULL },
	/* more than there is room for, as soon as it is known */
	{ "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n", -EFBIG, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n", -EFBIG, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n", -EFBIG, 200, NULL },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", -EFBIG, 200, NULL },
	{ "HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123", -EFBIG, 200, NULL },
};

static struct http_answer answer;

/* In pieces of `step` bytes. */
static int feed(const char *text, size_t size, size_t step, char *body, size_t room)
{
	http_answer_init(&answer, body, room);
	for (size_t at = 0; at < size; at += step) {
		int end = http_answer_feed(&answer, text + at, size - at < step ? size - at : step);
		if (end)
			return end;
	}
	return http_answer_end(&answer);
}

static void every_answer_in_every_piece(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = strlen(rows[i].text);
		for (size_t step = 1; step <= size + 1; step++) {
			char *body = malloc(ROOM); /* of its own, so that a sanitizer sees the byte beyond it */
			int end = feed(rows[i].text, size, step, body, ROOM);
			if (end != rows[i].end)
				print_error("%s\nin pieces of %zu\n", rows[i].text, step);
			assert_int_equal(end, rows[i].end);
			assert_int_equal(answer.status, rows[i].status);
			if (rows[i].body)
				assert_string_equal(body, rows[i].body);
			free(body);
		}
	}
}

static void lines_are_read_and_what_is_none_is_said(void **state)
{
	static char text[HTTP_LINE_LEN * 2];
	char body[ROOM];
	static const char named[] = "HTTP/1.1 200 OK\r\nserver:  Libpod/4.3.1 (linux) \r\nContent-Length: 0\r\n\r\n";
	assert_int_equal(feed(named, strlen(named), 5, body, ROOM), 1);
	assert_string_equal(answer.server, "Libpod/4.3.1 (linux)");
	assert_int_equal(feed("HTTP/1.1 200 O\0K\r\n\r\n", 20, 20, body, ROOM), -EPROTO);
	memset(text, 'a', sizeof(text));
	memcpy(text, "HTTP/1.1 200 ", 13);
	assert_int_equal(feed(text, sizeof(text), sizeof(text), body, ROOM), -EPROTO);
}

/* Neither headers nor the sizes of chunks may go on for longer than a body could. */
static void framing_is_bounded(void **state)
{
	static const char begin[] = "HTTP/1.1 200 OK\r\n", chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
			  chunk[] = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\na\r\n";
	char *body = malloc(1 << 20);
	uint32_t lines = 0;
	int end;
	http_answer_init(&answer, body, 1 << 20);
	assert_int_equal(http_answer_feed(&answer, begin, strlen(begin)), 0);
	for (end = 0; end == 0 && lines < 1000000; lines++)
		end = http_answer_feed(&answer, "a: b\r\n", 6);
	assert_int_equal(end, -EFBIG);
	assert_true(lines < 20000);

	http_answer_init(&answer, body, 1 << 20);
	assert_int_equal(http_answer_feed(&answer, chunked, strlen(chunked)), 0);
	for (end = 0, lines = 0; end == 0 && lines < 1000000; lines++)
		end = http_answer_feed(&answer, chunk, strlen(chunk));
	assert_int_equal(end, -EFBIG);
	assert_true(lines < 20000);
	free(body);
}

static void broken_answers_stay_in_their_room(void **state)
{
	uint32_t seed = 1;
	char text[512];
	for (int round = 0; round < 20000; round++) {
		const char *from = rows[(seed >> 8) % (sizeof(rows) / sizeof(rows[0]))].text;
		size_t size = strlen(from);
		memcpy(text, from, size);
		for (int i = 0; i < 3 && size; i++) {
			seed = seed * 1664525 + 1013904223;
			text[(seed >> 8) % size] = (char)(seed >> 24);
		}
		char *body = malloc(ROOM);
		int end = feed(text, size, 1 + (seed >> 16) % 7, body, ROOM);
		assert_true(end == 1 || end == -EPROTO || end == -EFBIG);
		assert_true(answer.size < ROOM && body[answer.size] == '\0');
		free(body);
	}
}

/* --- the socket ---------------------------------------------------------------------------------------------------------- */

enum behaviour { ANSWERS, ENDLESS_BODY, ENDLESS_HEADERS, SILENT, DRIPS, HANGS_UP, LIES_SHORT, LIES_LONG, NOT_ROOT, NEVER_ACCEPTS, DOES_NOT_READ };

static char dir[64], path[108];
static pid_t server;

static void write_forever(int fd, const char *text, useconds_t pause)
{
	while (send(fd, text, strlen(text), MSG_NOSIGNAL) > 0)
		if (pause)
			usleep(pause);
}

static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void behave(int fd, enum behaviour behaviour)
{
	char request[4096];
	if (behaviour == DOES_NOT_READ)
		pause();
	(void)!recv(fd, request, sizeof(request), 0);
	switch (behaviour) {
	case ENDLESS_BODY:
		say(fd, "HTTP/1.1 200 OK\r\n\r\n");
		write_forever(fd, "0123456789012345678901234567890123456789012345678901234567890123", 0);
		break;
	case ENDLESS_HEADERS:
		say(fd, "HTTP/1.1 200 OK\r\n");
		write_forever(fd, "a: b\r\n", 0);
		break;
	case SILENT:
		pause();
		break;
	case DRIPS:
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		write_forever(fd, "a", 10000);
		break;
	case HANGS_UP:
		break;
	case LIES_SHORT:
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
		break;
	case LIES_LONG:
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello");
		break;
	default:
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
		break;
	}
}

static void start(enum behaviour behaviour)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	snprintf(path, sizeof(path), "%s/%d", dir, behaviour);
	memcpy(address.sun_path, path, sizeof(path));
	server = fork();
	assert_true(server >= 0);
	if (server == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || (behaviour == NOT_ROOT && setresuid(65534, 65534, 65534) < 0) || listen(fd, 0) < 0)
			_exit(1);
		(void)!write(ready[1], "", 1);
		while (behaviour == NEVER_ACCEPTS)
			pause();
		for (int peer; (peer = accept(fd, NULL, NULL)) >= 0; close(peer))
			behave(peer, behaviour);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

static void stop(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(path);
}

static char body[1 << 16];

static int ask(uint64_t within_ns)
{
	struct unix_answer told;
	return unix_http(path, "GET", "/version", clock_boot_ns() + within_ns, body, sizeof(body), &told);
}

static void expect(enum behaviour behaviour, uint64_t within_ns, int wanted)
{
	start(behaviour);
	int got = ask(within_ns);
	stop();
	if (got != wanted)
		print_error("behaviour %d\n", behaviour);
	assert_int_equal(got, wanted);
}

static void each_peer_ends_in_its_error(void **state)
{
	uint64_t long_ns = 30 * NSEC_PER_SEC, short_ns = 100 * NSEC_PER_MSEC;
	expect(ANSWERS, long_ns, 200);
	assert_string_equal(body, "hello");
	expect(LIES_LONG, long_ns, 200);
	assert_string_equal(body, "he");
	expect(ENDLESS_BODY, long_ns, -EFBIG);
	expect(ENDLESS_HEADERS, long_ns, -EFBIG);
	expect(HANGS_UP, long_ns, -EPROTO);
	expect(LIES_SHORT, long_ns, -EPROTO);
	expect(NOT_ROOT, long_ns, -EPERM);
	expect(SILENT, short_ns, -ETIME);
	expect(DRIPS, short_ns, -ETIME);
	expect(DOES_NOT_READ, short_ns, -ETIME);
}

/* A full backlog has no event to wait for. */
static void one_that_never_accepts_is_given_up(void **state)
{
	start(NEVER_ACCEPTS);
	int got = 0;
	for (int i = 0; i < 4 && got != -ETIME; i++) { /* the backlog of 0 takes one or two */
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		memcpy(address.sun_path, path, sizeof(path));
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fd, (struct sockaddr *)&address, sizeof(address)); /* kept open, in the backlog, until the test ends */
		got = ask(50 * NSEC_PER_MSEC);
	}
	stop();
	assert_int_equal(got, -ETIME);
}

static void nobody_there(void **state)
{
	struct unix_answer told;
	snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(ask(NSEC_PER_SEC), -ENOENT);
	/* What would be another request, or another header, is none of ours. */
	start(ANSWERS);
	assert_int_equal(unix_http(path, "GET", "/a b", clock_boot_ns() + NSEC_PER_SEC, body, sizeof(body), &told), -EINVAL);
	assert_int_equal(unix_http(path, "GET", "/a\r\nX: y", clock_boot_ns() + NSEC_PER_SEC, body, sizeof(body), &told), -EINVAL);
	stop();
}

/* --- its JSON ------------------------------------------------------------------------------------------------------------ */

static void a_tree_much_larger_than_its_text_is_not_built(void **state)
{
	size_t size = 4 << 20;
	char *text = malloc(size);
	for (size_t i = 0; i < size; i += 2) /* "[0,0,…,0 ]": each two bytes would be a node of 64 */
		memcpy(text + i, i == 0 ? "[0" : ",0", 2);
	memcpy(text + size - 2, " ]", 2);
	assert_null(engine_parse(text, size));
	/* The same bytes within a text are no values. */
	memset(text, ',', size);
	text[0] = text[size - 1] = '"';
	cJSON *item = engine_parse(text, size);
	assert_true(cJSON_IsString(item));
	cJSON_Delete(item);
	memset(text, '[', size);
	assert_null(engine_parse(text, size));
	free(text);
}

static void what_makes_no_sense_is_no_row(void **state)
{
	static struct engine_images images;
	static struct engine_containers containers;
	static struct engine_facts facts;
	static const char good[] = "\"Id\":\"sha256:0123456789012345678901234567890123456789012345678901234567890123\"";
	char text[2048];
	snprintf(text, sizeof(text),
		 "[{%s,\"RepoTags\":[\"a:1\",\"<none>:<none>\"],\"Size\":10,\"SharedSize\":4},{\"Id\":\"short\"},{\"Id\":7},7,"
		 "{%s,\"RepoTags\":[\"../../etc\",\"a b\"],\"Size\":-1},{%s,\"RepoTags\":[\"a\",\"b\",\"c\",\"d\",\"e\"],\"SharedSize\":-1,\"Size\":1e300}]",
		 good, good, good);
	assert_int_equal(engine_read_images(ENGINE_DOCKER, text, strlen(text), &images), 0);
	assert_int_equal(images.count, 3);
	assert_int_equal(images.cut, 3);
	assert_string_equal(images.each[0].names[0], "a:1");
	assert_false(images.each[0].names_cut);
	assert_int_equal(images.each[0].own_bytes, 6);
	assert_int_equal(images.each[1].name_count, 0);
	assert_true(images.each[1].names_cut);
	assert_int_equal(images.each[1].bytes, UNKNOWN);
	assert_true(images.each[2].names_cut);
	assert_int_equal(images.each[2].bytes, UNKNOWN);
	assert_int_equal(engine_read_images(ENGINE_PODMAN, text, strlen(text), &images), 0);
	assert_int_equal(images.each[0].own_bytes, UNKNOWN);
	assert_int_equal(engine_read_images(ENGINE_DOCKER, "{}", 2, &images), -EPROTO);

	snprintf(text, sizeof(text), "[{%s,\"ImageID\":\"evil\",\"State\":\"exited\"},{%s,\"ImageID\":\"\",\"State\":\"exited\",\"Names\":[\"/web\"]},{%s,\"State\":7,\"Names\":{}}]", good,
		 good, good);
	assert_int_equal(engine_read_containers(text, strlen(text), &containers), 0);
	assert_int_equal(containers.count, 2);
	assert_int_equal(containers.cut, 1);
	assert_string_equal(containers.each[0].name, "web");
	assert_int_equal(containers.each[0].state, CONTAINER_DEAD);
	assert_int_equal(containers.each[1].state, CONTAINER_OTHER);

	snprintf(text, sizeof(text), "{%s,\"Name\":\"/web\",\"State\":{\"Status\":\"exited\",\"FinishedAt\":\"2026-01-02T03:04:05.5+01:00\",\"StartedAt\":\"0001-01-01T00:00:00Z\",\"Pid\":1e12}}",
		 good);
	assert_int_equal(engine_read_facts(text, strlen(text), &facts), 0);
	assert_int_equal(facts.finished_wall_ns, 1767319445 * (int64_t)NSEC_PER_SEC);
	assert_int_equal(facts.started_wall_ns, 0);
	assert_int_equal(facts.pid, 0);
	assert_int_equal(engine_read_facts("{\"Id\":\"x\",\"State\":{}}", 20, &facts), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_answer_in_every_piece),
		cmocka_unit_test(lines_are_read_and_what_is_none_is_said),
		cmocka_unit_test(framing_is_bounded),
		cmocka_unit_test(broken_answers_stay_in_their_room),
		cmocka_unit_test(each_peer_ends_in_its_error),
		cmocka_unit_test(one_that_never_accepts_is_given_up),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(a_tree_much_larger_than_its_text_is_not_built),
		cmocka_unit_test(what_makes_no_sense_is_no_row),
	};
	snprintf(dir, sizeof(dir), "/tmp/nodemend-http-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
