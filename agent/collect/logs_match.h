/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records held against rules: who matched, what it is about, how often in its time. Everything is bounded and allocated when opening; what
 * it knows is plain memory, so that it can be kept over a restart together with the places up to which was read.
 */
#ifndef NODEMEND_COLLECT_LOGS_MATCH_H
#define NODEMEND_COLLECT_LOGS_MATCH_H

#include "collect/logs_join.h"
#include "collect/logs_wire.h"
#include "measure/log_window.h"

enum { LOG_REGEXES_MAX = 64 };       /* of one rule: a name may have several rows; there are not so many rows in all */

struct log_regex {
	struct regex *regex;
	uint32_t count;              /* its row among the counts; NO_INDEX: it found no room */
	const char *pattern;         /* a shipped one's name; NULL: the user's own */
};

struct log_rule {
	uint64_t id;
	uint32_t stream;
	bool kernel_only;            /* shipped patterns of the kernel: nobody else's words */
	char unit[NAME_LEN], source[PATH_LEN];
	uint32_t regex_count;
	struct log_regex regexes[LOG_REGEXES_MAX];
	struct regex *clear;
	struct log_window_rule window;
};

struct log_track {                   /* a row, and what it is made from */
	bool used, changed, gone;
	struct log_row row;
	struct log_window window;
};

struct log_matcher {
	uint32_t rule_count, count_count;
	uint64_t cut;                /* rows that found no room */
	uint64_t gave_up;
	struct log_rule rules[MAX_LOG_RULES];
	struct log_count counts[MAX_LOG_COUNTS];
	bool count_changed[MAX_LOG_COUNTS];
	struct log_track tracks[MAX_LOG_ROWS];
};

/* Adds the rule of an order, which reads that stream. 0; -ENOSPC; -EINVAL: a pattern that does not compile, which `check` would have said. */
int log_matcher_add(struct log_matcher *matcher, const struct log_order *order, uint32_t stream);
void log_matcher_free_rules(struct log_matcher *matcher);
/* Holds one record of a stream against its rules. */
void log_matcher_take(struct log_matcher *matcher, uint32_t stream, const char *source, const struct log_record *record);
/* Lets time pass: what is over is cleared, what is idle gives its row back. */
void log_matcher_pass(struct log_matcher *matcher, uint64_t now_ns);
/* Whether something is to be told. */
bool log_matcher_has_news(const struct log_matcher *matcher);
/* Drops the rows of rules that are not asked any more: after reading back what was kept. */
void log_matcher_forget_others(struct log_matcher *matcher);

#endif
