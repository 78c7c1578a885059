/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends what multiplies faster than it can be ended one by one: first all of it stands still, then all of it is killed. A cgroup that is its own
 * ends at one stroke of the kernel's (cgroup.kill, or frozen); else its kin are stopped (SIGSTOP) in rounds until a round finds nobody new, since
 * who stands still begets nobody. Whoever was stopped and is not to be killed after all is let go.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/freeze.h"
#include "remedies/group_aim.h"
#include "remedies/kin.h"
#include "remedies/registry.h"
#include "remedies/terminate.h"
#include "remedies/victim.h"

#define ROUND_NS (1 * NSEC_PER_MSEC)
enum {
	MOST_PROCESSES = 8192,
	MAX_ROUNDS = 1000,
	MAX_AGAIN = 3,
	OWN_PERCENT = 90,   /* a cgroup nine tenths of which are the bomb has nothing left that would work without it */
	REASON_LEN = 160, SHOWN_LEN = 64,
};

struct held_still {
	int32_t pid;
	uint64_t start_ns;
};

/* Of one run at a time: a worker does one thing. Untouched, and so without memory, until the first. */
static struct kin_table kin;
static struct held_still stopped[MOST_PROCESSES];

struct bomb {
	const struct remedy_request *request;
	const struct kill_fork_bomb_args *args;
	struct remedy_result *result;
	int proc_fd;
	struct kin first;          /* who began it */
	const struct cause *cause; /* by which it was found, where it says which cgroup that is in */
	struct group group;        /* fd -1: no cgroup of its own */
	uint64_t group_id;
	uint32_t stopped, rounds, spared;
	bool full;                 /* more than may be ended at once */
	char rule[REASON_LEN];     /* why one of them must not be ended */
	int32_t ruled;
};

/* --- whose --------------------------------------------------------------------------------------------------------------- */

static const struct cause *in_candidates(const struct remedy_request *request, int32_t pid)
{
	for (uint32_t i = 0; i < request->candidate_count; i++)
		if (request->candidates[i].pid == pid)
			return &request->candidates[i];
	return NULL;
}

/* The first candidate that is still what was measured, and who began it. The process of the target stands for itself. */
static bool find_first(struct bomb *bomb)
{
	const struct remedy_request *request = bomb->request;
	struct cause own = { .pid = request->target.pid, .start_ns = request->target.start_ns, .share_permille = 1000 };
	snprintf(own.comm, sizeof(own.comm), "%.15s", request->target.name);
	bool alone = request->target.type == TARGET_PROCESS;
	for (uint32_t i = 0; i < (alone ? 1 : request->candidate_count); i++) {
		const struct cause *cause = alone ? &own : &request->candidates[i];
		struct victim victim;
		char why[REASON_LEN];
		if (cause->pid <= 0 || cause->share_permille < LEAST_CAUSE_PERMILLE)
			continue;
		if (victim_open(bomb->proc_fd, cause, &victim, why, sizeof(why)) < 0) {
			step_end(result_step(bomb->result, "candidate"), false, "passed over %" PRId32 ": %s", cause->pid, why);
			continue;
		}
		const struct kin *first = kin_first(&kin, cause->pid);
		bool found = first && victim_lives(&victim);
		victim_close(&victim);
		if (!found)
			continue;
		bomb->first = *first;
		bomb->cause = alone ? in_candidates(request, cause->pid) : cause;
		return true;
	}
	return false;
}

/*
 * NULL: it may be ended, or is ending. Of one that is on its way out much cannot be read any more, and who cannot be told is protected; in a bomb
 * there is always somebody on his way out.
 */
static const char *rule_over(struct bomb *bomb, int32_t pid)
{
	const char *rule = protect_process(&bomb->request->protect, bomb->proc_fd, pid, bomb->rule, sizeof(bomb->rule));
	if (!rule || kin_is_leaving(bomb->proc_fd, pid))
		return NULL;
	if (rule != bomb->rule)
		snprintf(bomb->rule, sizeof(bomb->rule), "%s", rule);
	bomb->ruled = pid;
	return bomb->rule;
}

/* NULL: all may be ended; else the rule, and in `ruled` whose. */
static const char *rule_over_members(struct bomb *bomb)
{
	const char *rule = NULL;
	for (uint32_t i = 0; i < kin.count && !rule; i++)
		if (kin.each[i].is_member)
			rule = rule_over(bomb, kin.each[i].pid);
	return rule;
}

