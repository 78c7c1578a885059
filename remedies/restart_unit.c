/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restarts a systemd unit: a job is queued over D-Bus, its end awaited, and then the unit watched until it has been active, as the
 * same process, for a moment, and answers. systemd itself restarts what hangs on it, in its order; neither the unit nor any of those may be
 * on the never-list. What starts again by itself, goes round in a loop, or is only slow is left alone.
 */
#include "remedy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/policy_table.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/canary.h"
#include "remedies/manager.h"
#include "remedies/registry.h"
#include "remedies/restart_book.h"
#include "remedies/restart_guard.h"
#include "remedies/unit_act.h"

#define CHECK_NS (2 * NSEC_PER_SEC)
enum { SHOWN_LEN = 96 };

/* --- looking -------------------------------------------------------------------------------------------------------------- */

/* 0: may be restarted. 1: refused. -errno: systemd did not answer. */
static int look(struct unit_act *act, const struct remedy_request *request, struct remedy_result *result)
{
	int error = unit_look(act, request, result);
	if (error == 0)
		error = unit_look_along(act);
	if (error == 0)
		error = unit_look_needs(act);
	if (error == 0 && (unit_is_busy(act) || restart_check_loop(act)))
		error = 1;
	return error == 0 ? restart_check_stuck(act) : error;
}

static void say_plan(struct unit_act *act)
{
	char shown[SHOWN_LEN];
	const struct unit_facts *facts = &act->facts;
	result_plan(act->result, "restart %s, which is %s (%s), main pid %" PRIu32 ", restarted %" PRIu32 " times by systemd itself", act->unit,
		    facts->active_state, facts->sub_state, facts->main_pid, facts->restarts);
	for (uint32_t i = 0; i < act->along.count; i++)
		result_plan(act->result, "and with it %s", act_shown(shown, sizeof(shown), act->along.each[i]));
	if (act->args->stop_within_ns && !unit_is_down(facts))
		result_plan(act->result, "what has not stopped within %llu s is killed", act->args->stop_within_ns / NSEC_PER_SEC);
	unit_plan_more(act);
}

/* --- acting --------------------------------------------------------------------------------------------------------------- */

static void note(struct unit_act *act)
{
	if (!act->request->lease_book[0])
		return;
	int error = restarts_note(act->request->lease_book, act->unit, clock_boot_ns());
	if (error < 0)
		step_end(result_step(act->result, "note"), false, "the next one will not know of this restart: %s", strerror(-error));
}

/* 1: each of those that ran is active again; 0: `act->other` is not; -errno. Their jobs come after the unit's own, and are nobody's to wait for
 * but by their states. */
static int await_along(struct unit_act *act, const char **ret_unit)
{
	for (uint32_t i = 0; i < act->along.count;) {
		*ret_unit = act->along.each[i];
		int error = manager_facts(act->bus, act->along.each[i], &act->other);
		if (error < 0)
			return error;
		if (unit_state_is(&act->other, "active") && !act->other.job) {
			i++;
			continue;
		}
		bool settled = unit_is_down(&act->other) && !act->other.job;
		if (settled || clock_boot_ns() >= act->request->deadline_boot_ns)
			return 0;
		error = manager_watch_unit(act->bus, act->other.path);
		if (error >= 0)
			error = manager_process(act->bus, unit_earlier(clock_boot_ns() + NSEC_PER_SEC, act->request->deadline_boot_ns));
		if (error < 0)
			return error;
	}
	return 1;
}

static void judge_along(struct unit_act *act)
{
	char shown[SHOWN_LEN];
	const char *unit = "";
	if (!act->along.count || act->result->outcome != OUTCOME_FIXED)
		return;
	struct action_step *step = result_step(act->result, "along");
	int back = await_along(act, &unit);
	if (back > 0) {
		step_end(step, true, "%" PRIu32 " that hang on it are active again", act->along.count);
		return;
	}
	act_shown(shown, sizeof(shown), unit);
	step_end(step, false, "%s is %s", shown, back < 0 ? "not known" : act->other.active_state);
	act->result->outcome = OUTCOME_IMPROVED;
	snprintf(act->result->why, sizeof(act->result->why), "%.90s, which hangs on it, did not come back", shown);
}

