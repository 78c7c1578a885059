/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger of filesystem operations: a row a call between its two ends, counters by (filesystem, operation), and by (cgroup,
 * operation). Two objects write into it: fsop, and syscall for fsync and its kin; they share the maps by descriptor.
 *
 * Ends may come in an interrupt, as direct I/O's do: all additions are atomic.
 */
#ifndef NODEMEND_FSOP_BPF_H
#define NODEMEND_FSOP_BPF_H

#include "depth.bpf.h"
#include "histogram.bpf.h"
#include "signals/fsop.h"

/* 2 KB a row, so rows come with the first call. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, struct fsop_key);
	__type(value, struct fsop_counts);
} fsops SEC(".maps");
counts_refused(fsops);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, struct fsop_group_key);
	__type(value, struct fsop_group_counts);
} fsop_groups SEC(".maps");
counts_refused(fsop_groups);

/* A thread that is killed in a call still leaves it; of direct I/O some never ends in sight, which the agent sweeps. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct fsop_call_key);
	__type(value, struct fsop_call);
} fsop_calls SEC(".maps");
counts_refused(fsop_calls);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[FSOP_LOSS_COUNT]);
} fsop_losses SEC(".maps");

static const struct fsop_counts no_fsop_counts;

static __always_inline void lose_fsop(enum fsop_loss what)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&fsop_losses, &zero);

	if (lost)
		bump(lost[what], 1);
}

static __always_inline void fsop_begin(__u64 actor, enum fsop op, __u32 dev)
{
	struct fsop_call_key key = { .actor = actor, .op = op };
	struct fsop_call call = { .start_ns = bpf_ktime_get_ns(), .dev = dev };

	call.cgroup_id = task_cgroup_id((const void *)bpf_get_current_task());
	if (bpf_map_update_elem(&fsop_calls, &key, &call, BPF_ANY)) {
		refuse(fsop_calls);
		lose_fsop(FSOP_LOSS_START);
	}
}

static __always_inline void add_to_filesystem_op(const struct fsop_call *call, enum fsop op, __u64 ns, bool failed)
{
	struct fsop_key key = { .dev = call->dev, .op = op };
	struct fsop_counts *counts = bpf_map_lookup_elem(&fsops, &key);

	if (!counts) {
		bpf_map_update_elem(&fsops, &key, &no_fsop_counts, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&fsops, &key);
	}
	if (!counts) {
		refuse(fsops);
		lose_fsop(FSOP_LOSS_FILESYSTEM);
		return;
	}
	bump(counts->count, 1);
	if (failed) /* a constant 0 would become an atomic "or", which came with v5.12 */
		bump(counts->errors, 1);
	bump(counts->total_ns, ns);
	if (keeps_histograms())
		histogram_add(&counts->latency, ns);
}

static __always_inline void add_to_group_op(__u64 cgroup_id, enum fsop op, __u64 ns)
{
	struct fsop_group_key key = { .cgroup_id = cgroup_id, .op = op };
	struct fsop_group_counts *counts = bpf_map_lookup_elem(&fsop_groups, &key), none = {};

	if (!counts) {
		bpf_map_update_elem(&fsop_groups, &key, &none, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&fsop_groups, &key);
	}
	if (!counts) {
		refuse(fsop_groups);
		lose_fsop(FSOP_LOSS_GROUP);
		return;
	}
	bump(counts->count, 1);
	bump(counts->total_ns, ns);
}

static __always_inline void fsop_end(__u64 actor, enum fsop op, bool failed)
{
	struct fsop_call_key key = { .actor = actor, .op = op };
	struct fsop_call *known = bpf_map_lookup_elem(&fsop_calls, &key), call;
	__u64 now = bpf_ktime_get_ns();

	if (!known)
		return;
	call = *known;
	if (bpf_map_delete_elem(&fsop_calls, &key))
		return;
	__u64 ns = now > call.start_ns ? now - call.start_ns : 0;
	add_to_filesystem_op(&call, op, ns, failed);
	add_to_group_op(call.cgroup_id, op, ns);
}

#endif
