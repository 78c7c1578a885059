/* SPDX-License-Identifier: Apache-2.0 */
/* See bpf.h. */
#include "collect/bpf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/btf_subset.h"
#include "core/heap.h"

enum { INITIAL_PIDNS = (int)0xEFFFFFFC, BATCH_DEPTH = 256 };

/*
 * libbpf's printer takes no argument of ours, and what is loaded is a fact of the process: so these are globals. The agent's
 * collectors open, run and close on one thread.
 */
static char complaint[WHY_LEN];
static struct {
	struct bpf_object *object;
	uint32_t collector;
} loaded[MAX_OBJECTS];
static uint32_t owner = NO_INDEX, version;

/*
 * The kernel's types while objects are being opened, and the file in which each object finds those of them that it names. libbpf
 * reads it when it loads, and takes its path when it opens: so the file is written in between.
 */
static struct {
	struct btf *whole;
	struct btf_index *index;
	int fd;
	char path[32];
} types = { .fd = -1 };

/* The first warning names the cause; those after it only say what else fell over. */
__attribute__((format(printf, 2, 0))) static int hear(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN || complaint[0])
		return 0;
	vsnprintf(complaint, sizeof(complaint), format, args);
	complaint[strcspn(complaint, "\n")] = '\0';
	for (char *c = complaint; *c; c++)
		if (*c < ' ')
			*c = ' ';
	return 0;
}

static int explain(int error, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s%s%.100s", strerror(-error), complaint[0] ? ": " : "", complaint);
	return error;
}

/* Without them libbpf looks through the kernel's own, which only takes longer. */
static int read_types(const struct collector_env *env)
{
	if (types.whole)
		return 0;
	types.whole = env->btf_path ? btf__parse(env->btf_path, NULL) : btf__load_vmlinux_btf();
	if (!types.whole)
		return -errno;
	types.index = btf_index_new(types.whole);
	if (types.fd < 0)
		types.fd = memfd_create("nodemend-btf", MFD_CLOEXEC);
	snprintf(types.path, sizeof(types.path), "/proc/self/fd/%d", types.fd);
	return types.index && types.fd >= 0 ? 0 : -ENOMEM;
}

static int write_types(const struct btf *btf)
{
	uint32_t size;
	const void *data = btf__raw_data(btf, &size);

	if (!data || ftruncate(types.fd, 0) || pwrite(types.fd, data, size, 0) != (ssize_t)size)
		return -EIO;
	return 0;
}

static int offer_types(const struct bpf_object *object)
{
	struct btf *subset = NULL;
	int error = btf_subset(types.index, bpf_object__btf(object), &subset);

	error = error ? write_types(types.whole) : write_types(subset);
	btf__free(subset);
	return error;
}

void object_types_release(void)
{
	btf_index_free(types.index);
	btf__free(types.whole);
	if (types.fd >= 0)
		close(types.fd);
	types.index = NULL;
	types.whole = NULL;
	types.fd = -1;
}

struct bpf_object_open_opts object_options(const struct collector_env *env)
{
	libbpf_set_print(hear);
	complaint[0] = '\0';
	return (struct bpf_object_open_opts){
		.sz = sizeof(struct bpf_object_open_opts), .btf_custom_path = read_types(env) ? env->btf_path : types.path,
	};
}

uint32_t object_pidns(const struct collector_env *env)
{
	struct stat ns;

	if (fstatat(env->proc_fd, "self/ns/pid", &ns, 0) < 0 || (uint32_t)ns.st_ino == (uint32_t)INITIAL_PIDNS)
		return 0;
	return (uint32_t)ns.st_ino;
}

