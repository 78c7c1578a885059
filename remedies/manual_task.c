/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a person to do what no program may: a title and steps. The agent keeps it until it is closed by hand; here nothing is done. */
#include <stdio.h>
#include <string.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/registry.h"

static void say_plan(const struct manual_task_args *args, struct remedy_result *result)
{
	char shown[PLAN_LINE_LEN];
	result_plan(result, "ask a person: %.200s", act_shown(shown, sizeof(shown), args->title));
	for (uint32_t i = 0; i < args->step_count; i++)
		result_plan(result, "%u. %.200s", i + 1, act_shown(shown, sizeof(shown), args->steps[i]));
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	say_plan(&request->args.manual_task, result);
	if (request->verb == REMEDY_VERB_PLAN)
		return 0;
	const char *halted = act_halted(request);
	if (halted)
		act_refuse(result, halted, "stopped by the %s", halted);
	else
		result->outcome = OUTCOME_TOLD;
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = true;
	return 0;
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting manual_task_settings[] = {
	{ .name = "title", .type = VALUE_STRING, .required = true, ARGUMENT(manual_task.title), .min = 1, .help = "what is to be done, in one sentence" },
	{ .name = "steps", .type = VALUE_LIST, .offset = offsetof(union remedy_args, manual_task.steps), .size = TASK_TEXT_LEN, .room = MAX_TASK_STEPS,
	  .count_offset = offsetof(union remedy_args, manual_task.step_count), .help = "how, in this order" },
};
static const struct section arguments = SECTION("manual-task", "Asks a person; open until `nodemend task close ID`.", manual_task_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct manual_task_args *args = &all->manual_task;
	if (!ENDED(args->title) || !args->title[0])
		return "the title is empty or has no end";
	if (args->step_count > MAX_TASK_STEPS)
		return "more steps than there is room for";
	for (uint32_t i = 0; i < args->step_count; i++)
		if (!ENDED(args->steps[i]))
			return "a step has no end";
	return NULL;
}

const struct remedy manual_task = {
	.name = "manual-task",
	.id = REMEDY_MANUAL_TASK,
	.lane = LANE_SLOW,
	.help = "Asks a person to do what no program may; it stays open until it is closed by hand.",
	.undo = "none is needed: `nodemend task close ID`",
	.tells = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH | APPLIES_TO_UNIT | APPLIES_TO_PROCESS | APPLIES_TO_CGROUP | APPLIES_TO_NODE,
	.expect_example = "",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
