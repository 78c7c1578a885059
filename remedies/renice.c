/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the process that uses up the processors, or all of its cgroup, behind the others of its cgroup, for a time: a higher nice value. Priority is
 * only ever taken away. A nice value is compared with those beside it in the same cgroup (and, with autogroups, the same session: sched(7)) and
 * nowhere else, so whether anybody has won by it is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/culprit.h"
#include "remedies/group.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"

enum {
	MOST_PROCESSES = 32, /* half of the book: one act must not leave the others without a place */
	LEAST_NICE = 1, MOST_NICE = 19, SHOWN_LEN = 64, REASON_LEN = 160, STAT_LEN = 1024,
	FIELD_STATE = 3, FIELD_UTIME = 14, FIELD_STIME = 15, /* of /proc/PID/stat, counted from 1: proc(5) */
	CAP_SYS_NICE_BIT = 23,
};
#define WATCH_NS (500 * NSEC_PER_MSEC) /* fifty of the ticks that it is counted in */

struct niced {
	struct knob knob;
	int was;
	bool renewed;
};

struct crowd {
	const struct remedy_request *request;
	struct remedy_result *result;
	int proc_fd;
	uint32_t count, left; /* left: as nice as that by themselves, or nothing for a nice value */
	struct niced each[MOST_PROCESSES];
};

/* --- whom ---------------------------------------------------------------------------------------------------------------- */

