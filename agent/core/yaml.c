/* SPDX-License-Identifier: Apache-2.0 */
/* See yaml.h. libyaml's events become items; its problems become sentences. */
#include "core/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reading {
	const char *file, *text;
	size_t size;
	struct yaml_tree *tree;
	struct config_faults *faults;
	yaml_parser_t parser;
	bool failed; /* something was refused; reading goes on where it can */
};

/* --- bytes ------------------------------------------------------------------------------------------------------------- */

/* The length of the UTF-8 sequence at `at`, 0 when it is none (overlong forms, surrogates and what lies above U+10FFFF are none). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
	size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
	if (length == 0 || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
	    (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

static const char *byte_problem(const unsigned char *at, size_t left, size_t *ret_length)
{
	*ret_length = utf8_length(at, left);
	if (at[0] == 0)
		return "a NUL byte: this is not a text file";
	if (*ret_length == 0)
		return "not valid UTF-8: save the file as UTF-8";
	if ((at[0] < 0x20 && at[0] != '\t' && at[0] != '\n' && at[0] != '\r') || at[0] == 0x7f ||
	    (at[0] == 0xc2 && at[1] < 0xa0 && at[1] != 0x85))
		return "a control character: this is not a text file, or something slipped in";
	return NULL;
}

/* libyaml says only the offset of a bad byte; people look for lines. */
static int check_bytes(struct reading *reading)
{
	const unsigned char *text = (const unsigned char *)reading->text;
	uint32_t line = 1, column = 1;
	size_t length;

	for (size_t at = 0; at < reading->size; at += length) {
		const char *problem = byte_problem(text + at, reading->size - at, &length);
		if (problem) {
			config_fault(reading->faults, reading->file, line, column, "%s", problem);
			return -EBADMSG;
		}
		column++;
		if (text[at] == '\n') {
			line++;
			column = 1;
		}
	}
	return 0;
}

/* --- items ------------------------------------------------------------------------------------------------------------- */

static uint32_t mark_line(const yaml_mark_t *mark)
{
	return (uint32_t)mark->line + 1;
}

static uint32_t mark_column(const yaml_mark_t *mark)
{
	return (uint32_t)mark->column + 1;
}

static void refuse(struct reading *reading, const yaml_mark_t *mark, const char *sentence)
{
	config_fault(reading->faults, reading->file, mark_line(mark), mark_column(mark), "%s", sentence);
	reading->failed = true;
}

static struct yaml_item *new_item(struct reading *reading, const yaml_event_t *event, enum item_kind kind, const char *text, size_t length)
{
	if (reading->tree->items == YAML_MAX_ITEMS) {
		refuse(reading, &event->start_mark, "too many values: a file may hold 16384; split it");
		return NULL;
	}

	struct yaml_item *item = calloc(1, sizeof(*item) + length + 1);
	if (!item) {
		refuse(reading, &event->start_mark, "out of memory");
		return NULL;
	}
	item->kind = kind;
	item->line = mark_line(&event->start_mark);
	item->column = mark_column(&event->start_mark);
	memcpy(item->text, text, length);
	item->older = reading->tree->newest;
	reading->tree->newest = item;
	reading->tree->items++;
	return item;
}

/* An indentation by tab is the commonest slip, and libyaml's words for it are the least helpful. */
static bool is_indented_by_tab(const struct reading *reading, size_t line)
{
	const char *at = reading->text, *end = reading->text + reading->size;
	for (; line && at < end; at++)
		line -= *at == '\n';
	while (at < end && *at == ' ')
		at++;
	return at < end && *at == '\t';
}

/* The parser cannot go on: says why, in its own words where ours are not better. */
static int syntax_fault(struct reading *reading)
{
	const yaml_parser_t *parser = &reading->parser;
	const yaml_mark_t *mark = parser->problem_mark.index || !parser->context ? &parser->problem_mark : &parser->context_mark;
	const char *problem = parser->problem ? parser->problem : "cannot be parsed";

	if (parser->error == YAML_MEMORY_ERROR)
		config_fault(reading->faults, reading->file, 0, 0, "out of memory");
	else if (is_indented_by_tab(reading, mark->line))
		refuse(reading, mark, "a tab where YAML wants spaces: indent with spaces");
	else if (parser->context && strcmp(parser->context, "while scanning an alias") == 0)
		refuse(reading, &parser->context_mark, "aliases (*name) are not used here, and a glob that begins with * needs quotes");
	else if (parser->context)
		config_fault(reading->faults, reading->file, mark_line(mark), mark_column(mark), "not YAML: %s, %s that began on line %u",
			     problem, parser->context, mark_line(&parser->context_mark));
	else
		config_fault(reading->faults, reading->file, mark_line(mark), mark_column(mark), "not YAML: %s", problem);
	return -EBADMSG;
}

