/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server within this process, its clock in the test's hand: answers, refusals, floods, slow readers and slow writers. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#include "core/clock.h"
#include "publish/http.h"
#include "tests/unit/full_snapshot.h"
#include "tests/unit/http_client.h"

struct fixture {
	struct ring_writer writer;
	struct snapshot *snap;
	struct publisher publisher;
	struct streams streams;
	struct http *http;
	uint16_t port;
	struct snapshot *own;
	struct publisher_access rules;
};

static int open_http(struct fixture *fixture, const struct publisher_access *rules)
{
	char listen_at[32];
	int listener;
	fixture->port = free_port();
	snprintf(listen_at, sizeof(listen_at), "127.0.0.1:%u", fixture->port);
	if (http_listen(listen_at, &listener) < 0)
		return -1;
	return http_open(&fixture->publisher, &fixture->streams, rules, listener, &fixture->http);
}

static int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct publisher *publisher = &fixture->publisher;
	*state = fixture;
	fixture->snap = empty_snapshot();
	fixture->own = empty_snapshot();
	publisher->snap = fixture->own;
	publisher->shown = calloc(1, sizeof(*publisher->shown));
	publisher->records = calloc(1, sizeof(*publisher->records));
	publisher->max_shown = 20;
	fixture->streams.counters = &publisher->counters;
	if (ring_create(&fixture->writer) < 0 || ring_open(fixture->writer.fd, &publisher->ring) < 0)
		return -1;

	return open_http(fixture, &fixture->rules);
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;
	struct publisher *publisher = &fixture->publisher;
	http_close(fixture->http);
	assert_int_equal(fixture->streams.count, 0);
	munmap((void *)(uintptr_t)publisher->ring, sizeof(*publisher->ring));
	ring_destroy(&fixture->writer);
	records_free(publisher->records);
	free(publisher->records);
	free(publisher->shown);
	page_release(publisher->feed);
	renderings_free(&publisher->renderings);
	assert_int_equal(publisher->pages.bytes, 0);
	text_free(&publisher->page);
	munmap(fixture->snap, sizeof(*fixture->snap));
	munmap(fixture->own, sizeof(*fixture->own));
	free(fixture);
	return 0;
}

static void publish(struct fixture *fixture, uint64_t seq)
{
	fill_snapshot(fixture->snap, seq, clock_boot_ns(), 60, 200);
	ring_publish(&fixture->writer, fixture->snap);
}

/* Serves until the other end of `fd` has something for us (or has hung up). */
static void serve_until_readable(struct fixture *fixture, int fd)
{
	for (int turns = 0; turns < 20000; turns++) {
		struct pollfd ready[] = { { .fd = fd, .events = POLLIN }, { .fd = http_fd(fixture->http), .events = POLLIN } };
		uint64_t now = clock_boot_ns();
		http_run(fixture->http, now);
		uint64_t next = http_next_ns(fixture->http, now);
		int wait_ms = next <= now ? 0 : next - now > 20 * NSEC_PER_SEC ? 20000 : (int)((next - now) / NSEC_PER_MSEC) + 1;
		poll(ready, 2, wait_ms);
		if (ready[0].revents)
			return;
	}
	fail_msg("no answer");
}

/* Serves while reading to the end. The caller frees. */
static char *read_all(struct fixture *fixture, int fd)
{
	size_t size = 0, room = 1 << 22;
	char *data = malloc(room);
	for (;;) {
		serve_until_readable(fixture, fd);
		ssize_t got = recv(fd, data + size, room - 1 - size, 0);
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	data[size] = 0;
	close(fd);
	return data;
}

static char *raw(struct fixture *fixture, const char *request, size_t size)
{
	int fd = client_connect(fixture->port);
	assert_true(fd >= 0);
	(void)client_send(fd, request, size); /* it may have had enough of us before the end */
	return read_all(fixture, fd);
}

static char *get(struct fixture *fixture, const char *method, const char *target, const char *headers)
{
	char request[2048];
	int size = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target, headers);
	return raw(fixture, request, (size_t)size);
}

