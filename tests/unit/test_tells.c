/* SPDX-License-Identifier: Apache-2.0 */
/* What mends nothing and only tells: notify and manual-task, in the hands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"

static struct remedy_request request;
static struct remedy_result result;

static void asked(enum remedy_id remedy)
{
	memset(&request, 0, sizeof(request));
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = remedy;
	request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
	effect_clear(&request.expect);
	snprintf(request.story.incident, ID_LEN, "i-1");
	if (remedy == REMEDY_NOTIFY) {
		snprintf(request.args.notify.to, NAME_LEN, "oncall");
		return;
	}
	struct manual_task_args *args = &request.args.manual_task;
	snprintf(args->title, TASK_TEXT_LEN, "replace the \x1b" "disk");
	snprintf(args->steps[0], TASK_TEXT_LEN, "order one");
	snprintf(args->steps[1], TASK_TEXT_LEN, "swap it");
	args->step_count = 2;
}

static void it_tells_and_does_not_say_that_it_mended(void **state)
{
	asked(REMEDY_NOTIFY);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_TOLD);
	assert_string_equal(outcome_names[result.outcome], "told");
	assert_string_equal(result.steps[0].name, "oncall"); /* the sender goes by it */
	asked(REMEDY_MANUAL_TASK);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_TOLD);
	assert_int_equal(result.plan_count, 3);
	assert_string_equal(result.plan[0], "ask a person: replace the \\x1b" "disk");
	assert_string_equal(result.plan[2], "2. swap it");
}

static void a_plan_tells_nobody(void **state)
{
	for (int i = 0; i < 2; i++) {
		asked(i ? REMEDY_NOTIFY : REMEDY_MANUAL_TASK);
		request.verb = REMEDY_VERB_PLAN;
		hands_run(&request, &result);
		assert_int_equal(result.outcome, OUTCOME_NONE);
		assert_int_equal(result.step_count, 0);
		assert_true(result.plan_count > 0);
	}
}

static void without_an_incident_there_is_nothing_to_tell_of(void **state)
{
	asked(REMEDY_NOTIFY);
	request.story.incident[0] = '\0';
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "no-incident");
}

static void the_kill_switch_stops_telling_too(void **state)
{
	char path[] = "/tmp/nodemend-tells-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	for (int i = 0; i < 2; i++) {
		asked(i ? REMEDY_NOTIFY : REMEDY_MANUAL_TASK);
		snprintf(request.kill_switch, PATH_LEN, "%s", path);
		hands_run(&request, &result);
		assert_int_equal(result.outcome, OUTCOME_REFUSED);
		assert_string_equal(result.refused_by, "kill-switch");
	}
	unlink(path);
}

static void a_strangers_request_is_refused(void **state)
{
	for (int how = 0; how < 6; how++) {
		asked(how < 3 ? REMEDY_NOTIFY : REMEDY_MANUAL_TASK);
		struct manual_task_args *args = &request.args.manual_task;
		switch (how) {
		case 0: memset(request.args.notify.to, 'x', NAME_LEN); break;
		case 1: request.args.notify.to[0] = '\0'; break;
		case 2: snprintf(request.args.notify.to, NAME_LEN, "../x"); break;
		case 3: memset(args->title, 'x', TASK_TEXT_LEN); break;
		case 4: args->step_count = MAX_TASK_STEPS + 1; break;
		case 5: memset(args->steps[1], 'x', TASK_TEXT_LEN); break;
		}
		hands_run(&request, &result);
		assert_int_equal(result.outcome, OUTCOME_REFUSED);
		assert_string_equal(result.refused_by, "invalid-request");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_tells_and_does_not_say_that_it_mended),
		cmocka_unit_test(a_plan_tells_nobody),
		cmocka_unit_test(without_an_incident_there_is_nothing_to_tell_of),
		cmocka_unit_test(the_kill_switch_stops_telling_too),
		cmocka_unit_test(a_strangers_request_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
