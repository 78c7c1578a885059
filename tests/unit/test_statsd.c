/* SPDX-License-Identifier: Apache-2.0 */
/* StatsD lines: what each means, what is refused and counted, and that no sender gets past the bounds. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "publish/metric.h"
#include "publish/publish.h"
#include "publish/statsd_page.h"

#define SECOND NSEC_PER_SEC

struct fixture {
	struct statsd *statsd;
	struct text out;
};

static int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->statsd = statsd_new(20, 300 * SECOND, 42, SECOND);
	*state = fixture;
	return fixture->statsd ? 0 : -1;
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;
	statsd_free(fixture->statsd);
	text_free(&fixture->out);
	free(fixture);
	return 0;
}

static void take(struct fixture *fixture, const char *datagram)
{
	statsd_take(fixture->statsd, datagram, strlen(datagram), SECOND);
}

static const char *render(struct fixture *fixture, const struct metric_writer *writer)
{
	const struct metric_context context = { .statsd = fixture->statsd };
	text_reset(&fixture->out);
	metrics_write(writer, &context, 1U << METRIC_OF_STATSD, &fixture->out);
	text_append(&fixture->out, "", 1);
	assert_false(fixture->out.failed);
	return fixture->out.data;
}

static void assert_line(struct fixture *fixture, const char *line)
{
	char whole[256];
	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (!strstr(render(fixture, &prometheus_writer), whole))
		fail_msg("no line %s in\n%s", line, fixture->out.data);
}

static void test_types(void **state)
{
	struct fixture *fixture = *state;
	take(fixture, "app.requests:1|c\napp.requests:2|c|@0.5\n");
	assert_line(fixture, "# TYPE app_requests_total counter");
	assert_line(fixture, "app_requests_total 5");
	take(fixture, "queue:10|g\nqueue:-3|g\nqueue:+0.5|g");
	assert_line(fixture, "queue 7.5");
	take(fixture, "depth:-3|g"); /* from nothing: nothing less three, as a signed value is a change */
	assert_line(fixture, "depth -3");
	take(fixture, "took:250|ms\ntook:0.5|h\ntook:1:2|d");
	assert_line(fixture, "took_count 4");
	assert_line(fixture, "took_sum 3.75");
	assert_line(fixture, "took_bucket{le=\"0.25\"} 1");
	take(fixture, "rare:100|ms|@0.1");
	assert_line(fixture, "rare_count 10");
	take(fixture, "users:alice|s\nusers:bob|s\nusers:alice|s\nusers:carol:dave|s");
	assert_line(fixture, "users 4");
	assert_int_equal(statsd_counters(fixture->statsd)->malformed, 0);
}

static void test_tags_make_labels(void **state)
{
	struct fixture *fixture = *state;
	take(fixture, "hits:1|c|#env:prod,shard:7\nhits:1|c|#shard:7,env:prod\nhits:1|c|#env:test");
	assert_line(fixture, "hits_total{env=\"prod\",shard=\"7\"} 2");
	assert_line(fixture, "hits_total{env=\"test\"} 1");
	take(fixture, "marks:1|g|#beta,le:5,9x:y,empty:,url:a:b|c:in-1234|T1700000000");
	assert_line(fixture, "marks{_9x=\"y\",beta=\"true\",tag_le=\"5\",url=\"a:b\"} 1");
	take(fixture, "login:1|c|#token:abcdef,where:http://u:secret@h");
	assert_line(fixture, "login_total{token=\"***\",where=\"http://u:***@h\"} 1");
}

static void test_names(void **state)
{
	struct fixture *fixture = *state;
	take(fixture, "1st.thing-of/all:1|g\nplain_total:2|c");
	assert_line(fixture, "_1st_thing_of_all 1");
	assert_line(fixture, "plain_total 2");
}

