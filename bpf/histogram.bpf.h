/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * histogram_bucket() as a global function: the verifier looks at it once and for itself. Inlined, its thirty ways through multiply those of the
 * caller: block's on_complete took 158 000 instructions of looking and 170 ms to load. A call costs 2 ns.
 */
#ifndef NODEMEND_HISTOGRAM_BPF_H
#define NODEMEND_HISTOGRAM_BPF_H

#include "core.bpf.h"
#include "histogram.h"

/* What comes back is any number to the verifier, of 64 bits: hold it below HISTOGRAM_BUCKETS before it is an index. */
__noinline __u64 histogram_bucket_of(__u64 ns)
{
	return histogram_bucket(ns);
}

/*
 * For histograms that several CPUs add to. The bucket is held below its bound where it is used: kept on the stack meanwhile, its bound
 * would be forgotten by verifiers as late as 6.1's.
 */
static __always_inline void histogram_add(struct histogram *histogram, __u64 ns)
{
	__u64 bucket = histogram_bucket_of(ns);

	barrier_var(bucket);
	if (bucket >= HISTOGRAM_BUCKETS)
		return;
	bump(histogram->buckets[bucket], 1);
	bump(histogram->sum_ns, ns);
}

#endif
