/* SPDX-License-Identifier: Apache-2.0 */
/* Which numbers of a snapshot are watched for anomalies: rows only. */
#ifndef NODEMEND_DETECT_WATCH_TABLE_H
#define NODEMEND_DETECT_WATCH_TABLE_H

#include "snapshot.h"

enum watch_kind {
	WATCH_GAUGE,   /* as it is */
	WATCH_COUNTER, /* by the second */
	WATCH_RATIO,   /* what a counter grew by, over what another one did: a latency */
};

struct watch_row {
	const char *name;
	enum watch_kind kind;
	uint32_t offset;      /* into the struct of its table: a uint64_t, UNKNOWN where there is none */
	uint32_t over;        /* RATIO */
	bool narrow;          /* a uint32_t, UINT32_MAX unknown */
	uint32_t measured;    /* into the snapshot: when its section was measured */
};

/* What stands for one thing: the node, a disk, an interface, a cgroup. */
struct watch_family {
	const char *name;     /* of each; "" of the node */
	const struct watch_row *rows;
	uint32_t row_count;
};

extern const struct watch_family watch_node, watch_disk, watch_interface, watch_cgroup;

/* Devices beyond so many, in the order of the snapshot, are not watched; their series count as folded. */
enum { WATCH_MAX_DISKS = 16, WATCH_MAX_INTERFACES = 16 };

#endif
