/* SPDX-License-Identifier: Apache-2.0 */
/* See throttle.h. */
#include "remedies/throttle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/protect.h"
#include "remedies/act.h"

/* As terminate has it: who drove less than this of it is no cause. */
enum { LEAST_SHARE_PERMILLE = 50, REASON_LEN = 160, SHOWN_LEN = 96 };

struct turn {
	const struct throttle *throttle;
	const struct remedy_request *request;
	struct remedy_result *result;
	uint64_t id;
	const char *path;
	struct group group;
	struct knob knob;
	bool v2;
	char value[LEASE_TEXT_LEN], now[LEASE_TEXT_LEN];
	int proc_fd;
	char reason[REASON_LEN];
};

/* --- whose --------------------------------------------------------------------------------------------------------------- */

static int find_group(struct turn *turn)
{
	const struct remedy_request *request = turn->request;
	if (request->target.type == TARGET_CGROUP) {
		turn->id = request->target.cgroup_id;
		turn->path = request->target.name;
		return 0;
	}
	for (uint32_t i = 0; i < request->candidate_count; i++) {
		const struct cause *cause = &request->candidates[i];
		if (!cause->cgroup_id || !cause->cgroup[0] || cause->share_permille < LEAST_SHARE_PERMILLE)
			continue;
		turn->id = cause->cgroup_id;
		turn->path = cause->cgroup;
		return 0;
	}
	act_refuse(turn->result, "no-candidate", "no candidate says in which cgroup it is");
	return -ECANCELED;
}

static int visit_member(int32_t pid, void *context)
{
	struct turn *turn = context;
	const char *rule = protect_process(&turn->request->protect, turn->proc_fd, pid, turn->reason, sizeof(turn->reason));
	char stat[48];
	snprintf(stat, sizeof(stat), "%d/stat", (int)pid);
	if (!rule || faccessat(turn->proc_fd, stat, F_OK, 0) < 0)
		return 0; /* nobody, or somebody who has just ended */
	act_refuse(turn->result, "never-list", "process %" PRId32 " in it is protected: %.100s", pid, rule);
	return -ECANCELED;
}

static int look_at_members(struct turn *turn)
{
	int error = group_open(turn->id, turn->path, &turn->group);
	if (error == -ENODEV)
		act_refuse(turn->result, "no-cgroup-v2", "who is in the cgroup is read from the v2 hierarchy, and there is none");
	else if (error)
		act_refuse(turn->result, "target-changed", "the cgroup is gone, or another one has its name now");
	if (error)
		return -ECANCELED;
	error = group_each(&turn->group, visit_member, turn);
	if (error && error != -ECANCELED)
		act_refuse(turn->result, "unknown-members", "a member of the cgroup cannot be seen from here: %s", strerror(-error));
	return error ? -ECANCELED : 0;
}

static int find_knob(struct turn *turn)
{
	const struct throttle *throttle = turn->throttle;
	int error = group_control(turn->id, turn->path, &throttle->control, &turn->knob, &turn->v2);
	if (error == 0 && throttle->aim)
		error = throttle->aim(turn->request, turn->v2, &turn->knob);
	if (error == 0)
		error = knob_read(&turn->knob, turn->now, sizeof(turn->now));
	if (error == 0)
		error = throttle->value(turn->request, turn->v2, turn->now, turn->value, sizeof(turn->value), turn->reason, sizeof(turn->reason));
	else if (error == -EPERM)
		snprintf(turn->reason, sizeof(turn->reason), "the %s controller has it together with others, who would be hit as well", throttle->control.controller);
	else if (error == -ENOENT)
		snprintf(turn->reason, sizeof(turn->reason), "the %s controller is not enabled for it", throttle->control.controller);
	else
		snprintf(turn->reason, sizeof(turn->reason), "%s", strerror(-error));
	if (error)
		act_refuse(turn->result, error == -ESTALE ? "target-changed" : "no-control", "%s", turn->reason);
	return error ? -ECANCELED : 0;
}

/* --- turning ------------------------------------------------------------------------------------------------------------- */

