/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How full each CPU was in windows of 10 ms: the fullest one between two readings, and all of them as a histogram. A CPU that is
 * saturated for 50 ms a second is 5 % busy to whoever reads it once a second, and late for everybody who needed it meanwhile.
 */
#ifndef NODEMEND_BURST_BPF_H
#define NODEMEND_BURST_BPF_H

#include "depth.bpf.h"
#include "histogram.bpf.h"
#include "signals/sched.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct burst);
} bursts SEC(".maps");

/* The agent adds one before it reads: windows that close from then on belong to the next reading. */
volatile __u32 burst_epoch SEC(".data") = 1;

/* What the program keeps for the node, of this CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sched_histograms);
} histograms SEC(".maps");

static __always_inline void close_windows(struct burst *burst, struct histogram *histogram, __u64 busy_ns, __u64 count)
{
	__u32 epoch = burst_epoch;

	if (burst->epoch != epoch) {
		burst->last_max_ns = burst->epoch + 1 == epoch ? burst->max_ns : 0;
		burst->max_ns = 0;
		burst->epoch = epoch;
	}
	if (busy_ns > burst->max_ns)
		burst->max_ns = busy_ns;
	if (!histogram)
		return;
	__u64 bucket = histogram_bucket_of(busy_ns);
	if (bucket < HISTOGRAM_BUCKETS)
		histogram->buckets[bucket] += count;
	histogram->sum_ns += busy_ns * count;
}

/* Global, for the verifier: a hundred times a second, and half of the ways through a switch. `since`: the switch before this one. */
__noinline int end_windows(__u64 since, __u64 now, __u32 was_busy)
{
	__u32 zero = 0;
	struct burst *burst = bpf_map_lookup_elem(&bursts, &zero);
	struct sched_histograms *kept = keeps_histograms() ? bpf_map_lookup_elem(&histograms, &zero) : NULL;
	struct histogram *histogram = kept ? &kept->window : NULL;

	if (!burst)
		return 0;
	__u64 end = burst->end_ns;
	close_windows(burst, histogram, burst->busy_ns + (was_busy ? end - since : 0), 1);
	__u64 whole = (now - end) / BURST_WINDOW_NS;
	if (whole)
		close_windows(burst, histogram, was_busy ? BURST_WINDOW_NS : 0, whole);
	end += whole * BURST_WINDOW_NS;
	burst->busy_ns = was_busy ? now - end : 0;
	burst->end_ns = end + BURST_WINDOW_NS;
	return 0;
}

/* Since the last switch the CPU was busy, or not; from now on it is, or not. Most switches come before the window ends. */
static __always_inline void advance_windows(struct burst *burst, __u64 now, bool was_busy, bool is_busy)
{
	__u64 since = burst->since_ns, end = burst->end_ns;

	burst->since_ns = now;
	burst->busy = is_busy;
	if (!since || now < since) {
		burst->end_ns = now + BURST_WINDOW_NS;
		burst->busy_ns = 0;
		return;
	}
	if (now < end) {
		burst->busy_ns += was_busy ? now - since : 0;
		return;
	}
	end_windows(since, now, was_busy);
}

#endif
