/* SPDX-License-Identifier: Apache-2.0 */
/* What was told is remembered over a restart and a reboot, and nothing of what is broken is believed. */
#include <errno.h>

#include "tests/unit/router_bench.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_restart_tells_nothing_again),
		TEST(news_during_a_restart_is_told),
		TEST(old_ends_are_not_news_to_a_first_start),
		TEST(what_the_agent_forgot_ends),
		TEST(a_reboot_carries_times_over),
		TEST(broken_state_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
