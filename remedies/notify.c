/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the people behind an output of an incident, whatever the routes say. The hands have no way out to the network: they say that it is to
 * be told, in a step that is named by the output, and the sender, which hears of every act, tells it.
 */
#include <stdio.h>
#include <string.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/registry.h"

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	const char *to = request->args.notify.to;
	result_plan(result, "tell %.90s of it", to);
	if (request->verb == REMEDY_VERB_PLAN)
		return 0;
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return 0;
	}
	if (!request->story.incident[0]) {
		act_refuse(result, "no-incident", "there is no incident to tell of");
		return 0;
	}
	step_end(result_step(result, to), true, "handed to the sender");
	result->outcome = OUTCOME_TOLD;
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = true;
	return 0;
}

static const struct setting notify_settings[] = {
	{ .name = "to", .type = VALUE_STRING, .required = true, MEMBER(union remedy_args, notify.to), .min = 1,
	  .help = "a webhook or mail of `outputs`, by its name" },
};
static const struct section arguments = SECTION("notify", "Tells people at once, whatever the routes say.", notify_settings);

static const char *problem_of(const union remedy_args *args)
{
	const char *to = args->notify.to;
	return !ENDED(args->notify.to) || !to[0] || to[strspn(to, "abcdefghijklmnopqrstuvwxyz0123456789-")] ? "to is no output's name" : NULL;
}

const struct remedy notify = {
	.name = "notify",
	.id = REMEDY_NOTIFY,
	.lane = LANE_SLOW,
	.help = "Tells people of the incident at once, whatever the routes say; it mends nothing.",
	.undo = "none: what was said was said",
	.tells = true,
	.aim = AIM_FOUND,
	.expect_example = "",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
