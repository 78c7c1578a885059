/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned: what keeps failing is set aside, what has worked may come first, and never beyond what the policy allows. */
#include "engine_bench.h"

#include "decide/knowledge.h"

static const char three_steps[] =
	"policies:\n"
	"  - name: first\n"
	"    mode: enforce\n"
	"    when: {process: {comm: hog, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - restart-unit: {unit: a.service}\n"
	"        expect: {unit: active, within: 5s}\n"
	"      - restart-unit: {unit: b.service}\n"
	"        expect: {unit: active, within: 5s}\n"
	"      - terminate: {}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 500/1h, per_node: 500/1d}\n";

static struct incident about(enum incident_kind kind, const char *comm, const char *unit)
{
	struct incident incident = { .kind = kind, .cause_count = 1 };
	snprintf(incident.causes[0].comm, sizeof(incident.causes[0].comm), "%s", comm);
	snprintf(incident.causes[0].unit, sizeof(incident.causes[0].unit), "%s", unit);
	return incident;
}

static void learn(struct bench *bench, const struct incident *incident, const char *remedy, enum outcome outcome, uint32_t times)
{
	for (uint32_t i = 0; i < times; i++)
		knowledge_learn(bench->saved, incident, remedy, outcome, &bench->now);
}

static bool aside(const struct bench *bench, const struct incident *incident, const char *remedy)
{
	return knowledge_sets_aside(bench->saved, incident, remedy, (int64_t)bench->now.boot_ns);
}

static void three_failures_in_a_row_set_it_aside(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct incident incident = about(KIND_MEMORY_EXHAUSTION, "java", "app.service");
	learn(&bench, &incident, "terminate", OUTCOME_NO_EFFECT, 2);
	learn(&bench, &incident, "terminate", OUTCOME_FIXED, 1);
	learn(&bench, &incident, "terminate", OUTCOME_FAILED, 1);
	learn(&bench, &incident, "terminate", OUTCOME_ROLLED_BACK, 1);
	assert_false(aside(&bench, &incident, "terminate")); /* two in a row */
	learn(&bench, &incident, "terminate", OUTCOME_REFUSED, 5);
	learn(&bench, &incident, "terminate", OUTCOME_IMPROVED, 5);
	assert_false(aside(&bench, &incident, "terminate")); /* neither says that it is of no use */
	learn(&bench, &incident, "terminate", OUTCOME_NO_EFFECT, 1);
	assert_true(aside(&bench, &incident, "terminate"));

	/* Against this kind of trouble by this cause, and no other. */
	struct incident other = about(KIND_MEMORY_EXHAUSTION, "java", "other.service");
	assert_false(aside(&bench, &other, "terminate"));
	other = about(KIND_CPU_EXHAUSTION, "java", "app.service");
	assert_false(aside(&bench, &other, "terminate"));
	assert_false(aside(&bench, &incident, "limit-cpu"));

	bench.now.boot_ns += SECONDS(24 * 3600);
	assert_false(aside(&bench, &incident, "terminate")); /* a day later it may be tried again */
	learn(&bench, &incident, "terminate", OUTCOME_NO_EFFECT, 1);
	assert_true(aside(&bench, &incident, "terminate")); /* once */
	tear_down(&bench);
}

static void a_person_lifts_it(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct incident incident = about(KIND_MEMORY_EXHAUSTION, "java", "");
	learn(&bench, &incident, "terminate", OUTCOME_FIXED, 4);
	learn(&bench, &incident, "terminate", OUTCOME_NO_EFFECT, 3);
	assert_true(aside(&bench, &incident, "terminate"));
	engine_lift_quarantine(bench.engine, &bench.now, bench.changes);
	assert_false(aside(&bench, &incident, "terminate"));
	assert_int_equal(bench.saved->lessons[0].worked, 4);
	tear_down(&bench);
}

static void the_one_used_longest_ago_falls_off(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	char name[16];
	for (uint32_t i = 0; i < MAX_LESSONS; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		struct incident incident = about(KIND_CPU_EXHAUSTION, name, "");
		learn(&bench, &incident, "limit-cpu", OUTCOME_FIXED, 1);
	}
	struct incident first = about(KIND_CPU_EXHAUSTION, "p0", ""), more = about(KIND_CPU_EXHAUSTION, "more", "");
	learn(&bench, &first, "limit-cpu", OUTCOME_FIXED, 1);
	learn(&bench, &more, "limit-cpu", OUTCOME_FIXED, 1);
	assert_int_equal(bench.saved->lesson_count, MAX_LESSONS);
	assert_string_equal(bench.saved->lessons[MAX_LESSONS - 1].cause, "more");
	assert_string_equal(bench.saved->lessons[MAX_LESSONS - 2].cause, "p0");
	assert_int_equal(bench.saved->lessons[MAX_LESSONS - 2].worked, 2);
	assert_string_equal(bench.saved->lessons[0].cause, "p2"); /* p1 was the oldest */
	tear_down(&bench);
}

