/* SPDX-License-Identifier: Apache-2.0 */
/* hook with real programs: what they are told, what their end means, and when they are not run at all. */
#include "victim_fixture.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "core/policy_table.h"

static struct remedy_request request;
static struct remedy_result result;
static char place[64];

static void hook_is(enum remedy_verb verb, const char *script)
{
	memset(&request, 0, sizeof(request));
	remedy_args_defaults(REMEDY_HOOK, &request.args);
	request.verb = verb;
	request.remedy = REMEDY_HOOK;
	request.deadline_boot_ns = clock_boot_ns() + 30 * NSEC_PER_SEC;
	snprintf(request.action_id, sizeof(request.action_id), "a-7");
	snprintf(request.kill_switch, sizeof(request.kill_switch), "%s/stop", place);
	request.target = (struct target){ .type = TARGET_FILESYSTEM, .name = "/data", .device = "/dev/vdb" };
	request.story = (struct remedy_story){ .policy = "data-fills", .incident = "i-3", .kind = KIND_DISK_EXHAUSTION, .severity = SEVERITY_CRITICAL,
					       .signal = { .metric = "m", .value = 0.93, .threshold = 0.9 } };
	effect_clear(&request.expect);
	snprintf(request.args.hook.user, HOOK_USER_LEN, "root");
	request.args.hook.word_count = 4;
	snprintf(request.args.hook.command[0], PATH_LEN, "/bin/sh");
	snprintf(request.args.hook.command[1], PATH_LEN, "-c");
	snprintf(request.args.hook.command[2], PATH_LEN, "%s", script);
	snprintf(request.args.hook.command[3], PATH_LEN, "%s", place);
}

static void run(enum remedy_verb verb, const char *script)
{
	hook_is(verb, script);
	hands_run(&request, &result);
}

static char *read_file(const char *name)
{
	static char text[8192];
	char path[PATH_LEN + NAME_LEN];
	snprintf(path, sizeof(path), "%s/%s", place, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	unlink(path);
	return got < 0 ? NULL : text;
}

/* --- what it is told ----------------------------------------------------------------------------------------------------------- */

static const char *text_at(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static void it_is_told_what_is_wrong_and_who_causes_it(void **state)
{
	hook_is(REMEDY_VERB_APPLY, "cat >$0/told; echo $NODEMEND_MODE $NODEMEND_ACTION $NODEMEND_POLICY $NODEMEND_INCIDENT >$0/named");
	request.candidate_count = 2;
	request.candidates[0] = (struct cause){ .rank = 1, .pid = 42, .comm = "d\"d\n\xff", .cgroup = "/a/\xc3\xa9", .unit = "a.service", .share_permille = 970,
						.evidence = "wrote" };
	request.candidates[1] = (struct cause){ .rank = 2, .cgroup = "/b", .pod = "web-0", .namespace = "prod", .share_permille = 20 };
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_string_equal(read_file("named"), "apply a-7 data-fills i-3\n");

	cJSON *told = cJSON_Parse(read_file("told"));
	assert_non_null(told);
	assert_string_equal(text_at(told, "schema"), "nodemend.hook/1");
	assert_string_equal(text_at(told, "mode"), "apply");
	assert_string_equal(text_at(told, "action"), "a-7");
	assert_string_equal(text_at(told, "policy"), "data-fills");
	assert_string_equal(text_at(told, "incident"), "i-3");
	assert_string_equal(text_at(told, "kind"), "disk_exhaustion");
	assert_string_equal(text_at(told, "severity"), "critical");
	const cJSON *signal = cJSON_GetObjectItem(told, "signal"), *target = cJSON_GetObjectItem(told, "target"), *causes = cJSON_GetObjectItem(told, "causes");
	assert_string_equal(text_at(signal, "metric"), "m");
	assert_true(fabs(cJSON_GetObjectItem(signal, "value")->valuedouble - 0.93) < 1e-9);
	assert_string_equal(text_at(target, "type"), "filesystem");
	assert_string_equal(text_at(target, "name"), "/data");
	assert_int_equal(cJSON_GetArraySize(causes), 2);
	const cJSON *first = cJSON_GetArrayItem(causes, 0), *second = cJSON_GetArrayItem(causes, 1);
	assert_int_equal(cJSON_GetObjectItem(first, "pid")->valueint, 42);
	assert_string_equal(text_at(first, "comm"), "d\"d\n\\xff");
	assert_string_equal(text_at(first, "cgroup"), "/a/\xc3\xa9");
	assert_true(fabs(cJSON_GetObjectItem(first, "share")->valuedouble - 0.97) < 1e-9);
	assert_null(cJSON_GetObjectItem(second, "pid"));
	assert_string_equal(text_at(second, "pod"), "web-0");
	double seconds = cJSON_GetObjectItem(told, "seconds")->valuedouble;
	assert_true(seconds > 1 && seconds <= 30);
	cJSON_Delete(told);
}

/* --- what its end means ------------------------------------------------------------------------------------------------------- */

static void the_exit_code_decides(void **state)
{
	static const struct { const char *script; enum outcome outcome; const char *refused_by, *why; } ends[] = {
		{ "exit 0", OUTCOME_FIXED, "", "" },
		{ "exit 3", OUTCOME_NO_EFFECT, "", "" },
		{ "echo 'not now'; exit 4", OUTCOME_REFUSED, "hook", "not now" },
		{ "echo 'no rights' >&2; exit 1", OUTCOME_FAILED, "", "exit 1: no rights" },
		{ "exit 2", OUTCOME_FAILED, "", "exit 2" },
		{ "exit 127", OUTCOME_FAILED, "", "exit 127" },
		{ "kill -9 $$", OUTCOME_FAILED, "", "it ended by signal 9" },
		{ "echo '{\"outcome\":\"fixed\"}'; exit 1", OUTCOME_FAILED, "", "exit 1" },
		{ "echo '{\"outcome\":\"no_effect\",\"say\":\"nothing to do\"}'", OUTCOME_NO_EFFECT, "", "nothing to do" },
		{ "echo '{\"outcome\":\"improved\"}'", OUTCOME_IMPROVED, "", "" },
		{ "echo '{\"outcome\":\"refused\",\"say\":\"not \\u0001 here\"}'", OUTCOME_REFUSED, "hook", "not \\x01 here" },
		{ "echo '{\"outcome\":\"rolled_back\"}'", OUTCOME_FIXED, "", "" },
		{ "echo '{\"outcome\":7, no JSON'", OUTCOME_FIXED, "", "" },
	};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		run(REMEDY_VERB_APPLY, ends[i].script);
		if (result.outcome != ends[i].outcome)
			print_message("%s: %s, %s\n", ends[i].script, outcome_names[result.outcome], result.why);
		assert_int_equal(result.outcome, ends[i].outcome);
		assert_string_equal(result.refused_by, ends[i].refused_by);
		assert_string_equal(result.why, ends[i].why);
	}
}

static void what_it_observed_is_taken_on_its_word(void **state)
{
	run(REMEDY_VERB_APPLY, "echo '{\"observed\":{\"freed_bytes\":1048576,\"exited\":2,\"freed_files\":-1},\"say\":\"gone\"}'");
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.freed_bytes, 1048576);
	assert_int_equal(result.observed.exited, 2);
	assert_int_equal(result.observed.freed_files, UNKNOWN);
	assert_string_equal(result.steps[0].detail, "exit 0: gone");
	assert_true(result.steps[0].ok);
}

