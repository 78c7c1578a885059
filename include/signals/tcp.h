/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The lives of TCP connections: what is counted of them by node, cgroup and peer service, the record of one, and listeners.
 * Addresses are 16 bytes, IPv4 ones mapped (::ffff:a.b.c.d); ports are in the host's order.
 */
#ifndef NODEMEND_SIGNALS_TCP_H
#define NODEMEND_SIGNALS_TCP_H

#include "histogram.h"

enum tcp_direction { TCP_OUT, TCP_IN, TCP_DIRECTION_COUNT }; /* connected by us; accepted by us */

/* How a connection ended, or why it never came to be. TCP_LIVES stands in the record of one that goes on. */
enum tcp_end {
	TCP_END_FIN, TCP_END_RESET_SENT, TCP_END_RESET_RECEIVED, TCP_END_REFUSED, TCP_END_TIMED_OUT, TCP_END_UNREACHABLE, TCP_END_OTHER,
	TCP_END_COUNT, TCP_LIVES = TCP_END_COUNT,
};

struct tcp_counts {
	__u64 connections;              /* that were established */
	__u64 failures[TCP_END_COUNT];  /* that never were */
	__u64 ends[TCP_END_COUNT];
	__u64 resets_sent, resets_received;
	__u64 rtt_sum_us, rtt_count;    /* the smoothed RTT at the end, and once a summary of a long one */
	__u64 connect_sum_ns, connect_count;
	__u64 sent_bytes, received_bytes, sent_segments, received_segments, retransmits; /* in the order of tcp_flow */
};

enum tcp_flow { TCP_SENT_BYTES, TCP_RECEIVED_BYTES, TCP_SENT_SEGMENTS, TCP_RECEIVED_SEGMENTS, TCP_RETRANSMITS, TCP_FLOW_COUNT };

struct tcp_cgroup_key {
	__u64 cgroup_id, direction;
};

/* The peer and the port of the service: theirs where we connected, ours where we accepted. The other port is anybody's. */
struct peer_key {
	__u64 cgroup_id;
	__u8 address[16];
	__u16 port;
	__u8 direction;
	__u8 unused[5];
};

struct tcp_connection {
	__u64 start_ns, established_ns; /* CLOCK_BOOTTIME; 0 = not (yet); an adopted one started when the agent found it */
	__u64 summary_ns;               /* of its last record */
	__u64 flows[TCP_FLOW_COUNT];    /* what has been added to the counts; after the end, the whole life */
	struct peer_key peer;
	__u8 local[16];
	__u16 local_port, peer_port;
	__u32 uid;
	__s32 pid;                      /* who connected; of an accepted one who first read from it or closed it; 0 = not known */
	__u8 adopted;                   /* older than the agent: its start, and the bytes before, are not known to the counts */
	__u8 ended;
	__u8 unused[2];
	char comm[16];
};

struct tcp_record {
	struct tcp_connection connection;
	__u64 at_ns;
	__u32 srtt_us;                  /* 0 = never measured */
	__u32 end;
};

struct listener_record {
	__u64 cgroup_id;
	__u32 backlog, limit, drops;
	__u16 port;
	__u8 unused[2];
};

/* Counted on each CPU; the losses are events whose row or record found no room: what they counted is in the node's totals. */
enum tcp_note {
	TCP_RESET_SENT_ALONE, TCP_RESET_RECEIVED_ALONE, /* by or to no connection that we know */
	TCP_LOSS_CONNECTION, TCP_LOSS_CGROUP, TCP_LOSS_PEER, TCP_LOSS_LISTENER, TCP_LOSS_RECORD, TCP_NOTE_COUNT,
};

enum tcp_histogram { TCP_HISTOGRAM_CONNECT, TCP_HISTOGRAM_RTT, TCP_HISTOGRAM_COUNT };

#ifndef __bpf__
#include <stdint.h>

extern const char *const tcp_end_names[TCP_END_COUNT + 1]; /* "fin", …, "lives" */

enum { MAX_TCP_CGROUPS = 1024, MAX_PEERS = 1024, MAX_LISTENERS = 512 };

struct tcp_cgroup {
	struct tcp_cgroup_key key;
	struct tcp_counts counts;
};

struct tcp_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct tcp_counts total[TCP_DIRECTION_COUNT];     /* exact */
	uint64_t resets_sent_alone, resets_received_alone;
	uint64_t records_untold;                          /* records that found no room among the events of their tick */
	uint64_t listen_overflows, listen_drops;          /* of /proc/net/netstat; UNKNOWN */
	struct histogram histograms[TCP_HISTOGRAM_COUNT];
	struct tcp_cgroup each[MAX_TCP_CGROUPS];          /* by (cgroup, direction), ascending */
};

struct peer {
	struct peer_key key;
	uint64_t recent;                                  /* bytes and connections, decayed */
	struct tcp_counts counts;
};

struct peer_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct peer each[MAX_PEERS];                      /* by recent, largest first */
};

/* One (cgroup, port): listeners that share a port are added up. */
struct listener {
	uint64_t cgroup_id;
	uint16_t port;
	uint32_t sockets;
	uint64_t backlog, limit, drops;
};

struct listener_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct listener each[MAX_LISTENERS];              /* by (cgroup, port), ascending */
};
#endif

#endif
