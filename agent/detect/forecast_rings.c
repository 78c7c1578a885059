/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast_rings.h. */
#include "detect/forecast_rings.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A block whose minutes are mostly missing says nothing of it. */
#define PRESENT(minutes) (((minutes) + 2) / 3)

static const struct { uint32_t length, minutes; size_t offset; } scales[RING_SCALES] = {
	[SCALE_MINUTE] = { RING_MINUTES, 1, offsetof(struct rings, minutes) },
	[SCALE_FIVE] = { RING_FIVES, 5, offsetof(struct rings, fives) },
	[SCALE_TEN] = { RING_TENS, 10, offsetof(struct rings, tens) },
	[SCALE_HOUR] = { RING_HOURS, 60, offsetof(struct rings, hours) },
	[SCALE_PEAK] = { RING_PEAKS, 60, offsetof(struct rings, peaks) },
};

uint32_t ring_length(enum ring_scale scale)
{
	return scales[scale].length;
}

uint32_t ring_minutes(enum ring_scale scale)
{
	return scales[scale].minutes;
}

static uint16_t *ring_of(struct rings *rings, enum ring_scale scale)
{
	return (uint16_t *)((char *)rings + scales[scale].offset);
}

void rings_clear(struct rings *rings)
{
	memset(rings, 0, sizeof(*rings));
	for (enum ring_scale scale = 0; scale < RING_SCALES; scale++)
		for (uint32_t i = 0; i < scales[scale].length; i++)
			ring_of(rings, scale)[i] = LEVEL_MISSING;
}

uint16_t ring_at(const struct rings *rings, enum ring_scale scale, uint32_t ago)
{
	uint32_t now = rings->minute / scales[scale].minutes; /* the block under way */
	if (ago >= scales[scale].length - 1 || ago + 1 > now)
		return LEVEL_MISSING;
	const uint16_t *ring = (const uint16_t *)((const char *)rings + scales[scale].offset);
	return ring[(now - 1 - ago) % scales[scale].length];
}

static int compare_level(const void *a, const void *b)
{
	uint16_t left = *(const uint16_t *)a, right = *(const uint16_t *)b;
	return (left > right) - (left < right);
}

static uint16_t median_of(uint16_t *values, uint32_t count)
{
	qsort(values, count, sizeof(values[0]), compare_level);
	return values[count / 2];
}

/* The last `minutes` whole minutes, ending with the one just closed. */
static void close_block(struct rings *rings, enum ring_scale scale)
{
	uint16_t values[60];
	uint32_t count = 0, minutes = scales[scale].minutes, closed = rings->minute;
	for (uint32_t i = 0; i < minutes; i++) {
		uint16_t value = rings->minutes[(closed - i) % RING_MINUTES];
		if (value != LEVEL_MISSING)
			values[count++] = value;
	}

	uint16_t result = LEVEL_MISSING;
	if (count >= PRESENT(minutes)) {
		result = median_of(values, count);
		if (scale == SCALE_PEAK)
			result = values[count - 1];
	}
	ring_of(rings, scale)[closed / minutes % scales[scale].length] = result;
}

static void close_minute(struct rings *rings)
{
	uint32_t closed = rings->minute;
	rings->minutes[closed % RING_MINUTES] = rings->pending_count ? median_of(rings->pending, rings->pending_count) : LEVEL_MISSING;
	rings->pending_count = 0;
	for (enum ring_scale scale = SCALE_FIVE; scale < RING_SCALES; scale++)
		if ((closed + 1) % scales[scale].minutes == 0)
			close_block(rings, scale);
	rings->minute++;
}

bool rings_add(struct rings *rings, uint32_t minute, double share)
{
	uint16_t level = share <= 0 ? 0 : share * LEVEL_FULL >= LEVEL_MAX ? LEVEL_MAX : (uint16_t)lround(share * LEVEL_FULL);
	if (rings->minute && minute > rings->minute + RING_LONGEST_GAP)
		rings_clear(rings);
	if (!rings->minute)
		rings->minute = rings->first_minute = minute ? minute : 1;

	bool closed = minute > rings->minute;
	while (rings->minute < minute)
		close_minute(rings);
	if (rings->pending_count < RING_PENDING)
		rings->pending[rings->pending_count++] = level;
	return closed;
}

void rings_rescale(struct rings *rings, double factor)
{
	for (enum ring_scale scale = 0; scale < RING_SCALES; scale++) {
		uint16_t *ring = ring_of(rings, scale);
		for (uint32_t i = 0; i < scales[scale].length; i++) {
			double scaled = ring[i] * factor;
			if (ring[i] != LEVEL_MISSING)
				ring[i] = scaled < LEVEL_MAX ? (uint16_t)lround(scaled) : LEVEL_MAX;
		}
	}
	rings->pending_count = 0;
}

bool rings_possible(const struct rings *rings, uint32_t now_minute)
{
	return rings->minute && rings->minute <= now_minute && rings->first_minute && rings->first_minute <= rings->minute &&
	       rings->pending_count <= RING_PENDING;
}
