/* SPDX-License-Identifier: Apache-2.0 */
/* See throttle.h. */
#include "remedies/throttle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/culprit.h"

enum { REASON_LEN = 160, SHOWN_LEN = 96, FILE_LEN = 2048 };

#define TRIAL_NS (5 * NSEC_PER_SEC) /* beyond the deadline: for the last look, and the write that takes it back */

struct turn {
	const struct throttle *throttle;
	const struct remedy_request *request;
	struct remedy_result *result;
	uint64_t id;
	const char *path;
	struct group group;
	struct knob knob;
	struct throttle_view view;
	char value[LEASE_TEXT_LEN], now[LEASE_TEXT_LEN], before[LEASE_TEXT_LEN];
	char reason[REASON_LEN];
};

/* --- whose --------------------------------------------------------------------------------------------------------------- */

static int visit_member(int32_t pid, void *context)
{
	struct turn *turn = context;
	const char *rule = protect_process(&turn->request->protect, turn->view.proc_fd, pid, turn->reason, sizeof(turn->reason));
	char stat[48];
	snprintf(stat, sizeof(stat), "%d/stat", (int)pid);
	if (!rule || faccessat(turn->view.proc_fd, stat, F_OK, 0) < 0)
		return 0; /* nobody, or somebody who has just ended */
	act_refuse(turn->result, "never-list", "process %" PRId32 " in it is protected: %.100s", pid, rule);
	return -ECANCELED;
}

static int open_group(struct turn *turn)
{
	int error = group_open(turn->id, turn->path, &turn->group);
	if (error == -ENODEV)
		act_refuse(turn->result, "no-cgroup-v2", "who is in the cgroup is read from the v2 hierarchy, and there is none");
	else if (error)
		act_refuse(turn->result, "target-changed", "the cgroup is gone, or another one has its name now");
	return error ? -ECANCELED : 0;
}

static int look_at_members(struct turn *turn)
{
	int leaf = turn->throttle->leaf_only ? group_is_leaf(&turn->group) : 1;
	if (leaf == 0)
		act_refuse(turn->result, "not-a-leaf", "other cgroups are below it: only a single application's own may be");
	int error = leaf == 1 ? group_each(&turn->group, visit_member, turn) : -ECANCELED;
	if (error && error != -ECANCELED)
		act_refuse(turn->result, "unknown-members", "a member of the cgroup cannot be seen from here: %s", strerror(-error));
	return error ? -ECANCELED : 0;
}

/* What stands, and what stood before a lease of ours: a limit is compared with the cgroup's own, and a second act renews it. */
static int read_knob(struct turn *turn)
{
	turn->view.now = turn->now;
	int error = knob_read(&turn->knob, turn->now, sizeof(turn->now));
	if (error)
		return error;
	int held = lease_find(turn->request->lease_book, &turn->knob, turn->before, sizeof(turn->before));
	turn->view.renewed = held == 1;
	if (held == 1)
		turn->view.now = turn->before;
	return held == -EBUSY || held == -EADDRINUSE ? held : 0; /* a book that cannot be read at all is said when it is to be written */
}

static void say_no_control(struct turn *turn, int error)
{
	const struct control_name *control = &turn->throttle->control;
	const char *controller = control->controller ? control->controller : "cgroup";
	if (error == -EPERM)
		snprintf(turn->reason, sizeof(turn->reason), "the %s controller has it together with others, who would be hit as well", controller);
	else if (error == -ENOENT)
		snprintf(turn->reason, sizeof(turn->reason), "the %s controller is not enabled for it%s%s", controller, turn->throttle->v1_why ? " in v2: " : "",
			 turn->throttle->v1_why ? turn->throttle->v1_why : "");
	else
		snprintf(turn->reason, sizeof(turn->reason), "%s", strerror(-error));
}

static int find_knob(struct turn *turn)
{
	const struct throttle *throttle = turn->throttle;
	struct throttle_view *view = &turn->view;
	int error = group_control(turn->id, turn->path, &throttle->control, &turn->knob, &view->v2);
	if (error)
		say_no_control(turn, error);
	if (error == 0 && throttle->aim)
		error = throttle->aim(view, &turn->knob, turn->reason, sizeof(turn->reason));
	if (error == 0 && (error = read_knob(turn)) != 0) {
		throttle_say_untaken(error, strrchr(turn->knob.file, '/') + 1, turn->result);
		return -ECANCELED;
	}
	if (error == 0)
		error = throttle->value(view, turn->value, sizeof(turn->value), turn->reason, sizeof(turn->reason));
	if (error)
		act_refuse(turn->result, error == -ESTALE ? "target-changed" : "no-control", "%s", turn->reason);
	return error ? -ECANCELED : 0;
}

/* --- measuring ----------------------------------------------------------------------------------------------------------- */

void throttle_wait(const struct remedy_request *request, uint64_t ns)
{
	struct lease_report report;
	struct timespec time = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
	if (request->lease_book[0])
		(void)leases_return(request->lease_book, LEASES_EXPIRED, NULL, clock_boot_ns(), NULL, NULL, &report); /* the agent's own sweep tells what failed */
}

