/* SPDX-License-Identifier: Apache-2.0 */
/* Pressure: the kernel's averages, and the share of the last interval from the totals. */
#include "collect_bench.h"

extern const struct collector collector_psi;

static void put_all(struct bench *bench, unsigned long long some_us, unsigned long long full_us)
{
	static const char *const files[] = { "proc/pressure/cpu", "proc/pressure/io", "proc/pressure/memory" };
	char text[256];
	snprintf(text, sizeof(text),
		 "some avg10=12.34 avg60=5.60 avg300=0.07 total=%llu\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=%llu\n", some_us,
		 full_us);
	for (size_t i = 0; i < 3; i++)
		bench_say(bench, files[i], text);
}

static void interval_comes_from_the_totals(void **given)
{
	struct bench *bench = *given;
	const struct psi_section *psi = &bench->snap->psi;

	put_all(bench, 1000000, 400000);
	assert_int_equal(bench_open(bench, &collector_psi), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(psi->measured_ns, 0); /* no interval yet: not measured */
	assert_int_equal(psi->some[PSI_MEMORY].avg10_centi, 1234);

	put_all(bench, 1250000, 500000);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(psi->measured_ns, bench->snap->boot_ns);
	assert_int_equal(psi->some[PSI_MEMORY].interval_permille, 250);
	assert_int_equal(psi->full[PSI_IO].interval_permille, 100);
	assert_int_equal(psi->some[PSI_CPU].total_ns, 1250000000ULL);
	assert_int_equal(psi->some[PSI_CPU].avg60_centi, 560);
	assert_int_equal(psi->some[PSI_CPU].avg300_centi, 7);

	put_all(bench, 1350000, 500000);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC / 10, false), 0);
	assert_int_equal(psi->some[PSI_MEMORY].interval_permille, 250); /* stands at fast ticks */
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC * 9 / 10, true), 0);
	assert_int_equal(psi->some[PSI_MEMORY].interval_permille, 100);

	put_all(bench, 9350000, 500000);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(psi->some[PSI_MEMORY].interval_permille, 1000); /* never more than all of it */
	put_all(bench, 1, 1);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(psi->some[PSI_MEMORY].interval_permille, 0);
}

static void the_last_two_seconds_also_between_full_ticks(void **given)
{
	struct bench *bench = *given;
	const struct psi_section *psi = &bench->snap->psi;
	unsigned long long total = 1000000;

	put_all(bench, total, 0);
	assert_int_equal(bench_open(bench, &collector_psi), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(psi->some[PSI_CPU].recent_permille, 0);
	for (int i = 0; i < 60; i++) /* a tenth of three seconds, in fast ticks */
		assert_int_equal((put_all(bench, total += 5000, 0), bench_tick(bench, 50 * NSEC_PER_MSEC, false)), 0);
	assert_in_range(psi->some[PSI_CPU].recent_permille, 99, 101);
	for (int i = 0; i < 20; i++) /* then all of one: half of two, and a tenth of the rest */
		assert_int_equal((put_all(bench, total += 50000, 0), bench_tick(bench, 50 * NSEC_PER_MSEC, false)), 0);
	assert_in_range(psi->some[PSI_CPU].recent_permille, 500, 560);
	assert_int_equal(bench_tick(bench, 10 * NSEC_PER_SEC, true), 0); /* quiet, and the interval is long */
	assert_int_equal(psi->some[PSI_CPU].recent_permille, 0);
	assert_int_equal(psi->full[PSI_CPU].recent_permille, 0);
}

static void cpu_without_full(void **given)
{
	struct bench *bench = *given;
	bench_copy(bench, FIXTURES "proc-5.10/pressure/cpu", "proc/pressure/cpu");
	bench_copy(bench, FIXTURES "proc-5.10/pressure/io", "proc/pressure/io");
	bench_copy(bench, FIXTURES "proc-5.10/pressure/memory", "proc/pressure/memory");
	assert_int_equal(bench_open(bench, &collector_psi), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_false(bench->snap->psi.has_full[PSI_CPU]);
	assert_true(bench->snap->psi.has_full[PSI_IO]);
	assert_int_equal(bench->snap->psi.some[PSI_CPU].avg300_centi, 9999);
}

static void no_psi_is_said(void **given)
{
	struct bench *bench = *given;
	assert_int_equal(bench_open(bench, &collector_psi), -ENOENT);
	assert_string_equal(bench->status.why, "no /proc/pressure: kernel without CONFIG_PSI or psi=0");
}

static void bad_text_leaves_the_section_alone(void **given)
{
	static const char *const bad[] = {
		"",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=1",
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
		"some avg10=0.00 avg60=0.00 total=1\n",
		"some avg10=0.0 avg60=0.00 avg300=0.00 total=1\n",
		"some avg10=100.01 avg60=0.00 avg300=0.00 total=1\n",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=99999999999999999999\n",
		"some avg10=0,00 avg60=0.00 avg300=0.00 total=1\n",
	};
	struct bench *bench = *given;
	put_all(bench, 5, 5);
	assert_int_equal(bench_open(bench, &collector_psi), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	uint64_t measured_ns = bench->snap->psi.measured_ns;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_say(bench, "proc/pressure/memory", bad[i]);
		assert_true(bench_tick(bench, NSEC_PER_SEC, true) < 0);
		assert_int_equal(bench->snap->psi.measured_ns, measured_ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(interval_comes_from_the_totals),
		BENCH_TEST(the_last_two_seconds_also_between_full_ticks),
		BENCH_TEST(cpu_without_full),
		BENCH_TEST(no_psi_is_said),
		BENCH_TEST(bad_text_leaves_the_section_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
