/* SPDX-License-Identifier: Apache-2.0 */
/* One request of an outlet, as libcurl is told it: address, headers, who we are, whom we trust, and how little of an answer we take. */
#include "push/outlet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push/keys.h"

/* Uploads are small and seldom; libcurl's least. */
enum { TRANSFER_BUFFER = 16 << 10 };

/* --- what comes in ----------------------------------------------------------------------------------------------------- */

/* Anything but `size` ends the transfer. */
static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct outlet *outlet = context;
	size_t room = ANSWER_MAX - outlet->answer.length;
	text_append(&outlet->answer, data, size < room ? size : room);
	return size <= room && !outlet->answer.failed ? size : 0;
}

/* What stands behind `name`, which ends in a colon, where the line is that header. */
static bool header_value(const char *line, size_t size, const char *name, char *ret, size_t ret_size)
{
	size_t length = strlen(name);
	if (size <= length || strncasecmp(line, name, length) != 0)
		return false;
	const char *value = line + length, *end = line + size;
	while (value < end && *value == ' ')
		value++;
	while (end > value && strchr("\r\n ", end[-1]))
		end--;
	snprintf(ret, ret_size, "%.*s", (int)(end - value), value);
	return true;
}

static void count_written(struct outlet *outlet, const char *line, size_t size)
{
	char value[24];
	for (const char *const *name = outlet->family->count_headers; name && *name; name++) {
		if (!header_value(line, size, *name, value, sizeof(value)))
			continue;
		long long count = strtoll(value, NULL, 10);
		outlet->written = (outlet->written < 0 ? 0 : outlet->written) + (count < 0 ? 0 : count > PARCEL_MAX ? PARCEL_MAX : count);
	}
}

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
	struct outlet *outlet = context;
	outlet->answer_headers += size;
	(void)header_value(data, size, "retry-after:", outlet->retry_after, sizeof(outlet->retry_after));
	count_written(outlet, data, size);
	return outlet->answer_headers <= ANSWER_HEADERS_MAX ? size : 0;
}

/* --- who we are, whom we trust ----------------------------------------------------------------------------------------- */

/* Not what would end a header and begin another. */
static const char *secret(struct outlet *outlet, const char *path)
{
	const char *content = delivery_secret(outlet->delivery, path);
	if (content && *content && !content[strcspn(content, "\r\n")])
		return content;
	snprintf(outlet->error, sizeof(outlet->error), "%s %s", path, content ? "is empty, or more than one line" : "cannot be read");
	return NULL;
}

/* Built in a text: a token may be 2 KiB. */
static int add_line(struct outlet *outlet, const char *name, const char *prefix, const char *value)
{
	struct text line = { 0 };
	text_string(&line, name);
	text_append(&line, ": ", 2);
	text_string(&line, prefix);
	text_append(&line, value, strlen(value) + 1);
	struct curl_slist *list = line.failed ? NULL : curl_slist_append(outlet->header_list, line.data);
	if (line.data)
		explicit_bzero(line.data, line.length);
	text_free(&line);
	if (!list)
		return -ENOMEM;
	outlet->header_list = list;
	return 0;
}

static int add_header(struct outlet *outlet, const char *name, const char *value)
{
	return add_line(outlet, name, "", value);
}

