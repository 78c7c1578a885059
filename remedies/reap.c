/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zombies: processes that have ended and that their parent does not wait for. Only the parent can let them go, or init once the parent is gone. So
 * the parent is reminded (SIGCHLD), and, where the policy says so, ended. A zombie holds no memory, only its number; those run out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/kin.h"
#include "remedies/registry.h"
#include "remedies/terminate.h"
#include "remedies/victim.h"

#define LOOK_NS (50 * NSEC_PER_MSEC)
enum { MOST_ZOMBIES = 100000, REASON_LEN = 160, SHOWN_LEN = 64 };

static struct kin_table kin;
/* The zombies themselves: once their parent has ended they are somebody else's, and have to be seen to go all the same. */
static struct { int32_t pid; uint64_t start_ns; } first[MAX_KIN];

struct zombies {
	const struct remedy_request *request;
	const struct reap_args *args;
	struct remedy_result *result;
	int proc_fd;
	struct victim parent;
	uint32_t count;            /* of its zombies, at first */
};

/* --- whose --------------------------------------------------------------------------------------------------------------- */

/* Writes them down. */
static uint32_t note_those_of(int32_t parent)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < kin.count; i++) {
		if (!kin.each[i].is_zombie || kin.each[i].parent != parent)
			continue;
		first[count].pid = kin.each[i].pid;
		first[count++].start_ns = kin.each[i].start_ns;
	}
	return count;
}

static int compare_parent(const void *a, const void *b)
{
	const struct kin *one = a, *other = b;
	return (one->parent > other->parent) - (one->parent < other->parent);
}

/* Who has the most of them; 0: nobody has any. The table is in the order of the parents afterwards. */
static int32_t worst_parent(void)
{
	int32_t worst = 0;
	uint32_t most = 0, run = 0;
	qsort(kin.each, kin.count, sizeof(kin.each[0]), compare_parent);
	for (uint32_t i = 0; i < kin.count; i++) {
		run = i && kin.each[i].parent == kin.each[i - 1].parent ? run : 0;
		run += kin.each[i].is_zombie;
		if (run > most) {
			most = run;
			worst = kin.each[i].parent;
		}
	}
	return worst;
}

/* The last number of NSpid is the one in its own namespace: 1 is the init of a container, whose end ends all of it. */
static bool is_some_init(int proc_fd, int32_t pid)
{
	char path[48], text[FIGURE_TEXT_LEN];
	snprintf(path, sizeof(path), "%" PRId32 "/status", pid);
	const char *line = figure_text(proc_fd, path, text, sizeof(text)) == 0 ? strstr(text, "\nNSpid:") : NULL;
	if (!line)
		return true; /* who cannot be told apart is left alone */
	const char *end = strchr(line + 1, '\n');
	return end && end - line > 2 && end[-1] == '1' && (end[-2] == '\t' || end[-2] == ' ');
}

/* 0: the parent is held; else refused. */
static int find_parent(struct zombies *zombies)
{
	const struct target *target = &zombies->request->target;
	struct remedy_result *result = zombies->result;
	bool named = target->type == TARGET_PROCESS;
	int32_t pid = named ? target->pid : worst_parent();
	int error = pid > 1 ? victim_hold(zombies->proc_fd, pid, &zombies->parent) : pid == 1 ? -EPERM : -ESRCH;
	if (error == -ESRCH)
		act_refuse(result, named ? "target-changed" : "no-evidence", named ? "it has ended" : "there are no zombies");
	else if (error == -EPERM)
		act_refuse(result, "never-list", "the node's init lets its children go by itself, and cannot be ended");
	else if (error)
		act_refuse(result, "target-changed", "it cannot be held: %s", strerror(-error));
	if (error)
		return -ECANCELED;
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	if (!named || target->start_ns / tick_ns == zombies->parent.start_ns / tick_ns)
		return 0;
	victim_close(&zombies->parent);
	act_refuse(result, "target-changed", "another process has its number now");
	return -ECANCELED;
}