static void expect(struct fixture *fixture, const char *method, const char *target, int status, const char *part)
{
	char begin[32];
	char *answer = get(fixture, method, target, "");
	snprintf(begin, sizeof(begin), "HTTP/1.1 %d ", status);
	if (strncmp(answer, begin, strlen(begin)) != 0)
		fail_msg("%s %s: wanted %d, got: %.80s", method, target, status, answer);
	if (part && !strstr(answer, part))
		fail_msg("%s %s: no '%s' in: %.400s", method, target, part, answer);
	free(answer);
}

static void paths_are_answered(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 7);
	expect(fixture, "GET", "/", 200, "/v1/stream");
	expect(fixture, "GET", "/healthz", 200, "\r\n\r\nok\n");
	expect(fixture, "GET", "/readyz", 200, "ready\n");
	expect(fixture, "GET", "/metrics", 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	expect(fixture, "GET", "/v1/metrics", 200, "\"seq\":7,");
	expect(fixture, "GET", "/v1/incidents", 200, "{\"schema\":\"nodemend.incidents/1\",\"incidents\":[]}");
	expect(fixture, "GET", "/v1/actions?limit=5&since=24h", 200, "\"actions\":[]");
	expect(fixture, "GET", "/v1/events?kind=oom_kill&since=24h&after=0&limit=5", 200, "{\"schema\":\"nodemend.events/1\",\"last\":");
	char *answer = get(fixture, "GET", "/metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n");
	assert_non_null(strstr(answer, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
	assert_string_equal(answer + strlen(answer) - 6, "# EOF\n");
	free(answer);
	answer = get(fixture, "HEAD", "/metrics", "");
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	free(answer);
	assert_int_equal(fixture->publisher.counters.rejected, 0);
	expect(fixture, "GET", "/v1/events?kind=surprise", 400, "kind wants slow_call, ");
	expect(fixture, "GET", "/v1/events?after=-1", 400, "a whole number is wanted as: after");
}

static void a_scrape_takes_the_newest(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	expect(fixture, "GET", "/metrics", 200, "nodemend_ticks_total 1\n");
	publish(fixture, 2);
	expect(fixture, "GET", "/metrics", 200, "nodemend_ticks_total 2\n");
}

static void what_is_wrong_is_refused(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	expect(fixture, "POST", "/metrics", 405, "Allow: GET, HEAD\r\n");
	expect(fixture, "DELETE", "/v1/incidents/x", 405, NULL);
	expect(fixture, "GET", "/nothing", 404, NULL);
	expect(fixture, "GET", "/v1/incidents/", 404, NULL);
	expect(fixture, "GET", "/v1/incidents/%22%0a%1b[2J", 404, "no such incident: \\\"\\n\xef\xbf\xbd[2J\n");
	expect(fixture, "GET", "/metrics?collect[]=disk&collect[]=nonsense", 400, "no such collector: nonsense");
	expect(fixture, "GET", "/v1/incidents?since=yesterday", 400, NULL);
	expect(fixture, "GET", "/v1/incidents?state=fine", 400, NULL);
	expect(fixture, "GET", "/v1/actions?limit=0", 400, NULL);
	/* One more than there is room for. */
	expect(fixture, "GET",
		"/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17&18&19&20&21&22&23&24&25&26&27&28&29&30&31&32&33&34&35&36&3"
		"7&38&39&40&41&42&43&44&45&46&47&48&49&50&51&52&53&54&55&56&57&58&59&60&61&62&63&64&65",
		400, NULL);
	assert_int_equal(fixture->publisher.counters.rejected, 10);
}

static void collect_filters(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	char *answer = get(fixture, "GET", "/metrics?collect[]=disk&collect%5B%5D=psi", "");
	assert_non_null(strstr(answer, "node_disk_io_now"));
	assert_non_null(strstr(answer, "node_pressure_"));
	assert_null(strstr(answer, "node_memory_"));
	assert_null(strstr(answer, "nodemend_build_info"));
	free(answer);
}

/* Both are no bits of `sources`: a page remembered by these alone would be the first one's for both. */
static void filters_by_their_names_have_pages_of_their_own(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	char *disks = get(fixture, "GET", "/metrics?collect[]=diskstats", ""), *pressure = get(fixture, "GET", "/metrics?collect[]=pressure", "");
	assert_non_null(strstr(disks, "node_disk_io_now"));
	assert_null(strstr(disks, "node_pressure_"));
	assert_non_null(strstr(pressure, "node_pressure_"));
	assert_null(strstr(pressure, "node_disk_io_now"));
	free(disks);
	free(pressure);
}

static void the_feed_is_filtered_too(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	char *answer = get(fixture, "GET", "/v1/metrics?collect[]=disk", "");
	assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(answer, "\"seq\":1,"));
	assert_non_null(strstr(answer, "node_disk_io_now"));
	assert_null(strstr(answer, "node_memory_"));
	assert_string_equal(answer + strlen(answer) - 3, "]}\n");
	free(answer);
	expect(fixture, "GET", "/v1/metrics?collect[]=x", 400, "no such collector");
}

/* The whole answer inflated; the caller frees. */
static char *unpack(const char *answer, size_t room)
{
	const char *body = strstr(answer, "\r\n\r\n");
	const char *length = strstr(answer, "Content-Length: ");
	assert_true(body && length);
	char *text = calloc(1, room);
	z_stream stream = { .next_in = (Bytef *)(uintptr_t)(body + 4), .avail_in = (uInt)atoi(length + 16), .next_out = (Bytef *)text, .avail_out = (uInt)room - 1 };
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	return text;
}

static void gzip_is_for_who_asks(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	char *plain = get(fixture, "GET", "/metrics", "Accept-Encoding: gzip;q=0, identity\r\n");
	assert_null(strstr(plain, "Content-Encoding"));
	assert_non_null(strstr(plain, "Vary: Accept, Accept-Encoding\r\n"));
	char *packed = get(fixture, "GET", "/metrics", "Accept-Encoding: gzip\r\n");
	assert_non_null(strstr(packed, "Content-Encoding: gzip\r\n"));
	char *text = unpack(packed, 4 << 20);
	assert_string_equal(text, strstr(plain, "\r\n\r\n") + 4); /* one page: the same counters */
	free(text);
	free(packed);
	free(plain);
	char *small = get(fixture, "GET", "/healthz", "Accept-Encoding: gzip\r\n");
	assert_null(strstr(small, "Content-Encoding"));
	free(small);
	assert_int_equal(fixture->publisher.counters.renderings, 2);
}

static void readiness_is_the_collectors(void **state)
{
	struct fixture *fixture = *state;
	expect(fixture, "GET", "/readyz", 503, "no snapshot yet");
	expect(fixture, "GET", "/v1/metrics", 503, "no snapshot yet");
	expect(fixture, "GET", "/metrics", 200, "nodemend_build_info");

	fill_snapshot(fixture->snap, 1, clock_boot_ns(), 1, 1);
	fixture->snap->collectors[COLLECTOR_SYSCALL].state = COLLECTOR_DOWN;
	strcpy(fixture->snap->collectors[COLLECTOR_SYSCALL].why, "no BTF");
	ring_publish(&fixture->writer, fixture->snap);
	expect(fixture, "GET", "/readyz", 503, "syscall: no BTF\n");

	fill_snapshot(fixture->snap, 2, clock_boot_ns() - 4 * NSEC_PER_SEC, 1, 1);
	ring_publish(&fixture->writer, fixture->snap);
	expect(fixture, "GET", "/readyz", 503, "three intervals");
}

static void nonsense_harms_nobody(void **state)
{
	struct fixture *fixture = *state;
	static const char *const requests[] = {
		"\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02", "GET /%zz%00 HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "GET /../../etc/shadow HTTP/1.0\r\n\r\n", "GET /?&&==&%= HTTP/1.0\r\n\r\n",
	};
	publish(fixture, 1);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		int fd = client_connect(fixture->port);
		assert_true(client_send(fd, requests[i], strlen(requests[i])));
		shutdown(fd, SHUT_WR);
		for (int turns = 0; turns < 10; turns++)
			http_run(fixture->http, clock_boot_ns());
		http_run(fixture->http, clock_boot_ns() + REQUEST_NS + 1); /* where it still waits for more */
		char *answer = read_all(fixture, fd);
		assert_null(strstr(answer, "root:"));
		free(answer);
	}

	/* A head larger than its room, and a path of nothing but names. */
	size_t size = 64 << 10;
	char *huge = malloc(size);
	memset(huge, 'x', size);
	memcpy(huge, "GET / HTTP/1.1\r\nHost: x\r\nX: ", 29);
	char *answer = raw(fixture, huge, size);
	assert_null(strstr(answer, " 200 "));
	free(answer);
	memcpy(huge, "GET /xx", 7);
	memset(huge + 7, 'x', size - 7);
	free(raw(fixture, huge, size));
	free(huge);
	expect(fixture, "GET", "/healthz", 200, "ok\n");
}

