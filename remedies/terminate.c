/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the process that causes it: the first candidate that is still what was measured and that nothing protects. Asked with
 * SIGTERM first, then made to. One victim a request: what it gives back must be seen before anybody else is chosen.
 */
#include "remedies/terminate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/canary.h"
#include "remedies/group_aim.h"
#include "remedies/registry.h"
#include "remedies/victim.h"

enum { SHOWN_LEN = 64, REASON_LEN = 160 };

/* --- choosing ------------------------------------------------------------------------------------------------------------ */

struct choice {
	struct victim victim;
	uint32_t protected_count;
	char reason[REASON_LEN]; /* of the last one passed over */
};

/* NULL: may be ended, and is held in `victim`. */
static const char *against(const struct remedy_request *request, int proc_fd, const struct cause *cause, struct choice *choice)
{
	const struct target *target = &request->target;
	if (cause->pid <= 0)
		return "a group, not one process";
	if (target->type == TARGET_PROCESS && (cause->pid != target->pid || cause->start_ns != target->start_ns))
		return "not the process that this is about";
	if (target->type != TARGET_PROCESS && cause->share_permille < LEAST_CAUSE_PERMILLE)
		return "its share is too small to be the cause";
	if (victim_open(proc_fd, cause, &choice->victim, choice->reason, sizeof(choice->reason)) < 0)
		return choice->reason;

	const char *rule = protect_process(&request->protect, proc_fd, cause->pid, choice->reason, sizeof(choice->reason));
	if (!rule && !victim_lives(&choice->victim))
		rule = "it has ended";
	else if (rule)
		choice->protected_count++;
	if (rule)
		victim_close(&choice->victim);
	return rule;
}

static bool is_plan(const struct remedy_request *request)
{
	return request->verb == REMEDY_VERB_PLAN;
}

static void say_passed_over(struct remedy_result *result, bool plan, const struct cause *cause, const char *reason)
{
	char comm[SHOWN_LEN], shown[REASON_LEN];
	act_shown(comm, sizeof(comm), cause->comm);
	act_shown(shown, sizeof(shown), reason);
	if (plan)
		result_plan(result, "pass over %" PRId32 " (%s): %s", cause->pid, comm, shown);
	else
		step_end(result_step(result, "candidate"), false, "passed over %" PRId32 " (%s): %s", cause->pid, comm, shown);
}

/*
 * A cgroup that caused it as a whole, many small processes together, is not passed over for one process that did less: that one would die for what
 * others did.
 */
static bool is_group_at_fault(const struct remedy_request *request, const struct cause *cause)
{
	return request->target.type != TARGET_PROCESS && cause->pid <= 0 && cause->cgroup_id && cause->share_permille >= LEAST_CAUSE_PERMILLE;
}

/* 1 and the victim held; 0 when nobody is left; -1 refused. */
static int choose(const struct remedy_request *request, int proc_fd, struct remedy_result *result, struct choice *choice)
{
	struct cause only = { .rank = 1, .pid = request->target.pid, .start_ns = request->target.start_ns, .cgroup_id = request->target.cgroup_id };
	snprintf(only.comm, sizeof(only.comm), "%.15s", request->target.name);
	bool alone = request->candidate_count == 0 && request->target.type == TARGET_PROCESS;
	uint32_t count = alone ? 1 : request->candidate_count;
	for (uint32_t i = 0; i < count; i++) {
		const struct cause *cause = alone ? &only : &request->candidates[i];
		if (is_group_at_fault(request, cause)) {
			act_refuse(result, "whole-cgroup", "a cgroup as a whole causes it, and no process of it by itself: scope: cgroup ends all of it");
			return -1;
		}
		const char *reason = against(request, proc_fd, cause, choice);
		if (!reason)
			return 1;
		say_passed_over(result, is_plan(request), cause, reason);
	}
	return 0;
}

static void say_nobody(const struct remedy_request *request, struct remedy_result *result, const struct choice *choice)
{
	result->observed.exited = is_plan(request) ? UNKNOWN : 0;
	if (choice->protected_count) {
		act_refuse(result, "never-list", "nobody may be ended: %u of the candidates are protected, the others are not what they were",
			   choice->protected_count);
		return;
	}
	result->outcome = is_plan(request) ? OUTCOME_NONE : OUTCOME_NO_EFFECT;
	snprintf(result->why, sizeof(result->why), "nobody is left to be ended");
}

