/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See prune.h. An image's own date is its builder's word, and may be years old when it was pulled a moment ago: its age here is counted from
 * when it came to this node, which its engine's own record of it shows. One whose arrival cannot be told stays.
 */
#include "remedies/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/tree.h"

static const char *const stay_words[PRUNE_STAY_COUNT] = {
	[STAY_USED] = "in use",
	[STAY_KEPT] = "kept",
	[STAY_YOUNG] = "too young",
	[STAY_AGE] = "age unknown",
	[STAY_BASE] = "others built on it",
	[STAY_NAMES] = "odd names",
	[STAY_SIZE] = "beyond max_bytes",
	[STAY_POD] = "a pod's",
	[STAY_RESTARTS] = "started again by policy",
	[STAY_LIMIT] = "beyond max_count",
};

void prune_stayed(const struct prune *prune, char *buffer, size_t size)
{
	size_t used = 0;
	buffer[0] = '\0';
	for (size_t i = 0; i < PRUNE_STAY_COUNT && used < size; i++)
		if (prune->stayed[i])
			used += (size_t)snprintf(buffer + used, size - used, "%s%s %" PRIu64, used ? ", " : "", stay_words[i], prune->stayed[i]);
}

/* --- the root ------------------------------------------------------------------------------------------------------------ */

