/* SPDX-License-Identifier: Apache-2.0 */
/* See backoff.h. */
#include "push/backoff.h"

#include <curl/curl.h>
#include <stddef.h>
#include <string.h>

#include "snapshot.h"

#define SHORTEST_NS NSEC_PER_SEC
#define LONGEST_NS (300 * NSEC_PER_SEC)

enum { DOUBLINGS = 9 }; /* 512 s is beyond the longest already */

uint64_t backoff_ns(uint32_t failures, uint32_t random, uint64_t asked_ns)
{
	uint32_t doublings = failures ? failures - 1 : 0;
	uint64_t most = SHORTEST_NS << (doublings < DOUBLINGS ? doublings : DOUBLINGS);
	most = most < LONGEST_NS ? most : LONGEST_NS;
	/* In milliseconds: nanoseconds times 32 bits would overflow. */
	uint64_t wait = most / 2 + most / 2 / NSEC_PER_MSEC * random / UINT32_MAX * NSEC_PER_MSEC;
	asked_ns = asked_ns < LONGEST_NS ? asked_ns : LONGEST_NS;
	wait = wait > SHORTEST_NS ? wait : SHORTEST_NS;
	return wait > asked_ns ? wait : asked_ns;
}

uint64_t retry_after_ns(const char *value, int64_t wall_ns)
{
	size_t digits = strspn(value, "0123456789");
	if (digits && !value[digits]) {
		uint64_t seconds = 0;
		for (size_t i = 0; i < digits && seconds < LONGEST_NS / NSEC_PER_SEC; i++)
			seconds = seconds * 10 + (uint64_t)(value[i] - '0');
		return seconds * NSEC_PER_SEC < LONGEST_NS ? seconds * NSEC_PER_SEC : LONGEST_NS;
	}
	time_t when = curl_getdate(value, NULL);
	time_t now = (time_t)(wall_ns / (int64_t)NSEC_PER_SEC);
	if (when <= now)
		return 0;
	uint64_t wait = (uint64_t)(when - now);
	return wait < LONGEST_NS / NSEC_PER_SEC ? wait * NSEC_PER_SEC : LONGEST_NS;
}
