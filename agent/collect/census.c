/* SPDX-License-Identifier: Apache-2.0 */
/* See census.h. */
#include "collect/census.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "census.skel.h"
#include "collect/bpf.h"
#include "signals/census.h"

enum { WALK_BYTES = 64 * 1024, READ_BYTES = 4096, MAX_REFUSALS = 2 * MAX_BPF_MAPS };
#define REFUSED "refused_" /* bpf/core.bpf.h: counts_refused(map) */

struct row {
	int fd;                        /* the object's own */
	uint32_t id;
	enum bpf_map_type type;
};

/* One word of one object; of a map that several objects share each has its own. */
struct refusal {
	uint32_t row;
	const volatile uint64_t *count; /* the kernel's, mapped (object_load) */
};

struct census {
	struct census_bpf *skel;       /* NULL: this kernel does not count; walk */
	struct bpf_link *link;
	struct object_walk walk;
	uint32_t version;              /* of the list of objects, as it was listed */
	bool listed;
	uint32_t next_bytes, next_walk;
	struct row rows[MAX_BPF_MAPS]; /* as the section's */
	uint32_t refusal_count;
	struct refusal refusals[MAX_REFUSALS];
};

void census_free(struct census *census)
{
	if (!census)
		return;
	bpf_link__destroy(census->link);
	object_close(census, census->skel);
	object_walk_free(&census->walk);
	free(census);
}

static int open_iterator(struct census *census, const struct collector_env *env)
{
	struct bpf_object_open_opts options = object_options(env);
	char why[WHY_LEN];

	census->skel = census_bpf__open_opts(&options);
	if (!census->skel)
		return -errno;
	object_owner(NO_INDEX);
	int error = object_load(census->skel->obj, why, sizeof(why));
	if (!error)
		error = object_attach(census->skel->progs.on_map, &census->link, why, sizeof(why));
	if (error)
		object_close(census, census->skel);
	return error;
}

int census_new(const struct collector_env *env, struct census **ret)
{
	struct census *census = calloc(1, sizeof(*census));

	if (!census)
		return -ENOMEM;
	if (open_iterator(census, env) && object_walk_init(&census->walk, WALK_BYTES)) {
		census_free(census);
		return -ENOMEM;
	}
	*ret = census;
	return 0;
}

const char *census_source(const struct census *census)
{
	return census->link ? "iter/bpf_map" : "walk";
}

/* --- which maps there are --------------------------------------------------------------------------------------------- */

/* It has room for whatever comes. */
static bool evicts(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static bool is_hash(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || evicts(type);
}

static void list_map(struct census *census, struct map_section *section, const struct bpf_object *object, uint32_t collector, const struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_map__is_internal(map) || !bpf_map__autocreate(map) || bpf_map__fd(map) < 0 || object_borrows_map(object, map))
		return;
	if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size))
		return;
	if (section->count == MAX_BPF_MAPS) {
		section->cut++;
		return;
	}
	struct bpf_map_stat *stat = &section->each[section->count];
	*stat = (struct bpf_map_stat){ .collector = collector, .entries = UNKNOWN, .refused = evicts((enum bpf_map_type)info.type) ? 0 : UNKNOWN, .capacity = info.max_entries ? info.max_entries : UNKNOWN };
	snprintf(stat->name, sizeof(stat->name), "%.20s/%.40s", bpf_object__name(object), bpf_map__name(map));
	stat->bytes = object_one_map_bytes(bpf_map__fd(map));
	census->rows[section->count++] = (struct row){ .fd = bpf_map__fd(map), .id = info.id, .type = (enum bpf_map_type)info.type };
}

/* By the kernel's number, since a map that was borrowed has its row under the name of the object that made it. */
static uint32_t row_of(const struct census *census, const struct map_section *section, const struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info), row = 0;

	if (!map || !bpf_map__autocreate(map) || bpf_map__fd(map) < 0 || bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size))
		return NO_INDEX;
	while (row < section->count && census->rows[row].id != info.id)
		row++;
	return row < section->count ? row : NO_INDEX;
}

/* The words of an object that count what its maps refused, by the names of its variables. */
static void list_refusals(struct census *census, const struct map_section *section, const struct bpf_object *object)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct bpf_map *data = bpf_object__find_map_by_name(object, ".data");
	int id = btf && data ? btf__find_by_name_kind(btf, ".data", BTF_KIND_DATASEC) : -ENOENT;
	const struct btf_type *section_type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	size_t size = 0;
	const char *values = section_type ? bpf_map__initial_value((struct bpf_map *)data, &size) : NULL;

	for (uint32_t i = 0; values && i < btf_vlen(section_type); i++) {
		const struct btf_var_secinfo *variable = &btf_var_secinfos(section_type)[i];
		const char *name = btf__name_by_offset(btf, btf__type_by_id(btf, variable->type)->name_off);

		if (strncmp(name, REFUSED, strlen(REFUSED)) != 0 || variable->offset + sizeof(uint64_t) > size)
			continue;
		uint32_t row = row_of(census, section, bpf_object__find_map_by_name(object, name + strlen(REFUSED)));
		if (row != NO_INDEX && census->refusal_count < MAX_REFUSALS)
			census->refusals[census->refusal_count++] = (struct refusal){ row, (const void *)(values + variable->offset) };
	}
}

