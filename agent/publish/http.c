/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd driven by the publisher's own loop; see http.h for the bounds and route.c for the answers. */
#include "publish/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "publish/access.h"
#include "publish/tls.h"

enum {
	CONNECTION_MEMORY = 16 << 10, /* a request's head must fit; more is 431 */
	IDLE_SECONDS = 10,
};

struct connection {
	struct http *http;
	int socket;            /* -1: this slot is free */
	uint64_t deadline_ns;  /* UINT64_MAX: none */
	uint64_t waiting_ns;   /* since when it owes us a request; 0: it does not */
	struct page *page;     /* being sent; held by the response */
	bool checked;          /* its certificate has been found good */
};

struct http {
	struct publisher *publisher;
	struct streams *streams;
	struct MHD_Daemon *daemon;
	struct access *access;
	enum http_client_auth client_auth;
	bool tls;
	int fd;
	uint32_t used;         /* connections */
	struct connection connections[MAX_CONNECTIONS];
};

/* One connection's share in a page, until its last byte is sent. */
struct share {
	struct http *http;
	struct connection *connection;
	struct page *page;
};

/* --- connections and their deadlines ---------------------------------------------------------------------------------- */

static void owe_a_request(struct connection *entry, uint64_t now_ns)
{
	entry->waiting_ns = now_ns;
	entry->deadline_ns = now_ns + REQUEST_NS;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*slot) {
			((struct connection *)*slot)->socket = -1;
			http->used--;
		}
		return;
	}

	*slot = NULL;
	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		struct connection *entry = &http->connections[i];
		if (entry->socket >= 0)
			continue;
		*entry = (struct connection){
			.http = http, .socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
		};
		owe_a_request(entry, clock_boot_ns());
		http->used++;
		if (http->tls && http->client_auth != CLIENT_NONE)
			tls_ask_client(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session);
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
		owe_a_request(slot, clock_boot_ns());
}

/* With every connection taken, whoever only holds one has less time: others wait for it. */
static uint64_t deadline_of(const struct http *http, const struct connection *entry)
{
	if (http->used < MAX_CONNECTIONS || !entry->waiting_ns || entry->deadline_ns == UINT64_MAX)
		return entry->deadline_ns;
	return entry->waiting_ns + PRESSED_NS;
}

static void close_slow(struct http *http, struct connection *entry)
{
	shutdown(entry->socket, SHUT_RDWR);
	entry->deadline_ns = UINT64_MAX;
	entry->page = NULL; /* its bytes go when the library has seen the end */
	http->publisher->counters.slow_closed++;
}

/* The library's timeout starts anew with every byte: who sends one in nine seconds would stay for ever. */
static void close_late(struct http *http, uint64_t now_ns)
{
	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		struct connection *entry = &http->connections[i];
		if (entry->socket >= 0 && deadline_of(http, entry) <= now_ns)
			close_slow(http, entry);
	}
}

/* The oldest page that is kept alive only by who is slow to take it. */
static const struct page *oldest_page(const struct http *http)
{
	const struct page *oldest = NULL;
	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		const struct page *page = http->connections[i].socket >= 0 ? http->connections[i].page : NULL;
		if (page && page->outdated && (!oldest || page->number < oldest->number))
			oldest = page;
	}
	return oldest;
}

/* Beside the newest page of each format: on a large node those alone may be more than that. */
static bool is_too_much(const struct publisher *publisher)
{
	return publisher->pages.bytes > MAX_LIVE_BYTES + renderings_current_bytes(publisher);
}

