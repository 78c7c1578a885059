/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes back what a cgroup does not use of its memory (memory.reclaim, Linux 5.19), step by step, and looks between the steps whether it hurts:
 * whether its members wait for memory, or fetch again what was just taken. Nobody is ended and nothing is lost; only time is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/group_aim.h"
#include "remedies/registry.h"
#include "remedies/time_limit.h"

/* What was taken wrongly is missed at once or not for long: a tenth of a second shows the former, and costs a GiB in steps of 32 MiB 3 s. */
#define PAUSE_NS (100 * NSEC_PER_MSEC)
#define MIB (1024.0 * 1024.0)
enum { LEAST_STEP = 1 << 20, SHOWN_LEN = 96 };

/* Of the cgroup, before and after a step. */
struct moment {
	uint64_t boot_ns;
	uint64_t current_bytes;
	uint64_t refaulted_bytes;
	uint64_t stalled_ns;      /* UNKNOWN: this kernel keeps no pressure */
};

struct run {
	const struct remedy_request *request;
	const struct reclaim_args *args;
	struct remedy_result *result;
	struct group_aim aim;
	int proc_fd;
	int reclaim_fd;
	uint32_t steps;
	uint64_t asked_bytes;
	char stopped[WHY_LEN / 2]; /* why it ended before max_bytes; "" = it did not */
};

/* --- measuring ----------------------------------------------------------------------------------------------------------- */

static int measure(const struct run *run, struct moment *ret)
{
	int fd = run->aim.group.fd;
	uint64_t anon = 0, file = 0;
	ret->boot_ns = clock_boot_ns();
	int error = figure_one(fd, "memory.current", &ret->current_bytes);
	if (error == 0)
		error = figure_named(fd, "memory.stat", "workingset_refault_anon", &anon);
	if (error == 0)
		error = figure_named(fd, "memory.stat", "workingset_refault_file", &file);
	ret->refaulted_bytes = (anon + file) * (uint64_t)sysconf(_SC_PAGESIZE);
	if (figure_stalled(fd, "memory.pressure", "some", &ret->stalled_ns) < 0)
		ret->stalled_ns = UNKNOWN;
	return error;
}

/* What could be taken without ending anybody: the page cache, slabs the kernel can give up, and what finds room in swap. */
static int promise(const struct run *run, uint64_t *ret)
{
	static const char *const names[] = { "inactive_file", "active_file", "slab_reclaimable" };
	uint64_t sum = 0, anon[2] = { 0, 0 }, swap_free = 0, allowed, used, value;
	int fd = run->aim.group.fd, error = 0;
	for (size_t i = 0; error == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		error = figure_named(fd, "memory.stat", names[i], &value);
		sum += error ? 0 : value;
	}
	if (error == 0)
		error = figure_named(fd, "memory.stat", "inactive_anon", &anon[0]);
	if (error == 0)
		error = figure_named(fd, "memory.stat", "active_anon", &anon[1]);
	if (error)
		return error;
	(void)figure_named(run->proc_fd, "meminfo", "SwapFree", &swap_free); /* untold is none */
	if (figure_one(fd, "memory.swap.max", &allowed) == 0 && allowed != UNKNOWN && figure_one(fd, "memory.swap.current", &used) == 0)
		swap_free = allowed - used < swap_free && used <= allowed ? allowed - used : used > allowed ? 0 : swap_free;
	sum += anon[0] + anon[1] < swap_free ? anon[0] + anon[1] : swap_free;
	*ret = sum < run->args->max_bytes ? sum : run->args->max_bytes;
	return 0;
}

static uint64_t less(uint64_t before, uint64_t after)
{
	return before > after ? before - after : 0;
}

/* --- a step -------------------------------------------------------------------------------------------------------------- */

/* Whether those in it miss what was taken, in a sentence; false: not that it shows. */
static bool hurts(struct run *run, const struct moment *before, const struct moment *after, uint64_t taken)
{
	uint64_t took_ns = after->boot_ns - before->boot_ns, returned = less(after->refaulted_bytes, before->refaulted_bytes);
	uint32_t stalled = 0;
	if (before->stalled_ns != UNKNOWN && after->stalled_ns != UNKNOWN && took_ns)
		stalled = (uint32_t)(less(after->stalled_ns, before->stalled_ns) * 100 / took_ns);
	if (stalled > run->args->max_stalled_percent)
		snprintf(run->stopped, sizeof(run->stopped), "its members waited for memory for %u %% of the last step", stalled);
	else if (taken && returned * 100 / taken > run->args->max_returned_percent)
		snprintf(run->stopped, sizeof(run->stopped), "%.1f MiB of the %.1f MiB of the last step were fetched again at once", (double)returned / MIB,
			 (double)taken / MIB);
	return run->stopped[0] != '\0';
}

