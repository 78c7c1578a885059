/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the cgroup that causes it, at once and as a whole, and as widely as memory.oom.group says. `terminate` with `scope: cgroup` is the polite
 * form of it: it asks first, and stays within the one cgroup.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/group.h"
#include "remedies/registry.h"
#include "remedies/terminate.h"

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	uint64_t wait_ns = request->args.kill_cgroup.term_wait_ns, within_ns = request->expect.within_ns;
	if (within_ns != UNKNOWN && wait_ns > within_ns / 2)
		wait_ns = within_ns / 2; /* SIGKILL must have its time, too */
	return terminate_aimed_group(request, wait_ns, true, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	int hierarchy = group_open_hierarchy();
	result->armed = hierarchy >= 0;
	if (hierarchy < 0)
		snprintf(result->why, sizeof(result->why), "there is no cgroup v2, not even beside v1");
	else
		close(hierarchy);
	return 0;
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting kill_cgroup_settings[] = {
	{ .name = "term_wait", .type = VALUE_DURATION, ARGUMENT(kill_cgroup.term_wait_ns), .max = 300.0 * NSEC_PER_SEC, .initial = "0s",
	  .help = "between SIGTERM and SIGKILL, at most half of the within; 0s: SIGKILL at once" },
};
static const struct section arguments = SECTION("kill-cgroup", "Ends the whole cgroup that causes it with SIGKILL.", kill_cgroup_settings);

static const char *problem_of(const union remedy_args *args)
{
	return args->kill_cgroup.term_wait_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "term_wait is out of its range" : NULL;
}

const struct remedy kill_cgroup = {
	.name = "kill-cgroup",
	.id = REMEDY_KILL_CGROUP,
	.lane = LANE_KILL,
	.help = "Ends the whole cgroup that causes it with SIGKILL, or the one around it that memory.oom.group says ends as a whole.",
	.undo = "none: what ran is gone; a service manager may start it again",
	.destructive = true,
	.ends_processes = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_FREED | EFFECT_EXITED | EFFECT_WITHIN,
	.expect_example = "{exited: true, within: 10s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
