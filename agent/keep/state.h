/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file: <state-dir>/state.json.a and .b, preallocated and written in turn, each `sha256 <hex> <length> <seq>\n` and
 * a JSON document of <length> bytes. The hash is of everything after itself and its blank: length, sequence and document. The
 * newer whole one counts.
 */
#ifndef NODEMEND_KEEP_STATE_H
#define NODEMEND_KEEP_STATE_H

#include "keep/files.h"
#include "include/state.h" /* not this one: quotes look beside the file first */

enum { STATE_SLOT_SIZE = 1 << 20 };
#define STATE_ACT_MAX_AGE_NS (31 * 24 * 3600 * (int64_t)NSEC_PER_SEC) /* no budget looks further back */

/* All zero, without writing where it is zero already: the tables of a new agent are half a megabyte that most nodes never fill. */
void state_clear(struct saved_state *state);

struct state_file;
/* Makes what is missing, every byte written, so that saving never needs room. -ENOSPC where there is none for that. */
int state_open(int dir_fd, struct state_file **ret);
/* 0: *ret filled; why is not empty where the newer slot was broken and the older one counts. -ENOENT: none yet (a first start).
 * -EBADMSG: no slot is whole; they are moved aside to *.corrupt-<time> and *why says what was wrong. *ret is zeroed in both
 * cases. A reboot in between is translated: see state.h. */
int state_load(struct state_file *file, const char *boot_id, int64_t boot_now_ns, int64_t wall_now_ns, struct saved_state *ret, char *why, size_t why_size);
/* -EFBIG where it does not fit even without the incidents' causes and history; nothing is written then. */
int state_save(struct state_file *file, const struct saved_state *state);
/* The journal's head as of now, kept by the saves that follow: journal_verify looks for it. */
void state_anchor(struct state_file *file, const char *journal_head);
/* The newest slot's anchor, "" where it has none; reads only. 0 or -errno as state_load. */
int state_read_anchor(int dir_fd, char ret[DIGEST_LEN]);
void state_close(struct state_file *file);

/* The document alone, as saved (no translation); for state_load and for fuzzing. 0, or -EBADMSG with a sentence. */
int state_parse(const char *text, size_t size, struct saved_state *ret, char ret_anchor[DIGEST_LEN], char *why, size_t why_size);
/* Carries the boot times over to this boot, clamps what lies in the future, drops acts that are too old to count. */
void state_translate(struct saved_state *state, const char *boot_id, int64_t boot_now_ns, int64_t wall_now_ns);
/* Copies what is in use, so that untouched pages stay untouched. */
void state_copy(struct saved_state *to, const struct saved_state *from);

#endif
