/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/stream: server-sent events to a bounded number of readers, each with a bounded queue of shared blocks. A reader that
 * lets its queue run full is let go and counted; nobody waits for it.
 */
#ifndef NODEMEND_PUBLISH_STREAM_H
#define NODEMEND_PUBLISH_STREAM_H

#include "publish/metric.h"
#include "publish/text.h"

enum { MAX_STREAMS = 32, STREAM_QUEUE = 8 };

struct MHD_Connection;
struct MHD_Response;
struct stream;
struct streams {
	struct stream *first;
	uint32_t count;
	struct publisher_counters *counters;
};

/* A response that goes on for as long as the reader does; `hello` (a JSON feed) is its first event where it is not empty.
 * NULL: too many, or no memory. */
struct MHD_Response *stream_open(struct streams *streams, struct MHD_Connection *connection, int socket, const struct text *hello);
/* Sends `event: NAME`, data: `json` (one line) to everybody. */
void streams_send(struct streams *streams, const char *event, const char *json, size_t length);
/* Ends all, before the server stops. */
void streams_close(struct streams *streams);

#endif
