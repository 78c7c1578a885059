/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from YAML into include/policy.h's structs, by the tables in policy_table.c. What no single value shows is policy_check.c's. */
#include "core/pages.h"
#include "core/policy_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- when -------------------------------------------------------------------------------------------------------------- */

static bool is_measure(const struct setting *setting)
{
	return setting->type == VALUE_THRESHOLD || setting->tag;
}

/* Exactly one measure a leaf: with two, nobody could say which of them an incident is about. */
static void take_measure(struct reader *reader, const struct section *section, uint64_t given, const struct yaml_item *item,
			 struct condition *condition)
{
	static const enum measure only[CONDITION_KIND_COUNT] = { [CONDITION_CRASH] = MEASURE_CRASHES, [CONDITION_HUNG] = MEASURE_HUNG };
	const struct setting *found = NULL;
	char names[128] = "";
	size_t used = 0;

	condition->measure = only[condition->kind];
	if (condition->measure)
		return;

	for (uint32_t i = 0; i < section->count; i++) {
		const struct setting *setting = &section->settings[i];
		if (!is_measure(setting))
			continue;
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", setting->name);
		if (!(given >> i & 1))
			continue;
		if (found) {
			reader_fault(reader, yaml_member(item, setting->name)->key,
				     "%s: one condition has one measure, and %s is one already; put both in an all: or any: list",
				     setting->name, found->name);
			return;
		}
		found = setting;
	}
	if (!found) {
		reader_fault(reader, item, "%s: nothing to compare; give one of %s", section->name, names);
		return;
	}
	condition->measure = (enum measure)found->tag;
}

/* Only stars say "any": for paths a plain `*` would never match, since it does not cross a slash. */
static void widen_stars(char *glob)
{
	if (glob[strspn(glob, "*")] == 0)
		glob[0] = 0;
}

static void read_leaf(struct reader *reader, const struct yaml_item *item, enum condition_kind kind, struct condition *condition)
{
	const struct section *section = &condition_sections[kind];
	condition->kind = kind;
	section_defaults(section, condition);
	condition->probe.status_from = 200;
	condition->probe.status_to = 399;
	uint64_t given = section_read(reader, section, item, condition);
	if (item->kind != ITEM_MAPPING)
		return;
	take_measure(reader, section, given, item, condition);
	widen_stars(condition->mountpoint);
	widen_stars(condition->capacity);
	widen_stars(condition->comm);
	widen_stars(condition->cgroup);
	if (kind != CONDITION_UNIT && kind != CONDITION_PROBE)
		widen_stars(condition->unit);
	widen_stars(condition->name);
	if (!yaml_member(item, "timeout") && condition->probe.timeout_ns > condition->probe.every_ns)
		condition->probe.timeout_ns = condition->probe.every_ns;
	policy_check_condition(reader, item, condition);
	policy_finish_liveness(reader, item, condition);
}

static uint32_t read_predicate(struct reader *reader, const struct yaml_item *item, struct policy *policy);

static void read_children(struct reader *reader, const struct yaml_item *list, struct policy *policy, uint32_t parent)
{
	if (list->kind != ITEM_LIST || !list->first) {
		reader_fault(reader, list, "%s: a list of conditions is wanted, each on its own line with a dash", list->key->text);
		return;
	}

	uint32_t last = 0;
	for (const struct yaml_item *member = list->first; member; member = member->next) {
		uint32_t child = read_predicate(reader, member, policy);
		if (!child)
			continue;
		if (last)
			policy->when[last].next_sibling = (uint16_t)child;
		else
			policy->when[parent].first_child = (uint16_t)child;
		last = child;
	}
}

/* A second word beside a condition: most often a `for` that slipped out of the braces. */
static void refuse_second_word(struct reader *reader, const struct yaml_item *first, const struct yaml_item *second)
{
	const struct setting *word = section_find(&predicate_section, first->key->text);
	const char *name = second->key->text;
	if (word && word->tag < CONDITION_KIND_COUNT && section_find(&condition_sections[word->tag], name))
		reader_fault(reader, second->key, "%s belongs inside %s: {...}", name, word->name);
	else if (section_find(&predicate_section, name))
		reader_fault(reader, second->key, "%s: two conditions side by side; put them in an all: or any: list", name);
	else
		section_unknown_key(reader, &predicate_section, second->key);
}

