/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server: read-only, one thread, everything bounded. Connections: MAX_CONNECTIONS, the rest waits in the backlog.
 * A connection has REQUEST_NS to deliver a whole request, its handshake included, and PRESSED_NS where all connections are
 * taken; it has ANSWER_NS to take the answer, however slowly it trickles. Whoever asks for the same page is sent the same
 * bytes. Beside the newest page of each format all answers hold at most MAX_LIVE_BYTES: beyond that who is slowest at taking an outdated page is let go, and lists
 * and filtered pages are 503.
 */
#ifndef NODEMEND_PUBLISH_HTTP_H
#define NODEMEND_PUBLISH_HTTP_H

#include "publish/publish.h"
#include "publish/stream.h"

enum { MAX_CONNECTIONS = 128, MAX_LIVE_BYTES = 4 << 20 };
#define REQUEST_NS (10 * NSEC_PER_SEC)
#define PRESSED_NS NSEC_PER_SEC
#define ANSWER_NS (30 * NSEC_PER_SEC)

struct http;
/* Binds `listen` ("127.0.0.1:9847", "[::1]:9847", ":9847" for all,
	"localhost:…"). Only numeric hosts: no name is looked up. 0 or -errno. */
int http_listen(const char *listen, int *ret_socket);
/* Serves on a socket of http_listen and owns it from then on, also when it fails. `rules` are needed for this call only. 0 or -errno. */
int http_open(struct publisher *publisher, struct streams *streams, const struct publisher_access *rules, int socket, struct http **ret);
int http_fd(const struct http *http);                           /* readable when http_run has something to do */
void http_run(struct http *http, uint64_t now_ns);
uint64_t http_next_ns(const struct http *http, uint64_t now_ns); /* when http_run wants to be called at the latest */
void http_close(struct http *http);                             /* NULL is fine */

#endif
