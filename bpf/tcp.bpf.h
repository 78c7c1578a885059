/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ledger of TCP: what a connection does is added to the node's totals, to its cgroup's row and to the row of its peer service.
 * The totals are exact; rows that found no room are counted.
 */
#ifndef NODEMEND_TCP_BPF_H
#define NODEMEND_TCP_BPF_H

#include "connections.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TCP_DIRECTION_COUNT);
	__type(key, __u32);
	__type(value, struct tcp_counts);
} tcp_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct tcp_cgroup_key);
	__type(value, struct tcp_counts);
} tcp_cgroups SEC(".maps");
counts_refused(tcp_cgroups);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct peer_key);
	__type(value, struct tcp_counts);
} peers SEC(".maps");
counts_refused(peers);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[TCP_NOTE_COUNT]);
} tcp_notes SEC(".maps");

static const struct tcp_counts no_counts;

/* Global, as what is called from many places: the verifier looks at it once and for itself. */
__noinline int note(__u32 what)
{
	__u32 zero = 0;
	__u64 *notes = bpf_map_lookup_elem(&tcp_notes, &zero);

	if (notes && what < TCP_NOTE_COUNT)
		bump(notes[what], 1);
	return 0;
}

/* A number as if nothing were known of it: else each way to have come to it is followed on, through all that comes after. */
__noinline __u64 any_number(__u64 number)
{
	return number;
}

static __always_inline struct tcp_counts *row_of(void *map, const void *key, enum tcp_note loss, volatile __u64 *refused)
{
	struct tcp_counts *row = bpf_map_lookup_elem(map, key);

	if (row)
		return row;
	bpf_map_update_elem(map, key, &no_counts, BPF_NOEXIST);
	row = bpf_map_lookup_elem(map, key);
	if (!row) {
		bump(*refused, 1);
		note(loss);
	}
	return row;
}

/* Where a connection is counted; a row that found no room is NULL. */
struct places {
	struct tcp_counts *node, *cgroup, *peer;
};

static __always_inline struct places places_of(const struct tcp_connection *connection)
{
	struct tcp_cgroup_key cgroup = { .cgroup_id = connection->peer.cgroup_id, .direction = connection->peer.direction };
	struct peer_key peer = connection->peer;
	__u32 direction = connection->peer.direction;

	return (struct places){
		.node = bpf_map_lookup_elem(&tcp_totals, &direction),
		.cgroup = row_of(&tcp_cgroups, &cgroup, TCP_LOSS_CGROUP, &refused_tcp_cgroups),
		.peer = row_of(&peers, &peer, TCP_LOSS_PEER, &refused_peers),
	};
}

#define add_to(places, field, by)                                                                                                          \
	do {                                                                                                                               \
		if ((places)->node)                                                                                                        \
			bump((places)->node->field, by);                                                                                   \
		if ((places)->cgroup)                                                                                                      \
			bump((places)->cgroup->field, by);                                                                                 \
		if ((places)->peer)                                                                                                        \
			bump((places)->peer->field, by);                                                                                   \
	} while (0)

/* The socket's own counters: payload only, each byte once. The peer's FIN is counted among bytes_received. */
static __always_inline void read_flows(const struct sock *sk, __u64 flows[TCP_FLOW_COUNT])
{
	const struct tcp_sock *tp = (const void *)sk;
	__u64 sent = BPF_CORE_READ(tp, bytes_sent), again = BPF_CORE_READ(tp, bytes_retrans), received = BPF_CORE_READ(tp, bytes_received);

	flows[TCP_SENT_BYTES] = sent > again ? sent - again : 0;
	flows[TCP_RECEIVED_BYTES] = received && BPF_CORE_READ(sk, __sk_common.skc_flags) >> SOCK_DONE_BIT & 1 ? received - 1 : received;
	flows[TCP_SENT_SEGMENTS] = BPF_CORE_READ(tp, segs_out);
	flows[TCP_RECEIVED_SEGMENTS] = BPF_CORE_READ(tp, segs_in);
	flows[TCP_RETRANSMITS] = BPF_CORE_READ(tp, total_retrans);
}

/*
 * What came since the last time, for the one who may add it: the walk over living connections holds no socket lock, so that it can
 * meet a retransmit or the end, but only once, hence the second try. `walked`: is there such a walk? Below v5.12 (5ffa25502b5a) there
 * is neither a compare and exchange nor, therefore, a walk, and the socket's own lock is enough.
 */
static __always_inline __u64 claim(__u64 *told, __u64 now, bool is_32_bit, bool walked)
{
	for (int try = 0; try < 2; try++) {
		__u64 before = *(volatile __u64 *)told, more = is_32_bit ? (__u32)((__u32)now - (__u32)before) : now - before;

		if (!more || (is_32_bit ? more >> 31 : more >> 63)) /* the other has seen a newer number than we */
			return 0;
		if (!walked) {
			*told = before + more;
			return more;
		}
		if (__sync_val_compare_and_swap(told, before, before + more) == before)
			return more;
	}
	return 0;
}

static __always_inline void add_flows_to(struct tcp_counts *row, const __u64 more[TCP_FLOW_COUNT])
{
	if (!row)
		return;
	bump(row->sent_bytes, more[TCP_SENT_BYTES]);
	bump(row->received_bytes, more[TCP_RECEIVED_BYTES]);
	bump(row->sent_segments, more[TCP_SENT_SEGMENTS]);
	bump(row->received_segments, more[TCP_RECEIVED_SEGMENTS]);
	bump(row->retransmits, more[TCP_RETRANSMITS]);
}

static __always_inline int add_flows(__u64 sk, bool walked)
{
	struct tcp_connection *connection = connection_of((const void *)sk);
	__u64 flows[TCP_FLOW_COUNT];

	if (!connection)
		return 0;
	read_flows((const void *)sk, flows);
	for (int i = 0; i < TCP_FLOW_COUNT; i++) {
		bool is_32_bit = i != TCP_SENT_BYTES && i != TCP_RECEIVED_BYTES;

		flows[i] = any_number(claim(&connection->flows[i], any_number(flows[i]), is_32_bit, walked));
	}
	struct places places = places_of(connection);
	add_flows_to(places.node, flows);
	add_flows_to(places.cgroup, flows);
	add_flows_to(places.peer, flows);
	return 0;
}

__noinline int add_flows_walked(__u64 sk)
{
	return add_flows(sk, true);
}

__noinline int add_flows_unwalked(__u64 sk)
{
	return add_flows(sk, false);
}

#endif
