/* SPDX-License-Identifier: Apache-2.0 */
/* See logrotate_config.h. After logrotate's config.c (3.21): names, a brace, directives one a line, scripts up to `endscript`, a brace. */
#include "remedies/logrotate_config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remedies/root_path.h"

enum { GLOBALS_LEN = 16 * 1024, MAX_INCLUDED = 256, MAX_INCLUDE_DEPTH = 3, WORD_LEN = 32 };

struct reading {
	void (*visit)(const struct logrotate_stanza *stanza, void *context);
	void *context;
	struct logrotate_read *told;
	bool follows;                        /* includes */
	uint32_t depth;
	struct logrotate_stanza stanza;
	size_t globals_length;
	char globals[GLOBALS_LEN];
};

static int read_file(struct reading *reading, const char *path);

static int fault(struct reading *reading, const char *source, uint32_t line, const char *what)
{
	if (!reading->told->fault[0])
		snprintf(reading->told->fault, sizeof(reading->told->fault), "%.120s:%u: %s", source, line, what);
	return -EINVAL;
}

/* --- lines ---------------------------------------------------------------------------------------------------------------------- */

struct lines {
	const char *at, *end, *line, *line_end;   /* the current one, without the blanks before it and the newline */
	uint32_t number;
};

static bool next_line(struct lines *lines)
{
	if (lines->at >= lines->end)
		return false;
	const char *newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
	lines->line = lines->at;
	lines->line_end = newline ? newline : lines->end;
	lines->at = newline ? newline + 1 : lines->end;
	lines->number++;
	while (lines->line < lines->line_end && isspace((unsigned char)*lines->line))
		lines->line++;
	return true;
}

static bool is_word(const struct lines *lines, const char *word)
{
	size_t length = strlen(word);
	const char *after = lines->line + length;
	return (size_t)(lines->line_end - lines->line) >= length && memcmp(lines->line, word, length) == 0 &&
	       (after == lines->line_end || isspace((unsigned char)*after) || *after == '=');
}

static bool begins_script(const struct lines *lines)
{
	static const char *const scripts[] = { "firstaction", "lastaction", "postrotate", "preremove", "prerotate" };
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (is_word(lines, scripts[i]))
			return true;
	return false;
}

/* False: the text ended in it. */
static bool pass_script(struct lines *lines)
{
	while (next_line(lines))
		if (is_word(lines, "endscript"))
			return true;
	return false;
}

/* --- stanzas -------------------------------------------------------------------------------------------------------------------- */

/* One name from `*at` on, in quotes or up to a blank; false: too long, too many, or a quote without end. */
static bool take_pattern(struct logrotate_stanza *stanza, const char **at, const char *end)
{
	char quote = **at == '"' || **at == '\'' ? *(*at)++ : '\0';
	const char *from = *at;
	while (*at < end && (quote ? **at != quote : !isspace((unsigned char)**at) && **at != '{'))
		(*at)++;
	size_t length = (size_t)(*at - from);
	if ((quote && *at == end) || !length || length >= PATH_LEN || stanza->pattern_count == MAX_STANZA_PATTERNS)
		return false;
	*at += quote != '\0';
	char *pattern = stanza->patterns[stanza->pattern_count++];
	memcpy(pattern, from, length);
	pattern[length] = '\0';
	return true;
}

/* The names may stand on several lines. The current line begins with the first. */
static int take_names(struct reading *reading, struct lines *lines, const char *source)
{
	do {
		const char *at = lines->line;
		while (at < lines->line_end && *at != '#') {
			if (isspace((unsigned char)*at)) {
				at++;
				continue;
			}
			if (*at == '{')
				return 0;
			if (!take_pattern(&reading->stanza, &at, lines->line_end))
				return fault(reading, source, lines->number, "a name that is too long, without its end, or one too many");
		}
	} while (next_line(lines));
	return fault(reading, source, lines->number, "names without a {");
}

static int take_stanza(struct reading *reading, struct lines *lines, const char *source)
{
	struct logrotate_stanza *stanza = &reading->stanza;
	*stanza = (struct logrotate_stanza){ .source = source, .line = lines->number, .text = lines->line, .globals = reading->globals,
					     .globals_length = reading->globals_length };
	int error = take_names(reading, lines, source);
	if (error < 0)
		return error;
	while (next_line(lines)) {
		if (begins_script(lines) && !pass_script(lines))
			break;
		if (lines->line == lines->line_end || *lines->line != '}')
			continue;
		stanza->length = (size_t)(lines->line + 1 - stanza->text);
		reading->told->stanzas++;
		reading->visit(stanza, reading->context);
		return 0;
	}
	return fault(reading, source, stanza->line, "a { without its }");
}

/* --- files ---------------------------------------------------------------------------------------------------------------------- */

static int keep_global(struct reading *reading, const char *from, const char *to, const char *source, uint32_t line)
{
	size_t length = (size_t)(to - from);
	if (length + 1 > GLOBALS_LEN - reading->globals_length)
		return fault(reading, source, line, "more directives outside of stanzas than there is room for");
	memcpy(reading->globals + reading->globals_length, from, length);
	reading->globals[reading->globals_length + length] = '\n';
	reading->globals_length += length + 1;
	return 0;
}

