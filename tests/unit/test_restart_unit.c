/* SPDX-License-Identifier: Apache-2.0 */
/* The remedies on units against a systemd that behaves as each test wants: the job's own end is awaited, active must last, and who is
 * about to do it already, goes round in a loop or is only slow is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "fake_systemd.h"

enum {
	GOOD, FAILED, EARLY, BAD_JOB, SLOW_JOB, DYING, RESTARTING, MISSING, MASKED, MANUAL, ALIASED, CARRIES_SSHD, CARRIES_APP, SSHD, APP, IDLE_SSHD, CARRIES_IDLE,
	WAITING, STARTING, ENDLESS_START, ASKED_FOR, DEAF, SLOW_START, CARRIES_FRAGILE, FRAGILE, NEEDY, NEEDED, SPINS, STILL, UNCOUNTED, LOOPING, GROWN_OLD, DOWN,
	RELOADABLE, UNCHANGED, RELOAD_DIES, HOPELESS,
	UNIT_COUNT,
};

static const struct fake_unit units[UNIT_COUNT] = {
	[GOOD] = { .name = "good.service", .load_state = "loaded", .active_state = "active", .result = "success" },
	[FAILED] = { .name = "failed.service", .load_state = "loaded", .active_state = "failed", .result = "start-limit-hit" },
	[EARLY] = { .name = "early.service", .load_state = "loaded", .active_state = "active", .result = "success", .behaviour = STARTS_EARLY_SIGNAL },
	[BAD_JOB] = { .name = "badjob.service", .load_state = "loaded", .active_state = "failed", .result = "exit-code", .behaviour = JOB_FAILS },
	[SLOW_JOB] = { .name = "slowjob.service", .load_state = "loaded", .active_state = "active", .result = "success", .behaviour = JOB_HANGS },
	[DYING] = { .name = "dying.service", .load_state = "loaded", .active_state = "failed", .result = "exit-code", .behaviour = DIES_LATER },
	[RESTARTING] = { .name = "restarting.service", .load_state = "loaded", .active_state = "active", .result = "exit-code", .behaviour = STARTED_BY_SYSTEMD },
	[MISSING] = { .name = "missing.service", .load_state = "not-found", .active_state = "inactive", .result = "success" },
	[MASKED] = { .name = "masked.service", .load_state = "masked", .active_state = "inactive", .result = "success" },
	[MANUAL] = { .name = "manual.service", .load_state = "loaded", .active_state = "active", .result = "success", .refuses_manual = true },
	[ALIASED] = { .name = "web.service", .alias = "dbus-org.freedesktop.x.service", .load_state = "loaded", .active_state = "active", .result = "success" },
	[CARRIES_SSHD] = { .name = "base.service", .load_state = "loaded", .active_state = "active", .result = "success", .required_by = "sshd.service" },
	[CARRIES_APP] = { .name = "database.service", .load_state = "loaded", .active_state = "active", .result = "success", .required_by = "app.service" },
	[SSHD] = { .name = "sshd.service", .load_state = "loaded", .active_state = "active", .result = "success" },
	[APP] = { .name = "app.service", .load_state = "loaded", .active_state = "active", .result = "success" },
	[IDLE_SSHD] = { .name = "ssh@x.service", .load_state = "loaded", .active_state = "inactive", .result = "success" },
	[CARRIES_IDLE] = { .name = "quiet.service", .load_state = "loaded", .active_state = "active", .result = "success", .required_by = "ssh@x.service" },
	[WAITING] = { .name = "waiting.service", .load_state = "loaded", .active_state = "activating", .result = "exit-code", .sub_state = "auto-restart" },
	[STARTING] = { .name = "starting.service", .load_state = "loaded", .active_state = "activating", .result = "success", .sub_state = "start", .began_ago_s = 20 },
	[ENDLESS_START] = { .name = "endless.service", .load_state = "loaded", .active_state = "activating", .result = "success", .sub_state = "start",
			    .began_ago_s = 20, .start_limit_us = UINT64_MAX },
	[ASKED_FOR] = { .name = "asked.service", .load_state = "loaded", .active_state = "active", .result = "success", .job = 7 },
	[DEAF] = { .name = "deaf.service", .load_state = "loaded", .active_state = "active", .result = "success", .behaviour = STOP_HANGS },
	[SLOW_START] = { .name = "slowstart.service", .load_state = "loaded", .active_state = "failed", .result = "exit-code", .behaviour = START_HANGS },
	[CARRIES_FRAGILE] = { .name = "ground.service", .load_state = "loaded", .active_state = "active", .result = "success", .required_by = "fragile.service" },
	[FRAGILE] = { .name = "fragile.service", .load_state = "loaded", .active_state = "active", .result = "success", .behaviour = FALLS_WITH_BASE },
	[NEEDY] = { .name = "needy.service", .load_state = "loaded", .active_state = "failed", .result = "dependency", .needs = "needed.service" },
	[NEEDED] = { .name = "needed.service", .load_state = "loaded", .active_state = "failed", .result = "start-limit-hit" },
	[SPINS] = { .name = "spins.service", .load_state = "loaded", .active_state = "active", .result = "success", .uses_ns = 100000000 },
	[STILL] = { .name = "still.service", .load_state = "loaded", .active_state = "active", .result = "success", .uses_ns = 1000 },
	[UNCOUNTED] = { .name = "uncounted.service", .load_state = "loaded", .active_state = "active", .result = "success", .uses_ns = UINT64_MAX },
	[LOOPING] = { .name = "looping.service", .load_state = "loaded", .active_state = "active", .result = "success", .restarts = 5, .began_ago_s = 10 },
	[GROWN_OLD] = { .name = "old.service", .load_state = "loaded", .active_state = "active", .result = "success", .restarts = 5, .began_ago_s = 3000 },
	[DOWN] = { .name = "down.service", .load_state = "loaded", .active_state = "inactive", .result = "success" },
	[RELOADABLE] = { .name = "reloads.service", .load_state = "loaded", .active_state = "active", .result = "success", .reloads = true },
	[UNCHANGED] = { .name = "unchanged.service", .load_state = "loaded", .active_state = "active", .result = "success", .reloads = true, .behaviour = RELOADS_NOTHING },
	[RELOAD_DIES] = { .name = "reloaddies.service", .load_state = "loaded", .active_state = "active", .result = "success", .reloads = true,
			  .behaviour = RELOAD_RESTARTS },
	[HOPELESS] = { .name = "hopeless.service", .load_state = "loaded", .active_state = "failed", .result = "exit-code", .behaviour = STAYS_FAILED },
};

static struct fake_systemd fake;
static struct remedy_request request;
static struct remedy_result result;

static char book_dir[] = "/tmp/nodemend-restarts-XXXXXX", book[PATH_LEN];

static int reset(void **state)
{
	char path[PATH_LEN + 16];
	memset(fake.counts, 0, UNIT_COUNT * sizeof(*fake.counts));
	snprintf(path, sizeof(path), "%s/restarts", book_dir);
	(void)unlink(path);
	return 0;
}

static void restart(int unit, enum remedy_verb verb)
{
	memset(&request, 0, sizeof(request));
	request.verb = verb;
	request.remedy = REMEDY_RESTART_UNIT;
	request.target.type = TARGET_UNIT;
	snprintf(request.args.unit.unit, NAME_LEN, "%s", units[unit].name);
	request.args.unit.job_timeout_ns = 10 * NSEC_PER_SEC;
	request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
	snprintf(request.systemd_bus, PATH_LEN, "%s", fake.address);
	effect_clear(&request.expect);
	/* As the tables have them, but for a back-off that no load of the machine outlasts. */
	snprintf(request.lease_book, PATH_LEN, "%s", book);
	request.args.unit.crash_loop = (struct budget){ .count = 5, .per_ns = 600 * NSEC_PER_SEC };
	request.args.unit.back_off_ns = 60 * NSEC_PER_SEC;
	request.args.unit.ready.timeout_ns = 2 * NSEC_PER_SEC;
	request.args.unit.ready_within_ns = 5 * NSEC_PER_SEC;
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

