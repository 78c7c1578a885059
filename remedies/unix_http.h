/* SPDX-License-Identifier: Apache-2.0 */
/* One request of HTTP/1.1 over a unix socket whose other end belongs to root, and its answer, by a deadline. */
#ifndef NODEMEND_REMEDIES_UNIX_HTTP_H
#define NODEMEND_REMEDIES_UNIX_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "remedies/http_answer.h"

struct unix_answer {
	size_t size;                  /* of the body */
	char server[HTTP_SERVER_LEN];
};

/* A non-blocking connection to what root serves there. A fd or -errno, as below. */
int unix_connect(const char *socket_path, uint64_t deadline_boot_ns);

/*
 * `target`: path and query, of printable bytes without blanks. No request of ours has a body. The answer's goes into `body`, ended by a NUL,
 * `room` bytes at most. The answer's status; or -ETIME, -EPERM (the other end is not root's), -EPROTO, -EFBIG, or what connect says.
 */
int unix_http(const char *socket_path, const char *method, const char *target, uint64_t deadline_boot_ns, char *body, size_t room,
	      struct unix_answer *ret);

#endif
