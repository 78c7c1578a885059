/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the API server to evict the pod that causes it, so that it is started elsewhere: the Eviction API heeds disruption budgets and grace
 * periods, and what it says no to is not done in another way. What it does not clearly say yes to is not told as done.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/kube.h"
#include "remedies/pod.h"
#include "remedies/registry.h"

#define LOOK_NS (500 * NSEC_PER_MSEC)
#define QUESTION_NS (10 * NSEC_PER_SEC)
enum { PATH_MAX_LEN = 512, SHOWN_LEN = 120 };

struct eviction {
	const struct remedy_request *request;
	struct remedy_result *result;
	char namespace[NAMESPACE_LEN], name[POD_LEN];
	char node[NAME_LEN];
	struct pod pod;
	struct kube_answer answer;
	char why[WHY_LEN];
};

/* --- asking -------------------------------------------------------------------------------------------------------------------- */

/* What a name may hold (RFC 1123): it becomes a part of a path. */
static bool is_name(const char *text)
{
	return text[0] && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.")] && text[0] != '.' && text[0] != '-';
}

static int ask(struct eviction *eviction, const char *method, const char *subresource, const char *body)
{
	char path[PATH_MAX_LEN];
	uint64_t until = clock_boot_ns() + QUESTION_NS;
	snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s%s", eviction->namespace, eviction->name, subresource);
	const struct kube_question question = {
		.method = method, .path = path, .body = body, .content_type = body ? "application/json" : NULL,
		.deadline_boot_ns = until < eviction->request->deadline_boot_ns ? until : eviction->request->deadline_boot_ns,
	};
	return kube_ask(&question, &eviction->answer, eviction->why, sizeof(eviction->why));
}

/* The Status' own sentence, and that of the first cause with this reason ("" = of any). False: there is no such cause. */
static bool status_says(const char *body, const char *reason, char *ret, size_t size)
{
	cJSON *status = cJSON_Parse(body);
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(status, "message"), *cause;
	const cJSON *causes = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(status, "details"), "causes");
	char shown[SHOWN_LEN];
	bool found = !reason[0];
	act_shown(ret, size, cJSON_IsString(message) ? message->valuestring : "");
	cJSON_ArrayForEach(cause, causes) {
		const cJSON *kind = cJSON_GetObjectItemCaseSensitive(cause, "reason"), *said = cJSON_GetObjectItemCaseSensitive(cause, "message");
		if (found || !cJSON_IsString(kind) || strcmp(kind->valuestring, reason) != 0)
			continue;
		found = true;
		if (cJSON_IsString(said))
			act_shown(ret, size, act_shown(shown, sizeof(shown), said->valuestring));
	}
	cJSON_Delete(status);
	return found;
}

static void fail_for_answer(struct eviction *eviction, const char *what)
{
	const struct kube_answer *answer = &eviction->answer;
	char said[SHOWN_LEN], shown[SHOWN_LEN];
	if (answer->end == KUBE_UNREACHED) {
		act_fail(eviction->result, "the API server cannot be reached: %s", act_shown(shown, sizeof(shown), answer->error));
	} else if (answer->end == KUBE_UNKNOWN) {
		act_fail(eviction->result, "%s, and no answer came: %s", what, act_shown(shown, sizeof(shown), answer->error));
	} else {
		(void)status_says(answer->body, "", said, sizeof(said));
		act_fail(eviction->result, "%s, and the API server answered %ld: %s", what, answer->status, said);
	}
}

/* --- looking ------------------------------------------------------------------------------------------------------------------- */

static bool choose(struct eviction *eviction)
{
	const struct remedy_request *request = eviction->request;
	const struct evict_pod_args *args = &request->args.evict_pod;
	memcpy(eviction->namespace, args->namespace, sizeof(eviction->namespace));
	memcpy(eviction->name, args->pod, sizeof(eviction->name));
	for (uint32_t i = 0; i < request->candidate_count && !eviction->name[0]; i++) {
		if (!request->candidates[i].pod[0] || !request->candidates[i].namespace[0])
			continue;
		memcpy(eviction->namespace, request->candidates[i].namespace, sizeof(eviction->namespace));
		memcpy(eviction->name, request->candidates[i].pod, sizeof(eviction->name));
	}
	if (is_name(eviction->name) && is_name(eviction->namespace))
		return true;
	act_refuse(eviction->result, "no-candidate", "no pod is known to cause it");
	return false;
}