static void outcome_is(enum outcome outcome)
{
	if (result.outcome != outcome)
		fail_msg("%s: outcome %d and not %d: %s %s", request.args.unit.unit, result.outcome, outcome, result.refused_by, result.why);
}

static void refused(int unit, const char *by)
{
	apply(unit);
	outcome_is(OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, by);
	assert_int_equal(fake.counts[unit].restarts, 0);
}

static void waits_for_its_own_job_and_then_for_active(void **state)
{
	apply(GOOD);
	outcome_is(OUTCOME_FIXED);
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
	outcome_is(OUTCOME_FIXED);
}

static void a_failed_unit_is_reset_first(void **state)
{
	apply(FAILED);
	outcome_is(OUTCOME_FIXED);
	assert_int_equal(fake.counts[FAILED].resets, 1);
	assert_non_null(strstr(detail_of("reset-failed"), "start-limit-hit"));
}

static void a_failed_job_is_a_failure(void **state)
{
	apply(BAD_JOB);
	outcome_is(OUTCOME_FAILED);
	assert_non_null(strstr(result.why, "failed"));
	assert_int_not_equal(result.observed.unit_active, 1);
}

static void a_job_without_end_is_cancelled(void **state)
{
	restart(SLOW_JOB, REMEDY_VERB_APPLY);
	request.args.unit.job_timeout_ns = 100 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	outcome_is(OUTCOME_FAILED);
	assert_int_equal(fake.counts[SLOW_JOB].cancels, 1);
}

