/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in text that others wrote: command lines, URLs, headers, environment-like arguments, names. What is taken for one is
 * shown as *** in whatever leaves the agent. Built-in rules (docs/privacy.md lists them) and the user's own; a word too much is
 * hidden rather than one too few. Pure but for the user's rules, bounded, without allocation; made for rare strings.
 */
#ifndef NODEMEND_CORE_MASK_H
#define NODEMEND_CORE_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MASK_MAX_KEYS = 32, MASK_KEY_LEN = 64, MASK_MAX_PATTERNS = 16, MASK_PATTERN_LEN = 200, MASK_TEXT_MAX = 4096 };

struct mask_rules {
	uint32_t key_count, pattern_count;
	char keys[MASK_MAX_KEYS][MASK_KEY_LEN];             /* globs on names whose values are secret; case is the same */
	char patterns[MASK_MAX_PATTERNS][MASK_PATTERN_LEN]; /* PCRE2: group 1, or the whole match where there is none */
};

/* Why a pattern cannot be used, in `why`; true when it can. */
bool mask_pattern_ok(const char *pattern, char *why, size_t size);
/* For this process from now on; NULL: the built-in rules alone. Patterns that do not compile are left out: check them before. */
void mask_use(const struct mask_rules *rules);

/*
 * `in` with *** in the place of its secrets, cut to `size` - 1 bytes (and to MASK_TEXT_MAX) and closed. Returns its length. `out` may
 * not be `in`; what is masked already stays as it is.
 */
size_t mask_text(char *out, size_t size, const char *in);
/* The same in place. */
void mask_in_place(char *text, size_t size);
/* Whether the user has patterns: then any text may hold a secret, and no quick look can tell that it does not. */
bool mask_has_patterns(void);
/* Whether the value of something called this is a secret. */
bool mask_is_secret_name(const char *name);

#endif
