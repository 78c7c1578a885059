/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action journal: JSON lines, one before each act (outcome null) and one after, each carrying the SHA-256 of the line
 * before it in `prev` (64 zeros at the start of all). Blocks are allocated ahead, so that a full disk cannot silence it.
 * Writing runs in the scribe worker; reading and verifying is for anybody.
 */
#ifndef NODEMEND_KEEP_JOURNAL_H
#define NODEMEND_KEEP_JOURNAL_H

#include <stdio.h>

#include "record.h"

enum {
	JOURNAL_CHUNK = 1 << 20,      /* allocated ahead of the end, at any time */
	JOURNAL_ROTATE = 16 << 20,    /* then journal.jsonl becomes journal.jsonl.1 and the chain goes on in a new file */
};

struct journal;
/* Opens or makes <dir_fd>/journal.jsonl, finds the chain's end, cuts off a torn last line (saying so). A corrupt chain is
 * moved aside to journal.jsonl.corrupt-<time>, never overwritten, and a new one begins; *ret_moved says so. 0 or -errno. */
int journal_open(int dir_fd, struct journal **ret, bool *ret_moved);
/* Formats, chains, writes and makes durable. 0 or -errno. */
int journal_append(struct journal *journal, const struct action *action);
void journal_close(struct journal *journal);

struct journal_report { uint64_t lines, intents, results, dangling; uint64_t bad_line; char why[WHY_LEN]; };
/* 0: whole; 1: broken at bad_line; -errno. Reads journal.jsonl.1 and then journal.jsonl. */
int journal_verify(int dir_fd, struct journal_report *ret);
/* Calls `each` for every readable action, oldest first. */
int journal_read(int dir_fd, void (*each)(const struct action *action, void *context), void *context);


#endif
