/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One answer of HTTP/1.1 (RFC 9112), taken as it comes, into memory of the caller's. Pure: bytes in, an answer out. The peer may
 * lie: whatever it sends ends in an answer of bounded size or in an error, and nothing is allocated.
 */
#ifndef NODEMEND_REMEDIES_HTTP_ANSWER_H
#define NODEMEND_REMEDIES_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_LINE_LEN = 4096, HTTP_SERVER_LEN = 64 };

enum http_part { HTTP_STATUS, HTTP_HEADERS, HTTP_BODY, HTTP_CHUNK_SIZE, HTTP_CHUNK, HTTP_CHUNK_END, HTTP_TRAILERS, HTTP_WHOLE };

struct http_answer {
	int status;
	char server[HTTP_SERVER_LEN]; /* the header of that name; "" = none, or too long */
	size_t size;                 /* of the body so far; it is ended by a NUL that does not count */
	char *body;
	size_t room;
	/* its own: */
	enum http_part part;
	bool chunked, has_length;
	uint64_t length, left;       /* of the body as it was announced; of the piece that is being read */
	uint64_t framing;            /* bytes that were no body */
	size_t line_size;
	char line[HTTP_LINE_LEN];
};

/* `room`: the largest body that is taken, and one byte for its end. */
void http_answer_init(struct http_answer *answer, char *body, size_t room);
/* 1: it is whole, and what follows is nobody's. 0: more is wanted. -EPROTO: this is no such answer. -EFBIG: there is no room for it. */
int http_answer_feed(struct http_answer *answer, const char *bytes, size_t size);
/* The peer has closed. 1: that was its end. -EPROTO: it is cut off. */
int http_answer_end(struct http_answer *answer);

#endif
