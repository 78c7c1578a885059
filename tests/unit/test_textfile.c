/* SPDX-License-Identifier: Apache-2.0 */
/* Text files of strangers: what is taken, what is refused and where, and how it leaves in each format. */
#include "collect_bench.h"

#include "collect/textfile.h"
#include "publish/metric_series.h"

struct taken {
	uint32_t count;
	char text[4096];
};

static bool take(void *opaque, const struct textfile_sample *sample, struct textfile_fault *fault)
{
	struct taken *taken = opaque;
	size_t at = strlen(taken->text);

	taken->count++;
	at += (size_t)snprintf(taken->text + at, sizeof(taken->text) - at, "%s%s", sample->family, series_suffixes[sample->suffix]);
	for (uint32_t i = 0; i < sample->label_count && at < sizeof(taken->text); i++)
		at += (size_t)snprintf(taken->text + at, sizeof(taken->text) - at, " %s=[%s]", sample->labels[i].name, sample->labels[i].value);
	if (at < sizeof(taken->text))
		snprintf(taken->text + at, sizeof(taken->text) - at, " %g\n", sample->value);
	return true;
}

static int parse(const char *text, size_t size, struct taken *ret, struct textfile_fault *fault)
{
	struct textfile_parser *parser = textfile_parser_new();
	assert_non_null(parser);
	*ret = (struct taken){ 0 };
	int error = textfile_parse(parser, text, size, take, ret, fault);
	textfile_parser_free(parser);
	return error;
}

static void good_files_are_taken(void **state)
{
	static const struct { const char *text, *taken; } table[] = {
		{ "", "" },
		{ "\n\n# remark\n#\n", "" },
		{ "a 1\n", "a 1\n" },
		{ "  a\t{ } \t 2  \n", "a 2\n" },
		{ "a:b_C9{x=\"1\",} 0.5\n", "a:b_C9 x=[1] 0.5\n" },
		{ "a{z=\"1\", y = \"2\"} -3e2\n", "a y=[2] z=[1] -300\n" },
		{ "a{x=\"\\\\\\\"\\n\xc3\xa4\"} +Inf\n", "a x=[\\\"\n\xc3\xa4] inf\n" },
		{ "a{x=\"}\"} 1\n", "a x=[}] 1\n" },
		{ "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 3\nh_count 4\nh_other 5\n", "h_bucket le=[1] 2\nh_sum 3\nh_count 4\nh_other 5\n" },
		{ "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\ns_bucket 4\n", "s quantile=[0.5] 1\ns_sum 2\ns_count 3\ns_bucket 4\n" },
		{ "# HELP a text with \\\\ and \\n\n# TYPE a untyped\na 1\n", "a 1\n" },
		{ "a_sum 1\na_count 2\n", "a_sum 1\na_count 2\n" },
	};
	struct textfile_fault fault;
	struct taken taken;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (parse(table[i].text, strlen(table[i].text), &taken, &fault) < 0)
			fail_msg("%s: %s", table[i].text, fault.text);
		assert_string_equal(taken.text, table[i].taken);
	}
}

static void bad_files_are_refused_with_their_line(void **state)
{
	static const struct { uint32_t line; const char *text, *why; } table[] = {
		{ 1, "a 1", "last line" },
		{ 2, "a 1\nb 2", "last line" },
		{ 1, "a\n", "number" },
		{ 1, "a one\n", "number" },
		{ 1, "a 0x10\n", "number" },
		{ 1, "a 1_000\n", "number" },
		{ 1, "a -nan\n", "number" },
		{ 1, "a 1e999\n", "number" },
		{ 1, "a 1 1395066363000\n", "timestamps" },
		{ 1, "a 1 x\n", "timestamps" },
		{ 1, "1a 1\n", "name" },
		{ 1, "a-b 1\n", "number" },
		{ 1, "{a=\"b\"} 1\n", "name" },
		{ 1, "a{b} 1\n", "=" },
		{ 1, "a{b=c} 1\n", "quotes" },
		{ 1, "a{b=\"c} 1\n", "closing" },
		{ 1, "a{b=\"\\t\"} 1\n", "escapes" },
		{ 1, "a{b=\"c\" d=\"e\"} 1\n", "," },
		{ 1, "a{b=\"c\"\n", "," },
		{ 1, "a{1b=\"c\"} 1\n", "name" },
		{ 1, "a{b:c=\"c\"} 1\n", "=" },
		{ 1, "a{__name__=\"c\"} 1\n", "__name__" },
		{ 1, "a{b=\"1\",b=\"2\"} 1\n", "twice" },
		{ 1, "a{b=\"\xff\"} 1\n", "UTF-8" },
		{ 1, "a{b=\"\xed\xa0\x80\"} 1\n", "UTF-8" },
		{ 1, "a 1\r\n", "number" },
		{ 2, "a 1\n# TYPE a gauge\n", "behind its samples" },
		{ 2, "# TYPE a gauge\n# TYPE a gauge\n", "second TYPE" },
		{ 2, "# HELP a x\n# HELP a x\n", "second HELP" },
		{ 1, "# HELP a \\x\n", "escapes" },
		{ 1, "# TYPE a\n", "no type" },
		{ 1, "# TYPE a info\n", "none of" },
		{ 1, "# TYPE a gauge more\n", "none of" },
		{ 1, "# TYPE 1a gauge\n", "name" },
		{ 2, "# TYPE h histogram\nh 1\n", "histogram" },
		{ 2, "# TYPE h histogram\nh_bucket 1\n", "le" },
		{ 2, "# TYPE s summary\ns 1\n", "quantile" },
	};
	struct textfile_fault fault;
	struct taken taken;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (parse(table[i].text, strlen(table[i].text), &taken, &fault) == 0)
			fail_msg("taken: %s", table[i].text);
		if (fault.line != table[i].line || !strstr(fault.text, table[i].why))
			fail_msg("%s: line %u: %s", table[i].text, fault.line, fault.text);
	}
	assert_int_equal(parse("a\0 1\n", 5, &taken, &fault), -EINVAL);
}

