/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See engine.h. Docker's calls: docs.docker.com/reference/api/engine, from 1.24 on; an unversioned path is answered as the newest version that
 * the engine has. Podman's own, for what it alone says (which container is a pod's infra): docs.podman.io, and always versioned.
 */
#include "remedies/engine.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "remedies/act.h"
#include "remedies/engine_containerd.h"
#include "remedies/unix_http.h"

enum { TARGET_LEN = 512 };

const char *const engine_names[ENGINE_KIND_COUNT] = { [ENGINE_DOCKER] = "docker", [ENGINE_PODMAN] = "podman", [ENGINE_CONTAINERD] = "containerd" };
const char *const engine_sockets[ENGINE_KIND_COUNT] = {
	[ENGINE_DOCKER] = "/run/docker.sock",
	[ENGINE_PODMAN] = "/run/podman/podman.sock",
	[ENGINE_CONTAINERD] = "/run/containerd/containerd.sock",
};

/* --- calls --------------------------------------------------------------------------------------------------------------- */

static int say(struct engine *engine, int error, const char *what)
{
	const char *why = error == -EPERM ? "it is not root who serves there" : error == -EPROTO ? "its answer makes no sense" :
			  error == -EFBIG ? "its answer is larger than any should be" : strerror(-error);
	snprintf(engine->why, sizeof(engine->why), "%.60s: %.20s: %s", engine->socket, what, why);
	return error;
}

/* {"message":"…"} of both; it is a stranger's text. */
static void say_refused(struct engine *engine, int status, size_t size, const char *what)
{
	char shown[96];
	cJSON *answer = engine_parse(engine->body, size);
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(answer, "message");
	act_shown(shown, sizeof(shown), cJSON_IsString(message) ? message->valuestring : "");
	snprintf(engine->why, sizeof(engine->why), "%s answers %.20s with %d: %s", engine_names[engine->kind], what, status, shown);
	cJSON_Delete(answer);
}

static int error_of(int status)
{
	switch (status) {
	case 404:
		return -ENOENT;
	case 409:
		return -EBUSY;
	default:
		return -EREMOTEIO;
	}
}

static int call(struct engine *engine, const char *method, const char *target, const char *what, size_t *ret_size)
{
	struct unix_answer answer = { 0 };
	int status = unix_http(engine->socket, method, target, engine->deadline_boot_ns, engine->body, ENGINE_BODY_ROOM, &answer);
	if (status < 0)
		return say(engine, status, what);
	/* 304: it is so already. */
	if ((status < 200 || status >= 300) && status != 304) {
		say_refused(engine, status, answer.size, what);
		return error_of(status);
	}
	memcpy(engine->server, answer.server, sizeof(engine->server));
	*ret_size = answer.size;
	return 0;
}

/* `before`, what is acted on, `after`. */
static int act_on(struct engine *engine, const char *method, const char *before, const char *name, const char *after, const char *what)
{
	char target[TARGET_LEN];
	size_t size;
	int length = snprintf(target, sizeof(target), "%s%s%s", before, name, after);
	if (length < 0 || (size_t)length >= sizeof(target))
		return -ENAMETOOLONG;
	return call(engine, method, target, what, &size);
}

/* --- who it is ----------------------------------------------------------------------------------------------------------- */

static void set_text(char *ret, size_t size, const cJSON *item, const char *letters)
{
	const char *text = cJSON_IsString(item) ? item->valuestring : "";
	bool good = strlen(text) < size && strspn(text, letters) == strlen(text);
	snprintf(ret, size, "%s", good ? text : "");
}

/* "Docker/20.10.24 (linux)", "Libpod/4.3.1 (linux)": what each says of itself with every answer. Their /version is no quick question: Podman's asks the
 * node's package manager, which took 1.8 s. */
static int read_server(struct engine *engine)
{
	static const struct { const char *word; enum engine_kind kind; } known[] = { { "Docker/", ENGINE_DOCKER }, { "Libpod/", ENGINE_PODMAN } };
	static const char letters[] = "0123456789.abcdefghijklmnopqrstuvwxyz+~-";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t word = strlen(known[i].word), length;
		if (strncmp(engine->server, known[i].word, word) != 0)
			continue;
		length = strspn(engine->server + word, letters);
		engine->kind = known[i].kind;
		snprintf(engine->version, sizeof(engine->version), "%.*s", (int)length, engine->server + word);
		snprintf(engine->api, sizeof(engine->api), "%s", engine->version);
		return length ? 0 : -EPROTO;
	}
	return -EPROTO;
}

