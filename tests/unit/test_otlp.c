/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP metrics, unpacked again by protobuf-c: types, starts, values, buckets with their bounds, bounded requests; gzip, and what a
 * receiver answers. tests/e2e/test_otlp.py has OpenTelemetry's own decoders.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#include "otlp.pb-c.h"
#include "publish/records.h"
#include "push/otlp_metrics.h"
#include "push/otlp_response.h"
#include "tests/unit/full_snapshot.h"

enum { REQUESTS_MAX = 2048, KEY_LEN_MAX = 512 };
#define BOOT_WALL_NS (1795485165500000000 - (int64_t)FULL_SNAPSHOT_BOOT_NS)
#define AGENT_WALL_NS (BOOT_WALL_NS + 7)

struct fixture {
	struct snapshot *snap;
	struct shown shown;
	struct records records;
	struct publisher_counters counters;
	struct metric_context context;
	struct otlp_node node;
	struct otlp_resource resource;
	struct otlp_metrics metrics;
	uint32_t request_count, points;
	size_t largest;
	Otlp__Envelope *requests[REQUESTS_MAX];
};

static void take(void *context, const struct text *request, uint32_t points)
{
	struct fixture *fixture = context;

	assert_true(fixture->request_count < REQUESTS_MAX);
	fixture->points += points;
	fixture->largest = request->length > fixture->largest ? request->length : fixture->largest;
	fixture->requests[fixture->request_count] = otlp__envelope__unpack(NULL, request->length, (const uint8_t *)request->data);
	assert_non_null(fixture->requests[fixture->request_count]);
	fixture->request_count++;
}

static int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct outputs *outputs = calloc(1, sizeof(*outputs));

	fixture->snap = empty_snapshot();
	fill_snapshot(fixture->snap, 42, FULL_SNAPSHOT_BOOT_NS, 40, 100);
	shown_choose(&fixture->shown, fixture->snap, 10);
	fixture->context = (struct metric_context){ .snap = fixture->snap, .now_ns = FULL_SNAPSHOT_BOOT_NS, .shown = &fixture->shown,
						    .records = &fixture->records, .counters = &fixture->counters };
	fixture->node = (struct otlp_node){ .name = "n1", .host_id = "0123456789abcdef0123456789abcdef" };
	outputs->label_count = 3;
	outputs->labels[0] = (struct output_field){ "cluster", "c1" };
	outputs->labels[1] = (struct output_field){ "instance", "n1:9847" };
	outputs->labels[2] = (struct output_field){ "job", "nodemend" };
	assert_int_equal(otlp_resource_make(&fixture->node, outputs, &fixture->resource), 0);
	free(outputs);
	fixture->metrics = (struct otlp_metrics){ .resource = &fixture->resource, .max_bytes = 512 << 10, .max_points = 100000, .take = take,
						  .context = fixture,
						  .start_wall_ns = { [OTLP_SINCE_BOOT] = BOOT_WALL_NS, [OTLP_SINCE_AGENT] = AGENT_WALL_NS } };
	*state = fixture;
	return 0;
}

static void forget_requests(struct fixture *fixture)
{
	for (uint32_t i = 0; i < fixture->request_count; i++)
		otlp__envelope__free_unpacked(fixture->requests[i], NULL);
	fixture->request_count = fixture->points = 0;
	fixture->largest = 0;
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;

	forget_requests(fixture);
	otlp_metrics_free(&fixture->metrics);
	otlp_resource_free(&fixture->resource);
	munmap(fixture->snap, sizeof(*fixture->snap));
	free(fixture);
	return 0;
}

static void encode(struct fixture *fixture)
{
	forget_requests(fixture);
	assert_int_equal(otlp_metrics_write(&fixture->metrics, &fixture->context), 0);
	assert_true(fixture->request_count > 0);
}

/* --- looking into what was unpacked ---------------------------------------------------------------------------------------- */

static const Otlp__ScopeItems *scope_of(const Otlp__Envelope *request)
{
	assert_int_equal(request->n_resource_items, 1);
	assert_int_equal(request->resource_items[0]->n_scope_items, 1);
	return request->resource_items[0]->scope_items[0];
}

/* The only metric of that name in the first request; freed by the caller. */
static Otlp__Metric *metric_of(const struct fixture *fixture, const char *name)
{
	const Otlp__ScopeItems *scope = scope_of(fixture->requests[0]);
	Otlp__Metric *found = NULL;

	for (size_t i = 0; i < scope->n_items; i++) {
		Otlp__Metric *metric = otlp__metric__unpack(NULL, scope->items[i].len, scope->items[i].data);

		assert_non_null(metric);
		if (strcmp(metric->name, name) == 0) {
			assert_null(found);
			found = metric;
		} else {
			otlp__metric__free_unpacked(metric, NULL);
		}
	}
	return found;
}