static void one_that_dies_at_once_was_not_mended(void **state)
{
	apply(DYING);
	outcome_is(OUTCOME_NO_EFFECT);
	assert_int_equal(result.observed.unit_active, 0);
}

static void one_that_systemd_restarts_again_was_not_mended(void **state)
{
	apply(RESTARTING);
	outcome_is(OUTCOME_NO_EFFECT);
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
	outcome_is(OUTCOME_FIXED);
}

static void a_plan_says_all_and_does_nothing(void **state)
{
	restart(CARRIES_APP, REMEDY_VERB_PLAN);
	hands_run(&request, &result);
	outcome_is(OUTCOME_NONE);
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
	outcome_is(OUTCOME_FAILED);
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

/* --- who had better not be restarted -------------------------------------------------------------------------------------- */

static void what_starts_again_by_itself_is_left_to_systemd(void **state)
{
	refused(WAITING, "auto-restart");
	refused(STARTING, "starting");
	refused(ASKED_FOR, "job-pending");
	apply(ENDLESS_START); /* nobody would ever end that start; a job of ours has ten seconds */
	outcome_is(OUTCOME_FIXED);
}

static void a_loop_is_not_helped_by_one_more(void **state)
{
	refused(LOOPING, "crash-loop");
	assert_non_null(strstr(result.why, "5 of them by systemd"));
	apply(GROWN_OLD); /* the same five, of a life of fifty minutes */
	outcome_is(OUTCOME_FIXED);
}

static void each_further_restart_waits_twice_as_long(void **state)
{
	apply(GOOD);
	outcome_is(OUTCOME_FIXED);
	apply(GOOD);
	assert_string_equal(result.refused_by, "back-off");
	assert_int_equal(fake.counts[GOOD].restarts, 1);
	apply(FAILED); /* another unit knows nothing of it */
	outcome_is(OUTCOME_FIXED);

	restart(GOOD, REMEDY_VERB_APPLY);
	request.args.unit.back_off_ns = 500 * NSEC_PER_MSEC; /* it lived for a second meanwhile */
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
	restart(GOOD, REMEDY_VERB_APPLY);
	request.args.unit.back_off_ns = 60 * NSEC_PER_SEC;
	hands_run(&request, &result);
	assert_non_null(strstr(result.why, "not again within 120 s"));
	restart(GOOD, REMEDY_VERB_APPLY);
	request.args.unit.back_off_ns = 0;
	request.args.unit.crash_loop.count = 2;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "crash-loop");
	assert_int_equal(fake.counts[GOOD].restarts, 2);
}

/* Written by nobody who knows how: no reason to forget what is known, nor to fail. */
static void a_book_of_restarts_that_makes_no_sense_is_no_history(void **state)
{
	char path[PATH_LEN + 16], junk[4096];
	snprintf(path, sizeof(path), "%s/restarts", book_dir);
	memset(junk, 'x', sizeof(junk));
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(junk, sizeof(junk), 1, file), 1);
	fclose(file);
	assert_int_equal(chmod(path, 0600), 0);
	apply(GOOD);
	outcome_is(OUTCOME_FIXED);
	assert_null(step_of("note"));
	apply(GOOD);
	assert_string_equal(result.refused_by, "back-off");
	/* One that others may write to says nothing that root goes by. */
	assert_int_equal(chmod(path, 0666), 0);
	apply(GOOD);
	assert_string_equal(result.refused_by, "restart-book");
}

