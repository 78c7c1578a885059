/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps of a policy have to do with its condition: what they take from it where they do not say, and what they need of it. */
#include <string.h>

#include "core/policy_table.h"

void policy_read_ready(struct reader *reader, const struct yaml_item *item, void *args)
{
	struct unit_args *unit = &((union remedy_args *)args)->unit;
	struct probe *ready = &unit->ready;
	uint64_t given = section_read(reader, &ready_section, item, ready), kinds = 0;
	unit->ready_said = true;
	if (item->kind != ITEM_MAPPING)
		return;
	for (uint32_t i = 0; i < ready_section.count; i++) {
		if (!(given >> i & 1) || strcmp(ready_section.settings[i].name, "timeout") == 0)
			continue;
		kinds++;
		ready->type = (enum probe_type)ready_section.settings[i].tag;
	}
	if (kinds != 1)
		reader_fault(reader, item, "ready: exactly one of unit, tcp, http and command is wanted");
}

/* The unit's own probe among the conditions; NULL: nobody asks whether it answers. */
static const struct probe *probe_of_unit(const struct policy *policy, const char *unit)
{
	for (uint32_t i = 0; i < policy->when_count; i++) {
		const struct predicate *predicate = &policy->when[i];
		const struct condition *condition = &predicate->condition;
		bool asks = condition->measure == MEASURE_UNIT_PROBE || condition->kind == CONDITION_PROBE;
		if (predicate->op == PREDICATE_LEAF && asks && strcmp(condition->unit, unit) == 0)
			return &condition->probe;
	}
	return NULL;
}

/* Who restarts a service because it does not answer wants it to answer afterwards, and not to be restarted while it only takes long. */
void policy_finish_steps(struct policy *policy)
{
	for (uint32_t i = 0; i < policy->step_count; i++) {
		enum remedy_id remedy = policy->steps[i].remedy;
		struct unit_args *args = &policy->steps[i].args.unit;
		if (remedy >= REMEDY_COUNT || !section_find(remedies[remedy]->arguments, "ready"))
			continue;
		const struct probe *probe = probe_of_unit(policy, args->unit);
		if (!probe)
			continue;
		if (!args->ready_said)
			args->ready = *probe;
		if (remedy == REMEDY_RESTART_UNIT && args->only_if == RESTART_IF_UNSAID)
			args->only_if = RESTART_IF_STUCK;
	}
}

/* The first leaf names the target. A pattern in a log may name one, too. */
void policy_check_aims(struct reader *reader, const struct yaml_item *steps, const struct policy *policy)
{
	uint32_t first = 0;
	if (!policy->when_count)
		return;
	while (first < policy->when_count - 1 && policy->when[first].op != PREDICATE_LEAF)
		first++;
	enum condition_kind kind = policy->when[first].condition.kind;
	for (uint32_t i = 0; i < policy->step_count; i++)
		if (policy->steps[i].remedy == REMEDY_RESTART_INTERFACE && kind != CONDITION_INTERFACE && kind != CONDITION_LOG)
			reader_fault(reader, steps, "do: restart-interface needs an interface condition, first in when, which says which interface is meant");
}
