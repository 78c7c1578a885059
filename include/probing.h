/* SPDX-License-Identifier: Apache-2.0 */
/* How a service is asked whether it answers: what a condition and a remedy say, and collect/probe.h does. */
#ifndef NODEMEND_PROBING_H
#define NODEMEND_PROBING_H

#include "snapshot.h"

enum { PROBE_BODY_LEN = 384, PROBE_WORDS = 8 };

enum probe_type { PROBE_TYPE_NONE, PROBE_TYPE_TCP, PROBE_TYPE_HTTP, PROBE_TYPE_COMMAND };
struct probe {
	enum probe_type type;
	char address[PATH_LEN];           /* tcp: host:port, numeric; http: http://host:port/path, numeric host */
	char argv[PROBE_WORDS][PATH_LEN]; /* command; argv[0] absolute, root-owned, not writable by others */
	uint64_t timeout_ns, every_ns;
	uint32_t failures;                /* in a row until it counts as failing */
	uint32_t status_from, status_to;  /* http: what counts as an answer */
	char body[PROBE_BODY_LEN];        /* http: what must stand in the first 16 KiB behind the header; "" anything */
};

#endif