static void one_that_works_is_slow_and_not_stuck(void **state)
{
	restart(SPINS, REMEDY_VERB_APPLY);
	request.args.unit.only_if = RESTART_IF_STUCK;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "working");
	assert_int_equal(fake.counts[SPINS].restarts, 0);
	restart(UNCOUNTED, REMEDY_VERB_APPLY);
	request.args.unit.only_if = RESTART_IF_STUCK;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "unknown-progress");
}

static void one_that_only_waits_is_stuck(void **state)
{
	restart(STILL, REMEDY_VERB_APPLY);
	request.args.unit.only_if = RESTART_IF_STUCK;
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
}

/* --- ready ---------------------------------------------------------------------------------------------------------------- */

struct late_server {
	int fd;
	char address[64];
	pid_t pid;
};

/* Takes connections from the beginning, and answers each `after_ms` later. */
static void serve_late(struct late_server *server, int after_ms)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(here);
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&here, size), 0);
	assert_int_equal(listen(server->fd, 8), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&here, &size), 0);
	snprintf(server->address, sizeof(server->address), "http://127.0.0.1:%u/", ntohs(here.sin_port));
	server->pid = fork();
	if (server->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int peer = accept(server->fd, NULL, NULL);
		usleep((useconds_t)after_ms * 1000);
		(void)!write(peer, "HTTP/1.1 200 OK\r\n\r\n", 19);
		close(peer);
	}
}

static void end_server(struct late_server *server)
{
	close(server->fd);
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
}

static void ask_http(const char *address, uint64_t timeout_ms)
{
	struct probe *ready = &request.args.unit.ready;
	ready->type = PROBE_TYPE_HTTP;
	ready->timeout_ns = timeout_ms * NSEC_PER_MSEC;
	snprintf(ready->address, PATH_LEN, "%s", address);
}

static void a_late_answer_is_an_answer(void **state)
{
	struct late_server server;
	serve_late(&server, 400);
	restart(GOOD, REMEDY_VERB_APPLY);
	ask_http(server.address, 3000);
	request.args.unit.only_if = RESTART_IF_STUCK;
	hands_run(&request, &result); /* four times its timeout: more than there is left */
	assert_string_equal(result.refused_by, "deadline");
	restart(GOOD, REMEDY_VERB_APPLY);
	ask_http(server.address, 100); /* too short for it, which is why it is thought to be stuck */
	request.args.unit.only_if = RESTART_IF_STUCK;
	request.args.unit.patience_ns = 8 * NSEC_PER_SEC;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "working");
	assert_int_equal(fake.counts[GOOD].restarts, 0);
	/* Asked to restart it in any case, and given the time to answer, it is ready. */
	restart(GOOD, REMEDY_VERB_APPLY);
	ask_http(server.address, 2000);
	request.args.unit.only_if = RESTART_IF_ANY;
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
	assert_non_null(strstr(detail_of("ready"), "asked 1 times"));
	end_server(&server);
}

static void active_is_not_ready(void **state)
{
	restart(GOOD, REMEDY_VERB_APPLY);
	ask_http("http://127.0.0.1:1/", 100);
	request.args.unit.ready_within_ns = 700 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	outcome_is(OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "not ready"));
	assert_non_null(strstr(detail_of("ready"), "refused"));
	assert_int_equal(result.observed.unit_active, 0);
}

static void a_command_may_say_whether_it_is_ready(void **state)
{
	struct probe *ready = &request.args.unit.ready;
	restart(GOOD, REMEDY_VERB_APPLY);
	ready->type = PROBE_TYPE_COMMAND;
	snprintf(ready->argv[0], PATH_LEN, "/bin/true");
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the fake's processes, and none of the probe's */
}

/* --- jobs ----------------------------------------------------------------------------------------------------------------- */

static void one_that_does_not_stop_in_its_time_is_killed(void **state)
{
	restart(DEAF, REMEDY_VERB_APPLY);
	request.args.unit.stop_within_ns = 200 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	assert_int_equal(fake.counts[DEAF].kills, 1);
	outcome_is(OUTCOME_FIXED);
	assert_non_null(step_of("kill"));
}

