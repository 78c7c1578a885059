/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf exposition: what the text says, and native buckets beside the classic ones. */
#include "tests/unit/family_reader.h"
#include "tests/unit/render_fixture.h"

/* The counts of a native histogram's buckets by their index, added up. */
static uint64_t native_count(const Exposition__Histogram *histogram, int32_t index)
{
	int64_t count = 0;
	int32_t at = 0;
	size_t delta = 0;

	for (size_t i = 0; i < histogram->n_positive_span; i++) {
		at += histogram->positive_span[i]->offset;
		for (uint32_t j = 0; j < histogram->positive_span[i]->length; j++, at++) {
			count += histogram->positive_delta[delta++];
			if (at == index)
				return (uint64_t)count;
		}
	}
	return 0;
}

static void protobuf_says_the_same_with_native_buckets(void **state)
{
	struct fixture *fixture = *state;
	Exposition__MetricFamily *family;
	size_t at = 0, families = 0, samples = 0, lines = 0, exemplars = 0;
	bool seen = false;

	for (const char *line = render(fixture, &prometheus_writer, 0); line; line = strchr(line, '\n')) {
		line += *line == '\n';
		lines += *line && *line != '#' && !strstr(strndupa(line, strcspn(line, "\n")), "_bucket{");
	}
	put_records(fixture);
	(void)render(fixture, &protobuf_writer, 0);
	while ((family = next_family(&fixture->out, &at))) {
		families++;
		samples += family->n_metric * (family->type == EXPOSITION__METRIC_TYPE__HISTOGRAM ? 2 : 1); /* _sum and _count */
		if (strcmp(family->name, "nodemend_syscall_latency_seconds") == 0) {
			const Exposition__Histogram *histogram = family->metric[0]->histogram;

			seen = true;
			assert_string_equal(family->metric[0]->label[0]->name, "syscall");
			assert_string_equal(family->metric[0]->label[0]->value, "read");
			assert_true(histogram->sample_count == 12 && histogram->sample_sum == 0.004);
			assert_true(histogram->schema == 3 && histogram->zero_count == 0 && histogram->zero_threshold == 0x1p-24);
			/* 200 ns: 2^(-22.25) s, so the bucket that ends at 2^(-178/8); 300 ns: 2^(-21.67), at 2^(-173/8) */
			assert_int_equal(native_count(histogram, -178), 3);
			assert_int_equal(native_count(histogram, -173), 6);
			assert_int_equal(native_count(histogram, 8193), 3);
			assert_true(histogram->bucket[1]->cumulative_count == 9 && histogram->bucket[1]->upper_bound == 0x1p-21);
		}
		if (strcmp(family->name, "nodemend_filesystem_dirtied_all_bytes_total") == 0) {
			const Exposition__Exemplar *exemplar = family->metric[0]->counter->exemplar;

			assert_non_null(exemplar);
			assert_string_equal(exemplar->label[0]->name, "incident");
			assert_string_equal(exemplar->label[0]->value, "disk-1");
			assert_true(exemplar->value == 5000);
			assert_int_equal(exemplar->timestamp->seconds, fixture->snap->wall_ns / 1000000000);
			exemplars++;
		}
		if (strcmp(family->name, "nodemend_process_resident_bytes") == 0) /* cleaned, and not escaped */
			assert_string_equal(family->metric[0]->label[1]->value, "a\"b\\c\n\xef\xbf\xbd[2J\xef\xbf\xbd");
		exposition__metric_family__free_unpacked(family, NULL);
	}
	assert_true(seen && families > 50 && exemplars == 1);
	assert_int_equal(samples, lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(protobuf_says_the_same_with_native_buckets),
	};
	return cmocka_run_group_tests_name("protobuf", tests, NULL, NULL);
}
