/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the cgroup that uses up the processors behind the others, for a time: cpu.weight, or the shares of v1. It takes nothing from it that nobody
 * else wants, and so it slows nothing down on a node that has time to spare.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/registry.h"
#include "remedies/throttle.h"

enum {
	LEAST_WEIGHT = 1, MOST_WEIGHT = 99,             /* below the 100 that every cgroup has by default */
	DEFAULT_SHARES = 1024, DEFAULT_WEIGHT = 100,    /* the same, in v1 and in v2 */
	LEAST_SHARES = 2,                               /* MIN_SHARES of kernel/sched/sched.h */
};

static uint64_t lasts(const union remedy_args *args)
{
	return args->cpu_weight.for_ns;
}

/* cpu.idle is less than any weight; cpu.weight then reads 0. */
static int value(const struct throttle_view *view, char *ret, size_t size, char *why, size_t why_size)
{
	uint64_t weight = view->request->args.cpu_weight.weight;
	if (!view->v2)
		weight = weight * DEFAULT_SHARES / DEFAULT_WEIGHT < LEAST_SHARES ? LEAST_SHARES : weight * DEFAULT_SHARES / DEFAULT_WEIGHT;
	char *end;
	uint64_t has = strtoull(view->now, &end, 10);
	if (end == view->now || has <= weight) {
		snprintf(why, why_size, "its own weight is as low: %.40s", view->now);
		return -EALREADY;
	}
	snprintf(ret, size, "%" PRIu64, weight);
	return 0;
}

static const struct throttle throttle = {
	.control = { .controller = "cpu", .v2 = "cpu.weight", .v1 = "cpu.shares" },
	.for_ns = lasts,
	.value = value,
	.used = throttle_cpu_used,
	.watch_ns = 500 * NSEC_PER_MSEC,
};

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_run(&throttle, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	return throttle_check(&throttle, request, result);
}

static const struct setting cpu_weight_settings[] = {
	{ .name = "weight", .type = VALUE_COUNT, MEMBER(union remedy_args, cpu_weight.weight), .min = LEAST_WEIGHT, .max = MOST_WEIGHT, .initial = "10",
	  .help = "as cpu.weight has it, where 100 is what a cgroup has by default; in v1 the same part of the shares" },
	THROTTLE_FOR(cpu_weight.for_ns, LONGEST_WAIT_S, "10m"),
};
static const struct section arguments = SECTION("cpu-weight", "Puts the cgroup that uses up the processors behind the others, for a time.", cpu_weight_settings);

static const char *problem_of(const union remedy_args *args)
{
	if (args->cpu_weight.weight < LEAST_WEIGHT || args->cpu_weight.weight > MOST_WEIGHT)
		return "weight is out of its range";
	return throttle_for_is_sound(args->cpu_weight.for_ns, LONGEST_WAIT_S) ? NULL : "for is out of its range";
}

const struct remedy cpu_weight = {
	.name = "cpu-weight",
	.id = REMEDY_CPU_WEIGHT,
	.lane = LANE_LEASE,
	.help = "Puts the cgroup that uses up the processors behind all others that want them, for a time.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 80, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
