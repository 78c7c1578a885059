/* SPDX-License-Identifier: Apache-2.0 */
/* See culprit.h. */
#include "remedies/culprit.h"

#include <inttypes.h>
#include <stdio.h>

#include "decide/protect.h"
#include "remedies/act.h"

/* As terminate has it: who drove less than this of it is no cause. */
enum { LEAST_SHARE_PERMILLE = 50, REASON_LEN = 160, SHOWN_LEN = 64 };

static void say_passed_over(const struct remedy_request *request, const struct cause *cause, const char *reason, struct remedy_result *result)
{
	char comm[SHOWN_LEN], shown[REASON_LEN];
	act_shown(comm, sizeof(comm), cause->comm);
	act_shown(shown, sizeof(shown), reason);
	if (request->verb == REMEDY_VERB_PLAN)
		result_plan(result, "pass over %" PRId32 " (%s): %s", cause->pid, comm, shown);
	else
		step_end(result_step(result, "candidate"), false, "passed over %" PRId32 " (%s): %s", cause->pid, comm, shown);
}

/* NULL: it is held. */
static const char *against(const struct remedy_request *request, int proc_fd, const struct cause *cause, struct victim *ret, bool *protected, char reason[REASON_LEN])
{
	const struct target *target = &request->target;
	if (target->type == TARGET_PROCESS && (cause->pid != target->pid || cause->start_ns != target->start_ns))
		return "not the process that this is about";
	if (target->type != TARGET_PROCESS && cause->share_permille < LEAST_SHARE_PERMILLE)
		return "its share is too small to be the cause";
	if (victim_open(proc_fd, cause, ret, reason, REASON_LEN) < 0)
		return reason;
	const char *rule = protect_process(&request->protect, proc_fd, cause->pid, reason, REASON_LEN);
	*protected |= rule && victim_lives(ret);
	if (!rule && !victim_lives(ret))
		rule = "it has ended";
	if (rule)
		victim_close(ret);
	return rule;
}

int culprit_hold(const struct remedy_request *request, int proc_fd, struct remedy_result *result, struct victim *ret)
{
	struct cause only = { .rank = 1, .pid = request->target.pid, .start_ns = request->target.start_ns, .cgroup_id = request->target.cgroup_id };
	snprintf(only.comm, sizeof(only.comm), "%.15s", request->target.name);
	bool alone = request->candidate_count == 0 && request->target.type == TARGET_PROCESS, protected = false;
	for (uint32_t i = 0; i < (alone ? 1 : request->candidate_count); i++) {
		const struct cause *cause = alone ? &only : &request->candidates[i];
		char reason[REASON_LEN];
		if (cause->pid <= 0 && cause->cgroup_id && cause->share_permille >= LEAST_SHARE_PERMILLE && request->target.type != TARGET_PROCESS) {
			act_refuse(result, "whole-cgroup", "a cgroup as a whole causes it, and no process of it by itself: scope: cgroup is for all of it");
			return 0;
		}
		const char *why = cause->pid <= 0 ? "a group, not one process" : against(request, proc_fd, cause, ret, &protected, reason);
		if (!why)
			return 1;
		say_passed_over(request, cause, why, result);
	}
	act_refuse(result, protected ? "never-list" : "no-candidate",
		   protected ? "the candidates that are left are protected" : "no candidate is a process that is still what was measured");
	return 0;
}

int culprit_is_fair(const struct remedy_request *request, int proc_fd, const struct victim *victim, struct remedy_result *result)
{
	char reason[REASON_LEN];
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return 0;
	}
	const char *rule = protect_process(&request->protect, proc_fd, victim->pid, reason, sizeof(reason));
	if (!victim_lives(victim))
		act_refuse(result, "target-changed", "it has ended");
	else if (rule)
		act_refuse(result, "never-list", "process %" PRId32 " is protected: %.100s", victim->pid, rule);
	else
		return 1;
	return 0;
}

int culprit_group(const struct remedy_request *request, struct remedy_result *result, uint64_t *ret_id, const char **ret_path)
{
	if (request->target.type == TARGET_CGROUP) {
		*ret_id = request->target.cgroup_id;
		*ret_path = request->target.name;
		return 1;
	}
	for (uint32_t i = 0; i < request->candidate_count; i++) {
		const struct cause *cause = &request->candidates[i];
		if (!cause->cgroup_id || !cause->cgroup[0] || cause->share_permille < LEAST_SHARE_PERMILLE)
			continue;
		*ret_id = cause->cgroup_id;
		*ret_path = cause->cgroup;
		return 1;
	}
	act_refuse(result, "no-candidate", "no candidate says in which cgroup it is");
	return 0;
}
