/* SPDX-License-Identifier: Apache-2.0 */
/* One line of the log in each of its formats. Pure; each returns the length, at most `size`, of what is whole by itself. */
#ifndef NODEMEND_CORE_LOG_RENDER_H
#define NODEMEND_CORE_LOG_RENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/log.h"

/* A line of 1024 bytes may need six for each in JSON; a pipe takes 4096 in one piece. */
enum { LOG_MESSAGE_LEN = 1024, LOG_RENDERED_MAX = 4096 };

struct log_record {
	enum log_level level;
	int64_t wall_ns;
	int pid;
	char process[16];
	char message[LOG_MESSAGE_LEN];     /* masked, without control characters */
	const struct log_fields *fields;   /* or NULL */
	uint64_t lost;                     /* lines before it that nobody saw */
};

size_t log_render_text(const struct log_record *record, bool journal_prefix, char *out, size_t size);
size_t log_render_json(const struct log_record *record, char *out, size_t size);
/* journald's native protocol: FIELD=value lines. */
size_t log_render_journal(const struct log_record *record, char *out, size_t size);

#endif
