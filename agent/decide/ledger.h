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
/* A guard that holds a machine's step back: said once, until another one does. */
void refusal_tell(struct engine *engine, uint32_t machine_at, const struct policy *policy, const struct finding *finding, const char *guard,
		  const struct circumstances *now, struct changes *ret);
bool had_effect(const struct effect *observed);

void ledger_add(struct saved_state *saved, const struct action *action, const char *key, uint32_t step, const struct circumstances *now);
/* It goes to the hands now. */
void ledger_begin(struct saved_state *saved, const struct action *action, const struct circumstances *now);
/* Acts of this remedy (NULL: of any), by hand or by a policy, that began in the last `per_ns`. */
uint32_t acts_within(const struct saved_state *saved, const char *remedy, uint64_t per_ns, int64_t boot_ns);
/* Adds a step to the record; where it is full, in the last one's place: how it ended matters more than what happened before. */
void action_note(struct action *action, const char *name, bool ok, const struct circumstances *now, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* How it ended. A refusal is taken out again: nothing was done, nothing is spent. */
void ledger_close(struct saved_state *saved, const struct action *action);

#endif
