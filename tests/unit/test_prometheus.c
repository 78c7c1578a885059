/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text formats: escaping, decimals, histograms, what is absent, what is filtered, and that docs/metrics.md is the table.
 * With an argument it prints instead: text, openmetrics or reference, for tests/unit/test_formats.py and for docs/.
 */
#include <errno.h>
#include <time.h>

#include "publish/publish.h"
#include "tests/unit/render_fixture.h"

static void decimals_are_exact(void **state)
{
	static const struct { uint64_t value; unsigned int decimals; const char *text; } cases[] = {
		{ 0, 0, "0" }, { 0, 9, "0" }, { 1, 9, "0.000000001" }, { 1500000000, 9, "1.5" }, { 256, 9, "0.000000256" }, { 1000000000,
			9, "1" },
		{ 17179869184, 9, "17.179869184" }, { UINT64_MAX, 0, "18446744073709551615" }, { UINT64_MAX, 9, "18446744073.709551615" },
		{ 100, 0, "100" }, { 1234, 4, "0.1234" }, { 10, 3, "0.01" }, { 18000000000000000000ULL, 18, "18" },
	};
	struct text text = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_reset(&text);
		text_decimal(&text, cases[i].value, cases[i].decimals);
		text_append(&text, "", 1);
		assert_string_equal(text.data, cases[i].text);
	}
	text_free(&text);
}

static void names_are_escaped(void **state)
{
	static const struct { const char *value, *text; } cases[] = {
		{ "plain", "plain" }, { "", "" }, { "a\"b", "a\\\"b" }, { "a\\b", "a\\\\b" }, { "a\nb", "a\\nb" }, { "\xc3\xa9",
			"\xc3\xa9" },
		{ "\xff", "\xef\xbf\xbd" }, { "x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd" }, { "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" }, { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\x1b[2J", "\xef\xbf\xbd[2J" }, { "a\rb\tc\x7f", "a\xef\xbf\xbd""b\xef\xbf\xbd""c\xef\xbf\xbd" },
	};
	struct text text = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_reset(&text);
		text_label_value(&text, cases[i].value);
		text_append(&text, "", 1);
		assert_string_equal(text.data, cases[i].text);
	}
	text_free(&text);
}

static void unknown_is_absent(void **state)
{
	const char *page = render(*state, &prometheus_writer, 0);
	assert_no(page, "node_memory_MemFree_bytes");
	assert_no(page, "node_processes_max_threads");
	assert_no(page, "node_filefd_maximum");
	assert_no(page, "nodemend_attribution_error_ratio{resource=\"read\"}");
	assert_no(page, "nodemend_process_max_files");
	assert_no(page, "18446744073");
	assert_no(page, "node_network_speed_bytes{device=\"lo\"}");
	assert_no(page, "node_filesystem_size_bytes{device=\"server:/x\"");
	assert_line(page, "node_filesystem_device_error{device=\"server:/x\",fstype=\"nfs4\",mountpoint=\"/nfs\"} 1");
	assert_line(page, "nodemend_filesystem_stuck_seconds{device=\"server:/x\",fstype=\"nfs4\",mountpoint=\"/nfs\"} 3");
	assert_no(page, "node_filesystem_files{device=\"none\"");
	assert_no(page, "nodemend_exhausted_in_seconds{resource=\"filesystem\",device=\"none\"");
	assert_no(page, "nodemend_cgroup_memory_max_bytes");
	assert_no(page, "nodemend_bpf_map_entries{collector=\"syscall\"");
	assert_no(page, "nodemend_coverage_ratio{collector=\"syscall\"}");
	assert_no(page, "nodemend_collector_depth{collector=\"task\"}");
	assert_no(page, "nodemend_self_cpu_ratio{where=\"publisher\"}");
	assert_no(page, "collector=\"unit\"");
	assert_no(page, "nodemend_remedy_armed{remedy=\"restart-unit\"}");
}

static void what_is_stale_is_absent(void **state)
{
	struct fixture *fixture = *state;
	fixture->snap->cpu.measured_ns = FULL_SNAPSHOT_BOOT_NS - 4 * NSEC_PER_SEC;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "node_cpu_seconds_total");
	assert_line(page, "node_memory_MemAvailable_bytes 8589934592");

	fixture->context.now_ns += 4 * NSEC_PER_SEC; /* the agent hangs */
	page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "node_memory");
	assert_no(page, "nodemend_syscalls_total");
	assert_no(page, "nodemend_collector_up");
	assert_line(page, "nodemend_snapshot_age_seconds 4");
}

static void without_a_snapshot_only_the_publisher_speaks(void **state)
{
	struct fixture *fixture = *state;
	fixture->context.snap = NULL;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "node_");
	assert_line(page, "nodemend_publisher_requests_total 0");
}