static void what_is_too_much_is_refused(void **state)
{
	enum { ROOM = 1 << 20 };
	struct textfile_fault fault;
	struct taken taken;
	char *text = malloc(ROOM);
	size_t at;

	assert_non_null(text);
	at = (size_t)sprintf(text, "a{b=\"");
	memset(text + at, 'x', TEXTFILE_LABEL_VALUE + 1);
	at += TEXTFILE_LABEL_VALUE + 1;
	at += (size_t)sprintf(text + at, "\"} 1\n");
	assert_int_equal(parse(text, at, &taken, &fault), -EINVAL);

	memset(text, 'n', TEXTFILE_NAME + 1);
	at = TEXTFILE_NAME + 1 + (size_t)sprintf(text + TEXTFILE_NAME + 1, " 1\n");
	assert_int_equal(parse(text, at, &taken, &fault), -EINVAL);

	at = (size_t)sprintf(text, "a{");
	for (int i = 0; i <= SERIES_MAX_LABELS; i++)
		at += (size_t)sprintf(text + at, "l%d=\"1\",", i);
	at += (size_t)sprintf(text + at, "} 1\n");
	assert_int_equal(parse(text, at, &taken, &fault), -EINVAL);

	at = 0;
	for (int i = 0; i <= TEXTFILE_FAMILIES; i++)
		at += (size_t)sprintf(text + at, "f%d 1\n", i);
	assert_int_equal(parse(text, at, &taken, &fault), -EINVAL);
	assert_int_equal(fault.line, TEXTFILE_FAMILIES + 1);
	free(text);
}

/* --- a directory -------------------------------------------------------------------------------------------------------- */

static void read_directory(struct bench *bench, struct host *host)
{
	char path[PATH_LEN];
	size_t used = 0;

	snprintf(path, sizeof(path), "/files");
	host->textfile_directory = path;
	host_run(host, SERIES_TEXTFILE, bench->snap->boot_ns, bench->snap->series.each, SERIES_BYTES, &used);
	bench->snap->series.count = (uint32_t)used;
	bench->snap->series.measured_ns = bench->snap->boot_ns;
}

