/* SPDX-License-Identifier: Apache-2.0 */
/* A long random life, in which nothing may be lost or said twice. */
#include "tests/unit/router_bench.h"

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
		TEST(nothing_is_lost_or_said_twice_in_a_long_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
