/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd driven by the publisher's own loop; see http.h for the bounds and route.c for the answers. */
#include "publish/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"

enum {
	CONNECTION_MEMORY = 16 << 10, /* a request's head must fit; more is 431 */
	IDLE_SECONDS = 10,
	BACKLOG = 128,
};

struct connection {
	struct http *http;
	int socket;            /* -1: this slot is free */
	uint64_t deadline_ns;  /* UINT64_MAX: none */
};

struct http {
	struct publisher *publisher;
	struct streams *streams;
	struct MHD_Daemon *daemon;
	int fd;
	size_t live_bytes;
	struct connection connections[MAX_CONNECTIONS];
};

/* An answer's bytes, until the last of them is sent. */
struct body {
	struct http *http;
	size_t length;
	char data[];
};

/* --- listening -------------------------------------------------------------------------------------------------------- */

static int parse_address(const char *listen_at, struct sockaddr_storage *ret, socklen_t *ret_length)
{
	const char *colon = strrchr(listen_at, ':');
	char host[64], *end;
	if (!colon || (size_t)(colon - listen_at) >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	memcpy(host, listen_at, (size_t)(colon - listen_at));
	host[colon - listen_at] = 0;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return -EINVAL;

	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	memset(ret, 0, sizeof(*ret));
	size_t length = strlen(host);
	if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = 0;
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
		*ret_length = sizeof(*v6);
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	*ret_length = sizeof(*v4);
	const char *numeric = !*host ? "0.0.0.0" : strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
	return inet_pton(AF_INET, numeric, &v4->sin_addr) == 1 ? 0 : -EINVAL;
}

int http_listen(const char *listen_at, int *ret_socket)
{
	struct sockaddr_storage address;
	socklen_t length;
	int error = parse_address(listen_at, &address, &length);
	if (error < 0)
		return error;

	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)); /* without it a restart may have to wait a minute */
	if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret_socket = fd;
	return 0;
}

/* --- connections and their deadlines ---------------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*slot)
			((struct connection *)*slot)->socket = -1;
		return;
	}

	*slot = NULL;
	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		struct connection *entry = &http->connections[i];
		if (entry->socket >= 0)
			continue;
		entry->socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		entry->deadline_ns = clock_boot_ns() + REQUEST_NS;
		*slot = entry;
		return;
	}
}

static struct connection *slot_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info ? info->socket_context : NULL;
}

/* The next request on the same connection has its own time. */
static void on_completed(void *context, struct MHD_Connection *connection, void **request_context, enum MHD_RequestTerminationCode code)
{
	struct connection *slot = slot_of(connection);
	if (slot)
		slot->deadline_ns = clock_boot_ns() + REQUEST_NS;
}

/* The library's timeout starts anew with every byte: who sends one in nine seconds would stay for ever. */
static void close_late(struct http *http, uint64_t now_ns)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		struct connection *entry = &http->connections[i];
		if (entry->socket < 0 || entry->deadline_ns > now_ns)
			continue;
		shutdown(entry->socket, SHUT_RDWR);
		entry->deadline_ns = UINT64_MAX;
		http->publisher->counters.slow_closed++;
	}
}

/* --- requests and answers --------------------------------------------------------------------------------------------- */

static enum MHD_Result add_parameter(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct request *request = context;
	if (request->parameter_count == MAX_PARAMETERS) {
		request->parameter_count = UINT32_MAX;
		return MHD_NO;
	}
	request->parameters[request->parameter_count].name = name;
	request->parameters[request->parameter_count++].value = value ? value : "";
	return MHD_YES;
}

static void free_body(void *context)
{
	struct body *body = context;
	body->http->live_bytes -= body->length;
	free(body);
}

/* NULL: too much is under way, or no memory. An answer larger than the bound may go alone. */
static struct MHD_Response *make_response(struct http *http, const struct text *text)
{
	if (text->failed || (http->live_bytes && http->live_bytes + text->length > MAX_LIVE_BYTES))
		return NULL;
	struct body *body = malloc(sizeof(*body) + text->length);
	if (!body)
		return NULL;