/* --- the order of steps -------------------------------------------------------------------------------------------------- */

static uint32_t next(const struct bench *bench, const struct incident *incident, uint32_t tried)
{
	return knowledge_next_step(bench->saved, &bench->config->policies[0], incident, tried, (int64_t)bench->now.boot_ns);
}

/* Steps of other remedies than the registry has today, for what matters here: how destructive they are. */
static void steps_are(struct bench *bench, enum remedy_id a, enum remedy_id b, enum remedy_id c)
{
	struct policy *policy = &bench->config->policies[0];
	policy->steps[0].remedy = a;
	policy->steps[1].remedy = b;
	policy->steps[2].remedy = c;
}

static void written_order_stays_unless_the_policy_says_learned(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct incident incident = about(KIND_MEMORY_EXHAUSTION, "java", "");
	steps_are(&bench, REMEDY_RESTART_UNIT, REMEDY_RESTART_UNIT, REMEDY_TERMINATE);
	learn(&bench, &incident, "terminate", OUTCOME_FIXED, 9);
	assert_int_equal(next(&bench, &incident, 0), 0);
	assert_int_equal(next(&bench, &incident, 1), 1);
	assert_int_equal(next(&bench, &incident, 3), 2);
	assert_int_equal(next(&bench, &incident, 7), 3);
	/* More destructive than its neighbours, it waits for its turn whatever was learned. */
	bench.config->policies[0].order = STEPS_LEARNED;
	assert_int_equal(next(&bench, &incident, 0), 0);
	steps_are(&bench, REMEDY_CLEAN_FILES, REMEDY_TERMINATE, REMEDY_TERMINATE); /* one deletes, the other ends */
	assert_int_equal(next(&bench, &incident, 0), 0);
	learn(&bench, &incident, "clean-files", OUTCOME_FIXED, 9);
	learn(&bench, &incident, "limit-cpu", OUTCOME_FIXED, 20);
	steps_are(&bench, REMEDY_RESTART_UNIT, REMEDY_CLEAN_FILES, REMEDY_LIMIT_CPU); /* nothing is lost, something is; it can be turned back */
	assert_int_equal(next(&bench, &incident, 0), 0);
	assert_int_equal(next(&bench, &incident, 1), 1);
	tear_down(&bench);
}

static void learned_order_changes_places_of_equals(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct incident incident = about(KIND_DISK_EXHAUSTION, "dd", "");
	/* Two rows of the registry that are as destructive as each other. */
	enum remedy_id twin = REMEDY_COUNT;
	for (enum remedy_id i = 0; i < REMEDY_COUNT && twin == REMEDY_COUNT; i++)
		if (i != REMEDY_CLEAN_FILES && remedies[i]->destructive == remedies[REMEDY_CLEAN_FILES]->destructive &&
		    remedies[i]->reversible == remedies[REMEDY_CLEAN_FILES]->reversible && remedies[i]->ends_processes == remedies[REMEDY_CLEAN_FILES]->ends_processes)
			twin = i;
	if (twin == REMEDY_COUNT) {
		print_message("SKIP: no other remedy is as destructive as clean-files\n");
		tear_down(&bench);
		skip();
	}
	bench.config->policies[0].order = STEPS_LEARNED;
	steps_are(&bench, REMEDY_CLEAN_FILES, twin, REMEDY_TERMINATE);
	assert_int_equal(next(&bench, &incident, 0), 0); /* nothing is known: as written */
	learn(&bench, &incident, remedies[twin]->name, OUTCOME_FIXED, 1);
	assert_int_equal(next(&bench, &incident, 0), 1);
	assert_int_equal(next(&bench, &incident, 2), 0);
	assert_int_equal(next(&bench, &incident, 3), 2);
	learn(&bench, &incident, "clean-files", OUTCOME_FIXED, 3);
	assert_int_equal(next(&bench, &incident, 0), 0);
	tear_down(&bench);
}

static void what_is_set_aside_is_passed_over(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct incident incident = about(KIND_MEMORY_EXHAUSTION, "java", "");
	steps_are(&bench, REMEDY_LIMIT_CPU, REMEDY_RESTART_UNIT, REMEDY_TERMINATE);
	learn(&bench, &incident, "limit-cpu", OUTCOME_NO_EFFECT, 3);
	assert_int_equal(next(&bench, &incident, 0), 1);
	learn(&bench, &incident, "terminate", OUTCOME_NO_EFFECT, 3);
	assert_int_equal(next(&bench, &incident, 2), 3); /* the round is over: what is left is set aside */
	tear_down(&bench);
}

/* --- in the engine ------------------------------------------------------------------------------------------------------- */

