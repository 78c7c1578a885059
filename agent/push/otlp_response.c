/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_response.h. */
#include "push/otlp_response.h"

#include <errno.h>
#include <string.h>

#include "otlp.pb-c.h"

/* It goes into our log, on one line. */
static void copy_printable(char to[OTLP_WORDS_LEN], const char *from)
{
	size_t length = 0;

	for (; length < OTLP_WORDS_LEN - 1 && from[length]; length++)
		to[length] = (char)(from[length] >= ' ' && from[length] <= '~' ? from[length] : '?');
	to[length] = '\0';
}

int otlp_response_read(const void *body, size_t size, struct otlp_partial *ret)
{
	Otlp__Response *response = otlp__response__unpack(NULL, size, body);
	if (!response)
		return -EPROTO;

	const Otlp__PartialSuccess *partial = response->partial_success;
	int result = partial && (partial->rejected > 0 || *partial->error_message);
	if (result) {
		ret->rejected = partial->rejected > 0 ? (uint64_t)partial->rejected : 0;
		copy_printable(ret->words, partial->error_message);
	}
	otlp__response__free_unpacked(response, NULL);
	return result;
}
