/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine. First each guard and each edge alone; then an explorer that walks every short sequence of events, and long random
 * ones, and holds the invariants of docs/safety.md against each state: never two acts at once on one target, never a second
 * victim, never beyond a budget, never in shadow, paused, stopped, or on anything but a true verdict.
 */
#include "scene.h"

#include <errno.h>

#include "decide/decide.h"
#include "decide/guard.h"

struct bench {
	struct snapshot *snap;
	struct config *config;
	struct findings *findings;
	struct saved_state *saved;
	struct engine *engine;
	struct changes *changes;
	struct circumstances now;
};

static const char two_policies[] =
	"policies:\n"
	"  - name: first\n"
	"    mode: enforce\n"
	"    when: {process: {comm: hog, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"      - restart-unit: {unit: app.service}\n"
	"        expect: {unit: active, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 3/1h, per_node: 5/1d}\n"
	"  - name: second\n"
	"    mode: enforce\n"
	"    when: {process: {comm: pig, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 2/1h, per_node: 2/1d}\n";

static void reset(struct bench *bench)
{
	memset(&bench->saved->pause, 0, sizeof(bench->saved->pause));
	bench->saved->act_count = bench->saved->machine_count = bench->saved->incident_count = 0;
	bench->engine->recent_action_count = bench->engine->recent_incident_count = 0;
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		bench->engine->orders[i].phase = ORDER_FREE;
	bench->changes->incident_count = bench->changes->action_count = bench->changes->order_count = 0;
	bench->now = (struct circumstances){ .boot_ns = SECONDS(10000), .agent_started_boot_ns = SECONDS(9000) };
	bench->config->mode = MODE_ENFORCE;
}

static struct bench set_up(const char *yaml)
{
	struct bench bench = {
		.snap = scene_new(), .config = scene_config(yaml), .findings = calloc(1, sizeof(struct findings)),
		.saved = calloc(1, sizeof(struct saved_state)), .engine = calloc(1, sizeof(struct engine)), .changes = calloc(1, sizeof(struct changes)),
	};
	assert_true(bench.findings && bench.saved && bench.engine && bench.changes);
	engine_init(bench.engine, bench.saved);
	reset(&bench);
	scene_process(bench.snap, 41, "hog", MIB(200), (int64_t)MIB(100));
	scene_process(bench.snap, 42, "pig", MIB(200), (int64_t)MIB(100));
	return bench;
}

static void tear_down(struct bench *bench)
{
	free(bench->snap);
	free(bench->config);
	free(bench->findings);
	free(bench->saved);
	free(bench->engine);
	free(bench->changes);
}

static void set_finding(struct bench *bench, uint32_t policy, enum verdict verdict)
{
	struct finding *finding = &bench->findings->each[policy];
	int32_t pid = 41 + (int32_t)policy;
	*finding = (struct finding){ .policy = policy, .kind = KIND_MEMORY_EXHAUSTION, .verdict = verdict };
	finding->target = (struct target){ .type = TARGET_PROCESS, .pid = pid, .start_ns = (uint64_t)pid * 1000 };
	snprintf(finding->target.name, sizeof(finding->target.name), "%s", policy ? "pig" : "hog");
	snprintf(finding->key, sizeof(finding->key), "process:%d:%d", pid, pid * 1000);
	if (bench->findings->count < policy + 1)
		bench->findings->count = policy + 1;
}

static void clear_changes(struct bench *bench)
{
	bench->changes->incident_count = bench->changes->action_count = bench->changes->order_count = bench->changes->cut = 0;
}

static void decide(struct bench *bench)
{
	clear_changes(bench);
	engine_decide(bench->engine, bench->snap, bench->findings, bench->config, &bench->now, bench->changes);
}

static uint32_t tick(struct bench *bench, uint64_t seconds)
{
	bench->now.boot_ns += SECONDS(seconds);
	bench->now.wall_ns += (int64_t)SECONDS(seconds);
	decide(bench);
	return bench->changes->order_count;
}

static const char *dispatch(struct bench *bench, uint32_t slot)
{
	return engine_still_wanted(bench->engine, slot, bench->findings, bench->config, &bench->now, bench->changes);
}

