/* SPDX-License-Identifier: Apache-2.0 */
/* One condition: which targets it speaks of, and the number it compares. Stateless; for how long and with which clear level is detect.c's. */
#ifndef NODEMEND_DETECT_CONDITION_H
#define NODEMEND_DETECT_CONDITION_H

#include "policy.h"
#include "state.h"
#include "snapshot.h"

/* The text that names a target for as long as it is the same one. */
void target_key(const struct target *target, char ret[KEY_LEN]);

/* Calls `each` for every target of the condition that the snapshot holds; stops when it returns false. */
void condition_targets(const struct condition *condition, const struct snapshot *snap, bool (*each)(const struct target *target, void *context),
		       void *context);

enum reading_state { READING_KNOWN, READING_UNKNOWN, READING_GONE };
struct reading {
	enum reading_state state;  /* GONE: measured, and the target is not there (any more) */
	double value;
	uint64_t exhausted_in_ns;
	uint32_t confidence_permille;
	const char *why;           /* UNKNOWN: what is missing */
	char detail[WHY_LEN];      /* KNOWN: evidence beyond the number, or "" */
	const char *evidence;      /* in words, what was seen; good as long as the snapshot; NULL: the number says it all */
};
/* The condition's number for one target, which may come from another condition of the same kind. */
void condition_read(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret);
/* Whether the condition's selectors would have named this target themselves. */
bool condition_selects(const struct condition *condition, const struct snapshot *snap, const struct target *target);

enum incident_kind condition_incident_kind(const struct condition *condition);
const char *condition_metric(const struct condition *condition);
/* How long its figure lags behind what it measures: averages, probes. */
uint64_t condition_lag_ns(const struct condition *condition);
/* Whether its figure can cross the threshold within one interval. */
bool condition_runs_away(const struct condition *condition);
/* Why the condition is unknown where nothing is selected; NULL: it is false then. */
const char *condition_nobody(const struct condition *condition);
/* Pressure: whether the kernel is to watch it itself, and whether this is the trigger that was asked for. */
bool condition_wants_trigger(const struct condition *condition);
bool trigger_is(const struct trigger *trigger, const struct condition *condition);
bool process_matches(const struct condition *condition, const struct snapshot *snap, const struct process *process);

#endif
