/* SPDX-License-Identifier: Apache-2.0 */
/* What watch.c keeps, for watch_keep.c, which carries it over a restart. */
#ifndef NODEMEND_DETECT_WATCH_STATE_H
#define NODEMEND_DETECT_WATCH_STATE_H

#include "detect/anomaly.h"
#include "detect/watch.h"

/* An alarm stands until the evidence has been ordinary for so long. */
#define WATCH_CALM_NS (600 * NSEC_PER_SEC)

struct watched {
	uint64_t key;                     /* of name, thing and lane; 0 = free */
	uint64_t seen_ns;
	uint64_t last_ns, last, last_over; /* of a counter; last_ns 0 = none */
	struct anomaly_series series;
};

/* One lane of the node or of a cgroup. */
struct scope_lane {
	struct anomaly_hold hold;
	struct tail tail;                 /* of the scores */
};

struct scope {
	uint64_t key;                     /* of the cgroup's path; 0 = free, or the node in scopes[0] */
	uint64_t seen_ns;
	uint64_t until_ns;                /* an alarm stands until then */
	struct scope_lane lanes[WATCH_LANES];
	struct anomaly_scope told;
};

struct watch {
	bool restored;                    /* nothing was taken in since: until_ns and since_ns of its alarms are times from and to the next turn */
	uint64_t lane_ran_ns[WATCH_LANES];
	uint32_t folded;
	struct scope scopes[MAX_ANOMALY_SCOPES];
	struct watched each[WATCH_MAX_SERIES]; /* open addressing by key */
};

#endif
