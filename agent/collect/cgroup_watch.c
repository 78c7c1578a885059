/* SPDX-License-Identifier: Apache-2.0 */
/* See cgroup_watch.h. */
#include "collect/cgroup_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.skel.h"
#include "collect/bpf.h"
#include "core/pages.h"

enum {
	NAMES = 4096,                /* the oldest gives way: a living one can still be named by its handle */
	BUCKETS = 4096,
	NONE = -1,
	WALK_BYTES = 4096,
	INITIAL_CGROUPNS = (int)0xEFFFFFFB,
};
/* The parent of a member that ended may take its time to reap it, and an RCU grace period frees it then. */
#define GONE_AFTER_NS (2 * NSEC_PER_SEC)
#define GONE_TOLD_NS (10 * NSEC_PER_SEC)

struct name {
	uint64_t id, removed_ns;     /* id 0: free. removed_ns 0: it lives */
	int32_t next;                /* in its bucket */
	bool replaced;               /* it was removed, and another has its path now */
	char path[PATH_LEN];
};

struct cgroup_watch {
	struct cgroup_bpf *skel;
	struct bpf_link *made, *removed;
	struct ring_buffer *ring;
	struct object_walk walk;
	uint64_t boot_ns;
	uint32_t oldest;             /* where the next one goes */
	int32_t buckets[BUCKETS];
	struct name names[NAMES];    /* a ring: untouched pages cost nothing */
	uint32_t removed_path[NAMES]; /* hashes of the paths of the removed; 0: it lives. Looked through when one is made: 16 KiB in a row */
};

/* --- names -------------------------------------------------------------------------------------------------------------- */

static int32_t *bucket_of(struct cgroup_watch *watch, uint64_t id)
{
	return &watch->buckets[(id * 0x9E3779B97F4A7C15ULL) >> 52]; /* 12 bits: BUCKETS */
}

static struct name *find(const struct cgroup_watch *watch, uint64_t id)
{
	for (int32_t i = *bucket_of((struct cgroup_watch *)watch, id); i != NONE; i = watch->names[i].next)
		if (watch->names[i].id == id)
			return (struct name *)&watch->names[i];
	return NULL;
}

static struct name *add(struct cgroup_watch *watch, uint64_t id)
{
	int32_t index = (int32_t)watch->oldest, *link;
	struct name *name = &watch->names[index];

	if (name->id) {
		for (link = bucket_of(watch, name->id); *link != index; link = &watch->names[*link].next)
			;
		*link = name->next;
	}
	link = bucket_of(watch, id);
	name->id = id;
	name->removed_ns = 0;
	name->replaced = false;
	name->path[0] = '\0';
	watch->removed_path[index] = 0;
	name->next = *link;
	*link = index;
	watch->oldest = (watch->oldest + 1) % NAMES;
	return name;
}

static uint32_t hash_of(const char *path)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 16777619u;
	return hash | 1;
}

/* A service that is started again has a cgroup of the same path: what the removed one did is nobody's series any more. */
static void replace(struct cgroup_watch *watch, const char *path)
{
	uint32_t hash = hash_of(path);

	for (uint32_t i = 0; i < NAMES; i++) {
		if (watch->removed_path[i] != hash || strcmp(watch->names[i].path, path) != 0)
			continue;
		watch->names[i].replaced = true;
		watch->removed_path[i] = 0;
	}
}

static int take_event(void *watch_, void *data, size_t size)
{
	struct cgroup_watch *watch = watch_;
	const struct cgroup_event *event = data;
	const size_t head = offsetof(struct cgroup_event, path);

	if (size < head || event->length > size - head || event->length > PATH_LEN)
		return 0;
	struct name *name = find(watch, event->id);
	if (!name)
		name = add(watch, event->id);
	if (event->kind == CGROUP_EVENT_REMOVED) {
		name->removed_ns = watch->boot_ns;
		watch->removed_path[name - watch->names] = name->path[0] ? hash_of(name->path) : 0;
	} else if (event->length) {
		snprintf(name->path, sizeof(name->path), "%.*s", (int)event->length - 1, event->path);
		replace(watch, name->path);
	}
	return 0;
}

const char *cgroup_watch_path(const struct cgroup_watch *watch, uint64_t id)
{
	const struct name *name = find(watch, id);
	return name && name->path[0] ? name->path : NULL;
}

