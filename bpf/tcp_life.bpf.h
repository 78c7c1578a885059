/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a TCP connection begins and how it ends, and the record of it. A life goes through a ring at its end, and in summaries while it
 * lasts; all counts are in the ledger, and are exact when the ring is full.
 */
#ifndef NODEMEND_TCP_LIFE_BPF_H
#define NODEMEND_TCP_LIFE_BPF_H

#include "depth.bpf.h"
#include "histogram.bpf.h"

#include <bpf/bpf_endian.h>

#include "tcp.bpf.h"

enum {
	EPIPE = 32, ENETDOWN = 100, ENETUNREACH = 101, ECONNRESET = 104, ETIMEDOUT = 110, ECONNREFUSED = 111, EHOSTDOWN = 112,
	EHOSTUNREACH = 113,
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024); /* 1000 records a tick */
} tcp_records SEC(".maps");
counts_refused(tcp_records);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TCP_HISTOGRAM_COUNT);
	__type(key, __u32);
	__type(value, struct histogram);
} tcp_histograms SEC(".maps");

static __always_inline void observe(__u32 which, __u64 ns)
{
	struct histogram *histogram = keeps_histograms() ? bpf_map_lookup_elem(&tcp_histograms, &which) : NULL;

	if (histogram)
		histogram_add(histogram, ns);
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

/* NO_WAKEUP: the agent reads at its ticks; the packet's path does not pay for waking it. */
static __always_inline void send_record(const struct tcp_connection *connection, const struct sock *sk, enum tcp_end end)
{
	const struct tcp_sock *tp = (const void *)sk;
	struct tcp_record *record;

	if (!keeps_histograms())
		return;
	record = bpf_ringbuf_reserve(&tcp_records, sizeof(*record), 0);
	if (!record) {
		refuse(tcp_records);
		note(TCP_LOSS_RECORD);
		return;
	}
	record->connection = *connection;
	record->at_ns = bpf_ktime_get_boot_ns();
	record->srtt_us = BPF_CORE_READ(tp, srtt_us) >> 3; /* kept in eighths */
	record->end = end;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline void add_rtt(const struct sock *sk, const struct places *places)
{
	const struct tcp_sock *tp = (const void *)sk;
	__u64 us = BPF_CORE_READ(tp, srtt_us) >> 3;

	if (!us)
		return;
	add_to(places, rtt_sum_us, us);
	add_to(places, rtt_count, 1);
	observe(TCP_HISTOGRAM_RTT, us * 1000);
}

/* --- a connection begins ---------------------------------------------------------------------------------------------- */

static __always_inline void map_ipv4(__u8 address[16], __be32 ipv4)
{
	__builtin_memset(address, 0, 10);
	address[10] = address[11] = 0xff;
	__builtin_memcpy(&address[12], &ipv4, sizeof(ipv4));
}

static __always_inline void set_addresses(struct tcp_connection *connection, const struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == FAMILY_INET) {
		map_ipv4(connection->peer.address, BPF_CORE_READ(sk, __sk_common.skc_daddr));
		map_ipv4(connection->local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	} else {
		BPF_CORE_READ_INTO(&connection->peer.address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&connection->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	}
	connection->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	connection->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	connection->peer.port = connection->peer.direction == TCP_IN ? connection->local_port : connection->peer_port;
}

static __always_inline struct tcp_connection *begin(const struct sock *sk, enum tcp_direction direction, __u64 cgroup_id, bool adopted)
{
	struct tcp_connection fresh = { .start_ns = bpf_ktime_get_boot_ns(), .uid = BPF_CORE_READ(sk, sk_uid.val) };
	__u64 key = (__u64)sk;

	fresh.summary_ns = fresh.start_ns;
	if (adopted) {
		fresh.adopted = 1;
		fresh.established_ns = fresh.start_ns;
		read_flows(sk, fresh.flows);
	}
	fresh.peer.cgroup_id = cgroup_id;
	fresh.peer.direction = direction;
	set_addresses(&fresh, sk);
	if (bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY)) {
		refuse(connections);
		note(TCP_LOSS_CONNECTION);
		return NULL;
	}
	return bpf_map_lookup_elem(&connections, &key);
}

/* In the context of whoever called connect(). This and what follows are global functions: the verifier looks at each once and for itself. */
__noinline int begin_connect(__u64 sk)
{
	struct tcp_connection *connection =
		begin((const void *)sk, TCP_OUT, task_cgroup_id((const void *)bpf_get_current_task()), false);

	if (connection)
		set_owner(connection);
	return 0;
}

/* In a softirq. An accepted connection is its listener's cgroup's; that of the task which takes it may be another's. */
__noinline int establish(__u64 sk_)
{
	const struct sock *sk = (const void *)sk_;
	struct tcp_connection *connection = connection_of(sk);

	if (!connection)
		connection = begin(sk, TCP_IN, sock_cgroup_id(sk), false);
	if (!connection)
		return 0;

	struct places places = places_of(connection);
	connection->established_ns = bpf_ktime_get_boot_ns();
	add_to(&places, connections, 1);
	if (connection->peer.direction == TCP_IN)
		return 0;
	__u64 ns = connection->established_ns - connection->start_ns;
	set_addresses(connection, sk);
	add_to(&places, connect_sum_ns, ns);
	add_to(&places, connect_count, 1);
	observe(TCP_HISTOGRAM_CONNECT, ns);
	return 0;
}

/* --- and ends --------------------------------------------------------------------------------------------------------- */

static __always_inline enum tcp_end end_of_error(int error)
{
	switch (error) {
	case ECONNREFUSED: return TCP_END_REFUSED;
	case ECONNRESET: case EPIPE: return TCP_END_RESET_RECEIVED; /* EPIPE: after the peer's FIN */
	case ETIMEDOUT: return TCP_END_TIMED_OUT;
	case ENETDOWN: case ENETUNREACH: case EHOSTDOWN: case EHOSTUNREACH: return TCP_END_UNREACHABLE;
	default: return TCP_END_OTHER;
	}
}

/* Once both have closed, an error that nobody has read is an old one. Without one, to close in mid-flow is to send a reset. */
static __always_inline enum tcp_end end_of(const struct sock *sk, int last_state, bool established)
{
	int error = BPF_CORE_READ(sk, sk_err);
	enum tcp_end end = error ? end_of_error(error) : established ? TCP_END_RESET_SENT : TCP_END_OTHER;

	if (last_state != TCP_FIN_WAIT2 && last_state != TCP_CLOSING && last_state != TCP_LAST_ACK)
		return end;
	return end == TCP_END_TIMED_OUT || end == TCP_END_RESET_RECEIVED ? end : TCP_END_FIN;
}

__noinline int finish(__u64 sk_, int last_state)
{
	const struct sock *sk = (const void *)sk_;
	struct tcp_connection *connection = connection_of(sk);

	if (!connection || connection->ended)
		return 0;
	connection->ended = 1;

	struct places places = places_of(connection);
	__u64 end = any_number(end_of(sk, last_state, connection->established_ns));
	if (end >= TCP_END_COUNT)
		return 0; /* never */
	if (connection->established_ns) {
		add_to(&places, ends[end], 1);
		add_rtt(sk, &places);
		/* A live connection is only ever closed without an error by the task that has it. */
		if (end == TCP_END_RESET_SENT && !connection->pid)
			set_owner(connection);
	} else {
		add_to(&places, failures[end], 1);
	}
	send_record(connection, sk, end);
	return 0;
}

#endif
