/* SPDX-License-Identifier: Apache-2.0 */
/* The hands: they answer what they are asked, and refuse whatever a sound sender would never send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "remedies/act.h"

static struct remedy_request request;
static struct remedy_result result;

static void sound(enum remedy_id remedy)
{
	memset(&request, 0, sizeof(request));
	request.verb = REMEDY_VERB_PLAN;
	request.remedy = remedy;
	snprintf(request.action_id, sizeof(request.action_id), "a-17");
	request.deadline_boot_ns = clock_boot_ns() + 5 * NSEC_PER_SEC;
	effect_clear(&request.expect);
	struct clean_files_args *clean = &request.args.clean_files;
	if (remedy == REMEDY_CLEAN_FILES) {
		snprintf(clean->root, PATH_LEN, "/nonexistent/logs");
		snprintf(clean->match[0], NAME_LEN, "*.log");
		clean->match_count = 1;
		clean->max_bytes = 1;
		clean->max_files = 1;
		clean->max_depth = 1;
	}
	struct truncate_open_args *truncate = &request.args.truncate_open;
	if (remedy == REMEDY_TRUNCATE_OPEN) {
		snprintf(truncate->match[0], NAME_LEN, "*.log");
		truncate->match_count = truncate->max_files = 1;
		truncate->min_size = 4096;
		truncate->deleted = true;
	}
	if (remedy == REMEDY_RESTART_UNIT || remedy == REMEDY_START_UNIT || remedy == REMEDY_RELOAD_UNIT || remedy == REMEDY_RESET_FAILED)
		snprintf(request.args.unit.unit, NAME_LEN, "a.service");
	if (remedy == REMEDY_RAISE_CONNTRACK || remedy == REMEDY_RAISE_NEIGHBOURS)
		request.args.raise_limit = (struct raise_limit_args){ .times = 2, .memory_percent = 5, .full_percent = 100, .for_ns = NSEC_PER_SEC };
	if (remedy == REMEDY_RESTART_INTERFACE)
		request.args.restart_interface = (struct restart_interface_args){ .watch_ns = NSEC_PER_SEC, .down_ns = NSEC_PER_SEC };
}

static bool is_invalid(void)
{
	hands_run(&request, &result);
	return result.outcome == OUTCOME_REFUSED && strcmp(result.refused_by, "invalid-request") == 0 && result.why[0];
}

#define REFUSES(remedy_, change_) \
	do { \
		sound(remedy_); \
		assert_false(is_invalid()); \
		change_; \
		if (!is_invalid()) \
			fail_msg("let through: %s", #change_); \
	} while (0)
#define FILL(text_) memset(text_, 'x', sizeof(text_))

static void numbers_out_of_range_are_refused(void **state)
{
	struct clean_files_args *clean = &request.args.clean_files;
	REFUSES(REMEDY_TERMINATE, request.verb = REMEDY_VERB_COUNT);
	REFUSES(REMEDY_TERMINATE, request.verb = (enum remedy_verb)-1);
	REFUSES(REMEDY_TERMINATE, request.remedy = REMEDY_COUNT);
	REFUSES(REMEDY_TERMINATE, request.target.type = TARGET_TYPE_COUNT);
	REFUSES(REMEDY_TERMINATE, request.candidate_count = MAX_CANDIDATES + 1);
	REFUSES(REMEDY_TERMINATE, request.protect.comm_count = MAX_PROTECT + 1);
	REFUSES(REMEDY_TERMINATE, request.args.terminate.scope = (enum terminate_scope)2);
	REFUSES(REMEDY_TERMINATE, request.args.terminate.term_wait_ns = UINT64_MAX);
	REFUSES(REMEDY_RESTART_UNIT, request.args.unit.job_timeout_ns = UINT64_MAX);
	REFUSES(REMEDY_RESTART_UNIT, request.args.unit.ready_within_ns = UINT64_MAX);
	REFUSES(REMEDY_RESTART_UNIT, request.args.unit.back_off_ns = UINT64_MAX);
	REFUSES(REMEDY_RESTART_UNIT, request.args.unit.only_if = RESTART_IF_COUNT);
	REFUSES(REMEDY_START_UNIT, request.args.unit.ready.type = (enum probe_type)4);
	REFUSES(REMEDY_RELOAD_UNIT, (request.args.unit.ready.type = PROBE_TYPE_TCP, request.args.unit.ready.timeout_ns = UINT64_MAX));
	REFUSES(REMEDY_RESET_FAILED, request.args.unit.stop_within_ns = UINT64_MAX);
	REFUSES(REMEDY_RAISE_CONNTRACK, request.args.raise_limit.times = 0.0 / 0.0);
	REFUSES(REMEDY_RAISE_CONNTRACK, request.args.raise_limit.times = 1e9);
	REFUSES(REMEDY_RAISE_CONNTRACK, request.args.raise_limit.memory_percent = 90);
	REFUSES(REMEDY_RAISE_NEIGHBOURS, request.args.raise_limit.full_percent = -1);
	REFUSES(REMEDY_RAISE_NEIGHBOURS, request.args.raise_limit.for_ns = UINT64_MAX);
	REFUSES(REMEDY_RESTART_INTERFACE, request.args.restart_interface.watch_ns = UINT64_MAX);
	REFUSES(REMEDY_RESTART_INTERFACE, request.args.restart_interface.watch_ns = 0);
	REFUSES(REMEDY_RESTART_INTERFACE, request.args.restart_interface.down_ns = UINT64_MAX);
	REFUSES(REMEDY_CLEAN_FILES, clean->match_count = 0);
	REFUSES(REMEDY_CLEAN_FILES, clean->match_count = MAX_MATCH + 1);
	REFUSES(REMEDY_CLEAN_FILES, clean->max_bytes = 0);
	REFUSES(REMEDY_CLEAN_FILES, clean->max_files = 0);
	REFUSES(REMEDY_CLEAN_FILES, clean->max_files = UINT32_MAX);
	REFUSES(REMEDY_CLEAN_FILES, clean->max_depth = 0);
	REFUSES(REMEDY_CLEAN_FILES, clean->max_depth = 33);
	REFUSES(REMEDY_CLEAN_FILES, clean->keep_newest = UINT32_MAX);
}

static void texts_without_end_are_refused(void **state)
{
	struct clean_files_args *clean = &request.args.clean_files;
	REFUSES(REMEDY_TERMINATE, FILL(request.action_id));
	REFUSES(REMEDY_TERMINATE, FILL(request.kill_switch));
	REFUSES(REMEDY_TERMINATE, FILL(request.systemd_bus));
	REFUSES(REMEDY_TERMINATE, FILL(request.target.name));
	REFUSES(REMEDY_TERMINATE, FILL(request.target.device));
	REFUSES(REMEDY_TERMINATE, (request.candidate_count = 8, FILL(request.candidates[7].comm)));
	REFUSES(REMEDY_TERMINATE, (request.candidate_count = 1, FILL(request.candidates[0].cgroup)));
	REFUSES(REMEDY_TERMINATE, (request.protect.unit_count = 32, FILL(request.protect.units[31])));
	REFUSES(REMEDY_TERMINATE, (request.protect.cgroup_count = 1, FILL(request.protect.cgroups[0])));
	REFUSES(REMEDY_RESTART_UNIT, FILL(request.args.unit.unit));
	REFUSES(REMEDY_START_UNIT, (request.args.unit.ready.type = PROBE_TYPE_TCP, FILL(request.args.unit.ready.address)));
	REFUSES(REMEDY_START_UNIT, (request.args.unit.ready.type = PROBE_TYPE_HTTP, FILL(request.args.unit.ready.body)));
	REFUSES(REMEDY_START_UNIT, (request.args.unit.ready.type = PROBE_TYPE_COMMAND, FILL(request.args.unit.ready.argv[7])));
	REFUSES(REMEDY_CLEAN_FILES, FILL(clean->root));
	REFUSES(REMEDY_CLEAN_FILES, FILL(clean->match[0]));
}

static void names_that_are_none_are_refused(void **state)
{
	struct clean_files_args *clean = &request.args.clean_files;
	static const char *const roots[] = { "", "relative", "/a//b", "/a/./b", "/a/../b", "/..", "/a/", "/a/b/.." };
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		REFUSES(REMEDY_CLEAN_FILES, snprintf(clean->root, PATH_LEN, "%s", roots[i]));
	REFUSES(REMEDY_CLEAN_FILES, clean->match[0][0] = '\0');
	REFUSES(REMEDY_CLEAN_FILES, snprintf(clean->match[0], NAME_LEN, "../*"));
	static const char *const unit_names[] = { "", "nosuffix", "a b.service", "a;b.service", "/a.service", "\x1b.service" };
	for (size_t i = 0; i < sizeof(unit_names) / sizeof(unit_names[0]); i++)
		REFUSES(REMEDY_RESTART_UNIT, snprintf(request.args.unit.unit, NAME_LEN, "%s", unit_names[i]));
	REFUSES(REMEDY_RESTART_UNIT, (request.args.unit.ready.type = PROBE_TYPE_COMMAND, snprintf(request.args.unit.ready.argv[0], PATH_LEN, "sh")));
	REFUSES(REMEDY_TERMINATE, snprintf(request.kill_switch, PATH_LEN, "relative"));
}

static void what_would_take_the_content_of_any_file_is_refused(void **state)
{
	struct truncate_open_args *truncate = &request.args.truncate_open;
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->match_count = 0);
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->match_count = MAX_MATCH + 1);
	REFUSES(REMEDY_TRUNCATE_OPEN, snprintf(truncate->match[0], NAME_LEN, "*?*"));
	REFUSES(REMEDY_TRUNCATE_OPEN, snprintf(truncate->match[0], NAME_LEN, "../*.log"));
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->match[0][0] = '\0');
	REFUSES(REMEDY_TRUNCATE_OPEN, FILL(truncate->match[0]));
	REFUSES(REMEDY_TRUNCATE_OPEN, FILL(truncate->below));
	REFUSES(REMEDY_TRUNCATE_OPEN, snprintf(truncate->below, PATH_LEN, "/a/.."));
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->how = (enum truncate_how)2);
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->signal = 3);
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->deleted = false);
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->min_size = 0);
	REFUSES(REMEDY_TRUNCATE_OPEN, truncate->max_files = 33);
}

static void a_bus_that_would_start_a_program_is_refused(void **state)
{
	static const char *const addresses[] = { "unixexec:path=/bin/true", "tcp:host=example", "unix:path=/a;unixexec:path=/bin/true", "machine:host" };
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		REFUSES(REMEDY_RESTART_UNIT, snprintf(request.systemd_bus, PATH_LEN, "%s", addresses[i]));
}

static void a_refusal_still_says_whose_it_is(void **state)
{
	sound(REMEDY_CLEAN_FILES);
	request.args.clean_files.max_depth = 0;
	assert_true(is_invalid());
	assert_string_equal(result.action_id, "a-17");
	assert_int_equal(result.verb, REMEDY_VERB_PLAN);
	assert_int_equal(result.observed.freed_bytes, UNKNOWN);
}

static void the_protected_and_the_absent_are_refused_here_too(void **state)
{
	sound(REMEDY_CLEAN_FILES);
	snprintf(request.args.clean_files.root, PATH_LEN, "/etc");
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "protected-root");
	sound(REMEDY_CLEAN_FILES);
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "no-such-root");
}

static void every_remedy_is_registered_under_its_number(void **state)
{
	for (enum remedy_id id = 0; id < REMEDY_COUNT; id++) {
		assert_int_equal(remedies[id]->id, id);
		assert_ptr_equal(remedy_by_name(remedies[id]->name), remedies[id]);
		assert_true(remedies[id]->help[0] && remedies[id]->undo[0] && remedies[id]->check && remedies[id]->plan && remedies[id]->apply);
	}
	assert_null(remedy_by_name("reboot"));
}

static void the_protected_roots_are_told_by_whole_names(void **state)
{
	static const char *const yes[] = { "/", "/etc", "/etc/nginx", "/usr", "/usr/lib/x", "/var/lib/docker/overlay2", "/var/lib/kubelet", "/home", "/run/x" };
	static const char *const no[] = { "/etcetera", "/home/a/logs", "/usr/local/logs", "/var/lib/app/logs", "/var/log/app", "/data", "/var/lib/dockers" };
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!protected_root(yes[i]))
			fail_msg("%s is not protected", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (protected_root(no[i]))
			fail_msg("%s is protected", no[i]);
}

static void names_are_shown_plainly(void **state)
{
	char buffer[12];
	assert_string_equal(act_shown(buffer, sizeof(buffer), "a\nb\x1b"), "a\\x0ab\\x1b");
	assert_string_equal(act_shown(buffer, sizeof(buffer), "back\\slash"), "back\\x5csla");
	assert_string_equal(act_shown(buffer, sizeof(buffer), "\xff\xff\xff\xff"), "\\xff\\xff");
}

static void steps_and_plan_lines_beyond_the_room(void **state)
{
	memset(&result, 0, sizeof(result));
	for (int i = 0; i < MAX_PLAN_LINES + 3; i++)
		result_plan(&result, "line %d", i);
	for (int i = 0; i < MAX_ACTION_STEPS + 3; i++)
		step_end(result_step(&result, "step"), true, "%d", i);
	assert_int_equal(result.plan_count, MAX_PLAN_LINES);
	assert_int_equal(result.plan_cut, 3);
	assert_int_equal(result.step_count, MAX_ACTION_STEPS);
	assert_string_equal(result.steps[0].detail, "0");
	assert_string_equal(result.steps[MAX_ACTION_STEPS - 1].detail, "14"); /* the end is never what is left out */
}

