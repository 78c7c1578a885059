/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of events and their payloads: one line a kind in each of the two lists. See event.h. */
#ifndef NODEMEND_SIGNALS_EVENTS_H
#define NODEMEND_SIGNALS_EVENTS_H

#include "signals/process.h"

enum event_kind {
	EVENT_SLOW_CALL,             /* a system call that took longer than its own threshold */
	EVENT_CONNECTION,            /* a TCP connection that ended, or a summary of one that lives */
	EVENT_USAGE,                 /* a process that ended, or has used another slice of CPU, I/O or memory */
	EVENT_OOM_KILL,
	EVENT_FATAL_SIGNAL,
	EVENT_KIND_COUNT,
};

union event_payload {
	char none;
	struct usage_event usage;    /* EVENT_USAGE */
};

#endif