static void test_malformed(void **state)
{
	struct fixture *fixture = *state;
	static const char *const bad[] = {
		"x", "x:1", "x:|c", ":1|c", "x:1|", "x:1|q", "x:nan|g", "x:inf|g", "x:0x10|g", "x:1e999|g", "x: 1|g", "x:1 |g", "x:1|c|@0", "x:1|c|@2",
		"x:1|c|@-1", "x:1|c|@1e-9", "x:-1|c", "x:-1|ms", "x:1:b|g", "x:|s", "node_load1:1|g", "nodemend_ticks:1|c", "__x:1|g", "x:1|c|#a:1,a:2",
		"x:1|c|#a:1|#b:2", "_e{5,4}:title|text", "_sc|name|0", "x:1e10|h", "x:1|c|#:v",
		"x:1|g|#a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		take(fixture, bad[i]);
		if (statsd_counters(fixture->statsd)->malformed != i + 1 || statsd_series_count(fixture->statsd))
			fail_msg("%s was taken", bad[i]);
	}
	char longest[600];
	snprintf(longest, sizeof(longest), "%0200d:1|g", 1);
	take(fixture, longest);
	snprintf(longest, sizeof(longest), "x:1|g|#a:%0200d", 1);
	take(fixture, longest);
	assert_int_equal(statsd_series_count(fixture->statsd), 0);
	assert_int_equal(statsd_counters(fixture->statsd)->lines, sizeof(bad) / sizeof(bad[0]) + 2);
}

static void test_conflicts(void **state)
{
	struct fixture *fixture = *state;
	take(fixture, "a:1|c\na_total:1|g\na:1|g\nb:1|ms\nb_count:1|g\nb_sum:1|g\nb:1|g\nb:1|s\nc_count:1|g\nc:1|ms\nd:1|g\nd:1|s");
	/* a_total is the counter's own name; `a` is what OpenMetrics calls its family; b_count and b_sum are the histogram's. */
	assert_int_equal(statsd_counters(fixture->statsd)->conflicts, 8);
	assert_int_equal(statsd_series_count(fixture->statsd), 4);
	take(fixture, "b_rate:1|g");
	assert_int_equal(statsd_series_count(fixture->statsd), 5);
}

static void test_bounds_and_expiry(void **state)
{
	struct fixture *fixture = *state;
	char line[64];
	for (int i = 0; i < 50; i++) {
		snprintf(line, sizeof(line), "m%d:1|g\n", i);
		take(fixture, line);
	}
	assert_int_equal(statsd_series_count(fixture->statsd), 20);
	assert_int_equal(statsd_counters(fixture->statsd)->folded, 30);
	statsd_take(fixture->statsd, "m3:5|g", 6, 200 * SECOND);
	statsd_expire(fixture->statsd, 301 * SECOND);
	assert_int_equal(statsd_series_count(fixture->statsd), 20);
	statsd_expire(fixture->statsd, 302 * SECOND);
	assert_int_equal(statsd_series_count(fixture->statsd), 1);
	assert_int_equal(statsd_counters(fixture->statsd)->expired, 19);
	assert_line(fixture, "m3 5");
	take(fixture, "m7:1|ms"); /* the name is free again, for another type, too */
	assert_line(fixture, "m7_count 1");
	for (int round = 0; round < 2000; round++) { /* chains hold after much coming and going */
		snprintf(line, sizeof(line), "r%d:1|%s|#k:%d", rand() % 40, rand() % 2 ? "g" : "c", rand() % 5);
		statsd_take(fixture->statsd, line, strlen(line), (uint64_t)(400 + round) * SECOND);
		if (round % 7 == 0)
			statsd_expire(fixture->statsd, (uint64_t)(700 + round - rand() % 290) * SECOND);
	}
	statsd_expire(fixture->statsd, 100000 * SECOND);
	assert_int_equal(statsd_series_count(fixture->statsd), 0);
}

/* A set's value is that of the last whole minute; more of it than can be counted is a bound, not an error. */
static void test_sets(void **state)
{
	struct fixture *fixture = *state;
	char line[64];
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "ids:%d|s", i);
		take(fixture, line);
	}
	const struct statsd_series *series = statsd_series(fixture->statsd, 1);
	assert_true(fabs(statsd_distinct(fixture->statsd, series) - 1000) < 50);
	statsd_take(fixture->statsd, "ids:x|s", 7, 62 * SECOND);
	assert_true(fabs(statsd_distinct(fixture->statsd, series) - 1000) < 50);
	statsd_take(fixture->statsd, "ids:x|s", 7, 123 * SECOND);
	assert_true(statsd_distinct(fixture->statsd, series) == 1);
}

