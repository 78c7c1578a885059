/* SPDX-License-Identifier: Apache-2.0 */
/* See kube_node.h. Shapes as in Kubernetes' own description of its API: core/v1 Node, NodeList, NodeCondition (merged by its type), meta/v1 Status. */
#include "remedies/kube_node.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "remedies/act.h"

enum { PATH_MAX_LEN = 256, SHOWN_LEN = 100 };
#define MERGE "application/merge-patch+json"
#define STRATEGIC "application/strategic-merge-patch+json"

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

static bool is_name(const char *text)
{
	return text[0] && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.")] && text[0] != '.' && text[0] != '-';
}

/* --- asking -------------------------------------------------------------------------------------------------------------------- */

static int error_of(const struct kube_answer *answer, char *why, size_t why_size)
{
	char shown[SHOWN_LEN];
	if (answer->end == KUBE_ANSWERED && answer->status >= 200 && answer->status < 300)
		return 0;
	if (answer->end != KUBE_ANSWERED) {
		snprintf(why, why_size, "%s: %s", answer->end == KUBE_UNREACHED ? "the API server cannot be reached" : "no answer came",
			 act_shown(shown, sizeof(shown), answer->error));
		return answer->end == KUBE_UNREACHED ? -EHOSTUNREACH : -EPROTO;
	}
	cJSON *status = cJSON_Parse(answer->body);
	snprintf(why, why_size, "the API server answered %ld: %s", answer->status, act_shown(shown, sizeof(shown), text_of(status, "message")));
	cJSON_Delete(status);
	return answer->status == 409 ? -EAGAIN : answer->status == 404 ? -ESRCH : answer->status == 401 || answer->status == 403 ? -EPERM : -EPROTO;
}

static int ask(const char *method, const char *path, const char *type, cJSON *body, uint64_t deadline_boot_ns, struct kube_answer *ret, char *why, size_t why_size)
{
	char *text = body ? cJSON_PrintUnformatted(body) : NULL;
	cJSON_Delete(body);
	if (type && !text)
		return -ENOMEM;
	const struct kube_question question = { .method = method, .path = path, .content_type = type, .body = text, .deadline_boot_ns = deadline_boot_ns };
	int error = kube_ask(&question, ret, why, why_size);
	free(text);
	return error ? error : error_of(ret, why, why_size);
}

/* --- looking ------------------------------------------------------------------------------------------------------------------- */

static bool has_condition(const cJSON *status)
{
	const cJSON *condition;
	cJSON_ArrayForEach(condition, cJSON_GetObjectItemCaseSensitive(status, "conditions"))
		if (strcmp(text_of(condition, "type"), NODE_CONDITION) == 0)
			return strcmp(text_of(condition, "status"), "True") == 0;
	return false;
}

static int take(const char *text, struct node *ret)
{
	cJSON *document = cJSON_Parse(text);
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(document, "metadata"), *spec = cJSON_GetObjectItemCaseSensitive(document, "spec");
	const cJSON *annotations = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
	int error = strcmp(text_of(document, "kind"), "Node") == 0 && strcmp(text_of(metadata, "name"), ret->name) == 0 ? 0 : -EPROTO;
	snprintf(ret->version, sizeof(ret->version), "%s", text_of(metadata, "resourceVersion"));
	snprintf(ret->by, sizeof(ret->by), "%s", text_of(annotations, NODE_BY));
	ret->unschedulable = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(spec, "unschedulable"));
	ret->condition = has_condition(cJSON_GetObjectItemCaseSensitive(document, "status"));
	ret->until_wall_ns = 0;
	if (clock_parse(text_of(annotations, NODE_UNTIL), &ret->until_wall_ns) < 0)
		ret->until_wall_ns = 0;
	cJSON_Delete(document);
	return error;
}

int kube_node_read(uint64_t deadline_boot_ns, struct node *ret, char *why, size_t why_size)
{
	char path[PATH_MAX_LEN];
	struct kube_answer answer;
	*ret = (struct node){ 0 };
	kube_node(ret->name, sizeof(ret->name));
	if (!is_name(ret->name)) {
		snprintf(why, why_size, "the node's name is not known; set " KUBE_NODE_VARIABLE);
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "/api/v1/nodes/%s", ret->name);
	int error = ask("GET", path, NULL, NULL, deadline_boot_ns, &answer, why, why_size);
	if (!error && take(answer.body, ret) < 0) {
		snprintf(why, why_size, "what the API server answered is not our node");
		error = -EPROTO;
	}
	return error;
}

