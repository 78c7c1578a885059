/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything at all as a cgroup's path, as a file of a runtime and as a log's name: the first byte says which. What comes out is
 * terminated, and a name holds nothing but what a name may.
 */
#include "collect/identity_names.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void require(int holds)
{
	if (!holds)
		abort();
}

static void require_name(const char *text, size_t size)
{
	require(memchr(text, '\0', size) != NULL);
	require(text[0] != '-' && text[0] != '.');
	require(text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")] == '\0');
}

static void require_names(const struct container_names *names)
{
	require(names->runtime < RUNTIME_COUNT);
	require_name(names->sandbox_id, sizeof(names->sandbox_id));
	require_name(names->pod_uid, sizeof(names->pod_uid));
	require_name(names->namespace, sizeof(names->namespace));
	require_name(names->pod, sizeof(names->pod));
	require_name(names->container, sizeof(names->container));
	require(!names->sandbox || !names->container[0]);
}

static void require_word(const char *text, size_t size)
{
	require(memchr(text, '\0', size) != NULL && !strchr(text, '/'));
}

static void fuzz_path(const char *text, size_t size)
{
	struct path_identity said;
	identity_of_path(text, &said);
	require_word(said.unit, sizeof(said.unit));
	require_word(said.slice, sizeof(said.slice));
	require_word(said.session, sizeof(said.session));
	require_word(said.container_id, sizeof(said.container_id));
	require_word(said.container, sizeof(said.container));
	require_name(said.pod_uid, sizeof(said.pod_uid));
	require(said.runtime < RUNTIME_COUNT && said.qos < QOS_COUNT);
	require(said.container_id[0] || (said.runtime == RUNTIME_UNKNOWN && !said.container[0]));
	require(said.qos == QOS_UNKNOWN || said.pod_uid[0]);
}

static void fuzz_spec(const char *text, size_t size)
{
	struct container_names names;
	if (names_of_spec(text, size, &names) == 0)
		require_names(&names);
}

static void fuzz_docker(const char *text, size_t size)
{
	struct container_names names;
	if (names_of_docker(text, size, &names) == 0)
		require_names(&names);
}

static void fuzz_storage(const char *text, size_t size)
{
	struct container_names names;
	cJSON *list = cJSON_ParseWithLength(text, size);
	if (names_of_storage(list, ID, &names) == 0)
		require_names(&names);
	cJSON_Delete(list);
}

static void fuzz_pod_folder(const char *text, size_t size)
{
	struct container_names names;
	if (names_of_pod_folder(text, "u", &names))
		require_names(&names);
}

static void fuzz_container_log(const char *text, size_t size)
{
	struct container_names names;
	if (names_of_container_log(text, ID, &names))
		require_names(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const char *, size_t) = {
		fuzz_path, fuzz_spec, fuzz_docker, fuzz_storage, fuzz_pod_folder, fuzz_container_log,
	};
	if (size == 0)
		return 0;

	/* A block of its own, so that a read past the end is seen; terminated, as paths and names of files are. */
	char *text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	readers[data[0] % (sizeof(readers) / sizeof(readers[0]))](text, size - 1);
	free(text);
	return 0;
}
