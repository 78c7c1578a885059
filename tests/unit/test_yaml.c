/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML tree: shapes, marks, bounds, and the features that are refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/yaml.h"

static struct config_faults faults;

static int read_text(const char *text, struct yaml_tree *ret)
{
	faults.count = faults.cut = 0;
	return yaml_tree_read("t.yaml", text, strlen(text), ret, &faults);
}

static void assert_fault(uint32_t index, uint32_t line, uint32_t column, const char *part)
{
	assert_true(index < faults.count);
	assert_int_equal(faults.each[index].line, line);
	assert_int_equal(faults.each[index].column, column);
	if (!strstr(faults.each[index].text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, faults.each[index].text);
}

static void every_item_knows_its_place(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a: 1\nb:\n  - x\n  - {c: \"y z\"}\n", &tree), 0);

	const struct yaml_item *root = tree.documents, *a = yaml_member(root, "a"), *b = yaml_member(root, "b");
	assert_int_equal(root->kind, ITEM_MAPPING);
	assert_string_equal(a->text, "1");
	assert_true(a->plain);
	assert_int_equal(a->line, 1);
	assert_int_equal(a->column, 4);
	assert_int_equal(a->key->column, 1);
	assert_int_equal(b->kind, ITEM_LIST);
	assert_string_equal(b->first->text, "x");
	const struct yaml_item *c = yaml_member(b->first->next, "c");
	assert_string_equal(c->text, "y z");
	assert_false(c->plain);
	assert_int_equal(c->line, 4);
	assert_int_equal(c->column, 9);
	assert_null(b->first->next->next);
	assert_null(yaml_member(root, "c"));
	yaml_tree_free(&tree);
}

static void json_is_yaml(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("{\"a\": [1, true, null, {\"b\": \"\\u00e9\"}]}", &tree), 0);
	const struct yaml_item *a = yaml_member(tree.documents, "a");
	assert_string_equal(a->first->next->text, "true");
	assert_true(yaml_is_null(a->first->next->next));
	assert_string_equal(yaml_member(a->first->next->next->next, "b")->text, "\xc3\xa9");
	yaml_tree_free(&tree);
}

static void documents_follow_each_other(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a: 1\n---\nb: 2\n", &tree), 0);
	assert_non_null(yaml_member(tree.documents, "a"));
	assert_non_null(yaml_member(tree.documents->next, "b"));
	assert_null(tree.documents->next->next);
	yaml_tree_free(&tree);
}

static void nothing_is_an_empty_tree(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("", &tree), 0);
	assert_null(tree.documents);
	yaml_tree_free(&tree);
	assert_int_equal(read_text("# a comment\n", &tree), 0);
	assert_null(tree.documents);
	yaml_tree_free(&tree);
}

static void only_plain_words_are_null(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a:\nb: ~\nc: null\nd: \"\"\ne: 'null'\nf: []\n", &tree), 0);
	assert_true(yaml_is_null(yaml_member(tree.documents, "a")));
	assert_true(yaml_is_null(yaml_member(tree.documents, "b")));
	assert_true(yaml_is_null(yaml_member(tree.documents, "c")));
	assert_false(yaml_is_null(yaml_member(tree.documents, "d")));
	assert_false(yaml_is_null(yaml_member(tree.documents, "e")));
	assert_false(yaml_is_null(yaml_member(tree.documents, "f")));
	yaml_tree_free(&tree);
}

static void a_duplicate_key_names_both_lines(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a: 1\nb: 2\n\"a\": 3\n", &tree), -EINVAL);
	assert_int_equal(faults.count, 1);
	assert_fault(0, 3, 1, "stands on line 1");
	assert_string_equal(yaml_member(tree.documents, "a")->text, "1");
	yaml_tree_free(&tree);
}

static void anchors_aliases_and_tags_are_refused_together(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a: &x 1\nb: *x\nc: !!str d\ne: [*x, 2]\n", &tree), -EINVAL);
	assert_int_equal(faults.count, 4);
	assert_fault(0, 1, 4, "anchors");
	assert_fault(1, 2, 4, "aliases");
	assert_fault(2, 3, 4, "tags");
	assert_fault(3, 4, 5, "aliases");
	assert_string_equal(yaml_member(tree.documents, "e")->first->text, "2");
	yaml_tree_free(&tree);
}

static void bad_bytes_have_a_line(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		uint32_t line;
		const char *part;
	} cases[] = {
		{ "a: 1\nb: \0\n", 10, 2, "NUL" },
		{ "a: 1\nb: \xe9\n", 10, 2, "UTF-8" },
		{ "a: \xed\xa0\x80", 6, 1, "UTF-8" }, /* a surrogate */
		{ "a: \xc0\xaf", 5, 1, "UTF-8" },     /* an overlong form */
		{ "a: \xe2\x82", 5, 1, "UTF-8" },     /* cut in the middle */
		{ "a: \x1b[31m\n", 9, 1, "control" },
		{ "\xff\xfe"
		  "a",
		  3, 1, "UTF-8" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct yaml_tree tree;
		faults.count = faults.cut = 0;
		assert_int_equal(yaml_tree_read("t.yaml", cases[i].text, cases[i].size, &tree, &faults), -EBADMSG);
		assert_int_equal(faults.count, 1);
		assert_int_equal(faults.each[0].line, cases[i].line);
		assert_non_null(strstr(faults.each[0].text, cases[i].part));
		yaml_tree_free(&tree);
	}
}