static int add_credentials(struct outlet *outlet)
{
	const struct output *output = outlet->output;
	int error = 0;
	if (output->bearer_token_file[0]) {
		const char *token = secret(outlet, output->bearer_token_file);
		if (!token)
			return -EACCES;
		error = add_line(outlet, "Authorization", "Bearer ", token);
	}
	if (!error && output->username[0]) {
		const char *password = secret(outlet, output->password_file);
		if (!password)
			return -EACCES;
		curl_easy_setopt(outlet->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(outlet->easy, CURLOPT_USERNAME, output->username);
		curl_easy_setopt(outlet->easy, CURLOPT_PASSWORD, password);
	}
	for (uint32_t i = 0; !error && i < output->header_file_count; i++) {
		const char *value = secret(outlet, output->header_files[i].value);
		if (!value)
			return -EACCES;
		error = add_header(outlet, output->header_files[i].name, value);
	}
	return error;
}

/* From memory: the file itself is closed to this process. No fallback: who names a CA trusts nobody else. */
static int add_blob(struct outlet *outlet, CURLoption option, const char *path)
{
	if (!path[0])
		return 0;
	const char *content = delivery_secret(outlet->delivery, path);
	if (!content || !*content) {
		snprintf(outlet->error, sizeof(outlet->error), "%s cannot be read, or is empty", path);
		return -EACCES;
	}
	struct curl_blob blob = { .data = (void *)content, .len = strlen(content), .flags = CURL_BLOB_COPY };
	return curl_easy_setopt(outlet->easy, option, &blob) == CURLE_OK ? 0 : -ENOMEM;
}

static int add_trust(struct outlet *outlet)
{
	const struct output *output = outlet->output;
	curl_easy_setopt(outlet->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	int error = add_blob(outlet, CURLOPT_CAINFO_BLOB, output->ca_file);
	if (!error)
		error = add_blob(outlet, CURLOPT_SSLCERT_BLOB, output->cert_file);
	return error ? error : add_blob(outlet, CURLOPT_SSLKEY_BLOB, output->key_file);
}

/* --- where to ---------------------------------------------------------------------------------------------------------- */

/*
 * Where the certificate carries another name than the address: libcurl is given the former as its host and the latter as the place to
 * connect to, and the Host header keeps to the address.
 */
static int rename_server(struct outlet *outlet, char url[2 * URL_LEN])
{
	const char *name = outlet->output->server_name;
	char *scheme_end = strstr(url, "://");
	if (!name[0] || !scheme_end)
		return 0;
	char *authority = scheme_end + 3, tail[2 * URL_LEN], host[URL_LEN], line[2 * URL_LEN];
	size_t length = strcspn(authority, "/?");
	snprintf(tail, sizeof(tail), "%s", authority + length);
	snprintf(host, sizeof(host), "%.*s", (int)(length < URL_LEN ? length : URL_LEN - 1), authority);
	char *colon = strrchr(host, ':');
	if (colon && strchr(colon, ']'))
		colon = NULL; /* one of an IPv6 address */

	int error = add_header(outlet, "Host", host);
	snprintf(line, sizeof(line), "%s::%s%s", name, host, colon ? "" : ":");
	outlet->connect_to = curl_slist_append(NULL, line);
	curl_easy_setopt(outlet->easy, CURLOPT_CONNECT_TO, outlet->connect_to);
	snprintf(authority, 2 * URL_LEN - (size_t)(authority - url), "%s%s%s", name, colon ? colon : "", tail);
	return outlet->connect_to ? error : -ENOMEM;
}

/* The type's suffix goes behind the path and before a query. */
static int set_url(struct outlet *outlet, const struct parcel_type *type)
{
	char url[2 * URL_LEN];
	const char *base = outlet->url;
	if (outlet->output->url_file[0]) {
		base = secret(outlet, outlet->output->url_file);
		if (!base || strlen(base) >= URL_LEN)
			return -EACCES;
	}
	size_t path = strcspn(base, "?"), trimmed = path;
	while (type->suffix && *type->suffix && trimmed && base[trimmed - 1] == '/')
		trimmed--;
	snprintf(url, sizeof(url), "%.*s%s%s", (int)trimmed, base, type->suffix ? type->suffix : "", base + path);
	int error = rename_server(outlet, url);
	if (!error && curl_easy_setopt(outlet->easy, CURLOPT_URL, url) != CURLE_OK)
		error = -ENOMEM;
	explicit_bzero(url, sizeof(url));
	return error;
}

static int set_headers(struct outlet *outlet, const struct parcel_type *type)
{
	int error = type->content_type ? add_header(outlet, "Content-Type", type->content_type) : 0;
	if (!error && type->encoding)
		error = add_header(outlet, "Content-Encoding", type->encoding);
	for (uint32_t i = 0; !error && i < outlet->output->header_count; i++)
		error = add_header(outlet, outlet->output->headers[i].name, outlet->output->headers[i].value);
	if (error)
		return error;
	/* No 100-continue: a body of this size is sent at once. */
	struct curl_slist *list = curl_slist_append(outlet->header_list, "Expect:");
	if (list && type->header) {
		outlet->header_list = list;
		list = curl_slist_append(outlet->header_list, type->header);
	}
	if (!list)
		return -ENOMEM;
	outlet->header_list = list;
	curl_easy_setopt(outlet->easy, CURLOPT_HTTPHEADER, outlet->header_list);
	return 0;
}

static void set_bounds(struct outlet *outlet)
{
	CURL *easy = outlet->easy;
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(outlet->output->timeout_ns / NSEC_PER_MSEC));
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(outlet->output->connect_timeout_ns / NSEC_PER_MSEC));
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not by an environment variable */
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "nodemend/" NODEMEND_VERSION);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)TRANSFER_BUFFER);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)TRANSFER_BUFFER);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, outlet);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, outlet);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, outlet->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, outlet);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
}

