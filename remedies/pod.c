/* SPDX-License-Identifier: Apache-2.0 */
/* See pod.h. What cannot be read is refused: nobody evicts what he does not know. */
#include "remedies/pod.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

/* SystemCriticalPriority of the API; what is as high or higher is the cluster's own (scheduling/types.go). */
#define CRITICAL_PRIORITY 2000000000.0

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = member(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

static const cJSON *controller_of(const cJSON *metadata)
{
	const cJSON *owner;
	cJSON_ArrayForEach(owner, member(metadata, "ownerReferences"))
		if (cJSON_IsTrue(member(owner, "controller")))
			return owner;
	return NULL;
}

static bool is_static(const cJSON *metadata)
{
	const cJSON *annotations = member(metadata, "annotations"), *owner;
	if (member(annotations, "kubernetes.io/config.mirror"))
		return true;
	const char *source = text_of(annotations, "kubernetes.io/config.source");
	if (source[0] && strcmp(source, "api") != 0)
		return true;
	cJSON_ArrayForEach(owner, member(metadata, "ownerReferences"))
		if (strcmp(text_of(owner, "kind"), "Node") == 0)
			return true;
	return false;
}

static bool is_critical(const cJSON *spec)
{
	const char *name = text_of(spec, "priorityClassName");
	const cJSON *priority = member(spec, "priority");
	return strcmp(name, "system-cluster-critical") == 0 || strcmp(name, "system-node-critical") == 0 ||
	       (cJSON_IsNumber(priority) && priority->valuedouble >= CRITICAL_PRIORITY);
}

static const char *judge(const cJSON *document, const char *node, const char *own_pod, const struct pod *pod, char *why, size_t why_size)
{
	const cJSON *metadata = member(document, "metadata"), *spec = member(document, "spec"), *controller = controller_of(metadata);
	const char *namespace = text_of(metadata, "namespace"), *on = text_of(spec, "nodeName");

	snprintf(why, why_size, "it is described in no way that is known");
	if (strcmp(text_of(document, "kind"), "Pod") != 0 || !pod->uid[0] || !namespace[0] || !cJSON_IsObject(spec))
		return "unknown-pod";
	snprintf(why, why_size, "it runs on %.60s and we are %.60s", on[0] ? on : "no node", node[0] ? node : "not known");
	if (!node[0] || strcmp(on, node) != 0)
		return "other-node";
	snprintf(why, why_size, "it is ours");
	if (own_pod[0] && strcmp(text_of(metadata, "name"), own_pod) == 0)
		return "never-list";
	snprintf(why, why_size, "the namespace %.60s is the cluster's own", namespace);
	if (strncmp(namespace, "kube-", 5) == 0)
		return "never-list";
	snprintf(why, why_size, "it is critical to the cluster or the node");
	if (is_critical(spec))
		return "never-list";
	snprintf(why, why_size, "it is a static pod: the kubelet would start it again here");
	if (is_static(metadata))
		return "never-list";
	snprintf(why, why_size, "it belongs to a DaemonSet, which would start it again here");
	if (controller && strcmp(text_of(controller, "kind"), "DaemonSet") == 0)
		return "never-list";
	snprintf(why, why_size, "nothing would start it again elsewhere: it has no controller");
	if (!controller)
		return "no-controller";
	snprintf(why, why_size, "it is on its way out already");
	return pod->ending ? "already-ending" : NULL;
}

const char *pod_refused_by(const char *text, const char *node, const char *own_pod, struct pod *ret, char *why, size_t why_size)
{
	cJSON *document = cJSON_Parse(text);
	const cJSON *metadata = member(document, "metadata"), *controller = controller_of(metadata);
	*ret = (struct pod){ .ending = text_of(metadata, "deletionTimestamp")[0] != '\0' };
	snprintf(ret->uid, sizeof(ret->uid), "%s", text_of(metadata, "uid"));
	snprintf(ret->owner, sizeof(ret->owner), "%.40s/%.50s", text_of(controller, "kind"), text_of(controller, "name"));
	const char *refused = judge(document, node, own_pod, ret, why, why_size);
	cJSON_Delete(document);
	if (!refused)
		why[0] = '\0';
	return refused;
}