static void two_hundred_at_once_are_all_answered(void **state)
{
	enum { CLIENTS = 200 };
	struct fixture *fixture = *state;
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	int fds[CLIENTS];

	publish(fixture, 1);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = client_connect(fixture->port);
		assert_true(fds[i] >= 0);
		http_run(fixture->http, clock_boot_ns()); /* the backlog is no longer than the bound */
	}
	for (int i = 0; i < CLIENTS; i++)
		assert_true(client_send(fds[i], request, sizeof(request) - 1));
	for (int i = 0; i < CLIENTS; i++) {
		char *answer = read_all(fixture, fds[i]);
		assert_non_null(strstr(answer, " 200 OK"));
		assert_non_null(strstr(answer, "nodemend_ticks_total 1\n"));
		free(answer);
	}
	assert_int_equal(fixture->publisher.counters.busy_refused, 0);
	assert_int_equal(fixture->publisher.counters.renderings, 2); /* the feed, and one page for all of them */
}

static void a_request_that_trickles_is_closed(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_connect(fixture->port);
	uint64_t now = clock_boot_ns();
	assert_true(client_send(fd, "GET / HT", 8));
	http_run(fixture->http, now);
	http_run(fixture->http, now + REQUEST_NS / 2);
	assert_true(client_send(fd, "T", 1)); /* the library's own timeout begins anew */
	http_run(fixture->http, now + REQUEST_NS - 1);
	assert_int_equal(fixture->publisher.counters.slow_closed, 0);
	assert_true(http_next_ns(fixture->http, now) <= clock_boot_ns() + REQUEST_NS);

	http_run(fixture->http, clock_boot_ns() + REQUEST_NS + 1);
	assert_int_equal(fixture->publisher.counters.slow_closed, 1);
	free(read_all(fixture, fd)); /* ends */
}

