/* SPDX-License-Identifier: Apache-2.0 */
/* See identity_names.h: the names as JSON. Which key is which name is a table; whatever else the files hold is not looked at. */
#include "collect/identity_names.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#define DNS_LABEL "-"
#define DNS_SUBDOMAIN "-."
#define RUNTIME_NAME "-._"

void name_set(char *ret, size_t size, const char *text, const char *others)
{
	size_t length = strlen(text);
	ret[0] = '\0';
	if (!length || length >= size || !isalnum((unsigned char)text[0]))
		return;
	for (const char *at = text; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr(others, *at))
			return;
	memcpy(ret, text, length + 1);
}

static const char *text_at(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* --- annotations and labels --------------------------------------------------------------------------------------------- */

#define PLACE(member) offsetof(struct container_names, member), sizeof(((struct container_names *)0)->member)

struct key_row {
	const char *key;
	size_t offset, size;
	const char *others;
};

static const struct key_row containerd_keys[] = {
	{ "io.kubernetes.cri.container-name", PLACE(container), DNS_LABEL },
	{ "io.kubernetes.cri.sandbox-id", PLACE(sandbox_id), "" },
	{ "io.kubernetes.cri.sandbox-name", PLACE(pod), DNS_SUBDOMAIN },
	{ "io.kubernetes.cri.sandbox-namespace", PLACE(namespace), DNS_LABEL },
	{ "io.kubernetes.cri.sandbox-uid", PLACE(pod_uid), DNS_LABEL },
};

/* Of CRI-O's annotations and of the labels that kubelet gave Docker. */
static const struct key_row kubernetes_keys[] = {
	{ "io.kubernetes.container.name", PLACE(container), DNS_LABEL },
	{ "io.kubernetes.pod.name", PLACE(pod), DNS_SUBDOMAIN },
	{ "io.kubernetes.pod.namespace", PLACE(namespace), DNS_LABEL },
	{ "io.kubernetes.pod.uid", PLACE(pod_uid), DNS_LABEL },
};

static void read_keys(const cJSON *object, const struct key_row *rows, size_t count, struct container_names *ret)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = text_at(object, rows[i].key);
		if (text)
			name_set((char *)ret + rows[i].offset, rows[i].size, text, rows[i].others);
	}
}
#define READ_KEYS(object, rows, ret) read_keys(object, rows, sizeof(rows) / sizeof((rows)[0]), ret)

/* The pause container has no name that anybody gave it. */
static void set_kind(const char *kind, const char *sandbox, struct container_names *ret)
{
	ret->sandbox = strcmp(kind, sandbox) == 0;
	if (ret->sandbox)
		ret->container[0] = '\0';
}

static void read_annotations(const cJSON *annotations, struct container_names *ret)
{
	const char *containerd = text_at(annotations, "io.kubernetes.cri.container-type");
	const char *crio = text_at(annotations, "io.kubernetes.cri-o.ContainerType");
	const char *manager = text_at(annotations, "io.container.manager");

	/* Podman writes some of CRI-O's keys for `play kube`: its own comes first. */
	if (manager && strcmp(manager, "libpod") == 0) {
		ret->runtime = RUNTIME_PODMAN;
	} else if (containerd) {
		ret->runtime = RUNTIME_CONTAINERD;
		READ_KEYS(annotations, containerd_keys, ret);
		set_kind(containerd, "sandbox", ret);
	} else if (crio) {
		ret->runtime = RUNTIME_CRIO;
		READ_KEYS(annotations, kubernetes_keys, ret);
		set_kind(crio, "sandbox", ret);
	}
}

int names_of_spec(const char *text, size_t size, struct container_names *ret)
{
	cJSON *json = cJSON_ParseWithLength(text, size);
	bool is_spec = text_at(json, "ociVersion") != NULL;

	*ret = (struct container_names){ 0 };
	if (is_spec)
		read_annotations(cJSON_GetObjectItemCaseSensitive(json, "annotations"), ret);
	cJSON_Delete(json);
	return is_spec ? 0 : -EINVAL;
}

int names_of_docker(const char *text, size_t size, struct container_names *ret)
{
	cJSON *json = cJSON_ParseWithLength(text, size);
	const char *name = text_at(json, "Name");
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, "Config"), "Labels");
	const char *kind = text_at(labels, "io.kubernetes.docker.type");

	*ret = (struct container_names){ .runtime = RUNTIME_DOCKER, .labels = true };
	if (name)
		name_set(ret->container, sizeof(ret->container), name + (name[0] == '/'), RUNTIME_NAME);
	if (kind) {
		READ_KEYS(labels, kubernetes_keys, ret);
		set_kind(kind, "podsandbox", ret);
	}
	cJSON_Delete(json);
	return name ? 0 : -EINVAL;
}

/* --- containers/storage ------------------------------------------------------------------------------------------------- */

int names_of_storage(const cJSON *list, const char *id, struct container_names *ret)
{
	const cJSON *entry;
	cJSON_ArrayForEach(entry, list) {
		const char *entry_id = text_at(entry, "id");
		if (!entry_id || strcmp(entry_id, id) != 0)
			continue;
		const cJSON *name = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(entry, "names"), 0);
		*ret = (struct container_names){ 0 };
		if (cJSON_IsString(name))
			name_set(ret->container, sizeof(ret->container), name->valuestring, RUNTIME_NAME);
		return 0;
	}
	return -ENOENT;
}
