/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Bytes through TCP and UDP sockets, by process and by cgroup: what the kernel's side counts and what the snapshot shows of it. */
#ifndef NODEMEND_SIGNALS_SOCKET_H
#define NODEMEND_SIGNALS_SOCKET_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum socket_flow { SOCKET_TCP_SENT, SOCKET_TCP_RECEIVED, SOCKET_UDP_SENT, SOCKET_UDP_RECEIVED, SOCKET_FLOW_COUNT };

/* Bytes and operations that a program handed to the kernel or took from it: payload, without headers and retransmits. */
struct socket_counts {
	__u64 bytes[SOCKET_FLOW_COUNT], operations[SOCKET_FLOW_COUNT];
};

/* Of the group's leader: pid and start never repeat together. The pid is the initial namespace's. */
struct socket_owner {
	__u64 start_ns, pid;
};

struct socket_row {
	struct socket_counts counts;
	__u64 cgroup_id;                /* as of its first operation */
	__s32 pid;                      /* as the agent's pid namespace sees it */
	__u32 unused;
	char comm[16];
};

enum socket_loss { SOCKET_LOSS_PROCESS, SOCKET_LOSS_CGROUP, SOCKET_LOSS_COUNT }; /* operations whose row found no room */

#ifndef __bpf__
#include <stdint.h>

enum { MAX_SOCKET_PROCESSES = 256, MAX_SOCKET_CGROUPS = 2048 };

struct socket_process {
	uint64_t start_ns, cgroup_id, recent; /* bytes of all flows, decayed */
	int32_t pid;
	char comm[16];
	struct socket_counts counts;
};

struct socket_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct socket_counts total;           /* of everybody, exact */
	struct socket_process each[MAX_SOCKET_PROCESSES]; /* by recent, largest first */
};

struct socket_cgroup {
	uint64_t id;
	struct socket_counts counts;
};

struct socket_cgroup_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct socket_cgroup each[MAX_SOCKET_CGROUPS]; /* by id, ascending */
};
#endif

#endif
