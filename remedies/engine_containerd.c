/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See engine_containerd.h. The messages: github.com/kubernetes/cri-api, runtime/v1/api.proto, and github.com/containerd/containerd,
 * api/services/images/v1/images.proto. Only the fields that are asked for are read; the numbers of fields never change.
 */
#include "remedies/engine_containerd.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "remedies/act.h"
#include "remedies/protobuf_read.h"
#include "remedies/unix_grpc.h"

#define NAMESPACE "k8s.io" /* of containerd, where CRI keeps all that it has */

/* --- calls --------------------------------------------------------------------------------------------------------------- */

static int call(struct engine *engine, const char *service, const char *method, const char *namespace, const void *request, size_t size, struct pb_message *ret)
{
	char path[NAME_LEN * 2], why[WHY_LEN];
	size_t length;
	snprintf(path, sizeof(path), "/%s/%s", service, method);
	const struct grpc_call call = { .socket = engine->socket, .path = path, .namespace = namespace, .request = request, .request_size = size,
					.deadline_boot_ns = engine->deadline_boot_ns, .body = engine->body, .room = ENGINE_BODY_ROOM };
	int error = unix_grpc(&call, &length, why, sizeof(why));
	if (error < 0) {
		snprintf(engine->why, sizeof(engine->why), "%.60s: %.30s: %.60s", engine->socket, method, why[0] ? why : strerror(-error));
		return error;
	}
	const unsigned char *message = (const unsigned char *)engine->body + GRPC_PREFIX;
	*ret = (struct pb_message){ .at = message, .end = message + length };
	return 0;
}

static int call_cri(struct engine *engine, const char *service, const char *method, const void *request, size_t size, struct pb_message *ret)
{
	char full[NAME_LEN];
	snprintf(full, sizeof(full), "%.40s.%.40s", engine->api, service);
	return call(engine, full, method, NULL, request, size, ret);
}

static int nonsense(struct engine *engine, const char *what)
{
	snprintf(engine->why, sizeof(engine->why), "%.60s: %.30s: its answer makes no sense", engine->socket, what);
	return -EPROTO;
}

/* {1: {1: "sha256:<id>"}}: an ImageSpec in a request. Its size; an id has 64 digits, so that every length is one byte. */
enum { IMAGE_REQUEST_LEN = IMAGE_ID_LEN + 16, SPEC_AT = 4 };
static size_t put_image(unsigned char request[IMAGE_REQUEST_LEN], const char *id)
{
	int length = snprintf((char *)request + SPEC_AT, IMAGE_REQUEST_LEN - SPEC_AT, "sha256:%s", id);
	request[0] = request[2] = 1 << 3 | 2;
	request[1] = (unsigned char)(length + 2);
	request[3] = (unsigned char)length;
	return (size_t)length + SPEC_AT;
}

/* --- who it is ----------------------------------------------------------------------------------------------------------- */

int containerd_version(struct engine *engine)
{
	static const char *const apis[] = { "runtime.v1", "runtime.v1alpha2" }; /* the second: until 1.5 */
	char name[NAME_LEN] = "";
	struct pb_message answer;
	struct pb_field field;
	int error = -EOPNOTSUPP;
	for (size_t i = 0; i < 2 && error == -EOPNOTSUPP; i++) {
		snprintf(engine->api, sizeof(engine->api), "%s", apis[i]);
		error = call_cri(engine, "RuntimeService", "Version", NULL, 0, &answer);
	}
	if (error < 0)
		return error;
	while (pb_next(&answer, &field)) {
		if (field.number == 2)
			(void)pb_text(&field, name, sizeof(name));
		if (field.number == 3)
			(void)pb_text(&field, engine->version, sizeof(engine->version));
	}
	size_t plain = strspn(engine->version, "0123456789.abcdefghijklmnopqrstuvwxyz+~-");
	if (answer.broken || engine->version[plain])
		return nonsense(engine, "Version");
	if (strcmp(name, "containerd") == 0)
		return 0;
	snprintf(engine->why, sizeof(engine->why), "%.60s: it is not containerd that serves there", engine->socket);
	return -EPROTO;
}