/* 0; -EAGAIN: the kernel found no more; -EINTR: not within its time; -errno. */
static int ask(const struct run *run, uint64_t bytes)
{
	char text[32];
	struct time_limit limit;
	int length = snprintf(text, sizeof(text), "%" PRIu64, bytes);
	int error = time_limit_begin(&limit, run->args->step_timeout_ns);
	if (error)
		return error;
	error = write(run->reclaim_fd, text, (size_t)length) < 0 ? -errno : 0;
	time_limit_end(&limit);
	return error;
}

static void wait_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* False: that was the last one. */
static bool one_step(struct run *run, struct moment *now)
{
	struct moment before = *now;
	uint64_t left = run->args->max_bytes - run->asked_bytes, bytes = left < run->args->step_bytes ? left : run->args->step_bytes;
	int error = ask(run, bytes);
	run->asked_bytes += bytes;
	run->steps++;
	uint64_t current = before.current_bytes;
	(void)figure_one(run->aim.group.fd, "memory.current", &current); /* right behind it: what the pause brings is not of this step */
	if (error == 0 || error == -EAGAIN || error == -EINTR)
		wait_ns(PAUSE_NS);
	else
		snprintf(run->stopped, sizeof(run->stopped), "memory.reclaim: %s", strerror(-error));
	if (measure(run, now) < 0) {
		snprintf(run->stopped, sizeof(run->stopped), "the cgroup cannot be measured any more");
		return false;
	}
	if (run->stopped[0] || hurts(run, &before, now, less(before.current_bytes, current)))
		return false;
	if (error == -EAGAIN)
		snprintf(run->stopped, sizeof(run->stopped), "the kernel found no more that it could take");
	else if (error == -EINTR)
		snprintf(run->stopped, sizeof(run->stopped), "a step took longer than its %llu ms",
			 (unsigned long long)(run->args->step_timeout_ns / NSEC_PER_MSEC));
	return !run->stopped[0] && run->asked_bytes < run->args->max_bytes;
}

/* --- the act ------------------------------------------------------------------------------------------------------------- */

static void judge(struct run *run, const struct moment *first, const struct moment *last, uint64_t available_before)
{
	struct remedy_result *result = run->result;
	uint64_t freed = less(first->current_bytes, last->current_bytes), available = available_before, promised = run->request->expect.freed_bytes;
	(void)figure_named(run->proc_fd, "meminfo", "MemAvailable", &available);
	bool enough = freed && freed >= (promised == UNKNOWN ? result->expected.freed_bytes : promised);
	result->observed.freed_bytes = freed;
	step_end(result_step(result, "reclaim"), enough,
		 "%u steps, %.1f MiB asked for; the cgroup's memory went from %.1f to %.1f MiB, the node's MemAvailable by %+.1f MiB", run->steps,
		 (double)run->asked_bytes / MIB, (double)first->current_bytes / MIB, (double)last->current_bytes / MIB,
		 ((double)available - (double)available_before) / MIB);
	if (run->stopped[0])
		step_end(result_step(result, "stop"), true, "%s", run->stopped);
	result->outcome = enough ? OUTCOME_FIXED : freed ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (!enough)
		snprintf(result->why, sizeof(result->why), "%.1f MiB were given back%s%s", (double)freed / MIB, run->stopped[0] ? ": " : "", run->stopped);
}

static void act(struct run *run)
{
	struct moment first, now;
	uint64_t available = 0;
	int error = measure(run, &first);
	if (error) {
		act_refuse(run->result, "no-measure", "whether it hurts cannot be seen: %s", strerror(-error));
		return;
	}
	(void)figure_named(run->proc_fd, "meminfo", "MemAvailable", &available);
	now = first;
	if (group_aim_spare(run->request, run->result, &run->aim) < 0)
		return;
	const char *halted;
	do {
		halted = act_halted(run->request);
	} while (!halted && one_step(run, &now));
	if (halted && !run->steps) {
		act_refuse(run->result, halted, "stopped by the %s", halted);
		return;
	}
	if (halted)
		snprintf(run->stopped, sizeof(run->stopped), "stopped by the %s", halted);
	judge(run, &first, &now, available);
}

