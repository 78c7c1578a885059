/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of one condition on one target: since when, or in which of its last samples, each of its levels was crossed,
 * which are raised, and whether the value is on its way back already. Lives only while there is something to remember.
 */
#ifndef NODEMEND_DETECT_LATCH_H
#define NODEMEND_DETECT_LATCH_H

#include "policy.h"

enum { MAX_LATCHES = 2048 };

/* Least squares with weights that decay: which way a value went of late. Times are seconds before the last sample. */
struct slope {
	double weight, time, time2, value, time_value;
	uint32_t samples;
	double base;                            /* the first value: sums of what differs from it stay exact */
};

struct latch {
	uint64_t key;                           /* 0 = free */
	uint64_t seen_ns, sampled_ns;           /* last reading; last one that counted for `of` */
	uint64_t true_since_ns[SEVERITY_COUNT]; /* 0: not crossed. Without levels only the first is used, in all of these */
	uint64_t crossed[SEVERITY_COUNT], calm[SEVERITY_COUNT]; /* `of`: of the last samples, newest in bit 0 */
	uint32_t raised;                        /* by bit */
	struct slope slope;
};

struct latch_pool {
	struct latch each[MAX_LATCHES];
};

struct latched {
	bool full;                              /* no room for one more: nothing is known */
	bool raised, pending;
	enum severity level;                    /* the worst that is raised, of a graded threshold */
	uint64_t since_ns;
	bool falling;                           /* it would have been raised, but is going back by itself: */
	double per_second, back_in_s;           /* so fast, and past its clear level by then */
};

/* Whether the value crosses the mildest level. */
bool latch_crosses(const struct condition *condition, double value);
/* Takes one known value of the condition on what `key` names. */
void latch_take(struct latch_pool *pool, uint64_t key, const struct condition *condition, double value, uint64_t now, uint64_t interval_ns,
		struct latched *ret);
/* What it was about is gone, or no longer meant. */
void latch_drop(struct latch_pool *pool, uint64_t key);
/* The value is not known: what is to hold for five seconds must have been seen for five seconds. */
void latch_forget_run(struct latch_pool *pool, uint64_t key);

#endif