static void answer(struct bench *bench, uint32_t slot, enum outcome outcome)
{
	struct remedy_result result = { .verb = REMEDY_VERB_APPLY, .outcome = outcome };
	effect_clear(&result.expected);
	effect_clear(&result.observed);
	if (outcome == OUTCOME_FIXED || outcome == OUTCOME_IMPROVED)
		result.observed.exited = 1;
	memcpy(result.action_id, bench->engine->orders[slot].action.id, ID_LEN);
	clear_changes(bench);
	engine_result(bench->engine, slot, &result, bench->config, &bench->now, bench->changes);
}

/* --- edges ------------------------------------------------------------------------------------------------------------- */

static void opens_acts_verifies_and_closes(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	assert_int_equal(tick(&bench, 1), 1);
	assert_int_equal(bench.saved->incident_count, 1);
	assert_int_equal(bench.saved->incidents[0].state, INCIDENT_MENDING);
	uint32_t slot = bench.changes->orders[0];
	const struct order *order = &bench.engine->orders[slot];
	assert_int_equal(order->request.verb, REMEDY_VERB_APPLY);
	assert_int_equal(order->request.candidate_count, 1);
	assert_int_equal(order->request.candidates[0].pid, 41);
	assert_int_equal(order->request.args.terminate.term_wait_ns, SECONDS(5) / 2); /* there must be time left for KILL */
	assert_int_equal(order->action.outcome, OUTCOME_NONE);
	assert_null(dispatch(&bench, slot));
	answer(&bench, slot, OUTCOME_FIXED);
	assert_int_equal(order->phase, ORDER_VERIFYING);
	assert_int_equal(bench.changes->action_count, 0); /* not before the condition has shown it */

	set_finding(&bench, 0, VERDICT_FALSE);
	tick(&bench, 1);
	assert_int_equal(bench.changes->action_count, 1);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_FIXED);
	assert_int_equal(bench.saved->incident_count, 0);
	assert_int_equal(bench.engine->recent_incidents[0].state, INCIDENT_RESOLVED);
	assert_int_equal(bench.saved->machine_count, 0);
	tear_down(&bench);
}

static void next_remedy_only_where_the_one_before_did_not_verify(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	dispatch(&bench, slot);
	answer(&bench, slot, OUTCOME_FIXED);
	assert_int_equal(tick(&bench, 1), 0); /* verifying */
	tick(&bench, 10);                     /* the condition still holds: it helped, and not enough */
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_IMPROVED);
	if (bench.changes->order_count == 0)
		tick(&bench, 1);
	assert_int_equal(bench.changes->order_count, 1);
	assert_int_equal(bench.engine->orders[bench.changes->orders[0]].remedy, REMEDY_RESTART_UNIT);
	assert_string_equal(bench.engine->orders[bench.changes->orders[0]].action.target.name, "app.service");
	tear_down(&bench);
}

static void clearing_while_the_hands_work_counts(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	dispatch(&bench, slot);
	set_finding(&bench, 0, VERDICT_FALSE);
	tick(&bench, 1);
	set_finding(&bench, 0, VERDICT_TRUE); /* the writer has filled it again before the answer came */
	tick(&bench, 1);
	answer(&bench, slot, OUTCOME_FIXED);
	tick(&bench, 1);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_FIXED);
	tear_down(&bench);
}

static void failed_rounds_back_off_and_end_in_quarantine(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 1, VERDICT_TRUE);
	bench.findings->each[0].verdict = VERDICT_FALSE;
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	dispatch(&bench, slot);
	answer(&bench, slot, OUTCOME_FAILED);
	assert_int_equal(tick(&bench, 59), 0); /* cooling down */
	assert_int_equal(tick(&bench, 2), 1);
	slot = bench.changes->orders[0];
	dispatch(&bench, slot);
	answer(&bench, slot, OUTCOME_FAILED);
	assert_int_equal(bench.saved->machines[0].state, ENGINE_QUARANTINED);
	assert_int_equal(bench.saved->incidents[0].state, INCIDENT_NEEDS_HUMAN);
	assert_int_equal(tick(&bench, 24 * 3600), 0); /* no time lifts it */
	clear_changes(&bench);
	assert_int_equal(engine_lift_quarantine(bench.engine, &bench.now, bench.changes), 1);
	assert_int_equal(tick(&bench, 1), 1);
	tear_down(&bench);
}