/* Who is slow at taking an old page does not keep the bytes that the next ones need. */
static void outdated_pages_do_not_pile_up(void **state)
{
	enum { READERS = 60 };
	struct fixture *fixture = *state;
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	int fds[READERS];
	size_t page = 0;
	for (int i = 0; i < READERS; i++) {
		fill_snapshot(fixture->snap, (uint64_t)i + 1, clock_boot_ns(), 512, 1000);
		ring_publish(&fixture->writer, fixture->snap);
		fds[i] = client_connect(fixture->port);
		setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
		assert_true(client_send(fds[i], request, sizeof(request) - 1));
		for (int turns = 0; turns < 5; turns++)
			http_run(fixture->http, clock_boot_ns());
		page = page ? page : fixture->publisher.pages.bytes;
		assert_true(fixture->publisher.pages.bytes <= MAX_LIVE_BYTES + 2 * page);
	}
	assert_true(fixture->publisher.counters.slow_closed > 0);
	expect(fixture, "GET", "/metrics", 200, "nodemend_ticks_total 60\n");
	for (int i = 0; i < READERS; i++)
		close(fds[i]);
}

/* With all connections taken, who sends nothing has a second. */
/* Pages as large as a node of many series makes them leave the lists and the filtered pages as they are. */
static void a_large_node_is_served_its_lists(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 2);
	expect(fixture, "GET", "/metrics", 200, "nodemend_build_info");
	struct page *page = fixture->publisher.renderings.whole[EXPOSITION_TEXT].page;
	assert_non_null(page);
	const size_t more = 2 * MAX_LIVE_BYTES;
	page->length += more; /* as if it were so large */
	page->account->bytes += more;
	expect(fixture, "GET", "/metrics?collect[]=cpu", 200, "node_cpu_seconds_total");
	page->length -= more;
	page->account->bytes -= more;
	fixture->publisher.pages.bytes += more; /* of somebody who does not read */
	expect(fixture, "GET", "/metrics?collect[]=syscall", 503, "too many answers");
	fixture->publisher.pages.bytes -= more;
}

