/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that rank causes: the best few so far, and how a row is named. cause.c says which ranking a kind of incident has. */
#ifndef NODEMEND_DETECT_CAUSE_H
#define NODEMEND_DETECT_CAUSE_H

#include "detect/baseline.h"
#include "detect/detect.h"

struct ranking {
	const struct snapshot *snap;
	const struct baseline *baseline;     /* NULL: none */
	const struct condition *condition;   /* NULL: not asked by a policy */
	const struct finding *finding;
	double total;                        /* of all amounts, those without a row too */
	uint32_t count, room;
	struct { double weight, amount; } rows[MAX_CAUSES];
	struct cause *causes;
};

/* What is ranked by change. The members of a cgroup share in its change by uses that need not be the same: nobody counts a disk's time by process. */
struct additive {
	enum use of_group, of_member, also_of_member; /* also: USE_COUNT = none */
	const char *verb, *unit;
	double per_unit;                              /* 1e9: nanoseconds as seconds */
	double least;                                 /* a change of less a second, or of the level, is noise */
};

/* Adds to the whole, and gives the row to fill, in the order of weight; NULL where it is not among the best. */
struct cause *ranking_place(struct ranking *ranking, double amount, double weight);
void ranking_name_group(const struct snapshot *snap, uint64_t cgroup_id, struct cause *cause);
void ranking_name_process(const struct snapshot *snap, const struct process *process, struct cause *cause);
/* Whether the incident is about this process, or about more than one. */
bool ranking_asks_for(const struct ranking *ranking, const struct process *process);
bool ranking_asks_for_group(const struct ranking *ranking, uint64_t cgroup_id);

/* Jensen-Shannon divergence of one's share before and now, 0 to 1: a share that did not move is no surprise, however large. */
double ranking_surprise(double share_before, double share_now);
/* What came to be only after the trouble had begun is an answer to it rather than its cause. */
double ranking_precedence(const struct ranking *ranking, uint64_t risen_ns);

/* cause_change.c. False: nobody's use has changed by as much as counts, and nobody was placed. */
bool rank_by_change(struct ranking *ranking, const struct additive *what);
void rank_by_size(struct ranking *ranking, const struct additive *what);
/* cause_memory.c */
void rank_memory(struct ranking *ranking);
/* cause_oom.c: who grew right before an OOM kill. False: no picture of then is there, and nobody was placed. */
bool rank_before_kill(struct ranking *ranking);
/* cause_disk.c: who fills a filesystem, who uses a disk. */
void rank_writers(struct ranking *ranking);
bool rank_disk_users(struct ranking *ranking, uint32_t dev);
/* cause_limit.c: who waits at a limit of its own. True: that is what it is, and they are placed. */
bool rank_self_inflicted_cpu(struct ranking *ranking);
/* Stalling so much at its own limit, ns a second, is what the pressure comes from; INFINITY: it comes from the node. */
double self_limited_from(const struct ranking *ranking);
bool is_self_limited(const struct ranking *ranking, uint64_t cgroup_id, double from_ns);

#endif