static int refuse_unless_bomb(struct bomb *bomb)
{
	uint64_t now = clock_boot_ns(), within = bomb->args->born_within_ns;
	uint32_t born = kin_born(&kin, now > within ? now - within : 0);
	struct action_step *step = result_step(bomb->result, "look");
	unsigned long long seconds = within / NSEC_PER_SEC;
	step_end(step, born >= bomb->args->min_born, "%u processes of %u belong to it, %u of them began within %llu s", kin.members, kin.count, born, seconds);
	if (born < bomb->args->min_born)
		act_refuse(bomb->result, "no-evidence", "%u of its %u processes began within the last %llu s, which is less than the %u that make a bomb", born,
			   kin.members, seconds, bomb->args->min_born);
	else if (kin.members > bomb->args->max_processes)
		act_refuse(bomb->result, "too-many", "%u processes belong to it, and no more than %u may be ended", kin.members, bomb->args->max_processes);
	else if (rule_over_members(bomb))
		act_refuse(bomb->result, "never-list", "%" PRId32 " belongs to it and is protected: %s", bomb->ruled, bomb->rule);
	else
		return 0;
	return -ECANCELED;
}

struct neighbours {
	uint32_t kin, others;
};

static int visit_neighbour(int32_t pid, void *context)
{
	struct neighbours *neighbours = context;
	const struct kin *each = kin_find(&kin, pid);
	if (each && !each->is_leaving) { /* else it came since, or has gone */
		neighbours->kin += each->is_member;
		neighbours->others += !each->is_member;
	}
	return 0;
}

/* The cgroup of the first one, where next to nobody else is in it and nobody protected. */
static void find_own_group(struct bomb *bomb, uint64_t id, const char *path)
{
	char buffer[REASON_LEN];
	struct neighbours in_it = { 0, 0 };
	if (!id || !path[0] || protect_cgroup(&bomb->request->protect, path, buffer, sizeof(buffer)) || group_open(id, path, &bomb->group) < 0)
		return;
	if (group_each(&bomb->group, visit_neighbour, &in_it) == 0 && in_it.kin && in_it.kin * 100ULL >= (in_it.kin + in_it.others) * (uint64_t)OWN_PERCENT &&
	    kin_mark_group(&kin, &bomb->group) == 0 && !rule_over_members(bomb))
		return;
	group_close(&bomb->group);
	kin_mark(&kin, &bomb->first);
}

static void wait_ns(uint64_t ns)
{
	struct timespec time = { .tv_nsec = (long)ns };
	(void)nanosleep(&time, NULL);
}

/* --- standing still ------------------------------------------------------------------------------------------------------ */

static bool is_stopped(const struct bomb *bomb, const struct kin *member)
{
	for (uint32_t i = 0; i < bomb->stopped; i++)
		if (stopped[i].pid == member->pid && stopped[i].start_ns == member->start_ns)
			return true;
	return false;
}

/* `signal` to one, if it is still who it was. 1: sent; 0: it is gone; -errno. */
static int send_to(const struct bomb *bomb, int32_t pid, uint64_t start_ns, int signal)
{
	struct victim victim;
	int error = victim_hold(bomb->proc_fd, pid, &victim);
	if (error < 0)
		return error == -ESRCH ? 0 : error;
	bool same = victim.start_ns == start_ns;
	error = !same ? 0 : signal == SIGKILL ? victim_kill(&victim) : victim_signal(&victim, signal);
	victim_close(&victim);
	return error == -ESRCH || !same ? 0 : error < 0 ? error : 1;
}

static void let_go(struct bomb *bomb)
{
	uint32_t let = 0;
	for (uint32_t i = 0; i < bomb->stopped; i++)
		let += send_to(bomb, stopped[i].pid, stopped[i].start_ns, SIGCONT) > 0;
	if (bomb->stopped)
		step_end(result_step(bomb->result, "continue"), true, "%u were let go again", let);
	bomb->stopped = 0;
}

/*
 * 1: nobody new, and nobody who still runs: one that was told to stop may be in the midst of a fork. 0: somebody; -errno: it must not go on, and why is
 * said.
 */
static int one_round(struct bomb *bomb)
{
	uint32_t fresh = 0, running = 0;
	int error = kin_read(bomb->proc_fd, &kin);
	const char *halted = act_halted(bomb->request);
	if (error < 0 || halted) {
		if (halted)
			act_refuse(bomb->result, halted, "stopped by the %s", halted);
		else
			act_fail(bomb->result, "who belongs to it cannot be told: %s", strerror(-error));
		return -ECANCELED;
	}
	kin_mark(&kin, &bomb->first);
	for (uint32_t i = 0; i < kin.count; i++) {
		const struct kin *member = &kin.each[i];
		if (!member->is_member)
			continue;
		running += member->is_running;
		if (is_stopped(bomb, member))
			continue;
		if (bomb->stopped >= bomb->args->max_processes) {
			act_refuse(bomb->result, "too-many", "more than %u processes belong to it", bomb->args->max_processes);
			return -ECANCELED;
		}
		const char *rule = rule_over(bomb, member->pid);
		if (rule) {
			act_refuse(bomb->result, "never-list", "%" PRId32 " belongs to it and is protected: %s", member->pid, rule);
			return -ECANCELED;
		}
		error = send_to(bomb, member->pid, member->start_ns, SIGSTOP);
		if (error <= 0)
			continue; /* gone; or, where it cannot be signalled, seen again in the next round */
		stopped[bomb->stopped++] = (struct held_still){ .pid = member->pid, .start_ns = member->start_ns };
		fresh++;
	}
	bomb->rounds++;
	if (fresh == 0 && running)
		wait_ns(ROUND_NS); /* they stop as they get a processor */
	return fresh == 0 && running == 0;
}

