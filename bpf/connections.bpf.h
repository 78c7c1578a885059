/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of TCP connections by socket, and who owns one. The tcp object makes it; socket shares it by descriptor. */
#ifndef NODEMEND_CONNECTIONS_BPF_H
#define NODEMEND_CONNECTIONS_BPF_H

#include "core.bpf.h"

#include "signals/tcp.h"

/*
 * From the connect or the end of the handshake to the destruction of the socket, so an address is never met again while its row
 * lives. On demand: 200 bytes a connection, where a full table ahead of time would be 3 MB. None of our hooks lies within the
 * allocator, so that allocating from a softirq is safe on kernels before 6.1, too.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct tcp_connection);
} connections SEC(".maps");
counts_refused(connections);

static __always_inline struct tcp_connection *connection_of(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&connections, &key);
}

static __always_inline void set_owner(struct tcp_connection *connection)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	BPF_CORE_READ_STR_INTO(&connection->comm, leader, comm);
	connection->pid = task_pid_seen(leader);
}

/* In the context of the task that uses the socket: a handshake ends in whatever task a softirq interrupts. */
static __always_inline void name_owner(const struct sock *sk)
{
	struct tcp_connection *connection = connection_of(sk);

	if (connection && !connection->pid)
		set_owner(connection);
}

#endif
