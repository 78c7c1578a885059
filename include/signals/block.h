/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Requests of block devices: what the kernel counts of them, and the section of the snapshot that is made from it. */
#ifndef NODEMEND_SIGNALS_BLOCK_H
#define NODEMEND_SIGNALS_BLOCK_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#include "histogram.h"

/* Write zeroes, zone operations and drivers' own commands are other. */
enum block_op { BLOCK_OP_READ, BLOCK_OP_WRITE, BLOCK_OP_DISCARD, BLOCK_OP_FLUSH, BLOCK_OP_OTHER, BLOCK_OP_COUNT };

/* By the errno that a program would get for it. */
enum block_error {
	BLOCK_ERROR_EOPNOTSUPP, BLOCK_ERROR_ETIMEDOUT, BLOCK_ERROR_ENOSPC, BLOCK_ERROR_ENOLINK, BLOCK_ERROR_EREMOTEIO, BLOCK_ERROR_EBADE,
	BLOCK_ERROR_ENODATA, BLOCK_ERROR_EILSEQ, BLOCK_ERROR_ENOMEM, BLOCK_ERROR_EIO, BLOCK_ERROR_EAGAIN, BLOCK_ERROR_OTHER,
	BLOCK_ERROR_COUNT,
};

/*
 * How it is known to whom a request belongs, best first. BIO: the bio's own cgroup of the io controller, on the unified
 * hierarchy and not its root. WRITEBACK: the cgroup that the kernel charges the file's writeback to (memory controller, unified).
 * DIRTIER: who made the file grow or dirty last, as fswrite keeps it. SUBMITTER: the process that handed the request in, or, before
 * v6.5, in whose time it was issued. NOBODY: kernel threads' own, metadata, journals, or none of the above is known.
 */
enum block_source {
	BLOCK_SOURCE_BIO, BLOCK_SOURCE_WRITEBACK, BLOCK_SOURCE_DIRTIER, BLOCK_SOURCE_SUBMITTER, BLOCK_SOURCE_NOBODY, BLOCK_SOURCE_COUNT,
};

/* Between issue and completion, by the address of the request. issued_ns 0: handed in, not issued yet. */
struct block_request {
	__u64 issued_ns;
	__u64 cgroup_id;
	__u32 dev;                      /* of the whole disk: major << 20 | minor */
	__u8 op, source, unused[2];
};

struct block_device_key {
	__u32 dev, op;
};

/* Of one (disk, operation) on one CPU. */
struct block_counts {
	__u64 ops, bytes;               /* completed, with an error or without */
	__u64 device_ns;                /* issue to completion, added up */
	__u64 queued, queue_ns;         /* those whose arrival the kernel noted, and their time from it to the issue */
	__u64 requeues;
	__u64 errors[BLOCK_ERROR_COUNT];
	struct histogram latency, queue;
};

/* Requests at the disk; not per CPU. */
struct block_depth {
	__u64 in_flight;
	__u32 epoch;                    /* the agent's tick in which `max` began */
	__u32 max;
};

struct block_group_key {
	__u64 cgroup_id;
	__u32 dev;
	__u8 op, source, unused[2];
};

struct block_group_counts {
	__u64 bytes, ops, device_ns;
};

/* A request without a row for its start (so: not counted at all); a row for its device; a row for its cgroup. */
enum block_loss { BLOCK_LOSS_START, BLOCK_LOSS_DEVICE, BLOCK_LOSS_GROUP, BLOCK_LOSS_COUNT };

#ifndef __bpf__

#include <stdbool.h>
#include <stdint.h>

enum { MAX_BLOCK_DEVICES = 64, MAX_BLOCK_STATS = 128, MAX_BLOCK_GROUPS = 4096 + MAX_BLOCK_STATS, BLOCK_NAME_LEN = 32 };

/* One disk and operation that occurred, since the agent started. */
struct block_stat {
	uint32_t dev, op;
	struct block_counts counts;
};

struct block_device_state {
	uint32_t dev;
	char name[BLOCK_NAME_LEN];
	uint32_t in_flight, max_in_flight; /* now; over the last full interval */
	uint32_t mean_in_flight_milli;     /* over the last full interval, weighted by time; UINT32_MAX in the first */
	uint64_t oldest_ns;                /* age of the oldest request at the disk; 0 = none */
};

struct block_device_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct block_device_state each[MAX_BLOCK_DEVICES]; /* by dev, ascending */
};

struct block_stat_section {
	uint64_t measured_ns;
	bool has_histograms;            /* this deep; else those of counts are to be left out */
	uint32_t count, cut;
	struct block_stat each[MAX_BLOCK_STATS]; /* by (dev, op), ascending */
};

/* cgroup_id 0: what has no row of its own (any more), over all sources. Rows of one (dev, op) add up to its block_stat. */
struct block_group {
	uint64_t cgroup_id;
	uint32_t dev;
	uint8_t op, source;
	uint64_t bytes, ops, device_ns;
	uint64_t recent_bytes;
};

struct block_group_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct block_group each[MAX_BLOCK_GROUPS];
};

extern const char *const block_op_names[BLOCK_OP_COUNT], *const block_error_names[BLOCK_ERROR_COUNT],
	*const block_source_names[BLOCK_SOURCE_COUNT];

#endif
#endif
