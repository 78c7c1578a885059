/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The one histogram of durations, kept by BPF programs and read by the agent: exponential buckets, eight to each power of two of a
 * second, which are the very buckets of Prometheus' native histograms of schema 3 and of OTLP's exponential ones of scale 3. So
 * nothing is converted on the way out, and the classic buckets are every eighth bound. A bucket's middle is off by at most 4.4 %.
 *
 * Bucket i holds bound(i-1) < t <= bound(i) with bound(i) = 2^(HISTOGRAM_FIRST_EXP + i/8) seconds; bucket 0 is everything up to
 * 2^-24 s (60 ns), the last everything above 2^6 s.
 */
#ifndef NODEMEND_HISTOGRAM_H
#define NODEMEND_HISTOGRAM_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum {
	HISTOGRAM_SCHEMA = 3,
	HISTOGRAM_PER_OCTAVE = 1 << HISTOGRAM_SCHEMA,
	HISTOGRAM_FIRST_EXP = -24,
	HISTOGRAM_LAST_EXP = 6,
	HISTOGRAM_OCTAVES = HISTOGRAM_LAST_EXP - HISTOGRAM_FIRST_EXP,
	HISTOGRAM_BUCKETS = HISTOGRAM_OCTAVES * HISTOGRAM_PER_OCTAVE + 2,
	/* The classic exposition: the bounds 2^-22 s (238 ns) … 2^4 s, and +Inf. */
	HISTOGRAM_CLASSIC_FIRST_EXP = -22,
	HISTOGRAM_CLASSIC_LAST_EXP = 4,
	HISTOGRAM_CLASSIC = HISTOGRAM_CLASSIC_LAST_EXP - HISTOGRAM_CLASSIC_FIRST_EXP + 1,
};

struct histogram {
	__u64 sum_ns;
	__u64 buckets[HISTOGRAM_BUCKETS]; /* not cumulative; the count is their sum */
};

/* Nanoseconds times this are units of 2^-54 s: 2^54/10^9 is 18014398.5, so off by 3 in 10^8. Overflows at 2^39 ns, 9 minutes. */
enum { HISTOGRAM_UNITS_PER_NS = 18014398, HISTOGRAM_UNIT_EXP = -54, HISTOGRAM_NS_BITS = 39 };

/* floor(2^(60 + k/8)), the bounds inside the octave that ends at 2^61. They are irrational, so `>` the floor is `>` the bound. */
#define HISTOGRAM_BOUND(k) \
	((k) == 1 ? 1257269815929830108ULL : (k) == 2 ? 1371062456318104877ULL : (k) == 3 ? 1495154210581915421ULL : (k) == 4 ? 1630477228166597776ULL : \
	 (k) == 5 ? 1778048025250290523ULL : (k) == 6 ? 1938975120585633118ULL : 2114467362444183333ULL)

/* Never more than HISTOGRAM_BUCKETS - 1. By comparisons: BPF has no instruction that counts zeros. */
static inline __attribute__((always_inline)) __u32 histogram_bucket(__u64 ns)
{
	__u64 units, rest, scaled;
	__u32 octave = 0, part;

	if (ns >> HISTOGRAM_NS_BITS)
		return HISTOGRAM_BUCKETS - 1;
	units = ns * HISTOGRAM_UNITS_PER_NS;
	rest = (units ? units - 1 : 0) >> (HISTOGRAM_FIRST_EXP - HISTOGRAM_UNIT_EXP);
	if (!rest)
		return 0;
	if (rest >> HISTOGRAM_OCTAVES)
		return HISTOGRAM_BUCKETS - 1;
	if (rest >> 16) { rest >>= 16; octave += 16; }
	if (rest >> 8) { rest >>= 8; octave += 8; }
	if (rest >> 4) { rest >>= 4; octave += 4; }
	if (rest >> 2) { rest >>= 2; octave += 2; }
	octave += (__u32)(rest >> 1);

	/* 2^60 < scaled <= 2^61 */
	scaled = units << (HISTOGRAM_OCTAVES - octave);
	if (scaled > HISTOGRAM_BOUND(4))
		part = scaled > HISTOGRAM_BOUND(6) ? (scaled > HISTOGRAM_BOUND(7) ? 7 : 6) : (scaled > HISTOGRAM_BOUND(5) ? 5 : 4);
	else
		part = scaled > HISTOGRAM_BOUND(2) ? (scaled > HISTOGRAM_BOUND(3) ? 3 : 2) : (scaled > HISTOGRAM_BOUND(1) ? 1 : 0);
	return 1 + octave * HISTOGRAM_PER_OCTAVE + part;
}

/* The last bucket whose bound is at most 2^exp seconds: the sum up to and with it is the classic bucket's. */
static inline __u32 histogram_last_up_to(int exp)
{
	return (__u32)(exp - HISTOGRAM_FIRST_EXP) * HISTOGRAM_PER_OCTAVE;
}

#endif
