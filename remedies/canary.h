/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The armed check: whether a remedy would really work here is proved on something of our own. A process of ours is ended, a cgroup of ours is
 * killed, a cgroup of ours is throttled, files of ours are cleaned. What was made is gone when a call returns.
 */
#ifndef NODEMEND_REMEDIES_CANARY_H
#define NODEMEND_REMEDIES_CANARY_H

#include "remedies/group_control.h"

/* UNTRIED: there was no place to try it in, which says nothing against the remedy; `why` says what was missing. */
enum canary { CANARY_PROVEN, CANARY_FAILED, CANARY_UNTRIED };

/* A process is asked to end, another one that does not listen is made to. */
enum canary canary_process(char why[WHY_LEN]);
/* A cgroup of the v2 hierarchy is killed as a whole, in the way that this kernel has. */
enum canary canary_group(char why[WHY_LEN]);
/*
 * A control file of a busy cgroup is set to `v2` or `v1`, by a lease in the request's own book, until cgroup's cpu.stat shows that it was held back
 * (`is_held`: whether it does), and turned back.
 */
struct canary_throttle {
	struct control_name control;
	const char *v2, *v1;           /* what is written */
	bool (*is_held)(int dir_fd);   /* of the directory of the control file */
};
enum canary canary_throttle(const struct canary_throttle *throttle, const struct remedy_request *request, char why[WHY_LEN]);
/* Files in a directory of ours below the request's scratch are deleted by the remedy itself. */
enum canary canary_files(const struct remedy_request *request, int (*apply)(const struct remedy_request *, struct remedy_result *), char why[WHY_LEN]);

struct sd_bus;
/* A transient unit is started, restarted and stopped (canary_unit.c). `bus`: as manager.h connects it. */
enum canary canary_unit(struct sd_bus *bus, uint64_t until_boot_ns, char why[WHY_LEN]);

/* Into the answer of a check that found nothing against the remedy so far: FAILED disarms it, UNTRIED is said beside it. */
void canary_judge(enum canary canary, const char *why, struct remedy_result *result);

#endif
