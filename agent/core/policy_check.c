/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no single value of a policy shows: rules between values, and what would be dangerous although it is well-formed. Each
 * rule is one sentence to the user and one line in docs/policies.md.
 */
#include "core/policy_table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/unit_name.h"

/* --- conditions -------------------------------------------------------------------------------------------------------- */

static void check_selectors(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	if (condition->comm[0] && strlen(condition->comm) >= COMM_LEN && !strpbrk(condition->comm, "*?["))
		reader_fault(reader, yaml_member(item, "comm"),
			     "comm: the kernel keeps 15 bytes of a name, so this never matches; cut it to %.15s", condition->comm);
	if (condition->cgroup[0] && condition->cgroup[0] != '/' && !strpbrk(condition->cgroup, "*?["))
		reader_fault(reader, yaml_member(item, "cgroup"),
			     "cgroup: a path below the hierarchy begins with /, such as /system.slice/x.service");
	if (condition->name[0] && condition->kind == CONDITION_DEPENDENCY && !strpbrk(condition->name, ":*?["))
		reader_fault(reader, yaml_member(item, "peer"),
			     "peer: written ADDRESS:PORT, [ADDRESS]:PORT or dns:ADDRESS; addresses are numeric, and any port is ADDRESS:*");
	if (condition->name[0] && condition->kind == CONDITION_INTERFACE && strlen(condition->name) > 15 && !strpbrk(condition->name, "*?["))
		reader_fault(reader, yaml_member(item, "name"), "name: the kernel's names of interfaces have at most 15 bytes, so this never matches");
}

static void check_psi(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	const struct yaml_item *window = yaml_member(item, "window"), *cgroup = yaml_member(item, "cgroup");
	if (cgroup && !condition->cgroup[0])
		reader_fault(reader, cgroup, "cgroup: every cgroup is /*; without this key it is the node's pressure");
	if (condition->cgroup[0] && condition->psi_window_s != 10 && condition->psi_window_s != TRIGGER_WINDOW_S)
		reader_fault(reader, window ? window : item, "window: of a cgroup only 10s and 2s are known");
	if (condition->psi_window_s == TRIGGER_WINDOW_S && condition->threshold.raise < 0.1)
		reader_fault(reader, window, "window: the kernel watches 2s for a share of at least 0.1%%");
}

/* One target a process has one measure, the node's another. */
static void check_files(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	static const char *const selectors[] = { "comm", "cgroup", "unit" };
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]) && condition->measure == MEASURE_USED_PERCENT; i++)
		if (yaml_member(item, selectors[i]))
			reader_fault(reader, yaml_member(item, selectors[i])->key, "%s selects processes, and used_percent is the node's; "
				     "write process_used_percent", selectors[i]);
}

static void check_process(struct reader *reader, const struct yaml_item *item, const struct condition *condition)
{
	bool any_cgroup = !condition->cgroup[0] || strcmp(condition->cgroup, "/*") == 0 || strcmp(condition->cgroup, "/") == 0;
	if (!condition->comm[0] && !condition->unit[0] && any_cgroup && condition->measure != MEASURE_ZOMBIES)
		reader_fault(reader, item, "process: any process at all; select some by comm, cgroup or unit");
	if (condition->by_group && condition->measure == MEASURE_COUNT_BELOW)
		reader_fault(reader, item, "process: running counts processes; leave out by: cgroup");
	if (condition->by_group && condition->measure == MEASURE_ZOMBIES)
		reader_fault(reader, item, "process: zombies are one process' children; leave out by: cgroup");
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
	if (condition->of.samples && condition->for_ns)
		reader_fault(reader, yaml_member(item, "of"), "of: for asks for every sample and of for most of them; give one of the two");
	check_selectors(reader, item, condition);
	if (condition->kind == CONDITION_PSI)
		check_psi(reader, item, condition);
	if (condition->kind == CONDITION_FILES)
		check_files(reader, item, condition);
	if (condition->kind == CONDITION_PROCESS)
		check_process(reader, item, condition);
	if (condition->kind == CONDITION_UNIT)
		check_unit(reader, item, condition);
	if (condition->kind == CONDITION_CAPACITY && condition->resources && capacity_kind(condition->resources) == KIND_COUNT)
		reader_fault(reader, yaml_member(item, "resource"),
			     "resource: these make different kinds of incidents; a policy for each: disks, memory, pids, files, conntrack");
	if (condition->kind == CONDITION_ANOMALY && condition->cgroup[0] && !condition->by_group)
		reader_fault(reader, yaml_member(item, "cgroup"), "cgroup: the scope is the node; write scope: cgroup beside it");
	if (condition->kind == CONDITION_FILESYSTEM && condition->mountpoint[0] && condition->mountpoint[0] != '/')
		reader_fault(reader, yaml_member(item, "mountpoint"), "mountpoint: not an absolute path or glob: begin with /");
}

