/* SPDX-License-Identifier: Apache-2.0 */
/* See condition.h: the kinds, and what they share. */
#include "detect/condition_type.h"

#include <fnmatch.h>
#include <stdio.h>

static const struct condition_type *const types[CONDITION_KIND_COUNT] = {
	[CONDITION_FILESYSTEM] = &filesystem_condition,
	[CONDITION_MEMORY] = &memory_condition,
	[CONDITION_CPU] = &cpu_condition,
	[CONDITION_PSI] = &psi_condition,
	[CONDITION_PROCESS] = &process_condition,
	[CONDITION_UNIT] = &unit_condition,
	[CONDITION_CGROUP] = &cgroup_condition,
	[CONDITION_PIDS] = &pids_condition,
	[CONDITION_FILES] = &files_condition,
	[CONDITION_CONNTRACK] = &conntrack_condition,
	[CONDITION_NEIGHBOURS] = &neighbours_condition,
	[CONDITION_LISTENER] = &listener_condition,
	[CONDITION_INTERFACE] = &interface_condition,
	[CONDITION_DEPENDENCY] = &dependency_condition,
	[CONDITION_CAPACITY] = &capacity_condition,
	[CONDITION_LEAK] = &leak_condition,
	[CONDITION_ANOMALY] = &anomaly_condition,
	[CONDITION_LOG] = &log_condition,
	[CONDITION_CRASH] = &crash_condition,
	[CONDITION_HUNG] = &hung_condition,
	[CONDITION_PROBE] = &probe_condition,
};

/* FNV-1a: only to keep the keys of two long names apart. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

void target_key(const struct target *target, char ret[KEY_LEN])
{
	if (target->type == TARGET_PROCESS)
		snprintf(ret, KEY_LEN, "process:%d:%llu", target->pid, (unsigned long long)target->start_ns);
	else if (snprintf(ret, KEY_LEN, "%s:%s", target_type_names[target->type], target->name) >= KEY_LEN)
		snprintf(ret, KEY_LEN, "%s:%.80s~%016llx", target_type_names[target->type], target->name, (unsigned long long)hash_text(target->name));
}

bool glob_matches(const char *glob, const char *text, int flags)
{
	return !glob[0] || (text[0] && fnmatch(glob, text, flags) == 0);
}

bool glob_matches_path(const char *glob, const char *path)
{
	return !glob[0] || (path[0] && fnmatch(glob, path, FNM_PATHNAME | FNM_LEADING_DIR) == 0);
}

void node_target(const char *name, target_visitor *each, void *context)
{
	struct target target = { .type = TARGET_NODE };
	snprintf(target.name, sizeof(target.name), "%s", name);
	each(&target, context);
}

void group_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->path[0] || !cgroup->processes || !glob_matches_path(condition->cgroup, cgroup->path) || !glob_matches(condition->unit, cgroup->unit, 0))
			continue;
		struct target target = { .type = TARGET_CGROUP, .cgroup_id = cgroup->id };
		snprintf(target.name, sizeof(target.name), "%s", cgroup->path);
		if (!each(&target, context))
			return;
	}
}

void reading_known(struct reading *ret, double value)
{
	ret->state = READING_KNOWN;
	ret->value = value;
	ret->confidence_permille = 1000;
}

void reading_unknown(struct reading *ret, const char *why)
{
	ret->state = READING_UNKNOWN;
	ret->why = why;
}

void reading_percent(struct reading *ret, uint64_t part, uint64_t whole, const char *why)
{
	if (part == UNKNOWN || whole == UNKNOWN || whole == 0)
		reading_unknown(ret, why);
	else
		reading_known(ret, 100.0 * (double)part / (double)whole);
}

/* --- by kind ----------------------------------------------------------------------------------------------------------- */

void condition_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	types[condition->kind]->targets(condition, snap, each, context);
}

bool condition_selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	const struct condition_type *type = types[condition->kind];
	return type->selects && type->selects(condition, snap, target);
}

void condition_read(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	ret->state = READING_UNKNOWN;
	ret->value = 0;
	ret->exhausted_in_ns = UNKNOWN;
	ret->confidence_permille = 0;
	ret->why = "";
	ret->detail[0] = '\0';
	ret->evidence = NULL;
	types[condition->kind]->measure(condition, snap, target, ret);
}

enum incident_kind condition_incident_kind(const struct condition *condition)
{
	return types[condition->kind]->kind(condition);
}

uint64_t condition_lag_ns(const struct condition *condition)
{
	const struct condition_type *type = types[condition->kind];
	return type->lag_ns ? type->lag_ns(condition) : 0;
}

bool condition_runs_away(const struct condition *condition)
{
	return types[condition->kind]->runs_away;
}

const char *condition_nobody(const struct condition *condition)
{
	return types[condition->kind]->nobody;
}

const char *condition_metric(const struct condition *condition)
{
	const char *name = types[condition->kind]->metrics[condition->measure];
	return name ? name : "unknown";
}
