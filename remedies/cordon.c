/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps new pods away from this node for a time, and says so as a condition of the node. It is a lease that stands on the node itself: given back when its
 * time is over by this agent, the next one, or `nodemend undo`; and at once where it did not help.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/kube_node.h"
#include "remedies/registry.h"

enum { MOST_OTHERS = 6 };
#define AGAIN_NS (30 * NSEC_PER_SEC)
#define SELDOM_NS (600 * NSEC_PER_SEC)

struct cordoning {
	const struct remedy_request *request;
	struct remedy_result *result;
	struct node node;
	char why[WHY_LEN];
};

static bool said(struct cordoning *cordoning, const char *step, int error, const char *good)
{
	step_end(result_step(cordoning->result, step), error == 0, "%s", error ? cordoning->why : good);
	return error == 0;
}

/* --- looking ------------------------------------------------------------------------------------------------------------------- */

/* -1: failed or refused, as was said. */
static int others(struct cordoning *cordoning, uint32_t *ret)
{
	uint32_t most = cordoning->request->args.cordon.most_others;
	int error = kube_node_count_others(cordoning->node.name, most, ret, cordoning->request->deadline_boot_ns, cordoning->why, sizeof(cordoning->why));
	if (error)
		act_fail(cordoning->result, "how many nodes are cordoned is not known: %s", cordoning->why);
	return error ? -1 : 0;
}

static bool look(struct cordoning *cordoning)
{
	uint32_t count = 0, most = cordoning->request->args.cordon.most_others;
	int error = kube_node_read(cordoning->request->deadline_boot_ns, &cordoning->node, cordoning->why, sizeof(cordoning->why));
	if (!said(cordoning, "look", error, cordoning->node.unschedulable ? "cordoned" : "schedulable")) {
		act_fail(cordoning->result, "%s", cordoning->why);
		return false;
	}
	if (cordoning->node.unschedulable || cordoning->node.by[0]) {
		act_refuse(cordoning->result, "already-cordoned", "%s", cordoning->node.by[0] ? "an act of ours has it on lease" : "somebody else has cordoned it");
		return false;
	}
	if (others(cordoning, &count) < 0)
		return false;
	if (count > most)
		act_refuse(cordoning->result, "others-cordoned", "more than %u other nodes are cordoned: it may be everybody's trouble", most);
	return count <= most;
}

static void say_plan(struct cordoning *cordoning)
{
	result_plan(cordoning->result, "keep new pods away from node %.90s for %llu s; those that run go on", cordoning->node.name,
		    (unsigned long long)(cordoning->request->args.cordon.for_ns / NSEC_PER_SEC));
}

/* --- giving back --------------------------------------------------------------------------------------------------------------- */

static void clear_condition(struct cordoning *cordoning, const char *message)
{
	int error = kube_node_set_condition(cordoning->node.name, false, message, clock_wall_ns(), cordoning->request->deadline_boot_ns, cordoning->why,
				       sizeof(cordoning->why));
	if (!said(cordoning, "condition", error, NODE_CONDITION " is False"))
		cordoning->result->leases.failed++;
}

/* The cordon first: a condition that stays is a word, a cordon that stays is a node less. */
static void release(struct cordoning *cordoning)
{
	struct lease_report *leases = &cordoning->result->leases;
	bool ours = cordoning->node.unschedulable;
	int error = kube_node_release(&cordoning->node, ours, cordoning->request->deadline_boot_ns, cordoning->why, sizeof(cordoning->why));
	if (!said(cordoning, "return", error, ours ? "pods may come again" : "somebody has uncordoned it already")) {
		leases->failed++;
		leases->held++;
		return;
	}
	*(ours ? &leases->returned : &leases->foreign) += 1;
}

static uint64_t boot_time_of(int64_t wall_ns)
{
	int64_t left = wall_ns - clock_wall_ns();
	return clock_boot_ns() + (left > 0 ? (uint64_t)left : 0);
}

static bool is_due(const struct cordoning *cordoning)
{
	const struct node *node = &cordoning->node;
	if (cordoning->request->verb == REMEDY_VERB_REVERT)
		return !cordoning->request->action_id[0] || strcmp(node->by, cordoning->request->action_id) == 0; /* "": by `undo --all` */
	return !node->until_wall_ns || clock_wall_ns() >= node->until_wall_ns; /* a time that cannot be read must not keep it for ever */
}

static int give_back(const struct remedy_request *request, struct remedy_result *result)
{
	struct cordoning cordoning = { .request = request, .result = result };
	struct lease_report *leases = &result->leases;
	*leases = (struct lease_report){ .next_boot_ns = UNKNOWN };
	int error = kube_node_read(request->deadline_boot_ns, &cordoning.node, cordoning.why, sizeof(cordoning.why));
	if ((error == -EPERM || error == -ESRCH) && request->verb == REMEDY_VERB_SWEEP) {
		/* A service account for evict-pod alone may not see nodes, and so has not cordoned one; its rights may come back. */
		leases->next_boot_ns = clock_boot_ns() + SELDOM_NS;
		result->outcome = OUTCOME_ROLLED_BACK;
		return 0;
	}
	if (error) {
		leases->failed++;
		leases->next_boot_ns = clock_boot_ns() + AGAIN_NS;
		act_fail(result, "%s", cordoning.why);
		return 0;
	}
	bool held = cordoning.node.by[0] != '\0';
	if (held && is_due(&cordoning))
		release(&cordoning);
	else if (held)
		leases->held++;
	if (cordoning.node.condition && (!held || leases->returned || leases->foreign))
		clear_condition(&cordoning, "new pods may come again");
	if (leases->failed)
		leases->next_boot_ns = clock_boot_ns() + AGAIN_NS;
	else if (leases->held)
		leases->next_boot_ns = boot_time_of(cordoning.node.until_wall_ns);
	result->outcome = OUTCOME_ROLLED_BACK;
	if (leases->failed)
		act_fail(result, "not all could be turned back: %s; it is tried again", cordoning.why);
	return 0;
}

