/* SPDX-License-Identifier: Apache-2.0 */
/* What the log collector tells its reader at the start, and what the reader tells it from then on. */
#ifndef NODEMEND_COLLECT_LOGS_WIRE_H
#define NODEMEND_COLLECT_LOGS_WIRE_H

#include "policy.h"

enum { MAX_LOG_RULES = 64 };

/* One a rule, all sent at the start; the reader begins when it has `count` of them. */
struct log_order {
	uint32_t index, count;
	uint64_t rule;               /* log_query_hash() */
	char name[NAME_LEN];         /* of the policy: what its own regular expression goes by */
	char unit[NAME_LEN];
	struct log_query query;
	uint32_t times;
	uint64_t within_ns;
	char state_dir[PATH_LEN];    /* where it keeps how far it has read; "": nowhere */
	char journal_dir[PATH_LEN];  /* "": the host's own */
	char kmsg[PATH_LEN];         /* "/dev/kmsg"; a test has its own */
	char boot_id[40];
};

enum log_word { LOG_WORD_ROW, LOG_WORD_GONE, LOG_WORD_COUNT, LOG_WORD_SOURCE, LOG_WORD_BEAT };
struct log_report {
	enum log_word word;
	uint32_t index;              /* of the row, count or source in its table */
	uint64_t rows_cut;           /* BEAT: it has caught up, and is there */
	union {
		struct log_row row;
		struct log_count count;
		struct log_source_row source;
	};
};

/* worker.h's serve(). */
int logs_serve(int fd);

#endif