static const char *attribute(Otlp__KeyValue *const *attributes, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(attributes[i]->key, key) == 0)
			return attributes[i]->value->string_value;
	return NULL;
}

static Otlp__NumberDataPoint *number_of(const Otlp__Points *points, size_t index)
{
	assert_non_null(points);
	assert_true(index < points->n_data_points);
	Otlp__NumberDataPoint *point =
		otlp__number_data_point__unpack(NULL, points->data_points[index].len, points->data_points[index].data);
	assert_non_null(point);
	return point;
}

static Otlp__ExponentialHistogramDataPoint *histogram_of(const Otlp__Points *points, size_t index)
{
	assert_non_null(points);
	assert_true(index < points->n_data_points);
	Otlp__ExponentialHistogramDataPoint *point =
		otlp__exponential_histogram_data_point__unpack(NULL, points->data_points[index].len, points->data_points[index].data);
	assert_non_null(point);
	return point;
}

/* --- tests ----------------------------------------------------------------------------------------------------------------- */

static void says_who_speaks(void **state)
{
	struct fixture *fixture = *state;
	static const char *const wanted[][2] = {
		{ "service.name", "nodemend" }, { "service.version", NODEMEND_VERSION }, { "host.name", "n1" }, { "os.type", "linux" },
		{ "host.id", "0123456789abcdef0123456789abcdef" }, { "cluster", "c1" }, { "service.instance.id", "n1:9847" },
	};

	encode(fixture);
	assert_int_equal(fixture->request_count, 1);
	const Otlp__ResourceItems *items = fixture->requests[0]->resource_items[0];
	assert_int_equal(items->resource->n_attributes, sizeof(wanted) / sizeof(wanted[0])); /* and no k8s.node.name, no job */
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		assert_string_equal(attribute(items->resource->attributes, items->resource->n_attributes, wanted[i][0]), wanted[i][1]);
	assert_string_equal(items->scope_items[0]->scope->name, "nodemend");
	assert_int_equal(strncmp(items->schema_url, "https://opentelemetry.io/schemas/", 33), 0);
}

static void counters_are_cumulative_sums(void **state)
{
	struct fixture *fixture = *state;

	encode(fixture);
	Otlp__Metric *metric = metric_of(fixture, "node_context_switches_total");
	assert_non_null(metric);
	assert_string_equal(metric->unit, "1");
	assert_null(metric->gauge);
	assert_true(metric->sum->is_monotonic);
	assert_int_equal(metric->sum->aggregation_temporality, OTLP__TEMPORALITY__CUMULATIVE);
	Otlp__NumberDataPoint *point = number_of(metric->sum, 0);
	assert_int_equal(point->value_case, OTLP__NUMBER_DATA_POINT__VALUE_AS_INT);
	assert_int_equal(point->as_int, 9);
	assert_int_equal(point->time_unix_nano, 1795485165500000000);
	assert_int_equal(point->start_time_unix_nano, BOOT_WALL_NS);
	otlp__number_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);

	metric = metric_of(fixture, "nodemend_syscalls_total"); /* counted by us, so since we began */
	point = number_of(metric->sum, 0);
	assert_int_equal(point->start_time_unix_nano, AGENT_WALL_NS);
	otlp__number_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);

	metric = metric_of(fixture, "node_cpu_seconds_total");
	assert_string_equal(metric->unit, "s");
	point = number_of(metric->sum, 0);
	assert_int_equal(point->value_case, OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE);
	otlp__number_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);
}

static void gauges_have_no_start(void **state)
{
	struct fixture *fixture = *state;

	encode(fixture);
	Otlp__Metric *metric = metric_of(fixture, "node_memory_MemTotal_bytes");
	assert_string_equal(metric->unit, "By");
	assert_null(metric->sum);
	assert_int_equal(metric->gauge->aggregation_temporality, 0);
	Otlp__NumberDataPoint *point = number_of(metric->gauge, 0);
	assert_int_equal(point->as_int, 16LL << 30);
	assert_int_equal(point->start_time_unix_nano, 0);
	otlp__number_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);

	metric = metric_of(fixture, "node_vmstat_pgfault"); /* of no type */
	assert_non_null(metric->gauge);
	otlp__metric__free_unpacked(metric, NULL);
	assert_null(metric_of(fixture, "node_memory_Slab_bytes")); /* unknown is absent */
}

/* A start that a clock set back has put in the future, or that nobody knows, is not said. */
static void unknown_starts_are_left_out(void **state)
{
	struct fixture *fixture = *state;

	fixture->metrics.start_wall_ns[OTLP_SINCE_BOOT] = INT64_MAX;
	encode(fixture);
	Otlp__Metric *metric = metric_of(fixture, "node_context_switches_total");
	Otlp__NumberDataPoint *point = number_of(metric->sum, 0);
	assert_int_equal(point->start_time_unix_nano, 0);
	otlp__number_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);
}

