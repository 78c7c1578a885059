/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of what and when: the rules one by one, and then a long random life in which nothing may be lost or said twice. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "push/router.h"
#include "tests/unit/notice_fixture.h"

#define S ((int64_t)NSEC_PER_SEC)
#define MINUTE (60 * S)
#define ALL (~0U)
#define BEGUN (1000 * S)

static struct router *router;
static struct message message;
static int64_t now;

static int64_t wall(void)
{
	return NOTICE_OPENED_NS - BEGUN + now;
}

static const struct rule plain_rule = { .kinds = ALL, .severities = ALL, .states = ALL, .group_wait_ns = 10 * S, .group_interval_ns = MINUTE,
					.repeat_ns = 4 * 60 * MINUTE, .flap_count = 3, .flap_within_ns = 30 * MINUTE };

static void start(const struct rule *rules, uint32_t count)
{
	now = BEGUN;
	router_init(router, rules, count, wall());
}

static int setup(void **state)
{
	router = calloc(1, sizeof(*router));
	start(&plain_rule, 1);
	return router ? 0 : -1;
}

static int teardown(void **state)
{
	free(router);
	return 0;
}

static struct notice notice_of(const char *id, const char *resource, enum incident_state state)
{
	struct notice notice = make_notice(id, state);
	snprintf(notice.resource, sizeof(notice.resource), "%s", resource);
	notice.resolved_wall_ns = state == INCIDENT_RESOLVED ? wall() : 0;
	return notice;
}

static void note(const char *id, enum incident_state state)
{
	struct notice notice = notice_of(id, "/data", state);
	router_note(router, &notice, now);
}

static bool next(void)
{
	return router_next(router, now, wall(), &message);
}

/* Exactly one message is due, about one incident in this state. */
static void tells(const char *id, enum incident_state state)
{
	assert_true(next());
	assert_int_equal(message.count, 1);
	assert_string_equal(message.items[0].notice->id, id);
	assert_int_equal(message.items[0].notice->state, state);
	assert_true(message.items[0].news);
	assert_false(next());
}

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

/* One cycle of coming and going, with time enough to be told in between. */
static uint32_t cycle(int number, uint32_t *ret_ends)
{
	char id[ID_LEN];
	uint32_t told = 0;
	snprintf(id, sizeof(id), "i%d", number);
	note(id, INCIDENT_OPEN);
	for (int i = 0; i < 4; i++) {
		now += 30 * S;
		if (i == 1)
			note(id, INCIDENT_RESOLVED);
		while (next()) {
			told++;
			*ret_ends += !message.firing;
		}
	}
	return told;
}

static void flapping_is_told_once_and_once_that_it_is_calm(void **state)
{
	uint32_t ends = 0;
	assert_int_equal(cycle(1, &ends), 2);
	assert_int_equal(cycle(2, &ends), 2);
	assert_int_equal(cycle(3, &ends), 3); /* begins, ends, and: it flaps */
	assert_int_equal(ends, 3);
	for (int i = 4; i < 12; i++)
		assert_int_equal(cycle(i, &ends), 0);
	note("urgent", INCIDENT_NEEDS_HUMAN);
	tells("urgent", INCIDENT_NEEDS_HUMAN);
	now += MINUTE;
	note("urgent", INCIDENT_RESOLVED);
	tells("urgent", INCIDENT_RESOLVED);
	now += 30 * MINUTE - 1;
	assert_false(next());
	now += 1;
	assert_true(next());
	assert_true(message.items[0].notice->flapping);
	assert_int_equal(message.items[0].notice->state, INCIDENT_RESOLVED);
	assert_false(next());
	assert_int_equal(cycle(20, &ends), 2); /* from here on as any other */
}

/* A process that dies and is started anew has another pid each time, and what got worse ends by another policy than it began with. */
static void flapping_is_of_a_resource_whoever_says_so(void **state)
{
	uint32_t told = 0;
	for (int i = 1; i < 10; i++) {
		char id[ID_LEN];
		snprintf(id, sizeof(id), "i%d", i);
		struct notice notice = notice_of(id, "worker", INCIDENT_OPEN);
		notice.pid = 100 + i;
		router_note(router, &notice, now);
		now += 20 * S;
		while (next())
			told++;
		notice = notice_of(id, "worker", INCIDENT_RESOLVED);
		notice.pid = 100 + i;
		strcpy(notice.policy, i % 2 ? "worse" : "mild");
		router_note(router, &notice, now);
		now += MINUTE;
		while (next())
			told++;
	}
	assert_int_equal(told, 3 * 2 + 1);
}

