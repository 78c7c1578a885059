/* SPDX-License-Identifier: Apache-2.0 */
/* The rings and what is read from them: medians and gaps, times that are right, and silence where there is nothing to say. */
#include "scene.h"

#include <math.h>

#include "detect/forecast_season.h"
#include "detect/forecast_series.h"
#include "detect/forecast_trend.h"

enum { EPOCH = 30000000, DAY = 1440 };

typedef double course(double minute);

static struct estimate estimate_after(course *at, uint32_t minutes)
{
	static struct rings rings;
	static struct forecast_work work;
	struct estimate estimate;
	rings_clear(&rings);
	for (uint32_t minute = 0; minute <= minutes; minute++)
		rings_add(&rings, EPOCH + minute, at(minute));
	forecast_estimate(&rings, &work, &estimate);
	return estimate;
}

static double noise(double minute)
{
	return 0.002 * sin(minute * minute); /* of no period, the same each time */
}

/* --- rings ------------------------------------------------------------------------------------------------------------- */

static void blocks_are_medians_and_peaks(void **state)
{
	static struct rings rings;
	rings_clear(&rings);
	for (uint32_t minute = 0; minute < 120; minute++)
		rings_add(&rings, EPOCH + minute, minute == 90 ? 0.9 : 0.3);
	rings_add(&rings, EPOCH + 120, 0.5);
	assert_int_equal(ring_at(&rings, SCALE_MINUTE, 0), 18000);
	assert_int_equal(ring_at(&rings, SCALE_MINUTE, 29), 54000);
	assert_int_equal(ring_at(&rings, SCALE_FIVE, 5), 18000); /* one of five does not move it */
	assert_int_equal(ring_at(&rings, SCALE_HOUR, 0), 18000);
	assert_int_equal(ring_at(&rings, SCALE_PEAK, 0), 54000);
	assert_int_equal(ring_at(&rings, SCALE_PEAK, 1), 18000);
	assert_int_equal(ring_at(&rings, SCALE_HOUR, 2), LEVEL_MISSING);
}

static void several_samples_a_minute_are_one_median(void **state)
{
	static struct rings rings;
	rings_clear(&rings);
	for (int i = 0; i < 60; i++)
		assert_false(rings_add(&rings, EPOCH, i == 3 ? 1.0 : 0.25));
	assert_true(rings_add(&rings, EPOCH + 1, 0.25));
	assert_int_equal(ring_at(&rings, SCALE_MINUTE, 0), 15000);
}

static void gap_is_missing_and_not_a_number(void **state)
{
	static struct rings rings;
	rings_clear(&rings);
	for (uint32_t minute = 0; minute < 60; minute++)
		rings_add(&rings, EPOCH + minute, 0.3);
	for (uint32_t minute = 100; minute <= 120; minute++)
		rings_add(&rings, EPOCH + minute, 0.4);
	assert_int_equal(ring_at(&rings, SCALE_MINUTE, 0), 24000);
	assert_int_equal(ring_at(&rings, SCALE_MINUTE, 30), LEVEL_MISSING);
	assert_int_equal(ring_at(&rings, SCALE_TEN, 3), LEVEL_MISSING);
	assert_int_equal(ring_at(&rings, SCALE_TEN, 0), 24000);
	rings_add(&rings, EPOCH + 120 + RING_LONGEST_GAP + 1, 0.5);
	assert_int_equal(ring_at(&rings, SCALE_HOUR, 300), LEVEL_MISSING); /* too long ago: begun anew */
	assert_int_equal(rings.first_minute, EPOCH + 120 + RING_LONGEST_GAP + 1);
}

static void time_that_steps_back_is_now(void **state)
{
	static struct rings rings;
	rings_clear(&rings);
	rings_add(&rings, EPOCH + 10, 0.3);
	assert_false(rings_add(&rings, EPOCH, 0.9));
	assert_int_equal(rings.minute, EPOCH + 10);
}

static void other_capacity_rescales(void **state)
{
	static struct rings rings;
	rings_clear(&rings);
	for (uint32_t minute = 0; minute <= 60; minute++)
		rings_add(&rings, EPOCH + minute, 0.8);
	rings_rescale(&rings, 0.5); /* twice as large now */
	assert_int_equal(ring_at(&rings, SCALE_MINUTE, 0), 24000);
	assert_int_equal(ring_at(&rings, SCALE_HOUR, 3), LEVEL_MISSING);
}

/* --- what is read from them -------------------------------------------------------------------------------------------- */

static double rising(double minute)
{
	return 0.30 + 0.60 * minute / (4 * DAY) + noise(minute);
}

static double falling(double minute)
{
	return 0.90 - 0.60 * minute / (4 * DAY) + noise(minute);
}

static double flat(double minute)
{
	return 0.85 + noise(minute);
}

