/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine in every short sequence of events, and in long random ones, with the invariants of docs/safety.md held against each state: never
 * two acts at once on one target, never a second victim, never beyond a budget, never in shadow, paused, stopped, or on anything but a true
 * verdict.
 */
#include "engine_bench.h"

enum move { SAY_TRUE, SAY_FALSE, SAY_UNKNOWN, DISPATCH, ANSWER_FIXED, ANSWER_NO_EFFECT, TOGGLE_PAUSE, TOGGLE_SHADOW, TOGGLE_STOP, WAIT_COOLDOWN, EVENT_COUNT };

enum { MAX_LOG = 256 };
struct witness { /* what the explorer itself saw, apart from the engine's books */
	uint32_t count;
	struct {
		uint64_t boot_ns;
		int32_t pid;
	} acts[MAX_LOG];
};

static void check_no_overlap(const struct bench *bench)
{
	uint32_t victims = 0;
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *a = &bench->engine->orders[i];
		if (a->phase == ORDER_FREE || a->dry_run)
			continue;
		victims += a->remedy == REMEDY_TERMINATE;
		for (uint32_t j = i + 1; j < MAX_ORDERS; j++) {
			const struct order *b = &bench->engine->orders[j];
			if (b->phase != ORDER_FREE && !b->dry_run)
				assert_string_not_equal(a->key, b->key);
		}
	}
	assert_true(victims <= 1);
}

static void witness_act(const struct bench *bench, struct witness *witness, const struct order *order)
{
	assert_int_equal(bench->config->mode, MODE_ENFORCE);
	assert_false(bench->saved->pause.paused);
	assert_false(bench->now.kill_switch);
	assert_int_equal(bench->findings->each[order->policy].verdict, VERDICT_TRUE);
	assert_true(witness->count < MAX_LOG);
	witness->acts[witness->count].boot_ns = bench->now.boot_ns;
	witness->acts[witness->count++].pid = 41 + (int32_t)order->policy;

	uint32_t within_hour = 0, limit = order->policy ? 2 : 3;
	for (uint32_t i = 0; i < witness->count; i++)
		within_hour += witness->acts[i].pid == 41 + (int32_t)order->policy && bench->now.boot_ns - witness->acts[i].boot_ns < SECONDS(3600);
	assert_true(within_hour <= limit);
}

static void say(struct bench *bench, enum verdict verdict)
{
	set_finding(bench, 0, verdict);
	set_finding(bench, 1, verdict);
	tick(bench, 1);
}

static void apply(struct bench *bench, struct witness *witness, enum move event)
{
	switch (event) {
	case SAY_TRUE:
		say(bench, VERDICT_TRUE);
		break;
	case SAY_FALSE:
		say(bench, VERDICT_FALSE);
		break;
	case SAY_UNKNOWN:
		say(bench, VERDICT_UNKNOWN);
		break;
	case DISPATCH:
		clear_changes(bench);
		for (uint32_t i = 0; i < MAX_ORDERS; i++) {
			const struct order *order = &bench->engine->orders[i];
			if (order->phase == ORDER_NEW && !dispatch(bench, i) && !order->dry_run)
				witness_act(bench, witness, order);
		}
		break;
	case ANSWER_FIXED:
	case ANSWER_NO_EFFECT:
		for (uint32_t i = 0; i < MAX_ORDERS; i++)
			if (bench->engine->orders[i].phase == ORDER_RUNNING)
				answer(bench, i, event == ANSWER_FIXED ? OUTCOME_FIXED : OUTCOME_NO_EFFECT);
		break;
	case TOGGLE_PAUSE:
		bench->saved->pause.paused = !bench->saved->pause.paused;
		break;
	case TOGGLE_SHADOW:
		bench->config->mode = bench->config->mode == MODE_ENFORCE ? MODE_SHADOW : MODE_ENFORCE;
		break;
	case TOGGLE_STOP:
		bench->now.kill_switch = !bench->now.kill_switch;
		break;
	case WAIT_COOLDOWN:
		bench->now.boot_ns += SECONDS(61);
		break;
	case EVENT_COUNT:
		break;
	}
	check_no_overlap(bench);
}

static uint64_t depth_from_environment(uint64_t otherwise)
{
	const char *text = getenv("NODEMEND_EXPLORE_DEPTH");
	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_short_sequence_holds_the_invariants(void **state)
{
	struct bench bench = set_up(two_policies);
	uint64_t depth = depth_from_environment(6), sequences = 1, acted = 0;
	for (uint64_t i = 0; i < depth; i++)
		sequences *= EVENT_COUNT;
	for (uint64_t sequence = 0; sequence < sequences; sequence++) {
		struct witness witness = { 0 };
		reset(&bench);
		uint64_t rest = sequence;
		for (uint64_t i = 0; i < depth; i++, rest /= EVENT_COUNT)
			apply(&bench, &witness, (enum move)(rest % EVENT_COUNT));
		acted += witness.count;
	}
	assert_true(acted > 0); /* an engine that never acts holds every invariant and is of no use */
	tear_down(&bench);
}

static void long_random_walks_hold_the_invariants(void **state)
{
	struct bench bench = set_up(two_policies);
	/* Stops are rare and short, as in life: else nothing ever gets far enough to go wrong. */
	static const enum move likely[] = {
		SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_FALSE, SAY_FALSE, SAY_UNKNOWN, DISPATCH, DISPATCH, DISPATCH, DISPATCH, ANSWER_FIXED,
		ANSWER_FIXED, ANSWER_NO_EFFECT, ANSWER_NO_EFFECT, TOGGLE_PAUSE, TOGGLE_SHADOW, TOGGLE_STOP, WAIT_COOLDOWN, WAIT_COOLDOWN, WAIT_COOLDOWN,
	};
	uint64_t random = 88172645463325252ULL, acted = 0;
	for (int walk = 0; walk < 300; walk++) {
		struct witness witness = { 0 };
		reset(&bench);
		for (int i = 0; i < 200; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			apply(&bench, &witness, likely[random % (sizeof(likely) / sizeof(likely[0]))]);
		}
		acted += witness.count;
	}
	assert_true(acted > 300);
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_sequence_holds_the_invariants),
		cmocka_unit_test(long_random_walks_hold_the_invariants),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