/* --- acting -------------------------------------------------------------------------------------------------------------------- */

/* 0, -EAGAIN and -EPROTO: only a look can tell whether it was taken; a request that is repeated since its answer was lost meets its own work. */
static int set(struct cordoning *cordoning)
{
	const struct remedy_request *request = cordoning->request;
	int64_t until = clock_wall_ns() + (int64_t)request->args.cordon.for_ns;
	int error = kube_node_cordon(&cordoning->node, request->action_id, until, request->deadline_boot_ns, cordoning->why, sizeof(cordoning->why));
	cordoning->result->leases = (struct lease_report){ .held = 1, .next_boot_ns = boot_time_of(until) }; /* also where that is not known */
	(void)said(cordoning, "cordon", error, "no new pods");
	if (error && error != -EAGAIN && error != -EPROTO)
		act_fail(cordoning->result, "%s", cordoning->why);
	return error;
}

static bool stands(struct cordoning *cordoning, int set_error)
{
	const struct remedy_request *request = cordoning->request;
	int error = kube_node_read(request->deadline_boot_ns, &cordoning->node, cordoning->why, sizeof(cordoning->why));
	bool seen = error == 0 && cordoning->node.unschedulable && strcmp(cordoning->node.by, request->action_id) == 0;
	if (!error && !seen)
		snprintf(cordoning->why, sizeof(cordoning->why), "it does not stand as it was set");
	if (said(cordoning, "stands", seen ? 0 : -EPROTO, "seen on the node"))
		return true;
	if (!error && set_error == -EAGAIN)
		act_refuse(cordoning->result, "node-changed", "somebody changed the node at the same time");
	else
		act_fail(cordoning->result, "%s", cordoning->why);
	return false;
}

/* Right after it: two nodes that looked at the same moment have both seen none. */
static bool is_too_many(struct cordoning *cordoning)
{
	uint32_t count = 0, most = cordoning->request->args.cordon.most_others;
	char why[WHY_LEN];
	return kube_node_count_others(cordoning->node.name, most, &count, cordoning->request->deadline_boot_ns, why, sizeof(why)) == 0 && count > most;
}

static void act(struct cordoning *cordoning)
{
	const struct remedy_request *request = cordoning->request;
	struct remedy_result *result = cordoning->result;
	int error = set(cordoning);
	if (result->outcome == OUTCOME_FAILED || !stands(cordoning, error))
		return;
	if (is_too_many(cordoning)) {
		release(cordoning);
		result->outcome = OUTCOME_ROLLED_BACK;
		snprintf(result->why, sizeof(result->why), "others were cordoned at the same time: given back");
		return;
	}
	char message[WHY_LEN];
	snprintf(message, sizeof(message), "nodemend keeps new pods away: %.60s", request->story.policy[0] ? request->story.policy : "by hand");
	error = kube_node_set_condition(cordoning->node.name, true, message, clock_wall_ns(), request->deadline_boot_ns, cordoning->why, sizeof(cordoning->why));
	(void)said(cordoning, "condition", error, NODE_CONDITION " is True"); /* a word less, and the cordon stands */
	result->outcome = OUTCOME_FIXED;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	struct cordoning cordoning = { .request = request, .result = result };
	if (!look(&cordoning))
		return 0;
	say_plan(&cordoning);
	if (request->verb == REMEDY_VERB_PLAN)
		return 0;
	const char *halted = act_halted(request);
	if (halted)
		act_refuse(result, halted, "stopped by the %s", halted);
	else
		act(&cordoning);
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = kube_ready(result->why, sizeof(result->why)) == 0;
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting cordon_settings[] = {
	{ .name = "for", .type = VALUE_DURATION, ARGUMENT(cordon.for_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WAIT_S * 1e9, .initial = "15m",
	  .help = "after which pods may come again, whatever becomes of the agent" },
	{ .name = "most_others", .type = VALUE_COUNT, ARGUMENT(cordon.most_others), .max = MOST_OTHERS, .initial = "0",
	  .help = "with more cordoned nodes in the cluster beside this one it holds back" },
};
static const struct section arguments = SECTION("cordon", "Keeps new pods away from this node, for a time.", cordon_settings);

static const char *problem_of(const union remedy_args *args)
{
	if (args->cordon.for_ns < NSEC_PER_SEC || args->cordon.for_ns > LONGEST_WAIT_S * NSEC_PER_SEC)
		return "for is out of its range";
	return args->cordon.most_others > MOST_OTHERS ? "most_others is out of its range" : NULL;
}

const struct remedy cordon = {
	.name = "cordon",
	.id = REMEDY_CORDON,
	.lane = LANE_SLOW,
	.help = "Keeps new pods away from this node for a time, and says so as a condition of the node.",
	.undo = "a lease on the node itself: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_WITHIN,
	.expect_example = "{clears: true, within: 10m}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
	.give_back = give_back,
};