/* 0: nothing speaks against touching it. */
static int spare(const struct zombies *zombies)
{
	char buffer[REASON_LEN];
	int32_t pid = zombies->parent.pid;
	const char *rule = protect_process(&zombies->request->protect, zombies->proc_fd, pid, buffer, sizeof(buffer));
	if (!rule && is_some_init(zombies->proc_fd, pid))
		rule = "it is the init of a container, or cannot be told apart from one";
	if (rule && victim_lives(&zombies->parent)) {
		act_refuse(zombies->result, "never-list", "their parent %" PRId32 " is protected: %s", pid, rule);
		return -ECANCELED;
	}
	return 0;
}

/* --- the act ------------------------------------------------------------------------------------------------------------- */

/* How many of the first ones are still there. UINT32_MAX: it cannot be told. */
static uint32_t left(const struct zombies *zombies)
{
	uint32_t still = 0;
	if (kin_read(zombies->proc_fd, &kin) < 0)
		return UINT32_MAX;
	for (uint32_t i = 0; i < zombies->count; i++) {
		const struct kin *found = kin_find(&kin, first[i].pid);
		still += found && found->is_zombie && found->start_ns == first[i].start_ns;
	}
	return still;
}

static uint32_t wait_for_less(const struct zombies *zombies, uint64_t until_boot_ns)
{
	uint32_t still;
	while ((still = left(zombies)) != 0 && clock_boot_ns() < until_boot_ns) {
		struct timespec pause = { .tv_nsec = LOOK_NS };
		(void)nanosleep(&pause, NULL); /* nobody is told when a zombie is let go */
	}
	return still;
}

static uint64_t until(const struct zombies *zombies, uint64_t ns)
{
	uint64_t then = clock_boot_ns() + ns;
	return then < zombies->request->deadline_boot_ns ? then : zombies->request->deadline_boot_ns;
}

/* 0: sent, or it is gone. */
static int send(const struct zombies *zombies, int signal, const char *name)
{
	const char *halted = act_halted(zombies->request);
	if (halted) {
		act_refuse(zombies->result, halted, "stopped by the %s", halted);
		return -ECANCELED;
	}
	if (spare(zombies) < 0)
		return -ECANCELED;
	int error = signal == SIGKILL ? victim_kill(&zombies->parent) : victim_signal(&zombies->parent, signal);
	step_end(result_step(zombies->result, name), error == 0, "%s to %" PRId32, error ? strerror(-error) : "sent", zombies->parent.pid);
	if (error && error != -ESRCH)
		act_fail(zombies->result, "%" PRId32 " cannot be signalled: %s", zombies->parent.pid, strerror(-error));
	return error == -ESRCH ? 0 : error;
}

/* Still there after SIGTERM, or has SIGTERM ended it. */
static int end_parent(const struct zombies *zombies)
{
	int error = 0, gone = 0;
	zombies->result->ended =
		(struct ended_one){ .pid = zombies->parent.pid, .start_ns = zombies->parent.start_ns, .rss_bytes = zombies->parent.rss_bytes };
	if (zombies->args->term_wait_ns) {
		error = send(zombies, SIGTERM, "term");
		gone = error ? error : victim_wait(&zombies->parent, until(zombies, zombies->args->term_wait_ns));
	}
	if (error == 0 && gone == 0) {
		error = send(zombies, SIGKILL, "kill");
		gone = error ? error : victim_wait(&zombies->parent, clock_boot_ns() + AFTER_KILL_NS);
	}
	return gone;
}

static void act(const struct zombies *zombies)
{
	struct remedy_result *result = zombies->result;
	if (send(zombies, SIGCHLD, "remind") < 0)
		return;
	uint32_t still = wait_for_less(zombies, until(zombies, zombies->args->wait_ns));
	if (still && still != UINT32_MAX && zombies->args->end_parent && end_parent(zombies) >= 0)
		still = wait_for_less(zombies, until(zombies, 2 * AFTER_KILL_NS));
	if (still == UINT32_MAX) {
		act_fail(result, "whether they are gone cannot be told");
		return;
	}
	uint32_t gone = zombies->count - (still < zombies->count ? still : zombies->count);
	uint64_t promised = zombies->request->expect.exited;
	bool enough = promised == UNKNOWN || promised > zombies->count ? still == 0 : gone >= promised;
	step_end(result_step(result, "zombies"), enough, "%u of %u are gone", gone, zombies->count);
	result->observed.exited = gone;
	if (result->outcome != OUTCOME_NONE && !gone)
		return; /* refused on the way, and why is said */
	result->refused_by[0] = '\0';
	result->outcome = enough ? OUTCOME_FIXED : gone ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (!enough && !result->why[0])
		snprintf(result->why, sizeof(result->why), "%" PRId32 " does not wait for them%s", zombies->parent.pid,
			 zombies->args->end_parent ? "" : ", and end_parent is not set");
}

