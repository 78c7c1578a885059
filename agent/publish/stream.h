/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /v1/stream: events to a bounded number of readers, as server-sent events or as lines of JSON. Each has a bounded queue of
 * shared pages. A reader that lets its queue run full is let go and counted, and so is the one who is furthest behind when
 * all queues together hold too many bytes; nobody waits for them.
 */
#ifndef NODEMEND_PUBLISH_STREAM_H
#define NODEMEND_PUBLISH_STREAM_H

#include "publish/metric.h"
#include "publish/page.h"

enum { MAX_STREAMS = 32, STREAM_QUEUE = 8, STREAM_BYTES = 3 << 20 };
enum stream_event { STREAM_METRICS, STREAM_INCIDENT, STREAM_ACTION, STREAM_EVENT_COUNT };
enum stream_format { STREAM_SSE, STREAM_NDJSON, STREAM_FORMAT_COUNT };

/* By the Accept header; what is not understood gets server-sent events. */
enum stream_format stream_format(const char *accept);
extern const char *const stream_types[STREAM_FORMAT_COUNT];

struct MHD_Connection;
struct MHD_Response;
struct stream;
struct streams {
	struct stream *first;
	uint32_t count;
	struct publisher_counters *counters;
};

/* A response that goes on for as long as the reader does; `hello` (the feed, or NULL) is its first event. NULL: too many, or no memory. */
struct MHD_Response *stream_open(struct streams *streams, struct MHD_Connection *connection, int socket, enum stream_format format,
	struct page *hello);
/* Sends `json`, one line of which the end may be there, to everybody. */
void streams_send(struct streams *streams, enum stream_event event, struct page *json);
/* Ends all, before the server stops. */
void streams_close(struct streams *streams);

#endif
