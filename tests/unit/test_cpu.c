/* SPDX-License-Identifier: Apache-2.0 */
/* Processor times as /proc/stat tells them, and what it tells wrongly: times that step back, a CPU that goes and comes. */
#include "collect_bench.h"

extern const struct collector collector_cpu;

#define TICK 10000000ULL /* of 100 Hz */

static void put_stat(struct bench *bench, unsigned user, unsigned idle, unsigned iowait)
{
	char text[512];
	snprintf(text, sizeof(text), "cpu  %u 0 0 %u %u 0 0 0 0 0\ncpu0 %u 0 0 %u %u 0 0 0 0 0\nctxt 5\n", user, idle, iowait, user, idle,
		 iowait);
	bench_say(bench, "proc/stat", text);
}

static struct bench *opened(void **given)
{
	struct bench *bench = *given;
	put_stat(bench, 100, 1000, 50);
	bench_say(bench, "proc/loadavg", "0.50 1.25 12.05 1/90 1234\n");
	assert_int_equal(bench_open(bench, &collector_cpu), 0);
	return bench;
}

static void reads_debian_12(void **given)
{
	struct bench *bench = *given;
	bench_copy(bench, FIXTURES "proc/stat", "proc/stat");
	bench_copy(bench, FIXTURES "proc/loadavg", "proc/loadavg");
	bench_say(bench, "sys/devices/system/cpu/possible", "0-3\n");
	assert_int_equal(bench_open(bench, &collector_cpu), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);

	const struct cpu_section *cpu = &bench->snap->cpu;
	assert_int_equal(cpu->measured_ns, bench->snap->boot_ns);
	assert_int_equal(cpu->online, 2);
	assert_int_equal(cpu->possible, 4);
	assert_int_equal(cpu->total.user_ns, 39574 * TICK);
	assert_int_equal(cpu->total.idle_ns, 723611 * TICK);
	assert_int_equal(cpu->each[1].system_ns, 35204 * TICK);
	assert_int_equal(cpu->each[0].steal_ns, 298 * TICK);
	assert_int_equal(cpu->interrupts, 589266);
	assert_int_equal(cpu->context_switches, 905702);
	assert_int_equal(cpu->forks, 20303);
	assert_int_equal(cpu->boot_time_s, 1795485165);
	assert_int_equal(cpu->running, 2);
	assert_int_equal(cpu->blocked, 0);
	assert_int_equal(cpu->load1_milli, 320);
	assert_int_equal(cpu->load15_milli, 560);
	assert_int_equal(cpu->used_permille, UINT32_MAX); /* no interval yet */
}

static void lines_that_are_missing_are_unknown(void **given)
{
	struct bench *bench = *given;
	bench_copy(bench, FIXTURES "proc-5.10/stat", "proc/stat");
	bench_copy(bench, FIXTURES "proc-5.10/loadavg", "proc/loadavg");
	assert_int_equal(bench_open(bench, &collector_cpu), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench->snap->cpu.running, UINT32_MAX);
	assert_int_equal(bench->snap->cpu.blocked, UINT32_MAX);
	assert_int_equal(bench->snap->cpu.forks, 99);
	assert_int_equal(bench->snap->cpu.possible, 1);
}

static void use_is_that_of_the_last_full_interval(void **given)
{
	struct bench *bench = opened(given);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	put_stat(bench, 130, 1060, 60); /* 30 busy, 70 idle or waiting */
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->cpu.used_permille, 300);

	put_stat(bench, 230, 1060, 60);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC / 10, false), 0);
	assert_int_equal(bench->snap->cpu.used_permille, 300); /* a fast tick is no interval */
	assert_int_equal(bench->snap->cpu.total.user_ns, 230 * TICK);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->cpu.used_permille, 1000);
}

static void a_small_step_back_is_hidden(void **given)
{
	struct bench *bench = opened(given);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	put_stat(bench, 110, 990, 40);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->cpu.total.idle_ns, 1000 * TICK);
	assert_int_equal(bench->snap->cpu.total.iowait_ns, 50 * TICK);
	assert_int_equal(bench->snap->cpu.used_permille, 1000); /* what fell counts as nothing, not as a huge number */

	put_stat(bench, 110, 1001, 40);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->cpu.total.idle_ns, 1001 * TICK); /* and the way back is not counted twice */
}

static void a_cpu_that_starts_again_goes_on(void **given)
{
	struct bench *bench = opened(given);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	put_stat(bench, 110, 20, 50);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->cpu.each[0].idle_ns, 1020 * TICK);
	put_stat(bench, 110, 25, 50);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->cpu.each[0].idle_ns, 1025 * TICK);
}

static void bad_text_leaves_the_section_alone(void **given)
{
	static const char *const bad[] = {
		"",
		"cpu",
		"cpu  1 2 3\n",
		"cpu  1 2 3 4 5 6 7 8 9 10\n",
		"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nctxt 12",
		"cpu  1 2 3 -4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n",
		"cpu  99999999999999999999 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n",
		"cpux 1 2 3 4 5 6 7 8 9 10\n",
		"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nctxt x\n",
	};
	struct bench *bench = opened(given);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	uint64_t measured_ns = bench->snap->cpu.measured_ns, user_ns = bench->snap->cpu.total.user_ns;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_say(bench, "proc/stat", bad[i]);
		assert_true(bench_tick(bench, NSEC_PER_SEC, true) < 0);
		assert_int_equal(bench->snap->cpu.measured_ns, measured_ns);
		assert_int_equal(bench->snap->cpu.total.user_ns, user_ns);
	}
}

static void what_does_not_fit_is_counted(void **given)
{
	struct bench *bench = opened(given);
	bench_say(bench, "proc/stat",
		  "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu512 1 2 3 4 5 6 7 8 9 10\ncpu4294967296 1 1 1 1 1 1 1 1 1 1\n");
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench->snap->cpu.online, 3);
	assert_int_equal(bench->status.events_lost, 2);
}

static void no_proc_is_said(void **given)
{
	struct bench *bench = *given;
	assert_int_equal(bench_open(bench, &collector_cpu), -ENOENT);
	assert_non_null(strstr(bench->status.why, "/proc/stat"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(reads_debian_12),
		BENCH_TEST(lines_that_are_missing_are_unknown),
		BENCH_TEST(use_is_that_of_the_last_full_interval),
		BENCH_TEST(a_small_step_back_is_hidden),
		BENCH_TEST(a_cpu_that_starts_again_goes_on),
		BENCH_TEST(bad_text_leaves_the_section_alone),
		BENCH_TEST(what_does_not_fit_is_counted),
		BENCH_TEST(no_proc_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
