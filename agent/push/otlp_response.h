/* SPDX-License-Identifier: Apache-2.0 */
/* What a receiver says to a request that it took: perhaps that it took only a part. */
#ifndef NODEMEND_PUSH_OTLP_RESPONSE_H
#define NODEMEND_PUSH_OTLP_RESPONSE_H

#include <stdint.h>
#include <stddef.h>

enum { OTLP_WORDS_LEN = 160 };

struct otlp_partial {
	uint64_t rejected;               /* data points, records or spans that it will never take */
	char words[OTLP_WORDS_LEN];      /* why, printable, cut; "" = it did not say */
};

/* `body` is hostile. 1: partial success, or a warning with rejected 0; 0: all was taken; -EPROTO: no such message, and nothing is known. */
int otlp_response_read(const void *body, size_t size, struct otlp_partial *ret);

#endif