static void idlers_make_room(void **state)
{
	struct fixture *fixture = *state;
	int fds[MAX_CONNECTIONS];
	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		fds[i] = client_connect(fixture->port);
		assert_true(client_send(fds[i], "GET / HTTP/1.1\r\nX", 17));
		for (int turns = 0; turns < 3; turns++)
			http_run(fixture->http, clock_boot_ns());
	}
	uint64_t now_ns = clock_boot_ns();
	assert_true(http_next_ns(fixture->http, now_ns) <= now_ns + PRESSED_NS);
	http_run(fixture->http, clock_boot_ns() + PRESSED_NS + 1);
	assert_int_equal(fixture->publisher.counters.slow_closed, MAX_CONNECTIONS);
	expect(fixture, "GET", "/healthz", 200, "ok\n");
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		close(fds[i]);
}

static void strangers_are_refused(void **state)
{
	struct fixture *fixture = *state;
	http_close(fixture->http);
	strcpy(fixture->rules.token, "t0ken");
	fixture->rules.unprotected = UNPROTECTED_HEALTHZ;
	assert_int_equal(open_http(fixture, &fixture->rules), 0);
	publish(fixture, 1);
	expect(fixture, "GET", "/metrics", 401, "WWW-Authenticate: Bearer");
	expect(fixture, "GET", "/nothing", 401, NULL); /* not even what paths there are */
	expect(fixture, "GET", "/v1/stream", 401, NULL);
	expect(fixture, "GET", "/readyz", 401, NULL);
	expect(fixture, "GET", "/healthz", 200, "ok\n");
	assert_int_equal(fixture->publisher.counters.strangers, 4);
	char *answer = get(fixture, "GET", "/metrics", "Authorization: Bearer t0ken\r\n");
	assert_non_null(strstr(answer, " 200 OK"));
	free(answer);
}

static void lines_for_who_wants_lines(void **state)
{
	static const char request[] = "GET /v1/stream HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n";
	struct fixture *fixture = *state;
	publish(fixture, 3);
	assert_int_equal(publisher_refresh(&fixture->publisher, clock_boot_ns()), 1);
	int fd = client_connect(fixture->port);
	assert_true(client_send(fd, request, sizeof(request) - 1));
	size_t size = 0, room = 4 << 20;
	char *data = calloc(1, room);
	bool sent = false;
	while (!strstr(data, "{\"event\":\"action\",\"data\":{\"id\":1}}\n")) {
		serve_until_readable(fixture, fd);
		ssize_t got = recv(fd, data + size, room - 1 - size, 0);
		assert_true(got > 0);
		size += (size_t)got;
		if (!sent && fixture->streams.count) {
			struct text text = { 0 };
			text_string(&text, "{\"id\":1}");
			struct page *page = page_take(&fixture->publisher.pages, &text);
			streams_send(&fixture->streams, STREAM_ACTION, page);
			page_release(page);
			sent = true;
		}
	}
	assert_non_null(strstr(data, "Content-Type: application/x-ndjson\r\n"));
	assert_non_null(strstr(data, "{\"event\":\"metrics\",\"data\":{\"schema\":\"nodemend.metrics/1\""));
	assert_int_equal(stream_format("text/event-stream"), STREAM_SSE);
	assert_int_equal(stream_format("text/event-stream, application/x-ndjson;q=0.5"), STREAM_SSE);
	assert_int_equal(stream_format("*/*"), STREAM_SSE);
	free(data);
	close(fd);
}