static void flapping_for_hours_is_not_repeated(void **state)
{
	uint32_t ends = 0;
	for (int i = 1; i <= 3; i++)
		cycle(i, &ends);
	for (int i = 4; i < 250; i++)
		assert_int_equal(cycle(i, &ends), 0);
	assert_true(now - BEGUN > 8 * 60 * MINUTE);
}

static void what_ends_seldom_does_not_flap(void **state)
{
	uint32_t ends = 0;
	for (int i = 0; i < 8; i++) {
		assert_int_equal(cycle(i, &ends), 2);
		now += 15 * MINUTE;
	}
}

static void what_is_open_when_it_becomes_calm_is_told(void **state)
{
	uint32_t ends = 0;
	for (int i = 1; i < 6; i++)
		cycle(i, &ends);
	note("stays", INCIDENT_OPEN);
	now += 30 * MINUTE;
	assert_true(next());
	assert_true(message.items[0].notice->flapping);
	now += 10 * S;
	tells("stays", INCIDENT_OPEN);
}

static void restart(void)
{
	struct text saved = { 0 };
	assert_int_equal(router_save(router, now, wall(), &saved), 0);
	struct rule rules[ROUTER_RULES];
	uint32_t count = router->rule_count;
	memcpy(rules, router->rules, sizeof(rules));
	router_init(router, rules, count, wall());
	assert_int_equal(router_load(router, saved.data, saved.length, now, wall()), 0);
	text_free(&saved);
}

static void a_restart_tells_nothing_again(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	note("i2", INCIDENT_OPEN);
	now += 10 * S;
	tells("i2", INCIDENT_OPEN);
	note("i2", INCIDENT_RESOLVED);
	now += MINUTE;
	tells("i2", INCIDENT_RESOLVED);
	struct notice over = router->tracked[1].notice;

	restart();
	note("i1", INCIDENT_OPEN); /* as the agent tells a new sender */
	router_note(router, &over, now);
	now += 60 * MINUTE;
	assert_false(next());
	note("i1", INCIDENT_RESOLVED);
	tells("i1", INCIDENT_RESOLVED);
	assert_int_equal(message.sequence, 1);
	assert_string_equal(message.thread, "i1");
}

static void news_during_a_restart_is_told(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	restart();
	now += MINUTE;
	note("i1", INCIDENT_RESOLVED);
	tells("i1", INCIDENT_RESOLVED);
}

static void old_ends_are_not_news_to_a_first_start(void **state)
{
	struct notice old = notice_of("i1", "/data", INCIDENT_RESOLVED);
	old.resolved_wall_ns = wall() - S;
	router_note(router, &old, now);
	now += MINUTE;
	assert_false(next());
}

static void what_the_agent_forgot_ends(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	restart();
	now += (int64_t)ROUTER_ORPHAN_NS;
	tells("i1", INCIDENT_RESOLVED);
	assert_string_equal(message.items[0].notice->why, "the agent no longer knows of it");
}

static void a_reboot_carries_times_over(void **state)
{
	note("i1", INCIDENT_OPEN);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
	struct text saved = { 0 };
	int64_t saved_wall = wall();
	router_save(router, now, saved_wall, &saved);
	now = 5 * S; /* since the new boot, an hour later by the wall */
	assert_int_equal(router_load(router, saved.data, saved.length, now, saved_wall + 60 * MINUTE), 0);
	text_free(&saved);
	note("i1", INCIDENT_OPEN);
	now += 3 * 60 * MINUTE - 1;
	assert_false(next());
	now += 1;
	assert_true(next());
	assert_int_equal(message.reason, REASON_REPEAT);
}

static void broken_state_changes_nothing(void **state)
{
	static const char empty_row[] = "{\"schema\":\"nodemend.router/1\",\"saved_boot_ns\":\"1\",\"saved_wall_ns\":\"1\",\"floor_wall_ns\":\"1\","
					"\"tracked\":[{}],\"groups\":[],\"flaps\":[]}";
	static const char *const broken[] = { "", "[]", "{}", "{\"schema\":\"nodemend.router/1\"}", empty_row };
	note("i1", INCIDENT_OPEN);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(router_load(router, broken[i], strlen(broken[i]), now, wall()), -EINVAL);
	now += 10 * S;
	tells("i1", INCIDENT_OPEN);
}

