/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes near its limit of open files (a process) or of tasks (a cgroup) is told what to do about it; and, where the policy says `act: true`, its
 * limit is raised for a time: the soft limit within the hard one, or pids.max. It wins time to find out why; it does not mend a leak.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "decide/protect.h"
#include "lease.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/group_aim.h"
#include "remedies/group_control.h"
#include "remedies/registry.h"
#include "remedies/victim.h"

enum { LEAST_PERCENT = 110, MOST_PERCENT = 1000, MOST_LIMIT = 4194304, REASON_LEN = 160, SHOWN_LEN = 96, ENTRIES_LEN = 8192 };

/* What is near its end, and the knob that would move that. */
struct limited {
	const struct remedy_request *request;
	const struct raise_limits_args *args;
	struct remedy_result *result;
	const char *what;            /* "open files" */
	char whose[SHOWN_LEN];
	struct knob knob;
	uint64_t used, limit, ceiling, raised;
	struct group_aim aim;        /* group.fd -1: a process */
	int pids_fd;                 /* of the directory whose pids.current counts; -1: a process */
	int proc_fd;
};

static const struct control_name pids_max = { .controller = "pids", .v2 = "pids.max", .v1 = "pids.max" };

/* --- what is used -------------------------------------------------------------------------------------------------------- */

static int count_files(int proc_fd, int32_t pid, uint64_t *ret)
{
	_Alignas(struct dirent64) char entries[ENTRIES_LEN];
	char path[48];
	uint64_t count = 0;
	snprintf(path, sizeof(path), "%" PRId32 "/fd", pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got;
	while ((got = getdents64(fd, entries, sizeof(entries))) > 0)
		for (ssize_t at = 0; at < got; at += ((const struct dirent64 *)(const void *)(entries + at))->d_reclen)
			count += ((const struct dirent64 *)(const void *)(entries + at))->d_name[0] != '.';
	int error = got < 0 ? -errno : 0;
	close(fd);
	*ret = count;
	return error;
}

static int measure(const struct limited *limited, uint64_t *ret_used, uint64_t *ret_limit)
{
	char text[LEASE_TEXT_LEN];
	int error = knob_read(&limited->knob, text, sizeof(text));
	if (error)
		return error;
	*ret_limit = strcmp(text, "max") == 0 ? UNKNOWN : strtoull(text, NULL, 10);
	if (limited->pids_fd >= 0)
		return figure_one(limited->pids_fd, "pids.current", ret_used);
	return count_files(limited->proc_fd, limited->knob.pid, ret_used);
}

/* --- whose --------------------------------------------------------------------------------------------------------------- */

/* 0; -ECANCELED: refused. */
static int aim_at_process(struct limited *limited)
{
	const struct target *target = &limited->request->target;
	struct rlimit limit;
	struct victim victim;
	char buffer[REASON_LEN], comm[SHOWN_LEN / 2];
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	int error = victim_hold(limited->proc_fd, target->pid, &victim);
	if (error < 0 || victim.start_ns / tick_ns != target->start_ns / tick_ns) {
		act_refuse(limited->result, "target-changed", "the process has ended, or another one has its number now");
		if (error == 0)
			victim_close(&victim);
		return -ECANCELED;
	}
	const char *rule = protect_process(&limited->request->protect, limited->proc_fd, target->pid, buffer, sizeof(buffer));
	error = prlimit(target->pid, RLIMIT_NOFILE, NULL, &limit) < 0 ? -errno : 0;
	act_shown(comm, sizeof(comm), victim.comm);
	bool lives = victim_lives(&victim);
	victim_close(&victim);
	if (!lives)
		act_refuse(limited->result, "target-changed", "the process has ended");
	else if (rule)
		act_refuse(limited->result, "never-list", "%s", rule);
	else if (error)
		act_refuse(limited->result, "no-control", "its limit cannot be read: %s", strerror(-error));
	if (!lives || rule || error)
		return -ECANCELED;
	limited->what = "open files";
	limited->ceiling = limit.rlim_max;
	snprintf(limited->whose, sizeof(limited->whose), "%" PRId32 " (%s)", target->pid, comm);
	limited->knob = (struct knob){ .kind = KNOB_NOFILE, .pid = target->pid, .start_ns = target->start_ns };
	snprintf(limited->knob.file, sizeof(limited->knob.file), "limit of open files");
	return 0;
}

static int aim_at_group(struct limited *limited)
{
	bool v2;
	char directory[PATH_LEN];
	if (group_aim_open(limited->request, limited->result, &limited->aim) < 0)
		return -ECANCELED;
	int error = group_control(limited->aim.id, limited->aim.group.path, &pids_max, &limited->knob, &v2);
	if (error == 0) {
		snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(limited->knob.file, '/') - limited->knob.file), limited->knob.file);
		limited->pids_fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		error = limited->pids_fd < 0 ? -errno : 0;
	}
	if (error) {
		act_refuse(limited->result, "no-control", "it has no limit of tasks that may be turned: %s",
			   error == -EPERM ? "the pids controller has it together with others" : strerror(-error));
		return -ECANCELED;
	}
	limited->what = "tasks";
	limited->ceiling = UNKNOWN;
	act_shown(limited->whose, sizeof(limited->whose), limited->aim.group.path);
	return 0;
}

