/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How deep each collector looks: (state, snapshot, configuration, time) in, depths out. Pure: it neither measures nor turns
 * anything, steer.c does both.
 *
 * Over the budget for some windows in a row it takes the dearest collector one step down, and one back up, last first, when there has
 * been room for long. A step up that had to be taken back doubles the wait for the next, so a load at the very edge is
 * tried once an hour in the end. Pressure or a finding arms the deepest tier for a while, for those that are not stepped down.
 */
#ifndef NODEMEND_GOVERN_GOVERNOR_H
#define NODEMEND_GOVERN_GOVERNOR_H

#include "collector.h"

enum {
	GOVERN_DOWN_AFTER = 3,         /* windows over budget: half a minute as shipped. One alone may have met a burst. */
	GOVERN_UP_AFTER = 6,           /* windows with room, at first */
	GOVERN_UP_AFTER_MOST = 360,    /* an hour as shipped */
	GOVERN_PROBATION = 30,         /* a step down so soon after a step up takes it back */
	GOVERN_ROOM_PERMILLE = 700,    /* of the budget: below it there is room */
	GOVERN_WORTH_PERMILLE = 10,    /* of the budget: what costs less is not worth giving up */
	GOVERN_GAP_WINDOWS = 5,        /* windows that were missed, by a suspend: what was counted before says nothing now */
	GOVERN_REST_TIMES = 10,        /* the deep tier was too dear: not again for so many times deep_for */
};

extern const char *const depth_names[DEPTH_STEPS];
extern const char *const arm_reason_names[ARM_REASON_COUNT];

struct governor {
	uint8_t ceiling[COLLECTOR_COUNT];  /* enum depth; DEPTH_DEEP: not stepped down */
	uint8_t taken[2 * COLLECTOR_COUNT]; /* collectors, one an entry and step, oldest first */
	uint32_t taken_count;
	uint64_t windows, last_window_ns;  /* seen so far */
	uint32_t over, room;               /* windows in a row */
	uint32_t up_after, since_up, restored; /* windows; since_up saturates */
	bool short_of_memory, exhausted;
	uint64_t armed_until_ns[ARM_REASON_COUNT], rest_until_ns; /* each reason for itself: one often comes with another */
};

/* What changed, for the log; the rest stands in wanted. */
struct governor_verdict {
	uint8_t wanted[COLLECTOR_COUNT];   /* enum depth; of collectors that can be adjusted */
	uint64_t armed_until_ns;           /* by the reason that holds longest; 0: not armed */
	enum arm_reason armed_by;
	bool stepped;
	uint32_t collector;                /* this one */
	enum depth from, to;
	bool forced;                       /* up, since a policy now reads it */
	bool disarmed;                     /* by the budget */
};

void governor_init(struct governor *governor);
/* True: the deep tier was not armed for this reason before. Armed already, it stays so for longer. */
bool governor_arm(struct governor *governor, enum arm_reason reason, const struct config *config, uint64_t now_ns);
/* At every full tick. Reads snap->governor (rates, memory) and the collectors' status. */
void governor_decide(struct governor *governor, const struct snapshot *snap, const struct config *config, uint64_t now_ns,
		     struct governor_verdict *ret);
/* The least depth that policies leave this collector: what they read, or name causes by, is never switched off. */
enum depth governor_floor(const struct config *config, enum collector_id id);

#endif
