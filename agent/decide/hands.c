/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See hands.h. A request has crossed a process boundary and names what root is about to do, so it is read here as if a stranger
 * had written it: every string ended, every number in its range, every path and name in its plain form. The wall has two sides.
 */
#include "decide/hands.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "lease.h"

enum {
	STACK_TOUCHED = 256 * 1024, /* the deepest remedy needs a tenth; a fault here while memory is short would wait for memory */
};

/* --- the request -------------------------------------------------------------------------------------------------------- */

static bool all_ended(const char *texts, uint32_t count, size_t size)
{
	for (uint32_t i = 0; i < count; i++)
		if (!memchr(texts + i * size, '\0', size))
			return false;
	return true;
}

static const char *protection_problem(const struct protection *protection)
{
	if (protection->unit_count > MAX_PROTECT || protection->comm_count > MAX_PROTECT || protection->cgroup_count > MAX_PROTECT ||
	    protection->container_count > MAX_PROTECT)
		return "more to protect than there is room for";
	if (!all_ended(protection->units[0], protection->unit_count, sizeof(protection->units[0])) ||
	    !all_ended(protection->comms[0], protection->comm_count, sizeof(protection->comms[0])) ||
	    !all_ended(protection->cgroups[0], protection->cgroup_count, sizeof(protection->cgroups[0])) ||
	    !all_ended(protection->containers[0], protection->container_count, sizeof(protection->containers[0])))
		return "a pattern of the protection has no end";
	return NULL;
}

static const char *candidates_problem(const struct remedy_request *request)
{
	if (request->candidate_count > MAX_CANDIDATES)
		return "more candidates than there is room for";
	for (uint32_t i = 0; i < request->candidate_count; i++) {
		const struct cause *cause = &request->candidates[i];
		if (!ENDED(cause->comm) || !ENDED(cause->cgroup) || !ENDED(cause->unit) || !ENDED(cause->evidence))
			return "a candidate's name has no end";
		if (!ENDED(cause->container_id) || !ENDED(cause->container) || !ENDED(cause->namespace) || !ENDED(cause->pod))
			return "a candidate's name has no end";
	}
	return NULL;
}

/* Other kinds of addresses start programs or leave the node: sd-bus would do as it is told. */
static bool is_local_bus(const char *address)
{
	return !address[0] || (strncmp(address, "unix:", 5) == 0 && !strchr(address, ';'));
}

static const char *request_problem(const struct remedy_request *request)
{
	if ((unsigned)request->verb >= REMEDY_VERB_COUNT)
		return "the verb is unknown";
	if ((unsigned)request->remedy >= REMEDY_COUNT)
		return "there is no such remedy";
	if (!ENDED(request->action_id) || !ENDED(request->kill_switch) || !ENDED(request->systemd_bus) || !ENDED(request->lease_book) || !ENDED(request->scratch))
		return "a text has no end";
	if ((unsigned)request->target.type >= TARGET_TYPE_COUNT || !ENDED(request->target.name) || !ENDED(request->target.device))
		return "the target makes no sense";
	if ((request->kill_switch[0] && request->kill_switch[0] != '/') || (request->lease_book[0] && request->lease_book[0] != '/'))
		return "the kill switch or the book of leases is no absolute path";
	if (request->scratch[0] && !request_path_is_plain(request->scratch))
		return "the scratch directory is no plain absolute path";
	if (!is_local_bus(request->systemd_bus))
		return "the bus is no socket of this node";
	if (!ENDED(request->story.policy) || !ENDED(request->story.incident) || !ENDED(request->story.signal.metric) ||
	    (unsigned)request->story.kind >= KIND_COUNT || (unsigned)request->story.severity >= SEVERITY_COUNT)
		return "what it is about makes no sense";
	const char *problem = protection_problem(&request->protect);
	if (!problem)
		problem = candidates_problem(request);
	if (!problem && request->verb == REMEDY_VERB_PREPARE && !remedies[request->remedy]->prepare)
		problem = "nothing is made ready for that remedy";
	if (!problem && (request->verb == REMEDY_VERB_PLAN || request->verb == REMEDY_VERB_APPLY || request->verb == REMEDY_VERB_PREPARE))
		problem = remedies[request->remedy]->problem(&request->args);
	return problem;
}

/* --- the run ------------------------------------------------------------------------------------------------------------ */

static void dispatch(const struct remedy_request *request, struct remedy_result *result)
{
	static const char *const verbs[REMEDY_VERB_COUNT] = { "check", "plan", "apply", "revert", "sweep", "prepare" };
	const struct remedy *remedy = remedies[request->remedy];
	int (*run)(const struct remedy_request *, struct remedy_result *) =
	    request->verb == REMEDY_VERB_CHECK ? remedy->check : request->verb == REMEDY_VERB_PLAN ? remedy->plan :
	    request->verb == REMEDY_VERB_PREPARE ? remedy->prepare : remedy->apply;

	int error = run(request, result);
	if (error == 0)
		return;
	result->armed = false;
	if (!result->why[0])
		snprintf(result->why, sizeof(result->why), "%s could not %s: %s", remedy->name, verbs[request->verb], strerror(-error));
	if (result->outcome != OUTCOME_REFUSED && request->verb != REMEDY_VERB_CHECK)
		result->outcome = OUTCOME_FAILED;
}

