/* SPDX-License-Identifier: Apache-2.0 */
/* The guards: every reason not to act, one table row each. Pure. */
#ifndef NODEMEND_DECIDE_GUARD_H
#define NODEMEND_DECIDE_GUARD_H

#include "decide/decide.h"

struct guard_question {
	const struct engine *engine;
	const struct config *config;
	const struct policy *policy;      /* NULL: by hand */
	uint32_t policy_index;
	const char *key;                  /* the finding's: cooldown and budgets are counted by it */
	const char *act_key;              /* what would be acted on: two policies may mean the same unit */
	const struct machine *machine;    /* NULL: by hand */
	const struct finding *finding;    /* NULL: by hand */
	const struct incident *incident;  /* NULL: by hand, or it found no room */
	const struct snapshot *snap;      /* fresh; NULL: nothing is known of the node, by hand only */
	enum remedy_id remedy;
	bool dry_run;                     /* only guards that hold for looking, too */
	bool counted;                     /* the ledger holds this very act already: what counts acts was asked at the order */
	uint32_t own_slot;                /* an order of our own that is not "another act"; UINT32_MAX = none */
	const struct circumstances *now;
};

/* NULL: nothing is in the way; else the name of the first guard that is. */
const char *guard_against(const struct guard_question *question);
/* The mode that counts: the policy's own under the node's ceiling. */
enum mode effective_mode(const struct config *config, const struct policy *policy);

#endif
