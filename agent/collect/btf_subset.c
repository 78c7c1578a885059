/* SPDX-License-Identifier: Apache-2.0 */
/* See btf_subset.h. */
#include "collect/btf_subset.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS = 1 << 16, MAX_DEPTH = 64 };

struct btf_index {
	const struct btf *whole;
	uint32_t types;
	uint32_t heads[HEADS];       /* 0 = none: type 0 is void */
	uint32_t next[];             /* by type id */
};

struct cut {
	const struct btf *whole;
	struct btf *subset;
	uint32_t *new_id;            /* by id in the whole; 0 = not taken yet */
};

static bool has_name_of_interest(const struct btf_type *type)
{
	return btf_is_composite(type) || btf_is_any_enum(type) || btf_is_typedef(type);
}

/* Without the flavour: what stands before the first `___` that has something in front of it. */
static size_t essential_length(const char *name)
{
	const char *flavour = *name ? strstr(name + 1, "___") : NULL;

	return flavour ? (size_t)(flavour - name) : strlen(name);
}

static uint32_t head_of(const char *name, size_t length)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	return (hash ^ hash >> 16) % HEADS;
}

static const char *name_of(const struct btf *btf, const struct btf_type *type)
{
	const char *name = btf__name_by_offset(btf, type->name_off);

	return name ? name : "";
}

struct btf_index *btf_index_new(const struct btf *whole)
{
	uint32_t types = btf__type_cnt(whole);
	struct btf_index *index = calloc(1, sizeof(*index) + types * sizeof(index->next[0]));

	if (!index)
		return NULL;
	index->whole = whole;
	index->types = types;
	for (uint32_t id = 1; id < types; id++) {
		const struct btf_type *type = btf__type_by_id(whole, id);

		if (!has_name_of_interest(type) || !type->name_off)
			continue;
		const char *name = name_of(whole, type);
		uint32_t *head = &index->heads[head_of(name, essential_length(name))];

		index->next[id] = *head;
		*head = id;
	}
	return index;
}

void btf_index_free(struct btf_index *index)
{
	free(index);
}

static int take(struct cut *cut, uint32_t id, int depth);

/* The copy's members and targets still have the ids of the whole; each is replaced by its own copy's. */
static int take_held(struct cut *cut, const struct btf_type *type, uint32_t new_id, int depth)
{
	if (btf_is_composite(type)) {
		for (uint32_t i = 0; i < btf_vlen(type); i++) {
			int held = take(cut, btf_members(type)[i].type, depth);

			if (held < 0)
				return held;
			btf_members((struct btf_type *)btf__type_by_id(cut->subset, new_id))[i].type = (uint32_t)held;
		}
	} else if (btf_is_array(type)) {
		int element = take(cut, btf_array(type)->type, depth), index = take(cut, btf_array(type)->index_type, depth);

		if (element < 0 || index < 0)
			return element < 0 ? element : index;
		struct btf_array *array = btf_array((struct btf_type *)btf__type_by_id(cut->subset, new_id));
		array->type = (uint32_t)element;
		array->index_type = (uint32_t)index;
	} else if (btf_is_typedef(type) || btf_is_mod(type)) {
		int target = take(cut, type->type, depth);

		if (target < 0)
			return target;
		((struct btf_type *)btf__type_by_id(cut->subset, new_id))->type = (uint32_t)target;
	}
	return 0;
}

/* The id in the subset, or -errno. Nothing that is held by value can hold itself, so the depth is the kernel's own nesting. */
static int take(struct cut *cut, uint32_t id, int depth)
{
	const struct btf_type *type = btf__type_by_id(cut->whole, id);

	if (!id || !type)
		return id ? -EINVAL : 0;
	if (cut->new_id[id])
		return (int)cut->new_id[id];
	if (depth > MAX_DEPTH)
		return -ELOOP;

	bool leads_away = btf_is_ptr(type) || btf_is_func_proto(type) || btf_is_func(type);
	int new_id = leads_away ? btf__add_ptr(cut->subset, 0) : btf__add_type(cut->subset, cut->whole, type);
	if (new_id < 0)
		return new_id;
	cut->new_id[id] = (uint32_t)new_id;
	int error = leads_away ? 0 : take_held(cut, type, (uint32_t)new_id, depth + 1);
	return error ? error : new_id;
}

static int take_named(struct cut *cut, const struct btf_index *index, const char *name)
{
	size_t length = essential_length(name);

	for (uint32_t id = index->heads[head_of(name, length)]; id; id = index->next[id]) {
		const char *other = name_of(index->whole, btf__type_by_id(index->whole, id));

		if (essential_length(other) != length || memcmp(other, name, length) != 0)
			continue;
		int taken = take(cut, id, 0);
		if (taken < 0)
			return taken;
	}
	return 0;
}

int btf_subset(const struct btf_index *index, const struct btf *names, struct btf **ret)
{
	struct cut cut = { .whole = index->whole, .subset = btf__new_empty(), .new_id = calloc(index->types, sizeof(*cut.new_id)) };
	uint32_t count = btf__type_cnt(names);
	int error = cut.subset && cut.new_id ? 0 : -ENOMEM;

	for (uint32_t id = 1; id < count && !error; id++) {
		const struct btf_type *type = btf__type_by_id(names, id);

		if (has_name_of_interest(type) && type->name_off)
			error = take_named(&cut, index, name_of(names, type));
	}
	free(cut.new_id);
	if (error) {
		btf__free(cut.subset);
		return error;
	}
	*ret = cut.subset;
	return 0;
}