/* Until what is left of outdated pages, the library having run in between, fits. */
static void close_greedy(struct http *http)
{
	const struct page *oldest;
	while (is_too_much(http->publisher) && (oldest = oldest_page(http))) {
		for (int i = 0; i < MAX_CONNECTIONS; i++)
			if (http->connections[i].socket >= 0 && http->connections[i].page == oldest)
				close_slow(http, &http->connections[i]);
		MHD_run(http->daemon);
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

static void end_share(void *context)
{
	struct share *share = context;
	if (share->connection && share->connection->page == share->page)
		share->connection->page = NULL;
	page_release(share->page);
	free(share);
}

/* Takes the page over. NULL: no memory. */
static struct MHD_Response *make_response(struct http *http, struct connection *slot, struct page *page, bool packed)
{
	struct share *share = malloc(sizeof(*share));
	if (!share) {
		page_release(page);
		return NULL;
	}
	*share = (struct share){ .http = http, .connection = slot, .page = page };
	struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(packed ? page->packed_length : page->length,
		packed ? page->packed : page->data ? page->data : (char *)(uintptr_t)"", end_share, share);
	if (!response) {
		end_share(share);
		return NULL;
	}
	if (packed)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	if (page->length >= PAGE_PACK_MIN)
		MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding");
	if (slot)
		slot->page = page;
	return response;
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned int status, const char *content_type,
	struct MHD_Response *response)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_BAD_REQUEST || status == MHD_HTTP_METHOD_NOT_ALLOWED) /* there may be more to it than was understood */
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE || status == MHD_HTTP_TOO_MANY_REQUESTS)
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

static enum MHD_Result answer_stream(struct http *http, struct MHD_Connection *connection, struct connection *slot, const char *accept)
{
	enum stream_format format = stream_format(accept);
	struct MHD_Response *response =
		slot ? stream_open(http->streams, connection, slot->socket, format, http->publisher->feed) : NULL;
	if (!response)
		return answer_plain(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many streams\n");
	slot->deadline_ns = UINT64_MAX;
	return queue(connection, MHD_HTTP_OK, stream_types[format], response);
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result answer(struct http *http, struct MHD_Connection *connection, const char *path)
{
	const char *accept = header(connection, MHD_HTTP_HEADER_ACCEPT), *encodings = header(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	struct request request = { .path = path, .accept = accept ? accept : "" };
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_parameter, &request);
	if (request.parameter_count == UINT32_MAX)
		return answer_plain(http, connection, MHD_HTTP_BAD_REQUEST, "too many parameters\n");

	struct publisher *publisher = http->publisher;
	struct connection *slot = slot_of(connection);
	struct reply reply;
	uint64_t now_ns = clock_boot_ns();
	if (slot) {
		slot->waiting_ns = 0;
		slot->deadline_ns = now_ns + ANSWER_NS;
	}
	route(publisher, &request, now_ns, clock_wall_ns(), &reply);
	if (reply.stream)
		return answer_stream(http, connection, slot, request.accept);

	struct page *page = reply.page ? reply.page : page_take(&publisher->pages, reply.body);
	bool too_much = !reply.whole && is_too_much(publisher) && page && page->length >= PAGE_PACK_MIN;
	if (too_much) {
		page_release(page);
		page = NULL;
	}
	bool packed = page && accept_weight(encodings, "gzip") > 0 && page_pack(page);
	struct MHD_Response *response = page ? make_response(http, slot, page, packed) : NULL;
	if (!response) {
		publisher->counters.busy_refused++;
		return answer_plain(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many answers are under way\n");
	}
	if (reply.status >= 400 && reply.status < 500)
		publisher->counters.rejected++;
	return queue(connection, reply.status, reply.content_type, response);
}

/* --- who it is -------------------------------------------------------------------------------------------------------- */

static bool has_good_certificate(struct http *http, struct MHD_Connection *connection)
{
	struct connection *slot = slot_of(connection);
	if (!http->tls || http->client_auth == CLIENT_NONE || (slot && slot->checked))
		return true;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	bool good = info && tls_client_is_good(info->tls_session, http->client_auth);
	if (slot)
		slot->checked = good;
	return good;
}

static enum MHD_Result refuse_stranger(struct http *http, struct MHD_Connection *connection)
{
	static char sentence[] = "who are you?\n";
	struct MHD_Response *response = MHD_create_response_from_buffer(sizeof(sentence) - 1, sentence, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, access_challenge(http->access));
	return queue(connection, MHD_HTTP_UNAUTHORIZED, "text/plain; charset=utf-8", response);
}

/* MHD_YES with nothing queued: go on. */
static enum MHD_Result ask_who_it_is(struct http *http, struct MHD_Connection *connection, const char *path, bool *ret_refused)
{
	struct publisher_counters *counters = &http->publisher->counters;
	*ret_refused = true;
	if (!has_good_certificate(http, connection)) {
		counters->strangers++;
		return answer_plain(http, connection, MHD_HTTP_FORBIDDEN, "a client certificate that is believed here is needed\n");
	}
	switch (access_check(http->access, header(connection, MHD_HTTP_HEADER_AUTHORIZATION), path, clock_boot_ns())) {
	case ACCESS_DENIED:
		counters->strangers++;
		counters->rejected++;
		return refuse_stranger(http, connection);
	case ACCESS_LATER:
		counters->strangers_later++;
		return answer_plain(http, connection, MHD_HTTP_TOO_MANY_REQUESTS, "too many passwords to check\n");
	default:
		*ret_refused = false;
		return MHD_YES;
	}
}

static enum MHD_Result find_body(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	bool *has = context;
	*has |= strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0 ||
		(strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0 && (!value || strcmp(value, "0") != 0));
	return MHD_YES;
}

/* Nothing here wants one, and where a body ends is what a proxy and a server can be made to disagree about (request smuggling): with two
 * lengths, or a length and chunks, the library takes one of them. An answer before the body closes the connection. */
static bool has_body(struct MHD_Connection *connection)
{
	bool has = false;
	MHD_get_connection_values(connection, MHD_HEADER_KIND, find_body, &has);
	return has;
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
		if (has_body(connection))
			return answer_plain(http, connection, MHD_HTTP_BAD_REQUEST, "no body is wanted with this\n");
		return MHD_YES;
	}
	*upload_size = 0;
	bool refused;
	enum MHD_Result result = ask_who_it_is(http, connection, path, &refused);
	return refused ? result : answer(http, connection, path);
}

/* --- the daemon ------------------------------------------------------------------------------------------------------- */

/* A server of plain HTTP has no need for the last four options: the array is then cut short. */
static struct MHD_Daemon *start_daemon(struct http *http, const struct publisher_access *rules, int socket)
{
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)rules->cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)rules->key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities(rules->min_version) },
		{ *rules->client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (void *)(uintptr_t)rules->client_ca },
		{ MHD_OPTION_END, 0, NULL },
	};
	if (!http->tls)
		tls[0].option = MHD_OPTION_END;

	/* clang-format off */
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (http->tls ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request, http,
		MHD_OPTION_LISTEN_SOCKET, socket,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)MAX_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
		MHD_OPTION_ARRAY, tls,
		MHD_OPTION_END);
	/* clang-format on */
}

