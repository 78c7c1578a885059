/* SPDX-License-Identifier: Apache-2.0 */
/* One kind of condition, as a table row: a file for each, registered in condition.c by its enum condition_kind. */
#ifndef NODEMEND_DETECT_CONDITION_TYPE_H
#define NODEMEND_DETECT_CONDITION_TYPE_H

#include "detect/condition.h"

typedef bool target_visitor(const struct target *target, void *context); /* a function type: the one place where it reads better */

struct condition_type {
	void (*targets)(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context);
	/* NULL: of whatever its leaf stands beside, it speaks only for itself. */
	bool (*selects)(const struct condition *condition, const struct snapshot *snap, const struct target *target);
	/* `ret` comes as unknown, and without a forecast. */
	void (*measure)(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret);
	enum incident_kind (*kind)(const struct condition *condition);
	/* NULL: none. How long its figure lags behind what it measures, as averages do. */
	uint64_t (*lag_ns)(const struct condition *condition);
	bool runs_away;               /* its figure can cross the threshold within one interval: it sets the fast tick */
	const char *nobody;           /* not NULL: without a target the condition is unknown, and this is why; else it is false */
	const char *metrics[MEASURE_COUNT];
};

extern const struct condition_type filesystem_condition;
extern const struct condition_type memory_condition;
extern const struct condition_type cpu_condition;
extern const struct condition_type psi_condition;
extern const struct condition_type process_condition;
extern const struct condition_type unit_condition;
extern const struct condition_type cgroup_condition;
extern const struct condition_type pids_condition;
extern const struct condition_type files_condition;
extern const struct condition_type conntrack_condition;
extern const struct condition_type neighbours_condition;
extern const struct condition_type listener_condition;
extern const struct condition_type interface_condition;
extern const struct condition_type dependency_condition;
extern const struct condition_type capacity_condition;
extern const struct condition_type leak_condition;
extern const struct condition_type anomaly_condition;
extern const struct condition_type log_condition;
extern const struct condition_type crash_condition;
extern const struct condition_type hung_condition;
extern const struct condition_type probe_condition;

/* Globs: "" matches everything. A cgroup glob also names everything below: "/ci.slice" is the slice and its services. */
bool glob_matches(const char *glob, const char *text, int flags);
bool glob_matches_path(const char *glob, const char *path);

void node_target(const char *name, target_visitor *each, void *context);
/* Every cgroup with members that the condition's `cgroup` and `unit` name. */
void group_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context);
void process_target(const struct process *process, struct target *ret);
/* Whether `comm`, `cgroup` and `unit` name this very process. */
bool process_selects(const struct condition *condition, const struct snapshot *snap, const struct target *target);

void reading_known(struct reading *ret, double value);
void reading_unknown(struct reading *ret, const char *why);
/* `part` of `whole` in percent; unknown where one of them is, or where there is nothing to have a part of. */
void reading_percent(struct reading *ret, uint64_t part, uint64_t whole, const char *why);

#endif
