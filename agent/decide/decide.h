/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decision: findings in, incidents and orders out. Pure: everything it remembers is in struct engine and struct saved_state,
 * time and facts are arguments. It never acts: an order says what the hands should do, and outcomes come back as events.
 */
#ifndef NODEMEND_DECIDE_DECIDE_H
#define NODEMEND_DECIDE_DECIDE_H

#include "detect/detect.h"
#include "remedy.h"
#include "state.h"

enum { MAX_ORDERS = 16, MAX_RECENT = 64 };

/* Facts of this moment that are not in the snapshot, read by the caller right before. */
struct circumstances {
	uint64_t boot_ns;
	int64_t wall_ns;
	uint16_t local_minute;              /* of the day, for windows */
	uint64_t agent_started_boot_ns;
	bool kill_switch;                   /* the file is there, or the signal came */
	bool blocked[MAX_POLICIES];         /* the policy's blocked_by.file exists */
};

enum order_type { ORDER_ACT, ORDER_DRY_RUN };
struct order {
	enum order_type type;
	uint32_t machine;                   /* slot in saved_state.machines */
	struct action action;               /* the intent, outcome NONE */
	struct remedy_request request;
};

struct verdict_change {                     /* what is to be told: an incident that changed, an action that is done */
	uint32_t incident_count, action_count;
	struct incident *incidents[MAX_OPEN_INCIDENTS];
	struct action actions[MAX_ORDERS];
};

struct engine {
	struct saved_state *saved;
	uint32_t recent_incident_count, recent_action_count; /* rings: newest at (count - 1) % MAX_RECENT */
	struct incident recent_incidents[MAX_RECENT];        /* resolved ones */
	struct action recent_actions[MAX_RECENT];            /* begun and ended ones */
	uint64_t actions_total[REMEDY_COUNT][MODE_COUNT][OUTCOME_COUNT];
};

#endif
