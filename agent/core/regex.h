/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCRE2 for lines that others wrote: whatever the pattern and whatever the line, one match ends within a bounded number of steps.
 * Bytes, not characters: a log may hold anything. Compiled by the JIT where the host allows it.
 */
#ifndef NODEMEND_CORE_REGEX_H
#define NODEMEND_CORE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

struct regex;
/* NULL, and in `why` PCRE2's own words with where in the pattern. */
struct regex *regex_new(const char *pattern, char *why, size_t size);
void regex_free(struct regex *regex); /* NULL is fine */

enum regex_answer { REGEX_NO, REGEX_YES, REGEX_GAVE_UP }; /* GAVE_UP: over the limits; neither yes nor no */
enum regex_answer regex_match(struct regex *regex, const char *text, size_t length);
/* What the group of this name held in the last match that was a YES; false and "" where it took no part. */
bool regex_group(const struct regex *regex, const char *name, const char *text, char *ret, size_t size);

#endif
