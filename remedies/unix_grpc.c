/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See unix_grpc.h; the wire: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md. nghttp2 bounds what it keeps of a peer that lies (header blocks, settings, pings to be
 * answered); here the bytes and the time of the whole are.
 */
#include "remedies/unix_grpc.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/unix_http.h"

enum { READ_LEN = 16 * 1024, MESSAGE_LEN = 128, NO_STATUS = -1 };
/* Frames, headers and what servers ask about the line itself, beside as many bytes as there is room for. */
#define MOST_FRAMING ((uint64_t)1 << 20)

struct exchange {
	const struct grpc_call *call;
	unsigned char request[GRPC_PREFIX + GRPC_MOST_REQUEST];
	size_t request_size, sent;
	int32_t stream;
	size_t size;                 /* of the answer, with its prefix */
	uint64_t received;
	bool closed, too_large;
	int http_status, grpc_status;
	char message[MESSAGE_LEN];
};

/* --- what nghttp2 asks --------------------------------------------------------------------------------------------------- */

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length, uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct exchange *exchange = context;
	size_t left = exchange->request_size - exchange->sent, piece = left < length ? left : length;
	(void)session, (void)stream, (void)source;
	memcpy(buffer, exchange->request + exchange->sent, piece);
	exchange->sent += piece;
	if (exchange->sent == exchange->request_size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)piece;
}

/* Digits alone; else NO_STATUS. */
static int status_of(const uint8_t *value, size_t length)
{
	int status = 0;
	if (length == 0 || length > 3)
		return NO_STATUS;
	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9')
			return NO_STATUS;
		status = status * 10 + (value[i] - '0');
	}
	return status;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
		     void *context)
{
	struct exchange *exchange = context;
	(void)session, (void)flags;
	if (frame->hd.stream_id != exchange->stream)
		return 0;
	if (name_length == 7 && memcmp(name, ":status", 7) == 0)
		exchange->http_status = status_of(value, length);
	if (name_length == 11 && memcmp(name, "grpc-status", 11) == 0)
		exchange->grpc_status = status_of(value, length);
	if (name_length == 12 && memcmp(name, "grpc-message", 12) == 0)
		snprintf(exchange->message, sizeof(exchange->message), "%.*s", (int)(length < MESSAGE_LEN ? length : MESSAGE_LEN), (const char *)value);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *context)
{
	struct exchange *exchange = context;
	(void)session, (void)flags;
	if (stream != exchange->stream)
		return 0;
	if (length > exchange->call->room - exchange->size) {
		exchange->too_large = true;
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	memcpy((char *)exchange->call->body + exchange->size, data, length);
	exchange->size += length;
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *context)
{
	struct exchange *exchange = context;
	(void)session, (void)error;
	exchange->closed |= stream == exchange->stream;
	return 0;
}

/* --- the line ------------------------------------------------------------------------------------------------------------ */

static int wait_for(int fd, short events, uint64_t deadline_boot_ns)
{
	int ready = act_wait(fd, events, deadline_boot_ns);
	return ready == 0 ? -ETIME : ready < 0 ? ready : 0;
}

static int send_all(int fd, const uint8_t *bytes, size_t size, uint64_t deadline_boot_ns)
{
	while (size) {
		ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);
		int error = done > 0 ? 0 : errno == EAGAIN ? wait_for(fd, POLLOUT, deadline_boot_ns) : errno == EINTR ? 0 : -errno;
		if (error < 0)
			return error;
		if (done > 0) {
			bytes += done;
			size -= (size_t)done;
		}
	}
	return 0;
}

static int receive(nghttp2_session *session, struct exchange *exchange, int fd)
{
	uint8_t bytes[READ_LEN];
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
	if (got == 0)
		return -EPROTO;
	if (got < 0)
		return errno == EAGAIN ? wait_for(fd, POLLIN, exchange->call->deadline_boot_ns) : errno == EINTR ? 0 : -errno;
	exchange->received += (uint64_t)got;
	if (exchange->received > exchange->call->room + MOST_FRAMING)
		return -EFBIG;
	if (nghttp2_session_mem_recv(session, bytes, (size_t)got) < 0)
		return exchange->too_large ? -EFBIG : -EPROTO;
	return 0;
}

