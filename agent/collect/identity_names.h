/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a container in the files of the runtimes. The readers take text of a bounded size, written by a runtime but in part
 * made of what users asked for: a value that could not be such a name is as good as none.
 */
#ifndef NODEMEND_COLLECT_IDENTITY_NAMES_H
#define NODEMEND_COLLECT_IDENTITY_NAMES_H

#include "identity.h"

#include <stddef.h>

struct cJSON;

struct container_names {
	enum runtime runtime;
	bool sandbox;
	bool labels;                 /* the pod's names are labels, which whoever starts a container may set */
	char sandbox_id[CONTAINER_ID_LEN];
	char pod_uid[POD_UID_LEN], namespace[NAMESPACE_LEN], pod[POD_LEN], container[CONTAINER_NAME_LEN];
};

/* Writes `text` where it has only letters, digits and `others`, begins with a letter or digit and fits; else leaves "". */
void name_set(char *ret, size_t size, const char *text, const char *others);

/* 0 with what is known, -EINVAL: this is not such a file. */
int names_of_spec(const char *text, size_t size, struct container_names *ret);    /* OCI config.json of containerd, CRI-O, Podman */
int names_of_docker(const char *text, size_t size, struct container_names *ret);  /* Docker's config.v2.json */
/* containers.json of containers/storage, which has all in one list; parse once, ask for each id. -ENOENT: not in it. */
int names_of_storage(const struct cJSON *list, const char *id, struct container_names *ret);

/* kubelet's names of files: "NAMESPACE_POD_UID", a folder of /var/log/pods; "POD_NAMESPACE_CONTAINER-ID.log" of /var/log/containers. */
bool names_of_pod_folder(const char *file, const char *pod_uid, struct container_names *ret);
bool names_of_container_log(const char *file, const char *id, struct container_names *ret);

#endif
