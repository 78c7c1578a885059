/* SPDX-License-Identifier: Apache-2.0 */
/* See native.h. */
#include "publish/native.h"

#include <math.h>

enum {
	/* Native bucket k ends at 2^(k/8) s, and ours at 2^(FIRST_EXP + i/8): k = i + this. */
	NATIVE_OFFSET = HISTOGRAM_FIRST_EXP * HISTOGRAM_PER_OCTAVE,
	/* The one that ends at +Inf, behind that of the largest double. */
	NATIVE_INFINITE = 1024 * HISTOGRAM_PER_OCTAVE + 1,
};

struct place {
	int64_t last;             /* count of the bucket before */
	int32_t next;             /* index behind the last span */
};

static void add_bucket(struct native *native, struct place *place, int32_t index, uint64_t count)
{
	native->count += count;
	if (!count)
		return;
	if (!native->span_count || index != place->next)
		native->spans[native->span_count++] = (struct native_span){ .offset = index - place->next };
	native->spans[native->span_count - 1].length++;
	place->next = index + 1;
	native->deltas[native->delta_count++] = (int64_t)count - place->last;
	place->last = (int64_t)count;
}

/* Bucket 0 is the one for zero and what is too short to tell; an empty histogram needs a span to be a native one. */
void native_fill(const struct histogram *histogram, struct native *ret)
{
	struct place place = { 0 };
	ret->span_count = ret->delta_count = 0;
	ret->zero_threshold = ldexp(1, HISTOGRAM_FIRST_EXP);
	ret->count = ret->zero_count = histogram->buckets[0];
	for (uint32_t i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
		add_bucket(ret, &place, (int32_t)i + NATIVE_OFFSET, histogram->buckets[i]);
	add_bucket(ret, &place, NATIVE_INFINITE, histogram->buckets[HISTOGRAM_BUCKETS - 1]);
	if (!ret->span_count)
		ret->spans[ret->span_count++] = (struct native_span){ 0 };
}