int kube_node_count_others(const char *name, uint32_t most, uint32_t *ret, uint64_t deadline_boot_ns, char *why, size_t why_size)
{
	char path[PATH_MAX_LEN];
	struct kube_answer answer;
	const cJSON *item;
	/* One more than matters, and ourselves: whole descriptions come, of some 50 KiB each. */
	snprintf(path, sizeof(path), "/api/v1/nodes?fieldSelector=spec.unschedulable%%3Dtrue&limit=%u", most + 2);
	int error = ask("GET", path, NULL, NULL, deadline_boot_ns, &answer, why, why_size);
	if (error)
		return error;
	cJSON *document = cJSON_Parse(answer.body);
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(document, "items");
	if (!cJSON_IsArray(items)) {
		snprintf(why, why_size, "what the API server answered is no list of nodes");
		error = -EPROTO;
	}
	*ret = 0;
	cJSON_ArrayForEach(item, items)
		*ret += strcmp(text_of(cJSON_GetObjectItemCaseSensitive(item, "metadata"), "name"), name) != 0;
	cJSON_Delete(document);
	return error;
}

/* --- changing ------------------------------------------------------------------------------------------------------------------ */

static cJSON *patch_of(const struct node *node, cJSON **ret_annotations)
{
	cJSON *document = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(document, "metadata");
	if (node->version[0])
		cJSON_AddStringToObject(metadata, "resourceVersion", node->version); /* else what a person did meanwhile would be undone */
	*ret_annotations = cJSON_AddObjectToObject(metadata, "annotations");
	return document;
}

static int patch(const struct node *node, cJSON *document, uint64_t deadline_boot_ns, char *why, size_t why_size)
{
	char path[PATH_MAX_LEN];
	struct kube_answer answer;
	snprintf(path, sizeof(path), "/api/v1/nodes/%s", node->name);
	return ask("PATCH", path, MERGE, document, deadline_boot_ns, &answer, why, why_size);
}

int kube_node_cordon(const struct node *node, const char *action_id, int64_t until_wall_ns, uint64_t deadline_boot_ns, char *why, size_t why_size)
{
	char until[32];
	cJSON *annotations, *document = patch_of(node, &annotations);
	cJSON_AddStringToObject(annotations, NODE_BY, action_id);
	cJSON_AddStringToObject(annotations, NODE_UNTIL, clock_format(until_wall_ns, until, sizeof(until)));
	cJSON_AddTrueToObject(cJSON_AddObjectToObject(document, "spec"), "unschedulable");
	return patch(node, document, deadline_boot_ns, why, why_size);
}

int kube_node_release(const struct node *node, bool schedulable, uint64_t deadline_boot_ns, char *why, size_t why_size)
{
	cJSON *annotations, *document = patch_of(node, &annotations);
	cJSON_AddNullToObject(annotations, NODE_BY);
	cJSON_AddNullToObject(annotations, NODE_UNTIL);
	if (schedulable)
		cJSON_AddNullToObject(cJSON_AddObjectToObject(document, "spec"), "unschedulable");
	return patch(node, document, deadline_boot_ns, why, why_size);
}

int kube_node_set_condition(const char *name, bool is_true, const char *message, int64_t now_wall_ns, uint64_t deadline_boot_ns, char *why, size_t why_size)
{
	char path[PATH_MAX_LEN], now[32];
	struct kube_answer answer;
	cJSON *document = cJSON_CreateObject(), *condition = cJSON_CreateObject();
	cJSON *conditions = cJSON_AddArrayToObject(cJSON_AddObjectToObject(document, "status"), "conditions");
	clock_format(now_wall_ns, now, sizeof(now));
	char *fraction = strchr(now, '.'); /* which meta/v1 Time does not have */
	if (fraction)
		memcpy(fraction, "Z", 2);
	cJSON_AddStringToObject(condition, "type", NODE_CONDITION);
	cJSON_AddStringToObject(condition, "status", is_true ? "True" : "False");
	cJSON_AddStringToObject(condition, "reason", is_true ? "Cordoned" : "Released");
	cJSON_AddStringToObject(condition, "message", message);
	cJSON_AddStringToObject(condition, "lastHeartbeatTime", now);
	cJSON_AddStringToObject(condition, "lastTransitionTime", now);
	cJSON_AddItemToArray(conditions, condition);
	snprintf(path, sizeof(path), "/api/v1/nodes/%s/status", name);
	return ask("PATCH", path, STRATEGIC, document, deadline_boot_ns, &answer, why, why_size);
}
