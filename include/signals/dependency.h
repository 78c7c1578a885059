/* SPDX-License-Identifier: Apache-2.0 */
/* Services elsewhere that this node depends on, summed over its cgroups: how they answered of late, and against their own history. */
#ifndef NODEMEND_SIGNALS_DEPENDENCY_H
#define NODEMEND_SIGNALS_DEPENDENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_DEPENDENCIES = 256, DEPENDENCY_NAME_LEN = 64, DEPENDENCY_USERS = 3 };

/* Of connecting, round trips or answers: the mean of late, and the median of its own history; 0: not known. */
struct pace {
	double recent_s, usual_s;
};

struct dependency {
	char name[DEPENDENCY_NAME_LEN];              /* "10.0.0.5:5432", "[2001:db8::1]:443", "dns:10.0.0.2" */
	double attempts, failures, ended, resets;    /* decayed: of about the last half minute */
	struct pace opening, round_trip;             /* a name server has only the first: asked to answered */
	double times_slower;                         /* than usual, the worse of the two; 0: too little history, or too few lately */
	uint32_t user_count, users_cut;
	uint64_t users[DEPENDENCY_USERS];            /* cgroups, the busiest first */
};

struct dependency_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct dependency each[MAX_DEPENDENCIES];
};

#endif
