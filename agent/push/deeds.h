/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was done about which incident, in a line each: actions come apart from their incidents, and before or after them. The newest
 * so many are kept.
 */
#ifndef NODEMEND_PUSH_DEEDS_H
#define NODEMEND_PUSH_DEEDS_H

#include "publish/text.h"
#include "record.h"

enum { DEEDS_MAX = 64 }; /* as many actions as the agent tells a new sender of */

struct deed {
	char incident[ID_LEN], id[ID_LEN], line[EVIDENCE_LEN];
	int64_t started_wall_ns;
};

struct deeds {
	uint32_t count;              /* ever noted; the newest at (count - 1) % DEEDS_MAX */
	struct deed each[DEEDS_MAX];
};

/* The incident's id; NULL where the action belongs to none, or is older than what is known. */
const char *deeds_note(struct deeds *deeds, const struct action *action);
/* The newest action's line; NULL = none known. */
const char *deeds_of(const struct deeds *deeds, const char *incident);

/* "clean-files: fixed, 200 MiB freed in 1.2s"; "clean-files (shadow): would: 200 MiB freed"; "kill: refused by cooldown". */
void deed_line(const struct action *action, struct text *out);

#endif
