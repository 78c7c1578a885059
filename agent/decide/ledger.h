/* SPDX-License-Identifier: Apache-2.0 */
/* The books: actions as they are remembered and told, and the ledger of acts that cooldowns and budgets are counted from. Pure. */
#ifndef NODEMEND_DECIDE_LEDGER_H
#define NODEMEND_DECIDE_LEDGER_H

#include "decide/decide.h"

/* Gives it an id that was never used, and the time. */
void action_name(struct engine *engine, struct action *action, const struct circumstances *now);
/* Keeps it among the recent ones, in the place of an earlier state of the same. */
void action_remember(struct engine *engine, const struct action *action);
/* Remembers, counts and tells it: a result, a refusal, a plan. */
void action_tell(struct engine *engine, const struct action *action, struct changes *ret);
bool had_effect(const struct effect *observed);

void ledger_add(struct saved_state *saved, const struct action *action, const char *key, uint32_t step, const struct circumstances *now);
/* How it ended. A refusal is taken out again: nothing was done, nothing is spent. */
void ledger_close(struct saved_state *saved, const struct action *action);

#endif
