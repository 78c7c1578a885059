/* SPDX-License-Identifier: Apache-2.0 */
/* A short run of the forecast's backtest: what `make bench-forecast` measures at length must not get worse unseen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/bench/backtest.h"
#include "tests/bench/shapes.h"

/* Neither those that the numbers were chosen on (1 to 20) nor those of the published tables. */
enum { FIRST_SEED = 301, SEEDS = 2 };

static void goals_hold_on_a_few_seeds(void **state)
{
	static float series[SHAPE_MINUTES];
	static struct backtest test = { .every_minutes = 30, .for_minutes = 60 };
	for (uint32_t shape = 0; shape < SHAPE_COUNT; shape++)
		for (uint32_t seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
			backtest_series(&test, series, shape_make(shape, seed, series), SHAPE_JUDGED);

	struct score *ours = &test.scores[METHOD_NODEMEND], *linear = &test.scores[METHOD_LINEAR_6H], *mixin = &test.scores[METHOD_NODE_MIXIN];
	for (uint32_t method = 0; method < METHODS; method++) {
		const struct score *score = &test.scores[method];
		print_message("%-20s 4 h: %u false, %u of %u; 24 h: %u false, %u of %u\n", method_names[method], score->false_alarms[HORIZON_4H],
			      score->hits[HORIZON_4H], score->fills, score->false_alarms[HORIZON_24H], score->hits[HORIZON_24H], score->fills);
	}
	print_message("nodemend: median error %.3f, truth in the range %u of %u, %.0f series-days\n", numbers_median(&ours->errors), ours->within,
		      ours->forecasts, ours->days);

	/* In a few hundred days one event more or less is chance: the bounds are the goals and two events. */
	assert_true(ours->fills >= 12);
	assert_true(ours->false_alarms[HORIZON_4H] <= 0.01 * ours->days + 2);
	assert_true(ours->false_alarms[HORIZON_24H] <= 0.01 * ours->days + 2);
	assert_true(ours->hits[HORIZON_4H] >= 0.90 * linear->hits[HORIZON_4H]);
	assert_true(ours->hits[HORIZON_24H] >= 0.95 * linear->hits[HORIZON_24H]);
	assert_true(numbers_median(&ours->errors) <= 0.20);
	assert_true(ours->within >= 0.7 * ours->forecasts);
	/* …and the task is not so easy that anything passes. */
	assert_true(linear->false_alarms[HORIZON_24H] > 20 * (ours->false_alarms[HORIZON_24H] + 1));
	assert_true(mixin->false_alarms[HORIZON_24H] > 4 * (ours->false_alarms[HORIZON_24H] + 1));
	backtest_free(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(goals_hold_on_a_few_seeds) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