bool cgroup_watch_replaced(const struct cgroup_watch *watch, uint64_t id)
{
	const struct name *name = find(watch, id);
	return name && name->replaced;
}

bool cgroup_watch_removed(const struct cgroup_watch *watch, uint64_t id)
{
	const struct name *name = find(watch, id);
	return name && name->removed_ns;
}

static int compare_gone(const void *a, const void *b)
{
	uint64_t left = ((const struct cgroup_gone *)a)->id, right = ((const struct cgroup_gone *)b)->id;
	return (left > right) - (left < right);
}

void cgroup_watch_fill_gone(const struct cgroup_watch *watch, struct cgroup_section *section, uint64_t boot_ns)
{
	section->gone_count = 0;
	/* From the newest back: where the list is too short, the older ones have been told for longer. */
	for (uint32_t i = 1; i <= NAMES && section->gone_count < MAX_CGROUPS_GONE; i++) {
		const struct name *name = &watch->names[(watch->oldest + NAMES - i) % NAMES];

		if (!name->id)
			break;
		uint64_t gone_ns = name->removed_ns + GONE_AFTER_NS;
		if (name->removed_ns && boot_ns >= gone_ns && boot_ns < gone_ns + GONE_TOLD_NS)
			section->gone[section->gone_count++] = (struct cgroup_gone){ .id = name->id, .gone_ns = gone_ns };
	}
	qsort(section->gone, section->gone_count, sizeof(section->gone[0]), compare_gone);
}

/* --- the kernel's side --------------------------------------------------------------------------------------------------- */

int cgroup_watch_take(struct cgroup_watch *watch, uint64_t boot_ns)
{
	watch->boot_ns = boot_ns;
	int taken = ring_buffer__consume(watch->ring);
	return taken < 0 ? taken : 0;
}

uint64_t cgroup_watch_lost(struct cgroup_watch *watch)
{
	uint64_t lost = 0;

	(void)object_sum(&watch->walk, bpf_map__fd(watch->skel->maps.cgroup_lost), 0, &lost, 1); /* then nothing is known to be lost */
	return lost;
}

uint64_t cgroup_watch_map_bytes(const struct cgroup_watch *watch)
{
	return object_map_bytes(watch->skel->obj);
}

void cgroup_watch_close(struct cgroup_watch *watch)
{
	if (!watch)
		return;
	ring_buffer__free(watch->ring);
	bpf_link__destroy(watch->made);
	bpf_link__destroy(watch->removed);
	object_close(cgroup, watch->skel);
	object_walk_free(&watch->walk);
	pages_free(watch);
}

static int load(struct cgroup_watch *watch, const struct collector_env *env, char *why, size_t why_size)
{
	struct bpf_object_open_opts options = object_options(env);

	watch->skel = cgroup_bpf__open_opts(&options);
	if (!watch->skel)
		return -errno;
	int error = object_load(watch->skel->obj, why, why_size);
	if (!error)
		error = object_attach(watch->skel->progs.on_made, &watch->made, why, why_size);
	if (!error)
		error = object_attach(watch->skel->progs.on_removed, &watch->removed, why, why_size);
	if (error)
		return error;
	watch->ring = ring_buffer__new(bpf_map__fd(watch->skel->maps.cgroup_events), take_event, watch, NULL);
	return watch->ring ? 0 : -errno;
}

int cgroup_watch_open(const struct collector_env *env, struct cgroup_watch **ret, char *why, size_t why_size)
{
	struct stat ns;

	why[0] = '\0';
	if (fstatat(env->proc_fd, "self/ns/cgroup", &ns, 0) < 0 || (uint32_t)ns.st_ino != (uint32_t)INITIAL_CGROUPNS) {
		snprintf(why, why_size, "not in the initial cgroup namespace");
		return -EXDEV;
	}
	struct cgroup_watch *watch = pages_new(1, sizeof(*watch));
	int error = watch ? object_walk_init(&watch->walk, WALK_BYTES) : -ENOMEM;
	if (!error) {
		memset(watch->buckets, 0xff, sizeof(watch->buckets));
		error = load(watch, env, why, why_size);
	}
	if (error) {
		if (!why[0])
			snprintf(why, why_size, "%s", strerror(-error));
		cgroup_watch_close(watch);
		return error;
	}
	*ret = watch;
	return 0;
}