static void one_that_does_not_end_has_failed(void **state)
{
	for (uint64_t ns = 100 * NSEC_PER_MSEC; ns < 60 * NSEC_PER_SEC; ns *= 2) { /* until it has begun: the machine may be slow */
		hook_is(REMEDY_VERB_APPLY, "trap '' TERM; sleep 3600 & echo >$0/begun; while :; do sleep 1; done");
		request.deadline_boot_ns = clock_boot_ns() + 2 * ns;
		request.args.hook.timeout_ns = ns;
		hands_run(&request, &result);
		if (read_file("begun"))
			break;
	}
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_string_equal(result.why, "it was not done in its time");
	assert_non_null(strstr(result.steps[0].detail, "were ended"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, no zombie */
}

static void the_promised_time_holds_too(void **state)
{
	hook_is(REMEDY_VERB_APPLY, "sleep 3600");
	request.deadline_boot_ns = clock_boot_ns() + 100 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_string_equal(result.why, "it was not done in its time");
}

static void it_runs_as_whom_it_is_told(void **state)
{
	hook_is(REMEDY_VERB_APPLY, "id -un");
	snprintf(request.args.hook.user, HOOK_USER_LEN, "nobody");
	hands_run(&request, &result);
	assert_string_equal(result.steps[0].detail, "exit 0: nobody");
	snprintf(request.args.hook.user, HOOK_USER_LEN, "no-such-user-here");
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "no-such-user");
}

/* --- when it is not run ------------------------------------------------------------------------------------------------------- */

static void a_plan_runs_nothing_that_does_not_know_plans(void **state)
{
	run(REMEDY_VERB_PLAN, "touch $0/ran");
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_null(read_file("ran"));
	assert_int_equal(result.plan_count, 2);
	assert_non_null(strstr(result.plan[0], "run as root: /bin/sh -c touch"));
	assert_non_null(strstr(result.plan[1], "dry_run: true"));
}

static void one_that_knows_plans_is_asked_for_its_own(void **state)
{
	hook_is(REMEDY_VERB_PLAN, "[ $NODEMEND_MODE = plan ] && grep -q '\"mode\":\"plan\"' && echo '{\"plan\":[\"first\",\"th\\u001ben\",3],\"outcome\":\"fixed\"}'");
	request.args.hook.dry_run = true;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_NONE); /* it has done nothing */
	assert_int_equal(result.plan_count, 3);
	assert_string_equal(result.plan[1], "first");
	assert_string_equal(result.plan[2], "th\\x1ben");

	hook_is(REMEDY_VERB_PLAN, "exit 4");
	request.args.hook.dry_run = true;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
}

