/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all throttles of a cgroup have in common: whose cgroup it is, that nobody protected is in it, the lease, and the measurement before and
 * after. A throttle itself is a row: which control file, which text, and what counts as its use.
 */
#ifndef NODEMEND_REMEDIES_THROTTLE_H
#define NODEMEND_REMEDIES_THROTTLE_H

#include "remedies/group.h"
#include "remedies/group_control.h"

struct throttle {
	struct control_name control;
	uint64_t (*for_ns)(const union remedy_args *args);
	/* The text to write, from what stands there now. 0; or -errno and in `why` the reason for which it is refused. */
	int (*value)(const struct remedy_request *request, bool v2, const char *now, char *ret, size_t size, char *why, size_t why_size);
	/* Completes the knob where a line of the file is one device's; NULL: the file is one value. */
	int (*aim)(const struct remedy_request *request, bool v2, struct knob *knob);
	/* A counter of what the cgroup uses; NULL: what it brings is not to be seen in the cgroup itself. */
	int (*used)(const struct group *group, uint64_t *ret);
	uint64_t watch_ns;              /* how long its use is watched, before and after */
};

/* Plan and apply of a remedy that is a throttle. */
int throttle_run(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result);
/* Check of one: the controller is there and its files may be written. */
int throttle_check(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result);

#endif
