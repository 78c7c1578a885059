/* SPDX-License-Identifier: Apache-2.0 */
/* What a hook is told and what it answers: docs/remedies.md has the contract. */
#ifndef NODEMEND_REMEDIES_HOOK_H
#define NODEMEND_REMEDIES_HOOK_H

#include "remedy.h"

/* An answer is a line of JSON and a word; who has more to say has files of his own. */
enum { HOOK_SAID_LEN = 4096 };

/* The document for its stdin; the caller frees it. NULL: out of memory. */
char *hook_question(const struct remedy_request *request, uint64_t now_boot_ns);
/* Takes `said` (NUL-terminated) into `result`: plan lines, what it observed, and its sentence into `say` (one line of plain text, "" = none).
 * Returns the outcome that it names; OUTCOME_NONE: none that is known. */
enum outcome hook_answer(const char *said, struct remedy_result *result, char *say, size_t say_size);

#endif