/* --- ending -------------------------------------------------------------------------------------------------------------- */

/* One last look at all that could have changed, then the signal. */
static int send(const struct remedy_request *request, int proc_fd, const struct victim *victim, int signal, struct remedy_result *result)
{
	char buffer[REASON_LEN];
	const char *halted = act_halted(request);
	struct action_step *step = result_step(result, signal == SIGTERM ? "term" : "kill");
	if (halted) {
		step_end(step, false, "held back by the %s", halted);
		if (result->observed.exited == UNKNOWN)
			act_refuse(result, halted, "stopped by the %s", halted);
		return -ECANCELED;
	}
	const char *rule = protect_process(&request->protect, proc_fd, victim->pid, buffer, sizeof(buffer));
	if (rule && victim_lives(victim)) {
		step_end(step, false, "held back: %s", rule);
		act_refuse(result, "never-list", "%s", rule);
		return -ECANCELED;
	}
	int error = signal == SIGKILL ? victim_kill(victim) : victim_signal(victim, signal);
	if (error < 0 && error != -ESRCH) {
		step_end(step, false, "%s", strerror(-error));
		act_fail(result, "%" PRId32 " cannot be signalled: %s", victim->pid, strerror(-error));
		return error;
	}
	step_end(step, true, "%s to %" PRId32, signal == SIGTERM ? "SIGTERM" : "SIGKILL", victim->pid);
	return 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* `gone`: 1, 0, or -errno where nobody can tell. */
static void judge(const struct remedy_request *request, const struct victim *victim, int gone, struct remedy_result *result)
{
	struct action_step *step = result_step(result, "exit");
	result->observed.exited = gone > 0;
	/* Also where it hangs: what it holds is still to come back. */
	result->ended = (struct ended_one){ .pid = victim->pid, .start_ns = victim->start_ns, .rss_bytes = victim->rss_bytes };
	if (gone < 0) {
		step_end(step, false, "whether %" PRId32 " has ended cannot be told: %s", victim->pid, strerror(-gone));
		result->observed.exited = UNKNOWN;
		act_fail(result, "it was signalled, and whether it has ended cannot be told: %s", strerror(-gone));
		return;
	}
	if (!gone) {
		step_end(step, false, "%" PRId32 " is still there", victim->pid);
		result->outcome = OUTCOME_NO_EFFECT;
		snprintf(result->why, sizeof(result->why), "it did not end in time");
		return;
	}
	step_end(step, true, "%" PRId32 " has ended; it held %" PRIu64 " bytes", victim->pid, victim->rss_bytes);
	result->observed.freed_bytes = victim->rss_bytes;
	bool enough = request->expect.freed_bytes == UNKNOWN || victim->rss_bytes >= request->expect.freed_bytes;
	result->outcome = enough ? OUTCOME_FIXED : OUTCOME_IMPROVED;
}

static void end(const struct remedy_request *request, int proc_fd, const struct victim *victim, struct remedy_result *result)
{
	uint64_t term_wait = request->args.terminate.term_wait_ns;
	int gone = 0;
	if (term_wait) {
		if (send(request, proc_fd, victim, SIGTERM, result) < 0)
			return;
		result->observed.exited = 0;
		gone = victim_wait(victim, earlier(clock_boot_ns() + term_wait, request->deadline_boot_ns));
	}
	if (gone == 0) {
		int error = send(request, proc_fd, victim, SIGKILL, result);
		if (error == 0) {
			uint64_t soon = clock_boot_ns() + AFTER_KILL_NS;
			gone = victim_wait(victim, soon > request->deadline_boot_ns ? soon : request->deadline_boot_ns);
		} else if (!term_wait || result->outcome != OUTCOME_NONE) {
			return;
		}
	}
	judge(request, victim, gone, result);
}

/* --- the remedy ---------------------------------------------------------------------------------------------------------- */

static void plan_end(const struct remedy_request *request, const struct victim *victim, struct remedy_result *result)
{
	char comm[SHOWN_LEN];
	uint64_t wait_ms = request->args.terminate.term_wait_ns / NSEC_PER_MSEC;
	act_shown(comm, sizeof(comm), victim->comm);
	if (wait_ms)
		result_plan(result, "end %" PRId32 " (%s, %" PRIu64 " bytes resident): SIGTERM, then SIGKILL after %" PRIu64 " ms", victim->pid, comm,
			    victim->rss_bytes, wait_ms);
	else
		result_plan(result, "end %" PRId32 " (%s, %" PRIu64 " bytes resident) with SIGKILL", victim->pid, comm, victim->rss_bytes);
	result->expected.exited = 1;
	result->expected.freed_bytes = victim->rss_bytes;
}

static void process_scope(const struct remedy_request *request, int proc_fd, struct remedy_result *result)
{
	struct choice choice = { .victim = { .pidfd = -1 } };
	int chosen = choose(request, proc_fd, result, &choice);
	if (chosen == 0)
		say_nobody(request, result, &choice);
	if (chosen <= 0)
		return;
	plan_end(request, &choice.victim, result);
	if (!is_plan(request))
		end(request, proc_fd, &choice.victim, result);
	victim_close(&choice.victim);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	/* About one process: then only it, whatever else the policy would allow. */
	if (request->args.terminate.scope == TERMINATE_CGROUP && request->target.type != TARGET_PROCESS)
		return terminate_aimed_group(request, request->args.terminate.term_wait_ns, false, result);
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	process_scope(request, proc_fd, result);
	close(proc_fd);
	return 0;
}

/* Signal 0 is sent to nobody: the kernel only says whether it would be allowed. Then processes of our own are ended; without the v2 hierarchy,
 * or a cgroup of our own in it, a process can be ended all the same. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	char why[WHY_LEN];
	int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
	if (pidfd < 0) {
		snprintf(result->why, sizeof(result->why), "no pidfd: %s", strerror(errno));
		return 0;
	}
	if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0)
		snprintf(result->why, sizeof(result->why), "not allowed to signal processes of others: %s", strerror(errno));
	else if (access("/proc/self/stat", R_OK) < 0)
		snprintf(result->why, sizeof(result->why), "no procfs: %s", strerror(errno));
	else
		result->armed = true;
	close(pidfd);
	if (result->armed)
		canary_judge(canary_process(why), why, result);
	if (result->armed && !result->why[0] && canary_group(why) != CANARY_PROVEN)
		snprintf(result->why, sizeof(result->why), "processes only: %.140s", why);
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

static const char *const scope_choices[] = { [TERMINATE_PROCESS] = "process", [TERMINATE_CGROUP] = "cgroup" };
#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting terminate_settings[] = {
	{ .name = "scope", .type = VALUE_CHOICE, ARGUMENT(terminate.scope), CHOICES(scope_choices), .initial = "process",
	  .help = "the process that is the first cause, or its whole cgroup" },
	{ .name = "term_wait", .type = VALUE_DURATION, ARGUMENT(terminate.term_wait_ns), .max = 300.0 * NSEC_PER_SEC, .initial = "5s",
	  .help = "between SIGTERM and SIGKILL, at most half of the within; 0s: SIGKILL at once" },
};
static const struct section arguments = SECTION("terminate", "Ends the process or cgroup that causes it: SIGTERM, then SIGKILL.",
	terminate_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct terminate_args *args = &all->terminate;
	if (args->scope != TERMINATE_PROCESS && args->scope != TERMINATE_CGROUP)
		return "the scope is unknown";
	return args->term_wait_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "term_wait is out of its range" : NULL;
}

const struct remedy terminate = {
	.name = "terminate",
	.id = REMEDY_TERMINATE,
	.lane = LANE_KILL,
	.help = "Ends the process or the cgroup that causes it: SIGTERM, a wait, then SIGKILL.",
	.undo = "none: what ran is gone; a service manager may start it again",
	.destructive = true,
	.ends_processes = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_PROCESS | APPLIES_TO_CGROUP,
	.effects = EFFECT_FREED | EFFECT_EXITED | EFFECT_WITHIN,
	.expect_example = "{exited: true, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