/* {1: {2: {1: mountpoint}}}: the first filesystem of images. */
int containerd_info(struct engine *engine)
{
	struct pb_message answer;
	struct pb_field field = { 0 };
	int error = call_cri(engine, "ImageService", "ImageFsInfo", NULL, 0, &answer);
	if (error < 0)
		return error;
	static const uint32_t way[] = { 1, 2, 1 };
	for (size_t i = 0; i < 3; i++) {
		bool found = false;
		while (!found && pb_next(&answer, &field))
			found = field.number == way[i] && field.is_bytes;
		if (!found)
			return nonsense(engine, "ImageFsInfo");
		answer = field.bytes;
	}
	if (!pb_text(&field, engine->root, sizeof(engine->root)) || !request_path_is_plain(engine->root))
		return nonsense(engine, "ImageFsInfo");
	return 0;
}

/* --- images -------------------------------------------------------------------------------------------------------------- */

/* What kubelet makes every pod's sandbox of. No list of containers has those; newer ones are pinned. */
static bool is_pause(const char *name)
{
	static const char *const globs[] = { "*/pause:*", "*/pause@*", "*/pause-*:*", "*/mirrored-pause:*" };
	for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
		if (fnmatch(globs[i], name, 0) == 0)
			return true;
	return false;
}

static void add_name(struct engine_image *row, const struct pb_field *field)
{
	char name[IMAGE_NAME_LEN];
	if (!pb_text(field, name, sizeof(name)) || row->name_count == MAX_IMAGE_NAMES || !engine_name(row->names[row->name_count], IMAGE_NAME_LEN, name))
		row->names_cut = true;
	else
		row->pinned |= is_pause(row->names[row->name_count++]);
}

static bool read_image(struct pb_message message, struct engine_image *row)
{
	char id[IMAGE_ID_LEN] = "";
	struct pb_field field;
	memset(row, 0, sizeof(*row));
	row->bytes = row->own_bytes = UNKNOWN;
	while (pb_next(&message, &field)) {
		if (field.number == 1)
			(void)pb_text(&field, id, sizeof(id));
		if (field.number == 2 || field.number == 3)
			add_name(row, &field);
		if (field.number == 4 && !field.is_bytes)
			row->bytes = field.value;
		if (field.number == 8 && !field.is_bytes)
			row->pinned |= field.value != 0;
	}
	return !message.broken && engine_id(row->id, sizeof(row->id), id);
}

int containerd_read_images(const void *bytes, size_t size, struct engine_images *ret)
{
	struct pb_message list = { .at = bytes, .end = (const unsigned char *)bytes + size };
	struct pb_field field;
	ret->count = ret->cut = 0;
	while (pb_next(&list, &field)) {
		if (field.number != 1 || !field.is_bytes)
			continue;
		if (ret->count < MAX_IMAGES && read_image(field.bytes, &ret->each[ret->count]))
			ret->count++;
		else
			ret->cut++;
	}
	return list.broken ? -EPROTO : 0;
}

static int64_t read_time(struct pb_message message)
{
	struct pb_field field;
	uint64_t seconds = 0;
	while (pb_next(&message, &field))
		if (field.number == 1 && !field.is_bytes)
			seconds = field.value;
	return message.broken || seconds > INT64_MAX / NSEC_PER_SEC ? 0 : (int64_t)(seconds * NSEC_PER_SEC);
}

static bool has_name(const struct engine_image *row, const char *name)
{
	if (strncmp(name, "sha256:", 7) == 0)
		return strcmp(name + 7, row->id) == 0;
	for (uint32_t i = 0; i < row->name_count; i++)
		if (strcmp(row->names[i], name) == 0)
			return true;
	return false;
}

/* Each name of an image is a record of its own: the youngest says when it came last. */
static void note_arrival(struct pb_message message, struct engine_images *images)
{
	char name[IMAGE_NAME_LEN] = "";
	struct pb_field field;
	int64_t created = 0;
	while (pb_next(&message, &field)) {
		if (field.number == 1)
			(void)pb_text(&field, name, sizeof(name));
		if (field.number == 7 && field.is_bytes)
			created = read_time(field.bytes);
	}
	for (uint32_t i = 0; i < images->count && name[0]; i++)
		if (has_name(&images->each[i], name) && created > images->each[i].arrived_wall_ns)
			images->each[i].arrived_wall_ns = created;
}

