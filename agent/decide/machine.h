/* SPDX-License-Identifier: Apache-2.0 */
/* The machines: one a (policy, target) that is not at rest, kept in the saved state so that they outlive the agent. Pure. */
#ifndef NODEMEND_DECIDE_MACHINE_H
#define NODEMEND_DECIDE_MACHINE_H

#include "decide/decide.h"

#define NO_MACHINE UINT32_MAX

/* Indexes into saved->machines; NO_MACHINE: there is none, or no room for one. */
uint32_t machine_find(const struct engine *engine, const char *policy, const char *key);
uint32_t machine_new(struct engine *engine, const char *policy, const char *key, const struct circumstances *now);
/* Indexes of others may change by it; orders are told. */
void machine_drop(struct engine *engine, uint32_t at, struct changes *ret);
void machine_enter(struct machine *machine, enum engine_state state, const struct circumstances *now, struct changes *ret);
/* Until a person lifts it; its incident says so. */
void machine_quarantine(struct engine *engine, uint32_t at, const struct circumstances *now, struct changes *ret, const char *why);

#endif
