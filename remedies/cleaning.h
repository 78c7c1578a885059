/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deletes old files below one directory, oldest first, and says how many bytes that brought by what the filesystem shows: the engine of
 * clean-files, and of every remedy that knows more of its files than age and name.
 */
#ifndef NODEMEND_REMEDIES_CLEANING_H
#define NODEMEND_REMEDIES_CLEANING_H

#include "remedies/tree.h"

struct cleaning {
	struct clean_files_args args;             /* where, what and how much, as clean-files has it */
	struct tree_licence licence;
	bool (*is_meant)(const char *name);       /* of those that match; NULL: all */
	uint64_t (*kin)(const char *name);        /* those of one kin share keep_newest; NULL: all of a directory do. keep_newest is then at most MAX_KIN_KEPT */
	uint64_t keep_bytes;                      /* of all that match, meant or not, so many bytes stay */
	bool readers_stay;                        /* whoever has it open to read is no hindrance, as its own program's are none to that one */
};

enum { MAX_KIN_KEPT = 64 };

/* Plan or apply. 0 or -errno, as a remedy's. */
int cleaning_run(const struct cleaning *cleaning, const struct remedy_request *request, struct remedy_result *result);
/* Whether it would work on this host: the check of a remedy. */
int cleaning_check(const struct remedy_request *request, struct remedy_result *result);

#endif
