/* SPDX-License-Identifier: Apache-2.0 */
/* The governor alone: no clock, no kernel; a made-up node answers each step with another cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "govern/governor.h"

#define EVERY (10 * NSEC_PER_SEC)
enum { MS = 1000000 }; /* of processor time a second: a thousandth of a processor */

/* A collector's cost at each depth, in thousandths of a processor; 0s: it cannot be adjusted. */
struct load {
	enum collector_id id;
	uint32_t at[DEPTH_STEPS];
};

struct node {
	struct governor governor;
	struct governor_verdict verdict;
	struct config *config;
	struct snapshot *snap;
	struct load loads[4];
	uint32_t load_count;
	double factor;                 /* of all their cost: the weather */
	uint64_t now;
	uint32_t downs, ups;
};

static struct node *node_new(double budget_percent)
{
	struct node *node = calloc(1, sizeof(*node));
	node->config = calloc(1, sizeof(*node->config));
	node->snap = calloc(1, sizeof(*node->snap));
	node->config->budget_cpu_percent = budget_percent;
	node->config->measure_every_ns = EVERY;
	node->config->deep_for_ns = 60 * NSEC_PER_SEC;
	node->snap->governor.processors = 2;
	node->snap->governor.budget_rate = (uint64_t)(budget_percent / 100 * 2 * NSEC_PER_SEC);
	node->snap->governor.memory_budget_bytes = 64 << 20;
	node->factor = 1;
	node->now = 1000 * NSEC_PER_SEC;
	governor_init(&node->governor);
	return node;
}

static void node_free(struct node *node)
{
	free(node->config);
	free(node->snap);
	free(node);
}

static void node_load(struct node *node, enum collector_id id, uint32_t counts, uint32_t histograms, uint32_t deep)
{
	node->loads[node->load_count++] = (struct load){ .id = id, .at = { 0, counts, histograms, deep } };
	node->snap->collectors[id].adjustable = true;
	node->snap->collectors[id].depth = DEPTH_HISTOGRAMS;
}

/* A policy that reads filesystems, and so fswrite. */
static void node_policy(struct node *node, enum condition_kind kind)
{
	struct policy *policy = &node->config->policies[node->config->policy_count++];
	policy->when_count = 2;
	policy->when[0].op = PREDICATE_ANY;
	policy->when[1].op = PREDICATE_LEAF;
	policy->when[1].condition.kind = kind;
}

static void decide(struct node *node)
{
	governor_decide(&node->governor, node->snap, node->config, node->now, &node->verdict);
	for (uint32_t i = 0; i < node->load_count; i++)
		node->snap->collectors[node->loads[i].id].depth = node->verdict.wanted[node->loads[i].id];
	if (node->verdict.stepped && node->verdict.to < node->verdict.from)
		node->downs++;
	else if (node->verdict.stepped)
		node->ups++;
}

/* The cost as it is at the depths of now, and what the governor says to it. */
static void window(struct node *node)
{
	struct governor_section *cost = &node->snap->governor;
	node->now += EVERY;
	cost->measured_ns = node->now;
	cost->windows++;
	cost->kernel_rate = 0;
	for (uint32_t i = 0; i < node->load_count; i++) {
		const struct load *load = &node->loads[i];
		uint64_t rate = (uint64_t)(node->factor * load->at[node->snap->collectors[load->id].depth] * MS);
		cost->each[load->id].kernel_rate = rate;
		cost->kernel_rate += rate;
	}
	decide(node);
}

static void windows(struct node *node, uint32_t count)
{
	while (count--)
		window(node);
}

static uint8_t depth_of(const struct node *node, enum collector_id id)
{
	return node->snap->collectors[id].depth;
}

/* --- steps ------------------------------------------------------------------------------------------------------------ */

static void the_dearest_goes_first_one_step_at_a_time(void **state)
{
	struct node *node = node_new(1); /* 20 thousandths of a processor on two */
	node_load(node, COLLECTOR_SYSCALL, 30, 60, 60);
	node_load(node, COLLECTOR_TASK, 10, 15, 15);

	windows(node, GOVERN_DOWN_AFTER - 1);
	assert_int_equal(node->downs, 0);
	window(node);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_COUNTS);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_HISTOGRAMS);
	windows(node, GOVERN_DOWN_AFTER);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_OFF);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_HISTOGRAMS);
	assert_int_equal(node->downs, 2);
	windows(node, 100); /* 15 is within the budget, but not so far below it that there is room */
	assert_int_equal(node->downs, 2);
	assert_int_equal(node->ups, 0);
	node_free(node);
	(void)state;
}

static void one_window_alone_changes_nothing(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 5, 10, 10);
	for (int i = 0; i < 300; i++) {
		node->factor = i % GOVERN_DOWN_AFTER ? 100 : 1;
		window(node);
	}
	assert_int_equal(node->downs, 0);
	node_free(node);
	(void)state;
}