/* --- steps ------------------------------------------------------------------------------------------------------------- */

struct written {
	struct reader *reader;
	const struct yaml_item *item;
};

static void fault_in_policy(void *context, const char *argument, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fault_in_policy(void *context, const char *argument, const char *format, ...)
{
	const struct written *written = context;
	const struct yaml_item *at = yaml_member(written->item, argument);
	char why[VALUE_WHY_LEN];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	reader_fault(written->reader, at ? at : written->item, "%s: %s", argument, why);
}

void policy_check_step(struct reader *reader, const struct yaml_item *item, const struct remedy_step *step, uint64_t given)
{
	struct written written = { reader, item };
	if (remedies[step->remedy]->vet)
		remedies[step->remedy]->vet(&step->args, given, fault_in_policy, &written);
}

/* The first fault is enough for one who types them. */
static void fault_by_hand(void *context, const char *argument, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fault_by_hand(void *context, const char *argument, const char *format, ...)
{
	char *why = context;
	if (why[0])
		return;
	int used = snprintf(why, VALUE_WHY_LEN, "%s: ", argument);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why + used, VALUE_WHY_LEN - (size_t)used, format, arguments);
	va_end(arguments);
}

int remedy_args_check(enum remedy_id remedy, const union remedy_args *args, uint64_t given, char why[VALUE_WHY_LEN])
{
	why[0] = '\0';
	if (remedies[remedy]->vet)
		remedies[remedy]->vet(args, given, fault_by_hand, why);
	return why[0] ? -EINVAL : 0;
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

/* What makes one process or cgroup the cause: without it, terminate would have nobody to aim at. `writers`: whoever fills a filesystem, too. */
static bool names_a_consumer(const struct policy *policy, bool writers)
{
	for (uint32_t i = 0; i < policy->when_count; i++) {
		const struct predicate *predicate = &policy->when[i];
		enum condition_kind kind = predicate->condition.kind;
		bool names = kind == CONDITION_PROCESS || kind == CONDITION_CGROUP || kind == CONDITION_MEMORY || kind == CONDITION_CPU ||
			     kind == CONDITION_PIDS || kind == CONDITION_PSI;
		names |= writers && (kind == CONDITION_FILESYSTEM || kind == CONDITION_CAPACITY);
		if (predicate->op == PREDICATE_LEAF && names && predicate->condition.measure != MEASURE_COUNT_BELOW)
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

static bool is_kind(const char *name)
{
	for (int kind = 0; kind < KIND_COUNT; kind++)
		if (strcmp(incident_kind_names[kind], name) == 0)
			return true;
	return false;
}

/* After all files: a policy may name one of a later file. An alert that cannot come would never hold anything back, and nobody would know. */
void policies_check_alerts(const struct config *config, struct config_faults *faults)
{
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		const char *alert = policy->blocked_by.alert;
		bool known = !alert[0] || is_kind(alert);
		for (uint32_t j = 0; j < config->policy_count && !known; j++)
			known = i != j && strcmp(config->policies[j].name, alert) == 0;
		char shown[CONFIG_SHOWN_LEN];
		if (!known)
			config_fault(faults, policy->file, policy->line, 0, "blocked_by: alert: %s is neither a kind of incident nor another policy",
				     config_shown(shown, alert));
	}
}

static void check_blockers(struct reader *reader, const struct yaml_item *item, const struct blockers *blockers)
{
	const char *problem = blockers->unit[0] ? unit_name_problem(blockers->unit) : NULL;
	if (problem)
		reader_fault(reader, yaml_member(item, "unit"), "unit: %s", problem);
	if (blockers->unit_states && !blockers->unit[0])
		reader_fault(reader, yaml_member(item, "unit_state"), "unit_state: of which unit? give unit beside it");
}

void policy_check(struct reader *reader, const struct yaml_item *item, const struct policy *policy)
{
	const struct yaml_item *steps = yaml_member(item, "do");
	const struct yaml_item *blockers = yaml_member(item, "blocked_by");
	check_limits(reader, item, policy);
	if (blockers && blockers->kind == ITEM_MAPPING)
		check_blockers(reader, blockers, &policy->blocked_by);
	policy_check_aims(reader, steps, policy);
	if (!policy->when_count)
		return;
	for (uint32_t i = 0; i < policy->step_count; i++) {
		if (policy->steps[i].remedy >= REMEDY_COUNT)
			continue; /* a step that could not be read, as was said */
		const struct remedy *remedy = remedies[policy->steps[i].remedy];
		if (remedy->aim == AIM_CAUSE && !names_a_consumer(policy, remedy->of_writers))
			reader_fault(reader, steps, "do: %s needs a process, cgroup, memory, cpu, pids%s condition in when, which says whom it may be aimed at", remedy->name,
				     remedy->of_writers ? ", psi or filesystem" : " or psi");
	}
}
