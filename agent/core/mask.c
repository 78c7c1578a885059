/* SPDX-License-Identifier: Apache-2.0 */
/* See mask.h: finders mark bytes, one pass writes what is not marked. Here, too, the user's rules. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "mask.h"

#include <fnmatch.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "core/mask_find.h"

/* A pattern with nested repeats must not stop the agent: 20 000 steps are some hundred microseconds, then it counts as no match. */
enum { MATCH_LIMIT = 20000, DEPTH_LIMIT = 1000, HEAP_LIMIT_KIB = 64, MATCHES_MAX = 64 };

static struct {
	struct mask_rules rules;
	pcre2_code *codes[MASK_MAX_PATTERNS];
	pcre2_match_data *data;
	pcre2_match_context *limits;
} user;

/* --- the user's rules -------------------------------------------------------------------------------------------------- */

static pcre2_code *compile(const char *pattern, char *why, size_t size)
{
	int error;
	size_t at;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &error, &at, NULL);
	if (!code && size) {
		char text[96];
		pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof(text));
		snprintf(why, size, "at character %zu: %s", at + 1, text);
	}
	return code;
}

bool mask_pattern_ok(const char *pattern, char *why, size_t size)
{
	pcre2_code *code = compile(pattern, why, size);
	pcre2_code_free(code);
	return code != NULL;
}

void mask_use(const struct mask_rules *rules)
{
	for (uint32_t i = 0; i < MASK_MAX_PATTERNS; i++) {
		pcre2_code_free(user.codes[i]);
		user.codes[i] = NULL;
	}
	user.rules = rules ? *rules : (struct mask_rules){ 0 };
	if (!user.rules.pattern_count)
		return;

	if (!user.data)
		user.data = pcre2_match_data_create(2, NULL);
	if (!user.limits)
		user.limits = pcre2_match_context_create(NULL);
	if (!user.data || !user.limits)
		return; /* no memory: the built-in rules go on */
	pcre2_set_match_limit(user.limits, MATCH_LIMIT);
	pcre2_set_depth_limit(user.limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(user.limits, HEAP_LIMIT_KIB);
	for (uint32_t i = 0; i < user.rules.pattern_count && i < MASK_MAX_PATTERNS; i++)
		user.codes[i] = compile(user.rules.patterns[i], NULL, 0);
}

bool is_user_key(const char *name, size_t length)
{
	char closed[MASK_KEY_LEN];
	if (!user.rules.key_count || length >= sizeof(closed))
		return false;
	memcpy(closed, name, length);
	closed[length] = '\0';
	for (uint32_t i = 0; i < user.rules.key_count && i < MASK_MAX_KEYS; i++)
		if (fnmatch(user.rules.keys[i], closed, FNM_CASEFOLD) == 0)
			return true;
	return false;
}

static void find_patterns(struct marked *marked)
{
	for (uint32_t i = 0; i < MASK_MAX_PATTERNS; i++) {
		size_t from = 0;
		for (int n = 0; user.codes[i] && user.data && from <= marked->length && n < MATCHES_MAX; n++) {
			int groups = pcre2_match(user.codes[i], (PCRE2_SPTR)marked->text, marked->length, from, 0, user.data, user.limits);
			if (groups < 0)
				break; /* none, or more than the limits allow */
			const size_t *at = pcre2_get_ovector_pointer(user.data);
			bool grouped = groups != 1 && at[2] != PCRE2_UNSET;
			mark_hidden(marked, at[grouped ? 2 : 0], at[grouped ? 3 : 1]);
			from = at[1] > from ? at[1] : from + 1;
		}
	}
}

/* --- marks ------------------------------------------------------------------------------------------------------------- */

void mark_hidden(struct marked *marked, size_t from, size_t to)
{
	if (to > marked->length)
		to = marked->length;
	if (from < to)
		memset(marked->hidden + from, 1, to - from);
}

static bool is_quote_at(const struct marked *marked, size_t at)
{
	return at < marked->length && (marked->text[at] == '"' || marked->text[at] == '\'');
}

size_t find_word(const struct marked *marked, size_t from, size_t *ret_start, size_t *ret_end)
{
	const char *text = marked->text;
	/* \" opens inside of a text that is quoted itself, and its like closes. */
	size_t slash = from < marked->length && text[from] == '\\' && is_quote_at(marked, from + 1);
	char quote = is_quote_at(marked, from + slash) ? text[from + slash] : '\0';
	size_t at = quote ? from + slash + 1 : from;

	*ret_start = at;
	for (; at < marked->length; at++) {
		if (quote && text[at] == '\\' && at + 1 < marked->length) {
			if (slash && text[at + 1] == quote)
				break;
			at++;
		} else if (quote ? text[at] == quote : (unsigned char)text[at] <= ' ') {
			break;
		}
	}
	*ret_end = at < marked->length ? at : marked->length;
	return at < marked->length && quote ? at + 1 + slash : *ret_end;
}

size_t word_end(const struct marked *marked, size_t from)
{
	size_t start, end;
	return find_word(marked, from, &start, &end);
}

/* A secret that hides in nothing at all: no separator, nothing long. Most names are so, and cost one look. */
static bool is_plain_name(const char *text, size_t length)
{
	return length < 16 && strcspn(text, "=:@- /") == length && !user.rules.pattern_count;
}

static size_t write_out(const struct marked *marked, char *out, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; i < marked->length && used + 1 < size;) {
		if (!marked->hidden[i]) {
			out[used++] = marked->text[i++];
			continue;
		}
		while (i < marked->length && marked->hidden[i])
			i++;
		for (int star = 0; star < 3 && used + 1 < size; star++)
			out[used++] = '*';
	}
	out[used] = '\0';
	return used;
}

size_t mask_text(char *out, size_t size, const char *in)
{
	size_t length = strnlen(in, MASK_TEXT_MAX);
	if (!size)
		return 0;

	if (length < MASK_TEXT_MAX && is_plain_name(in, length)) {
		length = length < size ? length : size - 1;
		memcpy(out, in, length);
		out[length] = '\0';
		return length;
	}

	struct marked marked;
	marked.text = in;
	marked.length = length;
	memset(marked.hidden, 0, length);
	find_values(&marked);
	find_options(&marked);
	find_shapes(&marked);
	find_patterns(&marked);
	return write_out(&marked, out, size);
}

void mask_in_place(char *text, size_t size)
{
	char copy[MASK_TEXT_MAX];
	size_t length = strnlen(text, size < sizeof(copy) ? size : sizeof(copy) - 1);
	if (length == size || length == sizeof(copy) - 1)
		length--;
	memcpy(copy, text, length);
	copy[length] = '\0';
	mask_text(text, size, copy);
}

bool mask_has_patterns(void)
{
	return user.rules.pattern_count > 0;
}

bool mask_is_secret_name(const char *name)
{
	return name_secrecy(name, strlen(name)) != NOT_SECRET;
}
