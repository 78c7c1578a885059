/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. A reader with nothing to read is suspended in the HTTP library and costs nothing until it is resumed. */
#include "publish/stream.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "publish/publish.h"

const char *const stream_types[STREAM_FORMAT_COUNT] = {
	[STREAM_SSE] = "text/event-stream",
	[STREAM_NDJSON] = "application/x-ndjson",
};

/* What stands before and after an event's JSON. */
static const struct frame { const char *before[STREAM_EVENT_COUNT], *after; } frames[STREAM_FORMAT_COUNT] = {
	[STREAM_SSE] = { { [STREAM_METRICS] = "event: metrics\ndata: ",
			   [STREAM_INCIDENT] = "event: incident\ndata: ",
			   [STREAM_ACTION] = "event: action\ndata: " },
			 "\n\n" },
	[STREAM_NDJSON] = { { [STREAM_METRICS] = "{\"event\":\"metrics\",\"data\":",
			      [STREAM_INCIDENT] = "{\"event\":\"incident\",\"data\":",
			      [STREAM_ACTION] = "{\"event\":\"action\",\"data\":" },
			    "}\n" },
};

struct queued {
	enum stream_event event;
	struct page *page;
};

struct stream {
	struct streams *streams;
	struct stream *previous, *next;
	struct MHD_Connection *connection;
	int socket;
	enum stream_format format;
	bool suspended, ended;
	uint32_t head, count;
	struct queued queue[STREAM_QUEUE];
	size_t sent;                     /* of the event at the head, with its frame */
};

enum stream_format stream_format(const char *accept)
{
	int lines = accept_weight(accept, stream_types[STREAM_NDJSON]);
	return lines > 0 && lines >= accept_weight(accept, stream_types[STREAM_SSE]) ? STREAM_NDJSON : STREAM_SSE;
}

static void resume(struct stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
}

static void drop_head(struct stream *stream)
{
	page_release(stream->queue[stream->head].page);
	stream->head = (stream->head + 1) % STREAM_QUEUE;
	stream->count--;
	stream->sent = 0;
}

static void end(struct stream *stream)
{
	stream->ended = true;
	while (stream->count) /* at once: it may be a while until the library lets it go */
		drop_head(stream);
	shutdown(stream->socket, SHUT_RDWR); /* it may be blocked in sending: this wakes it to its end */
	resume(stream);
}

static void let_go(struct stream *stream)
{
	stream->streams->counters->streams_dropped++;
	end(stream);
}

static void enqueue(struct stream *stream, enum stream_event event, struct page *page)
{
	if (stream->ended)
		return;
	if (stream->count == STREAM_QUEUE) {
		let_go(stream);
		return;
	}
	stream->queue[(stream->head + stream->count++) % STREAM_QUEUE] = (struct queued){ event, page_keep(page) };
	resume(stream);
}

/* Copies what fits of `size` bytes of which the first `*skip` have been sent; returns how many. */
static size_t copy_part(char *to, size_t room, const char *from, size_t size, size_t *skip)
{
	if (*skip >= size) {
		*skip -= size;
		return 0;
	}
	size_t part = size - *skip < room ? size - *skip : room;
	memcpy(to, from + *skip, part);
	*skip = 0;
	return part;
}

static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t room)
{
	struct stream *stream = context;
	if (stream->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (!stream->count) {
		stream->suspended = true;
		MHD_suspend_connection(stream->connection);
		return 0;
	}

	const struct queued *queued = &stream->queue[stream->head];
	const struct frame *frame = &frames[stream->format];
	const char *before = frame->before[queued->event], *json = queued->page->data;
	size_t length = queued->page->length;
	length -= length && json[length - 1] == '\n';

	size_t skip = stream->sent, size = copy_part(buffer, room, before, strlen(before), &skip);
	size += copy_part(buffer + size, room - size, json, length, &skip);
	size += copy_part(buffer + size, room - size, frame->after, strlen(frame->after), &skip);
	stream->sent += size;
	if (stream->sent == strlen(before) + length + strlen(frame->after))
		drop_head(stream);
	return (ssize_t)size;
}

static void free_stream(void *context)
{
	struct stream *stream = context;
	while (stream->count)
		drop_head(stream);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		stream->streams->first = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	stream->streams->count--;
	free(stream);
}

struct MHD_Response *stream_open(struct streams *streams, struct MHD_Connection *connection, int socket, enum stream_format format,
	struct page *hello)
{
	struct stream *stream = streams->count < MAX_STREAMS ? calloc(1, sizeof(*stream)) : NULL;
	if (!stream) {
		streams->counters->streams_refused++;
		return NULL;
	}
	struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, stream, free_stream);
	if (!response) {
		free(stream);
		return NULL;
	}

	*stream = (struct stream){ .streams = streams, .next = streams->first, .connection = connection, .socket = socket, .format = format };
	if (streams->first)
		streams->first->previous = stream;
	streams->first = stream;
	streams->count++;
	if (hello)
		enqueue(stream, STREAM_METRICS, hello);
	return response;
}

/* The one whose next event is the oldest; NULL where nobody has more than the newest to read. `bytes`: what all of them hold, a page that
 * several wait for counted once. */
static struct stream *furthest_behind(const struct streams *streams, size_t *ret_bytes)
{
	struct stream *furthest = NULL;
	*ret_bytes = 0;
	for (struct stream *stream = streams->first; stream; stream = stream->next) {
		if (stream->count > 1 && (!furthest || stream->queue[stream->head].page->number < furthest->queue[furthest->head].page->number))
			furthest = stream;
	}
	/* Everybody gets every event: the queues of all others are the end of his. */
	for (uint32_t i = 0; furthest && i < furthest->count; i++)
		*ret_bytes += furthest->queue[(furthest->head + i) % STREAM_QUEUE].page->length;
	return furthest;
}

void streams_send(struct streams *streams, enum stream_event event, struct page *json)
{
	for (struct stream *stream = streams->first, *next; stream; stream = next) {
		next = stream->next;
		enqueue(stream, event, json);
	}
	size_t bytes;
	for (struct stream *last; (last = furthest_behind(streams, &bytes)) && bytes > STREAM_BYTES;)
		let_go(last);
}

void streams_close(struct streams *streams)
{
	for (struct stream *stream = streams->first, *next; stream; stream = next) {
		next = stream->next;
		end(stream);
	}
}
