/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast_fast.h: the Theil-Sen slope (Theil 1950, Sen 1968), which neither bursts nor single clean-ups move. */
#include "detect/forecast_fast.h"

#include "detect/forecast_trend.h"

enum { MIN_SAMPLES = 8 };

/* A run seen for a minute says something about the next minutes, not about next week: the horizon is this many times the run. */
#define HORIZON_RUNS 8
/* Fewer pairs than this agreeing on "filling" is weather, not a trend: 70 % is Kendall's tau of 0.4. */
#define AGREEING_PERMILLE 700

void fast_add(struct fast_ring *ring, uint64_t boot_ns, double left, uint32_t spacing_ms)
{
	uint32_t now_ms = (uint32_t)(boot_ns / 1000000), last = (ring->count + FAST_SAMPLES - 1) % FAST_SAMPLES;
	if (ring->count && now_ms - ring->at_ms[last] < (spacing_ms ? spacing_ms : 1))
		return;
	ring->at_ms[ring->count % FAST_SAMPLES] = now_ms;
	ring->left[ring->count % FAST_SAMPLES] = (float)left;
	ring->count++;
}

uint64_t fast_estimate(const struct fast_ring *ring, double left, struct fast_work *work, uint32_t *ret_agreeing_permille)
{
	uint32_t count = ring->count < FAST_SAMPLES ? ring->count : FAST_SAMPLES, pairs = 0, falling = 0;
	if (count < MIN_SAMPLES)
		return UINT64_MAX;

	for (uint32_t older = ring->count - count; older < ring->count; older++)
		for (uint32_t newer = older + 1; newer < ring->count; newer++) {
			uint32_t a = older % FAST_SAMPLES, b = newer % FAST_SAMPLES;
			double slope = ((double)ring->left[a] - (double)ring->left[b]) / (double)(uint32_t)(ring->at_ms[b] - ring->at_ms[a]);
			work->slopes[pairs++] = slope;
			falling += slope > 0;
		}

	if (!pairs)
		return UINT64_MAX;
	*ret_agreeing_permille = falling * 1000 / pairs;
	if (*ret_agreeing_permille < AGREEING_PERMILLE)
		return UINT64_MAX;
	double median = select_double(work->slopes, pairs, pairs / 2);
	double left_ms = median > 0 ? left / median : -1;
	uint32_t run_ms = ring->at_ms[(ring->count - 1) % FAST_SAMPLES] - ring->at_ms[(ring->count - count) % FAST_SAMPLES];
	if (left_ms < 0 || left_ms > (double)run_ms * HORIZON_RUNS)
		return UINT64_MAX;
	return (uint64_t)(left_ms * 1e6);
}