static void what_policies_read_is_never_off(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_FSWRITE, 50, 100, 100);
	node_load(node, COLLECTOR_SYSCALL, 20, 40, 40);
	node_policy(node, CONDITION_FILESYSTEM);

	windows(node, 50);
	assert_int_equal(depth_of(node, COLLECTOR_FSWRITE), DEPTH_COUNTS);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_OFF);
	assert_true(node->governor.exhausted);
	assert_int_equal(node->downs, 3);
	node_free(node);
	(void)state;
}

static void a_policy_that_comes_brings_back_what_it_reads(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 30, 40, 40);
	node_load(node, COLLECTOR_FSWRITE, 50, 100, 100);
	windows(node, 4 * GOVERN_DOWN_AFTER);
	assert_int_equal(depth_of(node, COLLECTOR_FSWRITE), DEPTH_OFF);

	node_policy(node, CONDITION_PSI);
	decide(node); /* at the next tick, whether there was a window or not */
	assert_true(node->verdict.forced);
	assert_int_equal(node->verdict.collector, COLLECTOR_FSWRITE);
	assert_int_equal(depth_of(node, COLLECTOR_FSWRITE), DEPTH_COUNTS);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_OFF);
	node_free(node);
	(void)state;
}

static void what_costs_next_to_nothing_stays(void **state)
{
	struct node *node = node_new(1);
	node->snap->governor.agent_rate = 50 * MS; /* ours, not to be helped by looking less deep */
	node_load(node, COLLECTOR_TASK, 0, 0, 0);
	windows(node, 20);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_HISTOGRAMS);
	assert_true(node->governor.exhausted);
	node_free(node);
	(void)state;
}

static void unknown_costs_are_not_taken_for_large_ones(void **state)
{
	struct node *node = node_new(1);
	struct governor_section *cost = &node->snap->governor;
	node_load(node, COLLECTOR_SYSCALL, 10, 10, 10);
	for (int i = 0; i < 20; i++) {
		node->now += EVERY;
		cost->measured_ns = node->now;
		cost->windows++;
		cost->kernel_rate = cost->publisher_rate = cost->each[COLLECTOR_SYSCALL].kernel_rate = UNKNOWN;
		decide(node);
	}
	assert_int_equal(node->downs, 0);
	node_free(node);
	(void)state;
}

/* --- and back --------------------------------------------------------------------------------------------------------- */

static void the_last_comes_back_first(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 50, 60, 60);
	node_load(node, COLLECTOR_TASK, 30, 40, 40);
	windows(node, 4 * GOVERN_DOWN_AFTER);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_OFF);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_OFF);

	node->factor = 0.01;
	windows(node, GOVERN_UP_AFTER);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_COUNTS);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_OFF);
	windows(node, 3 * GOVERN_UP_AFTER);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_HISTOGRAMS);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_HISTOGRAMS);
	assert_int_equal(node->governor.taken_count, 0);
	assert_int_equal(node->downs, node->ups);
	node_free(node);
	(void)state;
}

/* Too dear at one depth and cheap at the next: each trial doubles the wait until it is an hour. */
static void a_load_at_the_edge_is_tried_less_and_less(void **state)
{
	struct node *node = node_new(1);
	uint32_t day = 24 * 3600 / 10;
	node_load(node, COLLECTOR_SYSCALL, 5, 60, 60);

	windows(node, day);
	assert_in_range(node->ups, 10, 32); /* six while it doubles, then one an hour */
	uint32_t before = node->ups;
	windows(node, day);
	assert_in_range(node->ups - before, 20, 24);
	node_free(node);
	(void)state;
}

/* Every window another cost, by half above and below, for a week. */
static void noise_does_not_make_it_flap(void **state)
{
	struct node *node = node_new(1);
	uint32_t week = 7 * 24 * 3600 / 10, seed = 1, over = 0;
	node_load(node, COLLECTOR_SYSCALL, 8, 20, 20);

	for (uint32_t i = 0; i < week; i++) {
		seed = seed * 1664525 + 1013904223;
		node->factor = 0.5 + (seed >> 8) / (double)(1 << 24);
		window(node);
		over += node->snap->governor.kernel_rate > node->snap->governor.budget_rate;
	}
	assert_true(node->downs <= 7 * 24 + 10);
	assert_true(over < week / 50);
	node_free(node);
	(void)state;
}

static void calm_forgives_the_past(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 5, 60, 60);
	windows(node, 2000);
	assert_int_equal(node->governor.up_after, GOVERN_UP_AFTER_MOST);

	node->factor = 0.1;
	windows(node, 2 * GOVERN_UP_AFTER_MOST + 1);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_HISTOGRAMS);
	assert_int_equal(node->governor.up_after, GOVERN_UP_AFTER);
	node_free(node);
	(void)state;
}

static void a_suspend_ends_a_row_of_windows(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 30, 60, 60);
	for (int i = 0; i < 50; i++) {
		windows(node, GOVERN_DOWN_AFTER - 1);
		node->now += 3600 * NSEC_PER_SEC;
	}
	assert_int_equal(node->downs, 0);
	node_free(node);
	(void)state;
}

