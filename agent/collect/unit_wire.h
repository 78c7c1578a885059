/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit collector tells its worker once, and what the worker tells it from then on. */
#ifndef NODEMEND_COLLECT_UNIT_WIRE_H
#define NODEMEND_COLLECT_UNIT_WIRE_H

#include "policy.h"

/* One a unit, all sent at the start; the worker begins when it has `count` of them. */
struct unit_order {
	uint32_t index, count;
	bool alone;              /* no unit, a probe; these come last */
	uint64_t heartbeat_ns;
	char bus[PATH_LEN];      /* D-Bus address; "" = the system bus; ".../systemd/private" = systemd itself */
	char name[NAME_LEN];
	struct probe probe;
};

/* On every change, and for each unit at every heartbeat. */
struct unit_report {
	uint32_t index;
	bool bus_up;
	char bus_why[WHY_LEN];
	struct unit_sample sample; /* measured_ns: until when this is known to be so */
};

/* worker.h's serve(). */
int unit_serve(int fd);

#endif