void containerd_read_arrivals(const void *bytes, size_t size, struct engine_images *images)
{
	struct pb_message list = { .at = bytes, .end = (const unsigned char *)bytes + size };
	struct pb_field field;
	while (pb_next(&list, &field))
		if (field.number == 1 && field.is_bytes)
			note_arrival(field.bytes, images);
}

int containerd_list_images(struct engine *engine, struct engine_images *ret)
{
	struct pb_message answer;
	int error = call_cri(engine, "ImageService", "ListImages", NULL, 0, &answer);
	if (error < 0)
		return error;
	if (containerd_read_images(answer.at, (size_t)(answer.end - answer.at), ret) < 0)
		return nonsense(engine, "ListImages");
	error = call(engine, "containerd.services.images.v1.Images", "List", NAMESPACE, NULL, 0, &answer);
	if (error == 0)
		containerd_read_arrivals(answer.at, (size_t)(answer.end - answer.at), ret);
	return error;
}

int containerd_look_image(struct engine *engine, const char *image_id)
{
	unsigned char request[IMAGE_REQUEST_LEN];
	struct pb_message answer;
	struct pb_field field;
	int error = call_cri(engine, "ImageService", "ImageStatus", request, put_image(request, image_id), &answer);
	if (error < 0)
		return error == -ENOENT ? 0 : error;
	while (pb_next(&answer, &field))
		if (field.number == 1 && field.is_bytes)
			return 1;
	return answer.broken ? nonsense(engine, "ImageStatus") : 0;
}

int containerd_remove_image(struct engine *engine, const char *image_id)
{
	unsigned char request[IMAGE_REQUEST_LEN];
	struct pb_message answer;
	return call_cri(engine, "ImageService", "RemoveImage", request, put_image(request, image_id), &answer);
}

/* --- containers ---------------------------------------------------------------------------------------------------------- */

/* The image by its id, which each version says in another place; where none does, what is in use is not known. */
static void note_image(struct engine_container *row, const struct pb_field *field)
{
	char text[IMAGE_NAME_LEN];
	if (row->image_id[0] || !pb_text(field, text, sizeof(text)))
		return;
	if (!engine_id(row->image_id, sizeof(row->image_id), text))
		(void)engine_name(row->image, sizeof(row->image), text);
}

static bool read_container(struct pb_message message, struct engine_container *row)
{
	char id[IMAGE_ID_LEN] = "";
	struct pb_field field, inner;
	memset(row, 0, sizeof(*row));
	row->state = CONTAINER_OTHER;
	row->of_pod = true;
	while (pb_next(&message, &field)) {
		if (field.number == 1)
			(void)pb_text(&field, id, sizeof(id));
		if (field.number == 5 || field.number == 10)
			note_image(row, &field);
		if (field.number == 4 && field.is_bytes)
			while (pb_next(&field.bytes, &inner))
				if (inner.number == 1)
					note_image(row, &inner);
	}
	return !message.broken && engine_id(row->id, sizeof(row->id), id) && row->image_id[0];
}

int containerd_read_containers(const void *bytes, size_t size, struct engine_containers *ret)
{
	struct pb_message list = { .at = bytes, .end = (const unsigned char *)bytes + size };
	struct pb_field field;
	ret->count = ret->cut = 0;
	while (pb_next(&list, &field)) {
		if (field.number != 1 || !field.is_bytes)
			continue;
		if (ret->count < MAX_CONTAINERS && read_container(field.bytes, &ret->each[ret->count]))
			ret->count++;
		else
			ret->cut++;
	}
	return list.broken ? -EPROTO : 0;
}

int containerd_list_containers(struct engine *engine, struct engine_containers *ret)
{
	struct pb_message answer;
	int error = call_cri(engine, "RuntimeService", "ListContainers", NULL, 0, &answer);
	if (error == 0 && containerd_read_containers(answer.at, (size_t)(answer.end - answer.at), ret) < 0)
		error = nonsense(engine, "ListContainers");
	return error;
}
