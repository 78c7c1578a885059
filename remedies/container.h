/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one container that an act is about: found by the cgroup that causes the trouble, proven by its engine to be there, and looked at against
 * the never-list with all that runs in it. What restart-container and kill-container have in common.
 */
#ifndef NODEMEND_REMEDIES_CONTAINER_H
#define NODEMEND_REMEDIES_CONTAINER_H

#include "core/value.h"
#include "remedies/engine.h"
#include "remedies/group.h"

struct container {
	const struct remedy_request *request;
	const struct container_args *args;
	struct remedy_result *result;
	struct engine engine;
	char id[CONTAINER_ID_LEN];
	struct engine_facts facts;   /* as it was found */
	struct group group;          /* the whole container's */
	uint64_t cgroup_id;          /* its */
	int proc_fd;
	uint64_t members, rss_bytes; /* of the last look */
};

/* 0: found, running, and may be acted on; `container` is held. 1: refused, and said. -errno. container_close() in each case. */
int container_open(struct container *container, const struct remedy_request *request, const struct container_args *args, struct remedy_result *result);
void container_close(struct container *container);
/* The same questions again, with fresh answers, and the guards: right before the act. */
int container_again(struct container *container);
/* For people. */
const char *container_shown(const struct container *container, char *buffer, size_t size);
/* Seconds that it is given to end by itself: no more than half of what is left. */
uint64_t container_grace_s(const struct container *container);
/* What to say of an engine that would not: target-changed where the container is gone, else failed. */
void container_failed(struct container *container, int error);

extern const struct section restart_container_arguments, kill_container_arguments;
const char *container_problem(const struct container_args *args);

#endif
