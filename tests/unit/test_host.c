/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of what node_exporter serves, from trees of files to exposition. Called with `print ROOT [TEXTFILES]` it writes what the
 * tree ROOT/proc, ROOT/sys says as Prometheus text: tests/e2e/test_node_exporter.py gives the same tree to the real one.
 */
#include "collect_bench.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>

#include "collect/host.h"
#include "publish/metric_series.h"

extern const struct collector collector_host;

static struct host *host_on(int proc_fd, int sys_fd, const char *textfiles)
{
	struct host *host = calloc(1, sizeof(*host));
	assert_non_null(host);
	host->proc_fd = proc_fd;
	host->sys_fd = sys_fd;
	host->root_fd = openat(proc_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	host->textfile_directory = textfiles;
	host->out = host_gather_new();
	assert_non_null(host->out);
	return host;
}

static void host_drop(struct host *host)
{
	host_gather_free(host->out);
	close(host->root_fd);
	free(host);
}

static void read_all(struct host *host, struct snapshot *snap)
{
	size_t used = 0;
	for (uint32_t source = 0; source < SERIES_SOURCE_COUNT; source++)
		if (host_readers[source].read)
			host_run(host, source, snap->boot_ns, snap->series.each, SERIES_BYTES, &used);
	snap->series.count = (uint32_t)used;
	snap->series.measured_ns = snap->boot_ns;
}

static const char *render(const struct snapshot *snap, const struct metric_writer *writer, const char *of, struct text *out)
{
	const struct metric_context context = { .snap = snap, .now_ns = snap->boot_ns };
	struct metric_selection selection = { 0 };
	assert_int_equal(metric_select(&selection, of), 0);
	text_reset(out);
	metrics_write_selected(writer, &context, &selection, out);
	text_append(out, "", 1);
	assert_false(out->failed);
	return out->data;
}

static void each_line_of_meminfo_is_a_family(void **given)
{
	struct bench *bench = *given;
	struct text out = { 0 };
	bench_say(bench, "proc/meminfo", "MemTotal:  16 kB\nActive(anon):  2 kB\nHugePages_Total:  3\nOdd line\nNewest:  9 kB\n");
	struct host *host = host_on(bench->env.proc_fd, bench->env.sys_fd, "");
	read_all(host, bench->snap);

	const char *text = render(bench->snap, &prometheus_writer, "meminfo", &out);
	assert_non_null(strstr(text, "\nnode_memory_MemTotal_bytes 16384\n"));
	assert_non_null(strstr(text, "\nnode_memory_Active_anon_bytes 2048\n"));
	assert_non_null(strstr(text, "\nnode_memory_HugePages_Total 3\n"));
	assert_non_null(strstr(text, "\nnode_memory_Newest_bytes 9216\n"));
	assert_null(strstr(text, "Odd"));
	text_free(&out);
	host_drop(host);
}

static void numbers_are_written_as_short_as_they_can_be(void **given)
{
	static const struct { double value; const char *text; } table[] = {
		{ 0, "0" }, { -0.0, "0" }, { -125000, "-125000" }, { 0.1, "0.1" }, { 49.288000000000004, "49.288000000000004" },
		{ 1e300, "1e+300" }, { 9007199254740993.0, "9007199254740992" }, { 18446744073709551615.0, "1.8446744073709552e+19" },
		{ 5e-324, "4.94065645841247e-324" }, { NAN, "NaN" }, { INFINITY, "+Inf" }, { -INFINITY, "-Inf" },
	};
	struct text out = { 0 };

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text_reset(&out);
		text_real(&out, table[i].value);
		text_append(&out, "", 1);
		if (isfinite(table[i].value))
			assert_true(strtod(out.data, NULL) == table[i].value);
		assert_string_equal(out.data, table[i].text);
	}
	text_free(&out);
}

static void bytes_that_lie_about_their_size_end_the_walk(void **given)
{
	struct bench *bench = *given;
	struct text out = { 0 };
	bench_say(bench, "proc/meminfo", "MemTotal:  16 kB\n");
	struct host *host = host_on(bench->env.proc_fd, bench->env.sys_fd, "");
	read_all(host, bench->snap);

	/* Every byte in turn: nothing is read outside (the sanitizers watch), and what is told stays well-formed. */
	uint32_t count = bench->snap->series.count < 2048 ? bench->snap->series.count : 2048;
	for (uint32_t i = 0; i < count; i++) {
		char was = bench->snap->series.each[i];
		bench->snap->series.each[i] = (char)~was;
		(void)render(bench->snap, &openmetrics_writer, "host", &out);
		bench->snap->series.each[i] = was;
	}
	bench->snap->series.count = UINT32_MAX;
	(void)render(bench->snap, &json_writer, "host", &out);
	text_free(&out);
	host_drop(host);
}

