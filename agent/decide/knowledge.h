/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each remedy has brought here, by the kind of trouble and the class of its cause. What keeps failing is set aside for a day, or until a
 * person lifts it; what has worked may come first where the policy says so and safety is the same. Never outside of what the policy allows. Pure.
 */
#ifndef NODEMEND_DECIDE_KNOWLEDGE_H
#define NODEMEND_DECIDE_KNOWLEDGE_H

#include "decide/decide.h"

/* Twice can be chance, and a policy's round is rarely run three times an hour. */
enum { FAILURES_UNTIL_SET_ASIDE = 3 };
#define SET_ASIDE_NS (24 * 3600 * NSEC_PER_SEC)

/* The unit, the container or the command of the first cause; "" where none is known. */
const char *cause_class(const struct incident *incident);
/* After an act that was meant. IMPROVED says neither: it did what it promised, and the condition still holds. */
void knowledge_learn(struct saved_state *saved, const struct incident *incident, const char *remedy, enum outcome outcome, const struct circumstances *now);
bool knowledge_sets_aside(const struct saved_state *saved, const struct incident *incident, const char *remedy, int64_t boot_ns);
bool lesson_sets_aside(const struct lesson *lesson, int64_t boot_ns);
/* A person looked: everything may be tried again. What was learned of successes stays. Returns how many were set aside. */
uint32_t knowledge_lift(struct saved_state *saved, int64_t boot_ns);

/* Which step of the policy comes next in this round (`tried`: those that were, by bit): the first that is left, or, by what was learned, one of its
 * neighbours that is as destructive. step_count: none is left, but for what is set aside. */
uint32_t knowledge_next_step(const struct saved_state *saved, const struct policy *policy, const struct incident *incident, uint32_t tried, int64_t boot_ns);

#endif
