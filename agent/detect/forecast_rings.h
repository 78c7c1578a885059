/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full something was: medians of a minute, five, ten and sixty, and the peak of each hour, as shares of its capacity in sixteen bits.
 * A figure that was not measured is missing and never a number. Time is an argument: minutes on a clock that does not step back.
 */
#ifndef NODEMEND_DETECT_FORECAST_RINGS_H
#define NODEMEND_DETECT_FORECAST_RINGS_H

#include <stdbool.h>
#include <stdint.h>

/* 60000 is full: a step is 0.0017 % of the capacity, and what lies over it (a reserve, a limit that was lowered) has room, too. */
enum { LEVEL_FULL = 60000, LEVEL_MAX = 65534, LEVEL_MISSING = 65535 };

enum {
	RING_MINUTES = 64,           /* an hour, for the blocks made of it */
	RING_FIVES = 144,            /* 12 hours */
	RING_TENS = 432,             /* three days: what a day looks like, three times */
	RING_HOURS = 336,            /* two weeks: this week beside the last */
	RING_PEAKS = 168,            /* a week of hourly peaks */
	RING_PENDING = 16,           /* samples of the minute under way; more than these add nothing to its median */
	RING_LONGEST_GAP = RING_HOURS * 60,
};

enum ring_scale { SCALE_MINUTE, SCALE_FIVE, SCALE_TEN, SCALE_HOUR, SCALE_PEAK, RING_SCALES };

struct rings {
	uint32_t minute;             /* the one under way; 0: nothing was added yet */
	uint32_t first_minute;       /* of the first sample: how much history there is */
	uint16_t pending_count;
	uint16_t pending[RING_PENDING];
	uint16_t minutes[RING_MINUTES], fives[RING_FIVES], tens[RING_TENS], hours[RING_HOURS], peaks[RING_PEAKS];
};

void rings_clear(struct rings *rings);
/* Adds a sample; true when a minute was closed by it, so that there is something new to see. A time before the newest is taken as now. */
bool rings_add(struct rings *rings, uint32_t minute, double share);
/* The capacity has changed: what was recorded is now `factor` times as much of it. */
void rings_rescale(struct rings *rings, double factor);

/* Whether these bytes can be rings at that time: for what was kept in a file. */
bool rings_possible(const struct rings *rings, uint32_t now_minute);

/* How many blocks of that scale there can be, and the minutes that each covers. */
uint32_t ring_length(enum ring_scale scale);
uint32_t ring_minutes(enum ring_scale scale);
/* The block `ago` before the newest whole one (0). LEVEL_MISSING: not measured, or out of reach. */
uint16_t ring_at(const struct rings *rings, enum ring_scale scale, uint32_t ago);

#endif