static void what_finds_no_room_is_counted(void **given)
{
	static char to[4096];
	struct bench *bench = *given;
	struct host *host = host_on(bench->env.proc_fd, bench->env.sys_fd, "");
	const struct series_block head = { .source = SERIES_ARP };
	size_t used = 0;
	char name[32];

	host_gather_reset(host->out, "test");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "family_%d", i);
		host_put(host, name, SERIES_GAUGE, i, HOST_NONE);
	}
	assert_int_equal(host_gather_cut(host->out), 3000 - 2048);
	host_gather_write(host->out, &head, to, sizeof(to), &used);
	assert_true(used <= sizeof(to));
	assert_true(host_gather_cut(host->out) > 3000 - 2048);
	assert_int_equal(host_put_full(host, "family_1", NULL, SERIES_COUNTER, SERIES_PLAIN, 1, HOST_NONE), -EEXIST);
	host_drop(host);
}

/* The collector itself: quick blocks at once, slow ones as soon as the worker has answered. */
static void the_worker_adds_the_slow_ones(void **given)
{
	struct bench *bench = *given;
	struct text out = { 0 };
	bench_say(bench, "proc/meminfo", "MemTotal:  16 kB\n");
	bench_say(bench, "sys/class/thermal/thermal_zone3/type", "acpi\n");
	bench_say(bench, "sys/class/thermal/thermal_zone3/temp", "-1500\n");
	assert_int_equal(bench_open(bench, &collector_host), 0);
	const char *text = "";
	for (int i = 0; i < 1000 && !strstr(text, "node_thermal_zone_temp{"); i++) {
		usleep(10000);
		assert_int_equal(bench_tick(bench, 0, true), 0);
		text = render(bench->snap, &prometheus_writer, "host", &out);
		assert_non_null(strstr(text, "node_memory_MemTotal_bytes 16384\n"));
	}
	assert_non_null(strstr(text, "\nnode_thermal_zone_temp{type=\"acpi\",zone=\"3\"} -1.5\n"));
	assert_non_null(strstr(text, "\nnode_scrape_collector_success{collector=\"thermal_zone\"} 1\n"));
	assert_non_null(strstr(text, "\nnode_scrape_collector_success{collector=\"mdadm\"} 0\n"));
	text_free(&out);
}

/* The only child: the worker. */
static pid_t worker_of_ours(void)
{
	char text[64];
	bench_read("/proc/thread-self/children", text, sizeof(text));
	return (pid_t)strtol(text, NULL, 10);
}

static void a_reader_that_hangs_is_set_aside(void **given)
{
	struct bench *bench = *given;
	bench_say(bench, "sys/class/thermal/thermal_zone3/type", "acpi\n");
	bench_say(bench, "sys/class/thermal/thermal_zone3/temp", "1000\n");
	assert_int_equal(bench_open(bench, &collector_host), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	pid_t first = worker_of_ours();
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGSTOP), 0);

	/* It is given five seconds; the time is the test's, so nobody waits. It may have answered once before it was stopped. */
	assert_int_equal(bench_tick(bench, 11 * NSEC_PER_SEC, true), 0);
	assert_int_equal(bench_tick(bench, 11 * NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
	assert_non_null(strstr(bench->status.why, "did not answer within 5 s"));
	pid_t second = 0;
	for (int i = 0; i < 1000 && (second == 0 || second == first); i++) {
		usleep(1000);
		assert_int_equal(bench_tick(bench, 11 * NSEC_PER_SEC, true), 0);
		(void)waitpid(first, NULL, WNOHANG);
		second = worker_of_ours();
	}
	assert_true(second > 0 && second != first);
}

static int print(const char *root, const char *textfiles)
{
	struct snapshot *snap = calloc(1, sizeof(*snap));
	char path[512];
	snprintf(path, sizeof(path), "%s/proc", root);
	int proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/sys", root);
	int sys_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!snap || proc_fd < 0 || sys_fd < 0)
		return 1;

	struct host *host = host_on(proc_fd, sys_fd, textfiles);
	struct text out = { 0 };
	snap->boot_ns = snap->interval_ns = NSEC_PER_SEC;
	read_all(host, snap);
	fputs(render(snap, &prometheus_writer, "host", &out), stdout);
	text_free(&out);
	host_drop(host);
	free(snap);
	return 0;
}

int main(int count, char **words)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_line_of_meminfo_is_a_family, bench_make, bench_drop),
		cmocka_unit_test(numbers_are_written_as_short_as_they_can_be),
		cmocka_unit_test_setup_teardown(bytes_that_lie_about_their_size_end_the_walk, bench_make, bench_drop),
		cmocka_unit_test_setup_teardown(what_finds_no_room_is_counted, bench_make, bench_drop),
		cmocka_unit_test_setup_teardown(the_worker_adds_the_slow_ones, bench_make, bench_drop),
		cmocka_unit_test_setup_teardown(a_reader_that_hangs_is_set_aside, bench_make, bench_drop),
	};
	if (count >= 3 && strcmp(words[1], "print") == 0)
		return print(words[2], count > 3 ? words[3] : "");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
