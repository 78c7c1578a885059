/* SPDX-License-Identifier: Apache-2.0 */
/* config_parse over anything: it never crashes, leaks or reads beyond the text, and what it accepts keeps the promises of policy.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

static struct config config;
static struct config_faults faults;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

/* Every index leads forward, to a node that is there: the detector's walk ends. */
static void check_tree(const struct policy *policy)
{
	require(policy->when_count > 0 && policy->when_count <= MAX_CONDITIONS);
	for (uint32_t i = 0; i < policy->when_count; i++) {
		const struct predicate *predicate = &policy->when[i];
		require(predicate->first_child < policy->when_count && (!predicate->first_child || predicate->first_child > i));
		require(predicate->next_sibling < policy->when_count && (!predicate->next_sibling || predicate->next_sibling > i));
		require((predicate->op == PREDICATE_LEAF) == !predicate->first_child);
		require(predicate->condition.kind < CONDITION_KIND_COUNT && predicate->condition.measure < MEASURE_COUNT);
	}
}

/* Levels that are given get worse in their order, and each clears on its safe side. A window of samples fits its latch. */
static void check_levels(const struct condition *condition)
{
	const struct threshold *threshold = &condition->threshold;
	int before = -1;
	for (int i = 0; i < SEVERITY_COUNT; i++) {
		double sign = threshold->above ? 1 : -1;
		if (!(threshold->graded >> i & 1))
			continue;
		require(sign * threshold->levels[i].clear <= sign * threshold->levels[i].raise);
		require(before < 0 || sign * threshold->levels[i].raise > sign * threshold->levels[before].raise);
		before = i;
	}
	require(threshold->graded < 1U << SEVERITY_COUNT && condition->of.count <= condition->of.samples &&
		condition->of.samples <= MAX_WINDOW_SAMPLES && !(condition->of.samples && condition->for_ns));
}

static void check_policy(const struct policy *policy)
{
	require(policy->name[0] && policy->mode < MODE_COUNT && policy->severity < SEVERITY_COUNT && policy->step_count <= MAX_STEPS);
	check_tree(policy);
	for (uint32_t i = 0; i < policy->when_count; i++)
		check_levels(&policy->when[i].condition);
	for (uint32_t i = 0; i < policy->step_count; i++) {
		const struct remedy_step *step = &policy->steps[i];
		require(step->remedy < REMEDY_COUNT && step->expect.within_ns != UNKNOWN &&
			policy->limits.cooldown_ns >= step->expect.within_ns);
		if (step->remedy == REMEDY_CLEAN_FILES)
			require(step->args.clean_files.match_count > 0 && step->args.clean_files.match_count <= MAX_MATCH &&
				!protected_root(step->args.clean_files.root));
	}
}

/* A name is a folder's; an address has no user in it; a route leads to an output that takes one; labels are sorted. */
static void check_outputs(const struct outputs *outputs)
{
	require(outputs->output_count <= MAX_OUTPUTS && outputs->route_count <= MAX_ROUTES && outputs->label_count <= MAX_EXTERNAL_LABELS);
	for (uint32_t i = 0; i < outputs->output_count; i++) {
		const struct output *output = &outputs->each[i];
		require(output->kind < OUTPUT_KIND_COUNT && output->name[0] && !strchr(output->name, '/') && output->name[0] != '.');
		require(output->url_count <= MAX_OUTPUT_URLS && (output->url_count > 0) != (output->url_file[0] != 0));
		require(output->header_count <= MAX_OUTPUT_HEADERS && output->to_count <= MAX_RECIPIENTS && output->every_ns <= 3600 * NSEC_PER_SEC);
	}
	for (uint32_t i = 0; i < outputs->route_count; i++)
		require(outputs->routes[i].output < outputs->output_count && outputs->each[outputs->routes[i].output].kind >= OUTPUT_ALERTMANAGER &&
			outputs->routes[i].severities && outputs->routes[i].kinds);
	for (uint32_t i = 1; i < outputs->label_count; i++)
		require(strcmp(outputs->labels[i - 1].name, outputs->labels[i].name) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* exactly as large as it is, so that one byte beyond is seen */
	require(text != NULL);
	memcpy(text, data, size);
	int err = config_parse("fuzz", text, size, &config, &faults);
	require(err ? faults.count > 0 : faults.count == 0);
	require(config.node[0] && config.policy_count <= MAX_POLICIES);
	for (uint32_t i = 0; i < config.policy_count; i++)
		check_policy(&config.policies[i]);
	check_outputs(&config.outputs);
	for (uint32_t i = 0; i < faults.count; i++)
		require(faults.each[i].text[0] && memchr(faults.each[i].text, 0, sizeof(faults.each[i].text)) &&
			config_is_plain(faults.each[i].text));
	free(text);
	return 0;
}
