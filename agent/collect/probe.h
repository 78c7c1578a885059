/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unit's probe: does it answer on TCP, to an HTTP GET, or does a command say so? A state machine over one descriptor that
 * its owner polls; nothing in it blocks, and what it starts it ends. Times are boot time, given by the caller.
 */
#ifndef NODEMEND_COLLECT_PROBE_H
#define NODEMEND_COLLECT_PROBE_H

#include "core/regex.h"
#include "policy.h"

#include <sys/types.h>

enum probe_phase {
	PROBE_IDLE,        /* waits for next_ns */
	PROBE_CONNECTING, PROBE_READING, PROBE_READING_BODY, /* fd is a socket */
	PROBE_RUNNING,     /* fd is a pidfd */
	PROBE_ENDING,      /* killed, not dead yet; its verdict is given */
};

struct probe_run {
	const struct probe *what;
	enum probe_phase phase;
	int fd;                    /* -1 while idle */
	short events;              /* to poll for */
	pid_t pid;
	uint64_t started_ns, next_ns;
	uint32_t failed;           /* in a row */
	enum probe_state state;    /* PROBE_UNKNOWN until the first verdict */
	char why[WHY_LEN];         /* of the last failure */
	char reply[64];
	size_t reply_size;
	char *page;                /* where a body is looked at, its beginning; NULL until the first time */
	size_t page_size;
	struct regex *body;
};

void probe_init(struct probe_run *run, const struct probe *what, uint64_t first_ns);
/* When it wants to be stepped at the latest, whether fd is ready or not. */
uint64_t probe_due_ns(const struct probe_run *run);
/* Starts what is due, goes on with what is ready, ends what overstays. True: state or why are new. */
bool probe_step(struct probe_run *run, bool ready, uint64_t now_ns);
/* Forgets what it knew and ends what runs; a command that does not die at once is reaped by later steps. */
void probe_reset(struct probe_run *run, uint64_t next_ns);

void probe_free(struct probe_run *run); /* what it has allocated; after a reset */

/* Ends what the commands of `runs` left behind: children of this process, a subreaper, that are none of them. */
void probe_reap_strays(const struct probe_run *runs, uint32_t count);

#endif