/* Sees the pod. False: refused or failed, as was said. */
static bool look(struct eviction *eviction)
{
	struct action_step *step = result_step(eviction->result, "look");
	const char *own = getenv("HOSTNAME");
	int error = ask(eviction, "GET", "", NULL);
	if (error) {
		step_end(step, false, "%s", eviction->why);
		act_fail(eviction->result, "%s", eviction->why);
		return false;
	}
	const struct kube_answer *answer = &eviction->answer;
	step_end(step, answer->end == KUBE_ANSWERED && answer->status == 200, "%.60s/%.90s: %ld", eviction->namespace, eviction->name, answer->status);
	if (answer->end == KUBE_ANSWERED && answer->status == 404) {
		act_refuse(eviction->result, "pod-gone", "there is no such pod any more");
		return false;
	}
	if (answer->end != KUBE_ANSWERED || answer->status != 200) {
		fail_for_answer(eviction, "the pod was asked for");
		return false;
	}
	const char *refused = pod_refused_by(answer->body, eviction->node, own ? own : "", &eviction->pod, eviction->why, sizeof(eviction->why));
	if (refused)
		act_refuse(eviction->result, refused, "%s", eviction->why);
	return !refused;
}

static void say_plan(struct eviction *eviction)
{
	char shown[SHOWN_LEN];
	result_plan(eviction->result, "evict pod %.60s/%.80s of %.96s; its disruption budget may say no", eviction->namespace, eviction->name,
		    act_shown(shown, sizeof(shown), eviction->pod.owner));
}

/* --- acting -------------------------------------------------------------------------------------------------------------------- */

/* Only the very pod that was looked at: one of the same name may be there by now. */
static char *make_body(const struct eviction *eviction)
{
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "apiVersion", "policy/v1");
	cJSON_AddStringToObject(document, "kind", "Eviction");
	cJSON *metadata = cJSON_AddObjectToObject(document, "metadata");
	cJSON_AddStringToObject(metadata, "name", eviction->name);
	cJSON_AddStringToObject(metadata, "namespace", eviction->namespace);
	cJSON *preconditions = cJSON_AddObjectToObject(cJSON_AddObjectToObject(document, "deleteOptions"), "preconditions");
	cJSON_AddStringToObject(preconditions, "uid", eviction->pod.uid);
	char *text = cJSON_PrintUnformatted(document);
	cJSON_Delete(document);
	return text;
}

/* True: it was taken. */
static bool judge_answer(struct eviction *eviction)
{
	const struct kube_answer *answer = &eviction->answer;
	char said[SHOWN_LEN];
	if (answer->end == KUBE_ANSWERED && answer->status >= 200 && answer->status < 300)
		return true;
	if (answer->end == KUBE_ANSWERED && answer->status == 429 && status_says(answer->body, "DisruptionBudget", said, sizeof(said)))
		act_refuse(eviction->result, "disruption-budget", "%s", said);
	else if (answer->end == KUBE_ANSWERED && answer->status == 404)
		act_refuse(eviction->result, "pod-gone", "it was gone before it was evicted");
	else if (answer->end == KUBE_ANSWERED && answer->status == 409)
		act_refuse(eviction->result, "pod-changed", "another pod has its name by now, or it was changed meanwhile");
	else
		fail_for_answer(eviction, "the eviction was asked for");
	return false;
}

static bool evict(struct eviction *eviction)
{
	char *body = make_body(eviction);
	if (!body) {
		act_fail(eviction->result, "out of memory");
		return false;
	}
	struct action_step *step = result_step(eviction->result, "evict");
	int error = ask(eviction, "POST", "/eviction", body);
	free(body);
	if (error) {
		step_end(step, false, "%s", eviction->why);
		act_fail(eviction->result, "%s", eviction->why);
		return false;
	}
	const struct kube_answer *answer = &eviction->answer;
	bool taken = judge_answer(eviction);
	if (answer->end == KUBE_ANSWERED)
		step_end(step, taken, "%ld", answer->status);
	else
		step_end(step, false, "no answer: %.150s", answer->error);
	return taken;
}