uint32_t object_page_shift(void)
{
	return (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

static struct btf *kernel_types(const struct collector_env *env)
{
	(void)read_types(env); /* without an index the types are there all the same */
	return types.whole;
}

static int arguments_in(const struct btf *btf, const char *tracepoint)
{
	char name[NAME_LEN + 16];
	const struct btf_type *type;

	snprintf(name, sizeof(name), "btf_trace_%s", tracepoint);
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
	type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	while (type && (btf_is_typedef(type) || btf_is_ptr(type)))
		type = btf__type_by_id(btf, type->type);
	/* The first is the tracepoint's own void *. */
	return type && btf_is_func_proto(type) ? btf_vlen(type) - 1 : -ENOENT;
}

static int arguments_in_module(struct btf *kernel, const char *tracepoint)
{
	char path[NAME_LEN + 32], module[NAME_LEN];
	struct btf *of_module;

	snprintf(module, sizeof(module), "%.*s", (int)strcspn(tracepoint, "_"), tracepoint);
	snprintf(path, sizeof(path), "/sys/kernel/btf/%s", module);
	if (access(path, R_OK))
		return -ENOENT;
	of_module = btf__load_module_btf(module, kernel);
	if (!of_module)
		return -ENOENT;
	int arguments = arguments_in(of_module, tracepoint);
	btf__free(of_module);
	return arguments;
}

int object_tracepoint_arguments(const struct collector_env *env, const char *tracepoint)
{
	struct btf *btf = kernel_types(env);

	if (!btf)
		return -ENOENT;
	int arguments = arguments_in(btf, tracepoint);
	return arguments == -ENOENT && !env->btf_path ? arguments_in_module(btf, tracepoint) : arguments;
}

bool object_has_member(const struct collector_env *env, const char *type, const char *member)
{
	const struct btf *btf = kernel_types(env);
	bool found = false;

	if (!btf)
		return false;
	int id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
	const struct btf_type *structure = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	for (uint32_t i = 0; structure && !found && i < btf_vlen(structure); i++)
		found = !strcmp(btf__name_by_offset(btf, btf_members(structure)[i].name_off), member);
	return found;
}

bool object_has_function(const struct collector_env *env, const char *function)
{
	const struct btf *btf = kernel_types(env);

	/* v5.12, e21aa341785c (and v5.10's stable series): bpf: Fix fexit trampoline. Before, detaching pulled the ground from under whoever slept
	 * in the function. */
	return btf && btf__find_by_name_kind(btf, "bpf_tramp_image", BTF_KIND_STRUCT) > 0 &&
	       btf__find_by_name_kind(btf, function, BTF_KIND_FUNC) > 0;
}

void object_choose(struct bpf_object *object, const char *prefix, bool wanted)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
		if (!strncmp(bpf_program__section_name(program), prefix, strlen(prefix)))
			bpf_program__set_autoload(program, wanted);
}

int object_enumerator(const struct collector_env *env, const char *name, uint32_t *ret_value)
{
	const struct btf *btf = kernel_types(env);

	for (uint32_t id = 1; btf && id < btf__type_cnt(btf); id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);

		if (!btf_is_enum(type))
			continue;
		for (uint32_t i = 0; i < btf_vlen(type); i++) {
			if (strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), name) != 0)
				continue;
			*ret_value = (uint32_t)btf_enum(type)[i].val;
			return 0;
		}
	}
	return -ENOENT;
}

/*
 * What skel->data and skel->bss point to is libbpf's own copy of the variables until it is mapped over by the kernel's, which only
 * the skeleton's load does (and libbpf's since v1.6: once more does no harm).
 */
static int map_variables(const struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		size_t size;
		void *variables = bpf_map__map_flags(map) & BPF_F_MMAPABLE ? (void *)bpf_map__initial_value(map, &size) : NULL;
		int access = bpf_map__map_flags(map) & BPF_F_RDONLY_PROG ? PROT_READ : PROT_READ | PROT_WRITE;

		if (variables && bpf_map__fd(map) >= 0 &&
		    mmap(variables, size, access, MAP_SHARED | MAP_FIXED, bpf_map__fd(map), 0) == MAP_FAILED)
			return -errno;
	}
	return 0;
}

int object_load(struct bpf_object *object, char *why, size_t why_size)
{
	int free_slot = 0, error;

	while (free_slot < MAX_OBJECTS && loaded[free_slot].object)
		free_slot++;
	if (free_slot == MAX_OBJECTS)
		return explain(-ENOSPC, why, why_size);

	complaint[0] = '\0';
	heap_reuse_begin();
	error = types.index ? offer_types(object) : 0;
	if (!error)
		error = bpf_object__load(object);
	heap_reuse_end();
	if (!error)
		error = map_variables(object);
	if (error)
		return explain(error, why, why_size);
	loaded[free_slot].object = object;
	loaded[free_slot].collector = owner;
	version++;
	return 0;
}

void object_forget(struct bpf_object *object)
{
	for (int i = 0; object && i < MAX_OBJECTS; i++) {
		if (loaded[i].object == object) {
			loaded[i].object = NULL;
			version++;
		}
	}
}

void object_owner(uint32_t collector)
{
	owner = collector;
}

uint32_t object_version(void)
{
	return version;
}

struct bpf_object *object_at(uint32_t slot, uint32_t *ret_collector)
{
	*ret_collector = loaded[slot].collector;
	return loaded[slot].object;
}

