/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of what and when: the rules one by one. */
#include "tests/unit/router_bench.h"

static void waits_and_then_tells_once(void **state)
{
	note("i1", INCIDENT_OPEN);
	assert_false(next());
	assert_true(router_due(router) == now + 10 * S);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	assert_int_equal(message.reason, REASON_NEW);
	assert_true(message.firing);
	note("i1", INCIDENT_OPEN); /* causes changed: no news */
	now += 3 * 60 * MINUTE;
	assert_false(next());
}

static void tells_of_the_end_an_interval_later(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	note("i1", INCIDENT_RESOLVED);
	now += 59 * S;
	assert_false(next());
	now += 1 * S;
	tells("i1", INCIDENT_RESOLVED);
	assert_int_equal(message.reason, REASON_CHANGED);
	assert_int_equal(message.sequence, 1);
	assert_string_equal(message.thread, "i1");
	assert_false(message.firing);
	assert_true(router_due(router) == INT64_MAX);
}

static void what_comes_and_goes_within_the_wait_is_told_as_over(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 2 * S;
	note("i1", INCIDENT_RESOLVED);
	now += 10 * S;
	tells("i1", INCIDENT_RESOLVED);
	assert_false(message.items[0].told_before);
}

static void repeats_what_is_still_so(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	for (int i = 0; i < 3; i++) {
		now += 4 * 60 * MINUTE - 1;
		assert_false(next());
		now += 1;
		assert_true(next());
		assert_int_equal(message.reason, REASON_REPEAT);
		assert_false(message.items[0].news);
		assert_false(next());
	}
}

/* One sick disk does not page ten times: what hangs under another incident is told when it is left behind, or needs a person. */
static void what_hangs_under_another_is_not_told(void **state)
{
	struct notice child = notice_of("i2", "app.service", INCIDENT_OPEN);
	strcpy(child.parent, "i1");
	note("i1", INCIDENT_OPEN);
	router_note(router, &child, now);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	now += 5 * 60 * MINUTE;
	assert_true(next()); /* the root is repeated, alone */
	assert_int_equal(message.count, 1);

	note("i1", INCIDENT_RESOLVED);
	child.parent[0] = '\0';
	router_note(router, &child, now);
	now += MINUTE;
	assert_true(next());
	assert_true(next()); /* the end of one, and the other that goes on by itself */
	assert_false(next());
}

/* A cause that no rule of this output takes hides nothing from it. */
static void what_hangs_under_one_that_is_not_told_here_is_told(void **state)
{
	struct notice child = notice_of("i2", "app.service", INCIDENT_OPEN);
	strcpy(child.parent, "i1");
	router_note(router, &child, now);
	now += 10 * S;
	tells("i2", INCIDENT_OPEN);
}

static void what_comes_to_hang_in_its_wait_is_not_told(void **state)
{
	struct notice child = notice_of("i2", "app.service", INCIDENT_OPEN);
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	router_note(router, &child, now);
	now += 2 * S;
	strcpy(child.parent, "i1");
	router_note(router, &child, now);
	now += 10 * S;
	assert_false(next());
	child.state = INCIDENT_RESOLVED;
	child.resolved_wall_ns = wall();
	router_note(router, &child, now);
	now += 10 * MINUTE;
	assert_false(next());

	child = notice_of("i3", "db.service", INCIDENT_NEEDS_HUMAN);
	strcpy(child.parent, "i1");
	router_note(router, &child, now);
	tells("i3", INCIDENT_NEEDS_HUMAN);
}

static void needs_human_goes_through_at_once(void **state)
{
	struct rule rule = plain_rule;
	rule.severities = 1U << SEVERITY_EMERGENCY;
	rule.states = 1U << INCIDENT_OPEN;
	start(&rule, 1);
	note("i1", INCIDENT_OPEN); /* critical: not asked for */
	now += 60 * MINUTE;
	assert_false(next());
	note("i1", INCIDENT_NEEDS_HUMAN);
	tells("i1", INCIDENT_NEEDS_HUMAN);
	note("i1", INCIDENT_RESOLVED); /* told as trouble, so told as over */
	now += MINUTE;
	tells("i1", INCIDENT_RESOLVED);
}

static void rules_choose_by_kind_severity_policy_and_state(void **state)
{
	struct rule rules[2] = { plain_rule, plain_rule };
	rules[0].kinds = 1U << KIND_DISK_EXHAUSTION;
	rules[0].severities = 1U << SEVERITY_CRITICAL;
	rules[0].states = 1U << INCIDENT_OPEN | 1U << INCIDENT_RESOLVED;
	rules[0].policy_count = 1;
	strcpy(rules[0].policies[0], "data-fills");
	rules[1].kinds = 1U << KIND_CPU_EXHAUSTION;
	start(rules, 2);
	struct notice other = notice_of("i2", "/data", INCIDENT_OPEN), cpu = notice_of("i3", "cpu", INCIDENT_OPEN);
	strcpy(other.policy, "another");
	cpu.kind = KIND_CPU_EXHAUSTION;
	note("i1", INCIDENT_OPEN);
	router_note(router, &other, now);
	router_note(router, &cpu, now);
	assert_int_equal(router->tracked_count, 2);
	assert_int_equal(router->tracked[1].rule, 1);
	now += 10 * S;
	assert_true(next());
	assert_true(next());
	assert_false(next());
	note("i1", INCIDENT_MENDING); /* not in states */
	now += 10 * MINUTE;
	assert_false(next());
	note("i1", INCIDENT_RESOLVED);
	tells("i1", INCIDENT_RESOLVED);
}