/* --- a long life ------------------------------------------------------------------------------------------------------ */

enum { SUBJECTS = 12, STEPS = 3000 };

/* What the receiver knows, and what the world is. */
struct subject {
	char id[ID_LEN];
	int number;
	enum incident_state state;       /* resolved: nothing is open */
	enum severity severity;
};
struct heard { char id[ID_LEN]; enum incident_state state; enum severity severity; int64_t at; bool told; };

static struct subject subjects[SUBJECTS];
static struct heard heard[4096];
static uint32_t heard_count;
static uint32_t chance_state;

static uint32_t chance(uint32_t below)
{
	chance_state = chance_state * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)chance_state * below) >> 32);
}

static struct heard *heard_of(const char *id)
{
	for (uint32_t i = heard_count; i-- > 0;)
		if (strcmp(heard[i].id, id) == 0)
			return &heard[i];
	assert_true(heard_count < 4096);
	heard[heard_count] = (struct heard){ 0 };
	strcpy(heard[heard_count].id, id);
	return &heard[heard_count++];
}

/* Between two messages of a group lies its interval, unless a person is needed or one message was not enough. */
static void keeps_the_interval(const struct rule *rule)
{
	static struct { char thread[ID_LEN]; int64_t at; } last[64];
	static uint32_t next_slot;
	bool urgent = false;
	for (uint32_t i = 0; i < message.count; i++)
		urgent |= message.items[i].news && message.items[i].notice->state == INCIDENT_NEEDS_HUMAN;
	uint32_t slot = 0;
	while (slot < 64 && strcmp(last[slot].thread, message.thread) != 0)
		slot++;
	if (message.sequence == 0 || slot == 64)
		slot = slot < 64 ? slot : next_slot++ % 64;
	else
		assert_true(urgent || now == last[slot].at || now - last[slot].at >= (int64_t)rule->group_interval_ns);
	strcpy(last[slot].thread, message.thread);
	last[slot].at = now;
}

static void hear(const struct rule *rule)
{
	assert_true(message.count > 0);
	keeps_the_interval(rule);
	for (uint32_t i = 0; i < message.count; i++) {
		const struct notice *notice = message.items[i].notice;
		struct heard *known = heard_of(notice->id);
		bool same = known->told && known->state == notice->state && known->severity == notice->severity;
		assert_int_equal(message.items[i].news, !same);
		assert_int_equal(message.items[i].told_before, known->told);
		if (message.reason == REASON_REPEAT)
			assert_true(same && now - known->at >= (int64_t)rule->repeat_ns);
		assert_false(known->told && known->state == INCIDENT_RESOLVED); /* an end is the last word */
		known->state = notice->state;
		known->severity = notice->severity;
		known->told = true;
		known->at = now;
	}
}

static void tell_the_world(const struct subject *subject, int index)
{
	char resource[32];
	snprintf(resource, sizeof(resource), "/m%d", index);
	struct notice notice = notice_of(subject->id, resource, subject->state);
	notice.severity = subject->severity;
	router_note(router, &notice, now);
}

static void something_happens(int index)
{
	struct subject *subject = &subjects[index];
	if (subject->state == INCIDENT_RESOLVED) {
		snprintf(subject->id, sizeof(subject->id), "s%d-%d", index, ++subject->number);
		subject->state = INCIDENT_OPEN;
		subject->severity = SEVERITY_WARNING;
	} else if (chance(3) == 0) {
		subject->state = INCIDENT_RESOLVED;
	} else if (chance(4) == 0 && subject->severity < SEVERITY_EMERGENCY) {
		subject->severity++;
	} else {
		static const enum incident_state states[] = { INCIDENT_OPEN, INCIDENT_MENDING, INCIDENT_NEEDS_HUMAN };
		subject->state = states[chance(3)];
	}
	tell_the_world(subject, index);
}

static void the_agent_tells_everything(void)
{
	for (int i = 0; i < SUBJECTS; i++)
		if (subjects[i].id[0])
			tell_the_world(&subjects[i], i);
}