static void the_worker_answers(void **state)
{
	for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
		struct worker worker;
		hands_init(&worker, lane);
		assert_int_equal(worker_start(&worker), 0);
		for (int i = 0; i < 3; i++) {
			sound(REMEDY_CLEAN_FILES);
			snprintf(request.action_id, sizeof(request.action_id), "a-%d", i);
			assert_int_equal(worker_send(&worker, &request, sizeof(request), clock_boot_ns()), 0);
			struct pollfd answered = { .fd = worker.fd, .events = POLLIN };
			assert_int_equal(poll(&answered, 1, 10000), 1);
			assert_int_equal(worker_receive(&worker, &result, sizeof(result)), 1);
			assert_string_equal(result.action_id, request.action_id);
			assert_string_equal(result.refused_by, "no-such-root");
		}
		worker_stop(&worker);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_out_of_range_are_refused), cmocka_unit_test(texts_without_end_are_refused), cmocka_unit_test(names_that_are_none_are_refused),
		cmocka_unit_test(what_would_take_the_content_of_any_file_is_refused), cmocka_unit_test(a_bus_that_would_start_a_program_is_refused), cmocka_unit_test(a_refusal_still_says_whose_it_is),
		cmocka_unit_test(the_protected_and_the_absent_are_refused_here_too), cmocka_unit_test(every_remedy_is_registered_under_its_number),
		cmocka_unit_test(the_protected_roots_are_told_by_whole_names), cmocka_unit_test(names_are_shown_plainly),
		cmocka_unit_test(steps_and_plan_lines_beyond_the_room), cmocka_unit_test(the_worker_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