static void a_down_collector_takes_its_metrics_along(void **state)
{
	struct fixture *fixture = *state;
	fixture->snap->collectors[COLLECTOR_TASK].state = COLLECTOR_DOWN;
	const char *page = render(fixture, &prometheus_writer, 0);
	assert_no(page, "nodemend_process_exits_total");
	assert_line(page, "nodemend_collector_up{collector=\"task\",source=\"procfs\"} 0");
}

static void histograms_are_cumulative_and_constant(void **state)
{
	struct fixture *fixture = *state;
	memset(&fixture->snap->syscalls.each[2], 0, sizeof(fixture->snap->syscalls.each[2]));
	fixture->snap->syscalls.each[2].nr = 2; /* one call, longer than all buckets: the same buckets */
	fixture->snap->syscalls.each[2].timed = fixture->snap->syscalls.each[2].count = 1;
	fixture->snap->syscalls.each[2].latency.buckets[HISTOGRAM_BUCKETS - 1] = 1;
	const char *page = render(fixture, &prometheus_writer, 1u << COLLECTOR_SYSCALL);
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"2.384185791015625e-07\"} 3");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"4.76837158203125e-07\"} 9");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"16\"} 9");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"read\",abi=\"64\",class=\"working\",le=\"+Inf\"} 12");
	assert_line(page, "nodemend_syscall_latency_seconds_sum{syscall=\"read\",abi=\"64\",class=\"working\"} 0.004");
	assert_line(page, "nodemend_syscall_latency_seconds_count{syscall=\"read\",abi=\"64\",class=\"working\"} 12");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"open\",abi=\"64\",class=\"working\",le=\"2.384185791015625e-07\"} 0");
	assert_line(page, "nodemend_syscall_latency_seconds_bucket{syscall=\"open\",abi=\"64\",class=\"working\",le=\"16\"} 0");

	page = render(fixture, &prometheus_writer, 1u << METRIC_OF_AGENT);
	assert_line(page, "nodemend_tick_seconds_bucket{le=\"0.0009765625\"} 0");
	assert_line(page, "nodemend_tick_seconds_bucket{le=\"0.001953125\"} 5");
	assert_line(page, "nodemend_tick_seconds_count 5");
}

static void rows_are_bounded_and_counted(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &prometheus_writer, 0);
	int series = 0;
	for (const char *at = page; (at = strstr(at, "\nnodemend_process_resident_bytes{")); at++)
		series++;
	assert_int_equal(series, 10);
	assert_line(page, "nodemend_series_folded_total{entity=\"process\"} 90");
	/* Those ten and the rest are what all hundred have used: 0 + 1 + … + 99 µs. */
	double sum = 0;
	for (const char *at = page; (at = strstr(at, "\nnodemend_process_cpu_seconds_total{")); at++)
		sum += strtod(strstr(at, "} ") + 2, NULL);
	assert_non_null(strstr(page, "\nnodemend_process_cpu_seconds_total{comm=\"other\"} "));
	assert_true(sum > 0.0049499 && sum < 0.0049501);
	/* The largest by processor time, and the largest by memory. */
	assert_non_null(strstr(page, "nodemend_process_threads{pid=\"100\""));
	assert_non_null(strstr(page, "nodemend_process_threads{pid=\"1\""));
	assert_no(page, "nodemend_process_threads{pid=\"50\"");
}

static void the_filter_keeps_only_its_collectors(void **state)
{
	const char *page = render(*state, &prometheus_writer, 1u << COLLECTOR_DISK | 1u << COLLECTOR_PSI);
	assert_non_null(strstr(page, "node_disk_io_now"));
	assert_non_null(strstr(page, "node_pressure_"));
	assert_no(page, "node_cpu");
	assert_no(page, "node_memory");
	assert_no(page, "nodemend_build_info");
	assert_int_equal(metric_source_by_name("disk"), COLLECTOR_DISK);
	assert_int_equal(metric_source_by_name("agent"), METRIC_OF_AGENT);
	assert_int_equal(metric_source_by_name("nonsense"), -ENOENT);
}