static int set_body(struct outlet *outlet, const struct parcel *parcel)
{
	const void *body = parcel->body;
	size_t size = parcel->size;
	if (outlet->family->fill) {
		text_reset(&outlet->filled);
		int error = outlet->family->fill(outlet->context, parcel, &outlet->filled);
		if (error < 0 || outlet->filled.failed)
			return error < 0 ? error : -ENOMEM;
		body = outlet->filled.data;
		size = outlet->filled.length;
	}
	curl_easy_setopt(outlet->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
	curl_easy_setopt(outlet->easy, CURLOPT_POSTFIELDS, body);
	return 0;
}

/* ----------------------------------------------------------------------------------------------------------------------- */

int transfer_begin(struct outlet *outlet, CURLM *multi)
{
	const struct parcel *head = &outlet->head;
	const struct parcel_type *type = &outlet->family->types[head->type];
	curl_easy_reset(outlet->easy); /* keeps its connection */
	text_reset(&outlet->answer);
	outlet->answer_headers = 0;
	outlet->written = -1;
	outlet->retry_after[0] = outlet->error[0] = 0;

	set_bounds(outlet);
	int error = set_url(outlet, type);
	if (!error)
		error = add_credentials(outlet);
	if (!error)
		error = add_trust(outlet);
	if (!error && outlet->family->prepare) {
		error = outlet->family->prepare(outlet->context, outlet->easy, head);
	} else if (!error) {
		curl_easy_setopt(outlet->easy, CURLOPT_POST, 1L);
		error = set_body(outlet, head);
		if (!error)
			error = set_headers(outlet, type);
	}
	if (!error && curl_multi_add_handle(multi, outlet->easy) != CURLM_OK)
		error = -ENOMEM;
	outlet->in_flight = !error;
	if (error)
		transfer_end(outlet, NULL);
	return error;
}

void transfer_end(struct outlet *outlet, CURLM *multi)
{
	if (multi && outlet->in_flight)
		curl_multi_remove_handle(multi, outlet->easy);
	outlet->in_flight = false;
	curl_easy_setopt(outlet->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(outlet->easy, CURLOPT_CONNECT_TO, NULL);
	for (struct curl_slist *line = outlet->header_list; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(outlet->header_list);
	curl_slist_free_all(outlet->connect_to);
	outlet->header_list = outlet->connect_to = NULL;
	if (outlet->filled.data)
		explicit_bzero(outlet->filled.data, outlet->filled.capacity);
}

enum failure transfer_failure(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return FAILURE_TIMEOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return FAILURE_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_USE_SSL_FAILED:
		return FAILURE_TLS;
	default:
		return FAILURE_PROTOCOL;
	}
}
