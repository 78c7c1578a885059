/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has been told already. A new sender hears of all that is in the agent's memory, and most of it was delivered by the one before:
 * a small file remembers. It is written once all that it speaks of has left the queue, so that what was lost on the way is told again,
 * and what arrived is not, but for what was under way when a sender died.
 */
#ifndef NODEMEND_PUSH_OTLP_TOLD_H
#define NODEMEND_PUSH_OTLP_TOLD_H

#include <stdbool.h>
#include <stdint.h>

/* More than the agent holds in memory: 64 open incidents, 64 recent ones and 64 actions. */
enum { OTLP_TOLD_MAX = 512 };

struct otlp_told_row {
	uint64_t key;              /* of the id, 0 = unused */
	uint32_t changes;          /* an incident's, so far; an action's: 1 = its end */
	uint32_t ended;            /* an incident's root span is sent */
	uint64_t used;             /* when last asked for, by otlp_told.turn */
};

struct otlp_told {
	uint64_t turn;
	bool changed;              /* since it was loaded or saved */
	struct otlp_told_row rows[OTLP_TOLD_MAX];
};

/* The row of an incident or action; a new one takes the place of the one that was not asked for longest. */
struct otlp_told_row *otlp_told_of(struct otlp_told *told, const char *id);

/* `name` in `dir_fd`. What is missing or damaged is as good as nothing told: 0, -ENOENT or -EBADMSG, with *ret empty. */
int otlp_told_load(int dir_fd, const char *name, struct otlp_told *ret);
/* Writes it anew. 0 or -errno. */
int otlp_told_save(int dir_fd, const char *name, struct otlp_told *told);

#endif
