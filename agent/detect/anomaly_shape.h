/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feature that sees a shape which never was, where no single sample is odd: the distance of the last 64 samples, as means of eight, to the nearest
 * such stretch of the 1536 before (the left discord of Yeh et al., Matrix Profile, ICDM 2016, over a bounded ring). Costlier than the others, so it runs
 * at every eighth sample, and only where a series stands alone: in a sum over many it lowered what was found (docs/detection.md).
 */
#ifndef NODEMEND_DETECT_ANOMALY_SHAPE_H
#define NODEMEND_DETECT_ANOMALY_SHAPE_H

#include "detect/tail.h"

enum { SHAPE_BLOCK = 8, SHAPE_BLOCKS = 8, SHAPE_RING = 192 };

/* Zeroed is a new one. */
struct anomaly_shape {
	double sum;
	uint32_t samples, blocks;
	float ring[SHAPE_RING];
	struct tail tail;
};

/* What it adds to anomaly_evidence.alone. NaN: nothing changes. */
float anomaly_shape_take(struct anomaly_shape *shape, double value);

#endif