static void fail_rounds(struct bench *bench, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		assert_int_equal(tick(bench, 24000), 1); /* beyond every hold, and not yet a day */
		uint32_t slot = bench->changes->orders[0];
		assert_null(dispatch(bench, slot));
		answer(bench, slot, OUTCOME_NO_EFFECT);
	}
}

static void one_that_keeps_failing_is_set_aside_and_said(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct policy *policy = &bench.config->policies[0];
	policy->step_count = 1;
	set_finding(&bench, 0, VERDICT_TRUE);
	fail_rounds(&bench, 1);
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_NO_EFFECT);
	const struct action *last = &bench.changes->actions[0];
	assert_string_equal(last->steps[last->step_count - 1].name, "verify");
	assert_memory_equal(last->steps[last->step_count - 1].detail, "ineffective here", 16);
	fail_rounds(&bench, 2);

	const struct incident *incident = &bench.saved->incidents[0];
	bool said = false;
	for (uint32_t i = 0; i < incident->history_count; i++)
		said |= strstr(incident->history[i].why, "restart-unit is set aside for a day") != NULL;
	assert_true(said);
	assert_int_equal(tick(&bench, 24000), 0);
	assert_string_equal(bench.engine->refusals[0], "ineffective-here");
	assert_int_equal(bench.changes->actions[0].outcome, OUTCOME_REFUSED);
	assert_string_equal(bench.changes->actions[0].refused_by, "ineffective-here");

	engine_lift_quarantine(bench.engine, &bench.now, bench.changes);
	assert_int_equal(tick(&bench, 1), 1);
	tear_down(&bench);
}

static void a_round_goes_on_without_what_is_set_aside(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	set_finding(&bench, 0, VERDICT_TRUE);
	bench.config->policies[0].steps[1] = bench.config->policies[0].steps[2];
	bench.config->policies[0].step_count = 2;
	bench.now.kill_switch = true;
	tick(&bench, 1);
	bench.now.kill_switch = false;
	for (int i = 0; i < 3; i++)
		knowledge_learn(bench.saved, &bench.saved->incidents[0], "restart-unit", OUTCOME_NO_EFFECT, &bench.now);
	assert_int_equal(tick(&bench, 1), 1);
	assert_int_equal(bench.engine->orders[bench.changes->orders[0]].remedy, REMEDY_TERMINATE);
	tear_down(&bench);
}

/* By hand, a person tries what the engine would not. */
static void a_hand_is_not_held_back_and_teaches_nothing(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	struct target target = { .type = TARGET_UNIT, .name = "app.service" };
	union remedy_args args = { .unit = { .unit = "app.service", .job_timeout_ns = SECONDS(5) } };
	char why[64];
	uint32_t slot;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(engine_manual(bench.engine, REMEDY_RESTART_UNIT, &target, &args, false, bench.config, &bench.now, &slot, why, sizeof(why), bench.changes), 0);
		assert_null(dispatch(&bench, slot));
		answer(&bench, slot, OUTCOME_NO_EFFECT);
	}
	assert_int_equal(bench.saved->lesson_count, 0);
	tear_down(&bench);
}

/* A restart in the middle of an act: it has had its turn, and the next one follows. */
static void what_was_under_way_at_a_restart_is_not_done_again(void **state)
{
	struct bench bench = set_up(three_steps);
	(void)state;
	set_finding(&bench, 0, VERDICT_TRUE);
	tick(&bench, 1);
	dispatch(&bench, bench.changes->orders[0]);
	answer(&bench, bench.changes->orders[0], OUTCOME_NO_EFFECT);
	tick(&bench, 1);
	uint32_t slot = bench.changes->orders[0];
	assert_string_equal(bench.engine->orders[slot].request.args.unit.unit, "b.service");
	dispatch(&bench, slot);

	memset(bench.engine, 0, sizeof(*bench.engine));
	engine_init(bench.engine, bench.saved);
	assert_int_equal(tick(&bench, 1), 1);
	assert_int_equal(bench.engine->orders[bench.changes->orders[0]].remedy, REMEDY_TERMINATE);
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_failures_in_a_row_set_it_aside),
		cmocka_unit_test(a_person_lifts_it),
		cmocka_unit_test(the_one_used_longest_ago_falls_off),
		cmocka_unit_test(written_order_stays_unless_the_policy_says_learned),
		cmocka_unit_test(learned_order_changes_places_of_equals),
		cmocka_unit_test(what_is_set_aside_is_passed_over),
		cmocka_unit_test(one_that_keeps_failing_is_set_aside_and_said),
		cmocka_unit_test(a_round_goes_on_without_what_is_set_aside),
		cmocka_unit_test(a_hand_is_not_held_back_and_teaches_nothing),
		cmocka_unit_test(what_was_under_way_at_a_restart_is_not_done_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
