/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's lists of processors: read, written, and nothing else taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "remedies/cpu_set.h"

static struct cpu_set set, other;
static char text[64];

static void lists_are_read_and_written_as_the_kernel_does(void **state)
{
	static const struct {
		const char *in, *out;
		uint32_t count;
	} lists[] = {
		{ "", "", 0 }, { "\n", "", 0 }, { "0", "0", 1 }, { "0-3\n", "0-3", 4 }, { "0,2-3", "0,2-3", 3 }, { "3,1,2", "1-3", 3 },
		{ "63-64", "63-64", 2 }, { "5,5", "5", 1 }, { "8191", "8191", 1 },
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(cpu_set_parse(lists[i].in, &set), 0);
		assert_int_equal(cpu_set_count(&set), lists[i].count);
		assert_int_equal(cpu_set_format(&set, text, sizeof(text)), 0);
		assert_string_equal(text, lists[i].out);
	}
	(void)state;
}

static void what_is_no_list_is_said(void **state)
{
	static const char *const wrong[] = { "x", "1,", ",1", "1-", "-1", "3-1", "1 2", "8192", "0-8192", "1,,2", "99999999999999999999", "1\t" };
	assert_int_equal(cpu_set_parse("7", &set), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (cpu_set_parse(wrong[i], &set) != -EINVAL)
			fail_msg("taken for a list: %s", wrong[i]);
	assert_true(cpu_set_has(&set, 7) && cpu_set_count(&set) == 1); /* untouched */
	(void)state;
}

static void sets_are_compared(void **state)
{
	assert_int_equal(cpu_set_parse("0-7,70", &set), 0);
	assert_int_equal(cpu_set_parse("2-3,70", &other), 0);
	assert_true(cpu_set_is_within(&other, &set) && !cpu_set_is_within(&set, &other));
	cpu_set_remove(&set, 70);
	assert_false(cpu_set_is_within(&other, &set));
	cpu_set_intersect(&other, &set);
	assert_int_equal(cpu_set_format(&other, text, sizeof(text)), 0);
	assert_string_equal(text, "2-3");
	assert_false(cpu_set_has(&set, UINT32_MAX));
	assert_int_equal(cpu_set_format(&set, text, 3), -EOVERFLOW);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_read_and_written_as_the_kernel_does),
		cmocka_unit_test(what_is_no_list_is_said),
		cmocka_unit_test(sets_are_compared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
