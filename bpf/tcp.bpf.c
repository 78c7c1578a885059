/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lives of TCP connections, told by their states: who connected or accepted, how long it took, why it failed, how it ended; with
 * retransmits, resets and the smoothed RTT, by node, cgroup and peer service. Nothing here runs for a segment that arrives.
 */
#include "tcp_life.bpf.h"
#include "tcp_walk.bpf.h"

enum { PROTOCOL_TCP = 6 };

static __always_inline bool is_tcp(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == FAMILY_INET || family == FAMILY_INET6) && BPF_CORE_READ(sk, sk_protocol) == PROTOCOL_TCP;
}

/* The flows first: the record of the end holds the whole life. */
static __always_inline void end_life(__u64 sk, int last_state, bool walked)
{
	const struct tcp_connection *connection = connection_of((const void *)sk);

	if (!connection || connection->ended)
		return;
	walked ? add_flows_walked(sk) : add_flows_unwalked(sk);
	finish(sk, last_state);
}

static __always_inline void change_state(const struct sock *sk, int before, int now, bool walked)
{
	if (!is_tcp(sk))
		return;
	switch (now) {
	case TCP_LISTEN:
		add_listener(sk, task_cgroup_id((const void *)bpf_get_current_task()));
		break;
	case TCP_SYN_SENT:
		begin_connect(as_number(sk));
		break;
	case TCP_ESTABLISHED:
		establish(as_number(sk));
		break;
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK: /* close() and shutdown() */
		name_owner(sk);
		break;
	case TCP_CLOSE:
		if (before == TCP_LISTEN)
			forget_listener(sk);
		else
			end_life(as_number(sk), before, walked);
		break;
	}
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, const int before, const int now)
{
	change_state(sk, before, now, true);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state_unwalked, const struct sock *sk, const int before, const int now)
{
	change_state(sk, before, now, false);
	return 0;
}

/* A reset may be sent after the end and before this. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&connections, &key);
	return 0;
}

/* The socket has counted it by now, in segments where the hook would only tell how often. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit, const struct sock *sk)
{
	return add_flows_walked(as_number(sk));
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(on_retransmit_unwalked, const struct sock *sk)
{
	return add_flows_unwalked(as_number(sk));
}

/* Without a socket (NULL), or with one that only listens or waits out its time: an answer to a packet that nobody expected. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(on_send_reset, const struct sock *sk)
{
	struct tcp_connection *connection = connection_of(sk);

	if (!connection) {
		note(TCP_RESET_SENT_ALONE);
		return 0;
	}
	struct places places = places_of(connection);
	add_to(&places, resets_sent, 1);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_receive_reset, struct sock *sk)
{
	struct tcp_connection *connection = connection_of(sk);

	if (!connection) {
		note(TCP_RESET_RECEIVED_ALONE);
		return 0;
	}
	struct places places = places_of(connection);
	add_to(&places, resets_received, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