int object_attach(struct bpf_program *program, struct bpf_link **ret_link, char *why, size_t why_size)
{
	complaint[0] = '\0';
	struct bpf_link *link = bpf_program__attach(program);
	if (!link)
		return explain(-errno, why, why_size);
	*ret_link = link;
	return 0;
}

int object_shared_map(const char *name)
{
	for (int i = 0; i < MAX_OBJECTS; i++) {
		struct bpf_map *map = loaded[i].object ? bpf_object__find_map_by_name(loaded[i].object, name) : NULL;

		if (map && bpf_map__autocreate(map) && bpf_map__fd(map) >= 0)
			return bpf_map__fd(map);
	}
	return -ENOENT;
}

/*
 * fdinfo's memlock: what the map holds now where the kernel knows it, else what it may come to hold. Of a ring v5.11 to v6.3 say 0: they took the rows'
 * size times their number (80ee81e0403c), and it has none.
 */
uint64_t object_one_map_bytes(int fd)
{
	char path[64], line[128];
	uint64_t bytes = 0, entries = 0;
	unsigned long type = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "memlock:", 8))
			bytes = strtoull(line + 8, NULL, 10);
		else if (!strncmp(line, "map_type:", 9))
			type = strtoul(line + 9, NULL, 10);
		else if (!strncmp(line, "max_entries:", 12))
			entries = strtoull(line + 12, NULL, 10);
	fclose(file);
	return type == BPF_MAP_TYPE_RINGBUF && bytes < entries ? entries : bytes;
}

void collector_up(struct collector_status *status, enum collector_state state, const char *source, const struct bpf_object *object)
{
	status->state = state;
	snprintf(status->source, sizeof(status->source), "%s", source);
	status->map_bytes = object_map_bytes(object);
}

int collector_down(struct collector_status *status, int error, const char *why)
{
	status->state = COLLECTOR_DOWN;
	if (!why[0])
		snprintf(status->why, sizeof(status->why), "%s", strerror(-error));
	else if (why != status->why)
		snprintf(status->why, sizeof(status->why), "%s", why);
	return error;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

bool object_borrows_map(const struct bpf_object *object, const struct bpf_map *map)
{
	uint32_t id = map_id(bpf_map__fd(map));

	for (int i = 0; i < MAX_OBJECTS && loaded[i].object != object; i++) {
		struct bpf_map *other = loaded[i].object ? bpf_object__find_map_by_name(loaded[i].object, bpf_map__name(map)) : NULL;

		if (other && bpf_map__fd(other) >= 0 && map_id(bpf_map__fd(other)) == id)
			return true;
	}
	return false;
}

uint64_t object_map_bytes(const struct bpf_object *object)
{
	uint64_t bytes = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
		if (bpf_map__autocreate(map) && bpf_map__fd(map) >= 0 && !object_borrows_map(object, map))
			bytes += object_one_map_bytes(bpf_map__fd(map));
	return bytes;
}

uint64_t object_missed(const struct bpf_object *object)
{
	struct bpf_program *program;
	uint64_t missed = 0;

	bpf_object__for_each_program(program, object) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (bpf_program__fd(program) >= 0 && !bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
			missed += info.recursion_misses;
	}
	return missed;
}

static bool is_iterator(const struct bpf_program *program)
{
	return bpf_program__get_type(program) == BPF_PROG_TYPE_TRACING && bpf_program__get_expected_attach_type(program) == BPF_TRACE_ITER;
}

static void fill_program(struct bpf_program_stat *stat, uint32_t collector, const struct bpf_object *object, const struct bpf_program *program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		info = (struct bpf_prog_info){ 0 };
	*stat = (struct bpf_program_stat){ .id = info.id, .collector = collector, .runs_for_us = is_iterator(program), .run_ns = info.run_time_ns,
					   .run_count = info.run_cnt };
	snprintf(stat->name, sizeof(stat->name), "%.20s/%.40s", bpf_object__name(object), bpf_program__name(program));
}

uint32_t object_programs(struct bpf_program_stat *each, uint32_t capacity)
{
	struct bpf_program *program;
	uint32_t count = 0;

	for (int i = 0; i < MAX_OBJECTS; i++) {
		if (!loaded[i].object)
			continue;
		bpf_object__for_each_program(program, loaded[i].object) {
			if (bpf_program__fd(program) < 0)
				continue;
			if (count < capacity)
				fill_program(&each[count], loaded[i].collector, loaded[i].object, program);
			count++;
		}
	}
	return count;
}

int object_walk_init(struct object_walk *walk, size_t size)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	walk->buffer = malloc(size);
	walk->shapes = calloc(WALK_SHAPES, sizeof(*walk->shapes));
	if (!walk->buffer || !walk->shapes) {
		object_walk_free(walk);
		return -ENOMEM;
	}
	walk->size = size;
	walk->cpus = (uint32_t)cpus;
	return 0;
}