int throttle_number(int dir_fd, const char *file, const char *word, uint64_t *ret)
{
	char text[FILE_LEN], *end;
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return -EIO;
	text[got] = '\0';
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, word, strlen(word)) != 0)
			continue;
		const char *number = line + strlen(word);
		*ret = strtoull(number, &end, 10);
		return end != number ? 0 : -EINVAL;
	}
	return -ENOENT;
}

int throttle_cpu_used(const struct throttle_view *view, uint64_t ret[THROTTLE_USES])
{
	ret[1] = 0;
	return throttle_number(view->group->fd, "cpu.stat", "usage_usec ", &ret[0]);
}

/* Of its counters, per second; UNKNOWN where they cannot be read. */
static uint64_t rate(const struct turn *turn)
{
	uint64_t first[THROTTLE_USES], last[THROTTLE_USES], most = 0, from = clock_boot_ns();
	if (!turn->throttle->used || turn->throttle->used(&turn->view, first) < 0)
		return UNKNOWN;
	throttle_wait(turn->request, turn->throttle->watch_ns);
	uint64_t took = clock_boot_ns() - from;
	if (turn->throttle->used(&turn->view, last) < 0)
		return UNKNOWN;
	for (int i = 0; i < THROTTLE_USES; i++) {
		uint64_t used = last[i] < first[i] ? 0 : (uint64_t)((double)(last[i] - first[i]) * 1e9 / (double)took); /* less: one of them has ended */
		most = used > most ? used : most;
	}
	return most;
}

bool throttle_use_is_enough(const struct remedy_request *request, uint64_t before, uint64_t after, struct remedy_result *result)
{
	struct action_step *step = result_step(result, "use");
	result->outcome = OUTCOME_IMPROVED;
	if (before == UNKNOWN || after == UNKNOWN || before == 0) {
		step_end(step, true, before == 0 ? "it used nothing before: what this brings shows elsewhere" : "its use is not measured");
		return true;
	}
	result->observed.use_percent = (uint64_t)((double)after * 100 / (double)before + 0.5);
	uint64_t promised = request->expect.use_percent;
	bool enough = promised == UNKNOWN || result->observed.use_percent <= promised;
	step_end(step, enough, "%" PRIu64 " %% of what it used before", result->observed.use_percent);
	if (!enough)
		snprintf(result->why, sizeof(result->why), "it still uses %" PRIu64 " %% of what it used before, %" PRIu64 " %% were promised", result->observed.use_percent,
			 promised);
	else if (promised != UNKNOWN || result->observed.use_percent < 100)
		result->outcome = OUTCOME_FIXED;
	return enough;
}

/* --- turning ------------------------------------------------------------------------------------------------------------- */

void throttle_take_back(const struct remedy_request *request, struct remedy_result *result)
{
	struct lease_report report;
	struct action_step *step = result_step(result, "return");
	int error = leases_return(request->lease_book, LEASES_OF_ACTION, request->action_id, clock_boot_ns(), NULL, NULL, &report);
	step_end(step, error == 0 && !report.failed, error ? "%s" : "turned back", error ? strerror(-error) : "");
	result->outcome = error == 0 && !report.failed ? OUTCOME_ROLLED_BACK : OUTCOME_FAILED;
}

void throttle_say_untaken(int error, const char *what, struct remedy_result *result)
{
	if (error == -ESTALE)
		act_refuse(result, "target-changed", "the cgroup or process is gone, or another one has its name now");
	else if (error == -EADDRINUSE)
		act_refuse(result, "other-agent", "another agent has it on lease: two of them on one knob would leave it turned");
	else if (error == -ENOSPC || error == -EBUSY)
		act_refuse(result, "lease-book", "the book of leases has no place or is held: nothing is turned that is not written down");
	else
		act_fail(result, "%s: %s", what, strerror(-error));
}

static bool is_below_most(struct turn *turn, uint64_t after)
{
	uint64_t most = turn->throttle->most ? turn->throttle->most(&turn->view) : UNKNOWN;
	if (most == UNKNOWN || after == UNKNOWN || after <= most)
		return true;
	struct remedy_result *result = turn->result;
	step_end(result_step(result, "limit"), false, "%" PRIu64 " a second, of %" PRIu64, after, most);
	snprintf(result->why, sizeof(result->why), "it goes on with %" PRIu64 " a second, and %" PRIu64 " were to be left of it", after, most);
	return false;
}

/* What takes its time is looked at again until it shows, or until the time that was promised is over. */
static uint64_t rate_in_time(struct turn *turn, uint64_t before)
{
	uint64_t after = rate(turn), promised = turn->request->expect.use_percent;
	if (!turn->throttle->patient || before == UNKNOWN || before == 0)
		return after;
	uint64_t most = turn->throttle->most ? turn->throttle->most(&turn->view) : UNKNOWN;
	uint64_t wanted = promised == UNKNOWN ? UNKNOWN : (uint64_t)((double)before * (double)promised / 100);
	wanted = most < wanted ? most : wanted;
	while (after != UNKNOWN && after > wanted && clock_boot_ns() + turn->throttle->watch_ns < turn->request->deadline_boot_ns)
		after = rate(turn);
	return after;
}