static uint64_t end_of_waiting(const struct remedy_request *request)
{
	uint64_t soon = clock_boot_ns() + AFTER_KILL_NS;
	return soon > request->deadline_boot_ns ? soon : request->deadline_boot_ns;
}

/* --- ending -------------------------------------------------------------------------------------------------------------- */

static void judge(const struct bomb *bomb, uint32_t ended, uint32_t left)
{
	struct remedy_result *result = bomb->result;
	uint64_t promised = bomb->request->expect.exited;
	result->observed.exited = ended;
	step_end(result_step(result, "exit"), left == 0, "%u have ended, %u are left", ended, left);
	result->outcome = left == 0 && ended && (promised == UNKNOWN || ended >= promised) ? OUTCOME_FIXED : ended ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (left)
		snprintf(result->why, sizeof(result->why), "%u of it are still there", left);
}

/* 0: all that stood still were killed, and `ended` and `left` say what became of them. -errno: it must not go on, and why is said. */
static int stop_and_kill(struct bomb *bomb, uint32_t *ended, uint32_t *left)
{
	struct action_step *step = result_step(bomb->result, "stop");
	int still = 0;
	bomb->rounds = 0;
	while (still == 0 && bomb->rounds < MAX_ROUNDS)
		still = one_round(bomb);
	if (still <= 0) {
		step_end(step, false, "%u stood still after %u rounds", bomb->stopped, bomb->rounds);
		if (still == 0)
			act_fail(bomb->result, "it did not stand still in %u rounds", bomb->rounds);
		let_go(bomb);
		return -ECANCELED;
	}
	step_end(step, true, "%u stand still after %u rounds", bomb->stopped, bomb->rounds);

	uint32_t killed = 0;
	for (uint32_t i = 0; i < bomb->stopped; i++)
		killed += send_to(bomb, stopped[i].pid, stopped[i].start_ns, SIGKILL) > 0;
	step_end(result_step(bomb->result, "kill"), killed == bomb->stopped, "SIGKILL to %u of %u", killed, bomb->stopped);
	uint64_t until = end_of_waiting(bomb->request);
	*left = 0;
	for (uint32_t i = 0; i < bomb->stopped; i++) {
		struct victim victim;
		if (victim_hold(bomb->proc_fd, stopped[i].pid, &victim) < 0)
			continue;
		*left += victim.start_ns == stopped[i].start_ns && victim_wait(&victim, until) <= 0;
		victim_close(&victim);
	}
	*ended += bomb->stopped - *left;
	bomb->stopped = 0;
	return 0;
}

/* How many of its kin live. */
static uint32_t survivors(const struct bomb *bomb)
{
	if (kin_read(bomb->proc_fd, &kin) < 0)
		return UINT32_MAX;
	kin_mark(&kin, &bomb->first);
	return kin.members;
}

/* Once more where somebody was not there to be seen the first time: one in the midst of an uninterruptible fork. */
static void end_kin(struct bomb *bomb, uint32_t ended)
{
	uint32_t left = 0;
	int error = 0;
	for (int again = 0; again < MAX_AGAIN && error == 0; again++) {
		error = stop_and_kill(bomb, &ended, &left);
		if (error == 0 && left == 0)
			left = survivors(bomb);
		if (left == 0 || act_halted(bomb->request))
			break;
	}
	if (error == 0 || ended)
		judge(bomb, ended, error ? 1 : left);
}

static void end_group(struct bomb *bomb)
{
	uint32_t members = kin.members;
	const char *halted = act_halted(bomb->request), *how = "cgroup.kill";
	if (halted) {
		act_refuse(bomb->result, halted, "stopped by the %s", halted);
		return;
	}
	uint64_t until = end_of_waiting(bomb->request);
	int error = group_kill(&bomb->group);
	if (error == -ENOENT || error == -EOPNOTSUPP) {
		how = "frozen, killed one by one, thawed";
		error = freeze_and_kill(bomb->request, &bomb->group, bomb->group_id, until, bomb->result);
	}
	step_end(result_step(bomb->result, "kill"), error == 0, "%s%s%s", how, error ? ": " : "", error ? strerror(-error) : "");
	if (error) {
		act_fail(bomb->result, "the cgroup cannot be ended: %s", strerror(-error));
		return;
	}
	int empty = group_wait_empty(&bomb->group, until);
	if (empty > 0 && bomb->first.pid && survivors(bomb)) /* in another cgroup */
		end_kin(bomb, members);
	else
		judge(bomb, empty > 0 ? members : 0, empty > 0 ? 0 : members);
}

