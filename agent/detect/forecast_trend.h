/* SPDX-License-Identifier: Apache-2.0 */
/* The robust slope of the last blocks of a ring, and how long the data have been on its line. Pure. */
#ifndef NODEMEND_DETECT_FORECAST_TREND_H
#define NODEMEND_DETECT_FORECAST_TREND_H

#include "detect/forecast_series.h"

struct trend {
	uint32_t count;              /* blocks that were there; fewer than half of those asked for say nothing */
	double agreeing;             /* share of the pairs that rise: 0.5 (1 + Kendall's tau) */
	double slope, slope_low, slope_high; /* shares of the capacity a minute: the median, and the 30 % and 70 % of the pairwise slopes */
	double steady;               /* what it rose by, over what a walk of steps as uneven as its own would have wandered */
	double level;                /* of the line, now */
	double run;                  /* minutes that the data have been on it, looking back from now */
};

/* Over the last `blocks` of that scale (72 at most). */
void trend_of(const struct rings *rings, enum ring_scale scale, uint32_t blocks, struct forecast_work *work, struct trend *ret);
/* The median of the three blocks around the one that many minutes ago; NAN where none of them was measured. */
double level_ago(const struct rings *rings, double minutes);
/* Least squares of the last `blocks`: what is left when there is no time for anything better. A slope a minute; 0 with too few. */
double least_squares(const struct rings *rings, enum ring_scale scale, uint32_t blocks);
/* The k-th smallest (from 0), in place. */
double select_double(double *values, uint32_t count, uint32_t k);

#endif