/* A job that was taken from systemd in the middle of a stop would leave the unit down. */
static void a_job_under_way_is_left_to_systemd(void **state)
{
	restart(DEAF, REMEDY_VERB_APPLY);
	request.args.unit.job_timeout_ns = 100 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	assert_int_equal(fake.counts[DEAF].cancels, 0);
	outcome_is(OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "deactivating"));
	restart(SLOW_START, REMEDY_VERB_APPLY);
	request.args.unit.job_timeout_ns = 100 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	assert_int_equal(fake.counts[SLOW_START].cancels, 0);
	assert_non_null(strstr(result.why, "activating"));
	refused(WAITING, "auto-restart");
}

static void what_hangs_on_it_must_come_back_too(void **state)
{
	apply(CARRIES_APP);
	outcome_is(OUTCOME_FIXED);
	assert_non_null(strstr(detail_of("along"), "1 that hang on it are active"));
	apply(CARRIES_FRAGILE);
	outcome_is(OUTCOME_IMPROVED);
	assert_non_null(strstr(result.why, "fragile.service"));
}

static void what_it_needs_is_started_first_where_asked_for(void **state)
{
	apply(NEEDY);
	assert_int_equal(fake.counts[NEEDED].starts, 0);
	assert_non_null(strstr(result.plan[1], "needed.service, which it needs, is down; systemd"));
	(void)reset(state);
	restart(NEEDY, REMEDY_VERB_APPLY);
	request.args.unit.start_needed = true;
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
	assert_true(fake.counts[NEEDED].starts == 1 && fake.counts[NEEDED].resets == 1);
	assert_true(fake.counts[NEEDED].order < fake.counts[NEEDY].order);
	(void)reset(state);
	restart(NEEDY, REMEDY_VERB_APPLY);
	request.args.unit.start_needed = true;
	request.protect.unit_count = 1;
	snprintf(request.protect.units[0], NAME_LEN, "needed*");
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "never-list");
}

/* --- start, reload, reset ------------------------------------------------------------------------------------------------- */

static void do_to(enum remedy_id remedy, int unit)
{
	restart(unit, REMEDY_VERB_APPLY);
	request.remedy = remedy;
	hands_run(&request, &result);
}

static void what_is_down_is_started(void **state)
{
	do_to(REMEDY_START_UNIT, DOWN);
	outcome_is(OUTCOME_FIXED);
	assert_true(fake.counts[DOWN].starts == 1 && fake.counts[DOWN].restarts == 0);
	do_to(REMEDY_START_UNIT, FAILED);
	outcome_is(OUTCOME_FIXED);
	assert_int_equal(fake.counts[FAILED].resets, 1);
	do_to(REMEDY_START_UNIT, GOOD);
	assert_string_equal(result.refused_by, "not-down");
	do_to(REMEDY_START_UNIT, WAITING);
	assert_string_equal(result.refused_by, "auto-restart");
	do_to(REMEDY_START_UNIT, MASKED);
	assert_string_equal(result.refused_by, "unit-not-loaded");
	do_to(REMEDY_START_UNIT, IDLE_SSHD);
	assert_string_equal(result.refused_by, "never-list");
}

static void a_reload_is_seen_or_it_was_none(void **state)
{
	do_to(REMEDY_RELOAD_UNIT, RELOADABLE);
	outcome_is(OUTCOME_FIXED);
	assert_true(fake.counts[RELOADABLE].reloads == 1 && fake.counts[RELOADABLE].restarts == 0);
	do_to(REMEDY_RELOAD_UNIT, UNCHANGED);
	outcome_is(OUTCOME_NO_EFFECT);
	do_to(REMEDY_RELOAD_UNIT, RELOAD_DIES);
	outcome_is(OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "started anew"));
	do_to(REMEDY_RELOAD_UNIT, GOOD);
	assert_string_equal(result.refused_by, "cannot-reload");
	do_to(REMEDY_RELOAD_UNIT, DOWN);
	assert_string_equal(result.refused_by, "not-active");
	assert_int_equal(fake.counts[GOOD].reloads, 0);
}

static void a_failure_is_forgotten(void **state)
{
	do_to(REMEDY_RESET_FAILED, FAILED);
	outcome_is(OUTCOME_FIXED);
	assert_true(fake.counts[FAILED].resets == 1 && fake.counts[FAILED].restarts + fake.counts[FAILED].starts == 0);
	do_to(REMEDY_RESET_FAILED, HOPELESS);
	outcome_is(OUTCOME_NO_EFFECT);
	do_to(REMEDY_RESET_FAILED, GOOD);
	assert_string_equal(result.refused_by, "not-failed");
}

