/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines that belong together: one that matches the rule goes on with the one before. What is being put together has not been told yet,
 * so its reader's place must stay before it until then.
 */
#ifndef NODEMEND_COLLECT_LOGS_JOIN_H
#define NODEMEND_COLLECT_LOGS_JOIN_H

#include "core/regex.h"
#include "policy.h"

enum { LOG_TEXT_MAX = 4096 };        /* of one record, put together or not; what is longer is cut */

struct log_record {
	const char *text;            /* not terminated */
	size_t length;
	uint64_t at_ns;              /* CLOCK_BOOTTIME */
	bool by_kernel;              /* the kernel's own words */
	bool cut;                    /* it was longer */
	int32_t pid;                 /* who wrote it, where the source knows; 0 */
	char unit[NAME_LEN];         /* who wrote it, where the source knows; "" */
};
struct log_sink {
	void (*take)(void *context, const struct log_record *record);
	void *context;
};

struct log_join {
	struct regex *continues;     /* NULL: each line stands alone; the stream's */
	bool pending;
	uint64_t touched_ns;
	struct log_record record;    /* text points to the buffer */
	char buffer[LOG_TEXT_MAX];
};

/* Returns whether the reader's place may now be behind this line: nothing is held. `ret_begins`: this line begins what is held. */
bool log_join_take(struct log_join *join, const struct log_record *record, uint64_t now_ns, const struct log_sink *sink, bool *ret_begins);
/* Tells what is held, if anything; at the end of a file, and when nothing has come for LOG_JOIN_WAIT_NS. */
void log_join_flush(struct log_join *join, const struct log_sink *sink);
bool log_join_is_due(const struct log_join *join, uint64_t now_ns);
#define LOG_JOIN_WAIT_NS NSEC_PER_SEC

#endif
