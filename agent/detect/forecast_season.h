/* SPDX-License-Identifier: Apache-2.0 */
/* Series whose days resemble each other: whether this is one, and what the days to come are then like. Pure. */
#ifndef NODEMEND_DETECT_FORECAST_SEASON_H
#define NODEMEND_DETECT_FORECAST_SEASON_H

#include "detect/forecast_series.h"

struct season {
	bool valid;                  /* the last three days resembled each other, and the last hour yesterday's */
	double drift, low_drift;     /* from day to day: the median, and its lower quintile */
	double error, amplitude;     /* how far days are off each other, and how much a day moves, without the drift */
};

void season_of(const struct rings *rings, struct forecast_work *work, struct season *ret);
/* Minutes until it is full if each day is yesterday and the drift more; INFINITY beyond two weeks. */
double season_left(const struct rings *rings, const struct season *season);

#endif