static void trouble_that_comes_back_is_quarantined_at_its_budget(void **state)
{
	struct bench bench = set_up(two_policies);
	uint32_t acts = 0;
	for (int round = 0; round < 10; round++) {
		set_finding(&bench, 1, VERDICT_TRUE);
		bench.findings->each[0].verdict = VERDICT_FALSE;
		for (int second = 0; second < 100; second++) {
			if (!tick(&bench, 1))
				continue;
			uint32_t slot = bench.changes->orders[0];
			assert_null(dispatch(&bench, slot));
			answer(&bench, slot, OUTCOME_FIXED);
			acts++;
			break;
		}
		set_finding(&bench, 1, VERDICT_FALSE);
		tick(&bench, 1);
	}
	assert_int_equal(acts, 2);
	assert_int_equal(bench.saved->machines[0].state, ENGINE_QUARANTINED);
	tear_down(&bench);
}

static void quarantine_calls_for_a_human_again(void **state)
{
	struct bench bench = set_up(two_policies);
	for (int round = 0; round < 2; round++) {
		set_finding(&bench, 1, VERDICT_TRUE);
		bench.findings->each[0].verdict = VERDICT_FALSE;
		while (!tick(&bench, 1))
			continue;
		uint32_t slot = bench.changes->orders[0];
		dispatch(&bench, slot);
		set_finding(&bench, 1, VERDICT_FALSE); /* up for a moment: the story goes on while the act does */
		tick(&bench, 1);
		assert_int_equal(bench.saved->incident_count, 1);
		answer(&bench, slot, OUTCOME_NO_EFFECT);
	}
	assert_int_equal(bench.saved->incidents[0].state, INCIDENT_NEEDS_HUMAN);
	tick(&bench, 1);
	assert_int_equal(bench.saved->incident_count, 0);
	set_finding(&bench, 1, VERDICT_TRUE);
	assert_int_equal(tick(&bench, 1), 0);
	assert_int_equal(bench.saved->incidents[0].state, INCIDENT_NEEDS_HUMAN);
	tear_down(&bench);
}

static void shadow_plans_each_step_and_touches_nothing(void **state)
{
	struct bench bench = set_up(two_policies);
	bench.config->mode = MODE_SHADOW;
	set_finding(&bench, 0, VERDICT_TRUE);
	for (int step = 0; step < 2; step++) {
		assert_int_equal(tick(&bench, 1), 1);
		uint32_t slot = bench.changes->orders[0];
		assert_true(bench.engine->orders[slot].dry_run);
		assert_int_equal(bench.engine->orders[slot].request.verb, REMEDY_VERB_PLAN);
		assert_int_equal(bench.engine->orders[slot].action.mode, MODE_SHADOW);
		assert_null(dispatch(&bench, slot));
		answer(&bench, slot, OUTCOME_NONE);
		assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_NONE);
	}
	assert_int_equal(bench.saved->act_count, 0);
	assert_int_equal(bench.saved->incidents[0].state, INCIDENT_OPEN);
	assert_int_equal(tick(&bench, 1), 0); /* told once a cooldown, not every second */
	assert_int_equal(tick(&bench, 61), 1);
	tear_down(&bench);
}

static void observe_does_not_even_plan(void **state)
{
	struct bench bench = set_up(two_policies);
	bench.config->mode = MODE_OBSERVE;
	set_finding(&bench, 0, VERDICT_TRUE);
	assert_int_equal(tick(&bench, 1), 0);
	assert_int_equal(bench.saved->incident_count, 1);
	assert_int_equal(bench.saved->machine_count, 0);
	tear_down(&bench);
}

