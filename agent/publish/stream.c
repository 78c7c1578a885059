/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h. A reader with nothing to read is suspended in the HTTP library and costs nothing until it is resumed. */
#include "publish/stream.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>

/* One event, shared by the queues of all readers. */
struct block {
	uint32_t owners;
	size_t length;
	char data[];
};

struct stream {
	struct streams *streams;
	struct stream *previous, *next;
	struct MHD_Connection *connection;
	int socket;
	bool suspended, ended;
	uint32_t head, count;
	struct block *queue[STREAM_QUEUE];
	size_t sent;                     /* of the block at the head */
};

static struct block *make_block(const char *event, const char *json, size_t length)
{
	struct text text = { 0 };
	struct block empty = { .owners = 1 };
	text_append(&text, (const char *)&empty, offsetof(struct block, data));
	text_string(&text, "event: ");
	text_string(&text, event);
	text_string(&text, "\ndata: ");
	text_append(&text, json, length);
	text_string(&text, "\n\n");
	if (text.failed) {
		text_free(&text);
		return NULL;
	}
	struct block *block = (struct block *)(void *)text.data;
	block->length = text.length - offsetof(struct block, data);
	return block;
}

static void release(struct block *block)
{
	if (--block->owners == 0)
		free(block);
}

static void resume(struct stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
}

static void end(struct stream *stream)
{
	stream->ended = true;
	shutdown(stream->socket, SHUT_RDWR); /* it may be blocked in sending: this wakes it to its end */
	resume(stream);
}

static void enqueue(struct stream *stream, struct block *block)
{
	if (stream->ended)
		return;
	if (stream->count == STREAM_QUEUE) {
		stream->streams->counters->streams_dropped++;
		end(stream);
		return;
	}
	block->owners++;
	stream->queue[(stream->head + stream->count++) % STREAM_QUEUE] = block;
	resume(stream);
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

	struct block *block = stream->queue[stream->head];
	size_t rest = block->length - stream->sent, size = rest < room ? rest : room;
	memcpy(buffer, block->data + stream->sent, size);
	stream->sent += size;
	if (stream->sent == block->length) {
		release(block);
		stream->head = (stream->head + 1) % STREAM_QUEUE;
		stream->count--;
		stream->sent = 0;
	}
	return (ssize_t)size;
}

static void free_stream(void *context)
{
	struct stream *stream = context;
	for (; stream->count; stream->count--, stream->head = (stream->head + 1) % STREAM_QUEUE)
		release(stream->queue[stream->head]);
	if (stream->previous)
		stream->previous->next = stream->next;
	else
		stream->streams->first = stream->next;
	if (stream->next)
		stream->next->previous = stream->previous;
	stream->streams->count--;
	free(stream);
}

struct MHD_Response *stream_open(struct streams *streams, struct MHD_Connection *connection, int socket, const struct text *hello)
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

	*stream = (struct stream){ .streams = streams, .next = streams->first, .connection = connection, .socket = socket };
	if (streams->first)
		streams->first->previous = stream;
	streams->first = stream;
	streams->count++;

	struct block *block = hello->length ? make_block("metrics", hello->data, hello->length) : NULL;
	if (block) {
		enqueue(stream, block);
		release(block);
	}
	return response;
}

void streams_send(struct streams *streams, const char *event, const char *json, size_t length)
{
	struct block *block = streams->first ? make_block(event, json, length) : NULL;
	if (!block)
		return;
	for (struct stream *stream = streams->first, *next; stream; stream = next) {
		next = stream->next;
		enqueue(stream, block);
	}
	release(block);
}

void streams_close(struct streams *streams)
{
	for (struct stream *stream = streams->first, *next; stream; stream = next) {
		next = stream->next;
		end(stream);
	}
}
