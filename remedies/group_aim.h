/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup that a request is about, held and proven, and that nobody in it is on the never-list. */
#ifndef NODEMEND_REMEDIES_GROUP_AIM_H
#define NODEMEND_REMEDIES_GROUP_AIM_H

#include "remedies/group.h"

/* Who drove less than this of it is no cause. */
enum { LEAST_CAUSE_PERMILLE = 50 };

struct group_aim {
	struct group group;
	uint64_t id;
};

/* The target's own, or that of the first candidate that has one. 0; -ECANCELED: refused, and said why. `ret_path` is the request's own text. */
int group_aim_find(const struct remedy_request *request, struct remedy_result *result, uint64_t *ret_id, const char **ret_path);
/* The same, opened. 0 and nothing refused, to be closed by group_close(); -ECANCELED: refused, and said why. */
int group_aim_open(const struct remedy_request *request, struct remedy_result *result, struct group_aim *ret);
/* Its members, now: who came since the last look counts. 0; -ECANCELED: one is protected, or cannot be told. */
int group_aim_spare(const struct remedy_request *request, struct remedy_result *result, const struct group_aim *aim);

#endif
