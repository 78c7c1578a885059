/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a known program of the system leaves behind in a known place: where that is, which of the names there are meant, and which of
 * them belong together. The remedies that clean such places are tables of them; cleaning.c does the work.
 */
#ifndef NODEMEND_REMEDIES_STALE_FILES_H
#define NODEMEND_REMEDIES_STALE_FILES_H

#include "core/value.h"
#include "remedies/cleaning.h"

enum { MAX_STALE_MATCH = 3 };

struct stale_place {
	const char *path;
	const char *match[MAX_STALE_MATCH];      /* globs; the rest NULL */
	uint32_t max_depth;
	struct tree_licence licence;
	bool (*is_meant)(const char *name);
	uint64_t (*kin)(const char *name);
	bool readers_stay;
};

/*
 * The place that `args` and the target mean: the root that is given; without one the first of them that lies on the target's filesystem, or, where the
 * target is none, that is there. A root that is none of them is looked at as if it were the first. NULL: none of them.
 */
const struct stale_place *stale_place(const struct stale_place *places, uint32_t count, const struct stale_files_args *args, const struct target *target);
int stale_files_run(const struct stale_place *places, uint32_t count, const struct stale_files_args *args, const struct remedy_request *request,
		    struct remedy_result *result);

/* For `vet` and `problem` of the remedy. */
void stale_root_vet(const struct stale_place *places, uint32_t count, const char *root, argument_fault *fault, void *context);
const char *stale_files_problem(const struct stale_files_args *args);

/* For `kin`: of the first `length` bytes. */
uint64_t stale_kin(const char *name, size_t length);

#endif