static void plan_and_act(struct zombies *zombies)
{
	char shown[SHOWN_LEN];
	struct remedy_result *result = zombies->result;
	zombies->count = note_those_of(zombies->parent.pid);
	if (zombies->count < zombies->args->min_zombies) {
		act_refuse(result, "no-evidence", "%u zombies are children of %" PRId32 ", fewer than the %u that are worth it", zombies->count, zombies->parent.pid,
			   zombies->args->min_zombies);
		return;
	}
	if (spare(zombies) < 0)
		return;
	act_shown(shown, sizeof(shown), zombies->parent.comm);
	result_plan(result, "remind %" PRId32 " (%s) of its %u zombies by SIGCHLD", zombies->parent.pid, shown, zombies->count);
	if (zombies->args->end_parent)
		result_plan(result, "where it does not wait for them within %llu ms: end it, and leave them to init",
			    (unsigned long long)(zombies->args->wait_ns / NSEC_PER_MSEC));
	result->expected.exited = zombies->count;
	if (zombies->request->verb == REMEDY_VERB_APPLY)
		act(zombies);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct zombies zombies = { .request = request, .args = &request->args.reap, .result = result, .parent = { .pidfd = -1 } };
	zombies.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = zombies.proc_fd < 0 ? -errno : kin_read(zombies.proc_fd, &kin);
	if (error == 0 && find_parent(&zombies) == 0) {
		plan_and_act(&zombies);
		victim_close(&zombies.parent);
	}
	if (zombies.proc_fd >= 0)
		close(zombies.proc_fd);
	return error;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	return terminate.check(request, result); /* the same signals, by the same way */
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting reap_settings[] = {
	{ .name = "min_zombies", .type = VALUE_COUNT, ARGUMENT(reap.min_zombies), .min = 1, .max = MOST_ZOMBIES, .initial = "10",
	  .help = "of one parent; fewer are left alone" },
	{ .name = "end_parent", .type = VALUE_BOOL, ARGUMENT(reap.end_parent), .initial = "false",
	  .help = "end the parent where it does not wait for them when reminded; init then does" },
	{ .name = "wait", .type = VALUE_DURATION, ARGUMENT(reap.wait_ns), .min = 100.0 * NSEC_PER_MSEC, .max = 300.0 * NSEC_PER_SEC, .initial = "2s",
	  .help = "how long it may take after the reminder" },
	{ .name = "term_wait", .type = VALUE_DURATION, ARGUMENT(reap.term_wait_ns), .max = 300.0 * NSEC_PER_SEC, .initial = "5s",
	  .help = "with end_parent: between SIGTERM and SIGKILL; 0s: SIGKILL at once" },
};
static const struct section arguments = SECTION("reap", "Has the parent of zombies let them go, or ends it.", reap_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct reap_args *args = &all->reap;
	uint8_t end_parent;
	memcpy(&end_parent, &args->end_parent, sizeof(end_parent));
	if (end_parent > 1)
		return "end_parent is neither true nor false";
	if (args->min_zombies < 1 || args->min_zombies > MOST_ZOMBIES)
		return "min_zombies is out of its range";
	return args->wait_ns > 300 * NSEC_PER_SEC || args->term_wait_ns > 300 * NSEC_PER_SEC ? "a wait is out of its range" : NULL;
}

const struct remedy reap = {
	.name = "reap",
	.id = REMEDY_REAP,
	.lane = LANE_SLOW,
	.help = "Has the parent of zombies let them go (SIGCHLD), or ends it, where the policy says so.",
	.undo = "none: a parent that was ended is gone; a service manager may start it again",
	.destructive = true,
	.ends_processes = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PROCESS | APPLIES_TO_NODE,
	.effects = EFFECT_EXITED | EFFECT_WITHIN,
	.expect_example = "{exited: true, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
