/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How rare a value is among those before it: a histogram of four bins an octave whose counts are halved now and then, so that it follows
 * its source, and an exponential tail above a high quantile (the peaks-over-threshold idea of Siffert et al., SPOT, KDD 2017, with the
 * shape held at 0: shapes up to 0.5, estimated by moments, moved no score by more than one point; docs/detection.md). 24 octaves lie
 * below what was seen; what outgrows them moves the window up.
 */
#ifndef NODEMEND_DETECT_TAIL_H
#define NODEMEND_DETECT_TAIL_H

#include <stdbool.h>
#include <stdint.h>

enum { TAIL_BINS = 96 };

struct tail {
	uint16_t counts[TAIL_BINS];  /* [0]: zero, and all below the window */
	uint32_t total;
	float threshold, mean_excess; /* as of the last fit */
	int16_t base;                /* float bits >> 21 of the first bin; 0: nothing above zero was seen */
	uint16_t since_fit;
};

struct tail_shape {
	float beyond;                /* the share of values that counts as tail */
	uint32_t halve_at;           /* values after which the past weighs half */
};

/* -log10 of the probability of a value this large or larger; 0 within the bulk, or while too little is known. Then takes it in. */
float tail_score(struct tail *tail, const struct tail_shape *shape, float value);
/* The same without taking it in. */
float tail_rarity(const struct tail *tail, const struct tail_shape *shape, float value);
/* The value that is so rare. */
float tail_value(const struct tail *tail, const struct tail_shape *shape, float rarity);

/* Whether these bytes, from a file, can be a tail's: what the functions above take for granted. */
bool tail_is_sound(const struct tail *tail);

#endif
