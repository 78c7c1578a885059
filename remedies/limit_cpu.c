/* SPDX-License-Identifier: Apache-2.0 */
/* Gives the cgroup that uses up the processors so much of them and no more, for a time: cpu.max, or the quota of v1. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/canary.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"

/* The kernel's own default period: shorter ones cost switches, longer ones are felt as pauses. */
enum { PERIOD_US = 100000, LEAST_PERCENT = 5, MOST_PERCENT = 100000 };

static uint64_t lasts(const union remedy_args *args)
{
	return args->limit_cpu.for_ns;
}

/* A cgroup with a tighter limit of its own keeps it: it is not this one's to widen. */
static int value(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size)
{
	const char *now = view->now;
	bool v2 = view->v2;
	uint64_t quota = (uint64_t)view->request->args.limit_cpu.percent * PERIOD_US / 100;
	char *end;
	long long has = strtoll(now, &end, 10), period = v2 && *end == ' ' ? strtoll(end, NULL, 10) : PERIOD_US;
	if (end != now && has > 0 && period > 0 && (uint64_t)has * PERIOD_US / (uint64_t)period <= quota) {
		snprintf(why, why_size, "its own limit is as tight: %.40s", now);
		return -EALREADY;
	}
	if (v2)
		snprintf(ret, size, "%" PRIu64 " %d", quota, PERIOD_US);
	else
		snprintf(ret, size, "%" PRIu64, quota);
	return 0;
}

static const struct throttle throttle = {
	.control = { .controller = "cpu", .v2 = "cpu.max", .v1 = "cpu.cfs_quota_us" },
	.for_ns = lasts,
	.value = value,
	.used = throttle_cpu_used,
	.watch_ns = 500 * NSEC_PER_MSEC,
};

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_run(&throttle, request, result);
}

/* Both hierarchies count in cpu.stat how often a quota held somebody back. */
static bool is_held(int dir_fd)
{
	uint64_t count;
	return throttle_number(dir_fd, "cpu.stat", "nr_throttled ", &count) == 0 && count > 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	static const struct canary_throttle canary = {
		.control = { .controller = "cpu", .v2 = "cpu.max", .v1 = "cpu.cfs_quota_us" }, .v2 = "5000 100000", .v1 = "5000", .is_held = is_held,
	};
	char why[WHY_LEN];
	int error = throttle_check(&throttle, request, result);
	if (error == 0 && result->armed)
		canary_judge(canary_throttle(&canary, request, why), why, result);
	return error;
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting limit_cpu_settings[] = {
	{ .name = "percent", .type = VALUE_COUNT, .required = true, ARGUMENT(limit_cpu.percent), .min = LEAST_PERCENT, .max = MOST_PERCENT,
	  .help = "of one processor, so much for all of it together: 150 is one and a half" },
	THROTTLE_FOR(limit_cpu.for_ns, LONGEST_WAIT_S, "5m"),
};
static const struct section arguments = SECTION("limit-cpu", "Limits the cgroup that uses up the processors, for a time.", limit_cpu_settings);

static const char *problem_of(const union remedy_args *args)
{
	if (args->limit_cpu.percent < LEAST_PERCENT || args->limit_cpu.percent > MOST_PERCENT)
		return "percent is out of its range";
	return throttle_for_is_sound(args->limit_cpu.for_ns, LONGEST_WAIT_S) ? NULL : "for is out of its range";
}

const struct remedy limit_cpu = {
	.name = "limit-cpu",
	.id = REMEDY_LIMIT_CPU,
	.lane = LANE_LEASE,
	.help = "Limits the cgroup that uses up the processors to a share of them, for a time.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 60, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