static struct host *host_new(const struct bench *bench)
{
	struct host *host = calloc(1, sizeof(*host));
	assert_non_null(host);
	host->root_fd = openat(bench->env.proc_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	host->out = host_gather_new();
	return host;
}

static void host_drop(struct host *host)
{
	host_gather_free(host->out);
	close(host->root_fd);
	free(host);
}

/* The text with its NULs, if it has some, made visible. */
static char *rendered(const struct bench *bench, const struct metric_writer *writer, size_t *ret_size)
{
	const struct metric_context context = { .snap = bench->snap, .now_ns = bench->snap->boot_ns };
	struct metric_selection selection = { .series = 1ULL << SERIES_TEXTFILE };
	struct text out = { 0 };

	metrics_write_selected(writer, &context, &selection, &out);
	*ret_size = out.length;
	text_append(&out, "", 1);
	return out.data;
}

static bool holds(const struct bench *bench, const struct metric_writer *writer, const char *what)
{
	size_t size;
	char *text = rendered(bench, writer, &size);
	bool found = memmem(text, size, what, strlen(what)) != NULL;
	free(text);
	return found;
}

#define GOOD \
	"# HELP jobs_total With \\\\ and \\n and \".\n# TYPE jobs_total counter\njobs_total{q=\"a\"} 12\n# TYPE odd counter\nodd 1\n" \
	"# TYPE wait histogram\nwait_bucket{le=\"0.5\"} 1\nwait_bucket{le=\"+Inf\"} 4\nwait_sum 7.5\nwait_count 4\nnothing NaN\n"

static void each_format_has_them(void **given)
{
	struct bench *bench = *given;
	struct host *host = host_new(bench);
	bench_say(bench, "files/good.prom", GOOD);
	read_directory(bench, host);

	assert_true(holds(bench, &prometheus_writer, "# HELP jobs_total With \\\\ and \\n and \".\n# TYPE jobs_total counter\njobs_total{q=\"a\"} 12\n"));
	assert_true(holds(bench, &prometheus_writer, "# TYPE wait histogram\nwait_bucket{le=\"0.5\"} 1\nwait_bucket{le=\"+Inf\"} 4\nwait_sum 7.5\nwait_count 4\n"));
	assert_true(holds(bench, &prometheus_writer, "\nnothing NaN\n"));
	assert_true(holds(bench, &prometheus_writer, "\nnode_textfile_mtime_seconds{file=\"/files/good.prom\"} "));
	assert_true(holds(bench, &openmetrics_writer, "# TYPE jobs counter\n# HELP jobs With \\\\ and \\n and \\\".\njobs_total{q=\"a\"} 12\n"));
	assert_true(holds(bench, &openmetrics_writer, "# TYPE wait_bucket unknown\n"));
	assert_true(holds(bench, &openmetrics_writer, "# TYPE odd unknown\n"));
	assert_true(holds(bench, &protobuf_writer, "wait_bucket"));
	assert_true(holds(bench, &json_writer, "{\"labels\":{\"q\":\"a\"},\"value\":12}"));
	assert_true(holds(bench, &json_writer, "\"name\":\"wait_sum\",\"type\":\"unknown\""));
	assert_false(holds(bench, &json_writer, "nothing"));
	host_drop(host);
}

static void a_bad_file_costs_only_itself(void **given)
{
	static const char *const bad[] = {
		"mine 1\njobs_total 2\nmine 1\n",              /* a series twice */
		"mine 1\n# TYPE jobs_total gauge\njobs_total 2\n", /* another type than in a file before */
		"mine 1\njobs_total{q=\"a\"} 1\n",            /* another's series; and another type */
		"mine 1\nnodemend_incidents 2\n", "mine 1\nnode_textfile_scrape_error 0\n", "mine 1\nbad",
	};
	struct bench *bench = *given;
	struct host *host = host_new(bench);
	bench_say(bench, "files/good.prom", GOOD);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_say(bench, "files/worse.prom", bad[i]);
		read_directory(bench, host);
		assert_true(holds(bench, &prometheus_writer, "jobs_total{q=\"a\"} 12\n"));
		assert_true(holds(bench, &prometheus_writer, "\nnode_textfile_scrape_error 1\n"));
		assert_false(holds(bench, &prometheus_writer, "\nmine 1\n"));
	}
	/* What a refused file had begun to claim is free again. */
	bench_say(bench, "files/worse.prom", "mine 1\n");
	read_directory(bench, host);
	assert_true(holds(bench, &prometheus_writer, "\nmine 1\n"));
	assert_true(holds(bench, &prometheus_writer, "\nnode_textfile_scrape_error 0\n"));
	host_drop(host);
}

static void what_is_no_file_is_an_error_and_no_wait(void **given)
{
	struct bench *bench = *given;
	struct host *host = host_new(bench);
	char path[128];

	read_directory(bench, host); /* there is no such directory, and it was asked for */
	assert_true(holds(bench, &prometheus_writer, "\nnode_textfile_scrape_error 1\n"));
	bench_say(bench, "files/good.prom", GOOD);
	snprintf(path, sizeof(path), "%s/files/pipe.prom", bench->root);
	assert_int_equal(mkfifo(path, 0644), 0);
	read_directory(bench, host);
	assert_true(holds(bench, &prometheus_writer, "\nnode_textfile_scrape_error 1\n"));
	assert_true(holds(bench, &prometheus_writer, "jobs_total{q=\"a\"} 12\n"));
	host_drop(host);
}

/* A name that the agent serves itself stays the agent's. */
static void no_file_takes_a_name_of_ours(void **given)
{
	struct bench *bench = *given;
	struct host *host = host_new(bench);
	bench_say(bench, "files/good.prom", "node_memory_MemTotal_bytes 1\nother 2\n");
	read_directory(bench, host);
	assert_false(holds(bench, &prometheus_writer, "node_memory_MemTotal_bytes 1"));
	assert_true(holds(bench, &prometheus_writer, "\nother 2\n"));
	host_drop(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files_are_taken),
		cmocka_unit_test(bad_files_are_refused_with_their_line),
		cmocka_unit_test(what_is_too_much_is_refused),
		cmocka_unit_test_setup_teardown(each_format_has_them, bench_make, bench_drop),
		cmocka_unit_test_setup_teardown(a_bad_file_costs_only_itself, bench_make, bench_drop),
		cmocka_unit_test_setup_teardown(what_is_no_file_is_an_error_and_no_wait, bench_make, bench_drop),
		cmocka_unit_test_setup_teardown(no_file_takes_a_name_of_ours, bench_make, bench_drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
