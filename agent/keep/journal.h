/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action journal: JSON lines, one before each act (outcome null) and one after, each carrying the SHA-256 of the line
 * before it in `prev` (64 zeros at the start of all). Blocks are allocated ahead, so that a full disk cannot silence it.
 * Writing runs in the scribe worker; reading and verifying is for anybody. docs/journal.md tells the format.
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
 * moved aside to journal.jsonl.corrupt-<time>, never overwritten, and a new one begins; *ret_moved says so. The directory stays
 * locked until journal_close: -EBUSY where another agent has it. 0 or -errno. */
int journal_open(int dir_fd, struct journal **ret, bool *ret_moved);
/* Formats, chains, writes and makes durable. 0 or -errno; after an error the same action may be given again. The first record
 * after opening is not written twice: where the last line already is this action with this outcome, 0 is all. */
int journal_append(struct journal *journal, const struct action *action);
/* SHA-256 of the last line, as hex: what the next one will carry as prev. */
const char *journal_head(const struct journal *journal);
void journal_close(struct journal *journal);

struct journal_report {
	uint64_t lines, intents, results, dangling;
	uint64_t bad_line;            /* within its file; 0 = whole */
	char why[WHY_LEN];
	bool torn;                    /* an unfinished last line: an append cut short, or under way */
	bool anchored;                /* the state file's journal_head was found in the chain: nothing was cut off up to there */
	uint32_t aside;               /* journals that were set aside as corrupt */
	char head[72];                /* SHA-256 of the last line */
};
/* 0: whole; 1: broken at bad_line; -errno. Reads journal.jsonl.1 and then journal.jsonl. */
int journal_verify(int dir_fd, struct journal_report *ret);
/* Calls `each` for every readable action, oldest first. */
int journal_read(int dir_fd, void (*each)(const struct action *action, void *context), void *context);
/* Calls `each` for the intents without a result, oldest first: the agent died while they were under way. Looks at the last
 * 2 MiB, many times what can be under way at once. 0 or -errno. */
int journal_dangling(int dir_fd, void (*each)(const struct action *action, void *context), void *context);

#endif
