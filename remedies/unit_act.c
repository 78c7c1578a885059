/* SPDX-License-Identifier: Apache-2.0 */
/* See unit_act.h. */
#include "remedies/unit_act.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "decide/protect.h"

#define CHECK_NS (2 * NSEC_PER_SEC)
enum { REASON_LEN = 160, SHOWN_LEN = 96 };

/* --- looking -------------------------------------------------------------------------------------------------------------- */

bool unit_state_is(const struct unit_facts *facts, const char *state)
{
	return strcmp(facts->active_state, state) == 0;
}

bool unit_is_down(const struct unit_facts *facts)
{
	return unit_state_is(facts, "inactive") || unit_state_is(facts, "failed");
}

static const char *protected_name(const struct unit_act *act, const struct unit_names *names, char *buffer, size_t size)
{
	for (uint32_t i = 0; i < names->count; i++) {
		const char *rule = protect_unit(&act->request->protect, names->each[i], buffer, size);
		if (rule)
			return rule;
	}
	return NULL;
}

static void refuse_for(struct unit_act *act)
{
	const struct unit_facts *facts = &act->facts;
	char buffer[REASON_LEN];
	const char *rule;
	if (strcmp(facts->load_state, "loaded") != 0)
		act_refuse(act->result, "unit-not-loaded", "%s is %s", act->unit, facts->load_state);
	else if ((rule = protected_name(act, &facts->names, buffer, sizeof(buffer))))
		act_refuse(act->result, "never-list", "%s: %s", act->unit, rule);
	else if (!facts->may_start)
		act_refuse(act->result, "refuse-manual", "%s refuses to be started or stopped by hand", act->unit);
	else if (facts->names.cut)
		act_refuse(act->result, "too-many-units", "%s has more names than are looked at", act->unit);
}

int unit_look(struct unit_act *act, const struct remedy_request *request, struct remedy_result *result)
{
	char buffer[REASON_LEN];
	memset(act, 0, sizeof(*act));
	act->request = request;
	act->result = result;
	act->args = &request->args.unit;
	act->unit = act->args->unit;
	const char *rule = protect_unit(&request->protect, act->unit, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(result, "never-list", "%s: %s", act->unit, rule);
		return 1;
	}
	int error = manager_connect(request->systemd_bus, request->deadline_boot_ns, &act->bus);
	if (error == 0)
		error = manager_facts(act->bus, act->unit, &act->facts);
	if (error < 0)
		return error;
	refuse_for(act);
	return result->outcome == OUTCOME_REFUSED;
}

void unit_end(struct unit_act *act)
{
	manager_disconnect(act->bus);
	act->bus = NULL;
}

