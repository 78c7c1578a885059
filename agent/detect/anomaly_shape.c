/* SPDX-License-Identifier: Apache-2.0 */
/* See anomaly_shape.h. */
#include "detect/anomaly_shape.h"

#include <math.h>
#include <string.h>

#define MOST 4.2f   /* as MOST_A_FEATURE of anomaly.c */
enum { KNOWN_AT = 2 * SHAPE_RING / 3 }; /* blocks before the nearest stretch means anything: what was never seen is at first everything */

static const struct tail_shape shape_of_tail = { .beyond = 0.018f, .halve_at = 6500 / SHAPE_BLOCK };

/* The ring, oldest first. */
static uint32_t unroll(const struct anomaly_shape *shape, float ret[SHAPE_RING])
{
	uint32_t count = shape->blocks < SHAPE_RING ? shape->blocks : SHAPE_RING, start = (shape->blocks - count) % SHAPE_RING;
	uint32_t first = SHAPE_RING - start < count ? SHAPE_RING - start : count;
	memcpy(ret, shape->ring + start, first * sizeof(*ret));
	memcpy(ret + first, shape->ring, (count - first) * sizeof(*ret));
	return count;
}

/* Over all stretches that do not touch the newest; most are given up after a few terms. */
static float nearest(const float *values, uint32_t count)
{
	const float *newest = values + count - SHAPE_BLOCKS;
	float best = INFINITY;
	for (const float *old = values; old + SHAPE_BLOCKS <= newest; old++) {
		float distance = 0;
		for (int i = 0; i < SHAPE_BLOCKS && distance < best; i++)
			distance += (old[i] - newest[i]) * (old[i] - newest[i]);
		if (distance < best)
			best = distance;
	}
	return sqrtf(best);
}

float anomaly_shape_take(struct anomaly_shape *shape, double value)
{
	if (!isfinite(value))
		return 0;
	shape->sum += value;
	if (++shape->samples < SHAPE_BLOCK)
		return 0;
	shape->ring[shape->blocks++ % SHAPE_RING] = (float)(shape->sum / SHAPE_BLOCK);
	shape->sum = 0;
	shape->samples = 0;
	if (shape->blocks < KNOWN_AT)
		return 0;

	float values[SHAPE_RING];
	uint32_t count = unroll(shape, values);
	float rarity = tail_score(&shape->tail, &shape_of_tail, nearest(values, count));
	return fmaxf(fminf(rarity, MOST) + log10f(shape_of_tail.beyond), 0);
}
