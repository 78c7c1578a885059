/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a journal and how each leads to the next: `"prev":"<hex>"}` ends every line and is the SHA-256 of the whole
 * line before it, its own prev included, its newline not. Reading is bounded: a line is at most JOURNAL_LINE_MAX bytes.
 */
#ifndef NODEMEND_KEEP_CHAIN_H
#define NODEMEND_KEEP_CHAIN_H

#include <stdbool.h>

#include "keep/files.h"

enum { JOURNAL_LINE_MAX = 128 << 10 }; /* an action of 13 KiB, every byte escaped to six, is two thirds of it */

#define JOURNAL_FILE "journal.jsonl"
#define JOURNAL_OLD "journal.jsonl.1"
#define CHAIN_BEGIN "0000000000000000000000000000000000000000000000000000000000000000"

struct lines {
	int fd;                  /* borrowed */
	char *buffer;
	size_t have, at;         /* bytes in the buffer; start of the next line */
	off_t offset;            /* of the buffer in the file */
	bool ended;
	off_t end;               /* right after the last whole line */
	size_t torn;             /* bytes after it, once lines_next said 0: an append that was cut short, or is just happening */
};

int lines_open(struct lines *lines, int fd, off_t from); /* 0 or -ENOMEM */
/* 1: a line without its newline, good until the next call. 0: the end. -EMSGSIZE: longer than any line may be. -errno. */
int lines_next(struct lines *lines, const char **ret, size_t *ret_size);
void lines_close(struct lines *lines);

/* The hash a line carries; false where it does not end as a line must. */
bool line_prev(const char *line, size_t size, char ret[DIGEST_LEN]);

/* The digest of a file's last whole line, CHAIN_BEGIN where there is none; links inside are not looked at. 0, -ENOENT or -errno. */
int chain_last(int dir_fd, const char *name, char ret[DIGEST_LEN]);

#endif
