/* SPDX-License-Identifier: Apache-2.0 */
/* The detector of anomalies on made-up series whose truth is known: rarity against known distributions, what is found, and how often noise is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/anomaly.h"
#include "detect/anomaly_shape.h"

static uint64_t random_state;

static double uniform(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(random_state >> 11) + 0.5) / 9007199254740992.0;
}

static double gaussian(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

static double exponential(void)
{
	return -log(uniform());
}

static double half_gaussian(void)
{
	return fabs(gaussian());
}

/* --- the tail ---------------------------------------------------------------------------------------------------------- */

static const struct tail_shape shape = { .beyond = 0.02f, .halve_at = 20000 };

static void rarity_is_that_of_the_distribution(void **state)
{
	static const struct { double (*draw)(void); double scale, value, probability; } table[] = {
		{ exponential, 1, 5.0, 6.74e-3 },
		{ exponential, 1, 8.0, 3.35e-4 },
		{ exponential, 1e9, 8e9, 3.35e-4 },
		{ exponential, 1e-12, 8e-12, 3.35e-4 },
		{ half_gaussian, 1, 3.0, 2.70e-3 },
		{ half_gaussian, 100, 350, 4.65e-4 },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct tail tail = { 0 };
		random_state = i + 1;
		for (int n = 0; n < 30000; n++)
			tail_score(&tail, &shape, (float)(table[i].draw() * table[i].scale));
		float rarity = tail_rarity(&tail, &shape, (float)table[i].value);
		/* Never rarer than it is; a threshold on a bin's edge and a tail that falls faster than exponentially cost up to two thirds of a decade. */
		assert_true(rarity < -log10(table[i].probability) + 0.05 && rarity > -log10(table[i].probability) - 0.66);
		assert_true(fabs(tail_rarity(&tail, &shape, tail_value(&tail, &shape, 4)) - 4) < 1e-3);
		assert_true(tail_rarity(&tail, &shape, (float)table[i].scale) == 0); /* the bulk */
		assert_true(tail_is_sound(&tail));
	}
}

static void what_is_common_is_not_rare(void **state)
{
	struct tail constant = { 0 }, growing = { 0 };
	for (int n = 0; n < 5000; n++)
		assert_true(tail_score(&constant, &shape, n % 10 ? 0 : 7) == 0 || n < 200);
	assert_true(tail_score(&constant, &shape, 700) > 4);

	/* The window moves up with what it sees; the largest so far is never judged by a number that is none. */
	for (double value = 1e-30; value < 1e38; value *= 1.01) {
		float score = tail_score(&growing, &shape, (float)value);
		assert_true(isfinite(score) && score >= 0);
	}
	assert_true(isfinite(tail_score(&growing, &shape, INFINITY)) && isfinite(tail_score(&growing, &shape, NAN)));
	assert_true(tail_is_sound(&growing));
}

static void it_follows_its_source(void **state)
{
	struct tail tail = { 0 };
	random_state = 5;
	for (int n = 0; n < 30000; n++)
		tail_score(&tail, &shape, (float)exponential());
	assert_true(tail_rarity(&tail, &shape, 20) > 5);
	for (int n = 0; n < 60000; n++)
		tail_score(&tail, &shape, (float)(10 * exponential()));
	assert_true(tail_rarity(&tail, &shape, 20) < 2);
	/* And back: what was common half a year ago is rare again. */
	for (int n = 0; n < 120000; n++)
		tail_score(&tail, &shape, (float)exponential());
	assert_true(tail_rarity(&tail, &shape, 20) > 3);
}

/* --- one series -------------------------------------------------------------------------------------------------------- */

enum { LENGTH = 3000, FAULT_AT = 2500, NEAR = 12 };
typedef double made_series(int at);

static double quiet(int at)
{
	return 50 + gaussian();
}

static double daily(int at) /* a day of 288 samples */
{
	return 50 + 20 * sin(2 * M_PI * at / 288) + gaussian();
}

static double spike(int at)
{
	return quiet(at) + (at == FAULT_AT ? 15 : 0);
}

static double small_shift(int at) /* three deviations, which single samples reach, too */
{
	return quiet(at) + (at >= FAULT_AT ? 3 : 0);
}

static double shift_in_season(int at)
{
	return daily(at) + (at >= FAULT_AT ? 12 : 0);
}

static double stops(int at)
{
	return at >= FAULT_AT ? 50.25 : quiet(at);
}

static double first_move(int at) /* a counter of errors that never counted */
{
	return at == FAULT_AT ? 1 : 0;
}

/* The highest score near the fault, and the highest of what was before it and after the warm-up. */
static void run_series(made_series *make, double *ret_fault, double *ret_before, enum anomaly_feature *ret_feature)
{
	struct anomaly_series series = { 0 };
	*ret_fault = *ret_before = 0;
	random_state = 42;
	for (int at = 0; at < LENGTH; at++) {
		struct anomaly_evidence evidence = anomaly_take(&series, make(at));
		double *highest = at < FAULT_AT ? ret_before : ret_fault;
		assert_true(evidence.known == (at >= 99));
		if (at > FAULT_AT + 3 * NEAR || (at < FAULT_AT && at < 1000) || evidence.alone <= *highest)
			continue;
		*highest = evidence.alone;
		if (at >= FAULT_AT)
			*ret_feature = evidence.feature;
	}
}

