/* SPDX-License-Identifier: Apache-2.0 */
/* Raises the limit of a table of the kernel that is nearly full, for a time, as far as memory allows. A remedy of that kind is some rows. */
#ifndef NODEMEND_REMEDIES_RAISE_LIMIT_H
#define NODEMEND_REMEDIES_RAISE_LIMIT_H

#include "remedy.h"

struct raise_row {
	const char *what;          /* in a sentence: "tracked connections" */
	const char *limit;         /* the file below /proc/sys */
	const char *entries;       /* absolute; a number, or of `statistics` the first word of the second line, in hexadecimal */
	bool statistics;
	uint64_t entry_bytes;      /* what one may take of the kernel's memory */
};

struct raise {
	const struct raise_row *rows;
	uint32_t count;
};

int raise_run(const struct raise *raise, const struct remedy_request *request, struct remedy_result *result);
int raise_check(const struct raise *raise, const struct remedy_request *request, struct remedy_result *result);
const char *raise_problem(const union remedy_args *args);

/* The limit to set; no more than `limit` where there is no room. Pure. */
uint64_t raise_to(uint64_t limit, uint64_t memory_bytes, uint64_t entry_bytes, const struct raise_limit_args *args);

#endif
