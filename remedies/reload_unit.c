/* SPDX-License-Identifier: Apache-2.0 */
/* Has a systemd unit read its configuration again without a stop; seen by its state, which changes twice, and by the same process. */
#include "remedy.h"

#include <inttypes.h>
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
	if (error)
		return error;
	if (unit_is_busy(act))
		return 1;
	if (!unit_state_is(&act->facts, "active"))
		act_refuse(result, "not-active", "%s is %s (%s): only what runs can be reloaded", act->unit, act->facts.active_state, act->facts.sub_state);
	else if (!act->facts.can_reload)
		act_refuse(result, "cannot-reload", "%s says no ExecReload= and is of no type that reloads", act->unit);
	return result->outcome == OUTCOME_REFUSED;
}

static void act_now(struct unit_act *act)
{
	uint32_t pid = act->facts.main_pid;
	uint64_t changed = act->facts.changed_awake_ns;
	if (unit_is_halted(act) || unit_job(act, "ReloadUnit", false) < 0)
		return;
	unit_judge(act);
	if (act->result->outcome != OUTCOME_FIXED)
		return;
	struct action_step *step = result_step(act->result, "reloaded");
	bool reloaded = act->facts.changed_awake_ns > changed, same = act->facts.main_pid == pid;
	step_end(step, reloaded && same, "%s; main pid %" PRIu32 "%s", reloaded ? "its state went to reloading and back" : "its state did not change", act->facts.main_pid,
		 same ? "" : ", another than before");
	if (reloaded && same)
		return;
	act->result->outcome = OUTCOME_NO_EFFECT;
	snprintf(act->result->why, sizeof(act->result->why), "%s", same ? "systemd did not reload it" : "it ended and was started anew meanwhile");
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct unit_act act;
	int error = look(&act, request, result);
	if (error == 0) {
		result_plan(result, "reload %s, main pid %" PRIu32, act.unit, act.facts.main_pid);
		unit_plan_more(&act);
		if (request->verb == REMEDY_VERB_APPLY)
			act_now(&act);
	}
	return unit_done(&act, error);
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting reload_unit_settings[] = {
	{ .name = "unit", .type = VALUE_STRING, .required = true, ARGUMENT(unit.unit), .min = 1,
	  .help = "the unit's full name, such as nginx.service" },
	{ .name = "job_timeout", .type = VALUE_DURATION, ARGUMENT(unit.job_timeout_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC,
	  .initial = "30s", .help = "how long systemd's job may take; one that has not begun by then is cancelled" },
	{ .name = "ready", .type = VALUE_CUSTOM, .read = policy_read_ready, .section = &ready_section, ARGUMENT(unit.ready),
	  .help = "what must answer afterwards; left out: active is ready" },
	{ .name = "ready_within", .type = VALUE_DURATION, ARGUMENT(unit.ready_within_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC, .initial = "10s",
	  .help = "how long it may take to answer; expect's within ends it, too" },
};
static const struct section arguments = SECTION("reload-unit", "Has a systemd unit read its configuration again.", reload_unit_settings);

const struct remedy reload_unit = {
	.name = "reload-unit",
	.id = REMEDY_RELOAD_UNIT,
	.lane = LANE_SLOW,
	.help = "Has a systemd unit read its configuration again, and watches it stay the same process.",
	.undo = "none: what it read before is not kept",
	.aim = AIM_UNIT,
	.applies_to = APPLIES_TO_UNIT,
	.target_argument = "unit",
	.effects = EFFECT_UNIT | EFFECT_WITHIN,
	.expect_example = "{unit: active, within: 15s}",
	.arguments = &arguments,
	.vet = unit_vet,
	.problem = unit_problem,
	.check = unit_check,
	.plan = run,
	.apply = run,
};