/* On lease already: what it used without one is not known, and so the use that is seen condemns nothing. */
static void judge_renewal(struct turn *turn)
{
	step_end(result_step(turn->result, "use"), true, "it was on lease already, which now lasts longer: its use without it is not known");
	turn->result->outcome = OUTCOME_IMPROVED;
}

/* True: it stays. */
static bool judge(struct turn *turn, uint64_t before)
{
	const struct throttle *throttle = turn->throttle;
	struct remedy_result *result = turn->result;
	bool good = true;
	turn->reason[0] = '\0';
	if (throttle->holds && throttle->holds(&turn->view, turn->reason, sizeof(turn->reason)) != 1) {
		good = false;
	} else if (throttle->watch) {
		good = throttle->watch(&turn->view, before, result, turn->reason, sizeof(turn->reason)) == 1;
	} else if (turn->view.renewed) {
		judge_renewal(turn);
	} else {
		uint64_t after = rate_in_time(turn, before);
		good = throttle_use_is_enough(turn->request, before, after, result) && is_below_most(turn, after);
	}
	if (turn->reason[0])
		snprintf(result->why, sizeof(result->why), "%s", turn->reason);
	if (!good)
		throttle_take_back(turn->request, result);
	return good;
}

/* Until it was seen to help it is on lease for no longer than that takes: should this process end meanwhile, nobody would look any more. */
static uint64_t on_trial(const struct turn *turn)
{
	uint64_t now = clock_boot_ns(), deadline = turn->request->deadline_boot_ns, whole = turn->throttle->for_ns(&turn->request->args);
	uint64_t trial = (deadline > now ? deadline - now : 0) + TRIAL_NS;
	return trial < whole && !turn->view.renewed ? trial : whole;
}

static void grant(struct turn *turn)
{
	uint64_t whole = turn->throttle->for_ns(&turn->request->args);
	int error = lease_extend(turn->request->lease_book, &turn->knob, whole);
	step_end(result_step(turn->result, "lease"), error == 0, error ? "it ends sooner than it was meant to: %s" : "it stays for all of its time%s", error ? strerror(-error) : "");
}

static void turn_it(struct turn *turn)
{
	uint64_t before = turn->throttle->level ? turn->throttle->level(&turn->view) : turn->view.renewed ? UNKNOWN : rate(turn);
	const char *halted = act_halted(turn->request);
	if (halted) {
		act_refuse(turn->result, halted, "stopped by the %s", halted);
		return;
	}
	/* Those that came since: the last look before the act. */
	if (look_at_members(turn) != 0)
		return;
	uint64_t trial = on_trial(turn);
	int error = lease_take(turn->request, &turn->knob, turn->value, trial, turn->result);
	if (error)
		throttle_say_untaken(error, strrchr(turn->knob.file, '/') + 1, turn->result);
	else if (judge(turn, before) && trial < turn->throttle->for_ns(&turn->request->args))
		grant(turn);
}

static void plan_it(struct turn *turn)
{
	char shown[SHOWN_LEN], value[SHOWN_LEN], now[SHOWN_LEN];
	act_shown(shown, sizeof(shown), turn->path);
	result_plan(turn->result, "%s of cgroup %s: %.60s instead of %.60s, for %llu s%s", strrchr(turn->knob.file, '/') + 1, shown,
		    act_shown(value, sizeof(value), turn->value), turn->view.now[0] ? act_shown(now, sizeof(now), turn->view.now) : "none of its own",
		    (unsigned long long)(turn->throttle->for_ns(&turn->request->args) / NSEC_PER_SEC), turn->view.renewed ? ", as it is on lease already" : "");
	turn->result->expected.use_percent = turn->request->expect.use_percent;
}

int throttle_run(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result)
{
	char buffer[REASON_LEN];
	struct turn turn = { .throttle = throttle, .request = request, .result = result, .group = { .fd = -1 } };
	if (!culprit_group(request, result, &turn.id, &turn.path))
		return 0;
	const char *rule = protect_cgroup(&request->protect, turn.path, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(result, "never-list", "%s", rule);
		return 0;
	}
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	turn.view = (struct throttle_view){ .request = request, .group = &turn.group, .knob = &turn.knob, .value = turn.value, .now = turn.now, .proc_fd = proc_fd };
	if (open_group(&turn) == 0 && look_at_members(&turn) == 0 && find_knob(&turn) == 0) {
		plan_it(&turn);
		if (request->verb == REMEDY_VERB_APPLY)
			turn_it(&turn);
	}
	group_close(&turn.group);
	close(proc_fd);
	return 0;
}

int throttle_check(const struct throttle *throttle, const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = control_exists(&throttle->control);
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "this host has no %s controller%s%s", throttle->control.controller ? throttle->control.controller : "v2 cgroup",
			 throttle->v1_why ? " in v2: " : "", throttle->v1_why ? throttle->v1_why : "");
	return 0;
}