const char *prune_open_root(struct prune *prune)
{
	const struct target *target = &prune->request->target;
	struct engine *engine = &prune->engine;
	struct stat found;
	struct statfs kind;
	prune->root_fd = open(engine->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (prune->root_fd < 0 || fstat(prune->root_fd, &found) < 0 || fstatfs(prune->root_fd, &kind) < 0) {
		snprintf(engine->why, sizeof(engine->why), "%.100s: %s", engine->root, strerror(errno));
		return "no-such-root";
	}
	uint32_t dev = (uint32_t)(major(found.st_dev) << 20 | minor(found.st_dev));
	/* Each subvolume of btrfs has a number of its own. */
	if (target->type != TARGET_FILESYSTEM || !target->dev || target->dev == dev || kind.f_type == BTRFS_SUPER_MAGIC)
		return NULL;
	snprintf(engine->why, sizeof(engine->why), "%.50s is on another filesystem than %.50s: nothing to gain there", engine->root, target->name);
	return "other-filesystem";
}

/* --- rules --------------------------------------------------------------------------------------------------------------- */

static bool is_kept(const struct prune *prune, const char *name)
{
	for (uint32_t i = 0; i < prune->args->keep_count && name[0]; i++)
		if (fnmatch(prune->args->keep[i], name, 0) == 0)
			return true;
	return false;
}

static bool image_is_kept(const struct prune *prune, const struct engine_image *image)
{
	char buffer[WHY_LEN];
	for (uint32_t i = 0; i < image->name_count; i++)
		if (is_kept(prune, image->names[i]) || protect_container(&prune->request->protect, "", image->names[i], buffer, sizeof(buffer)))
			return true;
	return false;
}

/* 0: not known. */
static int64_t arrived_wall_ns(struct prune *prune, const struct engine_image *image)
{
	char path[PATH_LEN];
	struct stat found;
	int64_t tagged = 0;
	if (prune->engine.kind == ENGINE_CONTAINERD)
		return image->arrived_wall_ns;
	if (prune->engine.kind == ENGINE_PODMAN)
		snprintf(path, sizeof(path), "%s-images/%s", prune->engine.driver, image->id);
	else
		snprintf(path, sizeof(path), "image/%s/imagedb/content/sha256/%s", prune->engine.driver, image->id);
	int fd = tree_open_below(prune->root_fd, path, O_PATH);
	if (fd >= 0) {
		/* The change time: nobody can set it back. */
		if (fstat(fd, &found) == 0)
			tagged = (int64_t)found.st_ctim.tv_sec * (int64_t)NSEC_PER_SEC + found.st_ctim.tv_nsec;
		close(fd);
		return tagged;
	}
	return engine_look_image(&prune->engine, image->id, &tagged) > 0 ? tagged : 0;
}

/* PRUNE_STAY_COUNT: old enough, and how old. */
static enum prune_stay judge_age(const struct prune *prune, int64_t since_wall_ns, int64_t now_wall_ns, uint64_t *ret_age_ns)
{
	if (since_wall_ns <= 0)
		return STAY_AGE;
	if (since_wall_ns > now_wall_ns || (uint64_t)(now_wall_ns - since_wall_ns) < prune->args->min_age_ns)
		return STAY_YOUNG;
	*ret_age_ns = (uint64_t)(now_wall_ns - since_wall_ns);
	return PRUNE_STAY_COUNT;
}

/* --- containers ---------------------------------------------------------------------------------------------------------- */

static enum prune_stay judge_container(const struct prune *prune, const struct engine_container *row, const struct engine_facts *facts, int64_t now_wall_ns,
				       uint64_t *ret_age_ns)
{
	char buffer[WHY_LEN];
	if (row->sandbox || row->of_pod || facts->sandbox || facts->kubelet)
		return STAY_POD;
	if (facts->running || strcmp(facts->status, "exited") != 0)
		return STAY_USED;
	if (facts->restarts)
		return STAY_RESTARTS;
	if (!facts->name[0])
		return STAY_NAMES;
	if (is_kept(prune, facts->name) || is_kept(prune, row->image) || protect_container(&prune->request->protect, facts->name, row->image, buffer, sizeof(buffer)))
		return STAY_KEPT;
	return judge_age(prune, facts->finished_wall_ns, now_wall_ns, ret_age_ns);
}

static int choose_containers(struct prune *prune, int64_t now_wall_ns)
{
	for (uint32_t i = 0; i < prune->containers.count && prune->args->what == PRUNE_BOTH; i++) {
		const struct engine_container *row = &prune->containers.each[i];
		struct prune_row *chosen = &prune->container[prune->container_count];
		struct engine_facts facts;
		if (row->state != CONTAINER_DEAD)
			continue;
		int error = engine_look(&prune->engine, row->id, &facts);
		if (error == -ETIME)
			return error;
		enum prune_stay stay = error < 0 ? STAY_AGE : judge_container(prune, row, &facts, now_wall_ns, &chosen->age_ns);
		if (stay != PRUNE_STAY_COUNT) {
			prune->stayed[stay]++;
			continue;
		}
		chosen->row = i;
		prune->container_count++;
	}
	return 0;
}

int prune_container_again(struct prune *prune, const char *container_id)
{
	struct engine_facts facts;
	int error = engine_look(&prune->engine, container_id, &facts);
	if (error < 0)
		return error;
	return facts.running || strcmp(facts.status, "exited") != 0 || facts.restarts ? -EBUSY : 0;
}

/* --- images -------------------------------------------------------------------------------------------------------------- */

/* "busybox" is busybox:latest. */
static bool is_named(const struct engine_image *image, const char *name)
{
	size_t length = strlen(name);
	for (uint32_t i = 0; i < image->name_count && length; i++)
		if (strncmp(image->names[i], name, length) == 0 && (!image->names[i][length] || strcmp(image->names[i] + length, ":latest") == 0))
			return true;
	return false;
}

/* By id or by name, since not every engine's ids of the two lists are of one kind. */
static bool uses(const struct engine_container *row, const struct engine_image *image)
{
	return strcmp(row->image_id, image->id) == 0 || is_named(image, row->image);
}

static bool goes(const struct prune *prune, uint32_t container)
{
	for (uint32_t i = 0; i < prune->container_count; i++)
		if (prune->container[i].row == container)
			return true;
	return false;
}

static bool is_used(const struct prune *prune, const struct engine_image *image)
{
	for (uint32_t i = 0; i < prune->containers.count; i++)
		if (uses(&prune->containers.each[i], image) && !goes(prune, i))
			return true;
	return false;
}

static bool is_base(const struct prune *prune, const struct engine_image *image)
{
	for (uint32_t i = 0; i < prune->images.count; i++)
		if (strcmp(prune->images.each[i].parent, image->id) == 0)
			return true;
	return false;
}

static enum prune_stay judge_image(struct prune *prune, const struct engine_image *image, int64_t now_wall_ns, uint64_t *ret_age_ns)
{
	if (is_used(prune, image))
		return STAY_USED;
	if (is_base(prune, image))
		return STAY_BASE;
	if (image->names_cut)
		return STAY_NAMES;
	if (image->pinned || image_is_kept(prune, image))
		return STAY_KEPT;
	return judge_age(prune, arrived_wall_ns(prune, image), now_wall_ns, ret_age_ns);
}

static void choose_images(struct prune *prune, int64_t now_wall_ns)
{
	for (uint32_t i = 0; i < prune->images.count; i++) {
		struct prune_row *chosen = &prune->image[prune->image_count];
		enum prune_stay stay = judge_image(prune, &prune->images.each[i], now_wall_ns, &chosen->age_ns);
		if (stay != PRUNE_STAY_COUNT) {
			prune->stayed[stay]++;
			continue;
		}
		chosen->row = i;
		prune->image_count++;
	}
}

int prune_image_again(struct prune *prune, const struct engine_image *image)
{
	int error = engine_list_containers(&prune->engine, &prune->again);
	if (error < 0)
		return error;
	if (prune->again.cut)
		return -EBUSY;
	for (uint32_t i = 0; i < prune->again.count; i++)
		if (uses(&prune->again.each[i], image))
			return -EBUSY;
	return 0;
}

/* --- limits -------------------------------------------------------------------------------------------------------------- */

static int by_age(const void *a, const void *b)
{
	const struct prune_row *first = a, *second = b;
	return first->age_ns == second->age_ns ? 0 : first->age_ns < second->age_ns ? 1 : -1;
}

static void limit_images(struct prune *prune)
{
	const struct prune_images_args *args = prune->args;
	uint64_t bytes = 0;
	uint32_t kept = 0;
	qsort(prune->image, prune->image_count, sizeof(prune->image[0]), by_age);
	for (uint32_t i = 0; i < prune->image_count; i++) {
		uint64_t more = prune->images.each[prune->image[i].row].bytes;
		enum prune_stay stay = kept >= args->max_count ? STAY_LIMIT : more == UNKNOWN || more > args->max_bytes - bytes ? STAY_SIZE : PRUNE_STAY_COUNT;
		if (stay != PRUNE_STAY_COUNT) {
			prune->stayed[stay]++;
			continue;
		}
		bytes += more;
		prune->image[kept++] = prune->image[i];
	}
	prune->image_count = kept;
}

static void limit_containers(struct prune *prune)
{
	qsort(prune->container, prune->container_count, sizeof(prune->container[0]), by_age);
	if (prune->container_count <= prune->args->max_count)
		return;
	prune->stayed[STAY_LIMIT] += prune->container_count - prune->args->max_count;
	prune->container_count = prune->args->max_count;
}

int prune_choose(struct prune *prune, int64_t now_wall_ns)
{
	int error = engine_list_containers(&prune->engine, &prune->containers);
	if (error == 0)
		error = engine_list_images(&prune->engine, &prune->images);
	if (error < 0)
		return error;
	if (prune->containers.cut) {
		snprintf(prune->engine.why, sizeof(prune->engine.why), "%" PRIu32 " containers cannot be read or are too many: what is in use is not known",
			 prune->containers.cut);
		return -EOVERFLOW;
	}
	error = choose_containers(prune, now_wall_ns);
	if (error < 0)
		return error;
	limit_containers(prune);
	choose_images(prune, now_wall_ns);
	limit_images(prune);
	return 0;
}