static void faults_stand_out(void **state)
{
	static const struct { made_series *make; enum anomaly_feature feature; double times; } table[] = {
		{ spike, ANOMALY_JUMP, 3 },
		{ small_shift, ANOMALY_SHIFT, 2 },
		{ shift_in_season, ANOMALY_JUMP, 2.5 },
		{ stops, ANOMALY_STUCK, 0.9 }, /* no sample of it is odd: as much as the oddest of 1500 samples of noise */
		{ first_move, ANOMALY_JUMP, 1 },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		double fault, before;
		enum anomaly_feature feature = ANOMALY_FEATURE_COUNT;
		run_series(table[i].make, &fault, &before, &feature);
		assert_true(fault > 2.4 && fault > table[i].times * before);
		assert_int_equal(feature, table[i].feature);
	}
}

static void a_shape_that_never_was_is_found(void **state)
{
	struct anomaly_shape shapes = { 0 };
	double fault = 0, before = 0;
	random_state = 3;
	for (int at = 0; at < 288 * 10; at++) {
		/* On the last day the wave stays in the middle of its range: no value is odd, and no step. */
		double value = at >= 288 * 9 ? 50 + gaussian() : daily(at);
		double score = anomaly_shape_take(&shapes, value);
		if (at >= 288 * 9)
			fault = fmax(fault, score);
		else if (at >= 288 * 5)
			before = fmax(before, score);
	}
	assert_true(fault > 1 && fault > before);
}

static void missing_samples_change_nothing(void **state)
{
	struct anomaly_series whole = { 0 }, holed = { 0 };
	random_state = 9;
	for (int at = 0; at < 1000; at++) {
		double value = quiet(at);
		struct anomaly_evidence a = anomaly_take(&whole, value), missing = anomaly_take(&holed, at % 3 ? NAN : INFINITY), b = anomaly_take(&holed, value);
		assert_false(missing.known);
		assert_true(a.known == b.known && a.alone == b.alone && a.share == b.share);
	}
	assert_memory_equal(&whole.tails, &holed.tails, sizeof(whole.tails));
}

static void a_gap_is_no_jump(void **state)
{
	for (int told = 0; told < 2; told++) {
		struct anomaly_series series = { 0 };
		random_state = 11;
		double value = 50;
		for (int at = 0; at < 2000; at++)
			anomaly_take(&series, value += gaussian()); /* a walk: only its steps tell */
		if (told)
			anomaly_break(&series);
		struct anomaly_evidence evidence = anomaly_take(&series, value + 8);
		assert_true(told ? evidence.share < 0.5 : evidence.share > 2);
		assert_int_not_equal(evidence.feature, ANOMALY_STUCK);
	}
}

static void extremes_stay_numbers(void **state)
{
	static const double values[] = { 0, 1, -1, 1e308, -1e308, 5e-324, 1e150, -1e-300, 4294967296.0, 1e19 };
	struct anomaly_series series = { 0 };
	struct anomaly_shape shapes = { 0 };
	random_state = 1;
	for (int at = 0; at < 4000; at++) {
		double value = values[(size_t)(uniform() * 10)];
		struct anomaly_evidence evidence = anomaly_take(&series, value);
		assert_true(isfinite(evidence.alone) && isfinite(evidence.share) && isfinite(anomaly_shape_take(&shapes, value)));
		assert_true(isfinite(series.usual.mean) && isfinite(series.usual.variance) && isfinite(series.slow));
	}
}

static void one_event_is_one_alarm(void **state)
{
	struct anomaly_hold hold = { 0 };
	int told = 0;
	for (int at = 0; at < 1000; at++)
		told += anomaly_hold_take(&hold, at % 100 < 20 ? 5 : 0, 150) > 0;
	assert_true(told >= 3 && told <= 10);
	assert_true(anomaly_hold_take(&hold, 50, 150) == 50);
	assert_true(anomaly_half_life(300) == 144 && anomaly_half_life(3600) == 24 && anomaly_half_life(1) == 150);
}

static void it_is_small(void **state)
{
	assert_true(sizeof(struct anomaly_series) + sizeof(struct anomaly_shape) <= 2048);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rarity_is_that_of_the_distribution), cmocka_unit_test(what_is_common_is_not_rare), cmocka_unit_test(it_follows_its_source),
		cmocka_unit_test(faults_stand_out), cmocka_unit_test(a_shape_that_never_was_is_found), cmocka_unit_test(missing_samples_change_nothing),
		cmocka_unit_test(a_gap_is_no_jump), cmocka_unit_test(extremes_stay_numbers), cmocka_unit_test(one_event_is_one_alarm),
		cmocka_unit_test(it_is_small),
	};
	return cmocka_run_group_tests_name("anomaly", tests, NULL, NULL);
}
