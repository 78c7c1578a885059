/* SPDX-License-Identifier: Apache-2.0 */
/* See chain.h. */
#include "keep/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int lines_open(struct lines *lines, int fd, off_t from)
{
	*lines = (struct lines){ .fd = fd, .offset = from, .end = from, .buffer = malloc(2 * JOURNAL_LINE_MAX) };
	return lines->buffer ? 0 : -ENOMEM;
}

void lines_close(struct lines *lines)
{
	free(lines->buffer);
	lines->buffer = NULL;
}

static int fill(struct lines *lines)
{
	memmove(lines->buffer, lines->buffer + lines->at, lines->have - lines->at);
	lines->offset += (off_t)lines->at;
	lines->have -= lines->at;
	lines->at = 0;

	ssize_t got = file_read(lines->fd, lines->buffer + lines->have, 2 * JOURNAL_LINE_MAX - lines->have, lines->offset + (off_t)lines->have);
	if (got < 0)
		return (int)got;
	lines->ended = lines->have + (size_t)got < 2 * JOURNAL_LINE_MAX;
	lines->have += (size_t)got;
	return 0;
}

int lines_next(struct lines *lines, const char **ret, size_t *ret_size)
{
	for (;;) {
		char *from = lines->buffer + lines->at;
		char *newline = memchr(from, '\n', lines->have - lines->at);
		if (newline) {
			*ret = from;
			*ret_size = (size_t)(newline - from);
			lines->at += *ret_size + 1;
			lines->end = lines->offset + (off_t)lines->at;
			return *ret_size > JOURNAL_LINE_MAX ? -EMSGSIZE : 1;
		}
		if (lines->have - lines->at > JOURNAL_LINE_MAX)
			return -EMSGSIZE;
		if (lines->ended) {
			lines->torn = lines->have - lines->at;
			return 0;
		}
		int error = fill(lines);
		if (error < 0)
			return error;
	}
}

bool line_prev(const char *line, size_t size, char ret[DIGEST_LEN])
{
	static const char before[] = ",\"prev\":\"";
	const size_t hex = DIGEST_LEN - 1, tail = sizeof(before) - 1 + hex + 2;
	if (size <= tail || line[0] != '{')
		return false;

	const char *at = line + size - tail;
	if (memcmp(at, before, sizeof(before) - 1) != 0 || memcmp(line + size - 2, "\"}", 2) != 0)
		return false;
	at += sizeof(before) - 1;
	for (size_t i = 0; i < hex; i++)
		if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
			return false;
	memcpy(ret, at, hex);
	ret[hex] = '\0';
	return true;
}

int chain_last(int dir_fd, const char *name, char ret[DIGEST_LEN])
{
	int fd = file_open(dir_fd, name, O_RDONLY);
	if (fd < 0)
		return fd;
	/* Two of the longest lines from the end hold the last one whole; a line cut at the window's start only goes unused. */
	off_t size = lseek(fd, 0, SEEK_END), window = 2 * JOURNAL_LINE_MAX;
	struct lines lines;
	int error = lines_open(&lines, fd, size > window ? size - window : 0);
	const char *line;
	size_t length;
	memcpy(ret, CHAIN_BEGIN, DIGEST_LEN);
	while (!error && (error = lines_next(&lines, &line, &length)) > 0) {
		digest_of(line, length, ret);
		error = 0;
	}
	lines_close(&lines);
	close(fd);
	return error;
}
