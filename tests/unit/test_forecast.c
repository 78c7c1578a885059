/* SPDX-License-Identifier: Apache-2.0 */
/* Time to exhaustion: right where the filling is steady, silent where there is no evidence. */
#include "scene.h"

#include "detect/forecast.h"

/* Feeds `seconds` samples of `avail(second)` and returns the last forecast, in seconds; -1 = none. */
static double forecast_over(int seconds, uint64_t (*avail)(int second))
{
	struct snapshot *snap = scene_new();
	struct forecaster *forecaster = forecaster_new();
	struct filesystem *fs = scene_filesystem(snap, "/data", 1, 50);
	fs->size = MIB(100000);
	for (int second = 0; second < seconds; second++) {
		fs->avail = avail(second);
		scene_at(snap, SECONDS(1000 + second));
		forecast(forecaster, &snap->filesystems, snap->boot_ns);
	}
	double result = fs->exhausted_in_ns == UNKNOWN ? -1 : (double)fs->exhausted_in_ns / (double)NSEC_PER_SEC;
	forecaster_free(forecaster);
	free(snap);
	return result;
}

static uint64_t steady(int second)
{
	return MIB(10000) - MIB(50) * (uint64_t)second;
}

static uint64_t flat(int second)
{
	return MIB(5000);
}

static uint64_t noise(int second)
{
	return MIB(5000) + MIB((second * 7919) % 13);
}

static uint64_t one_burst(int second)
{
	return second < 40 ? MIB(5000) : MIB(3000);
}

static uint64_t steady_with_cleanups(int second)
{
	return MIB(4000) - MIB(50) * (uint64_t)second + (second % 20 == 0 ? MIB(300) : 0);
}

static uint64_t slow(int second)
{
	return MIB(90000) - MIB(1) * (uint64_t)second;
}

static void steady_fill_is_forecast(void **state)
{
	/* 59 s at 50 MiB/s are gone of 200 s. */
	double left = forecast_over(60, steady);
	assert_true(left > 139 && left < 143);
}

static void outliers_do_not_move_it(void **state)
{
	double left = forecast_over(60, steady_with_cleanups);
	assert_true(left > 18 && left < 25); /* 1050 MiB at 50 MiB/s */
}

static void no_trend_no_forecast(void **state)
{
	assert_true(forecast_over(60, flat) < 0);
	assert_true(forecast_over(60, noise) < 0);
	assert_true(forecast_over(60, one_burst) < 0);
}

static void few_samples_are_not_enough_evidence(void **state)
{
	assert_true(forecast_over(7, steady) < 0);
}

static void no_further_than_the_run_allows(void **state)
{
	assert_true(forecast_over(60, slow) < 0); /* a day ahead out of one minute is a guess */
}

static void mount_that_does_not_answer_adds_no_sample(void **state)
{
	struct snapshot *snap = scene_new();
	struct forecaster *forecaster = forecaster_new();
	struct filesystem *fs = scene_filesystem(snap, "/data", 1, 50);
	for (int second = 0; second < 30; second++) {
		fs->avail = steady(second);
		scene_at(snap, SECONDS(1000 + second));
		forecast(forecaster, &snap->filesystems, snap->boot_ns);
	}
	uint64_t before = fs->exhausted_in_ns;
	for (int second = 30; second < 60; second++) {
		scene_at(snap, SECONDS(1000 + second));
		fs->measured_ns = SECONDS(1029);
		forecast(forecaster, &snap->filesystems, snap->boot_ns);
	}
	assert_int_equal(fs->exhausted_in_ns, before);
	forecaster_free(forecaster);
	free(snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_fill_is_forecast),
		cmocka_unit_test(outliers_do_not_move_it),
		cmocka_unit_test(no_trend_no_forecast),
		cmocka_unit_test(few_samples_are_not_enough_evidence),
		cmocka_unit_test(no_further_than_the_run_allows),
		cmocka_unit_test(mount_that_does_not_answer_adds_no_sample),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
