/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of events and their payloads: one line a kind in each of the two lists. See event.h. */
#ifndef NODEMEND_SIGNALS_EVENTS_H
#define NODEMEND_SIGNALS_EVENTS_H

#include "signals/tcp.h"
#include "signals/kill.h"
#include "signals/oom.h"
#include "signals/syscall.h"
#include "signals/process.h"

enum event_kind {
	EVENT_SLOW_CALL,             /* a system call that took longer than its own threshold */
	EVENT_CONNECTION,            /* a TCP connection that ended, or a summary of one that lives */
	EVENT_USAGE,                 /* a process that ended, or has used another slice of CPU, I/O or memory */
	EVENT_OOM_KILL,              /* the event's pid, comm, uid and cgroup are the victim's */
	EVENT_FATAL_SIGNAL,          /* …the target's */
	EVENT_KIND_COUNT,
};

union event_payload {
	struct tcp_record connection;
	char none;
	struct oom_record oom;
	struct fatal_signal fatal;
	struct slow_call slow_call;
	struct usage_event usage;    /* EVENT_USAGE */
};

#endif