static void tell_lease(const struct lease *lease, enum lease_end end, int error, void *context)
{
	char shown[PLAN_LINE_LEN / 2];
	act_shown(shown, sizeof(shown), knob_name(&lease->knob));
	step_end(result_step(context, "return"), end == LEASE_RETURNED || end == LEASE_GONE, "%.100s: %s%s%s", shown, lease_end_names[end], error ? ": " : "", error ? strerror(-error) : "");
}

/* Undone is what does not stand any more by this act; what another one has turned since, an act of ours or somebody else, was not undone by us. */
static void say_given_back(const struct remedy_request *request, struct remedy_result *result)
{
	const struct lease_report *leases = &result->leases;
	result->outcome = OUTCOME_ROLLED_BACK;
	if (request->verb == REMEDY_VERB_SWEEP || leases->returned)
		return;
	if (leases->taken_over || leases->foreign) {
		result->outcome = OUTCOME_NO_EFFECT;
		snprintf(result->why, sizeof(result->why), "nothing was turned back: %s", leases->taken_over ? "a later act has it on lease, and turns it back when its time is over" :
												   "somebody else has turned it meanwhile, and it is theirs");
	} else if (!leases->gone) {
		step_end(result_step(result, "return"), true, "nothing of it is on lease: it was turned back before");
	}
}

/* Turning back is never held up by a guard: it is what the guards are for. */
static void give_back(const struct remedy_request *request, struct remedy_result *result)
{
	if (remedies[request->remedy]->give_back) {
		int failed = remedies[request->remedy]->give_back(request, result);
		if (failed < 0 && result->outcome == OUTCOME_NONE)
			act_fail(result, "what is on lease cannot be turned back: %s", strerror(-failed));
		return;
	}
	enum lease_choice which = request->verb == REMEDY_VERB_REVERT ? LEASES_OF_ACTION : LEASES_EXPIRED;
	int error = leases_return(request->lease_book, which, request->action_id, clock_boot_ns(), tell_lease, result, &result->leases);
	if (error < 0)
		act_fail(result, "the book of leases cannot be read: %s", strerror(-error));
	else if (result->leases.failed)
		act_fail(result, "%u could not be turned back; it is tried again", result->leases.failed);
	else
		say_given_back(request, result);
}

void hands_run(const struct remedy_request *request, struct remedy_result *result)
{
	memset(result, 0, sizeof(*result));
	effect_clear(&result->expected);
	effect_clear(&result->observed);
	result->verb = (unsigned)request->verb < REMEDY_VERB_COUNT ? request->verb : REMEDY_VERB_APPLY;
	if (ENDED(request->action_id))
		memcpy(result->action_id, request->action_id, sizeof(result->action_id));
	const char *problem = request_problem(request);
	if (problem) {
		act_refuse(result, "invalid-request", "%s", problem);
		return;
	}

	if (request->verb == REMEDY_VERB_REVERT || request->verb == REMEDY_VERB_SWEEP) {
		give_back(request, result);
		return;
	}
	result->expected.within_ns = request->expect.within_ns;
	const char *halted = request->verb == REMEDY_VERB_APPLY || request->verb == REMEDY_VERB_PREPARE ? act_halted(request) : NULL;
	if (halted) {
		act_refuse(result, halted, "stopped by the %s before anything was done", halted);
		return;
	}
	uint64_t begun = clock_boot_ns();
	dispatch(request, result);
	if (request->verb == REMEDY_VERB_APPLY)
		result->observed.within_ns = clock_boot_ns() - begun;
}

/* --- the worker --------------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void touch_stack(void)
{
	volatile char depth[STACK_TOUCHED];
	for (size_t i = 0; i < sizeof(depth); i += 4096)
		depth[i] = 0;
	(void)depth[0];
}

static int serve(int fd)
{
	struct remedy_request request;
	struct remedy_result result;
	touch_stack();
	int more;
	while ((more = worker_read(fd, &request, sizeof(request))) > 0) {
		hands_run(&request, &result);
		more = worker_write(fd, &result, sizeof(result));
		if (more <= 0)
			break;
	}
	return more < 0 ? 1 : 0;
}

/* The lane that ends processes must not wait for a page of its own code to come back from the disk. What is not there yet is locked
 * when it comes; where the limit forbids it the lane works all the same, only slower. */
static int serve_kill(int fd)
{
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return serve(fd);
}

void hands_init(struct worker *worker, enum lane lane)
{
	static const char *const names[LANE_COUNT] = { [LANE_KILL] = "kill", [LANE_SLOW] = "slow", [LANE_LEASE] = "lease" };
	*worker = (struct worker){ .name = names[lane], .serve = lane == LANE_KILL ? serve_kill : serve, .fd = -1 };
}
