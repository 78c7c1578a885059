/* SPDX-License-Identifier: Apache-2.0 */
/* See kube.h: one try by libcurl, bounded in time and bytes, and the rule for another. */
#include "kube/kube.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIRST_WAIT_MS = 200, LONGEST_WAIT_MS = 5000, MOST_TRIES = 4, CONNECT_MS = 5000 };

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	(void)one;
	struct kube_answer *answer = context;
	if (size >= answer->room - answer->size)
		return 0; /* ends the transfer: half a document is none */
	memcpy(answer->body + answer->size, data, size);
	answer->size += size;
	answer->body[answer->size] = '\0';
	return size;
}

static size_t on_header(char *line, size_t one, size_t size, void *context)
{
	(void)one;
	static const char name[] = "retry-after:";
	struct kube_answer *answer = context;
	char value[16];
	if (size > sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0) {
		snprintf(value, sizeof(value), "%.*s", (int)(size - sizeof(name) + 1), line + sizeof(name) - 1);
		long seconds = strtol(value, NULL, 10);
		answer->retry_after_s = seconds > 0 && seconds < 3600 ? seconds : 0;
	}
	return size;
}

static struct curl_slist *headers_of(const struct kube_call *call)
{
	struct curl_slist *list = NULL, *more;
	char type[128];
	size_t length = strlen(call->token) + sizeof("Authorization: Bearer ");
	char *authorization = malloc(length);
	if (!authorization)
		return NULL;
	snprintf(authorization, length, "Authorization: Bearer %s", call->token);
	snprintf(type, sizeof(type), "Content-Type: %s", call->content_type ? call->content_type : "application/json");
	const char *const lines[] = { authorization, "Accept: application/json", "Expect:", call->body ? type : NULL };
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!lines[i])
			continue;
		more = curl_slist_append(list, lines[i]);
		if (!more) {
			curl_slist_free_all(list);
			list = NULL;
			break;
		}
		list = more;
	}
	explicit_bzero(authorization, length);
	free(authorization);
	return list;
}

static void set_up(CURL *easy, const struct kube_call *call, uint32_t timeout_ms, struct curl_slist *headers, struct kube_answer *answer)
{
	struct curl_blob ca = { .data = call->ca, .len = strlen(call->ca), .flags = CURL_BLOB_COPY };
	curl_easy_setopt(easy, CURLOPT_URL, call->url);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	if (call->body)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* the token is for this server alone */
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "nodemend/" NODEMEND_VERSION);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, answer);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
}

/* Before the first byte of the request has gone out, nobody can have acted on it. */
static enum kube_end end_of(CURL *easy, CURLcode code)
{
	curl_off_t begun = 0;
	(void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
	return begun > 0 ? KUBE_UNKNOWN : code == CURLE_OK ? KUBE_ANSWERED : KUBE_UNREACHED;
}

void kube_fetch(const struct kube_call *call, uint32_t timeout_ms, struct kube_answer *ret)
{
	char said[CURL_ERROR_SIZE] = "";
	ret->end = KUBE_UNREACHED;
	ret->status = ret->retry_after_s = 0;
	ret->error[0] = ret->body[0] = '\0';
	ret->size = 0;

	CURL *easy = curl_easy_init();
	struct curl_slist *headers = easy ? headers_of(call) : NULL;
	if (!headers) {
		snprintf(ret->error, sizeof(ret->error), "out of memory");
		curl_easy_cleanup(easy);
		return;
	}
	set_up(easy, call, timeout_ms, headers, ret);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, said);
	CURLcode code = curl_easy_perform(easy);
	if (code == CURLE_OK) {
		ret->end = KUBE_ANSWERED;
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &ret->status);
	} else {
		ret->end = end_of(easy, code);
		snprintf(ret->error, sizeof(ret->error), "%s", said[0] ? said : curl_easy_strerror(code));
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(easy);
}

bool kube_may_repeat(const struct kube_call *call, const struct kube_answer *answer, uint32_t tries, uint32_t *ret_wait_ms)
{
	bool asks_for_a_state = strcmp(call->method, "POST") != 0;
	bool busy = answer->end == KUBE_ANSWERED && (answer->status == 429 || answer->status >= 500);
	bool may = answer->end == KUBE_UNREACHED || (asks_for_a_state && (busy || answer->end == KUBE_UNKNOWN));
	uint32_t wait = (uint32_t)FIRST_WAIT_MS << (tries < 8 ? tries - 1 : 7);
	if (answer->retry_after_s && (uint64_t)answer->retry_after_s * 1000 > wait)
		wait = (uint32_t)answer->retry_after_s * 1000;
	*ret_wait_ms = wait < LONGEST_WAIT_MS ? wait : LONGEST_WAIT_MS;
	return may && tries < MOST_TRIES;
}