static void act_now(struct unit_act *act)
{
	if (unit_is_halted(act) || unit_start_needed(act) < 0)
		return;
	unit_reset(act, act->unit, &act->facts);
	if (unit_is_halted(act))
		return;
	note(act);
	if (unit_job(act, "RestartUnit", !unit_is_down(&act->facts)) < 0)
		return;
	unit_judge(act);
	judge_along(act);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct unit_act act;
	int error = look(&act, request, result);
	if (error == 0) {
		say_plan(&act);
		if (request->verb == REMEDY_VERB_APPLY)
			act_now(&act);
	}
	return unit_done(&act, error);
}

/* systemd answers; then it is proved on a unit of our own. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	char why[WHY_LEN];
	struct sd_bus *bus = NULL;
	uint64_t until = unit_earlier(clock_boot_ns() + CHECK_NS, request->deadline_boot_ns);
	int error = unit_check(request, result);
	if (error < 0 || !result->armed)
		return error;
	if (manager_connect(request->systemd_bus, until, &bus) == 0)
		canary_judge(canary_unit(bus, until, why), why, result);
	manager_disconnect(bus);
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const char *const only_if_choices[] = { [RESTART_IF_ANY] = "any", [RESTART_IF_STUCK] = "stuck" };

static const struct setting restart_unit_settings[] = {
	{ .name = "unit", .type = VALUE_STRING, .required = true, ARGUMENT(unit.unit), .min = 1,
	  .help = "the unit's full name, such as nginx.service" },
	{ .name = "job_timeout", .type = VALUE_DURATION, ARGUMENT(unit.job_timeout_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC,
	  .initial = "30s", .help = "how long systemd's job may take, its stop apart; one that has not begun by then is cancelled" },
	{ .name = "stop_within", .type = VALUE_DURATION, ARGUMENT(unit.stop_within_ns), .max = 3600.0 * NSEC_PER_SEC, .initial = "0s",
	  .help = "how long it may take to stop before it is killed; 0s: as long as its unit file says" },
	{ .name = "ready", .type = VALUE_CUSTOM, .read = policy_read_ready, .section = &ready_section, ARGUMENT(unit.ready),
	  .help = "what must answer afterwards; left out: the policy's own probe of the unit, else active is ready" },
	{ .name = "ready_within", .type = VALUE_DURATION, ARGUMENT(unit.ready_within_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC, .initial = "30s",
	  .help = "how long after it is active it may take to answer; expect's within ends it, too" },
	{ .name = "only_if", .type = VALUE_CHOICE, ARGUMENT(unit.only_if), CHOICES(only_if_choices),
	  .help = "stuck: not where it works and is only slow; left out: stuck where the policy is about a probe of the unit, else any" },
	{ .name = "patience", .type = VALUE_DURATION, ARGUMENT(unit.patience_ns), .max = 600.0 * NSEC_PER_SEC, .initial = "0s",
	  .help = "stuck: how long ready's answer is waited for one last time; 0s: four times its timeout" },
	{ .name = "start_needed", .type = VALUE_BOOL, ARGUMENT(unit.start_needed), .initial = "false",
	  .help = "what it needs and is down (Requires, BindsTo, Requisite) is reset and started first" },
	{ .name = "crash_loop", .type = VALUE_RATE, ARGUMENT(unit.crash_loop), .min = 1, .max = RESTARTS_KEPT, .initial = "5/10m",
	  .help = "not after so many restarts in this time, whoever did them" },
	{ .name = "back_off", .type = VALUE_DURATION, ARGUMENT(unit.back_off_ns), .max = 86400.0 * NSEC_PER_SEC, .initial = "5s",
	  .help = "not again so soon after a restart of ours; twice as long after each further one within the time of crash_loop" },
};
static const struct section arguments = SECTION("restart-unit", "Restarts a systemd unit and waits for it.", restart_unit_settings);

const struct remedy restart_unit = {
	.name = "restart-unit",
	.id = REMEDY_RESTART_UNIT,
	.lane = LANE_SLOW,
	.help = "Restarts a systemd unit, waits for its job, and watches it stay active and answer.",
	.undo = "none: what it did when it was stopped cannot be taken up again",
	.destructive = false,
	.aim = AIM_UNIT,
	.applies_to = APPLIES_TO_UNIT,
	.target_argument = "unit",
	.effects = EFFECT_UNIT | EFFECT_WITHIN,
	.expect_example = "{unit: active, within: 30s}",
	.arguments = &arguments,
	.vet = unit_vet,
	.problem = unit_problem,
	.check = check,
	.plan = run,
	.apply = run,
};
