/* SPDX-License-Identifier: Apache-2.0 */
/* What became another on the node: the first question of whoever looks into trouble is what was changed just before. */
#ifndef NODEMEND_SIGNALS_CHANGE_H
#define NODEMEND_SIGNALS_CHANGE_H

#include <stdint.h>

enum change_kind {
	CHANGE_BINARY,           /* a program was started whose file is another than when it was started last */
	CHANGE_PACKAGE,          /* the package manager installed, upgraded or removed */
	CHANGE_UNIT,             /* a service was started, restarted or reloaded */
	CHANGE_CONFIGURATION,    /* a file below /etc was written, moved there or removed */
	CHANGE_BOOT,
	CHANGE_CLOCK,            /* the wall clock was set */
	CHANGE_KIND_COUNT,
};

enum { CHANGE_TEXT_LEN = 160, MAX_NODE_CHANGES = 64 };

struct node_change {
	uint64_t at_ns;          /* CLOCK_BOOTTIME */
	int64_t wall_ns;
	uint64_t cgroup_id;      /* of the process or service; 0: of the node */
	enum change_kind kind;
	char what[CHANGE_TEXT_LEN];
};

/* A ring: the change number n (from 0) stands in each[n % MAX_NODE_CHANGES]. */
struct change_section {
	uint64_t measured_ns;
	uint64_t total, lost;    /* lost: not noted, since there were too many at once */
	struct node_change each[MAX_NODE_CHANGES];
};

#endif
