/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cgroup's path says; see identity.h. Paths come from whoever may make directories below a delegated cgroup, so only what
 * a manager of this node can have named is believed: the first unit, and the outermost container. What is below a container was
 * named in it. So a node that is itself a container (kind) shows as that one container; an agent inside it knows the rest.
 */
#include "collect/identity_word.h"

const char *const runtime_names[RUNTIME_COUNT] = {
	[RUNTIME_UNKNOWN] = "",	    [RUNTIME_CONTAINERD] = "containerd", [RUNTIME_CRIO] = "cri-o",
	[RUNTIME_DOCKER] = "docker", [RUNTIME_GARDEN] = "garden",	 [RUNTIME_LXC] = "lxc",
	[RUNTIME_NOMAD] = "nomad",  [RUNTIME_NSPAWN] = "systemd-nspawn", [RUNTIME_PODMAN] = "podman",
};
const char *const qos_names[QOS_COUNT] = {
	[QOS_UNKNOWN] = "", [QOS_GUARANTEED] = "Guaranteed", [QOS_BURSTABLE] = "Burstable", [QOS_BEST_EFFORT] = "BestEffort",
};

bool path_word(struct span *rest, struct span *ret)
{
	while (rest->at < rest->end && *rest->at == '/')
		rest->at++;
	const char *end = memchr(rest->at, '/', (size_t)(rest->end - rest->at));
	*ret = (struct span){ rest->at, end ? end : rest->end };
	rest->at = ret->end;
	return ret->end > ret->at;
}

/* user-1000.slice is one person's; user-1000-work.slice, made by hand, is still theirs but no number. */
static void set_user(const struct span *word, struct path_identity *ret)
{
	struct span digits;
	uint64_t number;
	if (word_between(word, "user-", ".slice", &digits) && span_number(&digits, &number) && number < NO_UID)
		ret->user = (uint32_t)number;
}

static void set_session(const struct span *word, struct path_identity *ret)
{
	struct span session;
	if (ret->user != NO_UID && word_between(word, "session-", ".scope", &session) && word_length(&session) < SESSION_LEN)
		span_copy(&session, ret->session, sizeof(ret->session));
}

/*
 * Slices group; the first service or scope below them is the unit, and what is below that is its own affair: a directory that
 * merely looks like a service. Only a user's manager names units of this node again. True: the unit is found.
 */
static bool name_unit(const struct span *word, struct path_identity *ret)
{
	if (word_ends(word, ".service") || word_ends(word, ".scope")) {
		bool manager = word_begins(word, "user@") && word_ends(word, ".service");
		span_copy(word, ret->unit, sizeof(ret->unit));
		set_session(word, ret);
		ret->claimed |= manager;
		return !manager;
	}
	if (word_ends(word, ".slice") && !ret->claimed) {
		span_copy(word, ret->slice, sizeof(ret->slice));
		span_copy(word, ret->unit, sizeof(ret->unit));
		set_user(word, ret);
	}
	return false;
}

void identity_of_path(const char *path, struct path_identity *ret)
{
	struct path_place place = { .rest = { path, path + strlen(path) } };
	bool unit_found = false;

	*ret = (struct path_identity){ .user = NO_UID };
	while (path_word(&place.rest, &place.word)) {
		if (!place.top.at)
			place.top = place.word;
		if (!unit_found)
			unit_found = name_unit(&place.word, ret);
		pod_of_word(&place, ret);
		if (container_of_word(&place, ret))
			return;
		place.kubepods |= span_is(&place.word, "kubepods");
		place.parent = place.word;
	}
}