static void openmetrics_differs_where_it_must(void **state)
{
	struct fixture *fixture = *state;
	const char *page = render(fixture, &openmetrics_writer, 0);
	assert_line(page, "# TYPE node_cpu_seconds counter");
	assert_line(page, "# UNIT node_cpu_seconds seconds");
	assert_line(page, "node_cpu_seconds_total{cpu=\"1\",mode=\"idle\"} 2451.59");
	assert_line(page, "# TYPE node_vmstat_pgfault unknown");
	assert_no(page, "# UNIT node_load1");
	assert_line(page, "# TYPE nodemend_build info");
	assert_line(page, "nodemend_build_info{version=\"" NODEMEND_VERSION "\"} 1");
	assert_non_null(strstr(page, ",le=\"1.0\"} "));
	assert_non_null(strstr(page, ",le=\"16.0\"} "));
	assert_line(render(fixture, &prometheus_writer, 0), "# TYPE nodemend_build_info gauge");
	page = render(fixture, &openmetrics_writer, 0);
	size_t length = strlen(page);
	assert_string_equal(page + length - 6, "# EOF\n");
	assert_no(render(fixture, &prometheus_writer, 0), "# EOF");
}

/* Prometheus takes a family's lines only in one piece, and each name only once. */
static void the_table_is_in_order(void **state)
{
	for (const struct metric_table *const *table = metric_tables; *table; table++) {
		for (size_t i = 0; i < (*table)->count; i++) {
			const struct metric *metric = &(*table)->each[i];
			size_t length = strlen(metric->name);
			bool total = length > 6 && strcmp(metric->name + length - 6, "_total") == 0;
			assert_true(total == (metric->type == METRIC_COUNTER));
			assert_true(strncmp(metric->name, "node_", 5) == 0 || strncmp(metric->name, "nodemend_", 9) == 0);
			assert_null(strpbrk(metric->help, "\\\"\n|"));
			for (const struct metric_table *const *other = metric_tables; *other; other++)
				for (size_t j = 0; j < (*other)->count; j++)
					assert_true(metric == &(*other)->each[j] || strcmp(metric->name, (*other)->each[j].name) != 0);
		}
	}
}

static void accept_is_understood(void **state)
{
	assert_int_equal(EXPOSITION_TEXT, accept_exposition(""));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("*/*"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("text/plain;version=0.0.4;q=1,*/*;q=0.1"));
	assert_int_equal(EXPOSITION_OPENMETRICS, accept_exposition("application/openmetrics-text; version=1.0.0"));
	assert_int_equal(EXPOSITION_OPENMETRICS, accept_exposition("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
					       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("application/openmetrics-text;q=0.2,text/plain;q=0.5"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("application/openmetrics-text;q=0,text/html"));
	assert_int_equal(EXPOSITION_TEXT, accept_exposition("application/openmetrics-textual"));
	assert_int_equal(EXPOSITION_PROTOBUF, accept_exposition(
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
		"application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_int_equal(EXPOSITION_OPENMETRICS, accept_exposition("application/vnd.google.protobuf;q=0.7,application/openmetrics-text;q=0.8"));
}

static void the_reference_is_the_table(void **state)
{
	FILE *page = fopen("docs/metrics.md", "r");
	assert_non_null(page);
	char *made = NULL, *kept = calloc(1, 1 << 20);
	size_t size = 0, length = fread(kept, 1, (1 << 20) - 1, page);
	fclose(page);
	FILE *out = open_memstream(&made, &size);
	metrics_print_reference(out);
	fclose(out);
	assert_int_equal(length, size);
	assert_string_equal(made, kept);
	free(made);
	free(kept);
}

static int print(const char *what)
{
	void *state;
	if (strcmp(what, "reference") == 0) {
		metrics_print_reference(stdout);
		return 0;
	}
	open_fixture(&state);
	struct fixture *fixture = state;
	if (strcmp(what, "cost") == 0) { /* processor time of a scrape, for the bench */
		struct timespec from, to;
		size_t lines = 0;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		for (int i = 0; i < 200; i++)
			render(fixture, &prometheus_writer, 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		for (const char *at = fixture->out.data; (at = strchr(at, '\n')); at++)
			lines += at[1] && at[1] != '#';
		printf("%zu series %.1f us\n", lines,
			((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / 200e3);
	} else {
		put_records(fixture);
		fputs(render(fixture, strcmp(what, "openmetrics") == 0 ? &openmetrics_writer : &prometheus_writer, 0), stdout);
	}
	close_fixture(&state);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return print(argv[1]);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimals_are_exact),
		cmocka_unit_test(names_are_escaped),
		TEST(unknown_is_absent),
		TEST(what_is_stale_is_absent),
		TEST(without_a_snapshot_only_the_publisher_speaks),
		TEST(a_down_collector_takes_its_metrics_along),
		TEST(histograms_are_cumulative_and_constant),
		TEST(rows_are_bounded_and_counted),
		TEST(the_filter_keeps_only_its_collectors),
		TEST(openmetrics_differs_where_it_must),
		cmocka_unit_test(the_table_is_in_order),
		cmocka_unit_test(accept_is_understood),
		cmocka_unit_test(the_reference_is_the_table),
	};
	return cmocka_run_group_tests_name("prometheus", tests, NULL, NULL);
}
