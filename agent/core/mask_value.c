/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets by their names: name=value, "name": "value", Name: value, --name value, and the letters that single tools use. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "core/mask_find.h"

static bool is_name_byte(char byte)
{
	return isalnum((unsigned char)byte) || byte == '_' || byte == '-' || byte == '.';
}

static bool is_quote(char byte)
{
	return byte == '"' || byte == '\'' || byte == '\\';
}

static bool is_word(const struct marked *marked, size_t from, size_t to, const char *word)
{
	return to - from == strlen(word) && strncasecmp(marked->text + from, word, to - from) == 0;
}

static size_t skip_blanks(const struct marked *marked, size_t at)
{
	while (at < marked->length && (marked->text[at] == ' ' || marked->text[at] == '\t'))
		at++;
	return at;
}

/* --- name and value ---------------------------------------------------------------------------------------------------- */

/* "Bearer abc", "Basic abc": the scheme is no secret by itself, what follows is; those with several parts reach to the end. */
static size_t end_of_scheme(const struct marked *marked, size_t from, size_t end)
{
	static const char *const one[] = { "apikey", "basic", "bearer", "negotiate", "splunk", "token" };
	static const char *const many[] = { "digest", "aws4-hmac-sha256", "hawk", "oauth" };
	for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++)
		if (is_word(marked, from, end, one[i]))
			return word_end(marked, skip_blanks(marked, end));
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		if (is_word(marked, from, end, many[i]))
			return marked->length;
	return end;
}

/* The name before a separator. */
struct name {
	size_t from, to;
	bool in_query;      /* ?name= or &name=: its value ends at the next & */
	char quote;         /* 'name: value': one that stands before the name and closes behind the value; 0 = none */
};

static struct name name_before(const struct marked *marked, size_t separator)
{
	const char *text = marked->text;
	struct name name = { .to = separator };
	while (text[separator] == ':' && name.to && text[name.to - 1] == ' ')
		name.to--;
	bool quoted = false;
	for (; name.to && is_quote(text[name.to - 1]); name.to--)
		quoted = true;
	for (name.from = name.to; name.from && is_name_byte(text[name.from - 1]);)
		name.from--;
	char before = name.from ? text[name.from - 1] : '\0';
	name.in_query = before == '?' || before == '&';
	name.quote = !quoted && (before == '"' || before == '\'') ? before : '\0';
	while (name.from < name.to && text[name.from] == '-')
		name.from++;
	return name;
}

static bool is_cookie(const struct marked *marked, const struct name *name)
{
	return name->to - name->from >= 6 && strncasecmp(marked->text + name->to - 6, "cookie", 6) == 0;
}

/* Up to where the value is hidden; `start` moves behind its quote. */
static size_t value_end(const struct marked *marked, const struct name *name, size_t *start)
{
	const char *text = marked->text, *close;
	size_t from = *start, end;
	if (name->quote && (close = memchr(text + from, name->quote, marked->length - from)))
		return (size_t)(close - text);
	if (is_cookie(marked, name))
		return marked->length;
	(void)find_word(marked, from, start, &end);
	/* A value of a query ends at its &; elsewhere a password may hold one. */
	for (size_t i = from; name->in_query && i < end; i++)
		if (text[i] == '&' || text[i] == '#')
			return i;
	return end_of_scheme(marked, *start, end);
}

static void look_at_separator(struct marked *marked, size_t separator)
{
	const char *text = marked->text;
	bool colon = text[separator] == ':';
	struct name name = name_before(marked, separator);
	enum secrecy secrecy = name_secrecy(text + name.from, name.to - name.from);
	if (secrecy == NOT_SECRET || (secrecy == WEAK_SECRET && colon))
		return;

	size_t from = colon ? skip_blanks(marked, separator + 1) : separator + 1;
	/* A key that is a path names where it lies. */
	if (from >= marked->length || (secrecy == WEAK_SECRET && (text[from] == '/' || text[from] == '.')))
		return;
	size_t end = value_end(marked, &name, &from);
	mark_hidden(marked, from, end);
}

void find_values(struct marked *marked)
{
	for (size_t i = 1; i < marked->length; i++)
		if (marked->text[i] == '=' || marked->text[i] == ':')
			look_at_separator(marked, i);
}

/* --- options ----------------------------------------------------------------------------------------------------------- */

