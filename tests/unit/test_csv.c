/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded series as CSV: what is read, what counts as missing, and where a fault is said to be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/csv.h"
#include "core/csv_time.h"

static struct csv *open_text(const char *text, char why[CSV_WHY_LEN])
{
	struct csv *csv = NULL;
	FILE *stream = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	assert_non_null(stream);
	return csv_open_stream(stream, "f.csv", &csv, why) ? NULL : csv;
}

static void rows_are_read(void **state)
{
	/* A byte order mark, CRLF, quotes with a comma, a quote and a line end inside, blank lines, blanks around, no last line end. */
	const char *text = "\xef\xbb\xbf\"timestamp\",\"cpu, used\",\"a\"\"b\"\r\n1700000000, 1.5 ,\"-2e3\"\r\n\r\n1700000000.25,,NaN\n\n2014-02-14 14:30:00,7,+Inf";
	char why[CSV_WHY_LEN] = "";
	struct csv *csv = open_text(text, why);
	struct csv_row row;

	assert_string_equal(why, "");
	assert_non_null(csv);
	assert_int_equal(csv_metrics(csv), 2);
	assert_string_equal(csv_name(csv, 0), "cpu, used");
	assert_string_equal(csv_name(csv, 1), "a\"b");
	assert_int_equal(csv_next(csv, &row, why), 1);
	assert_int_equal(row.line, 2);
	assert_int_equal(row.time_ns, INT64_C(1700000000000000000));
	assert_string_equal(row.stamp, "1700000000");
	assert_true(row.values[0] == 1.5 && row.values[1] == -2000);
	assert_int_equal(csv_next(csv, &row, why), 1);
	assert_int_equal(row.line, 4);
	assert_int_equal(row.time_ns, INT64_C(1700000000250000000));
	assert_true(isnan(row.values[0]) && isnan(row.values[1]));
	assert_int_equal(csv_next(csv, &row, why), 1);
	assert_int_equal(row.line, 6);
	assert_int_equal(row.time_ns, INT64_C(1392388200000000000));
	assert_true(row.values[0] == 7 && isnan(row.values[1]));
	assert_int_equal(csv_next(csv, &row, why), 0);
	csv_close(csv);
}

static void faults_have_their_line(void **state)
{
	static const struct { const char *text, *why; } table[] = {
		{ "time,a\n", "f.csv:1: the first column is 'time'; it must be `timestamp`" },
		{ "timestamp\n", "f.csv:1: no metric; the header must be `timestamp,<metric>,...`" },
		{ "timestamp,a,\n", "f.csv:1: column 3 has no name; every metric needs one" },
		{ "\n\n", "f.csv:1: the file is empty; its first line must be `timestamp,<metric>,...`" },
		{ "timestamp,a\n1,2\n\n2,3,4\n", "f.csv:4: 3 fields where the header has 2; an absent value is an empty field" },
		{ "timestamp,a\nyesterday,2\n", "f.csv:2: 'yesterday' is no time; right are Unix seconds (1767225600) and ISO 8601 (2026-01-01T00:00:00Z)" },
		{ "timestamp,a\n1,0x10\n", "f.csv:2: '0x10' in column 2 (a) is no number; an absent value is an empty field or nan" },
		{ "timestamp,a\n1,\"2\"3\n", "f.csv:2: text after a closing quote in column 2; a quote inside a field is written twice" },
		{ "timestamp,a\n1,\"2\n", "f.csv:2: the file ends inside a quoted field; its closing quote is missing" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char why[CSV_WHY_LEN] = "";
		struct csv_row row;
		int got = 1;
		struct csv *csv = open_text(table[i].text, why);
		while (csv && got == 1)
			got = csv_next(csv, &row, why);
		assert_true(!csv || got < 0);
		assert_string_equal(why, table[i].why);
		csv_close(csv);
	}
}

static void times_are_understood(void **state)
{
	static const struct { const char *text; int64_t ns; } table[] = {
		{ "0", 0 },
		{ "-1", INT64_C(-1000000000) },
		{ "1.7e9", INT64_C(1700000000000000000) },
		{ "1970-01-01", 0 },
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000000000) },
		{ "2026-01-31T12:00:00.5+02:00", INT64_C(1769853600500000000) },
		{ "2026-01-31t12:00:00-0130", INT64_C(1769866200000000000) },
		{ "2014-04-15 15:44:00.000000", INT64_C(1397576640000000000) },
		{ "2016-12-31T23:59:60Z", INT64_C(1483228800000000000) },
		{ "2026-01-31T12:00", INT64_C(1769860800000000000) },
	};
	static const char *const wrong[] = { "", "x", "2026-02-29", "2026-13-01", "2026-01-31T24:00:00", "2026-01-31T12", "2026-01-31 12:00:00 UTC",
					     "2026-01-31T12:00:00+25:00", "2026-01-31T12:00:00+2", "2026/01/31", "1e300", "12 ", "2026-1-31", "1700000000000" };
	int64_t ns;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_true(csv_time(table[i].text, &ns));
		assert_int_equal(ns, table[i].ns);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(csv_time(wrong[i], &ns));
}

static void fields_are_written_as_they_are_read(void **state)
{
	static const char *const names[] = { "plain", "a,b", "say \"x\"", "two\nlines", " blank" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *text = NULL, why[CSV_WHY_LEN] = "";
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);
		fputs("timestamp,", out);
		csv_print_field(out, names[i]);
		fputs("\n", out);
		assert_int_equal(fclose(out), 0);
		struct csv *csv = open_text(text, why);
		assert_non_null(csv);
		assert_string_equal(csv_name(csv, 0), names[i] + strspn(names[i], " "));
		csv_close(csv);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read),
		cmocka_unit_test(faults_have_their_line),
		cmocka_unit_test(times_are_understood),
		cmocka_unit_test(fields_are_written_as_they_are_read),
	};
	return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
