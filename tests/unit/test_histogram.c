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

/* By long doubles: 64 bits of mantissa, and no bound but the powers of two is a whole number. */
static uint32_t bucket_truth(uint64_t ns)
{
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++)
		if ((long double)ns <= exp2l(HISTOGRAM_FIRST_EXP + (long double)i / HISTOGRAM_PER_OCTAVE))
			return i;
	return HISTOGRAM_BUCKETS - 1;
}

static void every_bound_is_exact_and_inclusive(void **state)
{
	assert_int_equal(histogram_bucket(0), 0);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t bound = (uint64_t)floorl(exp2l(HISTOGRAM_FIRST_EXP + (long double)i / HISTOGRAM_PER_OCTAVE));

		for (uint64_t ns = bound - 2; ns <= bound + 2; ns++)
			assert_int_equal(histogram_bucket(ns), bucket_truth(ns));
	}
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void the_middle_of_a_bucket_is_off_by_little(void **state)
{
	srandom(3);
	for (int i = 0; i < 100000; i++) {
		uint64_t ns = 65 + (uint64_t)(exp2((double)random() / RAND_MAX * 29) * 64);
		uint32_t bucket = histogram_bucket(ns);
		double middle = exp2(HISTOGRAM_FIRST_EXP + (bucket - 0.5) / HISTOGRAM_PER_OCTAVE);

		assert_true(fabs(middle - (double)ns) / (double)ns <= 0.0625);
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
			truth += i == HISTOGRAM_CLASSIC || ns <= 1ULL << (HISTOGRAM_CLASSIC_FIRST_EXP + i);
		assert_int_equal(below[i], truth);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bound_is_exact_and_inclusive),
		cmocka_unit_test(the_middle_of_a_bucket_is_off_by_little),
		cmocka_unit_test(classic_buckets_are_sums_of_the_fine_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
