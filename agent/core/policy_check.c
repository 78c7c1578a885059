/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no single value of a policy shows: rules between values, and what would be dangerous although it is well-formed. Each
 * rule is one sentence to the user and one line in docs/policies.md.
 */
#include "core/policy_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint64_t wide_match_age_ns = 3600 * NSEC_PER_SEC;

/* --- names ------------------------------------------------------------------------------------------------------------- */

static const char *unit_suffix(const char *name)
{
	static const char *const suffixes[] = {
		".automount", ".device", ".mount", ".path", ".scope", ".service", ".slice", ".socket", ".swap", ".target", ".timer",
	};
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && dot != name && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(suffixes[i], dot) == 0)
			return suffixes[i];
	return NULL;
}

static const char *unit_name_problem(const char *name)
{
	if (strpbrk(name, "*?["))
		return "one unit by its full name is wanted, no glob";
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\-@")])
		return "a character that no unit's name has";
	if (!unit_suffix(name))
		return "no unit's suffix; write the full name, such as nginx.service";
	return NULL;
}

/* A slice, a scope or a target is many things at once, and a device is nobody's to restart. */
static const char *restart_problem(const char *name)
{
	const char *problem = unit_name_problem(name);
	if (problem)
		return problem;
	const char *suffix = unit_suffix(name);
	if (strcmp(suffix, ".slice") == 0 || strcmp(suffix, ".scope") == 0 || strcmp(suffix, ".target") == 0 ||
	    strcmp(suffix, ".device") == 0)
		return "only one service, socket, timer, path, mount or swap is restarted, not a group of them or a device";
	return NULL;
}

static const char *root_problem(const char *root)
{
	const char *problem = path_problem(root);
	return problem ? problem : protected_root(root);
}

/* A pattern without a letter of its own matches everything. */
static const char *match_problem(const char *pattern, bool may_be_wide)
{
	if (strchr(pattern, '/'))
		return "a / never matches: patterns are for the file's name; set the directory by root";
	if (pattern[strspn(pattern, "*?")] == 0 && !may_be_wide)
		return "this matches every file; allowed only beside a min_age of 1h or more that is written out";
	return NULL;
}

/* --- conditions -------------------------------------------------------------------------------------------------------- */

static void check_process(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	bool any_cgroup = !condition->cgroup[0] || strcmp(condition->cgroup, "/*") == 0 || strcmp(condition->cgroup, "/") == 0;
	if (!condition->comm[0] && !condition->unit[0] && any_cgroup)
		reader_fault(reader, item, "process: any process at all; select some by comm, cgroup or unit");
	if (condition->comm[0] && strlen(condition->comm) >= COMM_LEN && !strpbrk(condition->comm, "*?["))
		reader_fault(reader, yaml_member(item, "comm"),
			     "comm: the kernel keeps 15 bytes of a name, so this never matches; cut it to %.15s", condition->comm);
	if (condition->cgroup[0] && condition->cgroup[0] != '/' && !strpbrk(condition->cgroup, "*?["))
		reader_fault(reader, yaml_member(item, "cgroup"),
			     "cgroup: a path below the hierarchy begins with /, such as /system.slice/x.service");
	if (condition->by_group && condition->measure == MEASURE_COUNT_BELOW)
		reader_fault(reader, item, "process: running counts processes; leave out by: cgroup");
	if (condition->by_group && condition->comm[0])
		reader_fault(reader, yaml_member(item, "comm"), "comm: by: cgroup speaks of whole cgroups; select them by cgroup or unit");
}

static void check_unit(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	static const char *const probe_words[] = { "timeout", "every", "failures" };
	const char *problem = condition->unit[0] ? unit_name_problem(condition->unit) : NULL;
	if (problem)
		reader_fault(reader, yaml_member(item, "name"), "name: %s", problem);
	for (size_t i = 0; i < sizeof(probe_words) / sizeof(probe_words[0]); i++) {
		const struct yaml_item *word = yaml_member(item, probe_words[i]);
		if (word && !yaml_member(item, "probe"))
			reader_fault(reader, word->key, "%s says how to probe, and there is no probe here", probe_words[i]);
	}
	if (condition->probe.timeout_ns > condition->probe.every_ns)
		reader_fault(reader, yaml_member(item, "timeout"), "timeout: longer than every; one probe must end before the next begins");
}

void policy_check_condition(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	if (condition->kind == CONDITION_PROCESS)
		check_process(reader, item, condition);
	if (condition->kind == CONDITION_UNIT)
		check_unit(reader, item, condition);
	if (condition->kind == CONDITION_FILESYSTEM && condition->mountpoint[0] && condition->mountpoint[0] != '/')
		reader_fault(reader, yaml_member(item, "mountpoint"), "mountpoint: not an absolute path or glob: begin with /");
}

