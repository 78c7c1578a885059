/* SPDX-License-Identifier: Apache-2.0 */
/* See identity_names.h: the names that kubelet gives the logs. '_' is in no name of Kubernetes, so the parts are told apart exactly. */
#include "collect/identity_names.h"

#include <stdio.h>
#include <string.h>

enum { PARTS = 3, FILE_NAME_LEN = 256 };

/* Exactly three parts; `copy` is what they point into. */
static bool split(const char *file, char copy[FILE_NAME_LEN], char *ret_parts[PARTS])
{
	if (strlen(file) >= FILE_NAME_LEN)
		return false;
	memcpy(copy, file, strlen(file) + 1);
	for (int i = 0; i < PARTS; i++) {
		ret_parts[i] = copy;
		copy = strchr(copy, '_');
		if (!copy != (i == PARTS - 1))
			return false;
		if (copy)
			*copy++ = '\0';
	}
	return true;
}

static bool set_pod(const char *namespace, const char *pod, struct container_names *ret)
{
	*ret = (struct container_names){ 0 };
	name_set(ret->namespace, sizeof(ret->namespace), namespace, "-");
	name_set(ret->pod, sizeof(ret->pod), pod, "-.");
	return ret->namespace[0] && ret->pod[0];
}

bool names_of_pod_folder(const char *file, const char *pod_uid, struct container_names *ret)
{
	char copy[FILE_NAME_LEN], *parts[PARTS];
	return split(file, copy, parts) && strcmp(parts[2], pod_uid) == 0 && set_pod(parts[0], parts[1], ret);
}

/* kubelet cuts names that would be longer than a file's may be; the id at their end is then incomplete and is no one's. */
bool names_of_container_log(const char *file, const char *id, struct container_names *ret)
{
	char copy[FILE_NAME_LEN], suffix[CONTAINER_ID_LEN + 8], *parts[PARTS];
	int length = snprintf(suffix, sizeof(suffix), "-%s.log", id);

	if (!split(file, copy, parts))
		return false;
	size_t whole = strlen(parts[2]);
	if (whole <= (size_t)length || strcmp(parts[2] + whole - (size_t)length, suffix) != 0)
		return false;
	parts[2][whole - (size_t)length] = '\0';
	if (!set_pod(parts[1], parts[0], ret))
		return false;
	name_set(ret->container, sizeof(ret->container), parts[2], "-");
	return ret->container[0] != '\0';
}
