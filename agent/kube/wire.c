/* SPDX-License-Identifier: Apache-2.0 */
/* See kube.h: a call as one JSON object, an answer as one line of JSON with the body as it came behind it. */
#include "kube/kube.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	size_t offset;
	bool needed;
} texts[] = {
	{ "body", offsetof(struct kube_call, body), false },
	{ "ca", offsetof(struct kube_call, ca), true },
	{ "content_type", offsetof(struct kube_call, content_type), false },
	{ "method", offsetof(struct kube_call, method), true },
	{ "token", offsetof(struct kube_call, token), true },
	{ "url", offsetof(struct kube_call, url), true },
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

static char **text_at(const struct kube_call *call, size_t i)
{
	return (char **)((char *)call + texts[i].offset);
}

char *kube_call_write(const struct kube_call *call)
{
	cJSON *document = cJSON_CreateObject();
	for (size_t i = 0; i < TEXTS; i++)
		if (*text_at(call, i))
			cJSON_AddStringToObject(document, texts[i].name, *text_at(call, i));
	cJSON_AddNumberToObject(document, "timeout_ms", call->timeout_ms);
	char *text = cJSON_PrintUnformatted(document);
	cJSON_Delete(document);
	return text;
}

int kube_call_read(const char *text, struct kube_call *ret)
{
	cJSON *document = cJSON_Parse(text);
	const cJSON *timeout = cJSON_GetObjectItemCaseSensitive(document, "timeout_ms");
	int error = document && cJSON_IsNumber(timeout) && timeout->valuedouble >= 1 && timeout->valuedouble < 1e7 ? 0 : -EINVAL;
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < TEXTS && !error; i++) {
		const cJSON *item = cJSON_GetObjectItemCaseSensitive(document, texts[i].name);
		if (cJSON_IsString(item))
			*text_at(ret, i) = strdup(item->valuestring);
		if (cJSON_IsString(item) ? !*text_at(ret, i) : texts[i].needed)
			error = -EINVAL;
	}
	ret->timeout_ms = error ? 0 : (uint32_t)timeout->valuedouble;
	cJSON_Delete(document);
	if (error)
		kube_call_free(ret);
	return error;
}

void kube_call_free(struct kube_call *call)
{
	if (call->token)
		explicit_bzero(call->token, strlen(call->token));
	for (size_t i = 0; i < TEXTS; i++) {
		free(*text_at(call, i));
		*text_at(call, i) = NULL;
	}
}

void kube_answer_write(const struct kube_answer *answer, char *buffer, size_t size)
{
	cJSON *document = cJSON_CreateObject();
	cJSON_AddNumberToObject(document, "end", answer->end);
	cJSON_AddNumberToObject(document, "status", (double)answer->status);
	cJSON_AddNumberToObject(document, "retry_after", (double)answer->retry_after_s);
	cJSON_AddStringToObject(document, "error", answer->error);
	if (!cJSON_PrintPreallocated(document, buffer, (int)size, false))
		snprintf(buffer, size, "{}");
	cJSON_Delete(document);
}

int kube_answer_read(char *text, struct kube_answer *ret)
{
	char *line_end = strchr(text, '\n');
	if (!line_end)
		return -EINVAL;
	*line_end = '\0';
	cJSON *document = cJSON_Parse(text);
	const cJSON *end = cJSON_GetObjectItemCaseSensitive(document, "end"), *status = cJSON_GetObjectItemCaseSensitive(document, "status");
	const cJSON *retry = cJSON_GetObjectItemCaseSensitive(document, "retry_after"), *why = cJSON_GetObjectItemCaseSensitive(document, "error");
	int error = cJSON_IsNumber(end) && end->valueint >= KUBE_ANSWERED && end->valueint <= KUBE_UNKNOWN && cJSON_IsNumber(status) && cJSON_IsNumber(retry) &&
		cJSON_IsString(why) ? 0 : -EINVAL;
	if (!error) {
		*ret = (struct kube_answer){ .end = (enum kube_end)end->valueint, .status = status->valueint, .retry_after_s = retry->valueint,
					     .body = line_end + 1, .size = strlen(line_end + 1) };
		snprintf(ret->error, sizeof(ret->error), "%s", why->valuestring);
	}
	cJSON_Delete(document);
	return error;
}
