/* SPDX-License-Identifier: Apache-2.0 */
/* See procfs.h. */
#include "collect/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int procfs_open(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Some files come in one piece, some a page at a time: only an empty read says that it was all. */
ssize_t procfs_read(int fd, char *buffer, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = pread(fd, buffer + length, size - length, (off_t)length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	if (length == size)
		return -EFBIG;
	if (length == 0)
		return -ENODATA;

	buffer[length] = '\0';
	return (ssize_t)length;
}

ssize_t procfs_read_at(int dir_fd, const char *path, char *buffer, size_t size)
{
	int fd = procfs_open(dir_fd, path);
	if (fd < 0)
		return fd;

	ssize_t length = procfs_read(fd, buffer, size);
	close(fd);
	return length;
}

int span_of(const char *text, size_t size, struct span *ret)
{
	if (size == 0 || text[size - 1] != '\n' || memchr(text, '\0', size))
		return -EINVAL;

	*ret = (struct span){ text, text + size };
	return 0;
}

bool span_line(struct span *text, struct span *ret_line)
{
	if (text->at >= text->end)
		return false;

	const char *newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
	const char *end = newline ? newline : text->end;
	*ret_line = (struct span){ text->at, end };
	text->at = newline ? newline + 1 : text->end;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool span_word(struct span *line, struct span *ret_word)
{
	const char *at = line->at;
	while (at < line->end && is_blank(*at))
		at++;

	const char *end = at;
	while (end < line->end && !is_blank(*end))
		end++;

	line->at = end;
	*ret_word = (struct span){ at, end };
	return end > at;
}

bool span_is(const struct span *word, const char *text)
{
	size_t length = (size_t)(word->end - word->at);
	return strlen(text) == length && memcmp(word->at, text, length) == 0;
}

bool span_starts(struct span *text, const char *prefix)
{
	size_t length = strlen(prefix);
	if ((size_t)(text->end - text->at) < length || memcmp(text->at, prefix, length) != 0)
		return false;

	text->at += length;
	return true;
}

bool span_number(const struct span *word, uint64_t *ret)
{
	uint64_t value = 0;

	if (word->at >= word->end)
		return false;
	for (const char *at = word->at; at < word->end; at++) {
		if (*at < '0' || *at > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return false;
	}
	if (value == UNKNOWN)
		return false; /* a number that others would read as "unknown" must not pass for one */

	*ret = value;
	return true;
}

bool span_next_number(struct span *line, uint64_t *ret)
{
	struct span word;
	return span_word(line, &word) && span_number(&word, ret);
}

bool span_fixed2(const struct span *word, uint32_t *ret)
{
	uint64_t whole, part;
	const char *dot = memchr(word->at, '.', (size_t)(word->end - word->at));
	if (!dot || word->end - dot != 3)
		return false;

	struct span before = { word->at, dot }, after = { dot + 1, word->end };
	if (!span_number(&before, &whole) || !span_number(&after, &part) || whole > UINT32_MAX / 100 - 1)
		return false;

	*ret = (uint32_t)(whole * 100 + part);
	return true;
}

size_t span_copy(const struct span *word, char *to, size_t size)
{
	size_t length = (size_t)(word->end - word->at), fits = length < size ? length : size - 1;
	memcpy(to, word->at, fits);
	to[fits] = '\0';
	return length;
}