/* What single tools call their passwords: attached to the letter, as the next word, or behind a mark in it (user:password). */
static const struct tool_option {
	const char *tool;      /* begins the program's name */
	const char *option;
	bool attached, next;
	char after;            /* 0 = all of it */
	const char *verb;      /* only behind this word; NULL = always */
} tool_options[] = {
	{ "7z", "-p", true, false, 0, NULL },
	{ "curl", "--proxy-user", false, true, ':', NULL },
	{ "curl", "--user", false, true, ':', NULL },
	{ "curl", "-U", true, true, ':', NULL },
	{ "curl", "-u", true, true, ':', NULL },
	{ "docker", "-p", false, true, 0, "login" },
	{ "ldap", "-w", true, true, 0, NULL },
	{ "mariadb", "-p", true, false, 0, NULL },
	{ "mongo", "-p", false, true, 0, NULL },
	{ "mysql", "-p", true, false, 0, NULL },
	{ "net", "-U", true, true, '%', NULL },
	{ "podman", "-p", false, true, 0, "login" },
	{ "redis-cli", "-a", false, true, 0, NULL },
	{ "smbclient", "-U", true, true, '%', NULL },
	{ "sqlcmd", "-P", true, true, 0, NULL },
	{ "sshpass", "-p", true, true, 0, NULL },
	{ "zip", "-P", true, true, 0, NULL },
	{ "unzip", "-P", true, true, 0, NULL },
};

static void hide_after(struct marked *marked, size_t from, size_t end, char mark)
{
	const char *at = mark ? memchr(marked->text + from, mark, end - from) : marked->text + from - 1;
	if (at)
		mark_hidden(marked, (size_t)(at - marked->text) + 1, end);
}

static void look_for_tool_option(struct marked *marked, const struct tool_option *option, size_t word, size_t end)
{
	size_t size = strlen(option->option), next = skip_blanks(marked, end);
	if (end - word < size || memcmp(marked->text + word, option->option, size) != 0)
		return;
	if (end - word > size && option->attached)
		hide_after(marked, word + size, end, option->after);
	else if (end - word == size && option->next && next < marked->length)
		hide_after(marked, next + is_quote(marked->text[next]), word_end(marked, next), option->after);
}

static bool is_tool(const struct marked *marked, size_t from, size_t end, const char *tool)
{
	for (size_t i = end; i > from; i--)
		if (marked->text[i - 1] == '/') {
			from = i;
			break;
		}
	size_t size = strlen(tool);
	return end - from >= size && memcmp(marked->text + from, tool, size) == 0;
}

static void look_for_tool(struct marked *marked, size_t from, size_t end)
{
	for (size_t i = 0; i < sizeof(tool_options) / sizeof(tool_options[0]); i++) {
		if (!is_tool(marked, from, end, tool_options[i].tool))
			continue;
		bool armed = !tool_options[i].verb;
		for (size_t word = skip_blanks(marked, end); word < marked->length;) {
			size_t stop = word_end(marked, word);
			armed = armed || is_word(marked, word, stop, tool_options[i].verb);
			if (armed && marked->text[word] == '-')
				look_for_tool_option(marked, &tool_options[i], word, stop);
			word = stop + 1; /* a blank, or the beginning of what sticks to a quote */
		}
	}
}

static void look_for_option(struct marked *marked, size_t word, size_t end)
{
	size_t name = word, next = skip_blanks(marked, end);
	while (name < end && marked->text[name] == '-')
		name++;
	/* One letter is a tool's own, and a word behind that is an option itself is no value. */
	if (end - name < 2 || next >= marked->length || next == end || marked->text[next] == '-')
		return;
	for (size_t i = name; i < end; i++)
		if (!is_name_byte(marked->text[i]))
			return;
	/* `sort --key 2`, `tool --key file`: a key of its own is only one with =. */
	if (is_word(marked, name, end, "key") || name_secrecy(marked->text + name, end - name) == NOT_SECRET)
		return;
	size_t from, to;
	(void)find_word(marked, next, &from, &to);
	mark_hidden(marked, from, to);
}

/* "bearer abcdefgh" without a name before it. */
static void look_for_bearer(struct marked *marked, size_t word, size_t end)
{
	enum { SHORTEST_TOKEN = 8 }; /* "the bearer of news" */
	size_t next = skip_blanks(marked, end), stop = next;
	while (stop < marked->length && (unsigned char)marked->text[stop] > ' ' && !is_quote(marked->text[stop]))
		stop++;
	if (is_word(marked, word, end, "bearer") && stop - next >= SHORTEST_TOKEN)
		mark_hidden(marked, next, stop);
}

void find_options(struct marked *marked)
{
	uint32_t words = 0;
	for (size_t i = 0; i < marked->length;) {
		while (i < marked->length && ((unsigned char)marked->text[i] <= ' ' || is_quote(marked->text[i])))
			i++;
		size_t end = i;
		while (end < marked->length && (unsigned char)marked->text[end] > ' ' && !is_quote(marked->text[end]))
			end++;
		if (i == end)
			break;
		if (marked->text[i] == '-')
			look_for_option(marked, i, end);
		else if (words < 64) { /* the tool stands near the beginning, behind sudo, env, sh -c */
			look_for_tool(marked, i, end);
			look_for_bearer(marked, i, end);
		}
		words++;
		i = end;
	}
}