/* The index of the node; 0 for the root, and for one that could not be read. */
static uint32_t read_predicate(struct reader *reader, const struct yaml_item *item, struct policy *policy)
{
	if (item->kind != ITEM_MAPPING || !item->first) {
		reader_fault(reader, item,
			     "when: a condition is wanted, such as filesystem: {used_percent: 90}, or all: or any: with a list of them");
		return 0;
	}
	if (policy->when_count == MAX_CONDITIONS) {
		reader_fault(reader, item, "when: more than %d conditions and lists; split the policy", MAX_CONDITIONS);
		return 0;
	}

	const struct yaml_item *word = item->first;
	const struct setting *known = section_find(&predicate_section, word->key->text);
	if (word->next)
		refuse_second_word(reader, word, word->next);
	if (!known) {
		section_unknown_key(reader, &predicate_section, word->key);
		return 0;
	}

	uint32_t index = policy->when_count++;
	if (strcmp(known->name, "all") == 0 || strcmp(known->name, "any") == 0) {
		policy->when[index].op = known->name[1] == 'l' ? PREDICATE_ALL : PREDICATE_ANY;
		read_children(reader, word, policy, index);
	} else {
		policy->when[index].op = PREDICATE_LEAF;
		read_leaf(reader, word, (enum condition_kind)known->tag, &policy->when[index].condition);
	}
	return index;
}

void policy_read_when(struct reader *reader, const struct yaml_item *item, void *policy)
{
	read_predicate(reader, item, policy);
}

void policy_read_command(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct probe *probe = base;
	uint32_t count = 0;
	const uint32_t room = sizeof(probe->argv) / sizeof(probe->argv[0]) - 1; /* the last stays empty: it ends the list */

	if (item->kind != ITEM_LIST || !item->first) {
		reader_fault(reader, item,
			     "command: a list is wanted, such as [/usr/bin/pg_isready, -q]; there is no shell to split a line");
		return;
	}
	for (const struct yaml_item *word = item->first; word; word = word->next, count++) {
		if (word->kind != ITEM_SCALAR || !word->text[0] || strlen(word->text) >= PATH_LEN) {
			reader_fault(reader, word, "command: each word is a text of 1 to %d bytes", PATH_LEN - 1);
			return;
		}
		if (count == room) {
			reader_fault(reader, word, "command: more than %u words; put them in a script", room);
			return;
		}
		snprintf(probe->argv[count], PATH_LEN, "%s", word->text);
	}
	const char *problem = path_problem(probe->argv[0]);
	if (problem)
		reader_fault(reader, item->first, "command: the program is %s", problem);
}

void policy_read_probe(struct reader *reader, const struct yaml_item *item, void *condition)
{
	struct probe *probe = &((struct condition *)condition)->probe;
	uint64_t given = section_read(reader, &probe_section, item, probe);
	if (item->kind != ITEM_MAPPING)
		return;
	if (!given || (given & (given - 1))) {
		reader_fault(reader, item, "probe: exactly one of tcp, http and command is wanted");
		return;
	}
	for (uint32_t i = 0; i < probe_section.count; i++)
		if (given >> i & 1)
			probe->type = (enum probe_type)probe_section.settings[i].tag;
}

/* --- do ---------------------------------------------------------------------------------------------------------------- */

void policy_read_remedy(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct remedy_step *step = base;
	const struct remedy *remedy = remedy_by_name(item->key->text);
	step->remedy = remedy->id;
	step->line = item->key->line;
	memset(&step->args, 0, sizeof(step->args));
	remedy_args_defaults(step->remedy, &step->args);
	uint64_t given = section_read(reader, remedy->arguments, item, &step->args);
	if (item->kind == ITEM_MAPPING)
		policy_check_step(reader, item, step, given);
}

void policy_read_expect(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct remedy_step *step = base;
	section_read(reader, &expect_section, item, &step->expect);
}

/* What is expected must be something that this remedy can bring. */
static void check_expectation(struct reader *reader, const struct yaml_item *expect, enum remedy_id remedy)
{
	uint32_t effects = 0;
	if (remedies[remedy]->tells) {
		reader_fault(reader, expect, "expect: nothing is to be expected of %s: it tells, and mends nothing; leave this out", remedies[remedy]->name);
		return;
	}
	for (const struct yaml_item *member = expect->first; member; member = member->next) {
		const struct setting *setting = section_find(&expect_section, member->key->text);
		if (!setting || setting->required)
			continue;
		effects++;
		if (!(setting->tag & (remedies[remedy]->effects | EFFECT_CLEARS)))
			reader_fault(reader, member->key, "expect: %s does not bring about %s", remedies[remedy]->name, setting->name);
	}
	if (!effects)
		reader_fault(reader, expect, "expect: no effect; say what must be seen, such as %s", remedies[remedy]->expect_example);
}