static void wait_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* Of its own counter, per second; UNKNOWN where it cannot be read. */
static uint64_t rate(const struct turn *turn)
{
	uint64_t first, last, from = clock_boot_ns();
	if (!turn->throttle->used || turn->throttle->used(&turn->group, &first) < 0)
		return UNKNOWN;
	wait_ns(turn->throttle->watch_ns);
	uint64_t took = clock_boot_ns() - from;
	return turn->throttle->used(&turn->group, &last) < 0 || last < first ? UNKNOWN : (uint64_t)((double)(last - first) * 1e9 / (double)took);
}

static void take_back(const struct turn *turn)
{
	struct lease_report report;
	struct action_step *step = result_step(turn->result, "return");
	int error = leases_return(turn->request->lease_book, LEASES_OF_ACTION, turn->request->action_id, clock_boot_ns(), NULL, NULL, &report);
	step_end(step, error == 0 && !report.failed, error ? "%s" : "turned back", error ? strerror(-error) : "");
	turn->result->outcome = error == 0 && !report.failed ? OUTCOME_ROLLED_BACK : OUTCOME_FAILED;
}

static void judge(const struct turn *turn, uint64_t before, uint64_t after)
{
	struct remedy_result *result = turn->result;
	struct action_step *step = result_step(result, "use");
	if (before == UNKNOWN || after == UNKNOWN || before == 0) {
		step_end(step, true, before == 0 ? "it used nothing before: what this brings shows elsewhere" : "its use is not measured");
		result->outcome = OUTCOME_IMPROVED;
		return;
	}
	result->observed.use_percent = (uint64_t)((double)after * 100 / (double)before + 0.5);
	uint64_t promised = turn->request->expect.use_percent;
	bool enough = promised == UNKNOWN || result->observed.use_percent <= promised;
	step_end(step, enough, "%" PRIu64 " %% of what it used before", result->observed.use_percent);
	if (enough) {
		result->outcome = OUTCOME_FIXED;
		return;
	}
	snprintf(result->why, sizeof(result->why), "it still uses %" PRIu64 " %% of what it used before, %" PRIu64 " %% were promised", result->observed.use_percent,
		 promised);
	take_back(turn);
}

static void turn_it(struct turn *turn)
{
	uint64_t before = rate(turn);
	const char *halted = act_halted(turn->request);
	if (halted) {
		act_refuse(turn->result, halted, "stopped by the %s", halted);
		return;
	}
	/* Those that came since: the last look before the act. */
	if (group_each(&turn->group, visit_member, turn) != 0)
		return;
	int error = lease_take(turn->request, &turn->knob, turn->value, turn->throttle->for_ns(&turn->request->args), turn->result);
	if (error == -ESTALE)
		act_refuse(turn->result, "target-changed", "the cgroup is gone, or another one has its name now");
	else if (error == -ENOSPC || error == -EBUSY)
		act_refuse(turn->result, "lease-book", "the book of leases has no place or is held: nothing is turned that is not written down");
	else if (error)
		act_fail(turn->result, "%s: %s", turn->throttle->control.controller, strerror(-error));
	else
		judge(turn, before, rate(turn));
}

int throttle_run(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result)
{
	char buffer[REASON_LEN], shown[SHOWN_LEN];
	struct turn turn = { .throttle = throttle, .request = request, .result = result, .group = { .fd = -1 } };
	if (find_group(&turn) < 0)
		return 0;
	const char *rule = protect_cgroup(&request->protect, turn.path, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(result, "never-list", "%s", rule);
		return 0;
	}
	turn.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (turn.proc_fd < 0)
		return -errno;
	if (look_at_members(&turn) == 0 && find_knob(&turn) == 0) {
		act_shown(shown, sizeof(shown), turn.path);
		result_plan(result, "%s of cgroup %s: %s instead of %s, for %llu s", strrchr(turn.knob.file, '/') + 1, shown, turn.value, turn.now,
			    (unsigned long long)(throttle->for_ns(&request->args) / NSEC_PER_SEC));
		result->expected.use_percent = request->expect.use_percent;
		if (request->verb == REMEDY_VERB_APPLY)
			turn_it(&turn);
	}
	group_close(&turn.group);
	close(turn.proc_fd);
	return 0;
}

int throttle_check(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = control_exists(&throttle->control);
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "this host has no %s controller", throttle->control.controller);
	return 0;
}
