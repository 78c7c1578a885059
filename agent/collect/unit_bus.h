/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's word on a few units, over D-Bus and without blocking: told of changes by PropertiesChanged, and asked again every
 * few seconds in case one was lost. A bus that is away or silent makes the units unknown and is tried again, ever more rarely.
 */
#ifndef NODEMEND_COLLECT_UNIT_BUS_H
#define NODEMEND_COLLECT_UNIT_BUS_H

#include "snapshot.h"

struct sd_bus;
struct unit_bus;

enum { UNIT_PROPERTIES = 6 };

struct unit_ask { /* one property of one unit, being asked for */
	struct unit_watch *unit;
	uint32_t property;
};

struct unit_watch {
	struct unit_bus *bus;
	char *path;                     /* D-Bus object */
	struct unit_sample sample;      /* name is the caller's; the rest as last known */
	uint64_t known_ns;              /* boot time of the last complete answer; 0 = not known now */
	bool changed;                   /* for the owner, who clears it */

	bool dirty, failed, missing;
	uint32_t pending;               /* properties not answered yet */
	uint64_t asked_ns;
	struct unit_sample next;        /* the answer being put together */
	struct unit_ask asks[UNIT_PROPERTIES];
};

struct unit_bus {
	const char *address;
	uint32_t count;
	struct unit_watch *units;
	struct sd_bus *bus;             /* NULL: not connected */
	bool up, lost, refused;         /* up: it has answered. lost: to be given up at the next step. refused: why says with what words */
	char why[WHY_LEN];              /* why not up */
	uint64_t now_ns, begun_ns, retry_ns, backoff_ns;
};

/* Connects, takes what came, asks what is due. */
void unit_bus_step(struct unit_bus *bus, uint64_t now_ns);
/* What to poll for, and when to step at the latest. fd is -1 while there is no connection. */
void unit_bus_poll(const struct unit_bus *bus, int *ret_fd, short *ret_events, uint64_t *ret_due_ns);
void unit_bus_close(struct unit_bus *bus);
/* Whether what is said of the unit still holds. */
bool unit_bus_knows(const struct unit_bus *bus, const struct unit_watch *unit, uint64_t now_ns);

#endif
