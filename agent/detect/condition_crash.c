/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that ended badly: so many of a kind in a time. What is about one service is one incident, however often it starts anew. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static bool crash_matches(const struct condition *condition, const struct crash *crash)
{
	bool asked = crash->signal ? crash->signal < 64 && condition->signals >> crash->signal & 1 :
				     condition->exit_codes[crash->exit_code % 256 / 64] >> (crash->exit_code % 64) & 1;
	return asked && glob_matches(condition->comm, crash->comm, 0) && glob_matches_path(condition->cgroup, crash->cgroup) &&
	       glob_matches(condition->unit, crash->unit, 0);
}

/* The unit; without one the cgroup; in the root cgroup, or one that was never known, the process itself. */
static void fill_target(const struct crash *crash, struct target *ret)
{
	*ret = (struct target){ .type = TARGET_PROCESS, .pid = crash->pid, .start_ns = crash->start_ns, .cgroup_id = crash->cgroup_id };
	snprintf(ret->name, sizeof(ret->name), "%s", crash->comm);
	if (crash->unit[0]) {
		*ret = (struct target){ .type = TARGET_UNIT };
		snprintf(ret->name, sizeof(ret->name), "%s", crash->unit);
	} else if (crash->cgroup[0] && strcmp(crash->cgroup, "/") != 0) {
		*ret = (struct target){ .type = TARGET_CGROUP, .cgroup_id = crash->cgroup_id };
		snprintf(ret->name, sizeof(ret->name), "%s", crash->cgroup);
	}
}

static bool is_about(const struct crash *crash, const struct target *target)
{
	struct target own;
	fill_target(crash, &own);
	if (own.type != target->type)
		return false;
	return own.type == TARGET_PROCESS ? own.pid == target->pid && own.start_ns == target->start_ns : strcmp(own.name, target->name) == 0;
}

static bool is_recent(const struct condition *condition, const struct snapshot *snap, const struct crash *crash)
{
	return crash->at_ns + condition->window_ns >= snap->boot_ns;
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	const struct crash_section *crashes = &snap->crashes;
	for (uint32_t i = crashes->count; i-- > 0;) {
		const struct crash *crash = &crashes->each[i];
		struct target target;
		bool told = false;
		if (!is_recent(condition, snap, crash) || !crash_matches(condition, crash))
			continue;
		fill_target(crash, &target);
		for (uint32_t j = i + 1; j < crashes->count && !told; j++)
			told = is_recent(condition, snap, &crashes->each[j]) && crash_matches(condition, &crashes->each[j]) && is_about(&crashes->each[j], &target);
		if (!told && !each(&target, context))
			return;
	}
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	for (uint32_t i = 0; i < snap->crashes.count; i++)
		if (crash_matches(condition, &snap->crashes.each[i]) && is_about(&snap->crashes.each[i], target))
			return true;
	return false;
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct crash_section *crashes = &snap->crashes;
	uint32_t count = 0;

	if (!snapshot_is_fresh(snap, crashes->measured_ns)) {
		reading_unknown(ret, "the ends of processes are not seen");
		return;
	}
	for (uint32_t i = 0; i < crashes->count; i++) {
		const struct crash *crash = &crashes->each[i];
		if (!is_recent(condition, snap, crash) || !crash_matches(condition, crash) || !is_about(crash, target))
			continue;
		count++;
		ret->evidence = crash->line;
	}
	/* After a restart of the agent those before it were not counted: too few is not known to be too few. */
	if (count < condition->times && snap->boot_ns < crashes->since_ns + condition->window_ns)
		reading_unknown(ret, "not watched for as long as the condition's time");
	else
		reading_known(ret, count);
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_PROCESS_CRASH;
}

const struct condition_type crash_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = { [MEASURE_CRASHES] = "process_crashes" },
};
