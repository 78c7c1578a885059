/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the cgroup that takes the memory give some back, and slows it down where it takes more, for a time: memory.high. Nobody is killed for going
 * beyond it. A cgroup that cannot do with less would only stall, and so it is watched, and given its memory back when it waits for too long.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"

enum { LEAST_PERCENT = 50, PAGE = 4096, LOOK_MS = 250, LONGEST_WATCH_S = 60 };

static uint64_t lasts(const union remedy_args *args)
{
	return args->limit_memory.for_ns;
}

/* "max" is no limit. */
static uint64_t limit_of(const char *text)
{
	char *end;
	uint64_t bytes = strtoull(text, &end, 10);
	return end == text ? UNKNOWN : bytes;
}

static uint64_t number(const struct throttle_view *view, const char *file, uint64_t otherwise)
{
	uint64_t value;
	return throttle_number(view->group->fd, file, "", &value) == 0 ? value : otherwise;
}

static uint64_t current(const struct throttle_view *view)
{
	return number(view, "memory.current", UNKNOWN);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Microseconds in which all of it that was not idle waited for memory (psi.rst: "full"). */
static int stalled(const struct throttle_view *view, uint64_t *ret)
{
	char text[512];
	int fd = openat(view->group->fd, "memory.pressure", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int error = got < 0 ? -errno : 0; /* EOPNOTSUPP where PSI is switched off */
	if (fd >= 0)
		close(fd);
	if (error)
		return error;
	text[got] = '\0';
	const char *full = strstr(text, "full "), *total = full ? strstr(full, "total=") : NULL;
	if (!total)
		return -EINVAL;
	*ret = strtoull(total + strlen("total="), NULL, 10);
	return 0;
}

static int value(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size)
{
	const struct limit_memory_args *args = &view->request->args.limit_memory;
	uint64_t uses = current(view), has = limit_of(view->now), waited = 0, most = number(view, "memory.max", UNKNOWN);
	int error = uses == UNKNOWN ? -EIO : stalled(view, &waited);
	if (error) {
		snprintf(why, why_size, "%s cannot be read, and nobody would see whether it stalls: %s", uses == UNKNOWN ? "memory.current" : "memory.pressure", strerror(-error));
		return error;
	}
	uint64_t high = larger(args->high, uses / 100 * args->at_least_percent);
	high = larger(high, larger(number(view, "memory.min", UNKNOWN), number(view, "memory.low", UNKNOWN))); /* "max": all it has is protected */
	if (high == UNKNOWN) {
		snprintf(why, why_size, "memory.min or memory.low protects all of it");
		return -EPERM;
	}
	high = (high + PAGE - 1) / PAGE * PAGE;
	if (has <= high || most <= high) {
		snprintf(why, why_size, "its own limit is as tight: %" PRIu64 ", and no less than %" PRIu64 " would be set", has < most ? has : most, high);
		return -EALREADY;
	}
	snprintf(ret, size, "%" PRIu64, high);
	return 0;
}

struct course {
	uint64_t begun_ns, until_ns, look_ns, waited_us, highs;
	uint64_t worst_percent;
};

/* 1: it stalls. Over a second, since a shorter one is any reclaim at all. */
static int look_at_stall(const struct throttle_view *view, struct course *course)
{
	uint64_t now = clock_boot_ns(), waited = 0;
	if (now - course->look_ns < NSEC_PER_SEC)
		return 0;
	if (stalled(view, &waited) < 0)
		return 1; /* what cannot be watched is not left turned */
	uint64_t percent = (waited - course->waited_us) * 100 * NSEC_PER_USEC / (now - course->look_ns);
	course->worst_percent = larger(course->worst_percent, percent);
	course->waited_us = waited;
	course->look_ns = now;
	return percent > view->request->args.limit_memory.stall_percent;
}

static int judge(const struct throttle_view *view, uint64_t before, const struct course *course, struct remedy_result *result, char *why, size_t why_size)
{
	const struct effect *promised = &view->request->expect;
	struct effect *observed = &result->observed;
	uint64_t after = current(view), highs = 0;
	(void)throttle_number(view->group->fd, "memory.events", "high ", &highs);
	if (after == UNKNOWN || before == UNKNOWN || before == 0) {
		snprintf(why, why_size, "what it uses cannot be read any more");
		return 0;
	}
	observed->freed_bytes = before > after ? before - after : 0;
	observed->use_percent = (uint64_t)((double)after * 100 / (double)before + 0.5);
	bool enough = (promised->freed_bytes == UNKNOWN || observed->freed_bytes >= promised->freed_bytes) &&
		      (promised->use_percent == UNKNOWN || observed->use_percent <= promised->use_percent);
	step_end(result_step(result, "use"), enough, "%" PRIu64 " bytes instead of %" PRIu64 "; beyond the limit %" PRIu64 " times; at worst it waited for %" PRIu64 " %% of a second",
		 after, before, highs - course->highs, course->worst_percent);
	result->outcome = after < before || promised->freed_bytes != UNKNOWN || promised->use_percent != UNKNOWN ? OUTCOME_FIXED : OUTCOME_IMPROVED;
	if (!enough)
		snprintf(why, why_size, "it still uses %" PRIu64 " of %" PRIu64 " bytes, which is more than was promised", after, before);
	return enough;
}

static int watch(const struct throttle_view *view, uint64_t before, struct remedy_result *result, char *why, size_t why_size)
{
	struct course course = { .begun_ns = clock_boot_ns() };
	uint64_t watch_until = course.begun_ns + view->request->args.limit_memory.watch_ns, deadline = view->request->deadline_boot_ns;
	/* Not shorter than one look: the kernel may have reclaimed for all of that time before it let go of the write. */
	course.until_ns = larger(watch_until < deadline ? watch_until : deadline, course.begun_ns + NSEC_PER_SEC + LOOK_MS * NSEC_PER_MSEC);
	course.look_ns = course.begun_ns;
	(void)throttle_number(view->group->fd, "memory.events", "high ", &course.highs);
	if (stalled(view, &course.waited_us) < 0) {
		snprintf(why, why_size, "memory.pressure cannot be read any more");
		return 0;
	}
	while (clock_boot_ns() < course.until_ns) {
		throttle_wait(view->request, LOOK_MS * NSEC_PER_MSEC);
		if (!look_at_stall(view, &course))
			continue;
		step_end(result_step(result, "pressure"), false, "all of it waited for %" PRIu64 " %% of the last second", course.worst_percent);
		snprintf(why, why_size, "it stalls: all of it waited for memory for %" PRIu64 " %% of a second, %u are allowed", course.worst_percent,
			 view->request->args.limit_memory.stall_percent);
		return 0;
	}
	return judge(view, before, &course, result, why, why_size);
}

static const struct throttle throttle = {
	.control = { .controller = "memory", .v2 = "memory.high" },
	.v1_why = "v1's soft limit slows nobody down, it only says where reclaim begins when the node is short (memory.rst)",
	.for_ns = lasts,
	.value = value,
	.level = current,
	.watch = watch,
};

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_run(&throttle, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)throttle_check(&throttle, request, result);
	if (result->armed && access("/proc/pressure/memory", R_OK) < 0) {
		result->armed = false;
		snprintf(result->why, sizeof(result->why), "this kernel does not measure pressure, and nobody would see whether it stalls");
	}
	return 0;
}

#define ARGUMENT(member_) MEMBER(union remedy_args, limit_memory.member_)

static const struct setting limit_memory_settings[] = {
	{ .name = "high", .type = VALUE_BYTES, ARGUMENT(high), .help = "so much is left to it; without it, as little as at_least_percent allows" },
	{ .name = "at_least_percent", .type = VALUE_COUNT, ARGUMENT(at_least_percent), .min = LEAST_PERCENT, .max = 100, .initial = "80",
	  .help = "of what it uses now: it is never given less, nor less than its memory.min and memory.low" },
	{ .name = "stall_percent", .type = VALUE_COUNT, ARGUMENT(stall_percent), .min = 1, .max = 100, .initial = "30",
	  .help = "of a second: when all of it waits for memory for longer, it is turned back" },
	{ .name = "watch", .type = VALUE_DURATION, ARGUMENT(watch_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WATCH_S * 1e9, .initial = "5s",
	  .help = "for how long that is looked at, and how long it may take to give back; at most the within" },
	THROTTLE_FOR(limit_memory.for_ns, LONGEST_WAIT_S, "10m"),
};
static const struct section arguments = SECTION("limit-memory", "Slows down the cgroup that takes the memory, for a time (v2).", limit_memory_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct limit_memory_args *args = &all->limit_memory;
	if (args->at_least_percent < LEAST_PERCENT || args->at_least_percent > 100 || args->high > INT64_MAX)
		return "the limit is out of its range";
	if (args->stall_percent < 1 || args->stall_percent > 100)
		return "stall_percent is out of its range";
	return throttle_for_is_sound(args->for_ns, LONGEST_WAIT_S) && throttle_for_is_sound(args->watch_ns, LONGEST_WATCH_S) ? NULL : "for or watch is out of its range";
}

const struct remedy limit_memory = {
	.name = "limit-memory",
	.id = REMEDY_LIMIT_MEMORY,
	.lane = LANE_LEASE,
	.help = "Makes the cgroup that takes the memory give some back and slows it down, for a time; nobody is killed.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`; at once where it stalls",
	.reversible = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_FREED | EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 90, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
