/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Alertmanagers hold of this node, as their v2 API takes it (POST /api/v2/alerts): one alert an incident. An alert is its label
 * set, so labels never change: an incident whose severity changes resolves its old label set and fires a new one. A firing alert is
 * repeated with an end that lies ahead, so that it ends by itself should the node fall silent; a resolved one with the end it had,
 * for as long as Prometheus does (15 minutes).
 *
 * Pure: time comes in, bytes go out. All alerts go in every batch: an Alertmanager that was away needs no history, only the newest.
 */
#ifndef NODEMEND_PUSH_ALERTS_H
#define NODEMEND_PUSH_ALERTS_H

#include "push/notice.h"

enum {
	ALERTS_MAX = 128,      /* 48 incidents can be open at once; a batch of the most hostile names fits in a parcel */
	ALERTS_RESEND_ENDS = 4 /* an alert outlives so many resends that do not arrive, as Prometheus has it */
};
#define ALERTS_RESOLVED_NS (15 * 60 * NSEC_PER_SEC)
#define ALERTS_GAP_NS NSEC_PER_SEC /* a burst of changes is one batch */

struct alert {
	struct notice notice;
	bool firing;
	int64_t ends_wall_ns;     /* not firing */
	uint64_t forget_ns;       /* not firing: boot time */
};

struct alerts {
	uint64_t resend_ns;
	uint64_t next_ns, last_ns; /* when the next batch is due, when the last one was; boot time */
	uint32_t count;
	uint64_t lost;             /* fell off a full table */
	struct alert each[ALERTS_MAX];
};

void alerts_init(struct alerts *alerts, uint64_t resend_ns);
void alerts_note(struct alerts *alerts, const struct notice *notice, uint64_t now_ns, int64_t wall_ns);
/* Something new was done about a firing incident. */
void alerts_deed(struct alerts *alerts, const char *incident, const char *line, uint64_t now_ns);
/* Whether a batch is due, and when else: UINT64_MAX = there is nothing to say. */
uint64_t alerts_due(const struct alerts *alerts);
/* The batch, as JSON; how many alerts are in it. The next one is due a resend later. */
uint32_t alerts_write(struct alerts *alerts, uint64_t now_ns, int64_t wall_ns, struct text *out);

/* "NodemendDiskExhaustion" */
void alerts_name(enum incident_kind kind, struct text *out);

#endif
