/* SPDX-License-Identifier: Apache-2.0 */
/* restart-unit against a systemd that behaves as each test wants: the job's own end is awaited, and active must last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "fake_systemd.h"

enum {
	GOOD, FAILED, EARLY, BAD_JOB, SLOW_JOB, DYING, RESTARTING, MISSING, MASKED, MANUAL, ALIASED, CARRIES_SSHD, CARRIES_APP, SSHD, APP, IDLE_SSHD, CARRIES_IDLE,
	UNIT_COUNT,
};

static const struct fake_unit units[UNIT_COUNT] = {
	[GOOD] = { "good.service", NULL, "loaded", "active", "success", NULL, STARTS, false },
	[FAILED] = { "failed.service", NULL, "loaded", "failed", "start-limit-hit", NULL, STARTS, false },
	[EARLY] = { "early.service", NULL, "loaded", "active", "success", NULL, STARTS_EARLY_SIGNAL, false },
	[BAD_JOB] = { "badjob.service", NULL, "loaded", "failed", "exit-code", NULL, JOB_FAILS, false },
	[SLOW_JOB] = { "slowjob.service", NULL, "loaded", "active", "success", NULL, JOB_HANGS, false },
	[DYING] = { "dying.service", NULL, "loaded", "failed", "exit-code", NULL, DIES_LATER, false },
	[RESTARTING] = { "restarting.service", NULL, "loaded", "active", "exit-code", NULL, STARTED_BY_SYSTEMD, false },
	[MISSING] = { "missing.service", NULL, "not-found", "inactive", "success", NULL, STARTS, false },
	[MASKED] = { "masked.service", NULL, "masked", "inactive", "success", NULL, STARTS, false },
	[MANUAL] = { "manual.service", NULL, "loaded", "active", "success", NULL, STARTS, true },
	[ALIASED] = { "web.service", "dbus-org.freedesktop.x.service", "loaded", "active", "success", NULL, STARTS, false },
	[CARRIES_SSHD] = { "base.service", NULL, "loaded", "active", "success", "sshd.service", STARTS, false },
	[CARRIES_APP] = { "database.service", NULL, "loaded", "active", "success", "app.service", STARTS, false },
	[SSHD] = { "sshd.service", NULL, "loaded", "active", "success", NULL, STARTS, false },
	[APP] = { "app.service", NULL, "loaded", "active", "success", NULL, STARTS, false },
	[IDLE_SSHD] = { "ssh@x.service", NULL, "loaded", "inactive", "success", NULL, STARTS, false },
	[CARRIES_IDLE] = { "quiet.service", NULL, "loaded", "active", "success", "ssh@x.service", STARTS, false },
};

static struct fake_systemd fake;
static struct remedy_request request;
static struct remedy_result result;

static int reset(void **state)
{
	memset(fake.counts, 0, UNIT_COUNT * sizeof(*fake.counts));
	return 0;
}

static void restart(int unit, enum remedy_verb verb)
{
	memset(&request, 0, sizeof(request));
	request.verb = verb;
	request.remedy = REMEDY_RESTART_UNIT;
	request.target.type = TARGET_UNIT;
	snprintf(request.args.restart_unit.unit, NAME_LEN, "%s", units[unit].name);
	request.args.restart_unit.job_timeout_ns = 10 * NSEC_PER_SEC;
	request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
	snprintf(request.systemd_bus, PATH_LEN, "%s", fake.address);
	effect_clear(&request.expect);
}

static void apply(int unit)
{
	restart(unit, REMEDY_VERB_APPLY);
	hands_run(&request, &result);
}

static const struct action_step *step_of(const char *name)
{
	for (uint32_t i = 0; i < result.step_count; i++)
		if (strcmp(result.steps[i].name, name) == 0)
			return &result.steps[i];
	return NULL;
}

static const char *detail_of(const char *name)
{
	const struct action_step *step = step_of(name);
	return step ? step->detail : "";
}

static void refused(int unit, const char *by)
{
	apply(unit);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, by);
	assert_int_equal(fake.counts[unit].restarts, 0);
}

static void waits_for_its_own_job_and_then_for_active(void **state)
{
	apply(GOOD);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.unit_active, 1);
	assert_int_equal(fake.counts[GOOD].restarts, 1);
	assert_string_equal(detail_of("job"), "job of RestartUnit: done");
	assert_null(step_of("reset-failed"));
	/* No more than the moment in which it must stay alive. */
	assert_true(result.observed.within_ns >= NSEC_PER_SEC);
}

