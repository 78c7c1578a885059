/* SPDX-License-Identifier: Apache-2.0 */
/* See tail.h. */
#include "detect/tail.h"

#include <math.h>
#include <string.h>

#define LARGEST 1e36f           /* a few octaves below the largest float: edges of bins above it stay numbers */

enum {
	KNOWN_AT = 62,          /* values before anything is called rare: one in sixty is the threshold itself */
	FIRST_BIN = 64, TOP_BIN = TAIL_BINS - 8, /* where the first value lies, and one that outgrew the window */
	YOUNG = 256, FIT_YOUNG = 16, FIT_EVERY = 64,
	BIN_SHIFT = 21,         /* exponent and two bits of the mantissa: four bins an octave without a logarithm */
};

static int bits_of(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return (int)(bits >> BIN_SHIFT);
}

static float lower_edge(const struct tail *tail, int bin)
{
	uint32_t bits = (uint32_t)(tail->base + bin) << BIN_SHIFT;
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* The threshold is a bin's edge: a value that comes again and again fills one bin, and must not lie beyond it. */
static void fit(struct tail *tail, float beyond)
{
	float wanted = beyond * (float)tail->total, above = 0, sum = 0;
	int bin = TAIL_BINS - 1;

	tail->since_fit = 0;
	if (!tail->base)
		return;
	while (bin > 0 && above + tail->counts[bin] < wanted)
		above += tail->counts[bin--];
	tail->threshold = lower_edge(tail, bin + 1);
	for (int i = bin + 1; i < TAIL_BINS; i++)
		if (tail->counts[i])
			sum += tail->counts[i] * ((lower_edge(tail, i) + lower_edge(tail, i + 1)) / 2 - tail->threshold);
	tail->mean_excess = above >= 4 ? sum / above : tail->threshold * 0.3f; /* of too few: an exponential as steep as twelve decibels a decade */
}

static void halve(struct tail *tail)
{
	tail->total = 0;
	for (int i = 0; i < TAIL_BINS; i++)
		tail->total += tail->counts[i] /= 2;
}

static void move_up(struct tail *tail, int by, float beyond)
{
	uint32_t below = 0;
	for (int i = 0; i <= by && i < TAIL_BINS; i++)
		below += tail->counts[i];
	for (int i = 1; i < TAIL_BINS; i++)
		tail->counts[i] = i + by < TAIL_BINS ? tail->counts[i + by] : 0;
	tail->counts[0] = below < UINT16_MAX ? (uint16_t)below : UINT16_MAX;
	tail->base = (int16_t)(tail->base + by);
	fit(tail, beyond);
}

static int bin_of(struct tail *tail, float value, float beyond)
{
	if (!(value > 0))
		return 0;
	int bits = bits_of(value < LARGEST ? value : LARGEST);
	if (!tail->base) {
		tail->base = (int16_t)(bits > FIRST_BIN ? bits - FIRST_BIN : 1);
		tail->threshold = lower_edge(tail, 1);
	}
	int bin = bits - tail->base;
	if (bin >= TAIL_BINS) {
		move_up(tail, bin - TOP_BIN, beyond);
		bin = TOP_BIN;
	}
	return bin > 0 ? bin : 0;
}

float tail_rarity(const struct tail *tail, const struct tail_shape *shape, float value)
{
	if (tail->total < KNOWN_AT || !(value > tail->threshold))
		return 0;
	float excess = value - tail->threshold, mean = tail->mean_excess;
	float steps = mean > 0 && excess < 1e3f * mean ? excess / mean : 1e3f;
	return -log10f(shape->beyond) + steps * (float)M_LOG10E;
}

float tail_score(struct tail *tail, const struct tail_shape *shape, float value)
{
	float score = tail_rarity(tail, shape, value);
	int bin = bin_of(tail, value, shape->beyond);

	if (tail->counts[bin] < UINT16_MAX)
		tail->counts[bin]++;
	tail->total++;
	if (++tail->since_fit >= (tail->total < YOUNG ? FIT_YOUNG : FIT_EVERY)) {
		if (tail->total >= shape->halve_at)
			halve(tail);
		fit(tail, shape->beyond);
	}
	return score;
}

float tail_value(const struct tail *tail, const struct tail_shape *shape, float rarity)
{
	float steps = (rarity + log10f(shape->beyond)) / (float)M_LOG10E;
	return tail->threshold + fmaxf(steps, 0) * tail->mean_excess;
}

bool tail_is_sound(const struct tail *tail)
{
	uint64_t sum = 0;
	for (int i = 0; i < TAIL_BINS; i++)
		sum += tail->counts[i];
	/* Bins saturate, so the sum may lie below the total; the last bin's upper edge must still be a number. */
	return sum <= tail->total && tail->base >= 0 && tail->base + TAIL_BINS < bits_of(INFINITY) && isfinite(tail->threshold) && tail->threshold >= 0 &&
	       isfinite(tail->mean_excess) && tail->mean_excess >= 0;
}
