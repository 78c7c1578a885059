/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backtest of the forecast, beside what others do with the same series. At each step a method sees the past alone and says when the
 * series is full; the truth is when it then was. An alarm is a time below its horizon that held for an hour, as node-mixin's own rules
 * have it. A false one: the truth is more than three horizons away, or never. Events within an hour of each other are one.
 */
#ifndef NODEMEND_TESTS_BACKTEST_H
#define NODEMEND_TESTS_BACKTEST_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "detect/forecast_series.h"

enum { HORIZON_4H, HORIZON_24H, HORIZONS };
enum { METHOD_LINEAR_1H, METHOD_LINEAR_6H, METHOD_LINEAR_24H, METHOD_NODE_MIXIN, METHOD_NODEMEND, METHODS };
enum { MERGED_MINUTES = 60, TRUTH_FAR = 3, BACKTEST_EPOCH = 30000000 };
static const char *const method_names[METHODS] = {
	"predict_linear[1h]", "predict_linear[6h]", "predict_linear[24h]", "node-mixin", "nodemend",
};
static const double horizon_minutes[HORIZONS] = { 240, 1440 };
static const double in_time_minutes[HORIZONS] = { 20, 60 }; /* later than so long before it is full, an alarm helps nobody */

struct numbers {
	double *each;
	size_t count, room;
};

static inline void numbers_add(struct numbers *numbers, double value)
{
	if (numbers->count == numbers->room) {
		numbers->room = numbers->room ? 2 * numbers->room : 1024;
		numbers->each = realloc(numbers->each, numbers->room * sizeof(double));
	}
	numbers->each[numbers->count++] = value;
}

static inline int numbers_compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static inline double numbers_median(struct numbers *numbers)
{
	if (!numbers->count)
		return NAN;
	qsort(numbers->each, numbers->count, sizeof(double), numbers_compare);
	return numbers->each[numbers->count / 2];
}

struct score {
	double days;
	uint32_t series, fills, hits[HORIZONS], false_alarms[HORIZONS];
	struct numbers errors, leads[HORIZONS]; /* |predicted - truth| / truth in the last day; minutes */
	uint32_t forecasts, within;             /* in the last day: how many there were, and with the truth in their range */
};

struct backtest {
	uint32_t every_minutes, for_minutes;
	double estimate_seconds;                /* processor time of our estimates, and how many */
	uint64_t estimates;
	struct score scores[METHODS];
	struct forecast_work work;
};

static inline double predict_linear(const float *series, uint32_t now, uint32_t window)
{
	double x = 0, y = 0, xx = 0, xy = 0, n = window;
	if (now + 1 < window)
		return INFINITY;
	for (uint32_t i = 0; i < window; i++) {
		double back = -(double)i, level = series[now - i];
		x += back;
		y += level;
		xx += back * back;
		xy += back * level;
	}
	double slope = (n * xy - x * y) / (n * xx - x * x), level = (y - slope * x) / n;
	return slope > 0 ? fmax(0, (1 - level) / slope) : INFINITY;
}

static inline double backtest_ask(uint32_t method, const float *series, uint32_t now, const struct estimate *ours)
{
	static const uint32_t windows[METHODS] = { 60, 360, 1440, 360, 0 };
	return method == METHOD_NODEMEND ? ours->likely_min : predict_linear(series, now, windows[method]);
}

/* node-mixin: predict_linear over six hours, and less than 40 % (warning) or 20 % (critical) left. */
static inline bool backtest_alarms(uint32_t method, uint32_t horizon, double left, double level)
{
	return left < horizon_minutes[horizon] && (method != METHOD_NODE_MIXIN || level > (horizon == HORIZON_24H ? 0.6 : 0.8));
}

/* The first minute that is full and stays so. */
static inline uint32_t backtest_full_at(const float *series, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (series[i] >= FORECAST_FULL && (i + 2 >= count || (series[i + 1] >= .985f && series[i + 2] >= .985f)))
			return i;
	return UINT32_MAX;
}

struct alarm {
	bool raised, hit;
	uint32_t since, last_false; /* 0: not */
};

static inline void backtest_judge(struct score *score, struct alarm *alarm, uint32_t horizon, uint32_t for_minutes, uint32_t now, double truth)
{
	if (!alarm->since)
		alarm->since = now;
	if (now - alarm->since < for_minutes)
		return;
	bool begins = !alarm->raised;
	alarm->raised = true;
	if (truth > TRUTH_FAR * horizon_minutes[horizon]) {
		score->false_alarms[horizon] += begins && (!alarm->last_false || now - alarm->last_false >= MERGED_MINUTES);
		alarm->last_false = now;
	} else if (truth >= in_time_minutes[horizon] && !alarm->hit) {
		alarm->hit = true;
		numbers_add(&score->leads[horizon], truth);
	}
}

/* Judges `judged` of the `count` minutes, and what comes behind them as truth. */
static inline void backtest_series(struct backtest *test, const float *series, uint32_t count, uint32_t judged)
{
	static struct rings rings;
	struct alarm alarms[METHODS][HORIZONS];
	uint32_t full = backtest_full_at(series, count), end = full < judged ? full : judged < count ? judged : count;
	memset(alarms, 0, sizeof(alarms));
	rings_clear(&rings);

	for (uint32_t now = 0; now < end; now++) {
		rings_add(&rings, BACKTEST_EPOCH + now, series[now]);
		if (now % test->every_minutes || now < 30)
			continue;
		struct estimate ours;
		clock_t begun = clock();
		forecast_estimate(&rings, &test->work, &ours);
		test->estimate_seconds += (double)(clock() - begun) / CLOCKS_PER_SEC;
		test->estimates++;

		double truth = full == UINT32_MAX ? INFINITY : full - now;
		for (uint32_t method = 0; method < METHODS; method++) {
			struct score *score = &test->scores[method];
			double left = backtest_ask(method, series, now, &ours);
			if (truth <= horizon_minutes[HORIZON_24H]) {
				numbers_add(&score->errors, isfinite(left) ? fabs(left - truth) / truth : 1);
				score->forecasts += isfinite(left);
				score->within += isfinite(left) && truth >= ours.low_min && truth <= ours.high_min;
			}
			for (uint32_t horizon = 0; horizon < HORIZONS; horizon++) {
				if (backtest_alarms(method, horizon, left, series[now]))
					backtest_judge(score, &alarms[method][horizon], horizon, test->for_minutes, now, truth);
				else
					alarms[method][horizon].since = alarms[method][horizon].raised = 0;
			}
		}
	}

	for (uint32_t method = 0; method < METHODS; method++) {
		struct score *score = &test->scores[method];
		score->series++;
		score->days += end / 1440.0;
		score->fills += full < judged;
		for (uint32_t horizon = 0; horizon < HORIZONS; horizon++)
			score->hits[horizon] += alarms[method][horizon].hit && full < judged;
	}
}

static inline void backtest_free(struct backtest *test)
{
	for (uint32_t method = 0; method < METHODS; method++) {
		free(test->scores[method].errors.each);
		for (uint32_t horizon = 0; horizon < HORIZONS; horizon++)
			free(test->scores[method].leads[horizon].each);
	}
}

#endif