static void unknown_neither_acts_nor_closes(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_UNKNOWN);
	assert_int_equal(tick(&bench, 1), 0);
	assert_int_equal(bench.saved->incident_count, 0);
	set_finding(&bench, 0, VERDICT_TRUE);
	bench.now.kill_switch = true;
	tick(&bench, 1);
	assert_int_equal(bench.saved->incident_count, 1);
	bench.now.kill_switch = false;
	set_finding(&bench, 0, VERDICT_UNKNOWN);
	assert_int_equal(tick(&bench, 1), 0);
	assert_int_equal(bench.saved->incident_count, 1);
	tear_down(&bench);
}

static void changed_mind_between_order_and_act_is_refused(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	set_finding(&bench, 0, VERDICT_FALSE);
	clear_changes(&bench);
	assert_string_equal(dispatch(&bench, slot), "recheck");
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_REFUSED);
	assert_string_equal(bench.changes->actions[0].refused_by, "recheck");
	assert_int_equal(bench.saved->act_count, 0); /* nothing was done: nothing was spent */
	tear_down(&bench);
}

/* Each guard alone holds back what would go without it; the record names it. */
static void each_guard_holds(void **state)
{
	struct bench bench = set_up(two_policies);
	static const char *const names[] = { "kill-switch", "pause", "startup-grace", "blocked-by-file", "blocked-by-window", "per-node-budget" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		reset(&bench);
		struct policy *policy = &bench.config->policies[0];
		policy->blocked_by.has_window = false;
		set_finding(&bench, 0, VERDICT_TRUE);
		bench.findings->count = 1;
		switch (i) {
		case 0:
			bench.now.kill_switch = true;
			break;
		case 1:
			bench.saved->pause.paused = true;
			break;
		case 2:
			bench.now.agent_started_boot_ns = bench.now.boot_ns;
			break;
		case 3:
			bench.now.blocked[0] = true;
			break;
		case 4:
			policy->blocked_by.has_window = true;
			policy->blocked_by.window_from_min = 23 * 60;
			policy->blocked_by.window_to_min = 60;
			bench.now.local_minute = 30;
			break;
		case 5:
			for (uint32_t a = 0; a < 5; a++) {
				struct act *act = &bench.saved->acts[bench.saved->act_count++];
				*act = (struct act){ .boot_ns = (int64_t)bench.now.boot_ns - (int64_t)SECONDS(3600) };
				snprintf(act->policy, sizeof(act->policy), "first");
				snprintf(act->target_key, sizeof(act->target_key), "process:%u:1", a);
			}
			break;
		}
		assert_int_equal(tick(&bench, 1), 0);
		assert_string_equal(bench.engine->refusals[0], names[i]);
	}
	tear_down(&bench);
}

static void pause_ends_by_itself(void **state)
{
	struct bench bench = set_up(two_policies);
	bench.saved->pause = (struct pause){ .paused = true, .until_boot_ns = (int64_t)(bench.now.boot_ns + SECONDS(30)) };
	set_finding(&bench, 0, VERDICT_TRUE);
	assert_int_equal(tick(&bench, 1), 0);
	assert_int_equal(tick(&bench, 30), 1);
	assert_false(bench.saved->pause.paused);
	tear_down(&bench);
}

static void restart_takes_up_what_was_under_way(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 1, VERDICT_TRUE);
	bench.findings->each[0].verdict = VERDICT_FALSE;
	tick(&bench, 1);
	dispatch(&bench, bench.changes->orders[0]);
	assert_int_equal(bench.saved->machines[0].state, ENGINE_ACTING);

	struct engine *successor = calloc(1, sizeof(*successor));
	assert_non_null(successor);
	engine_init(successor, bench.saved);
	free(bench.engine);
	bench.engine = successor;
	assert_int_equal(bench.saved->incident_count, 1);
	assert_int_equal(tick(&bench, 1), 0); /* the act before the crash is on the ledger: cooling down, not acting twice */
	assert_int_equal(tick(&bench, 61), 1);
	tear_down(&bench);
}

