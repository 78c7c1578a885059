/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detection: (state, snapshot, policies, time) in, findings out. Pure: no clock, no I/O, no globals; the same input gives the
 * same findings live, in shadow, in replay and in tests. Logic is three-valued: what is missing is unknown, and unknown is
 * neither true nor false.
 */
#ifndef NODEMEND_DETECT_DETECT_H
#define NODEMEND_DETECT_DETECT_H

#include "config.h"
#include "state.h"

enum verdict { VERDICT_UNKNOWN, VERDICT_FALSE, VERDICT_TRUE, VERDICT_COUNT };
extern const char *const verdict_names[VERDICT_COUNT];

enum { MAX_FINDINGS = 256 };

/* One (policy, target) and what is to be said of it now. */
struct finding {
	uint32_t policy;               /* index into config.policies */
	struct target target;
	char key[KEY_LEN];             /* names the target: the same text at every tick while it is the same target */
	enum incident_kind kind;
	enum verdict verdict;          /* sustained for its time, with its own clear level */
	bool pending;                  /* true now, not yet for long enough */
	uint64_t since_boot_ns;        /* of the verdict */
	enum severity severity;        /* TRUE: the policy's, or of the worst level that is crossed */
	struct signal_value signal;
	char why[WHY_LEN];             /* UNKNOWN: what is missing; pending: why it waits; TRUE: what else is to be known, or "" */
	char evidence[EVIDENCE_LEN];   /* in words, what was seen; "": the signal says it all */
};

struct findings {
	uint32_t count, cut;
	struct finding each[MAX_FINDINGS];
	/* How close the closest process, memory or cpu condition is to its threshold: 1000 = at it. Sets the fast tick. */
	uint32_t nearest_permille;
};

struct detector;
struct detector *detector_new(void);  /* NULL when out of memory; all it will ever need */
void detector_free(struct detector *detector);
struct foretime_log;
const struct foretime_log *detector_foretime(const struct detector *detector);
void detector_reset(struct detector *detector); /* after a reload: indexes mean other policies */
/* For a target remembered from before a restart: something will be said of it at every tick until it is known to be over. */
void detector_track(struct detector *detector, uint32_t policy, const struct target *target, enum incident_kind kind);
void detect(struct detector *detector, const struct snapshot *snap, const struct config *config, struct findings *ret);

struct baseline;
/* Ranked causes of a finding: who drove this resource, with shares of the change. Returns how many (0 to MAX_CAUSES). `baseline`: what each
 * is used to; NULL: nothing is known of that, and size is all the evidence there is. */
uint32_t rank_causes(const struct snapshot *snap, const struct baseline *baseline, const struct condition *condition, const struct finding *finding,
		     struct cause ret[MAX_CAUSES]);
/* Who suffers from it, as cgroups: those that wait more than they are used to and are not among its causes. */
uint32_t rank_victims(const struct snapshot *snap, const struct baseline *baseline, const struct finding *finding, const struct cause *causes,
		      uint32_t cause_count, struct cause ret[MAX_VICTIMS]);
/* What was changed on the node in the minutes before; returns how many. */
uint32_t changes_before(const struct snapshot *snap, const struct cause *causes, uint32_t cause_count, struct incident_change ret[MAX_INCIDENT_CHANGES]);
/* The first leaf of a policy in document order: it names kind and target. */
const struct condition *policy_primary(const struct policy *policy);

#endif