static void the_kill_switch_stops_it(void **state)
{
	hook_is(REMEDY_VERB_APPLY, "touch $0/ran");
	int fd = open(request.kill_switch, O_CREAT | O_WRONLY, 0600);
	close(fd);
	hands_run(&request, &result);
	unlink(request.kill_switch);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "kill-switch");
	assert_null(read_file("ran"));
}

static void a_program_that_others_may_write_is_refused(void **state)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/open", place);
	int fd = open(path, O_CREAT | O_WRONLY, 0755);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chmod(path, 0777), 0);
	hook_is(REMEDY_VERB_APPLY, "");
	snprintf(request.args.hook.command[0], PATH_LEN, "%s", path);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "unsafe-program");

	char why[VALUE_WHY_LEN];
	assert_int_equal(remedy_args_check(REMEDY_HOOK, &request.args, 1, why), -EINVAL);
	assert_non_null(strstr(why, "writable by nobody else"));
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(remedy_args_check(REMEDY_HOOK, &request.args, 1, why), 0);
	unlink(path);
	assert_int_equal(remedy_args_check(REMEDY_HOOK, &request.args, 1, why), 0); /* not there yet */
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	snprintf(request.args.hook.command[0], PATH_LEN, "mend");
	assert_int_equal(remedy_args_check(REMEDY_HOOK, &request.args, 1, why), -EINVAL);
}

static void spoil(int how)
{
	struct hook_args *args = &request.args.hook;
	switch (how) {
	case 0: args->word_count = 0; break;
	case 1: args->word_count = MAX_HOOK_WORDS + 1; break;
	case 2: memset(args->command[2], 'x', PATH_LEN); break;
	case 3: snprintf(args->command[0], PATH_LEN, "/bin/../bin/sh"); break;
	case 4: memset(args->user, 'x', HOOK_USER_LEN); break;
	case 5: args->user[0] = '\0'; break;
	case 6: args->timeout_ns = 0; break;
	case 7: args->timeout_ns = 3600 * NSEC_PER_SEC; break;
	case 8: args->memory_bytes = 0; break;
	case 9: args->tasks = 0; break;
	case 10: *(unsigned char *)&args->dry_run = 2; break;
	case 11: memset(request.story.policy, 'x', NAME_LEN); break;
	case 12: request.story.kind = KIND_COUNT; break;
	}
}

static void a_strangers_request_is_refused(void **state)
{
	for (int how = 0; how <= 12; how++) {
		hook_is(REMEDY_VERB_APPLY, "touch $0/ran");
		spoil(how);
		hands_run(&request, &result);
		assert_int_equal(result.outcome, OUTCOME_REFUSED);
		assert_string_equal(result.refused_by, "invalid-request");
		assert_null(read_file("ran"));
	}
}

static int make_place(void **state)
{
	snprintf(place, sizeof(place), "/var/lib/nodemend-test-XXXXXX");
	return !mkdtemp(place) || chmod(place, 0755) < 0 ? -1 : 0;
}

static int remove_place(void **state)
{
	return rmdir(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_told_what_is_wrong_and_who_causes_it),
		cmocka_unit_test(the_exit_code_decides),
		cmocka_unit_test(what_it_observed_is_taken_on_its_word),
		cmocka_unit_test(one_that_does_not_end_has_failed),
		cmocka_unit_test(the_promised_time_holds_too),
		cmocka_unit_test(it_runs_as_whom_it_is_told),
		cmocka_unit_test(a_plan_runs_nothing_that_does_not_know_plans),
		cmocka_unit_test(one_that_knows_plans_is_asked_for_its_own),
		cmocka_unit_test(the_kill_switch_stops_it),
		cmocka_unit_test(a_program_that_others_may_write_is_refused),
		cmocka_unit_test(a_strangers_request_is_refused),
	};
	if (geteuid() != 0) {
		print_message("SKIP test_hook: root is needed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, make_place, remove_place);
}
