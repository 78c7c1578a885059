/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes and operations through TCP and UDP sockets, by process, by cgroup and of the node, at the one place where the kernel tells
 * them with the task in hand (sock_send_length, sock_recv_length: v6.3, 6e6eda44b939), or as the functions end that stand around it. It is what
 * programs send and receive: payload, each byte once. What splice() takes out of a socket does not pass here.
 */
#include "depth.bpf.h"
#include "functions.bpf.h"

#include "connections.bpf.h"
#include "signals/socket.h"

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, FLAG_PEEK = 0x2, FLAG_ERRQUEUE = 0x2000 };

/* Whether the tcp collector runs, whose `connections` this object then shares, to give accepted ones their process. */
const volatile bool names_owners = false;

/* All hooks fire in a task's own context, so that rows can be made on demand. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct socket_owner);
	__type(value, struct socket_row);
} socket_owners SEC(".maps");
counts_refused(socket_owners);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, __u64);
	__type(value, struct socket_counts);
} socket_cgroups SEC(".maps");
counts_refused(socket_cgroups);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct socket_counts);
} socket_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[SOCKET_LOSS_COUNT]);
} socket_losses SEC(".maps");

static const struct socket_counts no_counts;

static __always_inline void lose_operation(enum socket_loss what)
{
	__u32 zero = 0;
	__u64 *lost = bpf_map_lookup_elem(&socket_losses, &zero);

	if (lost)
		bump(lost[what], 1);
}

static __always_inline void add(struct socket_counts *counts, enum socket_flow flow, __u64 bytes)
{
	bump(counts->bytes[flow], bytes);
	bump(counts->operations[flow], 1);
}

static __always_inline struct socket_row *new_row(const struct socket_owner *owner, const struct task_struct *leader, __u64 cgroup_id)
{
	struct socket_row row = { .cgroup_id = cgroup_id, .pid = task_pid_seen(leader) };

	BPF_CORE_READ_STR_INTO(&row.comm, leader, comm);
	bpf_map_update_elem(&socket_owners, owner, &row, BPF_NOEXIST);
	return bpf_map_lookup_elem(&socket_owners, owner);
}

static __always_inline void add_to_process(const struct socket_owner *process, const struct task_struct *leader, __u64 cgroup_id, enum socket_flow flow,
					   __u64 bytes)
{
	struct socket_owner owner = *process;
	struct socket_row *row = bpf_map_lookup_elem(&socket_owners, &owner);

	if (!row)
		row = new_row(&owner, leader, cgroup_id);
	if (row) {
		add(&row->counts, flow, bytes);
	} else {
		refuse(socket_owners);
		lose_operation(SOCKET_LOSS_PROCESS);
	}
}

static __always_inline void add_to_cgroup(__u64 cgroup_id, enum socket_flow flow, __u64 bytes)
{
	struct socket_counts *counts = bpf_map_lookup_elem(&socket_cgroups, &cgroup_id);

	if (!counts) {
		bpf_map_update_elem(&socket_cgroups, &cgroup_id, &no_counts, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&socket_cgroups, &cgroup_id);
	}
	if (counts) {
		add(counts, flow, bytes);
	} else {
		refuse(socket_cgroups);
		lose_operation(SOCKET_LOSS_CGROUP);
	}
}

static __always_inline bool is_internet(const struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return (family == FAMILY_INET || family == FAMILY_INET6) && (sk->sk_protocol == PROTOCOL_TCP || sk->sk_protocol == PROTOCOL_UDP);
}

static __always_inline void add_to_both(__u64 cgroup_id, enum socket_flow flow, __u64 bytes)
{
	__u32 zero = 0;
	struct socket_counts *total = bpf_map_lookup_elem(&socket_totals, &zero);

	if (total)
		add(total, flow, bytes);
	add_to_cgroup(cgroup_id, flow, bytes);
}

static __always_inline void count_operation(enum socket_flow flow, __u64 bytes)
{
	const struct task_struct *task = bpf_get_current_task_btf(), *leader = task->group_leader;
	struct socket_owner owner = { .start_ns = leader->start_boottime, .pid = (__u64)leader->pid };
	__u64 cgroup_id = task->cgroups->dfl_cgrp->kn->id;

	add_to_both(cgroup_id, flow, bytes);
	add_to_process(&owner, leader, cgroup_id, flow, bytes);
}

/* The same where the task is a mere pointer: bpf_get_current_task_btf came with v5.11. */
static __always_inline void count_operation_read(enum socket_flow flow, __u64 bytes)
{
	const struct task_struct *task = (const void *)bpf_get_current_task(), *leader = BPF_CORE_READ(task, group_leader);
	struct socket_owner owner = { .start_ns = BPF_CORE_READ(leader, start_boottime), .pid = (__u64)BPF_CORE_READ(leader, pid) };
	__u64 cgroup_id = bpf_get_current_cgroup_id();

	add_to_both(cgroup_id, flow, bytes);
	add_to_process(&owner, leader, cgroup_id, flow, bytes);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int length, int flags)
{
	if (length >= 0 && is_internet(sk))
		count_operation(sk->sk_protocol == PROTOCOL_TCP ? SOCKET_TCP_SENT : SOCKET_UDP_SENT, (__u32)length);
	return 0;
}

/* A look ahead takes nothing, and what is on the error queue was never sent to us; nor is the end of a stream an operation. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk, int length, int flags)
{
	if (length < 0 || flags & (FLAG_PEEK | FLAG_ERRQUEUE) || !is_internet(sk))
		return 0;

	bool tcp = sk->sk_protocol == PROTOCOL_TCP;
	if (tcp && names_owners)
		name_owner(sk);
	if (length || !tcp)
		count_operation(tcp ? SOCKET_TCP_RECEIVED : SOCKET_UDP_RECEIVED, (__u32)length);
	return 0;
}

/* --- the functions, for kernels without the tracepoints ----------------------------------------------------------------- */

static __always_inline int sent(const struct sock *sk, int length)
{
	if (functions_on && sk && length >= 0 && is_internet(sk))
		count_operation_read(sk->sk_protocol == PROTOCOL_TCP ? SOCKET_TCP_SENT : SOCKET_UDP_SENT, (__u32)length);
	return 0;
}

static __always_inline int received(const struct sock *sk, int length, int flags)
{
	if (!functions_on || !sk || length < 0 || flags & (FLAG_PEEK | FLAG_ERRQUEUE) || !is_internet(sk))
		return 0;

	bool tcp = sk->sk_protocol == PROTOCOL_TCP;
	if (tcp && names_owners)
		name_owner(sk);
	if (length || !tcp)
		count_operation_read(tcp ? SOCKET_TCP_RECEIVED : SOCKET_UDP_RECEIVED, (__u32)length);
	return 0;
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(on_inet_sendmsg, struct socket *socket, struct msghdr *message, size_t size, int length)
{
	return sent(socket->sk, length);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(on_inet6_sendmsg, struct socket *socket, struct msghdr *message, size_t size, int length)
{
	return sent(socket->sk, length);
}

/* sendfile(); became a sendmsg in v6.5, dc97391e6610 */
SEC("fexit/inet_sendpage")
int BPF_PROG(on_inet_sendpage, struct socket *socket, struct page *page, int offset, size_t size, int flags, long length)
{
	return sent(socket->sk, (int)length);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(on_inet_recvmsg, struct socket *socket, struct msghdr *message, size_t size, int flags, int length)
{
	return received(socket->sk, length, flags);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(on_inet6_recvmsg, struct socket *socket, struct msghdr *message, size_t size, int flags, int length)
{
	return received(socket->sk, length, flags);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
