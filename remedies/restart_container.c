/* SPDX-License-Identifier: Apache-2.0 */
/* Restarts the container that causes it, through its engine, and watches it run; where its image brings a probe, until that one passes. */
#include "remedies/container.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/registry.h"

/* As for a unit: one that dies at once runs for as long as its first instructions take. */
#define STABLE_NS NSEC_PER_SEC
#define LOOK_NS (100 * NSEC_PER_MSEC)
enum { SHOWN_LEN = 96 };

static int restart(struct container *container)
{
	uint64_t grace = container_grace_s(container);
	struct action_step *step = result_step(container->result, "restart");
	int error = engine_restart(&container->engine, container->id, grace);
	step_end(step, error == 0, "%s: %.120s", engine_names[container->engine.kind], error ? container->engine.why : "done");
	if (error < 0)
		container_failed(container, error);
	return error;
}

/* 1: runs as the same process for STABLE_NS, and its own probe passes. 0: it does not. -errno. The moment may pass the deadline: it is no new work. */
static int watch_it_run(struct container *container, struct engine_facts *facts)
{
	uint64_t deadline = container->request->deadline_boot_ns, since = 0;
	int32_t pid = 0;
	container->engine.deadline_boot_ns = deadline + 2 * STABLE_NS;
	for (;;) {
		int error = engine_look(&container->engine, container->id, facts);
		uint64_t now = clock_boot_ns();
		if (error < 0)
			return error;
		if (!facts->running || (pid && facts->pid != pid) || facts->pid == container->facts.pid)
			return 0;
		since = since ? since : now;
		pid = facts->pid;
		bool well = !facts->health[0] || strcmp(facts->health, "healthy") == 0;
		if (well && now >= since + STABLE_NS)
			return 1;
		if (!well && (now >= deadline || strcmp(facts->health, "unhealthy") == 0))
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
	}
}

static void judge(struct container *container, int runs, const struct engine_facts *facts)
{
	struct remedy_result *result = container->result;
	struct action_step *step = result_step(result, "runs");
	result->observed.unit_active = runs > 0;
	if (runs < 0) {
		step_end(step, false, "%.150s", container->engine.why);
		act_fail(result, "what became of the container is not known: %.100s", container->engine.why);
		return;
	}
	step_end(step, runs > 0, "%.40s%s%.40s, main pid %" PRId32, facts->status, facts->health[0] ? ", " : "", facts->health, facts->pid);
	result->outcome = runs ? OUTCOME_FIXED : OUTCOME_NO_EFFECT;
	if (!runs && facts->running && facts->pid == container->facts.pid)
		snprintf(result->why, sizeof(result->why), "it is the same process as before");
	else if (!runs)
		snprintf(result->why, sizeof(result->why), "it did not stay well: %.40s %.40s, exit code %" PRId64, facts->status, facts->health, facts->exit_code);
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct container container;
	struct engine_facts facts;
	char shown[SHOWN_LEN];
	int error = container_open(&container, request, &request->args.restart_container, result);
	if (error == 0) {
		result_plan(result, "restart container %s of %s, main pid %" PRId32 ", %" PRIu64 " processes; %" PRIu64 " s to end by itself",
			    container_shown(&container, shown, sizeof(shown)), engine_names[container.engine.kind], container.facts.pid, container.members,
			    container_grace_s(&container));
		result->expected.unit_active = 1;
		if (request->verb == REMEDY_VERB_APPLY && container_again(&container) == 0 && restart(&container) == 0)
			judge(&container, watch_it_run(&container, &facts), &facts);
	}
	container_close(&container);
	return error < 0 ? error : 0;
}

static const char *problem_of(const union remedy_args *args)
{
	return container_problem(&args->restart_container);
}

const struct remedy restart_container = {
	.name = "restart-container",
	.id = REMEDY_RESTART_CONTAINER,
	.lane = LANE_SLOW,
	.help = "Restarts the container that causes it through Docker or Podman, and watches it run.",
	.undo = "none is needed: it runs again",
	.destructive = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_CGROUP,
	.effects = EFFECT_UNIT | EFFECT_WITHIN,
	.expect_example = "{unit: active, within: 60s}",
	.arguments = &restart_container_arguments,
	.problem = problem_of,
	.check = engines_check_containers,
	.plan = run,
	.apply = run,
};
