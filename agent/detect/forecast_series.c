/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast_series.h. The numbers were chosen on seeds 1 to 20 of tests/bench/shapes.h and judged on others: docs/detection.md. */
#include "detect/forecast_series.h"

#include <math.h>
#include <stddef.h>

#include "detect/forecast_season.h"
#include "detect/forecast_trend.h"

/* From half an hour to three days; how many of the pairs must rise: 0.85 is Kendall's tau of 0.7, 0.8 of 0.6. */
static const struct { enum ring_scale scale; uint32_t blocks; double agreeing; } windows[] = {
	{ SCALE_MINUTE, 30, .85 }, { SCALE_FIVE, 12, .85 }, { SCALE_FIVE, 36, .8 }, { SCALE_TEN, 36, .8 }, { SCALE_TEN, 72, .8 },
	{ SCALE_HOUR, 24, .8 }, { SCALE_HOUR, 72, .8 },
};

enum { HOUR_MINUTES = 60, DAY_MINUTES = 1440, WEEK_MINUTES = 7 * DAY_MINUTES, PEAK_HOURS = 72 };

/* A record is one by this share of what the run has risen, over all that was in the three days before the run. */
#define RECORD_MARGIN 0.3
/* A line as steep as half of this one, of which less than so much is left after its lag: it came to nothing. */
#define SIMILAR 0.5
#define KEPT 0.6
/* Times what a random walk would have wandered: at 3, of such walks one trend in some hundred looks like this. */
#define STEADY 3
/* So many clean-ups in three days, and there will be another. */
#define CLEANED 2
/* The second half of a run against the first. */
#define SLOWING 0.6
/* Whoever is that full and fuller than in the last three days is looked at more closely, and less is asked of the evidence. */
#define NEARLY_FULL 0.9
/* Beyond the slopes' own 30 % and 70 %: a run is one draw of what a service does, and its pairs know only that one. */
#define RANGE_WIDER 1.25

/* Clean-ups in the last three days: falls by more than `much` from a peak. */
static uint32_t cleanups(const struct rings *rings, double much)
{
	uint32_t falls = 0;
	double peak = 0;
	for (uint32_t ago = PEAK_HOURS; ago-- > 0;) {
		uint16_t seen = ring_at(rings, SCALE_HOUR, ago);
		if (seen == LEVEL_MISSING)
			continue;
		double level = (double)seen / LEVEL_FULL;
		falls += level < peak - much;
		peak = level < peak - much ? level : fmax(peak, level);
	}
	return falls;
}

/* How far ahead of a run its line is followed. Who has not seen a whole day does not know what a day is like. */
static double ahead_of_run(const struct rings *rings, const struct trend *trend)
{
	uint32_t history = rings->minute - rings->first_minute;
	if (history < DAY_MINUTES)
		return 0.5;
	return history < 2 * DAY_MINUTES || cleanups(rings, RECORD_MARGIN * trend->slope * trend->run) >= CLEANED ? 1 : 2;
}

/* The highest of the hours of the last three days that ended before the run began. */
static double peak_before(const struct rings *rings, double run)
{
	double peak = 0;
	for (uint32_t ago = (uint32_t)(run / HOUR_MINUTES) + 1; ago < PEAK_HOURS; ago++) {
		uint16_t level = ring_at(rings, SCALE_PEAK, ago);
		if (level != LEVEL_MISSING)
			peak = fmax(peak, (double)level / LEVEL_FULL);
	}
	return peak;
}

/* Whether the same line was there some hours, a day or a week ago and came to nothing: a rotation, a dump, a clean-up. */
static bool failed_before(const struct rings *rings, const struct trend *trend)
{
	static const double lags[] = { 6 * HOUR_MINUTES, 12 * HOUR_MINUTES, DAY_MINUTES, WEEK_MINUTES };
	for (size_t i = 0; i < sizeof(lags) / sizeof(lags[0]); i++) {
		double back = fmin(trend->run, lags[i] / 2);
		double then = level_ago(rings, lags[i]), before = level_ago(rings, lags[i] + back);
		if (lags[i] <= trend->run || !isfinite(then) || !isfinite(before))
			continue;
		if (then - before >= SIMILAR * trend->slope * back && trend->level - then < KEPT * trend->slope * lags[i])
			return true;
	}
	return false;
}

/* What rose fast and rises less and less is a cache that fills, or a restart that warms up. */
static bool slows_down(const struct rings *rings, const struct trend *trend)
{
	double now = level_ago(rings, 5), half = level_ago(rings, trend->run / 2), begin = level_ago(rings, trend->run);
	return now - half < SLOWING * (half - begin); /* not where one of them was not measured */
}