	body->http = http;
	body->length = text->length;
	memcpy(body->data, text->data, text->length);
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(body->length, body->data, free_body, body);
	if (!response) {
		free(body);
		return NULL;
	}
	http->live_bytes += body->length;
	return response;
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned int status, const char *content_type,
	struct MHD_Response *response)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	enum MHD_Result result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_plain(struct http *http, struct MHD_Connection *connection, unsigned int status, const char *sentence)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(sentence), (void *)(uintptr_t)sentence,
		MHD_RESPMEM_PERSISTENT);
	if (status < 500)
		http->publisher->counters.rejected++;
	return response ? queue(connection, status, "text/plain; charset=utf-8", response) : MHD_NO;
}

static enum MHD_Result answer_stream(struct http *http, struct MHD_Connection *connection, struct connection *slot)
{
	struct publisher *publisher = http->publisher;
	struct MHD_Response *response = slot ? stream_open(http->streams, connection, slot->socket, &publisher->feed) : NULL;
	if (!response)
		return answer_plain(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many streams\n");
	slot->deadline_ns = UINT64_MAX;
	return queue(connection, MHD_HTTP_OK, "text/event-stream", response);
}

static enum MHD_Result answer(struct http *http, struct MHD_Connection *connection, const char *path)
{
	const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	struct request request = { .path = path, .accept = accept ? accept : "" };
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_parameter, &request);
	if (request.parameter_count == UINT32_MAX)
		return answer_plain(http, connection, MHD_HTTP_BAD_REQUEST, "too many parameters\n");

	struct publisher *publisher = http->publisher;
	struct connection *slot = slot_of(connection);
	struct reply reply;
	uint64_t now_ns = clock_boot_ns();
	route(publisher, &request, now_ns, clock_wall_ns(), &reply);
	if (reply.stream)
		return answer_stream(http, connection, slot);

	struct MHD_Response *response = make_response(http, reply.body);
	if (!response) {
		publisher->counters.busy_refused++;
		return answer_plain(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many answers are under way\n");
	}
	if (reply.status >= 400 && reply.status < 500)
		publisher->counters.rejected++;
	if (slot)
		slot->deadline_ns = now_ns + ANSWER_NS;
	return queue(connection, reply.status, reply.content_type, response);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path, const char *method,
	const char *version,
				  const char *upload, size_t *upload_size, void **request_context)
{
	static const char seen = 0;
	struct http *http = context;

	if (!*request_context) { /* the head is there, a body may follow */
		http->publisher->counters.requests++;
		*request_context = (void *)(uintptr_t)&seen;
		if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
			return answer_plain(http, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD: nothing is changed here\n");
		return MHD_YES;
	}
	if (*upload_size) {
		*upload_size = 0; /* not wanted, but HTTP allows it; the deadline bounds it */
		return MHD_YES;
	}
	return answer(http, connection, path);
}

/* --- the daemon ------------------------------------------------------------------------------------------------------- */

int http_open(struct publisher *publisher, struct streams *streams, int socket, struct http **ret)
{
	struct http *http = calloc(1, sizeof(*http));
	if (!http) {
		close(socket);
		return -ENOMEM;
	}
	http->publisher = publisher;
	http->streams = streams;
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		http->connections[i].socket = -1;

	/* clang-format off */
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http,
		MHD_OPTION_LISTEN_SOCKET, socket,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)MAX_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
		MHD_OPTION_END);
	/* clang-format on */
	if (!http->daemon) {
		close(socket);
		free(http);
		return -EIO;
	}
	http->fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	*ret = http;
	return 0;
}

int http_fd(const struct http *http)
{
	return http->fd;
}

void http_run(struct http *http, uint64_t now_ns)
{
	close_late(http, now_ns);
	MHD_run(http->daemon);
}

uint64_t http_next_ns(const struct http *http, uint64_t now_ns)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	uint64_t next = UINT64_MAX;
	if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
		next = now_ns + timeout_ms * NSEC_PER_MSEC;
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (http->connections[i].socket >= 0 && http->connections[i].deadline_ns < next)
			next = http->connections[i].deadline_ns;
	return next;
}

void http_close(struct http *http)
{
	if (!http)
		return;
	/* The library wants nobody suspended when it stops. */
	streams_close(http->streams);
	MHD_run(http->daemon);
	MHD_stop_daemon(http->daemon);
	free(http);
}
