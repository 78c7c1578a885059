/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of Docker and Podman, read into rows. Whoever may build an image or start a container has a hand in them: a name that could
 * not be one is as good as none, and a value that makes no sense is unknown.
 */
#include "remedies/engine.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A tree's node takes 64 bytes where its text may take 2. A container of Docker's has some 60 of them, an image 20. */
enum { MOST_VALUES = 200000, MOST_YEAR = 2200 };

struct cJSON *engine_parse(const char *text, size_t size)
{
	size_t values = 1;
	bool quoted = false;
	for (size_t i = 0; i < size; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
			values++;
	}
	return values > MOST_VALUES ? NULL : cJSON_ParseWithLength(text, size);
}

/* --- values -------------------------------------------------------------------------------------------------------------- */

static const cJSON *get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = get(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

/* UNKNOWN: none, negative, or more than a double counts to. */
static uint64_t count_of(const cJSON *object, const char *name)
{
	const cJSON *item = get(object, name);
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > 9007199254740992.0)
		return UNKNOWN;
	return (uint64_t)item->valuedouble;
}

/* As both engines make them: 64 digits, which need no quoting anywhere. */
bool engine_id(char *ret, size_t size, const char *text)
{
	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	bool good = strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
	snprintf(ret, size, "%s", good ? text : "");
	return good;
}

/* What a name of a container or an image consists of; a path of a request takes it as it is. */
bool engine_name(char *ret, size_t size, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@";
	size_t length = strlen(text);
	bool good = length > 0 && length < size && strspn(text, letters) == length && text[0] != '.' && text[0] != '/' && !strstr(text, "..") && !strstr(text, "//");
	snprintf(ret, size, "%s", good ? text : "");
	return good;
}

static void set_word(char *ret, size_t size, const char *text)
{
	bool good = strlen(text) < size && strspn(text, "abcdefghijklmnopqrstuvwxyz-") == strlen(text);
	snprintf(ret, size, "%s", good ? text : "");
}

/* RFC 3339, with the zone that Podman's has. 0 where it is none, or the zero time of Go. */
static int64_t time_of(const cJSON *object, const char *name)
{
	const char *text = text_of(object, name);
	struct tm when = { 0 };
	int used = 0, hours = 0, minutes = 0;
	char sign[2] = "+";
	/* NOLINTNEXTLINE(cert-err34-c): at most four digits each, and the ranges are looked at below */
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &when.tm_year, &when.tm_mon, &when.tm_mday, &when.tm_hour, &when.tm_min, &when.tm_sec, &used) != 6)
		return 0;
	text += used;
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	/* NOLINTNEXTLINE(cert-err34-c): likewise */
	if (*text != 'Z' && sscanf(text, "%1[+-]%2d:%2d", sign, &hours, &minutes) != 3)
		return 0;
	if (when.tm_year < 1971 || when.tm_year > MOST_YEAR || when.tm_mon < 1 || when.tm_mon > 12 || hours < 0 || hours > 24 || minutes < 0 || minutes > 59)
		return 0;
	when.tm_year -= 1900;
	when.tm_mon -= 1;
	int64_t away = (hours * 60 + minutes) * 60;
	return ((int64_t)timegm(&when) - (sign[0] == '-' ? -away : away)) * (int64_t)NSEC_PER_SEC;
}

/* --- images -------------------------------------------------------------------------------------------------------------- */

/* "<none>:<none>" stands for no name. */
static void add_names(struct engine_image *row, const cJSON *list)
{
	const cJSON *item;
	cJSON_ArrayForEach(item, list)
	{
		const char *name = cJSON_IsString(item) ? item->valuestring : "";
		if (strncmp(name, "<none>", 6) == 0)
			continue;
		if (row->name_count == MAX_IMAGE_NAMES || !engine_name(row->names[row->name_count], IMAGE_NAME_LEN, name))
			row->names_cut = true;
		else
			row->name_count++;
	}
}

static bool read_image(enum engine_kind kind, const cJSON *item, struct engine_image *row)
{
	memset(row, 0, sizeof(*row));
	if (!engine_id(row->id, sizeof(row->id), text_of(item, "Id")))
		return false;
	const char *parent = text_of(item, "ParentId");
	if (parent[0] && !engine_id(row->parent, sizeof(row->parent), parent))
		return false;
	add_names(row, get(item, "RepoTags"));
	if (row->name_count == 0 && !row->names_cut)
		add_names(row, get(item, "RepoDigests"));
	row->bytes = count_of(item, "Size");
	/* Since API 1.42, when asked; -1 = not reckoned. Podman says 0 and means nothing by it. */
	uint64_t shared = kind == ENGINE_DOCKER ? count_of(item, "SharedSize") : UNKNOWN;
	row->own_bytes = shared == UNKNOWN || row->bytes == UNKNOWN || shared > row->bytes ? UNKNOWN : row->bytes - shared;
	return true;
}

int engine_read_images(enum engine_kind kind, const char *text, size_t size, struct engine_images *ret)
{
	const cJSON *item;
	cJSON *list = engine_parse(text, size);
	int error = cJSON_IsArray(list) ? 0 : -EPROTO;
	ret->count = ret->cut = 0;
	if (error == 0) {
		cJSON_ArrayForEach(item, list)
		{
			if (ret->count < MAX_IMAGES && read_image(kind, item, &ret->each[ret->count]))
				ret->count++;
			else
				ret->cut++;
		}
	}
	cJSON_Delete(list);
	return error;
}

