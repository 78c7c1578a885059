/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "publish/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){ 0 };
}

bool text_grow(struct text *text, size_t more)
{
	size_t capacity = text->capacity ? text->capacity : 4096;
	while (capacity - text->length < more && capacity < TEXT_MAX)
		capacity *= 2;

	char *data = capacity - text->length < more || text->failed ? NULL : realloc(text->data, capacity);
	if (!data) {
		text->failed = true;
		return false;
	}
	text->data = data;
	text->capacity = capacity;
	return true;
}

/* Writes backwards from `end`; returns the first digit. */
static char *digits(char *end, uint64_t value)
{
	do {
		*--end = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	return end;
}

void text_u64(struct text *text, uint64_t value)
{
	char buffer[20], *end = buffer + sizeof(buffer), *start = digits(end, value);
	text_append(text, start, (size_t)(end - start));
}

void text_decimal(struct text *text, uint64_t value, unsigned int decimals)
{
	while (decimals && value % 10 == 0) {
		value /= 10;
		decimals--;
	}
	if (!decimals) {
		text_u64(text, value);
		return;
	}

	char buffer[24], *end = buffer + sizeof(buffer), *start = digits(end, value);
	while (end - start <= (ptrdiff_t)decimals) /* at least one digit stands before the point */
		*--start = '0';
	text_append(text, start, (size_t)(end - start) - decimals);
	text_append(text, ".", 1);
	text_append(text, end - decimals, decimals);
}

void text_real(struct text *text, double value)
{
	const double exact = 1ULL << 53; /* whole numbers below are themselves */
	char buffer[32];

	if (!isfinite(value)) {
		text_string(text, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
		return;
	}
	if (value == trunc(value) && fabs(value) < exact) {
		if (value < 0)
			text_append(text, "-", 1);
		text_u64(text, (uint64_t)fabs(value));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) { /* 17 hold any double */
		snprintf(buffer, sizeof(buffer), "%.*g", digits, value);
		if (strtod(buffer, NULL) == value)
			break;
	}
	text_string(text, buffer);
}

static bool is_plain(unsigned char byte)
{
	return byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\';
}

static void append_clean(struct text *text, const char *value, bool escape)
{
	const unsigned char *at = (const unsigned char *)value;

	while (*at) {
		const unsigned char *start = at;
		while (is_plain(*at))
			at++;
		text_append(text, (const char *)start, (size_t)(at - start));
		if (!*at)
			return;

		size_t length = *at >= 0x80 ? utf8_length(at) : 1;
		if (!escape && *at < 0x80 && (*at == '"' || *at == '\\' || *at == '\n')) {
			text_append(text, (const char *)at, 1);
		} else if (*at == '"' || *at == '\\') {
			char escaped[2] = { '\\', (char)*at };
			text_append(text, escaped, 2);
		} else if (*at == '\n') {
			text_append(text, "\\n", 2);
		} else if (*at < 0x80 || !length) {
			text_append(text, REPLACEMENT, 3);
		} else {
			text_append(text, (const char *)at, length);
		}
		at += length ? length : 1;
	}
}

/* What is left after the control characters are gone has the same escapes in both formats. */
void text_label_value(struct text *text, const char *value)
{
	append_clean(text, value, true);
}

void text_utf8(struct text *text, const char *value)
{
	append_clean(text, value, false);
}

void text_json_string(struct text *text, const char *value)
{
	text_append(text, "\"", 1);
	append_clean(text, value, true);
	text_append(text, "\"", 1);
}
