/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the process that fills a filesystem (SIGSTOP), or its whole cgroup (cgroup.freeze), for some seconds. That mends nothing: it buys the time in
 * which a clean-up frees more than is being written. What stands still may hold what others wait for, and so it is short, and only ever one
 * application's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/culprit.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"
#include "remedies/written.h"

enum { LONGEST_S = 60, SHOWN_LEN = 64 };
#define WATCH_NS (250 * NSEC_PER_MSEC)
#define FREEZE_NS (500 * NSEC_PER_MSEC)

/* --- a cgroup ------------------------------------------------------------------------------------------------------------ */

static uint64_t lasts(const union remedy_args *args)
{
	return args->stop_writer.for_ns;
}

/* Acts in a row would make of some seconds a standstill: what is stopped is let go before it is stopped again. */
static int value(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size)
{
	if (view->renewed || strcmp(view->now, "0") != 0) {
		snprintf(why, why_size, "it is frozen already");
		return -EALREADY;
	}
	snprintf(ret, size, "1");
	return 0;
}

static int used(const struct throttle_view *view, uint64_t ret[THROTTLE_USES])
{
	ret[1] = 0;
	return written_by_group(view->proc_fd, view->group, &ret[0]);
}

static int holds(const struct throttle_view *view, char *why, size_t why_size)
{
	int frozen = group_wait_frozen(view->group, clock_boot_ns() + FREEZE_NS);
	if (frozen != 1)
		snprintf(why, why_size, "%s", frozen == 0 ? "one of its processes could not be frozen: it waits in the kernel" : strerror(-frozen));
	return frozen == 1;
}

static const struct throttle throttle = {
	.control = { .v2 = "cgroup.freeze" },
	.leaf_only = true,
	.for_ns = lasts,
	.value = value,
	.used = used,
	.holds = holds,
	.watch_ns = WATCH_NS,
};

/* --- a process ----------------------------------------------------------------------------------------------------------- */

static uint64_t rate(const struct remedy_request *request, int proc_fd, int32_t pid)
{
	uint64_t first, last, from = clock_boot_ns();
	if (written_by_process(proc_fd, pid, &first) < 0)
		return UNKNOWN;
	throttle_wait(request, WATCH_NS);
	uint64_t took = clock_boot_ns() - from;
	return written_by_process(proc_fd, pid, &last) < 0 || last < first ? UNKNOWN : (uint64_t)((double)(last - first) * 1e9 / (double)took);
}

static void stop(const struct remedy_request *request, int proc_fd, const struct victim *victim, const struct knob *knob, struct remedy_result *result)
{
	uint64_t before = rate(request, proc_fd, victim->pid);
	if (!culprit_is_fair(request, proc_fd, victim, result))
		return;
	int error = lease_take(request, knob, KNOB_STOPPED, request->args.stop_writer.for_ns, result);
	if (error == -ETIMEDOUT)
		act_fail(result, "it could not be stopped: it waits in the kernel, and was let go");
	else if (error)
		throttle_say_untaken(error, "SIGSTOP", result);
	else if (!throttle_use_is_enough(request, before, rate(request, proc_fd, victim->pid), result))
		throttle_take_back(request, result);
}

static void process_scope(const struct remedy_request *request, int proc_fd, struct remedy_result *result)
{
	struct victim victim;
	char state[LEASE_TEXT_LEN], comm[SHOWN_LEN];
	if (!culprit_hold(request, proc_fd, result, &victim))
		return;
	struct knob knob = { .kind = KNOB_STOP, .pid = victim.pid, .start_ns = victim.start_ns };
	if (knob_read(&knob, state, sizeof(state)) < 0) {
		act_refuse(result, "target-changed", "it has ended");
	} else if (strcmp(state, KNOB_RUNNING) != 0) {
		act_refuse(result, "no-control", "it is %s already, and not ours to let go", state);
	} else {
		result_plan(result, "stop %" PRId32 " (%s) for %llu s", victim.pid, act_shown(comm, sizeof(comm), victim.comm),
			    (unsigned long long)(request->args.stop_writer.for_ns / NSEC_PER_SEC));
		result->expected.use_percent = request->expect.use_percent;
		if (request->verb == REMEDY_VERB_APPLY)
			stop(request, proc_fd, &victim, &knob, result);
	}
	victim_close(&victim);
}

/* --- the remedy ---------------------------------------------------------------------------------------------------------- */

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	/* About one process: then only it, whatever else the policy would allow. */
	if (request->args.stop_writer.scope == THROTTLE_CGROUP && request->target.type != TARGET_PROCESS)
		return throttle_run(&throttle, request, result);
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	process_scope(request, proc_fd, result);
	close(proc_fd);
	return 0;
}

/* Whoever may signal may stop; whether it is allowed to at all is asked by signal 0, which is sent to nobody. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	struct victim init = { .pidfd = victim_pidfd(1), .pid = 1 };
	(void)request;
	int error = init.pidfd < 0 ? init.pidfd : victim_signal(&init, 0);
	victim_close(&init);
	result->armed = error == 0;
	if (error)
		snprintf(result->why, sizeof(result->why), "not allowed to signal processes of others: %s", strerror(-error));
	return 0;
}

static const char *const scope_choices[] = { [THROTTLE_PROCESS] = "process", [THROTTLE_CGROUP] = "cgroup" };

static const struct setting stop_writer_settings[] = {
	{ .name = "scope", .type = VALUE_CHOICE, MEMBER(union remedy_args, stop_writer.scope), CHOICES(scope_choices), .initial = "process",
	  .help = "the process that is the first cause, or its whole cgroup where no other cgroup is below it (v2)" },
	THROTTLE_FOR(stop_writer.for_ns, LONGEST_S, "5s"),
};
static const struct section arguments = SECTION("stop-writer", "Holds whoever fills a filesystem for some seconds; it buys time and mends nothing.", stop_writer_settings);

static const char *problem_of(const union remedy_args *args)
{
	if (args->stop_writer.scope != THROTTLE_PROCESS && args->stop_writer.scope != THROTTLE_CGROUP)
		return "the scope is unknown";
	return throttle_for_is_sound(args->stop_writer.for_ns, LONGEST_S) ? NULL : "for is out of its range";
}

const struct remedy stop_writer = {
	.name = "stop-writer",
	.id = REMEDY_STOP_WRITER,
	.lane = LANE_LEASE,
	.help = "Holds the process or cgroup that fills a filesystem still for some seconds, so that a clean-up can get ahead of it.",
	.undo = "a lease: it goes on when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_CAUSE,
	.of_writers = true,
	.applies_to = APPLIES_TO_PROCESS | APPLIES_TO_CGROUP,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 1, within: 5s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
