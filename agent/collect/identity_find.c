/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks a container up in the state of the runtimes, in the order of a table, and then in kubelet's names of logs. The pod's names
 * are taken only from a source that means the same pod as the cgroup's path, which kubelet made.
 */
#include "collect/identity_names.h"
#include "collect/identity_files.h"
#include "collect/identity_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

enum {
	MOST_SPEC_BYTES = 1 << 20,   /* of Kubernetes' largest 60 KiB have been seen */
	MOST_LIST_BYTES = 4 << 20,   /* about a KiB a container */
	MOST_ENTRIES = 16384,        /* of a folder of logs: some for each restart of 250 pods' containers */
};

struct file_source {
	const char *before, *after;  /* the id stands between */
	int (*read)(const char *text, size_t size, struct container_names *ret);
	enum runtime runtime;        /* where the file itself does not say */
};

/* clang-format off */
#define CONTAINERD(folder) \
	{ folder "/io.containerd.runtime.v2.task/k8s.io/", "/config.json", names_of_spec, RUNTIME_CONTAINERD }, \
	{ folder "/io.containerd.runtime.v2.task/default/", "/config.json", names_of_spec, RUNTIME_CONTAINERD }
static const struct file_source file_sources[] = {
	CONTAINERD("/run/containerd"),
	CONTAINERD("/run/k3s/containerd"),                           /* and RKE2 */
	CONTAINERD("/run/k0s/containerd"),
	CONTAINERD("/var/snap/microk8s/common/run/containerd"),
	{ "/run/containerd/io.containerd.runtime.v1.linux/k8s.io/", "/config.json", names_of_spec, RUNTIME_CONTAINERD },
	{ "/run/containers/storage/overlay-containers/", "/userdata/config.json", names_of_spec, RUNTIME_UNKNOWN },
	{ "/run/containers/storage/vfs-containers/", "/userdata/config.json", names_of_spec, RUNTIME_UNKNOWN },
	{ "/run/containers/storage/btrfs-containers/", "/userdata/config.json", names_of_spec, RUNTIME_UNKNOWN },
	{ "/var/lib/containers/storage/overlay-containers/", "/userdata/config.json", names_of_spec, RUNTIME_UNKNOWN },
	{ "/var/lib/containers/storage/vfs-containers/", "/userdata/config.json", names_of_spec, RUNTIME_UNKNOWN },
	{ "/run/crio/", "/config.json", names_of_spec, RUNTIME_CRIO },
	{ "/var/lib/docker/containers/", "/config.v2.json", names_of_docker, RUNTIME_DOCKER },
	{ "/var/snap/docker/common/var-lib-docker/containers/", "/config.v2.json", names_of_docker, RUNTIME_DOCKER },
};
static const char *const list_sources[] = { /* no more than identity_lists has room for */
	"/var/lib/containers/storage/overlay-containers/containers.json",
	"/var/lib/containers/storage/overlay-containers/volatile-containers.json",
	"/var/lib/containers/storage/vfs-containers/containers.json",
	"/var/lib/containers/storage/vfs-containers/volatile-containers.json",
	"/var/lib/containers/storage/btrfs-containers/containers.json",
};
/* clang-format on */
enum { LIST_COUNT = sizeof(list_sources) / sizeof(list_sources[0]) };
_Static_assert(LIST_COUNT <= sizeof(((struct identity_lists *)0)->read) / sizeof(bool), "room for every list");

/* --- the runtimes' files ------------------------------------------------------------------------------------------------ */

/* Containerd runs Docker's containers, too, and CRI-O and Podman share a place: only a file that can be another's is left out. */
static bool may_know(const struct file_source *source, enum runtime asked)
{
	bool storage = source->runtime == RUNTIME_UNKNOWN || source->runtime == RUNTIME_CRIO;
	if (asked == RUNTIME_UNKNOWN)
		return true;
	return asked == RUNTIME_CRIO || asked == RUNTIME_PODMAN ? storage : source->runtime == asked;
}

static int read_source(int root_fd, const struct file_source *source, const char *id, struct container_names *ret)
{
	char path[PATH_LEN * 2], *text;
	size_t size;

	snprintf(path, sizeof(path), "%s%s%s", source->before, id, source->after);
	int error = node_read(root_fd, path, MOST_SPEC_BYTES, &text, &size);
	if (error)
		return error;
	error = source->read(text, size, ret);
	free(text);
	if (!error && ret->runtime == RUNTIME_UNKNOWN)
		ret->runtime = source->runtime;
	return error;
}

static int read_files(int root_fd, enum runtime runtime, const char *id, struct container_names *ret)
{
	for (size_t i = 0; i < sizeof(file_sources) / sizeof(file_sources[0]); i++)
		if (may_know(&file_sources[i], runtime) && read_source(root_fd, &file_sources[i], id, ret) == 0)
			return 0;
	return -ENOENT;
}