static int open_stream_client(struct fixture *fixture)
{
	static const char request[] = "GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = client_connect(fixture->port);
	assert_true(client_send(fd, request, sizeof(request) - 1));
	serve_until_readable(fixture, fd);
	return fd;
}

static void streams_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	int fds[MAX_STREAMS];
	for (int i = 0; i < MAX_STREAMS; i++)
		fds[i] = open_stream_client(fixture);
	assert_int_equal(fixture->streams.count, MAX_STREAMS);
	expect(fixture, "GET", "/v1/stream", 503, "too many streams");
	assert_int_equal(fixture->publisher.counters.streams_refused, 1);
	for (int i = 0; i < MAX_STREAMS; i++)
		close(fds[i]);
}

/* An event of `size` times x. */
static void send_xs(struct fixture *fixture, size_t size)
{
	struct text text = { 0 };
	for (size_t i = 0; i < size; i++)
		text_append(&text, "x", 1);
	struct page *page = page_take(&fixture->publisher.pages, &text);
	streams_send(&fixture->streams, STREAM_METRICS, page);
	page_release(page);
}

static void a_reader_who_does_not_read_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	size_t size = 1 << 20;
	int lazy = open_stream_client(fixture), keen = open_stream_client(fixture);
	assert_int_equal(fixture->streams.count, 2);

	char *buffer = malloc(size);
	for (int i = 0; i < 64 && fixture->publisher.counters.streams_dropped == 0; i++) {
		send_xs(fixture, size);
		for (size_t got = 0; got < size;) {
			serve_until_readable(fixture, keen);
			got += (size_t)recv(keen, buffer, size, 0);
		}
	}
	assert_int_equal(fixture->publisher.counters.streams_dropped, 1);
	for (int i = 0; i < 100 && fixture->streams.count > 1; i++)
		http_run(fixture->http, clock_boot_ns());
	assert_int_equal(fixture->streams.count, 1);
	free(buffer);
	close(lazy);
	close(keen);
}

static void addresses_are_numeric(void **state)
{
	int fd;
	static const char *const bad[] = { "", "localhost", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "example.org:80",
					   "1.2.3:80", "[::1:80", "[::1]80", "127.0.0.1:80 " };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_listen(bad[i], &fd), -EINVAL);
	static const char *const good[] = { "127.0.0.1:0", "localhost:0", ":0", "0.0.0.0:0" };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(http_listen(good[i], &fd), 0);
		close(fd);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths_are_answered),
		TEST(a_scrape_takes_the_newest),
		TEST(what_is_wrong_is_refused),
		TEST(collect_filters),
		TEST(filters_by_their_names_have_pages_of_their_own),
		TEST(the_feed_is_filtered_too),
		TEST(gzip_is_for_who_asks),
		TEST(readiness_is_the_collectors),
		TEST(nonsense_harms_nobody),
		TEST(two_hundred_at_once_are_all_answered),
		TEST(a_request_that_trickles_is_closed),
		TEST(outdated_pages_do_not_pile_up),
		TEST(a_large_node_is_served_its_lists),
		TEST(idlers_make_room),
		TEST(strangers_are_refused),
		TEST(lines_for_who_wants_lines),
		TEST(streams_are_bounded),
		TEST(a_reader_who_does_not_read_is_let_go),
		cmocka_unit_test(addresses_are_numeric),
	};
	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
