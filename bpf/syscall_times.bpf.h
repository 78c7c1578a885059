/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How long calls took: the bucket of a time, and at DEPTH_DEEP a histogram for each cgroup. */
#ifndef NODEMEND_SYSCALL_TIMES_BPF_H
#define NODEMEND_SYSCALL_TIMES_BPF_H

#include "histogram.bpf.h"
#include "syscall_rows.bpf.h"

/* At DEPTH_DEEP only, shared by all CPUs. Rows come with use; system calls are no context in which allocation may deadlock. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, struct syscall_deep_key);
	__type(value, struct histogram);
} deep SEC(".maps");
counts_refused(deep);

static const struct histogram no_times;

/* histogram_bucket() of short times, from the agent: most calls are shorter than this, and twenty instructions become a load. */
enum { SHORT_NS = 2048 };
const volatile __u8 short_buckets[SHORT_NS] = {};

static __always_inline __u32 bucket_of(__u64 ns)
{
	return ns < SHORT_NS ? short_buckets[ns] : histogram_bucket_of(ns);
}

__noinline int look_deeper(__u64 cgroup_id, __u32 number, __u64 ns)
{
	struct syscall_deep_key key = { .cgroup_id = cgroup_id, .number = number };
	struct histogram *times = bpf_map_lookup_elem(&deep, &key);

	if (!times) {
		bpf_map_update_elem(&deep, &key, &no_times, BPF_NOEXIST);
		times = bpf_map_lookup_elem(&deep, &key);
	}
	if (!times) {
		struct syscall_counters *mine = my_counters();

		refuse(deep);
		if (mine)
			count(mine->deep_lost, 1);
		return 0;
	}
	__u64 bucket = histogram_bucket_of(ns);
	if (bucket < HISTOGRAM_BUCKETS)
		bump(times->buckets[bucket], 1);
	bump(times->sum_ns, ns);
	return 0;
}

#endif
