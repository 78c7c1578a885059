/* SPDX-License-Identifier: Apache-2.0 */
/* N times in T and what ends it, by hand-made times; and against a slow and simple truth for many random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "measure/log_window.h"

#define S(n) ((uint64_t)(n) * 1000000000ULL)

static void test_so_many_in_the_time(void **state)
{
	const struct log_window_rule rule = { .times = 3, .within_ns = S(10), .clear_after_ns = S(60) };
	struct log_window window = { 0 };
	(void)state;

	log_window_match(&window, &rule, S(100));
	log_window_match(&window, &rule, S(105));
	assert_int_equal(log_window_count(&window, &rule, S(105)), 2);
	assert_false(window.raised);
	log_window_match(&window, &rule, S(111)); /* the first is 11 s old */
	assert_false(window.raised);
	log_window_match(&window, &rule, S(115)); /* 105, 111, 115: exactly ten seconds */
	assert_true(window.raised);
	assert_int_equal(log_window_count(&window, &rule, S(115)), 3);
	log_window_match(&window, &rule, S(140));
	assert_int_equal(log_window_count(&window, &rule, S(140)), 4); /* since it rose */
	assert_false(log_window_pass(&window, &rule, S(199)));
	assert_true(log_window_pass(&window, &rule, S(200)));
	assert_false(window.raised);
	assert_int_equal(log_window_count(&window, &rule, S(200)), 0);
	assert_true(log_window_is_idle(&window, &rule, S(200)));
}

static void test_a_line_clears_and_what_was_before_counts_no_more(void **state)
{
	const struct log_window_rule rule = { .times = 2, .within_ns = S(100), .clear_after_ns = 0 };
	struct log_window window = { 0 };
	(void)state;

	log_window_match(&window, &rule, S(1));
	log_window_clear(&window);
	log_window_match(&window, &rule, S(2));
	assert_false(window.raised);
	log_window_match(&window, &rule, S(3));
	assert_true(window.raised);
	assert_false(log_window_pass(&window, &rule, S(1000000))); /* time alone does not end it */
	assert_true(window.raised);
	log_window_clear(&window);
	assert_false(window.raised);
}

static void test_what_cleared_between_two_matches_read_at_once_has_cleared(void **state)
{
	const struct log_window_rule rule = { .times = 1, .within_ns = S(1), .clear_after_ns = S(60) };
	struct log_window window = { 0 };
	(void)state;

	log_window_match(&window, &rule, S(100));
	log_window_match(&window, &rule, S(1000));
	assert_true(window.raised);
	assert_int_equal(log_window_count(&window, &rule, S(1000)), 1);
}

static void test_time_does_not_go_back(void **state)
{
	const struct log_window_rule rule = { .times = 2, .within_ns = S(10), .clear_after_ns = S(60) };
	struct log_window window = { 0 };
	(void)state;

	log_window_match(&window, &rule, S(100));
	log_window_match(&window, &rule, S(50));
	assert_true(window.raised);
	assert_int_equal(window.last_ns, S(100));
}

/* The truth: all times since it was last over, the newest of which say whether it is raised. */
static void test_equals_the_simple_truth(void **state)
{
	(void)state;
	srand(4711);
	for (int round = 0; round < 300; round++) {
		struct log_window_rule rule = { .times = 1 + (uint32_t)rand() % LOG_TIMES_MAX, .within_ns = S(1 + rand() % 200), .clear_after_ns = S(1 + rand() % 100) };
		struct log_window window = { 0 };
		uint64_t times[600], now = S(1000);
		int count = 0;
		bool raised = false;
		for (int i = 0; i < 600; i++) {
			now += S(rand() % 8);
			if (raised && now >= times[count - 1] + rule.clear_after_ns) {
				raised = false;
				count = 0;
			}
			if (rand() % 50 == 0) {
				log_window_clear(&window);
				raised = false;
				count = 0;
			} else if (rand() % 3 == 0) {
				(void)log_window_pass(&window, &rule, now);
			} else {
				log_window_match(&window, &rule, now);
				times[count++] = now;
				raised |= count >= (int)rule.times && times[count - (int)rule.times] + rule.within_ns >= now;
			}
			(void)log_window_pass(&window, &rule, now);
			assert_int_equal(window.raised, raised);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_so_many_in_the_time),
		cmocka_unit_test(test_a_line_clears_and_what_was_before_counts_no_more),
		cmocka_unit_test(test_what_cleared_between_two_matches_read_at_once_has_cleared),
		cmocka_unit_test(test_time_does_not_go_back),
		cmocka_unit_test(test_equals_the_simple_truth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
