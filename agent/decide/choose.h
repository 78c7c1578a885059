/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom an act is aimed at, out of those who cause it. The evidence decides: what each drove of the change, which is pressure inflicted and never
 * pressure suffered. Beside it stand weights: the policy's own preferences, what a container was promised, what the kernel was told. Pure.
 */
#ifndef NODEMEND_DECIDE_CHOOSE_H
#define NODEMEND_DECIDE_CHOOSE_H

#include "decide/decide.h"

struct choosing {
	const struct policy *policy;
	const struct snapshot *snap;
	const struct finding *finding;
	bool ends_processes;           /* what the kernel would rather end, and what memory is promised, is asked */
};

/*
 * Puts the causes into the order in which they are to be tried, leaves out those who may not be, and says how it came to that. Returns how many
 * are left: 0 where all of them only do it to themselves at a limit of their own, which the node has no part in.
 */
uint32_t choose(const struct choosing *choosing, struct cause causes[MAX_CAUSES], uint32_t count, struct selection *ret);

#endif