static void plan_and_act(struct run *run)
{
	char shown[SHOWN_LEN];
	uint64_t promised = 0;
	run->reclaim_fd = openat(run->aim.group.fd, "memory.reclaim", O_WRONLY | O_CLOEXEC);
	if (run->reclaim_fd < 0) {
		if (errno == ENOENT)
			act_refuse(run->result, "no-control",
				   "it has no memory.reclaim: that needs the memory controller of cgroup v2 and Linux 5.19; v1's memory.force_empty takes all at once, and "
				   "without an end, so that is not done");
		else
			act_refuse(run->result, "no-control", "memory.reclaim: %s", strerror(errno));
		return;
	}
	int error = promise(run, &promised);
	if (error) {
		act_refuse(run->result, "no-measure", "what could be taken is not to be seen: %s", strerror(-error));
		return;
	}
	if (!promised) {
		act_refuse(run->result, "nothing-to-take", "no page cache, and no swap for the rest");
		return;
	}
	act_shown(shown, sizeof(shown), run->aim.group.path);
	result_plan(run->result, "take back up to %.1f MiB of cgroup %s in steps of %.1f MiB", (double)promised / MIB, shown, (double)run->args->step_bytes / MIB);
	run->result->expected.freed_bytes = promised;
	if (run->request->verb == REMEDY_VERB_APPLY)
		act(run);
}

static int run_reclaim(const struct remedy_request *request, struct remedy_result *result)
{
	struct run run = { .request = request, .args = &request->args.reclaim, .result = result, .reclaim_fd = -1 };
	if (group_aim_open(request, result, &run.aim) < 0)
		return 0;
	run.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = run.proc_fd < 0 ? -errno : 0;
	if (error == 0)
		plan_and_act(&run);
	if (run.reclaim_fd >= 0)
		close(run.reclaim_fd);
	if (run.proc_fd >= 0)
		close(run.proc_fd);
	group_close(&run.aim.group);
	return error;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	int hierarchy = group_open_hierarchy();
	result->armed = hierarchy >= 0 && faccessat(hierarchy, "memory.reclaim", W_OK, 0) == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "%s",
			 hierarchy < 0 ? "there is no cgroup v2" : "no memory.reclaim: it needs the memory controller of cgroup v2 and Linux 5.19");
	if (hierarchy >= 0)
		close(hierarchy);
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting reclaim_settings[] = {
	{ .name = "step", .type = VALUE_BYTES, ARGUMENT(reclaim.step_bytes), .min = LEAST_STEP, .initial = "32MiB",
	  .help = "so much at a time; after each it is looked whether it hurts" },
	{ .name = "max_bytes", .type = VALUE_BYTES, .required = true, ARGUMENT(reclaim.max_bytes), .min = LEAST_STEP, .help = "and no more than this" },
	{ .name = "step_timeout", .type = VALUE_DURATION, ARGUMENT(reclaim.step_timeout_ns), .min = 10.0 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC,
	  .initial = "1s", .help = "a step that takes longer is the last one" },
	{ .name = "max_stalled", .type = VALUE_COUNT, ARGUMENT(reclaim.max_stalled_percent), .max = 100, .initial = "10",
	  .help = "percent of a step's time that its members may wait for memory; above it that step is the last one" },
	{ .name = "max_returned", .type = VALUE_COUNT, ARGUMENT(reclaim.max_returned_percent), .max = 100, .initial = "20",
	  .help = "percent of what a step took that may be fetched again at once" },
};
static const struct section arguments = SECTION("reclaim", "Takes back memory that a cgroup does not use, in steps, until it hurts.", reclaim_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct reclaim_args *args = &all->reclaim;
	if (args->step_bytes < LEAST_STEP || args->max_bytes < LEAST_STEP || args->max_bytes == UNKNOWN)
		return "step or max_bytes is out of its range";
	if (args->step_timeout_ns < 10 * NSEC_PER_MSEC || args->step_timeout_ns > 60 * NSEC_PER_SEC)
		return "step_timeout is out of its range";
	return args->max_stalled_percent > 100 || args->max_returned_percent > 100 ? "more than a hundred percent" : NULL;
}

const struct remedy reclaim = {
	.name = "reclaim",
	.id = REMEDY_RECLAIM,
	.lane = LANE_SLOW,
	.help = "Takes back memory that a cgroup does not use (memory.reclaim), in steps, until it hurts.",
	.undo = "none is needed: what is wanted again is fetched again",
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_FREED | EFFECT_WITHIN,
	.expect_example = "{freed: 100MiB, within: 30s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run_reclaim,
	.apply = run_reclaim,
};
