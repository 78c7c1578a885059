/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the cgroup that uses up the processors on some of those that it has now, for a time, so that the others are free of it: cpuset.cpus of
 * either version. It never gets one that it did not have, and at least one of the node's is left to the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/cpu_set.h"
#include "remedies/knob.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"

enum { LIST_LEN = 1024 };

static uint64_t lasts(const union remedy_args *args)
{
	return args->isolate.for_ns;
}

static int read_set(int dir_fd, const char *path, struct cpu_set *ret)
{
	char text[LIST_LEN];
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got < 0 || got == (ssize_t)sizeof(text) - 1)
		return -EIO;
	text[got] = '\0';
	return cpu_set_parse(text, ret);
}

/* What it may run on without a lease of ours: its own list, or in v2 without one its parent's; of that what the parent really has. */
static int has_now(const struct throttle_view *view, struct cpu_set *ret)
{
	struct cpu_set above;
	int dir_fd = knob_directory(view->knob);
	if (dir_fd < 0)
		return dir_fd;
	int error = read_set(dir_fd, view->v2 ? "../cpuset.cpus.effective" : "../cpuset.effective_cpus", &above);
	close(dir_fd);
	if (error == 0)
		error = view->now[0] ? cpu_set_parse(view->now, ret) : 0;
	if (error)
		return error;
	if (view->now[0])
		cpu_set_intersect(ret, &above);
	else
		*ret = above;
	return 0;
}

/* A bare number is a count: the last ones it has, since the first are where most interrupts go. */
static int choose(const char *text, const struct cpu_set *has, struct cpu_set *ret)
{
	char *end;
	unsigned long count = strtoul(text, &end, 10);
	if (*end)
		return cpu_set_parse(text, ret);
	*ret = *has;
	for (uint32_t cpu = 0, left = cpu_set_count(has); cpu < CPU_SET_MAX && left > count; cpu++) {
		if (!cpu_set_has(ret, cpu))
			continue;
		cpu_set_remove(ret, cpu);
		left--;
	}
	return count ? 0 : -EINVAL;
}

static int value(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size)
{
	struct cpu_set has, chosen;
	char list[LEASE_TEXT_LEN] = "";
	int error = has_now(view, &has);
	if (error == 0)
		error = choose(view->request->args.isolate.cpus, &has, &chosen);
	if (error) {
		snprintf(why, why_size, "which processors it has now cannot be told: %s", strerror(-error));
		return error;
	}
	(void)cpu_set_format(&has, list, sizeof(list));
	if (!cpu_set_count(&chosen) || !cpu_set_is_within(&chosen, &has))
		snprintf(why, why_size, "it does not have all of them: it has %.60s", list[0] ? list : "none");
	else if (cpu_set_count(&chosen) == cpu_set_count(&has)) /* and so what it leaves, the others have: one at least */
		snprintf(why, why_size, "it has no more than that, and none would be freed of it: %.60s", list);
	else if (cpu_set_format(&chosen, ret, size) < 0)
		snprintf(why, why_size, "the list is too long");
	else
		return 0;
	return -EINVAL;
}

struct look {
	struct cpu_set chosen;
	int32_t elsewhere;
};

/* The kernel moves them before the write returns; one that runs elsewhere has been bound there by itself, or its cgroup has children of its own. */
static int visit_member(int32_t pid, void *context)
{
	struct look *look = context;
	cpu_set_t allowed[CPU_SET_MAX / CPU_SETSIZE];
	memset(allowed, 0, sizeof(allowed));
	if (sched_getaffinity(pid, sizeof(allowed), allowed) < 0)
		return 0; /* has ended */
	for (uint32_t cpu = 0; cpu < CPU_SET_MAX; cpu++)
		if (CPU_ISSET_S(cpu, sizeof(allowed), allowed) && !cpu_set_has(&look->chosen, cpu))
			look->elsewhere = pid;
	return 0;
}

static int holds(const struct throttle_view *view, char *why, size_t why_size)
{
	struct look look = { 0 };
	int error = cpu_set_parse(view->value, &look.chosen);
	if (error == 0)
		error = group_each(view->group, visit_member, &look);
	if (error)
		snprintf(why, why_size, "where its processes run cannot be told: %s", strerror(-error));
	else if (look.elsewhere)
		snprintf(why, why_size, "process %d in it still runs elsewhere", (int)look.elsewhere);
	return error == 0 && !look.elsewhere;
}

static const struct throttle throttle = {
	.control = { .controller = "cpuset", .v2 = "cpuset.cpus", .v1 = "cpuset.cpus" },
	.for_ns = lasts,
	.value = value,
	.used = throttle_cpu_used,
	.holds = holds,
	.watch_ns = 500 * NSEC_PER_MSEC,
};

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_run(&throttle, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	struct cpu_set online;
	(void)throttle_check(&throttle, request, result);
	if (result->armed && read_set(AT_FDCWD, "/sys/devices/system/cpu/online", &online) == 0 && cpu_set_count(&online) < 2) {
		result->armed = false;
		snprintf(result->why, sizeof(result->why), "this host has one processor: none would be left to the others");
	}
	return 0;
}

static const struct setting isolate_settings[] = {
	{ .name = "cpus", .type = VALUE_STRING, .required = true, MEMBER(union remedy_args, isolate.cpus),
	  .help = "how many of the processors it has, such as 1, or which of them, such as 0,2-3 (one alone: 2-2)" },
	THROTTLE_FOR(isolate.for_ns, LONGEST_WAIT_S, "10m"),
};
static const struct section arguments = SECTION("isolate", "Keeps the cgroup that uses up the processors on some of them, for a time.", isolate_settings);

static bool is_list(const char *text)
{
	struct cpu_set set;
	return cpu_set_parse(text, &set) == 0 && strspn(text, "0123456789,-") == strlen(text) && strspn(text, "0") < strlen(text) && (cpu_set_count(&set) > 0);
}

static void vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	if (args->isolate.cpus[0] && !is_list(args->isolate.cpus))
		fault(context, "cpus", "\"%.40s\": a count such as 1, or a list such as 0,2-3, is wanted", args->isolate.cpus);
}

static const char *problem_of(const union remedy_args *args)
{
	if (!ENDED(args->isolate.cpus) || !is_list(args->isolate.cpus))
		return "cpus is neither a count nor a list";
	return throttle_for_is_sound(args->isolate.for_ns, LONGEST_WAIT_S) ? NULL : "for is out of its range";
}

const struct remedy isolate = {
	.name = "isolate",
	.id = REMEDY_ISOLATE,
	.lane = LANE_LEASE,
	.help = "Keeps the cgroup that uses up the processors on some of those it has, for a time.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 60, within: 10s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
