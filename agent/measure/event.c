/* SPDX-License-Identifier: Apache-2.0 */
/* See event.h. */
#include "event.h"

struct event *event_add(struct event_section *section, enum event_kind kind)
{
	uint64_t seq = ++section->total;
	struct event *event = &section->each[seq % MAX_EVENTS];

	*event = (struct event){ .seq = seq, .kind = kind };
	section->by_kind[kind]++;
	return event;
}