/* The words of a step: its own, and the name of every remedy. */
static uint64_t read_step_words(struct reader *reader, const struct yaml_item *item, struct remedy_step *step)
{
	struct setting words[REMEDY_COUNT + 8] = { 0 };
	uint32_t own = step_section.count;
	memcpy(words, step_section.settings, own * sizeof(words[0]));
	for (uint32_t i = 0; i < REMEDY_COUNT; i++)
		words[own + i] = (struct setting){ .name = remedies[i]->name, .type = VALUE_CUSTOM, .read = policy_read_remedy };
	const struct section section = { .name = step_section.name, .help = step_section.help, .settings = words, .count = own + REMEDY_COUNT };
	return section_read(reader, &section, item, step) >> own;
}

/* What only tells is done in a moment or not at all. */
#define TELL_NS (10 * NSEC_PER_SEC)

static void read_step(struct reader *reader, const struct yaml_item *item, struct remedy_step *step)
{
	*step = (struct remedy_step){ .remedy = REMEDY_COUNT };
	effect_clear(&step->expect);

	uint64_t given = read_step_words(reader, item, step);
	if (item->kind != ITEM_MAPPING)
		return;
	const struct yaml_item *expect = yaml_member(item, "expect");
	if (!given || (given & (given - 1)))
		reader_fault(reader, item, "do: each step is exactly one remedy, with its expect beside it; `nodemend remedies` lists them");
	else if (!expect && remedies[step->remedy]->tells)
		step->expect.within_ns = TELL_NS;
	else if (!expect)
		reader_fault(reader, item,
			     "do: expect is missing, and without an expectation nothing is done; write what must be seen and by when, such "
			     "as %s",
			     remedies[step->remedy]->expect_example);
	else if (expect->kind == ITEM_MAPPING)
		check_expectation(reader, expect, step->remedy);
}

void policy_read_do(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct policy *policy = base;
	if (item->kind != ITEM_LIST) {
		reader_fault(reader, item, "do: a list of steps is wanted, each with a dash");
		return;
	}
	for (const struct yaml_item *member = item->first; member; member = member->next) {
		if (policy->step_count == MAX_STEPS) {
			reader_fault(reader, member, "do: more than %d steps", MAX_STEPS);
			return;
		}
		read_step(reader, member, &policy->steps[policy->step_count++]);
	}
}

void remedy_args_defaults(enum remedy_id remedy, union remedy_args *ret)
{
	section_defaults(remedies[remedy]->arguments, ret);
}

int remedy_args_set(enum remedy_id remedy, const char *name, const char *text, union remedy_args *args, uint64_t *given, char why[VALUE_WHY_LEN])
{
	const struct section *arguments = remedies[remedy]->arguments;
	const struct setting *setting = section_find(arguments, name);
	char shown[CONFIG_SHOWN_LEN];
	if (setting) {
		*given |= 1ULL << (setting - arguments->settings);
		return value_set_text(setting, text, args, why);
	}
	snprintf(why, VALUE_WHY_LEN, "%s has no argument %s", remedies[remedy]->name, config_shown(shown, name));
	return -EINVAL;
}

/* --- policies ---------------------------------------------------------------------------------------------------------- */

static void check_name(struct reader *reader, const struct yaml_item *item, const struct config *config, const struct policy *policy)
{
	const struct yaml_item *name = yaml_member(item, "name");
	if (!name || !policy->name[0])
		return;
	if (policy->name[strspn(policy->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] || policy->name[0] == '-')
		reader_fault(reader, name, "name: only a to z, 0 to 9 and -, and not - first: it becomes a label in metrics");
	for (const struct policy *other = config->policies; other < policy; other++)
		if (strcmp(other->name, policy->name) == 0)
			reader_fault(reader, name, "name: %s is there already, %s line %u; names are unique", policy->name, other->file,
				     other->line);
}

void policies_read(struct reader *reader, const struct yaml_item *list, struct config *config, bool shipped)
{
	if (list->kind != ITEM_LIST) {
		reader_fault(reader, list, "policies: a list of policies is wanted, each with a dash; [] for none");
		return;
	}
	for (const struct yaml_item *item = list->first; item; item = item->next) {
		if (config->policy_count == MAX_POLICIES) {
			reader_fault(reader, item, "policies: more than %d", MAX_POLICIES);
			return;
		}
		struct policy *policy = &config->policies[config->policy_count];
		pages_clear(policy, sizeof(*policy));
		section_defaults(&policy_section, policy);
		snprintf(policy->file, sizeof(policy->file), "%s", reader->file);
		policy->line = item->line;
		policy->shipped = shipped;
		section_read(reader, &policy_section, item, policy);
		if (item->kind == ITEM_MAPPING) {
			check_name(reader, item, config, policy);
			policy_finish_steps(policy);
			policy_check(reader, item, policy);
			policy_check_logs(reader, item, config, policy);
		}
		config->policy_count++;
	}
}
