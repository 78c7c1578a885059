/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many bytes an act brought a filesystem, by what statvfs shows around each single deed and over the whole, while others write and
 * delete as well. docs/remedies.md (clean-files, "The bytes") says why two witnesses.
 */
#ifndef NODEMEND_REMEDIES_FREED_H
#define NODEMEND_REMEDIES_FREED_H

#include "remedy.h"

struct freed {
	const struct remedy_request *request;
	int fd;                             /* of anything on that filesystem */
	uint64_t before;                    /* free bytes, as it began */
	uint64_t bytes;                     /* blocks of all that was given up; UNKNOWN: another program knows */
	uint64_t inside_bytes, inside_ns;   /* gained right around each deed, and how long these took */
	uint64_t outside_ns;
	int64_t outside_taken;              /* by others, between two deeds */
	uint64_t last_free, last_ns;        /* right after the last one */
	uint64_t deed_free, deed_ns;        /* right before the one that is under way */
};

void freed_begin(struct freed *freed, int fd, const struct remedy_request *request);
void freed_before_deed(struct freed *freed);
/* It gave up `bytes` of blocks. One that failed is not told here. */
void freed_after_deed(struct freed *freed, uint64_t bytes);
/* Waits until statvfs shows it, or nothing more comes, for at most 5 s; the step `statvfs`. What to tell as freed: never more than the blocks. */
uint64_t freed_tell(const struct freed *freed, struct remedy_result *result);
/* FIXED, IMPROVED or NO_EFFECT, by observed.freed_bytes and .freed_files against what was promised, or, without a promise, against the plan. */
enum outcome freed_outcome(const struct remedy_request *request, const struct remedy_result *result);

#endif
