/* SPDX-License-Identifier: Apache-2.0 */
/*
 * N matches in T, and what ends it: a time without a match, or a line that says it is over. Pure: times come with the events, and
 * a window is plain memory that may be kept and read back.
 */
#ifndef NODEMEND_MEASURE_LOG_WINDOW_H
#define NODEMEND_MEASURE_LOG_WINDOW_H

#include "signals/log.h"

struct log_window_rule {
	uint32_t times;              /* 1 to LOG_TIMES_MAX */
	uint64_t within_ns;
	uint64_t clear_after_ns;     /* 0: time alone does not end it */
};

struct log_window {
	uint64_t at[LOG_TIMES_MAX];  /* the newest matches, a ring */
	uint64_t matched;            /* ever; the next one's place is matched % LOG_TIMES_MAX */
	uint64_t before;             /* of `matched` when it rose, those that do not belong to it */
	uint64_t last_ns;
	bool raised;
};

void log_window_match(struct log_window *window, const struct log_window_rule *rule, uint64_t at_ns);
/* A line said that it is over: what was before counts no more. */
void log_window_clear(struct log_window *window);
/* Time has passed. Returns whether this ended it. */
bool log_window_pass(struct log_window *window, const struct log_window_rule *rule, uint64_t now_ns);
/* While raised, all of it; else how many are in the window that ends now. */
uint32_t log_window_count(const struct log_window *window, const struct log_window_rule *rule, uint64_t now_ns);
/* Nothing that could still matter is in it. */
bool log_window_is_idle(const struct log_window *window, const struct log_window_rule *rule, uint64_t now_ns);

#endif
