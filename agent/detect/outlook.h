/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outlook: every capacity that the snapshot shows is followed in rings of its own, and once a minute it is asked when it is used up;
 * processes that leak and what cgroups need stand beside it. (state, snapshot) in, snapshot.outlook out; no clock, no I/O. What it
 * remembers goes into a block of bytes and comes back from one.
 */
#ifndef NODEMEND_DETECT_OUTLOOK_H
#define NODEMEND_DETECT_OUTLOOK_H

#include <stddef.h>

#include "snapshot.h"

struct outlook;
struct outlook *outlook_new(void); /* NULL when out of memory; all it will ever need */
void outlook_free(struct outlook *outlook);
/* At a full tick, after forecast(): takes its samples, fills snap->outlook, and says its part of the filesystems' exhausted_in_ns. */
void outlook_look(struct outlook *outlook, struct snapshot *snap);

/* As much as can be remembered: what outlook_save may need. */
size_t outlook_state_size(void);
/* The bytes to keep; how many. */
size_t outlook_save(const struct outlook *outlook, const struct snapshot *snap, void *buffer, size_t room);
/*
 * Takes them back, before the first look; boot_id, boot_ns and wall_ns of `snap` say how long ago that was. 0; or -EBADMSG with a sentence
 * in `why`, nothing taken, and counted. A sentence with 0: something is to be said of it.
 */
int outlook_restore(struct outlook *outlook, const struct snapshot *snap, const void *data, size_t size, char *why, size_t why_size);

/* It was damaged before it could come here: counted, too. */
void outlook_count_damaged(struct outlook *outlook);

/* Names a series over restarts; never 0. */
uint64_t outlook_key(const char *kind, const char *name);

#endif