int64_t engine_read_tagged(const char *text, size_t size)
{
	cJSON *item = engine_parse(text, size);
	int64_t tagged = time_of(get(item, "Metadata"), "LastTagTime");
	cJSON_Delete(item);
	return tagged;
}

/* --- containers ---------------------------------------------------------------------------------------------------------- */

static bool is_kubelets(const cJSON *labels)
{
	return get(labels, "io.kubernetes.pod.uid") || get(labels, "io.kubernetes.pod.name") || get(labels, "io.kubernetes.container.name");
}

/* cri-dockerd's label, and the words of containerd's and CRI-O's annotations where an engine hands them on. */
static bool is_sandbox(const cJSON *item, const cJSON *labels)
{
	return cJSON_IsTrue(get(item, "IsInfra")) || strcmp(text_of(labels, "io.kubernetes.docker.type"), "podsandbox") == 0 ||
	       strcmp(text_of(labels, "io.cri-containerd.kind"), "sandbox") == 0 || strcmp(text_of(labels, "io.kubernetes.container.name"), "POD") == 0;
}

static enum container_state state_of(const char *word)
{
	if (strcmp(word, "running") == 0)
		return CONTAINER_RUNNING;
	return strcmp(word, "exited") == 0 || strcmp(word, "dead") == 0 ? CONTAINER_DEAD : CONTAINER_OTHER;
}

static bool read_container(const cJSON *item, struct engine_container *row)
{
	memset(row, 0, sizeof(*row));
	if (!engine_id(row->id, sizeof(row->id), text_of(item, "Id")))
		return false;
	const cJSON *labels = get(item, "Labels"), *first = cJSON_GetArrayItem(get(item, "Names"), 0);
	const char *name = cJSON_IsString(first) ? first->valuestring : "";
	(void)engine_name(row->name, sizeof(row->name), name[0] == '/' ? name + 1 : name);
	/* One of a rootfs has no image; one whose image cannot be read would make that image look unused. */
	const char *image_id = text_of(item, "ImageID");
	if (image_id[0] && !engine_id(row->image_id, sizeof(row->image_id), image_id))
		return false;
	(void)engine_name(row->image, sizeof(row->image), text_of(item, "Image"));
	row->state = state_of(text_of(item, "State"));
	row->sandbox = is_sandbox(item, labels);
	row->of_pod = is_kubelets(labels) || text_of(item, "Pod")[0];
	return true;
}

int engine_read_containers(const char *text, size_t size, struct engine_containers *ret)
{
	const cJSON *item;
	cJSON *list = engine_parse(text, size);
	int error = cJSON_IsArray(list) ? 0 : -EPROTO;
	ret->count = ret->cut = 0;
	if (error == 0) {
		cJSON_ArrayForEach(item, list)
		{
			if (ret->count < MAX_CONTAINERS && read_container(item, &ret->each[ret->count]))
				ret->count++;
			else
				ret->cut++;
		}
	}
	cJSON_Delete(list);
	return error;
}

static int read_facts(const cJSON *item, struct engine_facts *ret)
{
	const cJSON *state = get(item, "State"), *config = get(item, "Config"), *labels = get(config, "Labels");
	const char *name = text_of(item, "Name"), *policy = text_of(get(get(item, "HostConfig"), "RestartPolicy"), "Name");
	if (!engine_id(ret->id, sizeof(ret->id), text_of(item, "Id")) || !cJSON_IsObject(state))
		return -EPROTO;
	(void)engine_name(ret->name, sizeof(ret->name), name[0] == '/' ? name + 1 : name);
	(void)engine_name(ret->image, sizeof(ret->image), text_of(config, "Image")[0] ? text_of(config, "Image") : text_of(item, "ImageName"));
	set_word(ret->status, sizeof(ret->status), text_of(state, "Status"));
	set_word(ret->health, sizeof(ret->health), text_of(get(state, "Health"), "Status"));
	if (strcmp(ret->health, "none") == 0)
		ret->health[0] = '\0';
	ret->running = cJSON_IsTrue(get(state, "Running"));
	uint64_t pid = count_of(state, "Pid");
	ret->pid = pid <= INT32_MAX ? (int32_t)pid : 0;
	const cJSON *code = get(state, "ExitCode");
	ret->exit_code = cJSON_IsNumber(code) && fabs(code->valuedouble) < 1e9 ? (int64_t)code->valuedouble : -1;
	ret->started_wall_ns = time_of(state, "StartedAt");
	ret->finished_wall_ns = time_of(state, "FinishedAt");
	ret->sandbox = is_sandbox(item, labels);
	ret->kubelet = is_kubelets(labels);
	ret->restarts = policy[0] && strcmp(policy, "no") != 0;
	return 0;
}

int engine_read_facts(const char *text, size_t size, struct engine_facts *ret)
{
	cJSON *item = engine_parse(text, size);
	memset(ret, 0, sizeof(*ret));
	int error = cJSON_IsObject(item) ? read_facts(item, ret) : -EPROTO;
	cJSON_Delete(item);
	return error;
}