void object_walk_free(struct object_walk *walk)
{
	free(walk->buffer);
	free(walk->shapes);
	walk->buffer = NULL;
	walk->shapes = NULL;
}

static int shape_of(const struct object_walk *walk, int fd, struct map_shape *ret)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	uint32_t at = 0;

	while (at < WALK_SHAPES && walk->shapes[at].version == version && walk->shapes[at].fd != fd)
		at++;
	if (at < WALK_SHAPES && walk->shapes[at].version == version) {
		*ret = walk->shapes[at];
		return 0;
	}
	int error = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (error)
		return error;
	bool per_cpu = info.type == BPF_MAP_TYPE_PERCPU_ARRAY || info.type == BPF_MAP_TYPE_PERCPU_HASH;
	ret->key_size = info.key_size;
	ret->stride = per_cpu ? (info.value_size + 7) / 8 * 8 * walk->cpus : info.value_size;
	ret->entries = info.max_entries;
	ret->fd = fd;
	ret->version = version;
	if (ret->key_size + ret->stride > walk->size)
		return -ENOSPC;
	if (at < WALK_SHAPES)
		walk->shapes[at] = *ret;
	return 0;
}

/* Keys stand in front of the values in the buffer. One batch returns whole buckets: with one too big for the room, ENOSPC. */
static int walk_by_batch(const struct object_walk *walk, int fd, const struct map_shape *shape,
			 void (*visit)(const void *key, const void *value, void *arg), void *arg)
{
	size_t fit = walk->size / (shape->key_size + shape->stride);
	char *keys = walk->buffer, *values = walk->buffer + fit * shape->key_size;
	uint64_t position[BATCH_DEPTH / 8]; /* opaque; as large as a key for arrays, a bucket's number for hashes */
	uint64_t seen = 0;
	bool first = true;

	if (shape->key_size > sizeof(position))
		return -E2BIG;
	for (;;) {
		uint32_t count = (uint32_t)fit;
		int error = bpf_map_lookup_batch(fd, first ? NULL : position, position, keys, values, &count, NULL);

		if (error && errno != ENOENT)
			return first ? -errno : -EIO;
		for (uint32_t i = 0; i < count; i++)
			visit(keys + i * shape->key_size, values + i * shape->stride, arg);
		seen += count;
		first = false;
		if (error || seen > 2ULL * shape->entries) /* the end; or a table that grows under our feet */
			return 0;
	}
}

/* An element that is deleted meanwhile sends the kernel back to the first key: the number of steps is bounded. */
static int walk_by_key(const struct object_walk *walk, int fd, const struct map_shape *shape,
		       void (*visit)(const void *key, const void *value, void *arg), void *arg)
{
	char *key = walk->buffer, *value = walk->buffer + (shape->key_size + 7) / 8 * 8;
	bool first = true;

	for (uint32_t step = 0; step < 2 * shape->entries; step++) {
		if (bpf_map_get_next_key(fd, first ? NULL : key, key))
			return errno == ENOENT ? 0 : -errno;
		first = false;
		if (!bpf_map_lookup_elem(fd, key, value))
			visit(key, value, arg);
	}
	return 0;
}

int object_walk_map(const struct object_walk *walk, int fd, void (*visit)(const void *key, const void *value, void *arg), void *arg)
{
	struct map_shape shape;
	int error = shape_of(walk, fd, &shape);

	if (error)
		return error;
	error = walk_by_batch(walk, fd, &shape, visit, arg);
	/* No batches for this kind of map on this kernel (v5.6 hash, v5.13 arrays), or a bucket that does not fit. */
	if (error && error != -EIO)
		error = walk_by_key(walk, fd, &shape, visit, arg);
	return error;
}

int object_sum(const struct object_walk *walk, int fd, uint32_t index, uint64_t *ret_sums, uint32_t count)
{
	const uint64_t *values = (const uint64_t *)walk->buffer;

	if ((size_t)count * walk->cpus * sizeof(*values) > walk->size)
		return -ENOSPC;
	if (bpf_map_lookup_elem(fd, &index, walk->buffer))
		return -errno;
	memset(ret_sums, 0, count * sizeof(*ret_sums));
	for (uint32_t cpu = 0; cpu < walk->cpus; cpu++)
		for (uint32_t i = 0; i < count; i++)
			ret_sums[i] += values[(size_t)cpu * count + i];
	return 0;
}
