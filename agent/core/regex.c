/* SPDX-License-Identifier: Apache-2.0 */
/* See regex.h. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/regex.h"
#include "core/clock.h"
#include "snapshot.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Enough for every sensible pattern on a line of 4 KiB (the shipped ones take up to some hundred steps). PCRE2 counts anew from each place
 * where a match may begin, so that limit alone is none: `(?:a|aa){1,13}b.*z` on 4 KiB of a's stays below it at each, and took 140 ms by the
 * JIT. So first with few steps, which is all that most ever need and ends within 5 ms; what needs more gets them for so many beginnings at once, and
 * so much time.
 */
enum { FEW_STEPS = 500, MATCH_LIMIT = 20000, DEPTH_LIMIT = 1000, HEAP_LIMIT_KIB = 256, BEGINNINGS_AT_ONCE = 128 };
#define MATCH_NS (10 * NSEC_PER_MSEC)

struct regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

void regex_free(struct regex *regex)
{
	if (!regex)
		return;
	pcre2_match_context_free(regex->limits);
	pcre2_match_data_free(regex->data);
	pcre2_code_free(regex->code);
	free(regex);
}

struct regex *regex_new(const char *pattern, char *why, size_t size)
{
	int error = 0;
	size_t at = 0;
	struct regex *regex = calloc(1, sizeof(*regex));

	if (!regex) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_USE_OFFSET_LIMIT, &error, &at, NULL);
	if (!regex->code) {
		char text[96];
		pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof(text));
		snprintf(why, size, "at character %zu: %s", at + 1, text);
		regex_free(regex);
		return NULL;
	}
	regex->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
	regex->limits = pcre2_match_context_create(NULL);
	if (!regex->data || !regex->limits) {
		snprintf(why, size, "out of memory");
		regex_free(regex);
		return NULL;
	}
	pcre2_set_depth_limit(regex->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(regex->limits, HEAP_LIMIT_KIB);
	(void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* refused where memory may not be made executable: then it interprets */
	return regex;
}

/* One that begins from `first` to `last`, both with it. */
static int match(struct regex *regex, const char *text, size_t length, uint32_t steps, size_t first, size_t last)
{
	pcre2_set_match_limit(regex->limits, steps);
	pcre2_set_offset_limit(regex->limits, last);
	return pcre2_match(regex->code, (PCRE2_SPTR)text, length, first, 0, regex->data, regex->limits);
}

static int match_slowly(struct regex *regex, const char *text, size_t length)
{
	uint64_t until_ns = clock_thread_ns() + MATCH_NS;
	int found = PCRE2_ERROR_NOMATCH;
	for (size_t first = 0; first <= length && found == PCRE2_ERROR_NOMATCH; first += BEGINNINGS_AT_ONCE) {
		size_t last = first + BEGINNINGS_AT_ONCE - 1;
		if (clock_thread_ns() >= until_ns)
			return PCRE2_ERROR_MATCHLIMIT;
		found = match(regex, text, length, MATCH_LIMIT, first, last < length ? last : length);
	}
	return found;
}

enum regex_answer regex_match(struct regex *regex, const char *text, size_t length)
{
	int found = match(regex, text, length, FEW_STEPS, 0, length);
	if (found == PCRE2_ERROR_MATCHLIMIT)
		found = match_slowly(regex, text, length);

	return found >= 0 ? REGEX_YES : found == PCRE2_ERROR_NOMATCH ? REGEX_NO : REGEX_GAVE_UP;
}

bool regex_group(const struct regex *regex, const char *name, const char *text, char *ret, size_t size)
{
	const size_t *places = pcre2_get_ovector_pointer(regex->data);
	PCRE2_SPTR first, last;

	ret[0] = '\0';
	/* One name may stand for several groups, in alternatives: the one that took part. */
	int entry = pcre2_substring_nametable_scan(regex->code, (PCRE2_SPTR)name, &first, &last);
	if (entry < 0)
		return false;
	for (PCRE2_SPTR at = first; at <= last; at += entry) {
		uint32_t number = (uint32_t)at[0] << 8 | at[1];
		size_t from = places[2 * number], to = places[2 * number + 1];
		if (from == PCRE2_UNSET || to <= from)
			continue;
		size_t length = to - from < size - 1 ? to - from : size - 1;
		memcpy(ret, text + from, length);
		ret[length] = '\0';
		return true;
	}
	return false;
}