enum presence { PRESENT, ENDING, GONE, NOT_KNOWN };

static enum presence look_again(struct eviction *eviction)
{
	struct pod now;
	char why[WHY_LEN];
	if (ask(eviction, "GET", "", NULL) != 0 || eviction->answer.end != KUBE_ANSWERED)
		return NOT_KNOWN;
	if (eviction->answer.status == 404)
		return GONE;
	if (eviction->answer.status != 200)
		return NOT_KNOWN;
	(void)pod_refused_by(eviction->answer.body, eviction->node, "", &now, why, sizeof(why));
	return !now.uid[0] ? NOT_KNOWN : strcmp(now.uid, eviction->pod.uid) != 0 ? GONE : now.ending ? ENDING : PRESENT;
}

static void watch_it_go(struct eviction *eviction)
{
	struct action_step *step = result_step(eviction->result, "gone");
	enum presence seen = PRESENT, now;
	while (clock_boot_ns() + LOOK_NS < eviction->request->deadline_boot_ns) {
		now = look_again(eviction);
		seen = now == NOT_KNOWN ? seen : now; /* a look that failed for want of time says nothing of the pod */
		if (now == GONE)
			break;
		(void)poll(NULL, 0, (int)(LOOK_NS / NSEC_PER_MSEC));
	}
	step_end(step, seen == GONE, "%s", seen == GONE ? "the pod is gone" : seen == ENDING ? "the pod is still ending" : "the pod was not seen to go");
	eviction->result->outcome = seen == GONE ? OUTCOME_FIXED : seen == ENDING ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (seen == ENDING)
		snprintf(eviction->result->why, sizeof(eviction->result->why), "it is still within its grace period");
	if (seen == PRESENT)
		act_fail(eviction->result, "the eviction was taken, and the pod was not seen to go");
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	static struct eviction eviction;
	eviction = (struct eviction){ .request = request, .result = result };
	kube_node(eviction.node, sizeof(eviction.node));
	if (!choose(&eviction) || !look(&eviction))
		return 0;
	say_plan(&eviction);
	if (request->verb == REMEDY_VERB_PLAN)
		return 0;
	const char *halted = act_halted(request);
	if (halted)
		act_refuse(result, halted, "stopped by the %s", halted);
	else if (evict(&eviction))
		watch_it_go(&eviction);
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

static const struct setting evict_pod_settings[] = {
	{ .name = "namespace", .type = VALUE_STRING, ARGUMENT(evict_pod.namespace), .initial = "", .help = "of the pod; left out with it" },
	{ .name = "pod", .type = VALUE_STRING, ARGUMENT(evict_pod.pod), .initial = "", .help = "its name; left out: the pod of the first cause that is in one" },
};
static const struct section arguments = SECTION("evict-pod", "Has the pod that causes it started elsewhere.", evict_pod_settings);

static const char *pair_problem(const struct evict_pod_args *args)
{
	if (!args->namespace[0] != !args->pod[0])
		return "namespace and pod are given together or not at all";
	if (args->pod[0] && (!is_name(args->pod) || !is_name(args->namespace)))
		return "small letters, digits, - and . only";
	return NULL;
}

static void vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	const char *problem = pair_problem(&args->evict_pod);
	if (problem)
		fault(context, "pod", "%s", problem);
}

static const char *problem_of(const union remedy_args *args)
{
	if (!ENDED(args->evict_pod.namespace) || !ENDED(args->evict_pod.pod))
		return "a name has no end";
	return pair_problem(&args->evict_pod);
}

const struct remedy evict_pod = {
	.name = "evict-pod",
	.id = REMEDY_EVICT_POD,
	.lane = LANE_SLOW,
	.help = "Evicts the pod that causes it through the API server, which heeds its disruption budget.",
	.undo = "none: its controller starts another one, where the scheduler puts it",
	.destructive = true,
	.aim = AIM_CAUSE,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_WITHIN,
	.expect_example = "{clears: true, within: 1m}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