static double tooth(double minute)
{
	return 0.30 + 0.55 * fmod(minute, DAY) / DAY + noise(minute);
}

static double tooth_with_residue(double minute)
{
	return 0.20 + 0.25 * fmod(minute, DAY) / DAY + 0.08 * floor(minute / DAY) + noise(minute);
}

static double day_and_night(double minute)
{
	return 0.55 - 0.40 * cos(2 * M_PI * minute / DAY) + noise(minute);
}

static double leak_after_quiet(double minute)
{
	return 0.40 + (minute > 3 * DAY ? (minute - 3 * DAY) / 600 : 0) + noise(minute);
}

static double cache(double minute)
{
	return 0.10 + 0.75 * (1 - exp(-minute / 400)) + noise(minute);
}

static double reading(double minute)
{
	return 0.5 + 0.2 * sin(minute * 1.7);
}

static void steady_rise_has_its_time(void **state)
{
	struct estimate estimate = estimate_after(rising, 3 * DAY);
	double truth = (FORECAST_FULL - 0.30) / 0.60 * 4 * DAY - 3 * DAY;
	assert_int_equal(estimate.evidence, EVIDENCE_ENOUGH);
	assert_true(fabs(estimate.likely_min - truth) < 0.1 * truth);
	assert_true(estimate.low_min < truth && estimate.high_min > truth);
	assert_true(estimate.low_min > truth / 2 && estimate.high_min < truth * 2);
	assert_true(estimate.confidence > 0.9);
	assert_true(fabs(estimate.per_day - 0.15) < 0.01);
	assert_true(isnan(estimate.per_week));
}

static void what_does_not_rise_has_none(void **state)
{
	assert_int_equal(estimate_after(falling, 3 * DAY).evidence, EVIDENCE_NOT_RISING);
	assert_true(estimate_after(flat, 3 * DAY).evidence < EVIDENCE_ENOUGH);
	assert_true(estimate_after(reading, 3 * DAY).evidence < EVIDENCE_ENOUGH);
	assert_true(isinf(estimate_after(flat, 3 * DAY).likely_min));
}

static void an_hour_is_not_enough_evidence(void **state)
{
	assert_int_equal(estimate_after(rising, 40).evidence, EVIDENCE_SHORT);
	assert_int_equal(estimate_after(rising, 12 * 60).evidence, EVIDENCE_FAR); /* seen for half a day, and four days off */
}

static void rotation_is_usual(void **state)
{
	for (uint32_t hour = 0; hour < 24; hour++)
		assert_true(estimate_after(tooth, 4 * DAY + hour * 60).evidence < EVIDENCE_ENOUGH);
}

static void days_are_carried_on(void **state)
{
	for (uint32_t hour = 1; hour < 24; hour += 4) {
		struct estimate estimate = estimate_after(tooth_with_residue, 5 * DAY + hour * 60);
		/* 0.2 + 0.08 d + 0.25 f >= 0.99 first in the tooth of day 7, at 0.92 of it. */
		double truth = (7 + (0.79 - 0.56) / 0.25) * DAY - (5 * DAY + hour * 60);
		assert_int_equal(estimate.evidence, EVIDENCE_ENOUGH);
		assert_true(fabs(estimate.likely_min - truth) < 0.15 * truth);
		assert_true(estimate.low_min < truth && estimate.high_min > truth);
	}
}

static void day_and_night_fill_nothing(void **state)
{
	for (uint32_t hour = 0; hour < 24; hour++)
		assert_true(estimate_after(day_and_night, 4 * DAY + hour * 60).evidence < EVIDENCE_ENOUGH);
}

static void fast_leak_is_seen_in_time(void **state)
{
	/* Full ten hours after its beginning, less the 41 % that were there: at five hours 50 minutes are left. */
	struct estimate estimate = estimate_after(leak_after_quiet, 3 * DAY + 240);
	double truth = (FORECAST_FULL - 0.40) * 600 - 240;
	assert_int_equal(estimate.evidence, EVIDENCE_ENOUGH);
	assert_true(fabs(estimate.likely_min - truth) < 0.2 * truth);
}

static void cache_that_fills_slows_down(void **state)
{
	for (uint32_t hour = 6; hour < 48; hour += 2)
		assert_true(estimate_after(cache, hour * 60).evidence < EVIDENCE_ENOUGH);
}

/* Three days ago it was at 85 % and came down; now it rises again, as it may. */
static double rising_again(double minute)
{
	return minute < DAY ? 0.85 + noise(minute) : 0.40 + 0.35 * (minute - DAY) / (1.5 * DAY) + noise(minute);
}

static double writes_by_day(double minute)
{
	/* Six hours each day it grows by 12 %, fourteen hours later half of it is gone: no two days alike enough for a season. */
	double day = floor(minute / DAY), hour = fmod(minute, DAY) / 60;
	double grown = hour < 6 ? hour / 6 : hour < 14 ? 1 : 0.2;
	return 0.3 + 0.05 * day + 0.16 * (1 + 0.8 * fmod(day, 2)) * grown + noise(minute);
}

