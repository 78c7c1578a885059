/* SPDX-License-Identifier: Apache-2.0 */
/* See footprint.h. */
#include "collect/footprint.h"

#include <errno.h>
#include <stdio.h>

#include "collect/procfs.h"

enum { TEXT_SIZE = 4096 }; /* a line for each of some 25 sums */

int footprint_parse(const char *text, size_t size, uint64_t *ret_bytes)
{
	struct span whole, line, word;
	uint64_t pages_kb;

	int error = span_of(text, size, &whole);
	if (error)
		return error;
	while (span_line(&whole, &line)) {
		if (!span_starts(&line, "Pss:"))
			continue;
		if (!span_next_number(&line, &pages_kb) || !span_word(&line, &word) || !span_is(&word, "kB"))
			return -EINVAL;
		if (pages_kb > UINT64_MAX / 1024)
			return -EINVAL;
		*ret_bytes = pages_kb * 1024;
		return 0;
	}
	return -EINVAL;
}

int footprint_read(int proc_fd, int pid, uint64_t *ret_bytes)
{
	char path[32], text[TEXT_SIZE];

	snprintf(path, sizeof(path), "%d/smaps_rollup", pid);
	ssize_t length = procfs_read_at(proc_fd, path, text, sizeof(text));
	return length < 0 ? (int)length : footprint_parse(text, (size_t)length, ret_bytes);
}
