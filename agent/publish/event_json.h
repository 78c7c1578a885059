/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/events: the newest single records of the node, as the snapshot holds them. docs/schema/events.schema.json. */
#ifndef NODEMEND_PUBLISH_EVENT_JSON_H
#define NODEMEND_PUBLISH_EVENT_JSON_H

#include "publish/text.h"
#include "snapshot.h"

extern const char *const event_kind_names[EVENT_KIND_COUNT]; /* "slow_call", … */

struct event_query {
	int64_t since_ns;            /* wall: events at or after it */
	uint64_t after;              /* events with a larger seq */
	bool has_kind;
	enum event_kind kind;
	uint32_t limit;
};

/* {"schema":…,"last":SEQ,"events":[…]}, newest first. `last` is that of the newest event of all kinds, asked for or not. */
void events_write(const struct snapshot *snap, const struct event_query *query, struct text *out);

#endif