static double last_minutes(double minute)
{
	/* The first tenth of a fill that takes two hours, from 90 % on: too short a run for anything but the guard. */
	return 0.90 + noise(minute) + (minute > 2 * DAY ? (minute - 2 * DAY) / 1200 : 0);
}

static double wanders(double minute)
{
	/* A walk, the same each time, that ends higher than it began. */
	static double level;
	static uint32_t state;
	if (minute == 0) {
		level = 0.5;
		state = 12345;
	}
	state = state * 1664525 + 1013904223;
	level += ((state >> 8) / 16777216.0 - 0.5) * 0.012;
	level = level < 0.3 ? 0.3 : level > 0.93 ? 0.93 : level;
	return level;
}

static void where_it_has_been_is_no_news(void **state)
{
	struct estimate estimate = estimate_after(rising_again, 2 * DAY + DAY / 2);
	assert_int_equal(estimate.evidence, EVIDENCE_USUAL);
}

static void what_came_to_nothing_yesterday_is_usual(void **state)
{
	for (uint32_t hour = 3; hour <= 6; hour++)
		assert_true(estimate_after(writes_by_day, 4 * DAY + hour * 60).evidence < EVIDENCE_ENOUGH);
}

static void nearly_full_is_looked_at_closely(void **state)
{
	struct estimate estimate = estimate_after(last_minutes, 2 * DAY + 25);
	assert_int_equal(estimate.evidence, EVIDENCE_ENOUGH);
	assert_true(estimate.likely_min > 30 && estimate.likely_min < 240);
	assert_true(estimate.confidence == 0.5);
}

static void walk_has_no_time(void **state)
{
	uint32_t said = 0;
	for (uint32_t hour = 0; hour < 24; hour++)
		said += estimate_after(wanders, 2 * DAY + hour * 60).evidence >= EVIDENCE_ENOUGH;
	assert_true(said <= 1);
}

static void missing_minutes_do_not_count(void **state)
{
	static struct rings rings;
	rings_clear(&rings);
	for (uint32_t minute = 0; minute <= 60; minute++)
		if (minute % 5 > 2) /* two of five: enough for a block, and three that are missing are not high ones */
			rings_add(&rings, EPOCH + minute, 0.2);
	rings_add(&rings, EPOCH + 61, 0.2);
	assert_int_equal(ring_at(&rings, SCALE_FIVE, 0), 12000);
	assert_int_equal(ring_at(&rings, SCALE_PEAK, 0), 12000);
}

static double brimming(double minute)
{
	return minute < 2 * DAY ? 0.995 : 0.5;
}

static void full_is_full(void **state)
{
	struct estimate estimate = estimate_after(brimming, DAY);
	assert_int_equal(estimate.evidence, EVIDENCE_FULL);
	assert_true(estimate.likely_min == 0);
	assert_true(estimate_after(brimming, 2 * DAY + 120).evidence < EVIDENCE_ENOUGH);
}

static void quickselect_selects(void **state)
{
	double values[] = { 5, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5 };
	static const double sorted[] = { 1, 1, 2, 3, 4, 5, 5, 5, 5, 6, 9 };
	for (uint32_t k = 0; k < 11; k++) {
		double copy[11];
		memcpy(copy, values, sizeof(copy));
		assert_true(select_double(copy, 11, k) == sorted[k]);
	}
}

static void state_is_small(void **state)
{
	assert_true(sizeof(struct rings) <= 2400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_medians_and_peaks),
		cmocka_unit_test(several_samples_a_minute_are_one_median),
		cmocka_unit_test(gap_is_missing_and_not_a_number),
		cmocka_unit_test(time_that_steps_back_is_now),
		cmocka_unit_test(other_capacity_rescales),
		cmocka_unit_test(steady_rise_has_its_time),
		cmocka_unit_test(what_does_not_rise_has_none),
		cmocka_unit_test(an_hour_is_not_enough_evidence),
		cmocka_unit_test(rotation_is_usual),
		cmocka_unit_test(days_are_carried_on),
		cmocka_unit_test(day_and_night_fill_nothing),
		cmocka_unit_test(fast_leak_is_seen_in_time),
		cmocka_unit_test(cache_that_fills_slows_down),
		cmocka_unit_test(full_is_full),
		cmocka_unit_test(where_it_has_been_is_no_news),
		cmocka_unit_test(what_came_to_nothing_yesterday_is_usual),
		cmocka_unit_test(nearly_full_is_looked_at_closely),
		cmocka_unit_test(walk_has_no_time),
		cmocka_unit_test(missing_minutes_do_not_count),
		cmocka_unit_test(quickselect_selects),
		cmocka_unit_test(state_is_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