static int pump(nghttp2_session *session, struct exchange *exchange, int fd)
{
	uint64_t deadline = exchange->call->deadline_boot_ns;
	while (!exchange->closed) {
		const uint8_t *bytes;
		ssize_t size;
		while ((size = nghttp2_session_mem_send(session, &bytes)) > 0) {
			int error = send_all(fd, bytes, (size_t)size, deadline);
			if (error < 0)
				return error;
		}
		if (size < 0 || (!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session)))
			return -EPROTO;
		if (clock_boot_ns() >= deadline)
			return -ETIME;
		int error = receive(session, exchange, fd);
		if (error < 0)
			return error;
	}
	return 0;
}

/* --- the call ------------------------------------------------------------------------------------------------------------ */

#define HEADER(name_, value_) { .name = (uint8_t *)(name_), .value = (uint8_t *)(value_), .namelen = strlen(name_), .valuelen = strlen(value_) }

static int submit(nghttp2_session *session, struct exchange *exchange)
{
	const struct grpc_call *call = exchange->call;
	const char *namespace = call->namespace ? call->namespace : "";
	const nghttp2_nv headers[] = {
		HEADER(":method", "POST"), HEADER(":scheme", "http"), HEADER(":path", call->path), HEADER(":authority", "localhost"),
		HEADER("content-type", "application/grpc"), HEADER("te", "trailers"), HEADER("user-agent", "nodemend"), HEADER("containerd-namespace", namespace),
	};
	const nghttp2_data_provider provider = { .read_callback = read_request };
	size_t count = sizeof(headers) / sizeof(headers[0]) - (call->namespace ? 0 : 1);
	if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0) < 0)
		return -ENOMEM;
	exchange->stream = nghttp2_submit_request(session, NULL, headers, count, &provider, NULL);
	return exchange->stream < 0 ? -ENOMEM : 0;
}

static int with_session(struct exchange *exchange, int fd)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_session *session = NULL;
	int error = nghttp2_session_callbacks_new(&callbacks) < 0 ? -ENOMEM : 0;
	if (error == 0) {
		nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
		nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
		error = nghttp2_session_client_new(&session, callbacks, exchange) < 0 ? -ENOMEM : 0;
	}
	if (error == 0)
		error = submit(session, exchange);
	if (error == 0)
		error = pump(session, exchange, fd);
	nghttp2_session_del(session);
	nghttp2_session_callbacks_del(callbacks);
	/* It hung up, whether that was seen when reading or when writing. */
	return error == -EPIPE || error == -ECONNRESET ? -EPROTO : error;
}

static int judge(const struct exchange *exchange, size_t *ret_size, char *why, size_t why_size)
{
	static const struct { int status, error; } known[] = { { 5, -ENOENT }, { 9, -EBUSY }, { 12, -EOPNOTSUPP }, { 4, -ETIME } };
	const unsigned char *body = exchange->call->body;
	if (exchange->http_status != 200 || exchange->grpc_status == NO_STATUS)
		return -EPROTO;
	if (exchange->grpc_status != 0) {
		char shown[MESSAGE_LEN];
		act_shown(shown, sizeof(shown), exchange->message);
		snprintf(why, why_size, "status %d: %s", exchange->grpc_status, shown);
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (known[i].status == exchange->grpc_status)
				return known[i].error;
		return -EREMOTEIO;
	}
	/* Not compressed, and one message. */
	if (exchange->size < GRPC_PREFIX || body[0] != 0)
		return -EPROTO;
	uint64_t length = (uint64_t)body[1] << 24 | (uint64_t)body[2] << 16 | (uint64_t)body[3] << 8 | body[4];
	if (length != exchange->size - GRPC_PREFIX)
		return -EPROTO;
	*ret_size = (size_t)length;
	return 0;
}

int unix_grpc(const struct grpc_call *call, size_t *ret_size, char *why, size_t why_size)
{
	struct exchange exchange = { .call = call, .http_status = NO_STATUS, .grpc_status = NO_STATUS };
	why[0] = '\0';
	if (call->request_size > GRPC_MOST_REQUEST)
		return -E2BIG;
	exchange.request_size = GRPC_PREFIX + call->request_size;
	exchange.request[3] = (unsigned char)(call->request_size >> 8);
	exchange.request[4] = (unsigned char)call->request_size;
	if (call->request_size)
		memcpy(exchange.request + GRPC_PREFIX, call->request, call->request_size);
	int fd = unix_connect(call->socket, call->deadline_boot_ns);
	if (fd < 0)
		return fd;
	int error = with_session(&exchange, fd);
	close(fd);
	return error < 0 ? error : judge(&exchange, ret_size, why, why_size);
}
