/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets by their looks: a password in a URL, tokens whose makers gave them a beginning, JSON web tokens, private keys. */
#include <ctype.h>
#include <string.h>

#include "core/mask_find.h"

/* --- user:password@ ---------------------------------------------------------------------------------------------------- */

/* What stands alone before the @ is a user, unless nobody could have that name: then it is a token. */
enum { LONGEST_USER = 20 };

static void look_at_authority(struct marked *marked, size_t from)
{
	const char *text = marked->text;
	size_t at = 0, colon = 0, end = from;
	for (; end < marked->length && (unsigned char)text[end] > ' ' && !strchr("/?#\"'<>", text[end]); end++) {
		if (text[end] == '@')
			at = end;
		if (text[end] == ':' && !colon)
			colon = end;
	}
	if (!at)
		return;
	if (colon && colon < at)
		mark_hidden(marked, colon + 1, at);
	if ((colon && colon < at ? colon : at) - from > LONGEST_USER)
		mark_hidden(marked, from, at);
}

/* --- tokens ------------------------------------------------------------------------------------------------------------ */

static bool is_upper(unsigned char byte)
{
	return isupper(byte) || isdigit(byte);
}

static bool is_token(unsigned char byte)
{
	return isalnum(byte) || byte == '_' || byte == '-';
}

/* A beginning and how much must follow. */
static const struct token {
	const char *begins;
	uint32_t least;
	bool (*holds)(unsigned char byte);
} tokens[] = {
	{ "AGPA", 16, is_upper },    { "AIDA", 16, is_upper },	{ "AIza", 30, is_token },	  { "AKIA", 16, is_upper },
	{ "ANPA", 16, is_upper },    { "AROA", 16, is_upper },	{ "ASIA", 16, is_upper },	  { "dop_v1_", 32, is_token },
	{ "gho_", 20, is_token },    { "ghp_", 20, is_token },	{ "ghr_", 20, is_token },	  { "ghs_", 20, is_token },
	{ "ghu_", 20, is_token },    { "glpat-", 16, is_token }, { "github_pat_", 20, is_token }, { "hvs.", 20, is_token },
	{ "npm_", 30, is_token },    { "pypi-", 40, is_token },	{ "rk_live_", 16, is_token },	  { "sk-", 20, is_token },
	{ "sk_live_", 16, is_token }, { "xoxa-", 10, is_token }, { "xoxb-", 10, is_token },	  { "xoxp-", 10, is_token },
	{ "xoxr-", 10, is_token },   { "xoxs-", 10, is_token },
};

static size_t run_of(const struct marked *marked, size_t from, bool (*holds)(unsigned char byte))
{
	size_t end = from;
	while (end < marked->length && holds((unsigned char)marked->text[end]))
		end++;
	return end;
}

static bool begins(const struct marked *marked, size_t at, const char *text)
{
	size_t size = strlen(text);
	return marked->length - at >= size && memcmp(marked->text + at, text, size) == 0;
}

static void look_for_token(struct marked *marked, size_t at)
{
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		if (!begins(marked, at, tokens[i].begins))
			continue;
		size_t tail = at + strlen(tokens[i].begins), end = run_of(marked, tail, tokens[i].holds);
		if (end - tail >= tokens[i].least)
			mark_hidden(marked, at, run_of(marked, end, is_token));
	}
}

/* Three runs of base64url with points between; the first is JSON, so it begins with {" . */
static void look_for_jwt(struct marked *marked, size_t at)
{
	enum { SHORTEST_PART = 4 };
	if (!begins(marked, at, "eyJ"))
		return;
	size_t head = run_of(marked, at, is_token);
	if (head >= marked->length || marked->text[head] != '.')
		return;
	size_t body = run_of(marked, head + 1, is_token);
	if (body - head <= SHORTEST_PART)
		return;
	mark_hidden(marked, at, body < marked->length && marked->text[body] == '.' ? run_of(marked, body + 1, is_token) : body);
}

static void look_for_private_key(struct marked *marked, size_t at)
{
	static const char ending[] = "-----END";
	if (!begins(marked, at, "-----BEGIN "))
		return;
	const char *word = memmem(marked->text + at, marked->length - at, "PRIVATE KEY", 11);
	if (!word)
		return;
	const char *stop = memmem(word, marked->length - (size_t)(word - marked->text), ending, sizeof(ending) - 1);
	mark_hidden(marked, (size_t)(word - marked->text) + 11, stop ? (size_t)(stop - marked->text) : marked->length);
}

void find_shapes(struct marked *marked)
{
	for (size_t i = 0; i < marked->length; i++) {
		bool first = i == 0 || !is_token((unsigned char)marked->text[i - 1]);
		if (marked->text[i] == '/' && i + 1 < marked->length && marked->text[i + 1] == '/')
			look_at_authority(marked, i + 2);
		if (first)
			look_for_token(marked, i);
		if (first || marked->text[i - 1] == '_' || marked->text[i - 1] == '-')
			look_for_jwt(marked, i);
		if (marked->text[i] == '-')
			look_for_private_key(marked, i);
	}
}
