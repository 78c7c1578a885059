/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When something will be full, out of what its rings hold: a time with a range, or "not enough evidence" with the reason. Pure.
 *
 * A trend is a Theil-Sen slope (the median of all pairwise slopes; Theil 1950, Sen 1968) that Kendall's tau confirms; it is followed
 * only about twice as far ahead as the data have stayed on its line, and only where the level is a record: what was that high before
 * and came down again will do so again. A series with a day of its own is carried on day by day.
 */
#ifndef NODEMEND_DETECT_FORECAST_SERIES_H
#define NODEMEND_DETECT_FORECAST_SERIES_H

#include "detect/forecast_rings.h"
#include "signals/outlook.h"

/* 99 %: what is that full fails some of its users already, and the last percent is where reserves and rounding are. */
#define FORECAST_FULL 0.99

/* What the samples of the last minute say (forecast_fast.h) is heard when it is about the next half hour; for later there is the history. */
#define FORECAST_SOON_MIN 30

struct estimate {
	enum evidence evidence;
	double likely_min, low_min, high_min; /* minutes until full; INFINITY where there is not ENOUGH */
	double confidence;           /* 0 to 1: how many of the pairs agree, or how well days repeat */
	double level;                /* the newest minute's; NAN: not measured */
	double per_day, per_week;    /* growth over the last of them, as a share of the capacity; NAN: too little history */
};

enum { TREND_PAIRS = 72 * 71 / 2 };
struct forecast_work { double slopes[TREND_PAIRS]; }; /* scratch: what is in it does not matter */

void forecast_estimate(const struct rings *rings, struct forecast_work *work, struct estimate *ret);

#endif
