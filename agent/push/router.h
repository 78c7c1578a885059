/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is told of what, and when: incidents in, messages out, for one output with its rules. Pure: time comes in, nothing is fetched.
 *
 * - An incident goes by the first rule that matches it. What is told is its state and severity; a change of them is news, once.
 * - News of a group waits group_wait before its first message and group_interval between two. What is still so is said again after
 *   `repeat`.
 * - An incident that opened and ended within the wait is told once, as resolved. Whatever was told of as firing is told of as resolved.
 * - A resource whose incidents ended flap_count times within flap_within is told of once as flapping, and then not until it has neither begun nor
 *   ended for flap_within; then as calm. An incident that is open then is told as any other.
 * - needs_human goes through at once, past severity, state, waiting and flapping; only a rule's kinds and policies hold it.
 *
 * - What an act asks to be told (router_tell) is told at once, past all of that, and from then on as if a rule had told it.
 *
 * All of it is bounded; what falls off a full table is counted. router_state.c keeps it over a restart.
 */
#ifndef NODEMEND_PUSH_ROUTER_H
#define NODEMEND_PUSH_ROUTER_H

#include "push/message.h"

enum {
	ROUTER_RULES = 32,
	ROUTER_POLICIES = 8,
	ROUTER_TRACKED = 192,   /* 48 can be open, 64 that ended are told to a new sender, and flapping ones */
	ROUTER_FLAPS = 64,
	ROUTER_FLAP_MAX = 16,
};
/* An incident that was told before a restart and of which the agent says nothing so long after it is over: its state was lost. */
#define ROUTER_ORPHAN_NS (5 * 60 * NSEC_PER_SEC)

enum rule_group { RULE_GROUP_KIND = 1, RULE_GROUP_SEVERITY = 2, RULE_GROUP_POLICY = 4, RULE_GROUP_RESOURCE = 8 };

struct rule {
	uint32_t kinds, severities, states; /* bit masks of their enums */
	uint32_t policy_count;              /* 0 = all */
	char policies[ROUTER_POLICIES][NAME_LEN];
	uint32_t group_by;                  /* bit mask of rule_group; 0: every incident by itself */
	uint64_t group_wait_ns, group_interval_ns;
	uint64_t repeat_ns;                 /* 0 = never */
	uint32_t flap_count;                /* 0 = never; at most ROUTER_FLAP_MAX */
	uint64_t flap_within_ns;
};

struct tracked {
	struct notice notice;
	uint32_t rule;
	bool told, quiet, unmatched, confirmed, asked; /* asked: by an act, whatever the rules say, and not told yet */
	/* quiet: its resource flaps; confirmed: the agent spoke of it since the start */
	enum incident_state told_state;     /* where told */
	enum severity told_severity;
	int64_t news_ns;                    /* boot time: since when there has been something to tell */
};

/* Incidents that are told together: those whose rule and grouped-by values are equal. */
struct told_group {
	uint32_t rule;
	struct notice key;                  /* its first incident: what is grouped by is read from it */
	char thread[ID_LEN];
	uint32_t sequence;                  /* messages so far */
	int64_t last_ns;                    /* boot time of the last one */
};

struct flap {
	struct notice resource;
	uint32_t rule, count;               /* ends within the window, oldest first */
	int64_t ends_ns[ROUTER_FLAP_MAX];
	bool flapping;
	int64_t changed_ns;                 /* when it last began or ended */
};

/* Times are signed: after a reboot what was before lies below zero. */
struct router {
	struct rule rules[ROUTER_RULES];
	uint32_t rule_count;
	int64_t floor_wall_ns;              /* who ended before it and is not known has been dealt with */
	int64_t asked_wall_ns;              /* acts that ended by then have been told of, or are older than all this */
	int64_t orphans_ns;                 /* boot time; 0 = none are looked for */
	uint32_t tracked_count, group_count, flap_count;
	struct tracked tracked[ROUTER_TRACKED];
	struct told_group groups[ROUTER_TRACKED];
	struct flap flaps[ROUTER_FLAPS];
	uint64_t lost;                      /* fell off before they were told */
};

/* The first rule that takes it; -1 = none: nor does any take one that hangs under another incident. Who needs a person is not asked how bad it is. */
/* Whether a rule takes the incident with this id: what hangs under it is then not told by itself. */
bool router_tells(const struct router *router, const char *id);
int rule_find(const struct rule *rules, uint32_t count, const struct notice *notice, bool parent_is_told);

void router_init(struct router *router, const struct rule *rules, uint32_t count, int64_t wall_ns);
/* True: something that a restart must not forget has changed. */
bool router_note(struct router *router, const struct notice *notice, int64_t now_ns);
/* For an act that ended at `ended_wall_ns` and asks that this be told. False: that was dealt with before. */
bool router_tell(struct router *router, const struct notice *notice, int64_t ended_wall_ns, int64_t now_ns);
void router_deed(struct router *router, const char *incident, const char *line);
/* The next message that is due, good until the router is called again; call until false. */
bool router_next(struct router *router, int64_t now_ns, int64_t wall_ns, struct message *ret);
/* When to come again, boot time; INT64_MAX = only when something happens. */
int64_t router_due(const struct router *router);

/* JSON. What is loaded replaces everything but the rules: 0; or -EINVAL and it is as before. */
int router_save(const struct router *router, int64_t now_ns, int64_t wall_ns, struct text *out);
int router_load(struct router *router, const char *json, size_t size, int64_t now_ns, int64_t wall_ns);

/* --- shared by its files --- */
bool router_has_news(const struct router *router, const struct tracked *tracked);
struct tracked *router_add(struct router *router);
void flap_on_change(struct router *router, struct tracked *tracked, bool ended, int64_t now_ns);
void flap_turn(struct router *router, int64_t now_ns, int64_t wall_ns);
int64_t flap_due(const struct router *router);
bool flap_is_on(const struct router *router, const struct notice *resource);

#endif
