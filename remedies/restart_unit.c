/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restarts a systemd unit: a job is queued over D-Bus, its end awaited, and then the unit watched until it has been active, as the
 * same process, for a moment. Neither the unit nor anything that would be restarted along with it may be on the never-list.
 */
#include "remedy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/unit_name.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/canary.h"
#include "remedies/manager.h"
#include "remedies/registry.h"

/* A service that dies at once is active for as long as its first instructions take; systemd's own RestartSec is 100 ms. */
#define STABLE_NS NSEC_PER_SEC
#define CHECK_NS (2 * NSEC_PER_SEC)
#define JOB_DEFAULT_NS (30 * NSEC_PER_SEC)
enum { REASON_LEN = 160, SHOWN_LEN = 96 };

struct restart {
	const struct remedy_request *request;
	struct remedy_result *result;
	struct sd_bus *bus;
	const char *unit;
	struct unit_facts facts, other; /* of the unit; of one that hangs on it */
	struct unit_names along;        /* all that would be restarted as well */
};

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* --- looking -------------------------------------------------------------------------------------------------------------- */

static const char *protected_name(const struct restart *restart, const struct unit_names *names, char *buffer, size_t size)
{
	for (uint32_t i = 0; i < names->count; i++) {
		const char *rule = protect_unit(&restart->request->protect, names->each[i], buffer, size);
		if (rule)
			return rule;
	}
	return NULL;
}

static bool contains(const struct unit_names *names, const char *name)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (strcmp(names->each[i], name) == 0)
			return true;
	return false;
}

static void add_new(struct unit_names *to, const struct unit_names *from)
{
	to->cut |= from->cut;
	for (uint32_t i = 0; i < from->count; i++) {
		if (contains(to, from->each[i]))
			continue;
		if (to->count == MAX_UNIT_NAMES) {
			to->cut = true;
			return;
		}
		memcpy(to->each[to->count++], from->each[i], NAME_LEN);
	}
}

/* Breadth first over what hangs on the unit; what is not active is not restarted, and stands in nobody's way. */
static int look_along(struct restart *restart)
{
	struct unit_names *along = &restart->along;
	add_new(along, &restart->facts.bound);
	for (uint32_t i = 0; i < along->count;) {
		int error = manager_facts(restart->bus, along->each[i], &restart->other);
		if (error < 0)
			return error;
		if (strcmp(restart->other.active_state, "inactive") == 0 || strcmp(restart->other.active_state, "failed") == 0) {
			along->count--;
			memmove(along->each[i], along->each[i + 1], (along->count - i) * sizeof(along->each[0]));
			continue;
		}
		add_new(along, &restart->other.bound);
		i++;
	}
	return 0;
}

static void refuse_for(struct restart *restart)
{
	const struct unit_facts *facts = &restart->facts;
	struct remedy_result *result = restart->result;
	char buffer[REASON_LEN];
	const char *rule;
	if (strcmp(facts->load_state, "loaded") != 0)
		act_refuse(result, "unit-not-loaded", "%s is %s", restart->unit, facts->load_state);
	else if ((rule = protected_name(restart, &facts->names, buffer, sizeof(buffer))))
		act_refuse(result, "never-list", "%s: %s", restart->unit, rule);
	else if (!facts->may_start)
		act_refuse(result, "refuse-manual", "%s refuses to be started or stopped by hand", restart->unit);
	else if (facts->names.cut || restart->along.cut)
		act_refuse(result, "too-many-units", "more units hang on %s than are looked at", restart->unit);
	else if ((rule = protected_name(restart, &restart->along, buffer, sizeof(buffer))))
		act_refuse(result, "never-list", "a unit that hangs on %s is protected: %s", restart->unit, rule);
}

/* 0: may be restarted. 1: refused. -errno: systemd did not answer. */
static int look(struct restart *restart)
{
	char buffer[REASON_LEN];
	const char *rule = protect_unit(&restart->request->protect, restart->unit, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(restart->result, "never-list", "%s: %s", restart->unit, rule);
		return 1;
	}
	int error = manager_connect(restart->request->systemd_bus, restart->request->deadline_boot_ns, &restart->bus);
	if (error == 0)
		error = manager_facts(restart->bus, restart->unit, &restart->facts);
	if (error == 0 && strcmp(restart->facts.load_state, "loaded") == 0)
		error = look_along(restart);
	if (error < 0)
		return error;
	refuse_for(restart);
	return restart->result->outcome == OUTCOME_REFUSED;
}