static int next_event(struct reading *reading, yaml_event_t *ret_event)
{
	return yaml_parser_parse(&reading->parser, ret_event) ? 0 : syntax_fault(reading);
}

/* Anchors and tags are refused, but the value beside them can still be checked. */
static void refuse_decoration(struct reading *reading, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		refuse(reading, &event->start_mark, "anchors (&name) are not used here: write the value where it is needed");
	if (tag)
		refuse(reading, &event->start_mark, "tags (!name) are not used here: remove the tag");
}

static int read_item(struct reading *reading, const yaml_event_t *event, uint32_t depth, struct yaml_item **ret);

static int read_scalar(struct reading *reading, const yaml_event_t *event, struct yaml_item **ret)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;

	refuse_decoration(reading, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (memchr(text, 0, length)) {
		refuse(reading, &event->start_mark, "a NUL character (\\0) inside a value");
		length = 0;
	}
	*ret = new_item(reading, event, ITEM_SCALAR, text, length);
	if (!*ret)
		return -EBADMSG;
	(*ret)->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int read_list(struct reading *reading, const yaml_event_t *start, uint32_t depth, struct yaml_item **ret)
{
	refuse_decoration(reading, start, start->data.sequence_start.anchor, start->data.sequence_start.tag);
	struct yaml_item *list = new_item(reading, start, ITEM_LIST, "", 0);
	if (!list)
		return -EBADMSG;
	*ret = list;

	struct yaml_item **end = &list->first;
	for (uint32_t count = 0;; count++) {
		yaml_event_t event;
		int err = next_event(reading, &event);
		if (err)
			return err;
		bool ended = event.type == YAML_SEQUENCE_END_EVENT;
		if (!ended && count == YAML_MAX_MEMBERS) {
			refuse(reading, &event.start_mark, "too many members: a list may hold 512");
			err = -EBADMSG;
		} else if (!ended) {
			err = read_item(reading, &event, depth + 1, end);
		}
		yaml_event_delete(&event);
		if (err || ended)
			return err;
		if (*end)
			end = &(*end)->next;
	}
}

static int read_key(struct reading *reading, const yaml_event_t *event, struct yaml_item **ret)
{
	if (event->type == YAML_ALIAS_EVENT || event->type == YAML_SCALAR_EVENT)
		return read_item(reading, event, 0, ret);
	refuse(reading, &event->start_mark, "a key must be one word, not a list or a mapping");
	return -EBADMSG;
}

/* Links `member` into the mapping unless its key was there before: the first one stands, and the fault names both lines. */
static bool add_member(struct reading *reading, struct yaml_item *mapping, struct yaml_item **end, const struct yaml_item *key,
		       struct yaml_item *member)
{
	const struct yaml_item *earlier = yaml_member(mapping, key->text);
	char shown[CONFIG_SHOWN_LEN];
	if (earlier) {
		config_fault(reading->faults, reading->file, key->line, key->column,
			     "%s is there twice: it stands on line %u already; keep one", config_shown(shown, key->text),
			     earlier->key->line);
		reading->failed = true;
		return false;
	}
	member->key = key;
	*end = member;
	return true;
}

static int read_member(struct reading *reading, const yaml_event_t *key_event, uint32_t depth, struct yaml_item *mapping,
		       struct yaml_item ***end)
{
	struct yaml_item *key = NULL, *member = NULL;
	int err = read_key(reading, key_event, &key);
	if (err)
		return err;

	yaml_event_t event;
	err = next_event(reading, &event);
	if (err)
		return err;
	err = read_item(reading, &event, depth + 1, &member);
	yaml_event_delete(&event);
	if (key && member && add_member(reading, mapping, *end, key, member))
		*end = &member->next;
	return err;
}

static int read_mapping(struct reading *reading, const yaml_event_t *start, uint32_t depth, struct yaml_item **ret)
{
	refuse_decoration(reading, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
	struct yaml_item *mapping = new_item(reading, start, ITEM_MAPPING, "", 0);
	if (!mapping)
		return -EBADMSG;
	*ret = mapping;

	struct yaml_item **end = &mapping->first;
	for (uint32_t count = 0;; count++) {
		yaml_event_t event;
		int err = next_event(reading, &event);
		if (err)
			return err;
		bool ended = event.type == YAML_MAPPING_END_EVENT;
		if (!ended && count == YAML_MAX_MEMBERS) {
			refuse(reading, &event.start_mark, "too many members: a mapping may hold 512");
			err = -EBADMSG;
		} else if (!ended) {
			err = read_member(reading, &event, depth, mapping, &end);
		}
		yaml_event_delete(&event);
		if (err || ended)
			return err;
	}
}

/* Everything below `event`. An alias yields no item (*ret stays NULL) and a fault; the rest is still read. */
static int read_item(struct reading *reading, const yaml_event_t *event, uint32_t depth, struct yaml_item **ret)
{
	if (depth == YAML_MAX_DEPTH) {
		refuse(reading, &event->start_mark, "nested too deeply: no key here lies deeper than 24 levels");
		return -EBADMSG;
	}

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(reading, event, ret);
	case YAML_SEQUENCE_START_EVENT:
		return read_list(reading, event, depth, ret);
	case YAML_MAPPING_START_EVENT:
		return read_mapping(reading, event, depth, ret);
	case YAML_ALIAS_EVENT:
		refuse(reading, &event->start_mark,
		       "aliases (*name) are not used here: write the value itself; a glob that begins with * needs quotes");
		return 0;
	default:
		refuse(reading, &event->start_mark, "not YAML: something else than a value");
		return -EBADMSG;
	}
}

static int read_documents(struct reading *reading)
{
	struct yaml_item **end = &reading->tree->documents;
	for (;;) {
		yaml_event_t event;
		int err = next_event(reading, &event);
		if (err)
			return err;
		yaml_event_type_t type = event.type;
		bool is_frame = type == YAML_STREAM_START_EVENT || type == YAML_STREAM_END_EVENT || type == YAML_DOCUMENT_START_EVENT ||
				type == YAML_DOCUMENT_END_EVENT;
		if (!is_frame)
			err = read_item(reading, &event, 0, end);
		yaml_event_delete(&event);
		if (err || type == YAML_STREAM_END_EVENT)
			return err;
		if (*end)
			end = &(*end)->next;
	}
}

/* --- the module -------------------------------------------------------------------------------------------------------- */

int yaml_tree_read(const char *file, const char *text, size_t size, struct yaml_tree *ret, struct config_faults *faults)
{
	*ret = (struct yaml_tree){ 0 };
	if (size > YAML_MAX_SIZE) {
		config_fault(faults, file, 0, 0, "larger than 1 MiB: this is not a configuration of nodemend");
		return -EBADMSG;
	}
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark says nothing in UTF-8 */
		text += 3;
		size -= 3;
	}

	struct reading reading = { .file = file, .text = text, .size = size, .tree = ret, .faults = faults };
	int err = check_bytes(&reading);
	if (err)
		return err;
	if (!yaml_parser_initialize(&reading.parser)) {
		config_fault(faults, file, 0, 0, "out of memory");
		return -EBADMSG;
	}
	yaml_parser_set_encoding(&reading.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reading.parser, (const unsigned char *)text, size);
	err = read_documents(&reading);
	yaml_parser_delete(&reading.parser);
	return err ? err : reading.failed ? -EINVAL : 0;
}

void yaml_tree_free(struct yaml_tree *tree)
{
	while (tree->newest) {
		struct yaml_item *older = tree->newest->older;
		free(tree->newest);
		tree->newest = older;
	}
	*tree = (struct yaml_tree){ 0 };
}

const struct yaml_item *yaml_member(const struct yaml_item *mapping, const char *key)
{
	for (const struct yaml_item *member = mapping->first; member; member = member->next)
		if (member->key && strcmp(member->key->text, key) == 0)
			return member;
	return NULL;
}

bool yaml_is_null(const struct yaml_item *item)
{
	return item->kind == ITEM_SCALAR && item->plain &&
	       (!item->text[0] || strcmp(item->text, "~") == 0 || strcmp(item->text, "null") == 0);
}