static void a_signal_before_the_answer_is_not_lost(void **state)
{
	apply(EARLY);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
}

static void a_failed_unit_is_reset_first(void **state)
{
	apply(FAILED);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(fake.counts[FAILED].resets, 1);
	assert_non_null(strstr(detail_of("reset-failed"), "start-limit-hit"));
}

static void a_failed_job_is_a_failure(void **state)
{
	apply(BAD_JOB);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_non_null(strstr(result.why, "failed"));
	assert_int_not_equal(result.observed.unit_active, 1);
}

static void a_job_without_end_is_cancelled(void **state)
{
	restart(SLOW_JOB, REMEDY_VERB_APPLY);
	request.args.restart_unit.job_timeout_ns = 100 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_int_equal(fake.counts[SLOW_JOB].cancels, 1);
}

static void one_that_dies_at_once_was_not_mended(void **state)
{
	apply(DYING);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_int_equal(result.observed.unit_active, 0);
}

static void one_that_systemd_restarts_again_was_not_mended(void **state)
{
	apply(RESTARTING);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
}

static void what_is_not_there_is_refused(void **state)
{
	refused(MISSING, "unit-not-loaded");
	refused(MASKED, "unit-not-loaded");
	refused(MANUAL, "refuse-manual");
}

static void the_never_list_holds_for_every_name(void **state)
{
	refused(SSHD, "never-list");
	refused(ALIASED, "never-list");
	restart(GOOD, REMEDY_VERB_APPLY);
	request.protect.unit_count = 1;
	snprintf(request.protect.units[0], NAME_LEN, "goo*");
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "never-list");
	assert_int_equal(fake.counts[GOOD].restarts, 0);
}

static void the_never_list_holds_for_what_hangs_on_it(void **state)
{
	refused(CARRIES_SSHD, "never-list");
	apply(CARRIES_IDLE); /* sshd is not running there: nothing of it is restarted */
	assert_int_equal(result.outcome, OUTCOME_FIXED);
}

static void a_plan_says_all_and_does_nothing(void **state)
{
	restart(CARRIES_APP, REMEDY_VERB_PLAN);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_int_equal(result.plan_count, 2);
	assert_non_null(strstr(result.plan[0], "restart database.service, which is active"));
	assert_string_equal(result.plan[1], "and with it app.service");
	assert_int_equal(result.expected.unit_active, 1);
	assert_int_equal(fake.counts[CARRIES_APP].restarts + fake.counts[CARRIES_APP].resets, 0);
}

static void the_kill_switch_stops_it(void **state)
{
	restart(GOOD, REMEDY_VERB_APPLY);
	snprintf(request.kill_switch, PATH_LEN, "/proc/self/status");
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "kill-switch");
	assert_int_equal(fake.counts[GOOD].restarts, 0);
}

static void no_bus_is_said(void **state)
{
	restart(GOOD, REMEDY_VERB_APPLY);
	snprintf(request.systemd_bus, PATH_LEN, "unix:path=/nonexistent/bus");
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_non_null(strstr(result.why, "systemd does not answer"));
	restart(GOOD, REMEDY_VERB_CHECK);
	snprintf(request.systemd_bus, PATH_LEN, "unix:path=/nonexistent/bus");
	hands_run(&request, &result);
	assert_false(result.armed);
	assert_true(result.why[0]);
}

static void is_armed_where_systemd_answers(void **state)
{
	restart(GOOD, REMEDY_VERB_CHECK);
	hands_run(&request, &result);
	assert_true(result.armed);
}

#define TEST(name_) cmocka_unit_test_setup(name_, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(waits_for_its_own_job_and_then_for_active), TEST(a_signal_before_the_answer_is_not_lost), TEST(a_failed_unit_is_reset_first),
		TEST(a_failed_job_is_a_failure), TEST(a_job_without_end_is_cancelled), TEST(one_that_dies_at_once_was_not_mended),
		TEST(one_that_systemd_restarts_again_was_not_mended), TEST(what_is_not_there_is_refused), TEST(the_never_list_holds_for_every_name),
		TEST(the_never_list_holds_for_what_hangs_on_it), TEST(a_plan_says_all_and_does_nothing), TEST(the_kill_switch_stops_it), TEST(no_bus_is_said),
		TEST(is_armed_where_systemd_answers),
	};
	int failed = 0;
	if (fake_start(&fake, units, UNIT_COUNT) < 0)
		printf("SKIP restart-unit: no dbus-daemon to test with\n");
	else
		failed = cmocka_run_group_tests(tests, NULL, NULL);
	fake_stop(&fake);
	return failed;
}
