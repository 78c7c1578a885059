/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's BTF cut down to the types that one object names. libbpf looks for every type of an object's relocations among all
 * 126 000 of the kernel's, by comparing names: 10 to 18 ms an object on 6.18. Among some hundreds it is nothing.
 */
#ifndef NODEMEND_COLLECT_BTF_SUBSET_H
#define NODEMEND_COLLECT_BTF_SUBSET_H

#include <stddef.h>

struct btf;
struct btf_index;

/* Of all types of `whole`, by name; `whole` must live as long. NULL without memory. */
struct btf_index *btf_index_new(const struct btf *whole);
void btf_index_free(struct btf_index *index); /* NULL is fine */

/*
 * All types whose name, up to a flavour's `___`, is one of `names`' structs, unions, enums and typedefs, with what they hold by value.
 * Pointers lead to void: relocations begin anew behind each. 0 with *ret the caller's (btf__free), or -errno.
 */
int btf_subset(const struct btf_index *index, const struct btf *names, struct btf **ret);

#endif
