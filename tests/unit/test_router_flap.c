/* SPDX-License-Identifier: Apache-2.0 */
/* What comes and goes is told of once, and once that it is calm. */
#include "tests/unit/router_bench.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flapping_is_told_once_and_once_that_it_is_calm),
		TEST(flapping_is_of_a_resource_whoever_says_so),
		TEST(flapping_for_hours_is_not_repeated),
		TEST(what_ends_seldom_does_not_flap),
		TEST(what_is_open_when_it_becomes_calm_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