static void test_all_formats(void **state)
{
	struct fixture *fixture = *state;
	take(fixture, "a.b:1|c|#k:v\nt:1|ms\ng:-1.5|g");
	assert_non_null(strstr(render(fixture, &openmetrics_writer), "# TYPE a_b counter\n"));
	assert_non_null(strstr(fixture->out.data, "\na_b_total{k=\"v\"} 1\n"));
	assert_non_null(strstr(fixture->out.data, "\ng -1.5\n"));
	assert_non_null(strstr(render(fixture, &json_writer), "{\"name\":\"g\",\"type\":\"gauge\",\"help\":\"Received as a StatsD gauge.\",\"samples\":[{\"labels\":{},\"value\":-1.5}]}"));
	render(fixture, &protobuf_writer);
	assert_non_null(memmem(fixture->out.data, fixture->out.length, "a_b_total", 9));
}

/* --- the page between publisher and sender ------------------------------------------------------------------------------ */

enum { SERIES = 20 };

static struct statsd_page *make_page(void)
{
	struct statsd_page *page = calloc(1, statsd_page_size(SERIES));
	assert_non_null(page);
	return page;
}

/* What a copy is read into has nothing of what it held before. */
static void test_page_carries_everything(void **state)
{
	struct fixture *fixture = *state;
	struct statsd_page *page = make_page();
	struct fixture copy = { .statsd = statsd_new(SERIES, 0, 0, 0) };
	struct text buffer = { 0 };
	uint64_t written_ns = 0;
	assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), -ENODATA);

	take(fixture, "a.b:1|c|#k:v,z:w\na.b:2|c\nt:1:70|h|#x:y\nt:250|ms\ng:-1.5|g\nset:a:b:c|s\nbroken");
	for (int round = 0; round < 3; round++) {
		statsd_page_write(page, fixture->statsd, (uint64_t)(5 + round) * SECOND);
		assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), 0);
		assert_int_equal(written_ns, (uint64_t)(5 + round) * SECOND);
		assert_int_equal(statsd_started_ns(copy.statsd), SECOND);
		render(fixture, &prometheus_writer);
		assert_string_equal(render(&copy, &prometheus_writer), fixture->out.data);
		take(fixture, round ? "g:9|g\nlate:1|ms" : "a.b:1|c\nt:3|h");
	}
	statsd_expire(fixture->statsd, 1000 * SECOND);
	take(fixture, "only:1|g");
	statsd_page_write(page, fixture->statsd, SECOND);
	assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), 0);
	render(fixture, &prometheus_writer);
	assert_string_equal(render(&copy, &prometheus_writer), fixture->out.data);

	statsd_free(copy.statsd);
	text_free(&copy.out);
	text_free(&buffer);
	free(page);
}

/* A store that is full to its bounds fits: the longest names and labels, every bucket. */
static void test_page_has_room_for_all(void **state)
{
	struct statsd *full = statsd_new(SERIES, 300 * SECOND, 1, SECOND), *copy = statsd_new(SERIES, 0, 0, 0);
	struct statsd_page *page = make_page();
	struct text buffer = { 0 };
	char line[1024];
	uint64_t written_ns;
	for (int i = 0; i < SERIES; i++) {
		for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
			double seconds = exp2(HISTOGRAM_FIRST_EXP + (bucket - 0.5) / HISTOGRAM_PER_OCTAVE);
			snprintf(line, sizeof(line), "%0100d_%d:%.17g|h|#a%0120d:1,b%0120d:2,c%0120d:3,d%0100d:4", 1, i, bucket ? seconds : 1e-9, i, i, i, i);
			statsd_take(full, line, strlen(line), SECOND);
		}
	}
	assert_int_equal(statsd_counters(full)->malformed, 0);
	statsd_page_write(page, full, SECOND);
	assert_in_range(page->used, statsd_page_size(SERIES) * 8 / 10, statsd_page_size(SERIES));
	assert_int_equal(statsd_page_read(page, copy, &buffer, &written_ns), 0);
	assert_int_equal(statsd_series_count(copy), SERIES);
	statsd_free(full);
	statsd_free(copy);
	text_free(&buffer);
	free(page);
}

