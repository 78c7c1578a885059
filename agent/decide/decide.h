/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decision: findings in, incidents and orders out. Pure: everything it remembers is in struct engine and struct saved_state,
 * time and facts are arguments. It never acts: an order says what the hands should do, and what they did comes back as an
 * event. docs/engine.md draws the states.
 */
#ifndef NODEMEND_DECIDE_DECIDE_H
#define NODEMEND_DECIDE_DECIDE_H

#include "detect/detect.h"
#include "remedy.h"
#include "state.h"

enum { MAX_ORDERS = 16, MAX_RECENT = 64, MAX_CHANGES = 64 };

/* Facts of this moment that are not in the snapshot, read by the caller right before. */
struct circumstances {
	uint64_t boot_ns;
	int64_t wall_ns;
	uint16_t local_minute;              /* of the day, for windows */
	uint64_t agent_started_boot_ns;
	bool kill_switch;                   /* the file is there */
	bool blocked[MAX_POLICIES];         /* the policy's blocked_by.file exists */
	bool package_manager, logged_in;    /* one is at work, a person is there; also where nobody can tell. Looked for where a policy asks */
	const struct snapshot *snap;        /* fresh; NULL: nothing is known of the node */
	const char *kill_switch_path;       /* for the hands, who look again */
	const char *lease_book_path;        /* where they write down what they turn for a time */
};

/* One act under way, from the order to its verified end. The slot's number is the handle that the caller keeps. */
enum order_phase {
	ORDER_FREE,
	ORDER_NEW,        /* decided; the caller has its intent written, looks again (engine_still_wanted), sends the request */
	ORDER_RUNNING,    /* with the hands */
	ORDER_VERIFYING,  /* the hands are done; does the condition clear? */
	ORDER_REVERTING,  /* it did not, as was promised: the hands turn back what they turned */
};
struct order {
	enum order_phase phase;
	bool dry_run;                       /* shadow or by hand: PLAN instead of APPLY, nothing is changed */
	bool manual;                        /* by hand: no policy, no machine */
	uint32_t policy, machine;           /* indexes; UINT32_MAX for manual ones */
	char key[KEY_LEN];
	enum remedy_id remedy;
	struct action action;
	struct remedy_request request;
	bool cleared;                       /* the condition was seen to clear while the hands were at work */
	uint64_t verify_until_boot_ns;
};

struct baseline;
struct foretime_log;

struct engine {
	/* What detection keeps and the engine looks things up in when it explains an incident; NULL: nobody keeps it. */
	const struct baseline *baseline;
	const struct foretime_log *foretime;
	struct saved_state *saved;          /* machines, acts, open incidents, pause: what is kept on disk */
	struct order orders[MAX_ORDERS];
	char refusals[MAX_MACHINES][NAME_LEN];               /* the guard that held a machine back last: said once, not every tick */
	uint32_t recent_incident_count, recent_action_count; /* rings: newest at (count - 1) % MAX_RECENT */
	struct incident recent_incidents[MAX_RECENT];        /* resolved ones */
	struct action recent_actions[MAX_RECENT];            /* begun and ended ones */
	uint64_t actions_total[REMEDY_COUNT][MODE_COUNT][OUTCOME_COUNT];
	uint64_t incidents_folded;                           /* not opened for want of room */
	struct ended_one last_ended;                         /* its memory must be back before another is ended */
	uint64_t events_seen, foreign_total;                 /* of the snapshot's events; kills by others that counted */
	uint64_t ranked_seq;                                 /* the full tick for which the causes of incidents were ranked last */
	uint64_t held_seq[MAX_MACHINES];                     /* the full tick at which nobody was found to be aimed at */
};

/* What is to be told and kept after a call; a change that found no room is counted and told at the next one. */
struct changes {
	uint32_t incident_count, action_count, cut;
	bool state_changed;                                  /* saved_state is worth writing */
	struct incident incidents[MAX_CHANGES];
	struct action actions[MAX_CHANGES];                  /* intents are the caller's to journal from the order; these are results and refusals */
	uint32_t order_count;
	uint32_t orders[MAX_ORDERS];                         /* slots that are ORDER_NEW */
	uint32_t revert_count;
	uint32_t reverts[MAX_ORDERS];                        /* slots that are ORDER_REVERTING: to be sent at once, whatever the guards say */
};

/* `engine` comes zeroed; it is not cleared here, since clearing would make 1.5 MiB of rings resident that most nodes never fill. */
void engine_init(struct engine *engine, struct saved_state *saved);
void engine_decide(struct engine *engine, const struct snapshot *snap, const struct findings *findings, const struct config *config,
		   const struct circumstances *now, struct changes *ret);
/* Right before the request is sent: is it still true, and do all guards still agree? NULL = go on; else the guard's name, and the order is
 * closed as refused. */
const char *engine_still_wanted(struct engine *engine, uint32_t slot, const struct findings *findings, const struct config *config,
				const struct circumstances *now, struct changes *ret);
void engine_result(struct engine *engine, uint32_t slot, const struct remedy_result *result, const struct config *config,
		   const struct circumstances *now, struct changes *ret);
/* The hands died or overstayed: the order ends as failed. */
void engine_abandon(struct engine *engine, uint32_t slot, const char *why, const struct config *config, const struct circumstances *now,
		    struct changes *ret);
/* One remedy by hand, under the guards that protect the node: ceiling, pause, kill switch, one act a target, per-node order. 0 and the slot,
 * -EPERM with the guard in `why`, -EBUSY when all slots are taken. */
int engine_manual(struct engine *engine, enum remedy_id remedy, const struct target *target, const union remedy_args *args, bool dry_run,
		  const struct config *config, const struct circumstances *now, uint32_t *ret_slot, char *why, size_t why_size, struct changes *ret);
/* A person looked: quarantined machines may act again. Returns how many there were. */
uint32_t engine_lift_quarantine(struct engine *engine, const struct circumstances *now, struct changes *ret);
/* After a reload: machines of policies that are gone, and incidents that nobody watches any more, are closed. */
void engine_forget_policies(struct engine *engine, const struct config *config, const struct circumstances *now, struct changes *ret);

/* How many acts this policy may still begin on the target (NULL = any target: the node's budget). */
uint32_t budget_left(const struct saved_state *saved, const struct policy *policy, const char *target_key, int64_t boot_ns);

#endif
