/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came through the rings as single records and is worth telling as such: a system call slower than its threshold, the life of
 * a connection, a slice of a process' usage, an OOM kill, a fatal signal. Collectors append; the newest MAX_EVENTS are in the
 * snapshot and served as /v1/events. Each kind's payload is declared beside its wire record in include/signals/.
 */
#ifndef NODEMEND_EVENT_H
#define NODEMEND_EVENT_H

#include <stdint.h>

/* Payloads, by kind, from signals/: one member of the union a kind. */
#include "signals/events.h"

enum { MAX_EVENTS = 512 };

struct event {
	uint64_t seq;                /* from 1, by all kinds together; a gap in what a reader saw is what the bound cut */
	uint64_t at_ns;              /* CLOCK_BOOTTIME of the event */
	uint64_t cgroup_id;
	enum event_kind kind;
	int32_t pid;                 /* thread group; 0 = none */
	uint32_t uid;
	char comm[16];
	union event_payload of;
};

/* A ring: the event `seq` stands in each[seq % MAX_EVENTS]; the oldest kept one is total - MAX_EVENTS + 1. */
struct event_section {
	uint64_t total;              /* seq of the newest; 0 = none yet */
	uint64_t by_kind[EVENT_KIND_COUNT];
	struct event each[MAX_EVENTS];
};

/* The place of the next one, cleared but for seq and kind; the caller fills the rest before the tick ends. Never NULL. */
struct event *event_add(struct event_section *section, enum event_kind kind);

#endif
