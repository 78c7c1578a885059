/* SPDX-License-Identifier: Apache-2.0 */
/* The buckets against their bounds, and the classic ones against the fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "publish/metric.h"
#include "snapshot.h"

static long double bound_ns(uint32_t bucket)
{
	return 1e9L * exp2l(HISTOGRAM_FIRST_EXP + (long double)bucket / HISTOGRAM_PER_OCTAVE);
}

/* Whole nanoseconds fall on the right side of every bound, but for those within the 3 in 10^8 that the header admits. */
static void every_bound_parts_its_neighbours(void **state)
{
	assert_int_equal(histogram_bucket(0), 0);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		uint64_t below = (uint64_t)floorl(bound_ns(i) * (1 - 6e-8L)), above = (uint64_t)ceill(bound_ns(i) * (1 + 6e-8L));

		assert_int_equal(histogram_bucket(below), i);
		assert_int_equal(histogram_bucket(above), i + 1);
	}
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

/* Where a bound is a whole number of nanoseconds, it belongs to the bucket that it ends. */
static void a_bound_itself_is_inclusive(void **state)
{
	for (int exp = -9; exp <= HISTOGRAM_LAST_EXP; exp++) {
		uint64_t ns = (uint64_t)ldexp(1e9, exp);

		assert_int_equal(histogram_bucket(ns), histogram_last_up_to(exp));
		assert_int_equal(histogram_bucket(ns + ns / 10000000 + 1), histogram_last_up_to(exp) + 1);
	}
}

static void the_middle_of_a_bucket_is_off_by_little(void **state)
{
	srandom(3);
	for (int i = 0; i < 100000; i++) {
		uint64_t ns = 64 + (uint64_t)(exp2((double)random() / RAND_MAX * 29) * 64);
		uint32_t bucket = histogram_bucket(ns);
		double middle = 1e9 * exp2(HISTOGRAM_FIRST_EXP + (bucket - 0.5) / HISTOGRAM_PER_OCTAVE);

		assert_true(fabs(middle - (double)ns) / (double)ns <= 0.045);
	}
}

static void classic_buckets_are_sums_of_the_fine_ones(void **state)
{
	struct histogram histogram = { 0 };
	uint64_t below[HISTOGRAM_CLASSIC + 1];

	for (uint64_t ns = 1; ns < 1ULL << 40; ns = ns * 5 / 4 + 1)
		histogram.buckets[histogram_bucket(ns)]++;
	histogram_classic(&histogram, below);
	for (uint32_t i = 0; i <= HISTOGRAM_CLASSIC; i++) {
		uint64_t truth = 0;

		for (uint64_t ns = 1; ns < 1ULL << 40; ns = ns * 5 / 4 + 1)
			truth += i == HISTOGRAM_CLASSIC || (double)ns <= ldexp(1e9, HISTOGRAM_CLASSIC_FIRST_EXP + (int)i);
		assert_int_equal(below[i], truth);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bound_parts_its_neighbours),
		cmocka_unit_test(a_bound_itself_is_inclusive),
		cmocka_unit_test(the_middle_of_a_bucket_is_off_by_little),
		cmocka_unit_test(classic_buckets_are_sums_of_the_fine_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
