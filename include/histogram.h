/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The one histogram of durations, kept by BPF programs and read by the agent: exponential buckets, eight to each power of two, with
 * the very bounds of Prometheus' native histograms of schema 3 and OTLP's of scale 3, so that nothing is converted on the way out.
 * The middle of a bucket is off by at most 4.4 %. The classic buckets are every eighth bound.
 *
 * Bucket i holds bound(i-1) < ns <= bound(i) with bound(i) = 2^(HISTOGRAM_FIRST_EXP + i/8); bucket 0 everything up to 2^FIRST_EXP ns,
 * the last everything above 2^LAST_EXP ns (69 s).
 */
#ifndef NODEMEND_HISTOGRAM_H
#define NODEMEND_HISTOGRAM_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum {
	HISTOGRAM_SCHEMA = 3,
	HISTOGRAM_PER_OCTAVE = 1 << HISTOGRAM_SCHEMA,
	HISTOGRAM_FIRST_EXP = 6,
	HISTOGRAM_LAST_EXP = 36,
	HISTOGRAM_BUCKETS = (HISTOGRAM_LAST_EXP - HISTOGRAM_FIRST_EXP) * HISTOGRAM_PER_OCTAVE + 2,
	/* The classic exposition: the bounds 2^8 … 2^34 ns, and +Inf. */
	HISTOGRAM_CLASSIC_FIRST_EXP = 8,
	HISTOGRAM_CLASSIC_LAST_EXP = 34,
	HISTOGRAM_CLASSIC = HISTOGRAM_CLASSIC_LAST_EXP - HISTOGRAM_CLASSIC_FIRST_EXP + 1,
};

struct histogram {
	__u64 sum_ns;
	__u64 buckets[HISTOGRAM_BUCKETS]; /* not cumulative; the count is their sum */
};

/* floor(2^(36 + k/8)): the bounds inside the octave that ends at 2^37. Irrational, so `>` the floor is `>` the bound. */
#define HISTOGRAM_BOUND(k) \
	((k) == 1 ? 74939120765ULL : (k) == 2 ? 81721690673ULL : (k) == 3 ? 89118135606ULL : (k) == 4 ? 97184015999ULL : \
	 (k) == 5 ? 105979920938ULL : (k) == 6 ? 115571923290ULL : 126032076027ULL)

/* Never more than HISTOGRAM_BUCKETS - 1. In the kernel's programs by comparisons: BPF has no instruction that counts zeros. */
static inline __attribute__((always_inline)) __u32 histogram_bucket(__u64 ns)
{
	__u64 rest = (ns ? ns - 1 : 0) >> HISTOGRAM_FIRST_EXP, scaled;
	__u32 octave = 0, part;

	if (!rest)
		return 0;
	if (rest >> (HISTOGRAM_LAST_EXP - HISTOGRAM_FIRST_EXP))
		return HISTOGRAM_BUCKETS - 1;
	if (rest >> 16) { rest >>= 16; octave += 16; }
	if (rest >> 8) { rest >>= 8; octave += 8; }
	if (rest >> 4) { rest >>= 4; octave += 4; }
	if (rest >> 2) { rest >>= 2; octave += 2; }
	octave += (__u32)(rest >> 1);

	/* 2^36 < scaled <= 2^37 */
	scaled = ns << (HISTOGRAM_LAST_EXP - HISTOGRAM_FIRST_EXP - octave);
	if (scaled > HISTOGRAM_BOUND(4))
		part = scaled > HISTOGRAM_BOUND(6) ? (scaled > HISTOGRAM_BOUND(7) ? 7 : 6) : (scaled > HISTOGRAM_BOUND(5) ? 5 : 4);
	else
		part = scaled > HISTOGRAM_BOUND(2) ? (scaled > HISTOGRAM_BOUND(3) ? 3 : 2) : (scaled > HISTOGRAM_BOUND(1) ? 1 : 0);
	return 1 + octave * HISTOGRAM_PER_OCTAVE + part;
}

/* The last bucket whose bound is at most 2^exp ns: sums up to and with it are the classic bucket's. */
static inline __u32 histogram_last_up_to(__u32 exp)
{
	return (exp - HISTOGRAM_FIRST_EXP) * HISTOGRAM_PER_OCTAVE;
}

#endif
