/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two independent signs before anything is ended: a stall and little left, a level and somebody who grows; never pressure alone, which a throttled
 * cgroup makes by itself. What a policy names (a command, a unit, a cgroup) is a sign, too: a person has said whom it is about. Pure.
 */
#ifndef NODEMEND_DECIDE_SIGNS_H
#define NODEMEND_DECIDE_SIGNS_H

#include "decide/decide.h"

enum {
	SIGN_LEVEL = 1 << 0,   /* there is little left, or much is used */
	SIGN_STALL = 1 << 1,   /* somebody waits for it */
	SIGN_GROWTH = 1 << 2,  /* somebody is seen to take more of it */
	SIGN_SWAP = 1 << 3,    /* nothing is left to give way to */
	SIGN_NAMED = 1 << 4,   /* the policy names whom it is about */
};

/* The signs that must have been seen for the policy's condition to be true; of alternatives, the one with the fewest. */
uint32_t signs_of_policy(const struct policy *policy);
/* What the node shows at this moment, by the kind of trouble. What was not measured is no sign. */
uint32_t signs_of_node(enum incident_kind kind, const struct snapshot *snap);
/* Whether the two together are two at least. */
bool signs_suffice(const struct policy *policy, const struct finding *finding, const struct snapshot *snap);

#endif
