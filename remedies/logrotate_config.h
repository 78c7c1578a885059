/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads logrotate's configuration as far as it says which stanza names which files, and which directives stand before it. What the
 * directives mean is left to logrotate(8).
 */
#ifndef NODEMEND_REMEDIES_LOGROTATE_CONFIG_H
#define NODEMEND_REMEDIES_LOGROTATE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remedy.h"

enum { MAX_STANZA_PATTERNS = 32, LOGROTATE_TEXT_LEN = 64 * 1024 };

struct logrotate_stanza {
	const char *source;                  /* the file that it stands in */
	uint32_t line, pattern_count;
	char patterns[MAX_STANZA_PATTERNS][PATH_LEN];
	const char *text;                    /* from its first pattern to its closing brace */
	size_t length;
	const char *globals;                 /* all directives before it that stand outside of stanzas: they hold for it, too */
	size_t globals_length;
};

struct logrotate_read {
	uint32_t files, stanzas, unsafe;     /* unsafe: files that others than root may write, which logrotate would not read either */
	char fault[EVIDENCE_LEN];            /* the first; "" = none */
};

/* Calls `visit` for every stanza of `path` and of what it includes. 0; -errno for `path` itself; -EINVAL: a file that cannot be followed, see fault. */
int logrotate_each(const char *path, void (*visit)(const struct logrotate_stanza *stanza, void *context), void *context, struct logrotate_read *ret);
/* For tests and the fuzzer: the same for a text. Includes are not followed. */
int logrotate_each_in(const char *text, size_t length, void (*visit)(const struct logrotate_stanza *stanza, void *context), void *context,
		      struct logrotate_read *ret);

#endif
