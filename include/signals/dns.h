/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Requests of name resolution: their results and how long they took, by cgroup and server. Addresses as in signals/tcp.h. */
#ifndef NODEMEND_SIGNALS_DNS_H
#define NODEMEND_SIGNALS_DNS_H

#include "histogram.h"

/* The header's four bits, and one for requests that nobody answered in time. */
enum { DNS_RESULT_TIMEOUT = 16, DNS_RESULT_COUNT };

struct dns_request_key {
	__u64 cookie;                   /* of the socket */
	__u8 server[16];
	__u16 id;
	__u8 unused[6];
};

struct dns_request {
	__u64 start_ns, cgroup_id;
};

struct dns_key {
	__u64 cgroup_id;
	__u8 server[16];
	__u32 result;
	__u32 unused;
};

struct dns_counts {
	__u64 requests, sum_ns;
};

enum dns_note { DNS_LOSS_REQUEST, DNS_LOSS_ROW, DNS_NOTE_COUNT };

#ifndef __bpf__
#include <stdint.h>

enum { MAX_DNS_ROWS = 1024 };

struct dns_row {
	struct dns_key key;
	struct dns_counts counts;
};

struct dns_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct dns_counts total[DNS_RESULT_COUNT];     /* exact */
	struct histogram latency;                      /* of those that were answered */
	struct dns_row each[MAX_DNS_ROWS];             /* by requests, most first */
};
#endif

#endif