int engine_open(struct engine *engine, enum engine_kind kind, const char *path, uint64_t deadline_boot_ns)
{
	size_t size;
	*engine = (struct engine){ .kind = kind, .deadline_boot_ns = deadline_boot_ns };
	snprintf(engine->socket, sizeof(engine->socket), "%s", path[0] ? path : engine_sockets[kind]);
	/* Touched only as far as an answer goes. */
	engine->body = mmap(NULL, ENGINE_BODY_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (engine->body == MAP_FAILED) {
		engine->body = NULL;
		return say(engine, -ENOMEM, "ping");
	}
	if (kind == ENGINE_CONTAINERD)
		return containerd_version(engine);
	int error = call(engine, "GET", "/_ping", "ping", &size);
	if (error < 0)
		return error;
	error = read_server(engine);
	return error < 0 ? say(engine, error, "ping") : 0;
}

void engine_close(struct engine *engine)
{
	if (engine->body)
		(void)munmap(engine->body, ENGINE_BODY_ROOM);
	engine->body = NULL;
}

int engine_info(struct engine *engine)
{
	size_t size;
	if (engine->kind == ENGINE_CONTAINERD)
		return containerd_info(engine);
	int error = call(engine, "GET", "/info", "info", &size);
	if (error < 0)
		return error;
	cJSON *answer = engine_parse(engine->body, size);
	const cJSON *root = cJSON_GetObjectItemCaseSensitive(answer, "DockerRootDir");
	set_text(engine->driver, sizeof(engine->driver), cJSON_GetObjectItemCaseSensitive(answer, "Driver"), "abcdefghijklmnopqrstuvwxyz0123456789-");
	bool good = cJSON_IsString(root) && strlen(root->valuestring) < sizeof(engine->root) && request_path_is_plain(root->valuestring);
	if (good)
		snprintf(engine->root, sizeof(engine->root), "%s", root->valuestring);
	cJSON_Delete(answer);
	return good ? 0 : say(engine, -EPROTO, "info");
}

/* --- looking ------------------------------------------------------------------------------------------------------------- */

int engine_list_images(struct engine *engine, struct engine_images *ret)
{
	size_t size;
	if (engine->kind == ENGINE_CONTAINERD)
		return containerd_list_images(engine, ret);
	int error = call(engine, "GET", "/images/json?all=1&shared-size=1", "images", &size);
	if (error == 0 && engine_read_images(engine->kind, engine->body, size, ret) < 0)
		error = say(engine, -EPROTO, "images");
	return error;
}

int engine_list_containers(struct engine *engine, struct engine_containers *ret)
{
	char target[TARGET_LEN];
	size_t size;
	if (engine->kind == ENGINE_CONTAINERD)
		return containerd_list_containers(engine, ret);
	if (engine->kind == ENGINE_PODMAN)
		snprintf(target, sizeof(target), "/v%s/libpod/containers/json?all=true", engine->api);
	else
		snprintf(target, sizeof(target), "/containers/json?all=1");
	int error = call(engine, "GET", target, "containers", &size);
	if (error == 0 && engine_read_containers(engine->body, size, ret) < 0)
		error = say(engine, -EPROTO, "containers");
	return error;
}

int engine_look(struct engine *engine, const char *container_id, struct engine_facts *ret)
{
	char target[TARGET_LEN];
	size_t size;
	if (engine->kind == ENGINE_PODMAN)
		snprintf(target, sizeof(target), "/v%s/libpod/containers/%s/json", engine->api, container_id);
	else
		snprintf(target, sizeof(target), "/containers/%s/json", container_id);
	int error = call(engine, "GET", target, "container", &size);
	if (error == 0 && engine_read_facts(engine->body, size, ret) < 0)
		error = say(engine, -EPROTO, "container");
	/* An engine takes the first digits of an id, or a name, for the whole: what it told of must be what was asked for. */
	if (error == 0 && strcmp(ret->id, container_id) != 0)
		error = say(engine, -EPROTO, "container");
	return error;
}

int engine_look_image(struct engine *engine, const char *image_id, int64_t *ret_tagged_wall_ns)
{
	char target[TARGET_LEN];
	size_t size;
	if (engine->kind == ENGINE_CONTAINERD) {
		*ret_tagged_wall_ns = 0;
		return containerd_look_image(engine, image_id);
	}
	/* Of an image that is gone Podman 4.3 says 500 by Docker's path: it takes the id for a name. */
	if (engine->kind == ENGINE_PODMAN)
		snprintf(target, sizeof(target), "/v%s/libpod/images/%s/exists", engine->api, image_id);
	else
		snprintf(target, sizeof(target), "/images/%s/json", image_id);
	int error = call(engine, "GET", target, "image", &size);
	if (error < 0)
		return error == -ENOENT ? 0 : error;
	*ret_tagged_wall_ns = size ? engine_read_tagged(engine->body, size) : 0;
	return 1;
}

/* --- acting -------------------------------------------------------------------------------------------------------------- */

int engine_remove_image(struct engine *engine, const char *name)
{
	if (engine->kind == ENGINE_CONTAINERD)
		return containerd_remove_image(engine, name);
	return act_on(engine, "DELETE", "/images/", name, "?force=false", "removal");
}

/* Its volumes stay: they were named or made to outlive it. */
int engine_remove_container(struct engine *engine, const char *container_id)
{
	return act_on(engine, "DELETE", "/containers/", container_id, "?force=false&v=false", "removal");
}

int engine_stop(struct engine *engine, const char *container_id, uint64_t grace_s)
{
	char after[64];
	snprintf(after, sizeof(after), "/stop?t=%" PRIu64, grace_s);
	return act_on(engine, "POST", "/containers/", container_id, after, "stop");
}

int engine_kill(struct engine *engine, const char *container_id)
{
	return act_on(engine, "POST", "/containers/", container_id, "/kill?signal=SIGKILL", "kill");
}

int engine_restart(struct engine *engine, const char *container_id, uint64_t grace_s)
{
	char after[64];
	snprintf(after, sizeof(after), "/restart?t=%" PRIu64, grace_s);
	return act_on(engine, "POST", "/containers/", container_id, after, "restart");
}
