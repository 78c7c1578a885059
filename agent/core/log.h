/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's own voice: one sentence a line, `module: thing: consequence: reason`, as text, as JSON lines (docs/schema/log.schema.json)
 * or as fields to journald. Secrets are masked. Never blocks, never allocates: what a full pipe or journal does not take is
 * counted, and so is what one place in the code says too often; the count is told with the next line that gets through.
 */
#ifndef NODEMEND_CORE_LOG_H
#define NODEMEND_CORE_LOG_H

#include <stdint.h>

#include "log_format.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* What a line is about, for those who search; NULL or "" is left out. */
struct log_fields {
	const char *incident, *action, *policy, *remedy, *outcome, *collector;
};

/* One place in the code that logs: at most LOG_SITE_LINES in LOG_SITE_NS. */
struct log_site {
	uint64_t window_ns;
	uint32_t lines, left_out;
};
#define LOG_SITE_NS (10ULL * 1000000000)
enum { LOG_SITE_LINES = 100 };

/* How this process logs from now on; until then it is text at level info. A process that may open no socket later calls it before. */
void log_open(enum log_format format, enum log_level level);
void log_set_level(enum log_level level);
/* The descriptor to journald, -1 where there is none: for who closes all others. */
int log_fd(void);
/* A forked child that has closed what it had opens its own. */
void log_reopen(void);
/* Lines that nobody got to see, of this process. */
uint64_t log_lost(void);

void log_write(struct log_site *site, enum log_level level, const struct log_fields *fields, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define log_with(level_, fields_, ...) \
	do { \
		static struct log_site site_; \
		log_write(&site_, level_, fields_, __VA_ARGS__); \
	} while (0)
#define log_error(...) log_with(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_with(LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_info(...) log_with(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_with(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)

#endif