/* --- the remedy ---------------------------------------------------------------------------------------------------------- */

static void plan_and_act(struct bomb *bomb)
{
	char shown[SHOWN_LEN];
	bool whole = bomb->group.fd >= 0;
	if (refuse_unless_bomb(bomb) < 0)
		return;
	act_shown(shown, sizeof(shown), whole ? bomb->group.path : bomb->first.comm);
	if (whole)
		result_plan(bomb->result, "kill cgroup %s at one stroke: %u processes", shown, kin.members);
	else
		result_plan(bomb->result, "stop, then kill %" PRId32 " (%s) and its kin: %u processes", bomb->first.pid, shown, kin.members);
	bomb->result->expected.exited = kin.members;
	if (bomb->request->verb == REMEDY_VERB_PLAN)
		return;
	if (whole)
		end_group(bomb);
	else
		end_kin(bomb, 0);
}

/* A process and its kin, in a cgroup of their own or not; else the cgroup that it is about. */
static void look_and_act(struct bomb *bomb)
{
	int error = kin_read(bomb->proc_fd, &kin);
	if (error) {
		act_refuse(bomb->result, "unknown-members", "who belongs to it cannot be told: %s", strerror(-error));
		return;
	}
	if (find_first(bomb)) {
		const struct cause *cause = bomb->cause;
		kin_mark(&kin, &bomb->first);
		if (cause) {
			bomb->group_id = cause->cgroup_id;
			find_own_group(bomb, cause->cgroup_id, cause->cgroup);
		}
		plan_and_act(bomb);
		return;
	}
	struct group_aim aim;
	if (group_aim_open(bomb->request, bomb->result, &aim) < 0)
		return;
	bomb->group = aim.group;
	bomb->group_id = aim.id;
	error = kin_mark_group(&kin, &bomb->group);
	if (error)
		act_refuse(bomb->result, "unknown-members", "who is in the cgroup cannot be told: %s", strerror(-error));
	else
		plan_and_act(bomb);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct bomb bomb = { .request = request, .args = &request->args.kill_fork_bomb, .result = result, .group = { .fd = -1 } };
	bomb.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bomb.proc_fd < 0)
		return -errno;
	look_and_act(&bomb);
	group_close(&bomb.group);
	close(bomb.proc_fd);
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	return terminate.check(request, result); /* the same signals, by the same way */
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting kill_fork_bomb_settings[] = {
	{ .name = "max_processes", .type = VALUE_COUNT, ARGUMENT(kill_fork_bomb.max_processes), .min = 1, .max = MOST_PROCESSES, .initial = "2000",
	  .help = "where more belong to it, nobody is ended: it is something else" },
	{ .name = "min_born", .type = VALUE_COUNT, ARGUMENT(kill_fork_bomb.min_born), .min = 2, .max = MOST_PROCESSES, .initial = "50",
	  .help = "so many of those that live must have begun within born_within: that is what makes it a bomb" },
	{ .name = "born_within", .type = VALUE_DURATION, ARGUMENT(kill_fork_bomb.born_within_ns), .min = 1.0 * NSEC_PER_SEC, .max = 3600.0 * NSEC_PER_SEC,
	  .initial = "1m", .help = "see min_born" },
};
static const struct section arguments = SECTION("kill-fork-bomb", "Ends what multiplies: first all of it stands still, then it is killed.",
	kill_fork_bomb_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct kill_fork_bomb_args *args = &all->kill_fork_bomb;
	if (args->max_processes < 1 || args->max_processes > MOST_PROCESSES || args->min_born < 2 || args->min_born > MOST_PROCESSES)
		return "max_processes or min_born is out of its range";
	return args->born_within_ns < NSEC_PER_SEC || args->born_within_ns > 3600 * NSEC_PER_SEC ? "born_within is out of its range" : NULL;
}

const struct remedy kill_fork_bomb = {
	.name = "kill-fork-bomb",
	.id = REMEDY_KILL_FORK_BOMB,
	.lane = LANE_KILL,
	.help = "Ends what multiplies: first all of it stands still, then it is killed.",
	.undo = "none: what ran is gone; who was only stopped is let go again",
	.destructive = true,
	.ends_processes = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_PROCESS | APPLIES_TO_CGROUP,
	.effects = EFFECT_EXITED | EFFECT_WITHIN,
	.expect_example = "{exited: true, within: 30s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