static void plans_of_all_of_them_do_nothing(void **state)
{
	static const enum remedy_id each[] = { REMEDY_RESTART_UNIT, REMEDY_START_UNIT, REMEDY_RELOAD_UNIT, REMEDY_RESET_FAILED };
	static const int units_of[] = { GOOD, DOWN, RELOADABLE, FAILED };
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		restart(units_of[i], REMEDY_VERB_PLAN);
		request.remedy = each[i];
		hands_run(&request, &result);
		outcome_is(OUTCOME_NONE);
		assert_true(result.plan_count > 0);
		const struct fake_counts *counts = &fake.counts[units_of[i]];
		assert_int_equal(counts->restarts + counts->starts + counts->reloads + counts->resets, 0);
		request.verb = REMEDY_VERB_APPLY;
		snprintf(request.kill_switch, PATH_LEN, "/proc/self/status");
		hands_run(&request, &result);
		assert_string_equal(result.refused_by, "kill-switch");
		assert_int_equal(counts->restarts + counts->starts + counts->reloads + counts->resets, 0);
	}
}

/* Most of them wait for a unit to stay active for a second: all at once, each with a systemd of its own. */

#define TEST(name_) cmocka_unit_test_setup(name_, reset)
static const struct CMUnitTest all_tests[] = {
	TEST(waits_for_its_own_job_and_then_for_active), TEST(a_signal_before_the_answer_is_not_lost), TEST(a_failed_unit_is_reset_first),
	TEST(a_failed_job_is_a_failure), TEST(a_job_without_end_is_cancelled), TEST(one_that_dies_at_once_was_not_mended),
	TEST(one_that_systemd_restarts_again_was_not_mended), TEST(what_is_not_there_is_refused), TEST(the_never_list_holds_for_every_name),
	TEST(the_never_list_holds_for_what_hangs_on_it), TEST(a_plan_says_all_and_does_nothing), TEST(the_kill_switch_stops_it), TEST(no_bus_is_said),
	TEST(is_armed_where_systemd_answers), TEST(what_starts_again_by_itself_is_left_to_systemd), TEST(a_loop_is_not_helped_by_one_more),
	TEST(each_further_restart_waits_twice_as_long), TEST(a_book_of_restarts_that_makes_no_sense_is_no_history), TEST(one_that_works_is_slow_and_not_stuck), TEST(one_that_only_waits_is_stuck),
	TEST(a_late_answer_is_an_answer), TEST(active_is_not_ready), TEST(a_command_may_say_whether_it_is_ready),
	TEST(one_that_does_not_stop_in_its_time_is_killed), TEST(a_job_under_way_is_left_to_systemd), TEST(what_hangs_on_it_must_come_back_too),
	TEST(what_it_needs_is_started_first_where_asked_for), TEST(what_is_down_is_started), TEST(a_reload_is_seen_or_it_was_none),
	TEST(a_failure_is_forgotten), TEST(plans_of_all_of_them_do_nothing),
};
enum { TESTS = sizeof(all_tests) / sizeof(all_tests[0]) };

static int run_one(int at)
{
	const struct CMUnitTest tests[] = { all_tests[at] };
	char path[PATH_LEN + 16];
	if (!mkdtemp(book_dir))
		return 1;
	snprintf(book, sizeof(book), "%s/leases", book_dir);
	int failed = fake_start(&fake, units, UNIT_COUNT) < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	fake_stop(&fake);
	snprintf(path, sizeof(path), "%s/restarts", book_dir);
	(void)unlink(path);
	(void)rmdir(book_dir);
	return failed;
}

static bool has_daemon(void)
{
	return access("/usr/bin/dbus-daemon", X_OK) == 0 || access("/bin/dbus-daemon", X_OK) == 0;
}

int main(void)
{
	int failed = 0, status;
	if (!has_daemon()) {
		printf("SKIP remedies on units: no dbus-daemon to test with\n");
		return 0;
	}
	for (int i = 0; i < TESTS; i++)
		if (fork() == 0)
			exit(run_one(i));
	for (int i = 0; i < TESTS; i++)
		failed += wait(&status) < 0 || status != 0;
	return failed;
}