static void list_maps(struct census *census, struct map_section *section)
{
	section->count = section->cut = census->refusal_count = 0;
	for (uint32_t slot = 0; slot < MAX_OBJECTS; slot++) {
		uint32_t collector;
		const struct bpf_object *object = object_at(slot, &collector);

		for (const struct bpf_map *map = object ? bpf_object__next_map(object, NULL) : NULL; map; map = bpf_object__next_map(object, map))
			list_map(census, section, object, collector, map);
	}
	for (uint32_t slot = 0; slot < MAX_OBJECTS; slot++) {
		uint32_t collector;
		const struct bpf_object *object = object_at(slot, &collector);

		if (object)
			list_refusals(census, section, object);
	}
	census->version = object_version();
	census->listed = true;
	census->next_bytes = census->next_walk = 0;
}

/* --- how full they are ------------------------------------------------------------------------------------------------ */

static void take_count(const struct census *census, struct map_section *section, const struct map_count *count)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (census->rows[i].id == count->id && is_hash(census->rows[i].type))
			section->each[i].entries = count->entries > 0 ? (uint64_t)count->entries : 0;
}

static int count_by_iterator(const struct census *census, struct map_section *section)
{
	struct map_count counts[READ_BYTES / sizeof(struct map_count)];
	int fd = bpf_iter_create(bpf_link__fd(census->link));
	ssize_t got = -1;

	if (fd < 0)
		return -errno;
	/* The kernel hands out whole records: it never begins one that does not fit any more. */
	while ((got = read(fd, counts, sizeof(counts))) > 0)
		for (size_t i = 0; i < (size_t)got / sizeof(counts[0]); i++)
			take_count(census, section, &counts[i]);
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static void count_one(const void *key, const void *value, void *count)
{
	(void)key;
	(void)value;
	++*(uint64_t *)count;
}

/* The next hash after the one that was walked last. */
static void walk_one(struct census *census, struct map_section *section)
{
	for (uint32_t tried = 0; tried < section->count; tried++) {
		uint32_t i = census->next_walk++ % section->count;
		uint64_t entries = 0;

		if (!is_hash(census->rows[i].type))
			continue;
		if (!object_walk_map(&census->walk, census->rows[i].fd, count_one, &entries))
			section->each[i].entries = entries;
		return;
	}
}

/*
 * What was written and not yet read. The two positions stand on the map's first two pages: the reader's and the writer's. Mapped for
 * the look alone, since a ring may be gone at the next.
 */
static uint64_t ring_fill(int fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const char *pages = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, 0);

	if (pages == MAP_FAILED)
		return UNKNOWN;
	uint64_t consumer = __atomic_load_n((const uint64_t *)pages, __ATOMIC_ACQUIRE);
	uint64_t producer = __atomic_load_n((const uint64_t *)(pages + page), __ATOMIC_ACQUIRE);
	munmap((void *)pages, 2 * page);
	return producer > consumer ? producer - consumer : 0;
}

static void add_refusals(const struct census *census, struct map_section *section)
{
	for (uint32_t i = 0; i < census->refusal_count; i++)
		section->each[census->refusals[i].row].refused = 0;
	for (uint32_t i = 0; i < census->refusal_count; i++)
		section->each[census->refusals[i].row].refused += *census->refusals[i].count;
}

void census_take(struct census *census, struct map_section *section, uint64_t now_ns)
{
	if (!census->listed || census->version != object_version())
		list_maps(census, section);
	else if (section->count) {
		/* Memory of maps that allocate as they fill; procfs is slow, so one a tick. */
		uint32_t i = census->next_bytes++ % section->count;
		section->each[i].bytes = object_one_map_bytes(census->rows[i].fd);
	}
	add_refusals(census, section);
	for (uint32_t i = 0; i < section->count; i++)
		if (census->rows[i].type == BPF_MAP_TYPE_RINGBUF)
			section->each[i].entries = ring_fill(census->rows[i].fd);
	if (!census->link)
		walk_one(census, section);
	else if (count_by_iterator(census, section))
		return; /* not brought up to date: it grows stale */
	section->measured_ns = now_ns;
}