/* What a window says of the future, ENOUGH or why nothing. */
static enum evidence judge(const struct rings *rings, const struct trend *trend, double agreeing)
{
	if (!trend->count)
		return EVIDENCE_SHORT;
	if (trend->slope <= 0)
		return EVIDENCE_NOT_RISING;
	if (trend->agreeing < agreeing || trend->steady < STEADY)
		return EVIDENCE_ERRATIC;
	if (FORECAST_FULL - trend->level > trend->slope * trend->run * ahead_of_run(rings, trend))
		return EVIDENCE_FAR;
	if (trend->level <= peak_before(rings, trend->run) + RECORD_MARGIN * trend->slope * trend->run || failed_before(rings, trend) ||
	    slows_down(rings, trend))
		return EVIDENCE_USUAL;
	return EVIDENCE_ENOUGH;
}

static double time_left(double level, double slope)
{
	return slope > 0 ? fmax(0, FORECAST_FULL - level) / slope : INFINITY;
}

static void say(struct estimate *ret, double likely, double low, double high, double confidence)
{
	ret->evidence = EVIDENCE_ENOUGH;
	ret->likely_min = likely;
	ret->low_min = fmin(low, likely);
	ret->high_min = fmax(high, likely);
	ret->confidence = confidence;
}

/* Of all windows that say something the nearest time; where none does, what came closest to saying something. */
static void ask_windows(const struct rings *rings, struct forecast_work *work, struct estimate *ret)
{
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		struct trend trend;
		trend_of(rings, windows[i].scale, windows[i].blocks, work, &trend);
		enum evidence evidence = judge(rings, &trend, windows[i].agreeing);
		double likely = time_left(trend.level, trend.slope);
		if (evidence == EVIDENCE_ENOUGH && likely < ret->likely_min)
			say(ret, likely, time_left(trend.level, trend.slope_high * RANGE_WIDER), time_left(trend.level, trend.slope_low / RANGE_WIDER),
			    trend.agreeing);
		else if (ret->evidence != EVIDENCE_ENOUGH && evidence > ret->evidence)
			ret->evidence = evidence;
	}
}

static void ask_season(const struct rings *rings, const struct season *season, struct estimate *ret)
{
	ret->evidence = season->low_drift > 0 ? EVIDENCE_FAR : EVIDENCE_USUAL;
	ret->likely_min = INFINITY;
	double likely = season->low_drift > 0 ? season_left(rings, season) : INFINITY;
	if (!isfinite(likely))
		return;
	/* It is full on one of the days' slopes: the uncertainty is the drift's, and some tens of minutes of a day's course. */
	double later = likely * season->drift / season->low_drift;
	say(ret, likely, fmax(0, likely / RANGE_WIDER - 10), fmin(later, 2 * likely) + HOUR_MINUTES, 1 - season->error / season->amplitude);
}

/* Least squares, the quickest to see that something has begun: for those who have no time for evidence. */
static void ask_guard(const struct rings *rings, struct estimate *ret)
{
	if (!(ret->level >= NEARLY_FULL) || ret->level <= peak_before(rings, HOUR_MINUTES))
		return;
	double slope = fmax(least_squares(rings, SCALE_MINUTE, 60), least_squares(rings, SCALE_FIVE, 72));
	double likely = time_left(ret->level, slope);
	if (likely < ret->likely_min)
		say(ret, likely, likely / 2, likely * 3, 0.5);
}

static double grown(const struct rings *rings, double minutes)
{
	return level_ago(rings, HOUR_MINUTES / 2.0) - level_ago(rings, minutes + HOUR_MINUTES / 2.0);
}

void forecast_estimate(const struct rings *rings, struct forecast_work *work, struct estimate *ret)
{
	uint16_t newest = ring_at(rings, SCALE_MINUTE, 0);
	*ret = (struct estimate){ EVIDENCE_SHORT, INFINITY, INFINITY, INFINITY, 0, NAN, grown(rings, DAY_MINUTES), grown(rings, WEEK_MINUTES) };
	if (newest != LEVEL_MISSING)
		ret->level = (double)newest / LEVEL_FULL;
	if (ret->level >= FORECAST_FULL) {
		say(ret, 0, 0, 0, 1);
		ret->evidence = EVIDENCE_FULL;
		return;
	}

	struct season season;
	season_of(rings, work, &season);
	if (season.valid) {
		ask_season(rings, &season, ret);
		return;
	}
	ask_windows(rings, work, ret);
	ask_guard(rings, ret);
	if (ret->evidence < EVIDENCE_ENOUGH && rings->minute - rings->first_minute < HOUR_MINUTES)
		ret->evidence = EVIDENCE_SHORT;
}
