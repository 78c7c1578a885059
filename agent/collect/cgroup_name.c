/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup's path says: systemd's unit and the container. Paths come from whoever may make directories below a delegated
 * cgroup, so only what a manager of this node can have named is believed.
 */
#include "collect/procfs.h"

#include <ctype.h>
#include <string.h>

enum { CONTAINER_ID_LEN = 64 };

static bool ends(const struct span *word, const char *suffix)
{
	size_t length = strlen(suffix);
	return (size_t)(word->end - word->at) > length && memcmp(word->end - length, suffix, length) == 0;
}

static bool begins(const struct span *word, const char *prefix)
{
	struct span copy = *word;
	return span_starts(&copy, prefix);
}

static bool next_component(struct span *path, struct span *ret)
{
	while (path->at < path->end && *path->at == '/')
		path->at++;
	const char *end = memchr(path->at, '/', (size_t)(path->end - path->at));
	*ret = (struct span){ path->at, end ? end : path->end };
	path->at = ret->end;
	return ret->end > ret->at;
}

/*
 * Slices group; the first service or scope below them is the unit, and what is below that is its own affair: a container's
 * inner systemd, or a directory that merely looks like a service. Only a user's manager names units of this node again.
 */
void cgroup_unit_of(const char *path, char *ret, size_t size)
{
	struct span rest = { path, path + strlen(path) }, word;

	ret[0] = '\0';
	while (next_component(&rest, &word)) {
		bool unit = ends(&word, ".service") || ends(&word, ".scope");
		if (!unit && !(ends(&word, ".slice") && (!ret[0] || strcmp(ret + strlen(ret) - 6, ".slice") == 0)))
			continue;
		span_copy(&word, ret, size);
		if (unit && !(begins(&word, "user@") && ends(&word, ".service")))
			return;
	}
}

/* The 64 hexadecimal digits at the end of "docker-ID.scope", "cri-containerd-ID.scope", "kubepods-x.slice:cri-containerd:ID", "ID". */
static bool container_id(const struct span *word, struct span *ret)
{
	*ret = *word;
	if (ends(ret, ".scope"))
		ret->end -= strlen(".scope");
	if (ret->end - ret->at < CONTAINER_ID_LEN)
		return false;
	/* podman's and CRI-O's monitor of a container is not in it. */
	if (begins(ret, "libpod-conmon-") || begins(ret, "crio-conmon-"))
		return false;

	const char *begin = ret->end - CONTAINER_ID_LEN;
	if (begin > ret->at && begin[-1] != '-' && begin[-1] != ':')
		return false;
	for (const char *at = begin; at < ret->end; at++)
		if (!isdigit((unsigned char)*at) && !(*at >= 'a' && *at <= 'f'))
			return false;
	ret->at = begin;
	return true;
}

/* The innermost: a node that is itself a container (kind) runs its pods below its own. */
void cgroup_container_of(const char *path, char *ret, size_t size)
{
	struct span rest = { path, path + strlen(path) }, word, id;

	ret[0] = '\0';
	while (next_component(&rest, &word))
		if (container_id(&word, &id))
			span_copy(&id, ret, size);
}
