/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state file: <state-dir>/state.json.a and .b, preallocated and written in turn, each `sha256 <hex> <length> <seq>\n` and
 * a JSON document. The newer whole one counts.
 */
#ifndef NODEMEND_KEEP_STATE_H
#define NODEMEND_KEEP_STATE_H

#include "state.h"

struct state_file;
int state_open(int dir_fd, struct state_file **ret);
/* 0: *ret filled. -ENOENT: none yet (a first start). -EBADMSG: both slots are broken; they are moved aside to *.corrupt-<time>
 * and *why says what was wrong. *ret is zeroed in both cases. A reboot in between is translated: see state.h. */
int state_load(struct state_file *file, const char *boot_id, int64_t boot_now_ns, int64_t wall_now_ns, struct saved_state *ret, char *why, size_t why_size);
int state_save(struct state_file *file, const struct saved_state *state);
void state_close(struct state_file *file);

#endif