static void the_same_window_counts_once(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 30, 60, 60);
	window(node);
	for (int i = 0; i < 100; i++) {
		node->now += NSEC_PER_SEC / 20;
		decide(node);
	}
	assert_int_equal(node->downs, 0);
	node_free(node);
	(void)state;
}

/* --- the deep tier ---------------------------------------------------------------------------------------------------- */

static void it_is_armed_for_a_while(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 1, 2, 5);
	decide(node);
	assert_true(node->verdict.armed_until_ns == 0);

	assert_true(governor_arm(&node->governor, ARM_IO, node->config, node->now));
	decide(node);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_DEEP);
	node->now += 50 * NSEC_PER_SEC;
	assert_false(governor_arm(&node->governor, ARM_IO, node->config, node->now)); /* longer, not anew */
	assert_true(governor_arm(&node->governor, ARM_FINDING, node->config, node->now - NSEC_PER_SEC)); /* a reason of its own */
	decide(node);
	assert_int_equal(node->verdict.armed_by, ARM_IO); /* it holds longest */
	node->now += 50 * NSEC_PER_SEC;
	decide(node);
	assert_true(node->verdict.armed_until_ns > node->now);
	node->now += 3600 * NSEC_PER_SEC; /* as after a suspend: it does not wake up deep */
	decide(node);
	assert_true(node->verdict.armed_until_ns == 0);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_HISTOGRAMS);

	node->config->deep_for_ns = 0;
	assert_false(governor_arm(&node->governor, ARM_IO, node->config, node->now));
	decide(node);
	assert_true(node->verdict.armed_until_ns == 0);
	node_free(node);
	(void)state;
}

static void what_was_stepped_down_is_not_armed(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 10, 60, 90);
	node_load(node, COLLECTOR_TASK, 1, 2, 3);
	windows(node, GOVERN_DOWN_AFTER);
	governor_arm(&node->governor, ARM_FINDING, node->config, node->now);
	decide(node);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_COUNTS);
	assert_int_equal(depth_of(node, COLLECTOR_TASK), DEPTH_DEEP);
	node_free(node);
	(void)state;
}

static void too_dear_it_goes_before_anything_else(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 5, 10, 90);
	node->config->deep_for_ns = 600 * NSEC_PER_SEC;
	governor_arm(&node->governor, ARM_CPU, node->config, node->now);
	decide(node);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_DEEP);
	windows(node, GOVERN_DOWN_AFTER);
	assert_true(node->verdict.disarmed);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_HISTOGRAMS);
	assert_int_equal(node->downs, 0);

	assert_false(governor_arm(&node->governor, ARM_CPU, node->config, node->now + NSEC_PER_SEC));
	node->now += GOVERN_REST_TIMES * node->config->deep_for_ns;
	assert_true(governor_arm(&node->governor, ARM_CPU, node->config, node->now));
	node_free(node);
	(void)state;
}

static void short_of_memory_nothing_is_armed(void **state)
{
	struct node *node = node_new(1);
	node_load(node, COLLECTOR_SYSCALL, 1, 2, 5);
	governor_arm(&node->governor, ARM_CPU, node->config, node->now);
	node->snap->governor.memory_bytes = (64 << 20) + 1;
	decide(node);
	assert_true(node->governor.short_of_memory);
	assert_int_equal(depth_of(node, COLLECTOR_SYSCALL), DEPTH_HISTOGRAMS);
	assert_false(governor_arm(&node->governor, ARM_CPU, node->config, node->now));

	node->snap->governor.memory_bytes = 60 << 20; /* a little below is not enough */
	decide(node);
	assert_true(node->governor.short_of_memory);
	node->snap->governor.memory_bytes = 50 << 20;
	decide(node);
	assert_false(node->governor.short_of_memory);
	assert_true(governor_arm(&node->governor, ARM_CPU, node->config, node->now));
	node_free(node);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_dearest_goes_first_one_step_at_a_time),
		cmocka_unit_test(one_window_alone_changes_nothing),
		cmocka_unit_test(what_policies_read_is_never_off),
		cmocka_unit_test(a_policy_that_comes_brings_back_what_it_reads),
		cmocka_unit_test(what_costs_next_to_nothing_stays),
		cmocka_unit_test(unknown_costs_are_not_taken_for_large_ones),
		cmocka_unit_test(the_last_comes_back_first),
		cmocka_unit_test(a_load_at_the_edge_is_tried_less_and_less),
		cmocka_unit_test(noise_does_not_make_it_flap),
		cmocka_unit_test(calm_forgives_the_past),
		cmocka_unit_test(a_suspend_ends_a_row_of_windows),
		cmocka_unit_test(the_same_window_counts_once),
		cmocka_unit_test(it_is_armed_for_a_while),
		cmocka_unit_test(what_was_stepped_down_is_not_armed),
		cmocka_unit_test(too_dear_it_goes_before_anything_else),
		cmocka_unit_test(short_of_memory_nothing_is_armed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