static void every_counter_says_since_when(void **state)
{
	for (const struct metric_table *const *table = metric_tables; *table; table++)
		for (size_t i = 0; i < (*table)->count; i++) {
			const struct metric *metric = &(*table)->each[i];

			if ((metric->type == METRIC_COUNTER || metric->type == METRIC_HISTOGRAM) && !otlp_since_of[metric->source])
				fail_msg("%s: otlp_since_of[] of its collector is not set", metric->name);
		}
}

static void hostile_labels_are_utf8(void **state)
{
	struct fixture *fixture = *state;

	encode(fixture);
	Otlp__Metric *metric = metric_of(fixture, "node_filesystem_readonly");
	Otlp__NumberDataPoint *point = number_of(metric->gauge, 1);
	assert_string_equal(attribute(point->attributes, point->n_attributes, "mountpoint"), "/mnt/\xef\xbf\xbdt\xc3\xa9 \"x\"\\\n");
	otlp__number_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);
}

/* Each of our buckets alone: OTLP's bucket k ends at base^(k+1) with base = 2^(2^-scale), and that is our bound. */
static void buckets_are_ours(void **state)
{
	struct fixture *fixture = *state;
	struct histogram *latency = &fixture->snap->syscalls.each[0].latency;

	for (uint32_t i = 1; i < HISTOGRAM_BUCKETS - 1; i += 7) {
		memset(latency, 0, sizeof(*latency));
		latency->buckets[i] = i + 1000;
		encode(fixture);
		Otlp__Metric *metric = metric_of(fixture, "nodemend_syscall_latency_seconds");
		assert_int_equal(metric->exponential_histogram->aggregation_temporality, OTLP__TEMPORALITY__CUMULATIVE);
		Otlp__ExponentialHistogramDataPoint *point = histogram_of(metric->exponential_histogram, 0);
		assert_int_equal(point->scale, 3);
		assert_int_equal(point->positive->n_bucket_counts, 1);
		assert_int_equal(point->positive->bucket_counts[0], i + 1000);
		assert_int_equal(point->count, i + 1000);
		double base = exp2(exp2(-point->scale)), end = exp2(HISTOGRAM_FIRST_EXP + (double)i / HISTOGRAM_PER_OCTAVE);
		assert_true(fabs(pow(base, point->positive->offset + 1) / end - 1) < 1e-12);
		otlp__exponential_histogram_data_point__free_unpacked(point, NULL);
		otlp__metric__free_unpacked(metric, NULL);
	}
}

/* 3, 6 and 3 observations, the last of them above 64 s. */
static void nothing_is_made_up_for_the_overflow(void **state)
{
	struct fixture *fixture = *state;

	fixture->snap->syscalls.each[0].latency.buckets[0] = 5;
	memset(&fixture->snap->syscalls.each[1].latency, 0, sizeof(struct histogram));
	fixture->snap->syscalls.each[1].latency.buckets[histogram_bucket(1000)] = 2;
	fixture->snap->syscalls.each[1].latency.sum_ns = 1500;
	encode(fixture);
	Otlp__Metric *metric = metric_of(fixture, "nodemend_syscall_latency_seconds");
	assert_int_equal(metric->exponential_histogram->n_data_points, 40);
	Otlp__ExponentialHistogramDataPoint *point = histogram_of(metric->exponential_histogram, 0);
	assert_int_equal(point->zero_count, 5);
	assert_true(fabs(point->zero_threshold - exp2(-24)) < 1e-20);
	assert_int_equal(point->count, 5 + 3 + 6);
	assert_int_equal(point->has_sum_case, OTLP__EXPONENTIAL_HISTOGRAM_DATA_POINT__HAS_SUM__NOT_SET);
	otlp__exponential_histogram_data_point__free_unpacked(point, NULL);

	point = histogram_of(metric->exponential_histogram, 1);
	assert_int_equal(point->count, 2);
	assert_true(fabs(point->sum - 1.5e-6) < 1e-15);
	otlp__exponential_histogram_data_point__free_unpacked(point, NULL);
	otlp__metric__free_unpacked(metric, NULL);

	metric = metric_of(fixture, "nodemend_syscall_latency_seconds_overflow");
	assert_true(metric->sum->is_monotonic);
	assert_int_equal(metric->sum->n_data_points, 39);
	Otlp__NumberDataPoint *number = number_of(metric->sum, 0);
	assert_int_equal(number->as_int, 3);
	assert_string_equal(attribute(number->attributes, number->n_attributes, "abi"), "64");
	otlp__number_data_point__free_unpacked(number, NULL);
	otlp__metric__free_unpacked(metric, NULL);
}