/* --- advice -------------------------------------------------------------------------------------------------------------- */

static void advise_node(const struct limited *limited)
{
	uint64_t pid_max = UNKNOWN, threads_max = UNKNOWN, file_max = UNKNOWN;
	(void)figure_one(limited->proc_fd, "sys/kernel/pid_max", &pid_max);
	(void)figure_one(limited->proc_fd, "sys/kernel/threads-max", &threads_max);
	(void)figure_one(limited->proc_fd, "sys/fs/file-max", &file_max);
	result_plan(limited->result, "advice: the node's own limits are kernel.pid_max %" PRIu64 ", kernel.threads-max %" PRIu64 ", fs.file-max %" PRIu64
		    ": raise them in /etc/sysctl.d where the number of processes is meant", pid_max, threads_max, file_max);
	act_refuse(limited->result, "advice-only", "the limits of the node itself are for a human to raise");
}

static void advise(const struct limited *limited)
{
	struct remedy_result *result = limited->result;
	result_plan(result, "advice: %s uses %" PRIu64 " of %" PRIu64 " %s", limited->whose, limited->used, limited->limit, limited->what);
	if (limited->pids_fd >= 0)
		result_plan(result, "advice: if so many are meant, set TasksMax= of its unit; if not, look for what begins them");
	else
		result_plan(result, "advice: if so many are meant, set LimitNOFILE= of its unit (its hard limit is %" PRIu64 "); if not, look for what it does not close",
			    limited->ceiling);
}

/* What it would be raised to; equal to the limit where there is no room. */
static uint64_t raised_limit(const struct limited *limited)
{
	uint64_t raised = (uint64_t)((double)limited->limit * limited->args->percent / 100);
	raised = raised < limited->args->most ? raised : limited->args->most;
	raised = raised < limited->ceiling ? raised : limited->ceiling;
	return raised > limited->limit ? raised : limited->limit;
}

/* --- the act ------------------------------------------------------------------------------------------------------------- */

/* In hundredths of a percent of the limit. */
static uint64_t use_of(uint64_t used, uint64_t limit)
{
	return limit ? used * 10000 / limit : 0;
}

static void judge(const struct limited *limited)
{
	struct remedy_result *result = limited->result;
	uint64_t used = 0, limit = 0, before = use_of(limited->used, limited->limit), promised = limited->request->expect.use_percent;
	struct action_step *step = result_step(result, "use");
	int error = measure(limited, &used, &limit);
	if (error || !before) {
		step_end(step, false, "its use is not to be seen: %s", strerror(-error));
		result->outcome = OUTCOME_IMPROVED;
		return;
	}
	uint64_t after = use_of(used, limit);
	result->observed.use_percent = after * 100 / before;
	bool enough = result->observed.use_percent <= (promised == UNKNOWN ? 99 : promised);
	step_end(step, enough, "%" PRIu64 " of %" PRIu64 " %s, and before %" PRIu64 " of %" PRIu64, used, limit, limited->what, limited->used, limited->limit);
	result->outcome = enough ? OUTCOME_FIXED : result->observed.use_percent < 100 ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (!enough)
		snprintf(result->why, sizeof(result->why), "it uses %" PRIu64 " %% of the share of its limit that it used before", result->observed.use_percent);
}

static void act(struct limited *limited)
{
	char value[32];
	const char *halted = act_halted(limited->request);
	if (halted) {
		act_refuse(limited->result, halted, "stopped by the %s", halted);
		return;
	}
	if (limited->aim.group.fd >= 0 && group_aim_spare(limited->request, limited->result, &limited->aim) < 0)
		return;
	snprintf(value, sizeof(value), "%" PRIu64, limited->raised);
	int error = lease_take(limited->request, &limited->knob, value, limited->args->for_ns, limited->result);
	if (error == -ESTALE)
		act_refuse(limited->result, "target-changed", "it is gone, or another one has its name now");
	else if (error == -ENOSPC || error == -EBUSY)
		act_refuse(limited->result, "lease-book", "the book of leases has no place or is held: nothing is turned that is not written down");
	else if (error)
		act_fail(limited->result, "the limit of %s: %s", limited->what, strerror(-error));
	else
		judge(limited);
}

