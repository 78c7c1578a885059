/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scribe: the process that writes the journal and the state, so that a hung or throttled disk hangs the scribe and not
 * a decision. Actions go over the worker's socket; the state, too large for it, through a buffer shared with the child.
 */
#ifndef NODEMEND_KEEP_SCRIBE_H
#define NODEMEND_KEEP_SCRIBE_H

#include "core/worker.h"
#include "include/state.h"

enum { SCRIBE_QUEUE = 64 };

struct scribe; /* owned by the agent's main loop */
/* Opens journal and state (reading the state into *ret_state as state_load does), then forks. 0, with a sentence in why where
 * something was found broken or has no room yet; or -errno with a sentence in why. Makes the directory where it is missing. */
int scribe_start(const char *state_dir, const char *boot_id, struct scribe **ret, struct saved_state *ret_state, char *why, size_t why_size);
int scribe_fd(const struct scribe *scribe);               /* readable when there is something for scribe_dispatch; the same for life */
/* Queue for writing; never blocks. -EAGAIN: 64 are waiting already (counted). *ret_ticket is answered by scribe_done_through. */
int scribe_action(struct scribe *scribe, const struct action *action, uint64_t *ret_ticket);
int scribe_state(struct scribe *scribe, const struct saved_state *state); /* the newest wins; older unsent ones are skipped */
/* The file of that name in the state directory, replaced as a whole. -EAGAIN: the one before is still being written; -EFBIG: over 1.5 MiB; -ENOSPC: there are two
 * others already. */
int scribe_shelf(struct scribe *scribe, const char *name, const void *data, size_t size);
void scribe_dispatch(struct scribe *scribe);               /* reads acknowledgements, restarts a dead scribe, sends what waits */
uint64_t scribe_done_through(const struct scribe *scribe); /* all tickets up to this one are durable */
int scribe_last_error(const struct scribe *scribe);        /* 0, or -errno of the last write */
uint64_t scribe_lost(const struct scribe *scribe);         /* actions that found the queue full, or can never be written */
uint64_t scribe_late(const struct scribe *scribe);         /* records that waited longer than a second for the disk */
uint64_t scribe_restarts(const struct scribe *scribe);
void scribe_stop(struct scribe *scribe);                   /* waits up to 2 s for what is queued; NULL is fine */

#endif