/* Counts a family's points over all requests. */
static size_t points_of(const struct fixture *fixture, const char *name)
{
	size_t points = 0;

	for (uint32_t r = 0; r < fixture->request_count; r++) {
		const Otlp__ScopeItems *scope = scope_of(fixture->requests[r]);

		for (size_t i = 0; i < scope->n_items; i++) {
			Otlp__Metric *metric = otlp__metric__unpack(NULL, scope->items[i].len, scope->items[i].data);
			const Otlp__Points *data = metric->sum ? metric->sum : metric->gauge ? metric->gauge : metric->exponential_histogram;

			assert_non_null(data);
			assert_true(data->n_data_points > 0);
			if (!name || strcmp(metric->name, name) == 0)
				points += data->n_data_points;
			otlp__metric__free_unpacked(metric, NULL);
		}
	}
	return points;
}

static void requests_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	static const struct { size_t bytes; uint32_t points; } bounds[] = { { 4096, 100000 }, { 512 << 10, 7 }, { 1, 1 } };

	encode(fixture);
	size_t all = points_of(fixture, NULL), latency = points_of(fixture, "nodemend_syscall_latency_seconds");
	assert_int_equal(all, fixture->points);
	assert_int_equal(latency, 40);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		fixture->metrics.max_bytes = bounds[i].bytes;
		fixture->metrics.max_points = bounds[i].points;
		encode(fixture);
		assert_true(fixture->request_count > 1);
		assert_int_equal(points_of(fixture, NULL), all);
		assert_int_equal(fixture->points, all);
		assert_int_equal(points_of(fixture, "nodemend_syscall_latency_seconds"), latency);
		assert_int_equal(points_of(fixture, "nodemend_syscall_latency_seconds_overflow"), 40);
		if (bounds[i].bytes == 4096)
			assert_true(fixture->largest < 4096 + 2048); /* the last point, and the shells */
	}
}

static void a_spoiled_request_is_none(void **state)
{
	struct fixture *fixture = *state;

	otlp_metrics_free(&fixture->metrics);
	encode(fixture);
	const struct text *request = &fixture->metrics.out; /* the last one is still there */
	assert_null(otlp__envelope__unpack(NULL, request->length - 1, (const uint8_t *)request->data));
	request->data[1] ^= 1; /* the length of all */
	assert_null(otlp__envelope__unpack(NULL, request->length, (const uint8_t *)request->data));
}

static void gzip_comes_back(void **state)
{
	struct fixture *fixture = *state;
	struct text packed = { 0 };
	static uint8_t plain[1 << 20];
	z_stream stream = { 0 };

	encode(fixture);
	assert_int_equal(otlp_compress(&fixture->metrics.out, &packed), 0);
	assert_true(packed.length < fixture->metrics.out.length / 4);
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	stream.next_in = (Bytef *)packed.data;
	stream.avail_in = (uInt)packed.length;
	stream.next_out = plain;
	stream.avail_out = sizeof(plain);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.total_out, fixture->metrics.out.length);
	assert_memory_equal(plain, fixture->metrics.out.data, stream.total_out);
	assert_int_equal(inflateEnd(&stream), Z_OK);
	text_free(&packed);
}

static void answers_are_read(void **state)
{
	static const uint8_t rejected[] = { 0x0a, 0x0a, 0x08, 0x05, 0x12, 0x06, 't', 'o', 'o', '\n', '\x1b', 'X' };
	static const uint8_t warning[] = { 0x0a, 0x04, 0x12, 0x02, 'h', 'i' }, negative[] = { 0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff,
											     0xff, 0xff, 0xff, 0xff, 0x01 };
	struct otlp_partial partial;

	assert_int_equal(otlp_response_read(rejected, sizeof(rejected), &partial), 1);
	assert_int_equal(partial.rejected, 5);
	assert_string_equal(partial.words, "too??X");
	assert_int_equal(otlp_response_read(warning, sizeof(warning), &partial), 1);
	assert_int_equal(partial.rejected, 0);
	assert_string_equal(partial.words, "hi");
	assert_int_equal(otlp_response_read(negative, sizeof(negative), &partial), 0);
	assert_int_equal(otlp_response_read("", 0, &partial), 0);
	assert_int_equal(otlp_response_read(rejected, sizeof(rejected) - 1, &partial), -EPROTO);
	assert_int_equal(otlp_response_read("<html>", 6, &partial), -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(says_who_speaks), TEST(counters_are_cumulative_sums), TEST(gauges_have_no_start), TEST(unknown_starts_are_left_out),
		TEST(every_counter_says_since_when), TEST(hostile_labels_are_utf8), TEST(buckets_are_ours), TEST(nothing_is_made_up_for_the_overflow),
		TEST(requests_are_bounded), TEST(a_spoiled_request_is_none), TEST(gzip_comes_back), TEST(answers_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
