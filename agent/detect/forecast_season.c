/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast_season.h. */
#include "detect/forecast_season.h"

#include <math.h>

#include "detect/forecast_trend.h"

enum {
	DAY_TENS = 144,
	COMPARED_TENS = 286,         /* two days with their yesterdays: a single step is at most half of them, and so never a season */
	ENOUGH_TENS = 230,
	RECENT_TENS = 6,
	AHEAD_DAYS = 14,
};
/* Nine tenths of the time within a quarter of what a day moves: noise is off itself by as much as it moves. */
#define SEASON_ERROR 0.25

static double tens_share(const struct rings *rings, uint32_t ago)
{
	uint16_t level = ring_at(rings, SCALE_TEN, ago);
	return level == LEVEL_MISSING ? NAN : (double)level / LEVEL_FULL;
}

static double detrended_range(const struct rings *rings, double drift)
{
	double low = INFINITY, high = -INFINITY;
	for (uint32_t ago = 0; ago < DAY_TENS; ago++) {
		double flat = tens_share(rings, ago) + drift * ago / DAY_TENS;
		low = fmin(low, flat); /* of a number and NAN: the number */
		high = fmax(high, flat);
	}
	return high - low;
}

static bool on_course(const struct rings *rings, double drift, double tolerance)
{
	double off[RECENT_TENS];
	uint32_t count = 0;
	for (uint32_t ago = 0; ago < RECENT_TENS; ago++) {
		double step = tens_share(rings, ago) - tens_share(rings, ago + DAY_TENS);
		if (isfinite(step))
			off[count++] = fabs(step - drift);
	}
	return count && select_double(off, count, count / 2) < tolerance;
}

void season_of(const struct rings *rings, struct forecast_work *work, struct season *ret)
{
	uint32_t count = 0;
	*ret = (struct season){ 0 };
	for (uint32_t ago = 0; ago < COMPARED_TENS; ago++) {
		double step = tens_share(rings, ago) - tens_share(rings, ago + DAY_TENS);
		if (isfinite(step))
			work->slopes[count++] = step;
	}
	if (count < ENOUGH_TENS)
		return;

	ret->drift = select_double(work->slopes, count, count / 2);
	ret->low_drift = select_double(work->slopes, count, count / 5);
	for (uint32_t i = 0; i < count; i++)
		work->slopes[i] = fabs(work->slopes[i] - ret->drift);
	ret->error = select_double(work->slopes, count, count * 9 / 10);
	ret->amplitude = detrended_range(rings, ret->drift);
	ret->valid = ret->error < SEASON_ERROR * ret->amplitude && on_course(rings, ret->drift, 2 * SEASON_ERROR * ret->amplitude);
}

double season_left(const struct rings *rings, const struct season *season)
{
	double now = level_ago(rings, 5), yesterday = level_ago(rings, 5 + DAY_TENS * 10);
	for (uint32_t day = 0; day < AHEAD_DAYS; day++)
		for (uint32_t step = 1; step <= DAY_TENS; step++)
			if (now + day * season->drift + tens_share(rings, DAY_TENS - step) - yesterday >= FORECAST_FULL)
				return (day * DAY_TENS + step) * 10.0;
	return INFINITY;
}
