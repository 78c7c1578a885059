/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast_trend.h. */
#include "detect/forecast_trend.h"

#include <math.h>

/* How far a block may be off the line, as a share of what the line rises between it and now; and of what it rises over a quarter of
 * the window, so that noise near the present does not end a run. */
#define OFF_THE_LINE 0.3
#define NEAR_PRESENT 0.25
/* So many blocks in a row off the line end a run: one may be a dump that came and went. */
enum { STRAYS = 3, WALK_STEPS = 6 };

struct point { double x, y; };
enum { MAX_POINTS = 72 };

double select_double(double *values, uint32_t count, uint32_t k)
{
	/* Hoare's quickselect: the pairs are only partly sorted, and no order of them is needed. */
	uint32_t low = 0, high = count - 1;
	while (low < high) {
		double pivot = values[low + (high - low) / 2];
		uint32_t i = low, j = high;
		while (true) {
			while (i < high && values[i] < pivot)
				i++;
			while (j > low && values[j] > pivot)
				j--;
			if (i >= j)
				break;
			double swapped = values[i];
			values[i++] = values[j];
			values[j--] = swapped;
		}
		/* values[low..j] <= pivot <= values[j+1..high], give or take the one that both stopped at */
		if (k <= j)
			high = j;
		else
			low = j + 1;
	}
	return values[k];
}

static uint32_t take_points(const struct rings *rings, enum ring_scale scale, uint32_t blocks, struct point ret[MAX_POINTS])
{
	uint32_t count = 0, minutes = ring_minutes(scale);
	for (uint32_t ago = 0; ago < blocks && count < MAX_POINTS; ago++) {
		uint16_t level = ring_at(rings, scale, ago);
		if (level != LEVEL_MISSING)
			ret[count++] = (struct point){ -(ago + 0.5) * minutes, (double)level / LEVEL_FULL };
	}
	return count;
}

static double run_of(const struct rings *rings, enum ring_scale scale, uint32_t blocks, double level, double slope)
{
	uint32_t minutes = ring_minutes(scale), length = ring_length(scale), strays = 0;
	double near_present = slope * blocks * minutes * NEAR_PRESENT, run = 0;
	for (uint32_t ago = 0; ago < length && strays < STRAYS; ago++) {
		uint16_t seen = ring_at(rings, scale, ago);
		double back = (ago + 0.5) * minutes, fall = slope * back;
		if (seen == LEVEL_MISSING) {
			if (ago * minutes + rings->first_minute > rings->minute)
				break;
			continue; /* nothing said against it */
		}
		if (fabs((double)seen / LEVEL_FULL - (level - fall)) > OFF_THE_LINE * fmax(fall, near_present)) {
			strays++;
			continue;
		}
		strays = 0;
		run = (ago + 1) * minutes;
	}
	return run;
}

/*
 * A random walk has trends, too, and they end. Over a sixth of the window its steps differ by as much as they do, and six of them in a row by
 * the root of six times that; around a line steps differ only by the noise at their ends.
 */
static double steadiness(const struct point *points, uint32_t count, double slope, double *scratch)
{
	uint32_t lag = count / WALK_STEPS, steps = 0;
	for (uint32_t i = 0; i + lag < count; i++)
		scratch[steps++] = fabs(points[i].y - points[i + lag].y - slope * (points[i].x - points[i + lag].x));
	double wandered = 1.4826 * select_double(scratch, steps, steps / 2) * sqrt((double)count / lag); /* MAD as a standard deviation */
	double rise = slope * (points[0].x - points[count - 1].x);
	return wandered > 0 ? rise / wandered : INFINITY;
}

void trend_of(const struct rings *rings, enum ring_scale scale, uint32_t blocks, struct forecast_work *work, struct trend *ret)
{
	struct point points[MAX_POINTS];
	uint32_t count = take_points(rings, scale, blocks, points), pairs = 0, rising = 0;
	*ret = (struct trend){ .count = count };
	if (count < 8 || count < blocks / 2)
		return;

	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = i + 1; j < count; j++) {
			double slope = (points[i].y - points[j].y) / (points[i].x - points[j].x);
			work->slopes[pairs++] = slope;
			rising += slope > 0;
		}
	ret->agreeing = (double)rising / pairs;
	ret->slope = select_double(work->slopes, pairs, pairs / 2);
	if (ret->slope <= 0)
		return;
	ret->slope_low = select_double(work->slopes, pairs, pairs * 3 / 10);
	ret->slope_high = select_double(work->slopes, pairs, pairs * 7 / 10);

	for (uint32_t i = 0; i < count; i++)
		work->slopes[i] = points[i].y - ret->slope * points[i].x;
	ret->level = select_double(work->slopes, count, count / 2);
	ret->steady = steadiness(points, count, ret->slope, work->slopes);
	ret->run = run_of(rings, scale, blocks, ret->level, ret->slope);
}

double level_ago(const struct rings *rings, double minutes)
{
	enum ring_scale scale = minutes < (RING_TENS - 3) * 10 ? SCALE_TEN : SCALE_HOUR;
	uint32_t middle = (uint32_t)(minutes / ring_minutes(scale)), count = 0;
	double values[3] = { NAN, NAN, NAN };
	for (uint32_t ago = middle ? middle - 1 : 0; ago <= middle + 1; ago++) {
		uint16_t level = ring_at(rings, scale, ago);
		if (level != LEVEL_MISSING)
			values[count++] = (double)level / LEVEL_FULL;
	}
	return count ? select_double(values, count, count / 2) : NAN;
}

double least_squares(const struct rings *rings, enum ring_scale scale, uint32_t blocks)
{
	struct point points[MAX_POINTS];
	uint32_t count = take_points(rings, scale, blocks, points);
	double x = 0, y = 0, xx = 0, xy = 0;
	if (count < 8 || count < blocks / 2)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		x += points[i].x;
		y += points[i].y;
		xx += points[i].x * points[i].x;
		xy += points[i].x * points[i].y;
	}
	double spread = count * xx - x * x;
	return spread > 0 ? (count * xy - x * y) / spread : 0;
}