/* The defaults of logrotate's tabooext: what editors and package managers leave behind. */
static bool is_taboo(const char *name)
{
	static const char *const endings[] = {
		",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp", ".rhn-cfg-tmp-*",
		".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", "~",
	};
	size_t length = strlen(name);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (length >= strlen(endings[i]) && strcmp(name + length - strlen(endings[i]), endings[i]) == 0)
			return true;
	return name[0] == '.';
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_directory(struct reading *reading, int fd, const char *path)
{
	char *names[MAX_INCLUDED], below[PATH_LEN * 2];
	uint32_t count = 0;
	int error = 0;
	DIR *folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return -errno;
	}
	const struct dirent *entry;
	while ((entry = readdir(folder)))
		if (!is_taboo(entry->d_name) && count < MAX_INCLUDED && (names[count] = strdup(entry->d_name)))
			count++;
	closedir(folder);
	qsort(names, count, sizeof(names[0]), compare_names);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(below, sizeof(below), "%s/%s", path, names[i]);
		int failed = read_file(reading, below);
		if (failed == -EINVAL)
			error = failed;
		free(names[i]);
	}
	return error;
}

static int follow(struct reading *reading, const struct lines *lines)
{
	char path[PATH_LEN];
	const char *at = lines->line + strlen("include"), *end = lines->line_end;
	while (at < end && (isspace((unsigned char)*at) || *at == '='))
		at++;
	while (end > at && isspace((unsigned char)end[-1]))
		end--;
	if (!reading->follows || reading->depth == MAX_INCLUDE_DEPTH || end - at >= PATH_LEN)
		return 0;
	snprintf(path, sizeof(path), "%.*s", (int)(end - at), at);
	reading->depth++;
	int error = read_file(reading, path);
	reading->depth--;
	return error == -EINVAL ? error : 0; /* what is not there includes nothing */
}

static int read_text(struct reading *reading, const char *text, size_t length, const char *source)
{
	struct lines lines = { .at = text, .end = text + length };
	int error = memchr(text, '\0', length) ? fault(reading, source, 1, "it is no text: there is a NUL in it") : 0;
	while (error == 0 && next_line(&lines)) {
		const char *from = lines.line;
		if (lines.line == lines.line_end || *lines.line == '#')
			continue;
		if (*lines.line == '/' || *lines.line == '"' || *lines.line == '\'' || *lines.line == '~')
			error = take_stanza(reading, &lines, source);
		else if (is_word(&lines, "include"))
			error = follow(reading, &lines);
		else if (begins_script(&lines) && !pass_script(&lines))
			error = fault(reading, source, lines.number, "a script without its endscript");
		else
			error = keep_global(reading, from, lines.line_end, source, lines.number);
	}
	return error;
}

static int read_file(struct reading *reading, const char *path)
{
	struct stat found;
	int fd = root_path_open(path, O_RDONLY);
	if (fd < 0) {
		reading->told->unsafe += fd == -EPERM || fd == -ELOOP;
		return fd;
	}
	int error = fstat(fd, &found) < 0 ? -errno : 0;
	if (error == 0 && S_ISDIR(found.st_mode))
		return read_directory(reading, fd, path);
	if (error == 0 && (!S_ISREG(found.st_mode) || found.st_size > LOGROTATE_TEXT_LEN))
		error = S_ISREG(found.st_mode) ? fault(reading, path, 1, "larger than is read") : -ENOENT;
	char *text = error == 0 ? malloc(LOGROTATE_TEXT_LEN) : NULL;
	ssize_t got = text ? read(fd, text, LOGROTATE_TEXT_LEN) : -1;
	if (error == 0 && got < 0)
		error = -EIO;
	close(fd);
	if (error == 0) {
		reading->told->files++;
		error = read_text(reading, text, (size_t)got, path);
	}
	free(text);
	return error;
}

static int each(const char *text, size_t length, const char *path, void (*visit)(const struct logrotate_stanza *stanza, void *context), void *context,
		struct logrotate_read *ret)
{
	struct reading *reading = malloc(sizeof(*reading));
	*ret = (struct logrotate_read){ .files = 0 };
	if (!reading)
		return -ENOMEM;
	reading->visit = visit;
	reading->context = context;
	reading->told = ret;
	reading->follows = !text;
	reading->depth = 0;
	reading->globals_length = 0;
	int error = text ? read_text(reading, text, length, "text") : read_file(reading, path);
	free(reading);
	return error;
}

int logrotate_each(const char *path, void (*visit)(const struct logrotate_stanza *stanza, void *context), void *context, struct logrotate_read *ret)
{
	return each(NULL, 0, path, visit, context, ret);
}

int logrotate_each_in(const char *text, size_t length, void (*visit)(const struct logrotate_stanza *stanza, void *context), void *context,
		      struct logrotate_read *ret)
{
	return each(text, length, NULL, visit, context, ret);
}