static void say_plan(struct restart *restart)
{
	char shown[SHOWN_LEN];
	const struct unit_facts *facts = &restart->facts;
	result_plan(restart->result, "restart %s, which is %s (%s), main pid %" PRIu32 ", restarted %" PRIu32 " times by systemd itself", restart->unit,
		    facts->active_state, facts->sub_state, facts->main_pid, facts->restarts);
	for (uint32_t i = 0; i < restart->along.count; i++)
		result_plan(restart->result, "and with it %s", act_shown(shown, sizeof(shown), restart->along.each[i]));
	restart->result->expected.unit_active = 1;
}

/* --- acting --------------------------------------------------------------------------------------------------------------- */

static int run_job(struct restart *restart)
{
	uint64_t wait = restart->request->args.restart_unit.job_timeout_ns;
	uint64_t until = earlier(clock_boot_ns() + (wait ? wait : JOB_DEFAULT_NS), restart->request->deadline_boot_ns);
	struct job_watch watch;
	struct action_step *step = result_step(restart->result, "job");
	int error = manager_watch_jobs(restart->bus, &watch);
	if (error == 0)
		error = manager_restart(restart->bus, restart->unit, &watch);
	while (error == 0 && !watch.result[0]) {
		error = manager_process(restart->bus, until);
		if (error >= 0)
			error = clock_boot_ns() >= until && !watch.result[0] ? -ETIME : 0;
	}
	if (error < 0) {
		int cancelled = watch.path[0] ? manager_cancel(restart->bus, &watch) : 0;
		step_end(step, false, "job of RestartUnit: %s%s", error == -ETIME ? "not over in time" : strerror(-error),
			 !watch.path[0] ? "" : cancelled == 0 ? "; cancelled" : "; it could not be cancelled");
		act_fail(restart->result, "the restart of %s did not come to its end: %s", restart->unit, strerror(-error));
		return error;
	}
	bool done = strcmp(watch.result, "done") == 0;
	step_end(step, done, "job of RestartUnit: %s", watch.result);
	if (!done)
		act_fail(restart->result, "the job to restart %s ended as: %s", restart->unit, watch.result);
	return done ? 0 : -EIO;
}

static bool is_on_its_way(const struct unit_facts *facts)
{
	return strcmp(facts->active_state, "activating") == 0 || strcmp(facts->active_state, "reloading") == 0 ||
	       strcmp(facts->active_state, "deactivating") == 0;
}

/* 1: active, and as the same process for STABLE_NS. 0: not. -errno. The moment may pass the deadline: it is no new work. */
static int watch_it_live(struct restart *restart)
{
	struct unit_facts *facts = &restart->facts;
	uint32_t pid = 0, restarts = 0;
	uint64_t active_since = 0, deadline = restart->request->deadline_boot_ns;
	int error = manager_watch_unit(restart->bus, facts->path);
	while (error >= 0) {
		error = manager_facts(restart->bus, restart->unit, facts);
		if (error < 0)
			break;
		uint64_t now = clock_boot_ns();
		if (strcmp(facts->active_state, "active") == 0) {
			if (active_since && (facts->main_pid != pid || facts->restarts != restarts))
				return 0; /* it died, and systemd started it again */
			active_since = active_since ? active_since : now;
			pid = facts->main_pid;
			restarts = facts->restarts;
		} else if (active_since || !is_on_its_way(facts)) {
			return 0;
		}
		if (active_since && now >= active_since + STABLE_NS)
			return 1;
		if (!active_since && now >= deadline)
			return 0;
		error = manager_process(restart->bus, active_since ? active_since + STABLE_NS : deadline);
	}
	return error;
}

static void judge(struct restart *restart, int lives)
{
	const struct unit_facts *facts = &restart->facts;
	struct remedy_result *result = restart->result;
	struct action_step *step = result_step(result, "active");
	result->observed.unit_active = lives > 0;
	if (lives < 0) {
		step_end(step, false, "systemd does not answer: %s", strerror(-lives));
		act_fail(result, "what became of %s is not known: %s", restart->unit, strerror(-lives));
		return;
	}
	step_end(step, lives > 0, "%s (%s%s%s), main pid %" PRIu32, facts->active_state, facts->sub_state, facts->result[0] ? ", " : "", facts->result,
		 facts->main_pid);
	result->outcome = lives ? OUTCOME_FIXED : OUTCOME_NO_EFFECT;
	if (!lives)
		snprintf(result->why, sizeof(result->why), "it did not stay active: %.40s, %.40s", facts->active_state, facts->result);
}