static void groups_are_told_together(void **state)
{
	struct rule rule = plain_rule;
	rule.group_by = RULE_GROUP_KIND | RULE_GROUP_SEVERITY;
	start(&rule, 1);
	char id[ID_LEN], resource[40];
	for (int i = 0; i < 25; i++) {
		snprintf(id, sizeof(id), "i%d", i);
		snprintf(resource, sizeof(resource), "/m%d", i);
		struct notice notice = notice_of(id, resource, INCIDENT_OPEN);
		router_note(router, &notice, now);
		now += 100 * S / 1000;
	}
	struct notice other = notice_of("other", "/x", INCIDENT_OPEN);
	other.severity = SEVERITY_WARNING;
	router_note(router, &other, now);

	now = BEGUN + 10 * S;
	assert_true(next());
	assert_int_equal(message.count, MESSAGE_MAX);
	assert_true(next()); /* the rest of them at once */
	assert_int_equal(message.sequence, 1);
	assert_int_equal(message.count, MESSAGE_MAX);
	assert_int_equal(message.cut, 5);
	for (uint32_t i = 0; i < message.count; i++)
		assert_int_equal(message.items[i].news, i < 5);
	assert_false(next());
	now += 10 * S;
	tells("other", INCIDENT_OPEN);

	struct notice over = notice_of("i3", "/m3", INCIDENT_RESOLVED);
	router_note(router, &over, now);
	now += MINUTE;
	assert_true(next());
	assert_string_equal(message.items[0].notice->id, "i3");
	assert_true(message.firing);
	assert_string_equal(message.thread, "i0");
}

/* --- what an act asks to be told ---------------------------------------------------------------------------------------- */

static bool ask(const char *id, enum incident_state state)
{
	struct notice notice = notice_of(id, "/data", state);
	return router_tell(router, &notice, wall(), now);
}

static void what_an_act_asks_is_told_at_once_past_the_rules(void **state)
{
	struct rule deaf = plain_rule;
	deaf.severities = 0;
	start(&deaf, 1);
	note("i1", INCIDENT_OPEN);
	now += 10 * MINUTE;
	assert_false(next());
	assert_true(ask("i1", INCIDENT_OPEN));
	tells("i1", INCIDENT_OPEN);
	note("i1", INCIDENT_OPEN);
	now += MINUTE;
	assert_false(next());
	/* Whatever was told as trouble is told as resolved. */
	note("i1", INCIDENT_RESOLVED);
	tells("i1", INCIDENT_RESOLVED);
}

static void what_an_act_asks_does_not_wait_for_its_group(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += S;
	assert_true(ask("i1", INCIDENT_OPEN));
	assert_true(router_due(router) <= now);
	tells("i1", INCIDENT_OPEN);
	now += S;
	assert_true(ask("i1", INCIDENT_OPEN)); /* told already, and asked for again */
	tells("i1", INCIDENT_OPEN);
}

static void what_an_act_asked_before_is_not_told_again(void **state)
{
	now += S;
	assert_true(ask("i1", INCIDENT_OPEN));
	assert_false(ask("i1", INCIDENT_OPEN)); /* a new sender hears of the same act */
	restart();
	tells("i1", INCIDENT_OPEN); /* it was not told yet */
	restart();
	assert_false(ask("i1", INCIDENT_OPEN));
	assert_false(next());

	start(&plain_rule, 1); /* without a memory: what was before it began */
	struct notice notice = notice_of("i2", "/data", INCIDENT_OPEN);
	assert_false(router_tell(router, &notice, wall() - 1, now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(waits_and_then_tells_once),
		TEST(tells_of_the_end_an_interval_later),
		TEST(what_comes_and_goes_within_the_wait_is_told_as_over),
		TEST(repeats_what_is_still_so),
		TEST(what_hangs_under_another_is_not_told),
		TEST(what_comes_to_hang_in_its_wait_is_not_told),
		TEST(what_hangs_under_one_that_is_not_told_here_is_told),
		TEST(needs_human_goes_through_at_once),
		TEST(rules_choose_by_kind_severity_policy_and_state),
		TEST(groups_are_told_together),
		TEST(what_an_act_asks_is_told_at_once_past_the_rules),
		TEST(what_an_act_asks_does_not_wait_for_its_group),
		TEST(what_an_act_asked_before_is_not_told_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
