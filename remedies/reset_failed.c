/* SPDX-License-Identifier: Apache-2.0 */
/* Has systemd forget that a unit failed, and so its start limit: for what is started by others, a timer, a socket, a person. */
#include "remedy.h"

#include <stdio.h>
#include <string.h>

#include "core/value.h"
#include "remedies/registry.h"
#include "remedies/unit_act.h"

static void act_now(struct unit_act *act)
{
	if (unit_is_halted(act))
		return;
	unit_reset(act, act->unit, &act->facts);
	int error = manager_facts(act->bus, act->unit, &act->facts);
	if (error < 0) {
		act_fail(act->result, "what became of %s is not known: %s", act->unit, strerror(-error));
		return;
	}
	bool forgotten = !unit_state_is(&act->facts, "failed");
	step_end(result_step(act->result, "state"), forgotten, "%s (%s)", act->facts.active_state, act->facts.sub_state);
	act->result->outcome = forgotten ? OUTCOME_FIXED : OUTCOME_NO_EFFECT;
	if (!forgotten)
		snprintf(act->result->why, sizeof(act->result->why), "%.100s is failed as before", act->unit);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct unit_act act;
	int error = unit_look(&act, request, result);
	if (error == 0 && !unit_state_is(&act.facts, "failed")) {
		act_refuse(result, "not-failed", "%s is %s (%s)", act.unit, act.facts.active_state, act.facts.sub_state);
	} else if (error == 0) {
		result_plan(result, "forget that %s failed: %s", act.unit, act.facts.result);
		if (request->verb == REMEDY_VERB_APPLY)
			act_now(&act);
	}
	return unit_done(&act, error);
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting reset_failed_settings[] = {
	{ .name = "unit", .type = VALUE_STRING, .required = true, ARGUMENT(unit.unit), .min = 1,
	  .help = "the unit's full name, such as backup.service" },
};
static const struct section arguments = SECTION("reset-failed", "Has systemd forget that a unit failed.", reset_failed_settings);

const struct remedy reset_failed = {
	.name = "reset-failed",
	.id = REMEDY_RESET_FAILED,
	.lane = LANE_SLOW,
	.help = "Has systemd forget that a unit failed, so that it may be started again by whoever does that.",
	.undo = "none is needed: nothing of the unit itself is changed",
	.aim = AIM_UNIT,
	.applies_to = APPLIES_TO_UNIT,
	.target_argument = "unit",
	.effects = EFFECT_WITHIN,
	.expect_example = "{clears: true, within: 5s}",
	.arguments = &arguments,
	.vet = unit_vet,
	.problem = unit_problem,
	.check = unit_check,
	.plan = run,
	.apply = run,
};
