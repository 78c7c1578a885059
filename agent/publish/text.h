/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing, reusable buffer of text, and the small writers the outputs need: integers and decimals without locale or printf,
 * label values and JSON strings out of names that strangers chose. An allocation that fails is remembered in `failed`.
 */
#ifndef NODEMEND_PUBLISH_TEXT_H
#define NODEMEND_PUBLISH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Ten thousand times the usual scrape: whoever needs more has lost count. */
enum { TEXT_MAX = 64 << 20 };

struct text {
	char *data;
	size_t length, capacity;
	bool failed;
};

void text_free(struct text *text);
bool text_grow(struct text *text, size_t more);

static inline void text_reset(struct text *text)
{
	text->length = 0;
	text->failed = false;
}

static inline bool text_reserve(struct text *text, size_t more)
{
	return text->capacity - text->length >= more || text_grow(text, more);
}

static inline void text_append(struct text *text, const char *data, size_t size)
{
	if (!size || !text_reserve(text, size))
		return;
	memcpy(text->data + text->length, data, size);
	text->length += size;
}

static inline void text_string(struct text *text, const char *string)
{
	text_append(text, string, strlen(string));
}

void text_u64(struct text *text, uint64_t value);
/* value / 10^decimals, exactly, without trailing zeros: text_decimal(t, 1500000000, 9) writes 1.5. At most 18 decimals. */
void text_decimal(struct text *text, uint64_t value, unsigned int decimals);

/* The shortest digits that are read as the same number again; NaN, +Inf and -Inf as Prometheus writes them. */
void text_real(struct text *text, double value);

/* Inside the quotes: \ " and newline escaped, other control characters and what is not UTF-8 as U+FFFD. */
void text_label_value(struct text *text, const char *value);
/* The same care without escapes, for formats that know lengths. */
void text_utf8(struct text *text, const char *value);
/* With the quotes. The same care, and JSON's escapes. */
void text_json_string(struct text *text, const char *value);

#endif
