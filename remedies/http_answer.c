/* SPDX-License-Identifier: Apache-2.0 */
/* See http_answer.h. What RFC 9112 leaves to the reader's mercy (folded headers, two lengths, both framings at once) has none here. */
#include "remedies/http_answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Status line, headers, chunk sizes, trailers: a runtime's are under 1 KiB, and its chunks are pages. Beside the body as much again is allowed,
 * for one that flushes every few bytes. */
enum { MOST_FRAMING = 64 * 1024, DIGITS_DECIMAL = 18, DIGITS_HEX = 15 };

void http_answer_init(struct http_answer *answer, char *body, size_t room)
{
	answer->status = 0;
	answer->server[0] = '\0';
	answer->size = 0;
	answer->body = body;
	answer->room = room;
	answer->part = HTTP_STATUS;
	answer->chunked = answer->has_length = false;
	answer->length = answer->left = answer->framing = 0;
	answer->line_size = 0;
	body[0] = '\0';
}

/* --- lines --------------------------------------------------------------------------------------------------------------- */

/* Digits and nothing else, no more than `most` of them, so that it cannot run over. */
static int number(const char *text, size_t length, unsigned base, size_t most, uint64_t *ret)
{
	uint64_t value = 0;
	if (length == 0 || length > most)
		return -EPROTO;
	for (size_t i = 0; i < length; i++) {
		static const char digits[] = "0123456789abcdef";
		char low = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] | 0x20) : text[i];
		const char *digit = low ? memchr(digits, low, base) : NULL;
		if (!digit)
			return -EPROTO;
		value = value * base + (uint64_t)(digit - digits);
	}
	*ret = value;
	return 0;
}

static int take_status(struct http_answer *answer)
{
	const char *line = answer->line;
	uint64_t status;
	if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		return -EPROTO;
	if (number(line + 9, strcspn(line + 9, " "), 10, 3, &status) < 0 || status < 100)
		return -EPROTO;
	answer->status = (int)status;
	answer->part = HTTP_HEADERS;
	answer->chunked = answer->has_length = false;
	return 0;
}

/* Where the blank line leads. 1xx is not the answer yet: RFC 9110, 15.2. */
static int end_headers(struct http_answer *answer)
{
	if (answer->status < 200) {
		answer->part = HTTP_STATUS;
		return answer->status == 101 ? -EPROTO : 0; /* another protocol from here on, which nobody asked for */
	}
	if (answer->chunked && answer->has_length)
		return -EPROTO;
	if (answer->status == 204 || answer->status == 304 || (answer->has_length && answer->length == 0)) {
		answer->part = HTTP_WHOLE;
		return 0;
	}
	if (answer->has_length && answer->length >= answer->room)
		return -EFBIG;
	answer->left = answer->has_length ? answer->length : UINT64_MAX;
	answer->part = answer->chunked ? HTTP_CHUNK_SIZE : HTTP_BODY;
	return 0;
}

static int take_header(struct http_answer *answer)
{
	if (!answer->line[0])
		return end_headers(answer);
	size_t name = strcspn(answer->line, ": \t");
	if (name == 0 || answer->line[name] != ':')
		return -EPROTO;
	const char *value = answer->line + name + 1;
	value += strspn(value, " \t");
	size_t length = strlen(value);
	while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;

	if (name == 17 && strncasecmp(answer->line, "Transfer-Encoding", name) == 0) {
		if (answer->chunked || length != 7 || strncasecmp(value, "chunked", length) != 0)
			return -EPROTO;
		answer->chunked = true;
	}
	if (name == 14 && strncasecmp(answer->line, "Content-Length", name) == 0) {
		if (answer->has_length || number(value, length, 10, DIGITS_DECIMAL, &answer->length) < 0)
			return -EPROTO;
		answer->has_length = true;
	}
	if (name == 6 && strncasecmp(answer->line, "Server", name) == 0 && length < sizeof(answer->server)) {
		memcpy(answer->server, value, length);
		answer->server[length] = '\0';
	}
	return 0;
}

static int take_chunk_size(struct http_answer *answer)
{
	size_t digits = strcspn(answer->line, "; \t");
	if (number(answer->line, digits, 16, DIGITS_HEX, &answer->left) < 0)
		return -EPROTO;
	if (answer->left >= answer->room - answer->size)
		return -EFBIG;
	answer->part = answer->left ? HTTP_CHUNK : HTTP_TRAILERS;
	return 0;
}

static int take_line(struct http_answer *answer)
{
	switch (answer->part) {
	case HTTP_STATUS:
		return take_status(answer);
	case HTTP_HEADERS:
		return take_header(answer);
	case HTTP_CHUNK_SIZE:
		return take_chunk_size(answer);
	case HTTP_CHUNK_END:
		answer->part = HTTP_CHUNK_SIZE;
		return answer->line[0] ? -EPROTO : 0;
	default: /* HTTP_TRAILERS */
		if (!answer->line[0])
			answer->part = HTTP_WHOLE;
		return 0;
	}
}

/* --- bytes --------------------------------------------------------------------------------------------------------------- */

static int feed_line(struct http_answer *answer, char byte)
{
	if (++answer->framing > MOST_FRAMING + answer->size)
		return -EFBIG;
	if (!byte || answer->line_size == sizeof(answer->line) - 1)
		return -EPROTO;
	if (byte != '\n') {
		answer->line[answer->line_size++] = byte;
		return 0;
	}
	if (answer->line_size && answer->line[answer->line_size - 1] == '\r')
		answer->line_size--;
	answer->line[answer->line_size] = '\0';
	answer->line_size = 0;
	return take_line(answer);
}

static int feed_body(struct http_answer *answer, const char *bytes, size_t size, size_t *ret_taken)
{
	size_t taken = size < answer->left ? size : (size_t)answer->left;
	if (taken >= answer->room - answer->size)
		return -EFBIG;
	memcpy(answer->body + answer->size, bytes, taken);
	answer->size += taken;
	answer->body[answer->size] = '\0';
	answer->left -= answer->left == UINT64_MAX ? 0 : taken;
	if (answer->left == 0)
		answer->part = answer->part == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_WHOLE;
	*ret_taken = taken;
	return 0;
}

int http_answer_feed(struct http_answer *answer, const char *bytes, size_t size)
{
	for (size_t at = 0; at < size && answer->part != HTTP_WHOLE;) {
		size_t taken = 1;
		int error = answer->part == HTTP_BODY || answer->part == HTTP_CHUNK ? feed_body(answer, bytes + at, size - at, &taken) :
										      feed_line(answer, bytes[at]);
		if (error < 0)
			return error;
		at += taken;
	}
	return answer->part == HTTP_WHOLE;
}

int http_answer_end(struct http_answer *answer)
{
	bool until_close = answer->part == HTTP_BODY && !answer->has_length;
	return answer->part == HTTP_WHOLE || until_close ? 1 : -EPROTO;
}
