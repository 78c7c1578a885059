/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the container that causes it as a whole, through its engine, which then knows that it was meant: one killed behind its back would be
 * started again by its restart policy. Never a pod's sandbox.
 */
#include "remedies/container.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/registry.h"
#include "remedies/terminate.h"

#define LOOK_NS (50 * NSEC_PER_MSEC)
enum { SHOWN_LEN = 96 };

static int end(struct container *container)
{
	uint64_t grace = container_grace_s(container);
	struct action_step *step = result_step(container->result, grace ? "stop" : "kill");
	int error = grace ? engine_stop(&container->engine, container->id, grace) : engine_kill(&container->engine, container->id);
	step_end(step, error == 0, "%s: %.120s", engine_names[container->engine.kind], error ? container->engine.why : "done");
	/* One that ended by itself a moment before is what was wanted; how it stands now is looked at in any case. */
	if (error < 0 && error != -ENOENT && error != -EBUSY)
		container_failed(container, error);
	return error == -ENOENT || error == -EBUSY ? 0 : error;
}

/* 1: it does not run, or is removed by now; 0: it does; -errno. */
static int watch_it_end(struct container *container, struct engine_facts *facts)
{
	uint64_t soon = clock_boot_ns() + AFTER_KILL_NS, until = container->request->deadline_boot_ns;
	until = soon > until ? soon : until;
	container->engine.deadline_boot_ns = until + NSEC_PER_SEC; /* what has become of it is worth one answer more */
	for (;;) {
		int error = engine_look(&container->engine, container->id, facts);
		if (error == -ENOENT || (error == 0 && !facts->running))
			return 1;
		if (error < 0)
			return error;
		if (facts->pid != container->facts.pid || clock_boot_ns() >= until)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
	}
}

static void judge(struct container *container, int ended, const struct engine_facts *facts)
{
	struct remedy_result *result = container->result;
	struct action_step *step = result_step(result, "exit");
	uint64_t wanted = container->request->expect.freed_bytes;
	result->observed.exited = ended > 0 ? container->members : 0;
	if (ended < 0) {
		step_end(step, false, "%.150s", container->engine.why);
		act_fail(result, "what became of the container is not known: %.100s", container->engine.why);
		return;
	}
	if (!ended) {
		step_end(step, false, "it runs, main pid %" PRId32, facts->pid);
		result->outcome = OUTCOME_NO_EFFECT;
		snprintf(result->why, sizeof(result->why), facts->pid != container->facts.pid ? "it was started again at once" : "it did not end in time");
		return;
	}
	step_end(step, true, "it has ended, with %" PRIu64 " processes that held %" PRIu64 " bytes", container->members, container->rss_bytes);
	result->observed.freed_bytes = container->rss_bytes;
	result->ended = (struct ended_one){ .cgroup_id = container->cgroup_id, .rss_bytes = container->rss_bytes };
	result->outcome = wanted == UNKNOWN || container->rss_bytes >= wanted ? OUTCOME_FIXED : OUTCOME_IMPROVED;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct container container;
	struct engine_facts facts;
	char shown[SHOWN_LEN];
	int error = container_open(&container, request, &request->args.kill_container, result);
	if (error == 0) {
		result_plan(result, "end container %s of %s: %" PRIu64 " processes, %" PRIu64 " bytes resident; %" PRIu64 " s to end by itself",
			    container_shown(&container, shown, sizeof(shown)), engine_names[container.engine.kind], container.members, container.rss_bytes,
			    container_grace_s(&container));
		result->expected.exited = container.members;
		result->expected.freed_bytes = container.rss_bytes;
		if (request->verb == REMEDY_VERB_APPLY && container_again(&container) == 0 && end(&container) == 0)
			judge(&container, watch_it_end(&container, &facts), &facts);
	}
	container_close(&container);
	return error < 0 ? error : 0;
}

static const char *problem_of(const union remedy_args *args)
{
	return container_problem(&args->kill_container);
}

const struct remedy kill_container = {
	.name = "kill-container",
	.id = REMEDY_KILL_CONTAINER,
	.lane = LANE_KILL,
	.help = "Ends the container that causes it through Docker or Podman, never a pod's sandbox.",
	.undo = "none: what ran is gone; the container itself stays and can be started again",
	.destructive = true,
	.ends_processes = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_FREED | EFFECT_EXITED | EFFECT_WITHIN,
	.expect_example = "{exited: true, within: 15s}",
	.arguments = &kill_container_arguments,
	.problem = problem_of,
	.check = engines_check_containers,
	.plan = run,
	.apply = run,
};
