/* SPDX-License-Identifier: Apache-2.0 */
/* The cut of a small BTF made by hand: what is named comes with what it holds, what is only pointed to stays away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/btf.h>
#include <string.h>

#include "collect/btf_subset.h"

static struct btf *make_whole(void)
{
	struct btf *btf = btf__new_empty();
	int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	int distant = btf__add_struct(btf, "distant", 4);
	btf__add_field(btf, "value", number, 0, 0);
	int pointer = btf__add_ptr(btf, distant);
	int inner = btf__add_struct(btf, "inner", 4);
	btf__add_field(btf, "low", number, 0, 3);
	int alias = btf__add_typedef(btf, "inner_t", btf__add_const(btf, inner));
	int array = btf__add_array(btf, number, alias, 5);
	btf__add_struct(btf, "outer", 32);
	btf__add_field(btf, "away", pointer, 0, 0);
	btf__add_field(btf, "each", array, 64, 0);
	btf__add_struct(btf, "outer_other", 1); /* shares the beginning of a name, and nothing else */
	btf__add_enum(btf, "color", 4);
	btf__add_enum_value(btf, "RED", 7);
	return btf;
}

static struct btf *cut(struct btf *whole, void (*name)(struct btf *))
{
	struct btf *names = btf__new_empty(), *subset = NULL;
	struct btf_index *index = btf_index_new(whole);

	name(names);
	assert_int_equal(btf_subset(index, names, &subset), 0);
	btf_index_free(index);
	btf__free(names);
	return subset;
}

static void name_outer(struct btf *names)
{
	btf__add_struct(names, "outer___before_6_2", 0);
	btf__add_struct(names, "unheard_of", 0);
}

static void name_color(struct btf *names)
{
	btf__add_enum(names, "color", 4);
}

static void what_is_held_comes_along_and_what_is_pointed_to_does_not(void **state)
{
	struct btf *whole = make_whole(), *subset = cut(whole, name_outer);
	int id = btf__find_by_name_kind(subset, "outer", BTF_KIND_STRUCT);

	assert_true(id > 0);
	const struct btf_type *outer = btf__type_by_id(subset, (uint32_t)id);
	assert_int_equal(outer->size, 32);
	assert_int_equal(btf_vlen(outer), 2);
	assert_string_equal(btf__name_by_offset(subset, btf_members(outer)[1].name_off), "each");
	assert_int_equal(btf_member_bit_offset(outer, 1), 64);

	const struct btf_type *pointer = btf__type_by_id(subset, btf_members(outer)[0].type);
	assert_true(btf_is_ptr(pointer) && pointer->type == 0);
	const struct btf_type *array = btf__type_by_id(subset, btf_members(outer)[1].type);
	assert_true(btf_is_array(array) && btf_array(array)->nelems == 5);
	int inner = btf__resolve_type(subset, btf_array(array)->type);
	assert_string_equal(btf__name_by_offset(subset, btf__type_by_id(subset, (uint32_t)inner)->name_off), "inner");
	const struct btf_type *low = btf__type_by_id(subset, btf_members(btf__type_by_id(subset, (uint32_t)inner))[0].type);
	assert_string_equal(btf__name_by_offset(subset, low->name_off), "int");

	assert_true(btf__find_by_name(subset, "distant") < 0);
	assert_true(btf__find_by_name(subset, "outer_other") < 0);
	assert_true(btf__find_by_name(subset, "color") < 0);
	btf__free(subset);
	btf__free(whole);
}

static void enums_keep_their_values(void **state)
{
	struct btf *whole = make_whole(), *subset = cut(whole, name_color);

	assert_int_equal(btf__type_cnt(subset), 2);
	assert_int_equal(btf_enum(btf__type_by_id(subset, 1))[0].val, 7);
	btf__free(subset);
	btf__free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_held_comes_along_and_what_is_pointed_to_does_not),
		cmocka_unit_test(enums_keep_their_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
