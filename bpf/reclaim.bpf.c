/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long tasks stall to find memory: direct reclaim for the node, reclaim at a cgroup's own limit, compaction. One begins and ends
 * in one task, which cannot die in between. All maps are preallocated: where this runs, there is no memory to ask for.
 */
#include "core.bpf.h"
#include "histogram.bpf.h"
#include "signals/reclaim.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024); /* tasks that stall at one time */
	__type(key, __u32);        /* thread */
	__type(value, __u64);      /* since when */
} stall_starts SEC(".maps");
counts_refused(stall_starts);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct stalls);
} stalled SEC(".maps");
counts_refused(stalled);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STALL_KINDS);
	__type(key, __u32);
	__type(value, struct stall_node);
} stall_nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[RECLAIM_COUNTS]);
} reclaim_counts SEC(".maps");

static __always_inline void count(enum reclaim_count what)
{
	__u32 zero = 0;
	__u64 *counts = bpf_map_lookup_elem(&reclaim_counts, &zero);

	if (counts)
		bump(counts[what], 1);
}

static __always_inline void begin(void)
{
	__u32 thread = (__u32)bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns();

	if (bpf_map_update_elem(&stall_starts, &thread, &now, BPF_ANY)) {
		refuse(stall_starts);
		count(RECLAIM_LOST_STARTS);
	}
}

static __always_inline void add(struct stall *stall, __u64 took, __u64 pages)
{
	bump(stall->count, 1);
	bump(stall->ns, took);
	if (pages) /* of a constant 0 the compiler makes an atomic or, which v5.10 does not have */
		bump(stall->pages, pages);
}

static __always_inline void add_to_cgroup(const enum stall_kind kind, __u64 took, __u64 pages)
{
	__u64 id = task_cgroup_id((void *)bpf_get_current_task());
	struct stalls none = {}, *stalls = bpf_map_lookup_elem(&stalled, &id);

	if (!stalls) {
		bpf_map_update_elem(&stalled, &id, &none, BPF_NOEXIST);
		stalls = bpf_map_lookup_elem(&stalled, &id);
	}
	if (stalls) {
		add(&stalls->of[kind], took, pages);
	} else {
		refuse(stalled);
		count(RECLAIM_LOST_CGROUPS);
	}
}

static __always_inline void end(const enum stall_kind kind, __u64 pages)
{
	__u32 key = kind, thread = (__u32)bpf_get_current_pid_tgid();
	__u64 *since = bpf_map_lookup_elem(&stall_starts, &thread), now = bpf_ktime_get_ns();
	struct stall_node *node = bpf_map_lookup_elem(&stall_nodes, &key);

	if (!since || !node)
		return;
	__u64 took = now > *since ? now - *since : 0;
	add(&node->sums, took, pages);
	histogram_add(&node->latency, took);
	add_to_cgroup(kind, took, pages);
	bpf_map_delete_elem(&stall_starts, &thread);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(on_reclaim_begin)
{
	begin();
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(on_reclaim_end, unsigned long reclaimed)
{
	end(STALL_RECLAIM_NODE, reclaimed);
	return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(on_limit_begin)
{
	begin();
	return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(on_limit_end, unsigned long reclaimed)
{
	end(STALL_RECLAIM_LIMIT, reclaimed);
	return 0;
}

/* kcompactd works ahead of need: nobody waits for it. */
SEC("tp_btf/mm_compaction_begin")
int BPF_PROG(on_compaction_begin)
{
	if (!task_is_kernel_thread((void *)bpf_get_current_task()))
		begin();
	return 0;
}

SEC("tp_btf/mm_compaction_end")
int BPF_PROG(on_compaction_end)
{
	if (!task_is_kernel_thread((void *)bpf_get_current_task()))
		end(STALL_COMPACTION, 0);
	return 0;
}

SEC("tp_btf/mm_vmscan_kswapd_wake")
int BPF_PROG(on_kswapd_wake)
{
	count(RECLAIM_KSWAPD_WAKES);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