static void live(struct rule rule, uint32_t seed, bool restarts)
{
	chance_state = seed;
	heard_count = 0;
	memset(subjects, 0, sizeof(subjects));
	for (int i = 0; i < SUBJECTS; i++)
		subjects[i].state = INCIDENT_RESOLVED;
	start(&rule, 1);

	for (int step = 0; step < STEPS && heard_count < 4000; step++) {
		/* Bursts, and long quiet times. */
		now += chance(8) ? chance(20) * S : chance(3600) * S;
		if (chance(2))
			something_happens((int)chance(SUBJECTS));
		if (restarts && chance(50) == 0) {
			restart();
			the_agent_tells_everything();
		}
		for (int i = 0; next(); i++) {
			assert_true(i < 40);
			hear(&rule);
		}
		assert_true(router_due(router) > now);
		for (int i = 0; i < SUBJECTS; i++)
			if (subjects[i].state == INCIDENT_NEEDS_HUMAN)
				assert_int_equal(heard_of(subjects[i].id)->state, INCIDENT_NEEDS_HUMAN);
	}

	/* When the world holds still, everybody comes to know of everything, and then hears no more but what is repeated. */
	message.reason = REASON_NEW;
	for (int turns = 0; router_due(router) != INT64_MAX && message.reason != REASON_REPEAT; turns++) {
		assert_true(turns < 1000);
		now = router_due(router) > now ? router_due(router) : now;
		while (next())
			hear(&rule);
	}
	for (int i = 0; i < SUBJECTS; i++) {
		if (!subjects[i].id[0] || subjects[i].state == INCIDENT_RESOLVED)
			continue;
		const struct heard *known = heard_of(subjects[i].id);
		assert_true(known->told);
		assert_int_equal(known->state, subjects[i].state);
		assert_int_equal(known->severity, subjects[i].severity);
	}
	/* And nothing that was told as trouble stays so after it is over. */
	for (uint32_t i = 0; i < heard_count; i++) {
		bool open = false;
		for (int k = 0; k < SUBJECTS; k++)
			open |= strcmp(subjects[k].id, heard[i].id) == 0 && subjects[k].state != INCIDENT_RESOLVED;
		assert_true(open || !heard[i].told || heard[i].state == INCIDENT_RESOLVED);
	}
	assert_int_equal(router->lost, 0);
}

static void nothing_is_lost_or_said_twice_in_a_long_life(void **state)
{
	static const struct rule shapes[] = {
		{ .flap_count = 0 },
		{ .flap_count = 3, .flap_within_ns = 30 * MINUTE },
		{ .group_by = RULE_GROUP_KIND, .flap_count = 2, .flap_within_ns = 10 * MINUTE },
		{ .group_by = RULE_GROUP_SEVERITY | RULE_GROUP_RESOURCE },
		{ .group_by = RULE_GROUP_POLICY, .repeat_ns = 60 * MINUTE },
	};
	for (uint32_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		for (uint32_t seed = 1; seed <= 6; seed++) {
			struct rule rule = shapes[i];
			rule.kinds = rule.severities = rule.states = ALL;
			rule.group_wait_ns = 10 * S;
			rule.group_interval_ns = MINUTE;
			live(rule, seed * 7919 + i, seed % 2 == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(waits_and_then_tells_once, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_of_the_end_an_interval_later, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_and_goes_within_the_wait_is_told_as_over, setup, teardown),
		cmocka_unit_test_setup_teardown(repeats_what_is_still_so, setup, teardown),
		cmocka_unit_test_setup_teardown(needs_human_goes_through_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_choose_by_kind_severity_policy_and_state, setup, teardown),
		cmocka_unit_test_setup_teardown(groups_are_told_together, setup, teardown),
		cmocka_unit_test_setup_teardown(flapping_is_told_once_and_once_that_it_is_calm, setup, teardown),
		cmocka_unit_test_setup_teardown(flapping_is_of_a_resource_whoever_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(flapping_for_hours_is_not_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(what_ends_seldom_does_not_flap, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_open_when_it_becomes_calm_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_tells_nothing_again, setup, teardown),
		cmocka_unit_test_setup_teardown(news_during_a_restart_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(old_ends_are_not_news_to_a_first_start, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_agent_forgot_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reboot_carries_times_over, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_state_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_lost_or_said_twice_in_a_long_life, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