static void late_answer_of_an_abandoned_order_is_ignored(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	dispatch(&bench, slot);
	struct remedy_result late = { .verb = REMEDY_VERB_APPLY, .outcome = OUTCOME_FIXED };
	memcpy(late.action_id, bench.engine->orders[slot].action.id, ID_LEN);
	clear_changes(&bench);
	engine_abandon(bench.engine, slot, "overstayed its deadline", bench.config, &bench.now, bench.changes);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_FAILED);
	clear_changes(&bench);
	engine_result(bench.engine, slot, &late, bench.config, &bench.now, bench.changes);
	assert_int_equal(bench.changes->action_count, 0);
	tear_down(&bench);
}

static void by_hand_keeps_to_the_guards_of_the_node(void **state)
{
	struct bench bench = set_up(two_policies);
	struct target target = { .type = TARGET_UNIT, .name = "app.service" };
	union remedy_args args = { .restart_unit = { .unit = "app.service", .job_timeout_ns = SECONDS(5) } };
	uint32_t slot, other;
	char why[64];
	assert_int_equal(engine_manual(bench.engine, REMEDY_RESTART_UNIT, &target, &args, false, bench.config, &bench.now, &slot, why, sizeof(why), bench.changes), 0);
	assert_int_equal(engine_manual(bench.engine, REMEDY_RESTART_UNIT, &target, &args, false, bench.config, &bench.now, &other, why, sizeof(why), bench.changes),
			 -EPERM);
	assert_string_equal(why, "target-busy");
	bench.config->mode = MODE_SHADOW;
	target.name[0] = 'b';
	assert_int_equal(engine_manual(bench.engine, REMEDY_RESTART_UNIT, &target, &args, false, bench.config, &bench.now, &other, why, sizeof(why), bench.changes),
			 -EPERM);
	assert_string_equal(why, "mode");
	assert_int_equal(engine_manual(bench.engine, REMEDY_RESTART_UNIT, &target, &args, true, bench.config, &bench.now, &other, why, sizeof(why), bench.changes), 0);
	assert_null(dispatch(&bench, other));
	tear_down(&bench);
}

/* --- the explorer ------------------------------------------------------------------------------------------------------ */

enum event { SAY_TRUE, SAY_FALSE, SAY_UNKNOWN, DISPATCH, ANSWER_FIXED, ANSWER_NO_EFFECT, TOGGLE_PAUSE, TOGGLE_SHADOW, TOGGLE_STOP, WAIT_COOLDOWN, EVENT_COUNT };

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

static void apply(struct bench *bench, struct witness *witness, enum event event)
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
			apply(&bench, &witness, (enum event)(rest % EVENT_COUNT));
		acted += witness.count;
	}
	assert_true(acted > 0); /* an engine that never acts holds every invariant and is of no use */
	tear_down(&bench);
}

static void long_random_walks_hold_the_invariants(void **state)
{
	struct bench bench = set_up(two_policies);
	/* Stops are rare and short, as in life: else nothing ever gets far enough to go wrong. */
	static const enum event likely[] = {
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
		cmocka_unit_test(opens_acts_verifies_and_closes),
		cmocka_unit_test(next_remedy_only_where_the_one_before_did_not_verify),
		cmocka_unit_test(clearing_while_the_hands_work_counts),
		cmocka_unit_test(failed_rounds_back_off_and_end_in_quarantine),
		cmocka_unit_test(trouble_that_comes_back_is_quarantined_at_its_budget),
		cmocka_unit_test(quarantine_calls_for_a_human_again),
		cmocka_unit_test(shadow_plans_each_step_and_touches_nothing),
		cmocka_unit_test(observe_does_not_even_plan),
		cmocka_unit_test(unknown_neither_acts_nor_closes),
		cmocka_unit_test(changed_mind_between_order_and_act_is_refused),
		cmocka_unit_test(each_guard_holds),
		cmocka_unit_test(pause_ends_by_itself),
		cmocka_unit_test(restart_takes_up_what_was_under_way),
		cmocka_unit_test(late_answer_of_an_abandoned_order_is_ignored),
		cmocka_unit_test(by_hand_keeps_to_the_guards_of_the_node),
		cmocka_unit_test(every_short_sequence_holds_the_invariants),
		cmocka_unit_test(long_random_walks_hold_the_invariants),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