static void advise_and_act(struct limited *limited)
{
	struct remedy_result *result = limited->result;
	int error = measure(limited, &limited->used, &limited->limit);
	if (error) {
		act_refuse(result, "no-measure", "what it uses cannot be seen: %s", strerror(-error));
		return;
	}
	advise(limited);
	limited->raised = limited->limit == UNKNOWN ? UNKNOWN : raised_limit(limited);
	if (!limited->args->act) {
		act_refuse(result, "advice-only", "the policy asks for advice alone (act: true would raise its limit)");
		return;
	}
	if (limited->raised == limited->limit) {
		act_refuse(result, "no-room", "its limit of %s is at the highest that it may have here", limited->what);
		return;
	}
	result_plan(result, "raise the limit of %s of %s from %" PRIu64 " to %" PRIu64 ", for %llu s", limited->what, limited->whose, limited->limit, limited->raised,
		    (unsigned long long)(limited->args->for_ns / NSEC_PER_SEC));
	result->expected.use_percent = limited->limit * 100 / limited->raised;
	if (limited->request->verb == REMEDY_VERB_APPLY)
		act(limited);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct limited limited = { .request = request, .args = &request->args.raise_limits, .result = result, .aim = { .group = { .fd = -1 } }, .pids_fd = -1 };
	limited.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (limited.proc_fd < 0)
		return -errno;
	if (request->target.type != TARGET_PROCESS && request->target.type != TARGET_CGROUP)
		advise_node(&limited);
	else if ((request->target.type == TARGET_PROCESS ? aim_at_process(&limited) : aim_at_group(&limited)) == 0)
		advise_and_act(&limited);
	if (limited.pids_fd >= 0)
		close(limited.pids_fd);
	group_close(&limited.aim.group);
	close(limited.proc_fd);
	return 0;
}

/* Its own limit, set to what it is: allowed where that of others is. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	struct rlimit limit;
	(void)request;
	result->armed = prlimit(0, RLIMIT_NOFILE, NULL, &limit) == 0 && prlimit(0, RLIMIT_NOFILE, &limit, NULL) == 0 && geteuid() == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "not allowed to turn the limits of others");
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting raise_limits_settings[] = {
	{ .name = "act", .type = VALUE_BOOL, ARGUMENT(raise_limits.act), .initial = "false", .help = "raise it for a time; else only advice is given" },
	{ .name = "percent", .type = VALUE_COUNT, ARGUMENT(raise_limits.percent), .min = LEAST_PERCENT, .max = MOST_PERCENT, .initial = "200",
	  .help = "of what the limit is now" },
	{ .name = "most", .type = VALUE_COUNT, ARGUMENT(raise_limits.most), .min = 1, .max = MOST_LIMIT, .initial = "65536",
	  .help = "never to more than this; open files never beyond the hard limit" },
	{ .name = "for", .type = VALUE_DURATION, ARGUMENT(raise_limits.for_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WAIT_S * 1e9, .initial = "1h",
	  .help = "after which it is turned back, whatever becomes of the agent" },
};
static const struct section arguments = SECTION("raise-limits", "Says what to do about a limit of open files or tasks that is nearly reached; raises it, by policy.",
	raise_limits_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct raise_limits_args *args = &all->raise_limits;
	uint8_t act;
	memcpy(&act, &args->act, sizeof(act));
	if (act > 1)
		return "act is neither true nor false";
	if (args->percent < LEAST_PERCENT || args->percent > MOST_PERCENT || args->most < 1 || args->most > MOST_LIMIT)
		return "percent or most is out of its range";
	return args->for_ns < NSEC_PER_SEC || args->for_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "for is out of its range" : NULL;
}

const struct remedy raise_limits = {
	.name = "raise-limits",
	.id = REMEDY_RAISE_LIMITS,
	.lane = LANE_LEASE,
	.help = "Says what to do about a limit of open files or tasks that is nearly reached; raises it for a time, where the policy says so.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PROCESS | APPLIES_TO_CGROUP | APPLIES_TO_NODE,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 60, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