/* containerd before 1.5 names the pod only in the sandbox's own file. */
static void read_sandbox(int root_fd, struct container_names *names)
{
	struct container_names sandbox;

	if (names->pod[0] || names->sandbox || !names->sandbox_id[0] || read_files(root_fd, names->runtime, names->sandbox_id, &sandbox) != 0)
		return;
	memcpy(names->pod, sandbox.pod, sizeof(names->pod));
	memcpy(names->namespace, sandbox.namespace, sizeof(names->namespace));
	memcpy(names->pod_uid, sandbox.pod_uid, sizeof(names->pod_uid));
}

/* --- lists -------------------------------------------------------------------------------------------------------------- */

static const cJSON *list_of(int root_fd, struct identity_lists *lists, int index)
{
	char *text;
	size_t size;

	if (!lists->read[index] && node_read(root_fd, list_sources[index], MOST_LIST_BYTES, &text, &size) == 0) {
		lists->each[index] = cJSON_ParseWithLength(text, size);
		free(text);
	}
	lists->read[index] = true;
	return lists->each[index];
}

static int read_lists(int root_fd, struct identity_lists *lists, const char *id, struct container_names *ret)
{
	for (int i = 0; i < LIST_COUNT; i++)
		if (names_of_storage(list_of(root_fd, lists, i), id, ret) == 0)
			return 0;
	return -ENOENT;
}

void identity_lists_free(struct identity_lists *lists)
{
	for (int i = 0; i < LIST_COUNT; i++)
		cJSON_Delete(lists->each[i]);
	*lists = (struct identity_lists){ 0 };
}

/* --- kubelet's logs ----------------------------------------------------------------------------------------------------- */

static int read_log_names(int root_fd, const char *path, bool (*match)(const char *, const char *, struct container_names *), const char *key,
			  struct container_names *ret)
{
	DIR *folder = node_list(root_fd, path);
	const struct dirent *entry;
	bool found = false;

	if (!folder)
		return -ENOENT;
	for (int i = 0; i < MOST_ENTRIES && !found && (entry = readdir(folder)); i++)
		found = match(entry->d_name, key, ret);
	closedir(folder);
	return found ? 0 : -ENOENT;
}

/* --- one container ------------------------------------------------------------------------------------------------------ */

static void drop_pod(struct container_names *names)
{
	names->pod[0] = names->namespace[0] = names->pod_uid[0] = '\0';
}

/* A label says what its author likes; so does a file that stands for another pod than the path. */
static bool means_the_same(const struct identity_question *question, const struct container_names *names)
{
	if (!question->pod_uid[0])
		return !names->labels;
	return !names->pod_uid[0] || strcmp(question->pod_uid, names->pod_uid) == 0;
}

static void add_names(struct cgroup_identity *row, const struct container_names *names)
{
	if (row->runtime == RUNTIME_UNKNOWN)
		row->runtime = names->runtime;
	row->sandbox |= names->sandbox;
	if (!row->pod_uid[0])
		memcpy(row->pod_uid, names->pod_uid, sizeof(row->pod_uid));
	if (!row->container[0] && !row->sandbox)
		memcpy(row->container, names->container, sizeof(row->container));
	if (!row->pod[0] && names->pod[0] && names->namespace[0]) {
		memcpy(row->pod, names->pod, sizeof(row->pod));
		memcpy(row->namespace, names->namespace, sizeof(row->namespace));
	}
}

static int ask_runtimes(int root_fd, struct identity_lists *lists, const struct identity_question *question, struct cgroup_identity *row)
{
	struct container_names names;
	int found = read_files(root_fd, question->runtime, question->container_id, &names);

	if (found == 0) {
		read_sandbox(root_fd, &names);
		if (!means_the_same(question, &names))
			drop_pod(&names);
		add_names(row, &names);
	}
	if (row->container[0] || row->sandbox || (row->runtime != RUNTIME_PODMAN && row->runtime != RUNTIME_UNKNOWN))
		return found;
	if (read_lists(root_fd, lists, question->container_id, &names) != 0)
		return found;
	add_names(row, &names);
	return 0;
}

static int ask_logs(int root_fd, const struct identity_question *question, struct cgroup_identity *row)
{
	struct container_names names;
	int found = -ENOENT;

	if ((!row->pod[0] || !row->container[0]) && !row->sandbox &&
	    read_log_names(root_fd, "/var/log/containers", names_of_container_log, question->container_id, &names) == 0) {
		add_names(row, &names);
		found = 0;
	}
	if (!row->pod[0] && read_log_names(root_fd, "/var/log/pods", names_of_pod_folder, question->pod_uid, &names) == 0) {
		add_names(row, &names);
		found = 0;
	}
	return found;
}

int identity_find(int root_fd, struct identity_lists *lists, const struct identity_question *question, struct cgroup_identity *ret)
{
	struct cgroup_identity row = { .id = question->id, .runtime = question->runtime };

	memcpy(row.pod_uid, question->pod_uid, sizeof(row.pod_uid));
	int found = ask_runtimes(root_fd, lists, question, &row);
	if (question->pod_uid[0] && ask_logs(root_fd, question, &row) == 0)
		found = 0;
	*ret = row;
	return found;
}
