/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests of block devices: how long they waited, how long the device took, how many are there, which failed, and for whom.
 * One row lives from a request's issue to its completion, so that a completion is counted once and only where we saw its issue:
 * flushes in stages end twice, and requests may fail that were never issued. The request's own io_start_time_ns would save the
 * row, but it is kept only while something asks for statistics (QUEUE_FLAG_STATS); start_time_ns, its arrival, is kept while iostats
 * are on (the default), and gives the time in the queue without a hook.
 *
 * Completions run in interrupts and may come on top of an issue on the same CPU: all additions are atomic.
 */
#include "depth.bpf.h"
#include "histogram.bpf.h"
#include "block_owner.bpf.h"

/* Preallocated: issue and completion run with locks held and interrupts off. The agent sizes it by the number of CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct block_request);
} requests SEC(".maps");
counts_refused(requests);

/* 4 KB a CPU and row, so rows come with the first request. Allocation cannot sleep here, and is fine in any context but NMI. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 128);
	__type(key, struct block_device_key);
	__type(value, struct block_counts);
} devices SEC(".maps");
counts_refused(devices);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, struct block_depth);
} depths SEC(".maps");
counts_refused(depths);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct block_group_key);
	__type(value, struct block_group_counts);
} groups SEC(".maps");
counts_refused(groups);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[BLOCK_LOSS_COUNT]);
} losses SEC(".maps");

/* The agent's tick: the greatest depth is that since it began. */
volatile __u32 epoch SEC(".data") = 1;

static const struct block_counts no_counts;
static const struct block_group_counts no_group_counts;

static __always_inline void lose(enum block_loss what)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&losses, &zero);

	if (lost)
		bump(lost[what], 1);
}

/* --- rows ------------------------------------------------------------------------------------------------------------- */

static __always_inline struct block_counts *counts_of(__u32 dev, __u32 op)
{
	struct block_device_key key = { .dev = dev, .op = op };
	struct block_counts *counts = bpf_map_lookup_elem(&devices, &key);

	if (counts)
		return counts;
	bpf_map_update_elem(&devices, &key, &no_counts, BPF_NOEXIST);
	counts = bpf_map_lookup_elem(&devices, &key);
	if (!counts) {
		refuse(devices);
		lose(BLOCK_LOSS_DEVICE);
	}
	return counts;
}

static __always_inline void add_to_group(const struct block_request *request, __u64 bytes, __u64 ops, __u64 ns)
{
	struct block_group_key key = { .cgroup_id = request->cgroup_id, .dev = request->dev, .op = request->op, .source = request->source };
	struct block_group_counts *counts = bpf_map_lookup_elem(&groups, &key);

	if (!counts) {
		bpf_map_update_elem(&groups, &key, &no_group_counts, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&groups, &key);
	}
	if (!counts) {
		refuse(groups);
		lose(BLOCK_LOSS_GROUP);
		return;
	}
	bump(counts->bytes, bytes);
	bump(counts->ops, ops);
	bump(counts->device_ns, ns);
}

/* Two CPUs at once may each miss the other's request in `max`: it is a peak to within the number of CPUs. */
static __always_inline void raise_depth(__u32 dev)
{
	struct block_depth *row = bpf_map_lookup_elem(&depths, &dev), none = {};

	if (!row) {
		bpf_map_update_elem(&depths, &dev, &none, BPF_NOEXIST);
		row = bpf_map_lookup_elem(&depths, &dev);
	}
	if (!row) {
		refuse(depths);
		lose(BLOCK_LOSS_DEVICE);
		return;
	}
	bump(row->in_flight, 1);
	__u32 now = (__u32)row->in_flight;
	if (row->epoch != epoch) {
		row->epoch = epoch;
		row->max = now;
	} else if (now > row->max) {
		row->max = now;
	}
}

static __always_inline void lower_depth(__u32 dev)
{
	struct block_depth *row = bpf_map_lookup_elem(&depths, &dev);

	if (row)
		bump(row->in_flight, -1);
}

/* --- the life of a request -------------------------------------------------------------------------------------------- */

static __always_inline void hand_in(const struct request *rq)
{
	__u64 address = (__u64)rq;
	struct block_request request = {};

	own_by_current(&request);
	if (bpf_map_update_elem(&requests, &address, &request, BPF_ANY)) {
		refuse(requests);
		lose(BLOCK_LOSS_START);
	}
}

