/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.stat of both versions, and the class of a system call by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "collect/bandwidth.h"
#include "collect/call_class.h"

static int parse(const char *text, struct bandwidth *ret)
{
	return bandwidth_parse(text, strlen(text), ret);
}

static void both_versions_are_read(void **state)
{
	struct bandwidth v1 = { .cgroup_id = 7 }, v2 = { .cgroup_id = 8 };

	(void)state;
	assert_int_equal(parse("nr_periods 12\nnr_throttled 5\nthrottled_time 2500000\nnr_bursts 0\nburst_time 0\n", &v1), 0);
	assert_int_equal(v1.cgroup_id, 7);
	assert_int_equal(v1.periods, 12);
	assert_int_equal(v1.throttled, 5);
	assert_int_equal(v1.throttled_ns, 2500000);
	assert_int_equal(parse("usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 3\nnr_throttled 1\nthrottled_usec 1200\n", &v2), 0);
	assert_int_equal(v2.throttled_ns, 1200000);
}

static void no_controller_and_no_limit_are_no_figures(void **state)
{
	struct bandwidth row = { .periods = 99 };

	(void)state;
	assert_int_equal(parse("usage_usec 9\nuser_usec 5\nsystem_usec 4\n", &row), -ENODATA);
	assert_int_equal(parse("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n", &row), -ENODATA);
	assert_true(parse("nr_periods 1\nnr_thr", &row) < 0);
	assert_true(parse("nr_periods x\n", &row) < 0);
	assert_int_equal(row.periods, 99);
}

static void calls_are_classed_by_name(void **state)
{
	static uint8_t classes[SYSCALL_ABI_COUNT][SYSCALL_NR_MAX];

	(void)state;
	call_classes_fill(classes);
	assert_int_equal(classes[SYSCALL_ABI_64][SYS_futex], CALL_FUTEX);
	assert_int_equal(classes[SYSCALL_ABI_64][SYS_recvmsg], CALL_NETWORK);
	assert_int_equal(classes[SYSCALL_ABI_64][SYS_ppoll], CALL_NETWORK);
	assert_int_equal(classes[SYSCALL_ABI_64][SYS_writev], CALL_BY_DESCRIPTOR);
	assert_int_equal(classes[SYSCALL_ABI_64][SYS_sched_yield], CALL_YIELD);
	assert_int_equal(classes[SYSCALL_ABI_64][SYS_clock_nanosleep], CALL_PLAIN);
	assert_int_equal(classes[SYSCALL_ABI_64][SYSCALL_NR_MAX - 1], CALL_PLAIN);
#if defined(__x86_64__)
	assert_int_equal(classes[SYSCALL_ABI_32][240], CALL_FUTEX);
	assert_int_equal(classes[SYSCALL_ABI_32][102], CALL_NETWORK); /* socketcall */
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_versions_are_read),
		cmocka_unit_test(no_controller_and_no_limit_are_no_figures),
		cmocka_unit_test(calls_are_classed_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
