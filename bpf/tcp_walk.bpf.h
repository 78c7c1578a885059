/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked and not awaited: the flows of living connections, the backlog of listeners, and once what is older than the agent. */
#ifndef NODEMEND_TCP_WALK_BPF_H
#define NODEMEND_TCP_WALK_BPF_H

#include "tcp_life.bpf.h"

/* A connection that has lived so long since its last record tells a summary. */
const volatile __u64 summary_ns = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64); /* the cgroup of whoever called listen() */
} tcp_listeners SEC(".maps");
counts_refused(tcp_listeners);

static __always_inline void add_listener(const struct sock *sk, __u64 cgroup_id)
{
	__u64 key = (__u64)sk;

	if (bpf_map_update_elem(&tcp_listeners, &key, &cgroup_id, BPF_ANY)) {
		refuse(tcp_listeners);
		note(TCP_LOSS_LISTENER);
	}
}

static __always_inline void forget_listener(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&tcp_listeners, &key);
}

/*
 * Over our own table and not over the kernel's sockets (iter/tcp), which shows only those of the reader's network namespace. A row
 * lives no longer than its socket, and the memory of TCP sockets stays that of TCP sockets (SLAB_TYPESAFE_BY_RCU).
 */
SEC("iter/bpf_map_elem")
int on_connection(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key, now = bpf_ktime_get_boot_ns();

	if (!key)
		return 0;
	const struct sock *sk = (const void *)*key;
	struct tcp_connection *connection = connection_of(sk);
	if (!connection || connection->ended || !connection->established_ns)
		return 0;

	add_flows_walked(*key);
	if (now < connection->summary_ns + summary_ns)
		return 0;
	connection->summary_ns = now;
	struct places places = places_of(connection);
	add_rtt(sk, &places);
	send_record(connection, sk, TCP_LIVES);
	return 0;
}

SEC("iter/bpf_map_elem")
int on_listener(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 *key = ctx->key, *cgroup_id = ctx->value;

	if (!key || !cgroup_id)
		return 0;
	const struct sock *sk = (const void *)*key;
	struct listener_record record = {
		.cgroup_id = *cgroup_id,
		.backlog = BPF_CORE_READ(sk, sk_ack_backlog),
		.limit = BPF_CORE_READ(sk, sk_max_ack_backlog),
		.drops = (__u32)BPF_CORE_READ(sk, sk_drops.counter),
		.port = BPF_CORE_READ(sk, __sk_common.skc_num),
	};
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

/*
 * Once, when the agent starts, in each network namespace: what is older than it. Listeners come first in the walk, and a connection to
 * one of their ports was accepted. What they have done so far is not counted.
 */
struct listened {
	__u32 netns, port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct listened);
	__type(value, __u8);
} listened_ports SEC(".maps");
counts_refused(listened_ports);

static __always_inline struct listened listened_of(const struct sock *sk)
{
	return (struct listened){ .netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum), .port = BPF_CORE_READ(sk, __sk_common.skc_num) };
}

static __always_inline void adopt_connection(const struct sock *sk)
{
	struct listened listened = listened_of(sk);
	enum tcp_direction direction = bpf_map_lookup_elem(&listened_ports, &listened) ? TCP_IN : TCP_OUT;

	if (!connection_of(sk))
		(void)begin(sk, direction, sock_cgroup_id(sk), true);
}

SEC("iter/tcp")
int on_older(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	const struct sock *sk = common ? (const void *)bpf_skc_to_tcp_sock(common) : NULL;
	__u8 one = 1;

	if (!sk)
		return 0;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_LISTEN) {
		struct listened listened = listened_of(sk);

		if (bpf_map_update_elem(&listened_ports, &listened, &one, BPF_ANY))
			refuse(listened_ports); /* its connections are taken for ones that we made */
		add_listener(sk, sock_cgroup_id(sk));
	} else if (state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || state == TCP_FIN_WAIT1) {
		adopt_connection(sk);
	}
	return 0;
}

#endif
