/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a systemd unit that is to run and does not, and sees it live and answer. One that starts again by itself is left to systemd. */
#include "remedy.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/policy_table.h"
#include "core/value.h"
#include "remedies/registry.h"
#include "remedies/unit_act.h"

static int look(struct unit_act *act, const struct remedy_request *request, struct remedy_result *result)
{
	int error = unit_look(act, request, result);
	if (error == 0)
		error = unit_look_needs(act);
	if (error == 0 && unit_is_busy(act))
		error = 1;
	if (error == 0 && !unit_is_down(&act->facts)) {
		act_refuse(result, "not-down", "%s is %s (%s): nothing is to be started", act->unit, act->facts.active_state, act->facts.sub_state);
		error = 1;
	}
	return error;
}

static void act_now(struct unit_act *act)
{
	if (unit_is_halted(act) || unit_start_needed(act) < 0)
		return;
	unit_reset(act, act->unit, &act->facts); /* else one over its start limit is not started at all */
	if (!unit_is_halted(act) && unit_job(act, "StartUnit", false) == 0)
		unit_judge(act);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct unit_act act;
	int error = look(&act, request, result);
	if (error == 0) {
		result_plan(result, "start %s, which is %s%s%s", act.unit, act.facts.active_state, act.facts.result[0] ? ": " : "", act.facts.result);
		unit_plan_more(&act);
		if (request->verb == REMEDY_VERB_APPLY)
			act_now(&act);
	}
	return unit_done(&act, error);
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting start_unit_settings[] = {
	{ .name = "unit", .type = VALUE_STRING, .required = true, ARGUMENT(unit.unit), .min = 1,
	  .help = "the unit's full name, such as nginx.service" },
	{ .name = "job_timeout", .type = VALUE_DURATION, ARGUMENT(unit.job_timeout_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC,
	  .initial = "30s", .help = "how long systemd's job may take; one that has not begun by then is cancelled" },
	{ .name = "ready", .type = VALUE_CUSTOM, .read = policy_read_ready, .section = &ready_section, ARGUMENT(unit.ready),
	  .help = "what must answer afterwards; left out: active is ready" },
	{ .name = "ready_within", .type = VALUE_DURATION, ARGUMENT(unit.ready_within_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC, .initial = "30s",
	  .help = "how long after it is active it may take to answer; expect's within ends it, too" },
	{ .name = "start_needed", .type = VALUE_BOOL, ARGUMENT(unit.start_needed), .initial = "false",
	  .help = "what it needs and is down (Requires, BindsTo, Requisite) is reset and started first" },
};
static const struct section arguments = SECTION("start-unit", "Starts a systemd unit that is down.", start_unit_settings);

const struct remedy start_unit = {
	.name = "start-unit",
	.id = REMEDY_START_UNIT,
	.lane = LANE_SLOW,
	.help = "Starts a systemd unit that is inactive or failed, and watches it stay active and answer.",
	.undo = "none is needed: it was to run",
	.aim = AIM_UNIT,
	.applies_to = APPLIES_TO_UNIT,
	.target_argument = "unit",
	.effects = EFFECT_UNIT | EFFECT_WITHIN,
	.expect_example = "{unit: active, within: 30s}",
	.arguments = &arguments,
	.vet = unit_vet,
	.problem = unit_problem,
	.check = unit_check,
	.plan = run,
	.apply = run,
};