static void an_escaped_nul_does_not_cut_a_value(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a: \"x\\0y\"\n", &tree), -EINVAL);
	assert_fault(0, 1, 4, "NUL");
	yaml_tree_free(&tree);
}

static void a_byte_order_mark_and_crlf_are_nothing(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("\xef\xbb\xbf"
				   "a: 1\r\nb: 2\r\n",
				   &tree),
			 0);
	assert_string_equal(yaml_member(tree.documents, "a")->text, "1");
	assert_int_equal(yaml_member(tree.documents, "b")->line, 2);
	yaml_tree_free(&tree);
}

static void syntax_errors_have_a_place(void **state)
{
	struct yaml_tree tree;
	assert_int_equal(read_text("a:\n\tb: 1\n", &tree), -EBADMSG);
	assert_fault(0, 2, 1, "spaces");
	yaml_tree_free(&tree);
	assert_int_equal(read_text("a: [1, 2\nb: 3\n", &tree), -EBADMSG);
	assert_fault(0, 2, 2, "began on line 1");
	yaml_tree_free(&tree);
	assert_int_equal(read_text("a: *\n", &tree), -EBADMSG);
	assert_fault(0, 1, 4, "quotes");
	yaml_tree_free(&tree);
	assert_int_equal(read_text("[a]: 1\n", &tree), -EBADMSG);
	assert_fault(0, 1, 1, "key");
	yaml_tree_free(&tree);
}

/* `count` times `part`, between `head` and `tail`. */
static char *repeat(const char *head, const char *part, size_t count, const char *tail)
{
	size_t length = strlen(part), used = strlen(head);
	char *text = malloc(used + count * length + strlen(tail) + 1);
	assert_non_null(text);
	memcpy(text, head, used);
	for (size_t i = 0; i < count; i++, used += length)
		memcpy(text + used, part, length);
	memcpy(text + used, tail, strlen(tail) + 1);
	return text;
}

static void assert_bound(char *text, const char *part)
{
	struct yaml_tree tree;
	assert_int_equal(read_text(text, &tree), -EBADMSG);
	assert_non_null(strstr(faults.each[0].text, part));
	assert_true(tree.items <= YAML_MAX_ITEMS);
	yaml_tree_free(&tree);
	free(text);
}

static void every_bound_is_a_sentence(void **state)
{
	assert_bound(repeat("", "[", YAML_MAX_DEPTH + 1, ""), "nested too deeply");
	assert_bound(repeat("", "- 1\n", YAML_MAX_MEMBERS + 1, ""), "512");
	assert_bound(repeat("a: 1\n", "---\n[1,2,3,4,5,6,7,8]\n", YAML_MAX_ITEMS / 8, ""), "16384");
	char *text = repeat("", "# 16 bytes long\n", YAML_MAX_SIZE / 16 + 1, "");
	struct yaml_tree tree;
	faults.count = faults.cut = 0;
	assert_int_equal(read_text(text, &tree), -EBADMSG);
	assert_non_null(strstr(faults.each[0].text, "1 MiB"));
	yaml_tree_free(&tree);
	free(text);
}

static void the_deepest_and_longest_that_is_allowed_is_read(void **state)
{
	struct yaml_tree tree;
	char *open = repeat("", "[", YAML_MAX_DEPTH, ""), *both = repeat(open, "]", YAML_MAX_DEPTH, "");
	assert_int_equal(read_text(both, &tree), 0);
	yaml_tree_free(&tree);
	free(open);
	free(both);
	char *list = repeat("", "- 1\n", YAML_MAX_MEMBERS, "");
	assert_int_equal(read_text(list, &tree), 0);
	yaml_tree_free(&tree);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_knows_its_place),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(documents_follow_each_other),
		cmocka_unit_test(nothing_is_an_empty_tree),
		cmocka_unit_test(only_plain_words_are_null),
		cmocka_unit_test(a_duplicate_key_names_both_lines),
		cmocka_unit_test(anchors_aliases_and_tags_are_refused_together),
		cmocka_unit_test(bad_bytes_have_a_line),
		cmocka_unit_test(an_escaped_nul_does_not_cut_a_value),
		cmocka_unit_test(a_byte_order_mark_and_crlf_are_nothing),
		cmocka_unit_test(syntax_errors_have_a_place),
		cmocka_unit_test(every_bound_is_a_sentence),
		cmocka_unit_test(the_deepest_and_longest_that_is_allowed_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