static bool is_halted(struct restart *restart)
{
	const char *halted = act_halted(restart->request);
	if (halted)
		act_refuse(restart->result, halted, "stopped by the %s", halted);
	return halted != NULL;
}

static void act(struct restart *restart)
{
	if (is_halted(restart))
		return;
	if (strcmp(restart->facts.active_state, "failed") == 0) { /* else a unit over its start limit is not started at all */
		struct action_step *step = result_step(restart->result, "reset-failed");
		int error = manager_reset_failed(restart->bus, restart->unit);
		step_end(step, error == 0, "it had failed: %s", error == 0 ? restart->facts.result : strerror(-error));
	}
	if (!is_halted(restart) && run_job(restart) == 0)
		judge(restart, watch_it_live(restart));
}

/* --- the remedy ----------------------------------------------------------------------------------------------------------- */

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct restart restart = { .request = request, .result = result, .unit = request->args.restart_unit.unit };
	int error = look(&restart);
	if (error == 0) {
		say_plan(&restart);
		if (request->verb == REMEDY_VERB_APPLY)
			act(&restart);
	} else if (error < 0) {
		snprintf(result->why, sizeof(result->why), "systemd does not answer: %s", strerror(-error));
	}
	manager_disconnect(restart.bus);
	return error < 0 ? error : 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	char version[NAME_LEN], why[WHY_LEN];
	struct sd_bus *bus = NULL;
	int error = manager_connect(request->systemd_bus, earlier(clock_boot_ns() + CHECK_NS, request->deadline_boot_ns), &bus);
	if (error == 0)
		error = manager_version(bus, version, sizeof(version));
	result->armed = error == 0;
	if (error < 0)
		snprintf(result->why, sizeof(result->why), "systemd does not answer: %s", strerror(-error));
	else
		canary_judge(canary_unit(bus, earlier(clock_boot_ns() + CHECK_NS, request->deadline_boot_ns), why), why, result);
	manager_disconnect(bus);
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting restart_unit_settings[] = {
	{ .name = "unit", .type = VALUE_STRING, .required = true, ARGUMENT(restart_unit.unit), .min = 1,
	  .help = "the unit's full name, such as nginx.service" },
	{ .name = "job_timeout", .type = VALUE_DURATION, ARGUMENT(restart_unit.job_timeout_ns), .min = NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC,
	  .initial = "30s",
	  .help = "how long systemd's job may take; after it the job is cancelled" },
};
static const struct section arguments = SECTION("restart-unit", "Restarts a systemd unit and waits for it.", restart_unit_settings);

/* A slice, a scope or a target is many things at once, and a device is nobody's to restart. */
static const char *restart_problem(const char *name)
{
	const char *problem = unit_name_problem(name);
	if (problem)
		return problem;
	const char *suffix = unit_suffix(name);
	if (strcmp(suffix, ".slice") == 0 || strcmp(suffix, ".scope") == 0 || strcmp(suffix, ".target") == 0 ||
	    strcmp(suffix, ".device") == 0)
		return "only one service, socket, timer, path, mount or swap is restarted, not a group of them or a device";
	return NULL;
}

static void vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	const char *problem = args->restart_unit.unit[0] ? restart_problem(args->restart_unit.unit) : NULL;
	if (problem)
		fault(context, "unit", "%s", problem);
}

static const char *problem_of(const union remedy_args *all)
{
	const struct restart_unit_args *args = &all->restart_unit;
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\-@";
	if (!ENDED(args->unit) || !args->unit[0] || args->unit[strspn(args->unit, letters)] || !strchr(args->unit, '.'))
		return "unit is no unit's name";
	return args->job_timeout_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "job_timeout is out of its range" : NULL;
}

const struct remedy restart_unit = {
	.name = "restart-unit",
	.id = REMEDY_RESTART_UNIT,
	.lane = LANE_SLOW,
	.help = "Restarts a systemd unit, waits for its job, and watches it stay active.",
	.undo = "none is needed: a unit that was active is active again; one that was not could not be made worse",
	.destructive = false,
	.aim = AIM_UNIT,
	.applies_to = APPLIES_TO_UNIT,
	.target_argument = "unit",
	.effects = EFFECT_UNIT | EFFECT_WITHIN,
	.expect_example = "{unit: active, within: 30s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
