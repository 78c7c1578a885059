/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log reader says: one row a (rule, what it is about) that has matched, one row a (pattern, source) for the counters, and one
 * a source. A rule is what one `log` condition asks; it goes by the hash of all that it asks, so that it is the same over reloads.
 */
#ifndef NODEMEND_SIGNALS_LOG_H
#define NODEMEND_SIGNALS_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum {
	MAX_LOG_ROWS = 128,
	MAX_LOG_COUNTS = 128,
	MAX_LOG_SOURCES = 16,
	LOG_NAME_LEN = 96,
	LOG_PATH_LEN = 256,
	LOG_LINE_LEN = 192,          /* of a line, as it is shown: masked, and without what could steer a terminal */
	LOG_TIMES_MAX = 100,         /* matches that a window remembers */
};

struct log_row {
	uint64_t rule;
	uint32_t about;              /* enum target_type of what it is about */
	bool raised;                 /* matched so often in its window, and not cleared since */
	uint32_t matches;            /* while raised: since it rose; else in the window now */
	uint64_t last_ns;            /* CLOCK_BOOTTIME of the newest match */
	char name[LOG_PATH_LEN];     /* as struct target names it */
	char log[LOG_PATH_LEN];      /* the log itself, whatever it is about: the name of the incident where that is not to be found */
	char device[LOG_NAME_LEN];   /* filesystem only */
	uint32_t dev;
	int32_t pid;                 /* process only */
	uint64_t start_ns, cgroup_id;
	char line[LOG_LINE_LEN];     /* the newest that matched */
};

struct log_count {
	char pattern[LOG_NAME_LEN];  /* a shipped pattern's name, or the policy's */
	char source[LOG_PATH_LEN];
	uint64_t matches;
};

struct log_source_row {
	char name[LOG_PATH_LEN];     /* "kernel", "journal", or the path as the policy writes it */
	uint32_t files;              /* open now; 0: none is there */
	uint64_t lines, bytes;       /* read */
	uint64_t skipped_lines, skipped_bytes; /* not read: too many came, or they were gone before */
	uint64_t cut;                /* lines longer than is looked at */
	uint64_t gave_up;            /* matches that ended at the limit of steps */
	char why[160];               /* what keeps it from reading; "" nothing */
};

/* Rows and counts are bounded; what found no room went to the row of the source as a whole, or is in `cut`. */
struct log_section {
	uint64_t measured_ns;        /* of the reader's last word; 0: it has not caught up with what it knew */
	uint32_t count, cut;
	uint32_t count_count, source_count;
	struct log_count counts[MAX_LOG_COUNTS];
	struct log_source_row sources[MAX_LOG_SOURCES];
	struct log_row each[MAX_LOG_ROWS];
};

#endif
