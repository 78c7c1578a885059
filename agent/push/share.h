/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the publisher and the sender count, each in a page of shared memory that it writes and the other reads: every number is by itself,
 * so relaxed atomics are all it takes, and nobody waits for anybody. The agent makes them and hands out a descriptor to write and one to read.
 */
#ifndef NODEMEND_PUSH_SHARE_H
#define NODEMEND_PUSH_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "histogram.h"
#include "output.h"

enum { MAX_OUTLETS = MAX_OUTPUTS * MAX_OUTPUT_URLS };

/* Why a request failed, and why a parcel was given up. */
enum failure { FAILURE_CONNECT, FAILURE_TLS, FAILURE_TIMEOUT, FAILURE_STATUS, FAILURE_PROTOCOL, FAILURE_SECRET, FAILURE_COUNT };
enum drop { DROP_REFUSED, DROP_AGE, DROP_QUEUE_FULL, DROP_SPOOL_FULL, DROP_SPOOL_CORRUPT, DROP_TOO_LARGE, DROP_COUNT };
extern const char *const failure_names[FAILURE_COUNT];
extern const char *const drop_names[DROP_COUNT];

struct outlet_counters {
	char output[NAME_LEN];             /* "" = unused; written before the page's count */
	char endpoint[16];                 /* which of the output's addresses: "0", "1", … */
	_Atomic uint64_t sent;             /* items */
	_Atomic uint64_t failed[FAILURE_COUNT];  /* requests */
	_Atomic uint64_t dropped[DROP_COUNT];    /* items */
	_Atomic uint64_t spool_errors;     /* writes that the disk did not take; it went on in memory */
	_Atomic uint64_t queue_bytes, spool_bytes;
	_Atomic int64_t last_success_wall_ns;    /* 0 = never */
	_Atomic uint64_t latency_sum_ns, latency[HISTOGRAM_BUCKETS]; /* of requests that were answered */
};

struct output_page {
	uint64_t size;
	_Atomic uint64_t restarts, messages_lost; /* of the sender; records that the agent could not hand to it. The agent's to write. */
	_Atomic uint32_t count;
	struct outlet_counters outlets[MAX_OUTLETS];
};

/* What happens in the publisher alone, in the order of struct publisher_counters; copied once a snapshot. */
enum { PUBLISHER_NUMBERS_MAX = 63 };
struct publisher_page {
	uint64_t size;
	_Atomic uint64_t numbers[PUBLISHER_NUMBERS_MAX];
};

struct share { int write_fd, read_fd; };
/* A memfd of `size` that cannot shrink, with its size as its first number; whoever has only the second descriptor cannot write. 0 or -errno. */
int share_create(size_t size, struct share *ret);
void share_destroy(struct share *share);
/* 0 or -errno; -EPROTO: of another build. */
int share_map(int fd, bool writable, size_t size, void **ret);
void share_unmap(void *page, size_t size); /* NULL is fine */

#endif