/* --- steps ------------------------------------------------------------------------------------------------------------- */

static void check_clean_files(struct reader *reader, const struct yaml_item *item, const struct clean_files_args *args)
{
	char shown[CONFIG_SHOWN_LEN];
	const struct yaml_item *root = yaml_member(item, "root"), *match = yaml_member(item, "match");
	const char *problem = args->root[0] ? root_problem(args->root) : NULL;
	bool may_be_wide = yaml_member(item, "min_age") && args->min_age_ns >= wide_match_age_ns;

	if (problem)
		reader_fault(reader, root, "root: %s: %s", config_shown(shown, args->root), problem);
	if (match && match->kind == ITEM_LIST && !match->first)
		reader_fault(reader, match, "match: an empty list matches nothing; name the files that may go");
	for (uint32_t i = 0; i < args->match_count; i++) {
		problem = match_problem(args->match[i], may_be_wide);
		if (problem)
			reader_fault(reader, match, "match: %s: %s", config_shown(shown, args->match[i]), problem);
	}
}

void policy_check_step(struct reader *reader, const struct yaml_item *item, const struct remedy_step *step)
{
	if (step->remedy == REMEDY_CLEAN_FILES)
		check_clean_files(reader, item, &step->args.clean_files);
	if (step->remedy == REMEDY_RESTART_UNIT && step->args.restart_unit.unit[0]) {
		const char *problem = restart_problem(step->args.restart_unit.unit);
		if (problem)
			reader_fault(reader, yaml_member(item, "unit"), "unit: %s", problem);
	}
}

int remedy_args_check(enum remedy_id remedy, const union remedy_args *args, bool min_age_given, char why[VALUE_WHY_LEN])
{
	const char *problem = NULL;
	if (remedy == REMEDY_CLEAN_FILES) {
		const struct clean_files_args *clean = &args->clean_files;
		problem = root_problem(clean->root);
		if (!problem && !clean->match_count)
			problem = "match: name the files that may go";
		for (uint32_t i = 0; i < clean->match_count && !problem; i++)
			problem = match_problem(clean->match[i], min_age_given && clean->min_age_ns >= wide_match_age_ns);
	} else if (remedy == REMEDY_RESTART_UNIT) {
		problem = restart_problem(args->restart_unit.unit);
	}
	if (!problem)
		return 0;
	snprintf(why, VALUE_WHY_LEN, "%s", problem);
	return -EINVAL;
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

/* What makes one process or cgroup the cause: without it, terminate would have nobody to aim at. */
static bool names_a_consumer(const struct policy *policy)
{
	for (uint32_t i = 0; i < policy->when_count; i++) {
		const struct predicate *predicate = &policy->when[i];
		enum condition_kind kind = predicate->condition.kind;
		if (predicate->op == PREDICATE_LEAF &&
		    (kind == CONDITION_PROCESS || kind == CONDITION_MEMORY || kind == CONDITION_CPU || kind == CONDITION_PSI) &&
		    predicate->condition.measure != MEASURE_COUNT_BELOW)
			return true;
	}
	return false;
}

static void check_limits(struct reader *reader, const struct yaml_item *item, const struct policy *policy)
{
	char within_text[VALUE_TEXT_LEN];
	uint64_t longest = 0;
	for (uint32_t i = 0; i < policy->step_count; i++)
		if (policy->steps[i].expect.within_ns != UNKNOWN && policy->steps[i].expect.within_ns > longest)
			longest = policy->steps[i].expect.within_ns;

	const struct yaml_item *limits = yaml_member(item, "limits");
	const struct yaml_item *at = limits ? limits : item;
	if (policy->limits.cooldown_ns < longest)
		reader_fault(reader, at,
			     "limits: the cooldown is shorter than an expectation's within (%s): an act would be judged while the next "
			     "runs",
			     value_format(VALUE_DURATION, (double)longest, within_text));
	const struct budget *target = &policy->limits.per_target, *node = &policy->limits.per_node;
	if (target->count > node->count && target->per_ns <= node->per_ns)
		reader_fault(reader, at,
			     "limits: per_target allows more acts (%u) than per_node (%u) in no longer a time: it could never be used up",
			     target->count, node->count);
}

void policy_check(struct reader *reader, const struct yaml_item *item, const struct policy *policy)
{
	const struct yaml_item *steps = yaml_member(item, "do");
	check_limits(reader, item, policy);
	for (uint32_t i = 0; i < policy->step_count; i++)
		if (policy->steps[i].remedy == REMEDY_TERMINATE && policy->when_count && !names_a_consumer(policy))
			reader_fault(reader, steps,
				     "do: terminate needs a process, memory, cpu or psi condition in when, which says whom it may end");
}