/* All threads as the first one: else one number could not put them back. */
static bool threads_agree(int proc_fd, int32_t pid, int nice)
{
	char path[32];
	bool agree = true;
	snprintf(path, sizeof(path), "%d/task", (int)pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
	if (!tasks && fd >= 0)
		close(fd);
	if (!tasks)
		return true; /* has ended */
	for (struct dirent *entry; agree && (entry = readdir(tasks));) {
		long tid = strtol(entry->d_name, NULL, 10);
		errno = 0;
		agree = tid <= 0 || getpriority(PRIO_PROCESS, (id_t)tid) == nice || errno == ESRCH;
	}
	closedir(tasks);
	return agree;
}

static const char another_agent[] = "another agent has it on lease";

/* Why this one is left as it is; NULL: it is to be turned. */
static const char *against(const struct crowd *crowd, struct niced *niced)
{
	char text[LEASE_TEXT_LEN], before[LEASE_TEXT_LEN];
	int policy = sched_getscheduler(niced->knob.pid);
	if (policy < 0 || knob_read(&niced->knob, text, sizeof(text)) < 0)
		return "it has ended";
	if ((policy & ~SCHED_RESET_ON_FORK) != SCHED_OTHER && (policy & ~SCHED_RESET_ON_FORK) != SCHED_BATCH)
		return "it is not scheduled by a nice value";
	int held = lease_find(crowd->request->lease_book, &niced->knob, before, sizeof(before));
	if (held == -EADDRINUSE)
		return another_agent;
	niced->renewed = held == 1;
	niced->was = (int)strtol(niced->renewed ? before : text, NULL, 10);
	if (niced->was >= (int)crowd->request->args.renice.nice)
		return "it is as nice by itself";
	return threads_agree(crowd->proc_fd, niced->knob.pid, (int)strtol(text, NULL, 10)) ? NULL : "its threads differ, and could not all be put back";
}

static int add(struct crowd *crowd, const struct victim *victim, const char **ret_why)
{
	struct niced niced = { .knob = { .kind = KNOB_NICE, .pid = victim->pid, .start_ns = victim->start_ns } };
	*ret_why = against(crowd, &niced);
	if (*ret_why == another_agent)
		act_refuse(crowd->result, "other-agent", "process %" PRId32 ": %s", victim->pid, *ret_why);
	if (*ret_why) {
		crowd->left++;
		return *ret_why == another_agent ? -ECANCELED : 0;
	}
	if (crowd->count == MOST_PROCESSES) {
		act_refuse(crowd->result, "too-many", "more than %d processes are in it: cpu-weight takes them all at once", MOST_PROCESSES);
		return -ECANCELED;
	}
	crowd->each[crowd->count++] = niced;
	return 0;
}

static int visit_member(int32_t pid, void *context)
{
	struct crowd *crowd = context;
	struct victim victim;
	const char *why;
	char reason[REASON_LEN];
	int error = victim_hold(crowd->proc_fd, pid, &victim);
	if (error == -ESRCH)
		return 0;
	const char *rule = error < 0 ? "unknown: it cannot be held" : protect_process(&crowd->request->protect, crowd->proc_fd, pid, reason, sizeof(reason));
	bool lives = error == 0 && victim_lives(&victim);
	if (rule && (lives || error < 0)) {
		act_refuse(crowd->result, "never-list", "process %" PRId32 " in it is protected: %.100s", pid, rule);
		error = -ECANCELED;
	} else {
		error = lives ? add(crowd, &victim, &why) : 0;
	}
	victim_close(&victim);
	return error;
}

static bool find_group(struct crowd *crowd)
{
	const struct remedy_request *request = crowd->request;
	struct remedy_result *result = crowd->result;
	struct group group;
	const char *path;
	char reason[REASON_LEN];
	uint64_t id;
	if (!culprit_group(request, result, &id, &path))
		return false;
	const char *rule = protect_cgroup(&request->protect, path, reason, sizeof(reason));
	if (rule) {
		act_refuse(result, "never-list", "%s", rule);
		return false;
	}
	int error = group_open(id, path, &group);
	if (error) {
		act_refuse(result, error == -ENODEV ? "no-cgroup-v2" : "target-changed",
			   error == -ENODEV ? "who is in the cgroup is read from the v2 hierarchy, and there is none" : "the cgroup is gone, or another one has its name now");
		return false;
	}
	error = group_each(&group, visit_member, crowd);
	group_close(&group);
	if (error && error != -ECANCELED)
		act_refuse(result, "unknown-members", "a member of the cgroup cannot be seen from here: %s", strerror(-error));
	return error == 0;
}

static bool find_process(struct crowd *crowd)
{
	struct victim victim;
	const char *why;
	if (!culprit_hold(crowd->request, crowd->proc_fd, crowd->result, &victim))
		return false;
	(void)add(crowd, &victim, &why);
	victim_close(&victim);
	if (why && why != another_agent)
		act_refuse(crowd->result, "no-control", "process %" PRId32 ": %s", victim.pid, why);
	return !why;
}

/* --- turning ------------------------------------------------------------------------------------------------------------- */

/* Processor time of one process so far, in clock ticks; 0 where it has ended: then it uses nothing. */
static uint64_t ticks_of(int proc_fd, int32_t pid)
{
	char path[32], text[STAT_LEN], *rest = NULL;
	snprintf(path, sizeof(path), "%d/stat", (int)pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	char *name_end = strrchr(text, ')');
	uint64_t ticks = 0;
	char *word = name_end ? strtok_r(name_end + 1, " ", &rest) : NULL;
	for (int field = FIELD_STATE; word && field <= FIELD_STIME; field++, word = strtok_r(NULL, " ", &rest))
		if (field >= FIELD_UTIME)
			ticks += strtoull(word, NULL, 10);
	return ticks;
}

/* Microseconds of a second. */
static uint64_t rate(const struct crowd *crowd)
{
	uint64_t first[MOST_PROCESSES], used = 0, from = clock_boot_ns();
	for (uint32_t i = 0; i < crowd->count; i++)
		first[i] = ticks_of(crowd->proc_fd, crowd->each[i].knob.pid);
	throttle_wait(crowd->request, WATCH_NS);
	uint64_t took = clock_boot_ns() - from;
	for (uint32_t i = 0; i < crowd->count; i++) {
		uint64_t last = ticks_of(crowd->proc_fd, crowd->each[i].knob.pid);
		used += last > first[i] ? last - first[i] : 0;
	}
	return (uint64_t)((double)used / (double)sysconf(_SC_CLK_TCK) * 1e15 / (double)took);
}

static bool is_fair(const struct crowd *crowd, const struct niced *niced)
{
	char reason[REASON_LEN];
	const char *halted = act_halted(crowd->request);
	if (halted) {
		act_refuse(crowd->result, halted, "stopped by the %s", halted);
		return false;
	}
	const char *rule = protect_process(&crowd->request->protect, crowd->proc_fd, niced->knob.pid, reason, sizeof(reason));
	char stat[32];
	snprintf(stat, sizeof(stat), "%d/stat", (int)niced->knob.pid);
	if (!rule || faccessat(crowd->proc_fd, stat, F_OK, 0) < 0)
		return true; /* who has ended is found out by the lease */
	act_refuse(crowd->result, "never-list", "process %" PRId32 " is protected: %.100s", niced->knob.pid, rule);
	return false;
}

/* All or none. 0; -ECANCELED: said why, and nothing is left turned. */
static int turn_all(const struct crowd *crowd, uint32_t *ret_turned)
{
	const struct remedy_request *request = crowd->request;
	char nice[8];
	int error = 0;
	uint32_t turned = 0;
	snprintf(nice, sizeof(nice), "%u", request->args.renice.nice);
	for (uint32_t i = 0; i < crowd->count && !error; i++) {
		if (!is_fair(crowd, &crowd->each[i]))
			error = -ECANCELED;
		else
			error = lease_take(request, &crowd->each[i].knob, nice, request->args.renice.for_ns, crowd->result);
		turned += error == 0;
		if (error == -ESTALE)
			error = 0; /* has ended since */
	}
	*ret_turned = turned;
	if (error == 0)
		return 0;
	if (!turned) {
		if (error != -ECANCELED)
			throttle_say_untaken(error, "nice", crowd->result);
		return -ECANCELED;
	}
	throttle_take_back(request, crowd->result);
	crowd->result->refused_by[0] = '\0';
	snprintf(crowd->result->why, sizeof(crowd->result->why), "not all of them could be turned: %s", strerror(-error));
	return -ECANCELED;
}

/* The kernel is asked again: what was written may have been somebody else's to write a moment later. */
static bool all_stand(const struct crowd *crowd)
{
	char text[LEASE_TEXT_LEN], nice[8];
	snprintf(nice, sizeof(nice), "%u", crowd->request->args.renice.nice);
	for (uint32_t i = 0; i < crowd->count; i++) {
		int error = knob_read(&crowd->each[i].knob, text, sizeof(text));
		if (error == -ESTALE)
			continue;
		if (error || strcmp(text, nice) != 0 || !threads_agree(crowd->proc_fd, crowd->each[i].knob.pid, (int)crowd->request->args.renice.nice)) {
			snprintf(crowd->result->why, sizeof(crowd->result->why), "process %" PRId32 " did not stay as nice as that", crowd->each[i].knob.pid);
			return false;
		}
	}
	return true;
}

static void turn(const struct crowd *crowd)
{
	bool renewed = false;
	uint32_t turned;
	for (uint32_t i = 0; i < crowd->count; i++)
		renewed |= crowd->each[i].renewed;
	uint64_t before = renewed ? UNKNOWN : rate(crowd);
	if (turn_all(crowd, &turned) < 0)
		return;
	if (!turned) {
		crowd->result->outcome = OUTCOME_NO_EFFECT;
		snprintf(crowd->result->why, sizeof(crowd->result->why), "all of them have ended");
		return;
	}
	if (!all_stand(crowd) || !throttle_use_is_enough(crowd->request, before, renewed ? UNKNOWN : rate(crowd), crowd->result))
		throttle_take_back(crowd->request, crowd->result);
}

static void plan(const struct crowd *crowd)
{
	const struct renice_args *args = &crowd->request->args.renice;
	for (uint32_t i = 0; i < crowd->count; i++)
		result_plan(crowd->result, "nice value of %" PRId32 ": %u instead of %d, for %llu s", crowd->each[i].knob.pid, args->nice, crowd->each[i].was,
			    (unsigned long long)(args->for_ns / NSEC_PER_SEC));
	if (crowd->left)
		result_plan(crowd->result, "%u others are left as they are", crowd->left);
	crowd->result->expected.use_percent = crowd->request->expect.use_percent;
}

/* --- the remedy ---------------------------------------------------------------------------------------------------------- */

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct crowd crowd = { .request = request, .result = result, .proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	if (crowd.proc_fd < 0)
		return -errno;
	/* About one process: then only it, whatever else the policy would allow. */
	bool whole = request->args.renice.scope == THROTTLE_CGROUP && request->target.type != TARGET_PROCESS;
	if (whole ? find_group(&crowd) : find_process(&crowd)) {
		plan(&crowd);
		if (!crowd.count)
			act_refuse(result, "no-control", "all that are in it are as nice by themselves, or not scheduled by a nice value");
		else if (request->verb == REMEDY_VERB_APPLY)
			turn(&crowd);
	}
	close(crowd.proc_fd);
	return 0;
}

/* Without CAP_SYS_NICE a nice value goes up, and never comes down again. */
static int check(const struct remedy_request *request, struct remedy_result *result)
{
	char text[4096];
	(void)request;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	const char *line = strstr(text, "\nCapEff:");
	uint64_t capabilities = line ? strtoull(line + strlen("\nCapEff:"), NULL, 16) : 0;
	result->armed = capabilities >> CAP_SYS_NICE_BIT & 1;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "without CAP_SYS_NICE a nice value could not be turned back");
	return 0;
}

static const char *const scope_choices[] = { [THROTTLE_PROCESS] = "process", [THROTTLE_CGROUP] = "cgroup" };

static const struct setting renice_settings[] = {
	{ .name = "scope", .type = VALUE_CHOICE, MEMBER(union remedy_args, renice.scope), CHOICES(scope_choices), .initial = "process",
	  .help = "the process that is the first cause, or all of its cgroup" },
	{ .name = "nice", .type = VALUE_COUNT, MEMBER(union remedy_args, renice.nice), .min = LEAST_NICE, .max = MOST_NICE, .initial = "10",
	  .help = "who is as nice as that is left as it is" },
	THROTTLE_FOR(renice.for_ns, LONGEST_WAIT_S, "10m"),
};
static const struct section arguments = SECTION("renice", "Makes the process or cgroup that uses up the processors nicer, for a time.", renice_settings);

static const char *problem_of(const union remedy_args *args)
{
	if (args->renice.scope != THROTTLE_PROCESS && args->renice.scope != THROTTLE_CGROUP)
		return "the scope is unknown";
	if (args->renice.nice < LEAST_NICE || args->renice.nice > MOST_NICE)
		return "nice is out of its range";
	return throttle_for_is_sound(args->renice.for_ns, LONGEST_WAIT_S) ? NULL : "for is out of its range";
}

const struct remedy renice = {
	.name = "renice",
	.id = REMEDY_RENICE,
	.lane = LANE_LEASE,
	.help = "Makes the process or the cgroup that uses up the processors nicer to those beside it, for a time.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_PROCESS | APPLIES_TO_CGROUP,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 80, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
