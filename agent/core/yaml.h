/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML (and so JSON) as a bounded tree in which every item knows its line and column. What would make a file mean something
 * else than it seems to (anchors, aliases, tags, duplicate keys, control characters) is a fault, not a feature.
 */
#ifndef NODEMEND_CORE_YAML_H
#define NODEMEND_CORE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

enum {
	YAML_MAX_SIZE = 1 << 20,   /* a configuration of 64 policies is under 64 KiB */
	YAML_MAX_DEPTH = 24,       /* the deepest policy that can be written needs 20 */
	YAML_MAX_ITEMS = 16384,
	YAML_MAX_MEMBERS = 512,    /* of one list or mapping: looking for duplicate keys is quadratic */
};

enum item_kind { ITEM_SCALAR, ITEM_LIST, ITEM_MAPPING };

struct yaml_item {
	enum item_kind kind;
	bool plain;                          /* a scalar without quotes: ~ and null mean nothing */
	uint32_t line, column;               /* from 1 */
	const struct yaml_item *key;         /* a mapping's member: its key */
	struct yaml_item *first, *next;      /* members of a list or mapping, in the order of the file */
	struct yaml_item *older;             /* the tree's own chain, for freeing */
	char text[];                         /* of a scalar; NUL-terminated, no NUL inside, valid UTF-8 */
};

struct yaml_tree {
	struct yaml_item *documents;         /* the roots, linked by next */
	struct yaml_item *newest;
	uint32_t items;
};

/* 0; -EINVAL: something was refused and the rest of the tree is whole; -EBADMSG: it could not be read to its end. Both with at least one
 * fault. Never reads beyond `size`. Free it either way. */
int yaml_tree_read(const char *file, const char *text, size_t size, struct yaml_tree *ret, struct config_faults *faults);
void yaml_tree_free(struct yaml_tree *tree);
/* NULL where there is none. */
const struct yaml_item *yaml_member(const struct yaml_item *mapping, const char *key);
/* A key with nothing behind it, or ~, or null. */
bool yaml_is_null(const struct yaml_item *item);

#endif
