/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the BPF collectors share: loading with libbpf's complaints caught as one sentence, probing, reading maps in batches, and
 * the one list of objects that are loaded. Through that list two objects can share a map, and the agent knows its own programs.
 */
#ifndef NODEMEND_COLLECT_BPF_H
#define NODEMEND_COLLECT_BPF_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collector.h"

/* Options for SKELETON__open_opts() of this environment. */
struct bpf_object_open_opts object_options(const struct collector_env *env);
/* The kernel's types are kept from the first object_options() on, for all objects that are opened; this gives them back. */
void object_types_release(void);
/* Inode of the agent's pid namespace for rodata; 0 = the initial one, or not known. */
uint32_t object_pidns(const struct collector_env *env);
uint32_t object_page_shift(void);

/* Whether the kernel, or a loaded module of the name before the first underscore ("nfs_lookup_enter"), has this tracepoint in its BTF,
 * and the number of its arguments: -ENOENT where it has not. */
int object_tracepoint_arguments(const struct collector_env *env, const char *tracepoint);

/* Whether the kernel's struct has this member, by its BTF. */
/* Whether this kernel has such a function, at which fentry and fexit may be tried: hosts may refuse them all the same. */
bool object_has_function(const struct collector_env *env, const char *function);
/* Loads, or does not, the programs whose section begins so: "fexit/". */
void object_choose(struct bpf_object *object, const char *prefix, bool wanted);
bool object_has_member(const struct collector_env *env, const char *type, const char *member);
/* The value of an enumerator, also of an enum without a name, which CO-RE cannot find; -ENOENT where the kernel has it not. */
int object_enumerator(const struct collector_env *env, const char *name, uint32_t *ret_value);

/* 0, or -errno with the verifier's or libbpf's own words in `why`. A loaded object is listed until it is forgotten. */
int object_load(struct bpf_object *object, char *why, size_t why_size);
void object_forget(struct bpf_object *object); /* before it is closed; NULL is fine */
/* The end of `KIND_bpf__open_opts()`, loaded or not; NULL is fine. A macro, since each skeleton has a type and a destructor of its own. */
#define object_close(KIND, SKEL) \
	do { \
		object_forget((SKEL) ? (SKEL)->obj : NULL); \
		KIND##_bpf__destroy(SKEL); \
		(SKEL) = NULL; \
	} while (0)
/* 0, or -errno with the reason in `why`. The link is the caller's to destroy. */
int object_attach(struct bpf_program *program, struct bpf_link **ret_link, char *why, size_t why_size);

/* How opening ends. Up or degraded: by which source, with the memory its maps hold. */
void collector_up(struct collector_status *status, enum collector_state state, const char *source, const struct bpf_object *object);
/* Down: for the reason in `why` (which may be the status's own), or for the error's where nobody gave one. Returns the error. */
int collector_down(struct collector_status *status, int error, const char *why);

/* The descriptor of a map of any loaded object, for bpf_map__reuse_fd(); it belongs to that object. -ENOENT. */
int object_shared_map(const char *name);
/* Kernel memory of its maps, by the kernel's own account; a shared one counts where it was made. */
uint64_t object_map_bytes(const struct bpf_object *object);
/*
 * How often the kernel skipped one of its programs because that was under way on the same processor already. Where programs at tracepoints can
 * be preempted (seen on 7.3) this happens without any recursion: the second task's event is lost, so it is counted.
 */
uint64_t object_missed(const struct bpf_object *object);
/* The programs of all loaded objects with what the kernel has counted so far, in windows (see meter.h). Returns how many there are. */
uint32_t object_programs(struct bpf_program_stat *each, uint32_t capacity);

/*
 * The list itself, for those who count what it costs. What is loaded belongs to the collector that was named last (NO_INDEX: to the
 * agent); whoever opens collectors names them. The version changes whenever an object comes or goes.
 */
void object_owner(uint32_t collector);
uint32_t object_version(void);
enum { MAX_OBJECTS = 64 };
struct bpf_object *object_at(uint32_t slot, uint32_t *ret_collector); /* slot below MAX_OBJECTS; NULL: free */
/* The map is one of an object loaded before: what it holds is counted there. */
bool object_borrows_map(const struct bpf_object *object, const struct bpf_map *map);
uint64_t object_one_map_bytes(int fd);

/*
 * Calls `visit` for each element, by batches where the kernel has them. The values of a per-CPU map come as one array with
 * `cpus` entries of `value_stride` bytes (the size rounded up to eight). `buffer` serves all walks of one state.
 */
enum { WALK_SHAPES = 8 };
struct map_shape {
	int fd;
	uint32_t version;          /* object_version() at that time: since then no descriptor has become another map's. 0: none */
	uint32_t key_size, stride, entries;
};
struct object_walk {
	char *buffer;
	size_t size;
	uint32_t cpus;             /* possible ones */
	/* Of maps that were walked before: to ask for it was a third of all calls of bpf() in a tick. */
	struct map_shape *shapes;
};
int object_walk_init(struct object_walk *walk, size_t size);
void object_walk_free(struct object_walk *walk);
int object_walk_map(const struct object_walk *walk, int fd, void (*visit)(const void *key, const void *value, void *arg), void *arg);
/* Sums one element of a per-CPU array of u64 into `ret_sums`. */
int object_sum(const struct object_walk *walk, int fd, uint32_t index, uint64_t *ret_sums, uint32_t count);

#endif