static __always_inline void issue(const struct request *rq)
{
	__u64 address = (__u64)rq, arrived_ns = request_arrived_ns(rq), now = bpf_ktime_get_ns();
	struct block_request *known = bpf_map_lookup_elem(&requests, &address), request = {};
	__u32 dev = request_dev(rq);
	bool was_at_device = false;

	if (!dev)
		return;
	if (known && !known->issued_ns) {
		request.cgroup_id = known->cgroup_id;
		request.source = known->source;
	} else {
		/* Still at the device: its completion was missed, as when an interrupt fell on a program at work. */
		was_at_device = known;
		own_by_current(&request);
	}
	request.dev = dev;
	request.op = request_op(rq);
	request.issued_ns = now;
	own_by_bio(&request, rq->bio);
	if (bpf_map_update_elem(&requests, &address, &request, BPF_ANY)) {
		refuse(requests);
		lose(BLOCK_LOSS_START);
		return;
	}
	if (!was_at_device)
		raise_depth(dev);

	struct block_counts *counts = arrived_ns && arrived_ns <= now ? counts_of(dev, request.op) : NULL;
	if (!counts)
		return;
	bump(counts->queued, 1);
	bump(counts->queue_ns, now - arrived_ns);
	if (keeps_histograms())
		histogram_add(&counts->queue, now - arrived_ns);
}

/* A part of a request may complete before the rest: bytes as they come, the operation and its time with the last of them. */
static __always_inline void complete(const struct request *rq, int status, __u32 bytes)
{
	__u64 address = (__u64)rq, now = bpf_ktime_get_ns();
	struct block_request *known = bpf_map_lookup_elem(&requests, &address), request;

	if (!known)
		return;
	request = *known;
	if (!request.issued_ns) { /* never was at the device: a flush with no data of its own, or refused before */
		bpf_map_delete_elem(&requests, &address);
		return;
	}
	bool ends = bytes >= rq->__data_len;
	/* Before it is counted: once it is gone, a second completion finds nothing. A table whose lock this CPU holds already refuses. */
	if (ends && bpf_map_delete_elem(&requests, &address))
		known->issued_ns = 0;
	if (ends)
		lower_depth(request.dev);

	struct block_counts *counts = counts_of(request.dev, request.op);
	if (!counts)
		return;
	__u64 ns = ends && now > request.issued_ns ? now - request.issued_ns : 0;
	__u32 error = block_error_of(status);
	bump(counts->bytes, bytes);
	add_to_group(&request, bytes, ends, ns);
	if (error < BLOCK_ERROR_COUNT)
		bump(counts->errors[error], 1);
	if (!ends)
		return;
	bump(counts->ops, 1);
	bump(counts->device_ns, ns);
	if (keeps_histograms())
		histogram_add(&counts->latency, ns);
}

/* Back to the queue: it will be issued again, and keeps whose it is. */
static __always_inline void requeue(const struct request *rq)
{
	__u64 address = (__u64)rq;
	struct block_request *known = bpf_map_lookup_elem(&requests, &address);

	if (!known || !known->issued_ns)
		return;
	known->issued_ns = 0;
	lower_depth(known->dev);
	struct block_counts *counts = counts_of(known->dev, known->op);
	if (counts)
		bump(counts->requeues, 1);
}

/* --- hooks ------------------------------------------------------------------------------------------------------------ */

/* v6.5, 5a80bd075f3b: block: introduce block_io_start/block_io_done tracepoints. In the submitter's own time, unlike the issue. */
SEC("tp_btf/block_io_start")
int BPF_PROG(on_io_start, struct request *rq)
{
	hand_in(rq);
	return 0;
}

/* Handed in, and then joined to another before it was issued; which has the same owner. */
SEC("tp_btf/block_rq_merge")
int BPF_PROG(on_merge, struct request *rq)
{
	__u64 address = (__u64)rq;
	struct block_request *known = bpf_map_lookup_elem(&requests, &address);

	if (known && !known->issued_ns)
		bpf_map_delete_elem(&requests, &address);
	return 0;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(on_issue, struct request *rq)
{
	issue(rq);
	return 0;
}

/* v5.11 and v5.10.137, a54895fa057c: block: remove the request_queue to argument request based tracepoints */
SEC("tp_btf/block_rq_issue")
int BPF_PROG(on_issue_from_queue, struct request_queue *queue, struct request *rq)
{
	issue(rq);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(on_complete, struct request *rq, int status, unsigned int bytes)
{
	complete(rq, status, bytes);
	return 0;
}

SEC("tp_btf/block_rq_requeue")
int BPF_PROG(on_requeue, struct request *rq)
{
	requeue(rq);
	return 0;
}

SEC("tp_btf/block_rq_requeue")
int BPF_PROG(on_requeue_from_queue, struct request_queue *queue, struct request *rq)
{
	requeue(rq);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