/* A page that is being written leaves what was read before; one that makes no sense leaves nothing, and never breaks a bound. */
static void test_page_is_not_believed(void **state)
{
	struct fixture *fixture = *state;
	struct statsd_page *page = make_page();
	struct fixture copy = { .statsd = statsd_new(SERIES, 0, 0, 0) };
	struct text buffer = { 0 };
	uint64_t written_ns;
	take(fixture, "a:1|c|#k:v\nt:1|ms\nt:1|ms|#k:w\ng:-1.5|g");
	statsd_page_write(page, fixture->statsd, SECOND);
	assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), 0);
	page->version |= 1;
	assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), -EAGAIN);
	assert_int_equal(statsd_series_count(copy.statsd), 4);
	statsd_page_write(page, fixture->statsd, SECOND); /* its writer was killed, and another began */
	assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), 0);

	uint64_t used = page->used, refused = 0;
	page->used = statsd_page_size(SERIES);
	assert_int_equal(statsd_page_read(page, copy.statsd, &buffer, &written_ns), -EPROTO);
	assert_int_equal(statsd_series_count(copy.statsd), 0);
	for (page->used = 1; page->used < used; page->used++)
		refused += statsd_page_read(page, copy.statsd, &buffer, &written_ns) == -EPROTO;
	assert_in_range(refused, used - 5, used); /* all but at the end of a family */
	page->used = used;
	for (int round = 0; round < 20000; round++) {
		uint8_t *byte = &page->bytes[(uint64_t)rand() % used], before = *byte;
		*byte = (uint8_t)rand();
		(void)statsd_page_read(page, copy.statsd, &buffer, &written_ns);
		assert_true(statsd_series_count(copy.statsd) <= SERIES);
		if (round % 16 == 0)
			render(&copy, &openmetrics_writer);
		*byte = before;
	}
	statsd_free(copy.statsd);
	text_free(&copy.out);
	text_free(&buffer);
	free(page);
}

static void test_page_cost(void **state)
{
	enum { MANY = 1000, ROUNDS = 50 };
	struct statsd *from = statsd_new(MANY, 300 * SECOND, 1, SECOND), *to = statsd_new(MANY, 0, 0, 0);
	struct statsd_page *page = calloc(1, statsd_page_size(MANY));
	struct text buffer = { 0 };
	struct timespec at[3];
	char line[128];
	uint64_t written_ns;
	for (int i = 0; i < 20 * MANY; i++) {
		snprintf(line, sizeof(line), "app.requests:%d|ms|#env:prod,service:checkout,code:%d", 1 + i / MANY * 7, i % MANY);
		statsd_take(from, line, strlen(line), SECOND);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at[0]);
	for (int i = 0; i < ROUNDS; i++)
		statsd_page_write(page, from, SECOND);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at[1]);
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(statsd_page_read(page, to, &buffer, &written_ns), 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at[2]);
	for (int i = 0; i < 2; i++)
		print_message("%s a page of %d timers: %.0f us, %.0f KiB\n", i ? "reading" : "writing", MANY,
			      ((double)(at[i + 1].tv_sec - at[i].tv_sec) * 1e6 + (double)(at[i + 1].tv_nsec - at[i].tv_nsec) / 1e3) / ROUNDS,
			      (double)page->used / 1024);
	statsd_free(from);
	statsd_free(to);
	text_free(&buffer);
	free(page);
}

static void test_cost(void **state)
{
	struct fixture *fixture = *state;
	static const char line[] = "app.requests.duration:12.5|ms|@0.5|#env:prod,service:checkout,code:200";
	enum { ROUNDS = 100000 };
	struct timespec from, to;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (int i = 0; i < ROUNDS; i++)
		take(fixture, line);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	print_message("a line with three tags: %.0f ns\n",
		      ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / ROUNDS);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, open_fixture, close_fixture)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_types),     TEST(test_tags_make_labels),   TEST(test_names), TEST(test_malformed),
		TEST(test_conflicts), TEST(test_bounds_and_expiry), TEST(test_sets),  TEST(test_all_formats), TEST(test_cost),
		TEST(test_page_carries_everything), TEST(test_page_has_room_for_all), TEST(test_page_is_not_believed), TEST(test_page_cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
