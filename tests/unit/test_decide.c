/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: each guard and each edge of its states alone. test_explore.c walks them in every order. */
#include "engine_bench.h"

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
	union remedy_args args = { .unit = { .unit = "app.service", .job_timeout_ns = SECONDS(5) } };
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

/* As after a restart: what was open is true again, and not yet for its time. */
static void what_is_true_again_and_not_yet_for_long_is_not_over(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	assert_null(dispatch(&bench, slot));
	answer(&bench, slot, OUTCOME_FAILED);
	set_finding(&bench, 0, VERDICT_FALSE);
	bench.findings->each[0].pending = true;
	tick(&bench, 1);
	assert_int_equal(bench.saved->incident_count, 1);
	set_finding(&bench, 0, VERDICT_FALSE);
	tick(&bench, 1);
	assert_int_equal(bench.saved->incident_count, 0);
	tear_down(&bench);
}

static void machines_nobody_speaks_of_any_more_are_dropped(void **state)
{
	struct bench bench = set_up(two_policies);
	bench.now.agent_started_boot_ns = bench.now.boot_ns;
	struct machine *machine = &bench.saved->machines[bench.saved->machine_count++];
	*machine = (struct machine){ .state = ENGINE_ARMED, .step = 1 };
	snprintf(machine->policy, sizeof(machine->policy), "first");
	snprintf(machine->target_key, sizeof(machine->target_key), "process:77:1");
	tick(&bench, 30);
	assert_int_equal(bench.saved->machine_count, 1); /* not everything was measured yet */
	tick(&bench, 31);
	assert_int_equal(bench.saved->machine_count, 0);
	bench.saved->machines[bench.saved->machine_count++] = (struct machine){ .state = ENGINE_QUARANTINED, .policy = "first", .target_key = "process:77:1" };
	tick(&bench, 1);
	assert_int_equal(bench.saved->machine_count, 1); /* a person lifts that */
	tear_down(&bench);
}

static const char leased[] =
	"policies:\n"
	"  - name: first\n"
	"    mode: enforce\n"
	"    when: {process: {comm: hog, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - limit-cpu: {percent: 10}\n"
	"        expect: {clears: true, within: 8s}\n"
	"      - terminate: {}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 3/1h, per_node: 5/1d}\n";

/* The first order of a leased policy, with the hands done and content. */
static uint32_t turned(struct bench *bench)
{
	set_finding(bench, 0, VERDICT_TRUE);
	tick(bench, 1);
	uint32_t slot = bench->changes->orders[0];
	assert_null(dispatch(bench, slot));
	answer(bench, slot, OUTCOME_FIXED);
	assert_int_equal(bench->engine->orders[slot].phase, ORDER_VERIFYING);
	return slot;
}

static void what_was_turned_and_did_not_help_is_turned_back_before_the_next(void **state)
{
	struct bench bench = set_up(leased);
	uint32_t slot = turned(&bench);
	tick(&bench, 5);
	assert_int_equal(bench.engine->orders[slot].phase, ORDER_VERIFYING); /* the promise has 8 s */
	tick(&bench, 4);
	assert_int_equal(bench.changes->revert_count, 1);
	assert_int_equal(bench.changes->reverts[0], slot);
	assert_int_equal(bench.engine->orders[slot].request.verb, REMEDY_VERB_REVERT);
	assert_int_equal(bench.saved->machines[0].state, ENGINE_ROLLBACK);
	assert_int_equal(tick(&bench, 1), 0); /* nothing else meanwhile, and not asked twice */
	assert_int_equal(bench.changes->revert_count, 0);

	answer(&bench, slot, OUTCOME_ROLLED_BACK);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_ROLLED_BACK);
	assert_int_equal(bench.changes->actions[0].observed.cleared, 0);
	if (bench.changes->order_count == 0)
		tick(&bench, 1);
	assert_int_equal(bench.engine->orders[bench.changes->orders[0]].remedy, REMEDY_TERMINATE);
	tear_down(&bench);
}

static void what_was_turned_and_helped_stays_for_its_time(void **state)
{
	struct bench bench = set_up(leased);
	turned(&bench);
	set_finding(&bench, 0, VERDICT_FALSE);
	tick(&bench, 1);
	assert_int_equal(bench.changes->revert_count, 0);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_FIXED);
	assert_int_equal(bench.changes->actions[0].observed.cleared, 1);
	tear_down(&bench);
}