int unit_done(struct unit_act *act, int error)
{
	if (error < 0)
		snprintf(act->result->why, sizeof(act->result->why), "systemd does not answer: %s", strerror(-error));
	unit_end(act);
	return error < 0 ? error : 0;
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
static int gather_along(struct unit_act *act)
{
	struct unit_names *along = &act->along;
	add_new(along, &act->facts.bound);
	for (uint32_t i = 0; i < along->count;) {
		int error = manager_facts(act->bus, along->each[i], &act->other);
		if (error < 0)
			return error;
		if (unit_is_down(&act->other)) {
			along->count--;
			memmove(along->each[i], along->each[i + 1], (along->count - i) * sizeof(along->each[0]));
			continue;
		}
		add_new(along, &act->other.bound);
		i++;
	}
	return 0;
}

int unit_look_along(struct unit_act *act)
{
	char buffer[REASON_LEN];
	int error = gather_along(act);
	if (error < 0)
		return error;
	const char *rule = protected_name(act, &act->along, buffer, sizeof(buffer));
	if (act->along.cut)
		act_refuse(act->result, "too-many-units", "more units hang on %s than are looked at", act->unit);
	else if (rule)
		act_refuse(act->result, "never-list", "a unit that hangs on %s is protected: %s", act->unit, rule);
	return act->result->outcome == OUTCOME_REFUSED;
}

/* Their own needs are systemd's to follow: it starts what a unit that is started requires. */
int unit_look_needs(struct unit_act *act)
{
	char buffer[REASON_LEN];
	const struct unit_names *needs = &act->facts.needs;
	for (uint32_t i = 0; i < needs->count; i++) {
		int error = manager_facts(act->bus, needs->each[i], &act->other);
		if (error < 0)
			return error;
		if (unit_is_down(&act->other) && !contains(&act->down, needs->each[i]))
			memcpy(act->down.each[act->down.count++], needs->each[i], NAME_LEN);
	}
	if (!act->args->start_needed)
		return 0;
	const char *rule = protected_name(act, &act->down, buffer, sizeof(buffer));
	if (needs->cut)
		act_refuse(act->result, "too-many-units", "%s needs more units than are looked at", act->unit);
	else if (rule)
		act_refuse(act->result, "never-list", "a unit that %s needs is protected: %s", act->unit, rule);
	return act->result->outcome == OUTCOME_REFUSED;
}

/*
 * A unit with Restart= that died waits in "auto-restart" for RestartSec to pass. One that starts is given the time that its own file gives it, and
 * where that is endless, the time that a job of ours would have.
 */
bool unit_is_busy(struct unit_act *act)
{
	const struct unit_facts *facts = &act->facts;
	uint64_t now = clock_awake_ns(), job = unit_job_time(act);
	uint64_t starting = facts->began_awake_ns && facts->began_awake_ns < now ? now - facts->began_awake_ns : 0;
	if (strcmp(facts->sub_state, "auto-restart") == 0)
		act_refuse(act->result, "auto-restart", "systemd itself starts %s again, as its Restart= says", act->unit);
	else if (unit_state_is(facts, "activating") && (facts->start_limit_ns != UNKNOWN || starting < job))
		act_refuse(act->result, "starting", "%s is starting, for %llu s so far; systemd gives it %llu s", act->unit, starting / NSEC_PER_SEC,
			   (facts->start_limit_ns != UNKNOWN ? facts->start_limit_ns : job) / NSEC_PER_SEC);
	else if (facts->job && !unit_state_is(facts, "activating"))
		act_refuse(act->result, "job-pending", "systemd has a job of somebody else for %s that is not over", act->unit);
	return act->result->outcome == OUTCOME_REFUSED;
}

void unit_plan_more(struct unit_act *act)
{
	char shown[SHOWN_LEN];
	for (uint32_t i = 0; i < act->down.count; i++)
		result_plan(act->result, "%s, which it needs, is down%s", act_shown(shown, sizeof(shown), act->down.each[i]),
			    act->args->start_needed ? ": it is reset and started first" : "; systemd starts it where the dependency says so");
	if (act->args->ready.type != PROBE_TYPE_NONE)
		result_plan(act->result, "then ask %s for up to %llu s", act_shown(shown, sizeof(shown), ready_name(&act->args->ready)),
			    act->args->ready_within_ns / NSEC_PER_SEC);
	act->result->expected.unit_active = 1;
}

bool unit_is_halted(struct unit_act *act)
{
	const char *halted = act_halted(act->request);
	if (halted)
		act_refuse(act->result, halted, "stopped by the %s", halted);
	return halted != NULL;
}

/* --- check ---------------------------------------------------------------------------------------------------------------- */

int unit_check(const struct remedy_request *request, struct remedy_result *result)
{
	char version[NAME_LEN];
	struct sd_bus *bus = NULL;
	int error = manager_connect(request->systemd_bus, unit_earlier(clock_boot_ns() + CHECK_NS, request->deadline_boot_ns), &bus);
	if (error == 0)
		error = manager_version(bus, version, sizeof(version));
	manager_disconnect(bus);
	result->armed = error == 0;
	if (error < 0)
		snprintf(result->why, sizeof(result->why), "systemd does not answer: %s", strerror(-error));
	return 0;
}
