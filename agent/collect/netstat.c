/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own counts of accept queues that were full, of the agent's network namespace: /proc/net/netstat. */
#include <errno.h>

#include "collect/procfs.h"

/* The number under one name of a pair of lines: names, then values in their order. UNKNOWN where there is no such name. */
static uint64_t value_of(struct span names, struct span values, const char *name)
{
	struct span word, number;
	uint64_t value;

	while (span_word(&names, &word) && span_word(&values, &number))
		if (span_is(&word, name))
			return span_number(&number, &value) ? value : UNKNOWN;
	return UNKNOWN;
}

int netstat_parse(const char *text, size_t size, struct tcp_section *ret)
{
	struct span all, names, values;
	int error = span_of(text, size, &all);

	ret->listen_overflows = ret->listen_drops = UNKNOWN;
	if (error)
		return error;
	while (span_line(&all, &names) && span_line(&all, &values)) {
		if (!span_starts(&names, "TcpExt:"))
			continue;
		if (!span_starts(&values, "TcpExt:"))
			return -EINVAL;
		ret->listen_overflows = value_of(names, values, "ListenOverflows");
		ret->listen_drops = value_of(names, values, "ListenDrops");
		return 0;
	}
	return -EINVAL;
}