int http_open(struct publisher *publisher, struct streams *streams, const struct publisher_access *rules, int socket, struct http **ret)
{
	struct http *http = calloc(1, sizeof(*http));
	int error = -ENOMEM;
	if (!http)
		goto fail;
	http->publisher = publisher;
	http->streams = streams;
	http->client_auth = rules->client_auth;
	http->tls = *rules->cert;
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		http->connections[i].socket = -1;
	http->access = access_open(rules);
	if (!http->access)
		goto fail;

	error = -EIO;
	http->daemon = start_daemon(http, rules, socket);
	if (!http->daemon)
		goto fail;
	http->fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	*ret = http;
	return 0;

fail:
	if (http)
		access_free(http->access);
	free(http);
	close(socket);
	return error;
}

int http_fd(const struct http *http)
{
	return http->fd;
}

void http_run(struct http *http, uint64_t now_ns)
{
	close_late(http, now_ns);
	MHD_run(http->daemon);
	close_greedy(http);
}

uint64_t http_next_ns(const struct http *http, uint64_t now_ns)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	uint64_t next = UINT64_MAX;
	if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
		next = now_ns + timeout_ms * NSEC_PER_MSEC;
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		if (http->connections[i].socket >= 0 && deadline_of(http, &http->connections[i]) < next)
			next = deadline_of(http, &http->connections[i]);
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
	access_free(http->access);
	free(http);
}