/* Pause, kill switch and shadow hold back acts, and turning back is none. */
static void turning_back_is_not_held_back(void **state)
{
	struct bench bench = set_up(leased);
	turned(&bench);
	bench.saved->pause.paused = true;
	bench.now.kill_switch = true;
	bench.config->mode = MODE_SHADOW;
	tick(&bench, 9);
	assert_int_equal(bench.changes->revert_count, 1);
	tear_down(&bench);
}

static void what_cannot_be_turned_back_is_failed_and_left_to_its_time(void **state)
{
	struct bench bench = set_up(leased);
	uint32_t slot = turned(&bench);
	tick(&bench, 9);
	clear_changes(&bench);
	engine_abandon(bench.engine, slot, "died", bench.config, &bench.now, bench.changes);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_FAILED);
	assert_int_equal(bench.engine->orders[slot].phase, ORDER_FREE);
	tear_down(&bench);
}

static void severity_rises_and_falls_and_stays_where_unknown(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	const struct incident *incident = &bench.saved->incidents[0];
	assert_int_equal(incident->severity, SEVERITY_WARNING);
	strcpy(bench.findings->each[0].why, "evidence");
	bench.findings->each[0].severity = SEVERITY_EMERGENCY;
	tick(&bench, 1);
	assert_int_equal(incident->severity, SEVERITY_EMERGENCY);
	assert_memory_equal(incident->history[incident->history_count - 1].why, "worse", 5);

	bench.findings->each[0].severity = SEVERITY_CRITICAL;
	bench.findings->each[0].verdict = VERDICT_UNKNOWN;
	tick(&bench, 1);
	assert_int_equal(incident->severity, SEVERITY_EMERGENCY);
	bench.findings->each[0].verdict = VERDICT_TRUE;
	bench.findings->each[0].signal.threshold = 12;
	uint32_t entries = incident->history_count;
	tick(&bench, 1);
	assert_int_equal(incident->severity, SEVERITY_CRITICAL);
	assert_true(incident->signal.threshold == 12);
	assert_memory_equal(incident->history[entries].why, "eases to critical", 17);
	tick(&bench, 1);
	assert_int_equal(bench.saved->incident_count, 1);
	assert_int_equal(incident->history_count, entries + 1); /* said once */

	/* Another policy about the same keeps it as bad as that one finds it. */
	set_finding(&bench, 1, VERDICT_TRUE);
	bench.findings->each[1].target = bench.findings->each[0].target;
	memcpy(bench.findings->each[1].key, bench.findings->each[0].key, KEY_LEN);
	bench.findings->each[1].severity = SEVERITY_CRITICAL;
	bench.findings->each[0].severity = SEVERITY_WARNING;
	tick(&bench, 1);
	assert_int_equal(incident->severity, SEVERITY_CRITICAL);
	bench.findings->each[1].verdict = VERDICT_UNKNOWN;
	tick(&bench, 1);
	assert_int_equal(incident->severity, SEVERITY_CRITICAL); /* it may still be as bad */
	bench.findings->each[1].verdict = VERDICT_FALSE;
	tick(&bench, 1);
	assert_int_equal(incident->severity, SEVERITY_WARNING);
	tear_down(&bench);
}

static void evidence_stands_in_the_history(void **state)
{
	struct bench bench = set_up(two_policies);
	set_finding(&bench, 0, VERDICT_TRUE);
	strcpy(bench.findings->each[0].why, "needed by /web.service");
	tick(&bench, 1);
	const struct incident *incident = &bench.saved->incidents[0];
	assert_string_equal(incident->history[1].why, "needed by /web.service");
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_acts_verifies_and_closes),
		cmocka_unit_test(severity_rises_and_falls_and_stays_where_unknown),
		cmocka_unit_test(evidence_stands_in_the_history),
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
		cmocka_unit_test(what_is_true_again_and_not_yet_for_long_is_not_over),
		cmocka_unit_test(machines_nobody_speaks_of_any_more_are_dropped),
		cmocka_unit_test(what_was_turned_and_did_not_help_is_turned_back_before_the_next),
		cmocka_unit_test(what_was_turned_and_helped_stays_for_its_time),
		cmocka_unit_test(turning_back_is_not_held_back),
		cmocka_unit_test(what_cannot_be_turned_back_is_failed_and_left_to_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
