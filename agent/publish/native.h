/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram as Prometheus' native ones have it: runs of buckets that are not empty, each count as the difference to the one before. */
#ifndef NODEMEND_PUBLISH_NATIVE_H
#define NODEMEND_PUBLISH_NATIVE_H

#include "histogram.h"

#include <stdint.h>

enum { NATIVE_MAX_SPANS = HISTOGRAM_BUCKETS / 2 + 1 };

struct native_span {
	int32_t offset;           /* from the end of the span before; of the first, its index */
	uint32_t length;
};

struct native {
	double zero_threshold;
	uint64_t count, zero_count;
	uint32_t span_count, delta_count;
	struct native_span spans[NATIVE_MAX_SPANS];
	int64_t deltas[HISTOGRAM_BUCKETS];
};

void native_fill(const struct histogram *histogram, struct native *ret);

#endif
