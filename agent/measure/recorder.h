/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flight recorder: keeps the last minute of the node, and freezes it when the kernel kills for memory. It is fed by what was
 * collected anyway, so that nothing is read, and nothing allocated, at the moment when there is no memory.
 */
#ifndef NODEMEND_MEASURE_RECORDER_H
#define NODEMEND_MEASURE_RECORDER_H

#include "snapshot.h"

struct cJSON;
struct recorder;

struct recorder *recorder_new(void); /* NULL: no memory */
void recorder_free(struct recorder *recorder); /* NULL is fine */

/* After each tick's collecting. Takes a picture a second at most, and puts a new recording into `section` when `snap` has OOM kills
 * that it has not seen; `section` may be that of `snap`. */
void recorder_tick(struct recorder *recorder, const struct snapshot *snap, struct recording_section *section);

/* The recording of an event; NULL: none, or no longer. */
const struct recording *recorder_find(const struct recording_section *section, uint64_t event_seq);
/* As JSON, with the cgroups' paths as `snap` has them. The caller's to delete; NULL: no memory. */
struct cJSON *recorder_json(const struct recording *recording, const struct snapshot *snap);

#endif
