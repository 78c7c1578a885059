/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container by the name that its runtime gave the cgroup. Most put 64 hexadecimal digits behind a word of their own; a few have
 * names. What only watches a container (conmon, lxc's monitor, nspawn's supervisor) stands beside it and is not in it.
 */
#include "collect/identity_word.h"

#include <ctype.h>

enum { ID_DIGITS = 64, UUID_DIGITS = 36 };

static bool set_text(const struct span *word, char *ret, size_t size)
{
	if (!word_length(word) || word_length(word) >= size)
		return false; /* cut short it would be another's */
	span_copy(word, ret, size);
	return true;
}

/* --- by 64 digits ------------------------------------------------------------------------------------------------------- */

struct marker {
	const char *word;
	enum runtime runtime;
	bool aside;          /* not a container, whatever digits follow */
};

/* "docker-<id>.scope", "crio-<id>", "kubepods-….slice:cri-containerd:<id>" */
static const struct marker prefixes[] = {
	{ "cri-containerd", RUNTIME_CONTAINERD, false }, { "crio", RUNTIME_CRIO, false },
	{ "crio-conmon", RUNTIME_CRIO, true },		 { "docker", RUNTIME_DOCKER, false },
	{ "libpod", RUNTIME_PODMAN, false },		 { "libpod-conmon", RUNTIME_PODMAN, true },
	{ "libpod-payload", RUNTIME_PODMAN, false },	 { "nerdctl", RUNTIME_CONTAINERD, false },
};

/* "<id>" alone. Below libpod_parent that is a pod of Podman's, with the containers below it. */
static const struct marker parents[] = { { "docker", RUNTIME_DOCKER, false }, { "libpod_parent", RUNTIME_PODMAN, true } };

static const struct marker *find_marker(const struct marker *markers, size_t count, const struct span *word)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(word, markers[i].word))
			return &markers[i];
	return NULL;
}
#define FIND(markers, word) find_marker(markers, sizeof(markers) / sizeof((markers)[0]), word)

static bool split_id(const struct span *word, struct span *ret_prefix, struct span *ret_id)
{
	struct span id = *word;
	if (word_ends(&id, ".scope"))
		id.end -= strlen(".scope");
	if (word_length(&id) < ID_DIGITS)
		return false;

	const char *begin = id.end - ID_DIGITS;
	if (begin > id.at && begin[-1] != '-' && begin[-1] != ':')
		return false;
	for (const char *at = begin; at < id.end; at++)
		if (!is_lower_hex(*at))
			return false;

	*ret_id = (struct span){ begin, id.end };
	*ret_prefix = (struct span){ id.at, begin > id.at ? begin - 1 : begin };
	const char *colon = memrchr(ret_prefix->at, ':', word_length(ret_prefix));
	if (colon)
		ret_prefix->at = colon + 1;
	return true;
}

static bool by_digits(const struct path_place *place, struct path_identity *ret)
{
	struct span prefix, id;

	if (!split_id(&place->word, &prefix, &id))
		return false;
	const struct marker *marker = word_length(&prefix) ? FIND(prefixes, &prefix) : FIND(parents, &place->parent);
	if (marker && marker->aside)
		return false;
	ret->runtime = marker ? marker->runtime : RUNTIME_UNKNOWN;
	return set_text(&id, ret->container_id, sizeof(ret->container_id));
}

/* --- by name ------------------------------------------------------------------------------------------------------------ */

static bool set_named(struct path_identity *ret, enum runtime runtime, const struct span *name)
{
	if (!set_text(name, ret->container_id, sizeof(ret->container_id)))
		return false;
	span_copy(name, ret->container, sizeof(ret->container));
	ret->runtime = runtime;
	return true;
}

/* "lxc.payload.web" since LXC 4, "lxc/web" before; both at the top, or below what a user was given. */
static bool by_lxc(const struct path_place *place, struct path_identity *ret)
{
	struct span name = place->word;
	if (!span_starts(&name, "lxc.payload.") && !(span_is(&place->parent, "lxc") && place->parent.at == place->top.at))
		return false;
	return set_named(ret, RUNTIME_LXC, &name);
}

static int hex_value(char letter)
{
	return isdigit((unsigned char)letter) ? letter - '0' : is_lower_hex(letter) ? letter - 'a' + 10 : -1;
}

/* systemd's \x2d and the like; false where the name could not have come from systemd. */
static bool unescape(const struct span *word, char *ret, size_t size)
{
	size_t length = 0;
	for (const char *at = word->at; at < word->end && length + 1 < size; at++) {
		char letter = *at;
		if (letter == '\\') {
			int high = word->end - at < 4 || at[1] != 'x' ? -1 : hex_value(at[2]), low = high < 0 ? -1 : hex_value(at[3]);
			if (low < 0)
				return false;
			letter = (char)(high * 16 + low);
			at += 3;
		}
		if (letter <= ' ' || letter > '~' || letter == '/')
			return false;
		ret[length++] = letter;
	}
	ret[length] = '\0';
	return length > 0;
}

/*
 * "systemd-nspawn@web.service" and "machine-web.scope", the latter only with nspawn's own payload below it: machined registers
 * virtual machines by the same name.
 */
static bool by_nspawn(const struct path_place *place, struct path_identity *ret)
{
	char name[CONTAINER_NAME_LEN];
	struct span escaped, inner = { 0 }, rest = place->rest;
	bool scope = word_between(&place->word, "machine-", ".scope", &escaped);

	(void)path_word(&rest, &inner);
	if (!scope && !word_between(&place->word, "systemd-nspawn@", ".service", &escaped))
		return false;
	if (span_is(&inner, "supervisor") || (scope && !span_is(&inner, "payload")))
		return false;
	if (word_length(&escaped) >= sizeof(name) || !unescape(&escaped, name, sizeof(name)))
		return false;
	struct span plain = { name, name + strlen(name) };
	return set_named(ret, RUNTIME_NSPAWN, &plain);
}

/* "nomad.slice/share.slice/<allocation>.<task>.scope", "nomad/<allocation>.<task>" */
static bool by_nomad(const struct path_place *place, struct path_identity *ret)
{
	struct span allocation = place->word, task = place->word;

	if (!span_is(&place->top, "nomad.slice") && !span_is(&place->top, "nomad"))
		return false;
	if (word_ends(&task, ".scope"))
		task.end -= strlen(".scope");
	if (word_length(&task) < UUID_DIGITS + 2 || task.at[UUID_DIGITS] != '.')
		return false;
	allocation.end = allocation.at + UUID_DIGITS;
	task.at = allocation.end + 1;
	for (const char *at = allocation.at; at < allocation.end; at++)
		if (!is_lower_hex(*at) && *at != '-')
			return false;
	if (!set_text(&task, ret->container, sizeof(ret->container)))
		return false;
	ret->runtime = RUNTIME_NOMAD;
	return set_text(&allocation, ret->container_id, sizeof(ret->container_id));
}

/* "garden/<handle>" of Cloud Foundry. */
static bool by_garden(const struct path_place *place, struct path_identity *ret)
{
	if (!span_is(&place->parent, "garden") || !set_text(&place->word, ret->container_id, sizeof(ret->container_id)))
		return false;
	ret->runtime = RUNTIME_GARDEN;
	return true;
}

bool container_of_word(const struct path_place *place, struct path_identity *ret)
{
	return by_digits(place, ret) || by_lxc(place, ret) || by_nspawn(place, ret) || by_nomad(place, ret) || by_garden(place, ret);
}
