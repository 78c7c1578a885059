/* SPDX-License-Identifier: Apache-2.0 */
/* See textfile.h. A recursive descent over one line at a time; the only memory is the table of the file's families and one sample. */
#include "collect/textfile.h"
#include "core/pages.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct family {
	char name[TEXTFILE_NAME + 1], help[TEXTFILE_HELP + 1];
	uint16_t name_length;
	uint8_t type;
	bool typed, helped, sampled;
};

struct textfile_parser {
	struct textfile_fault *fault;
	uint32_t line, family_count;
	struct family *family;            /* of the line before: the next is mostly of the same */
	struct textfile_sample sample;
	char strings[SERIES_MAX_LABELS * (TEXTFILE_NAME + TEXTFILE_LABEL_VALUE + 2)];
	struct family families[TEXTFILE_FAMILIES];
};

struct textfile_parser *textfile_parser_new(void)
{
	return pages_new(1, sizeof(struct textfile_parser));
}

void textfile_parser_free(struct textfile_parser *parser)
{
	pages_free(parser);
}

__attribute__((format(printf, 2, 3))) static bool refuse(struct textfile_parser *parser, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(parser->fault->text, sizeof(parser->fault->text), format, list);
	va_end(list);
	return false;
}

/* --- characters --------------------------------------------------------------------------------------------------------- */

static bool begins_label(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_label(char c)
{
	return begins_label(c) || (c >= '0' && c <= '9');
}

static bool is_name(char c)
{
	return is_label(c) || c == ':';
}

static void skip_blanks(struct span *line)
{
	while (line->at < line->end && (*line->at == ' ' || *line->at == '\t'))
		line->at++;
}

static bool take_char(struct span *line, char c)
{
	if (line->at == line->end || *line->at != c)
		return false;
	line->at++;
	return true;
}

/* RFC 3629, and no NUL: one bad byte spoils the file. */
static bool is_utf8(const char *text, size_t size)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + size;

	while (at < end) {
		unsigned char low = 0x80, high = 0xbf, first = *at++;
		int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : 0;
		if (first == 0 || first > 0xf4 || (first >= 0x80 && first < 0xc2))
			return false;
		low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;
		high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high;
		for (; more; more--, low = 0x80, high = 0xbf)
			if (at == end || *at < low || *at++ > high)
				return false;
	}
	return true;
}

static bool read_name(struct textfile_parser *parser, struct span *line, struct span *ret)
{
	const char *start = line->at;

	if (line->at == line->end || !(begins_label(*line->at) || *line->at == ':'))
		return refuse(parser, "a metric's name was expected");
	while (line->at < line->end && is_name(*line->at))
		line->at++;
	*ret = (struct span){ start, line->at };
	if (ret->end - ret->at > TEXTFILE_NAME)
		return refuse(parser, "a name of more than %d bytes", TEXTFILE_NAME);
	return true;
}

/* --- families ----------------------------------------------------------------------------------------------------------- */

static bool is_called(const struct family *family, const struct span *name)
{
	size_t length = (size_t)(name->end - name->at);
	return family->name_length == length && memcmp(family->name, name->at, length) == 0;
}

static struct family *find(struct textfile_parser *parser, const struct span *name)
{
	if (parser->family && is_called(parser->family, name))
		return parser->family;
	for (uint32_t i = 0; i < parser->family_count; i++)
		if (is_called(&parser->families[i], name))
			return &parser->families[i];
	return NULL;
}

static struct family *find_or_add(struct textfile_parser *parser, const struct span *name)
{
	struct family *family = find(parser, name);
	if (family)
		return family;
	if (parser->family_count == TEXTFILE_FAMILIES) {
		refuse(parser, "more than %d families", TEXTFILE_FAMILIES);
		return NULL;
	}
	family = &parser->families[parser->family_count++];
	family->typed = family->helped = family->sampled = false;
	family->type = SERIES_UNTYPED;
	family->help[0] = '\0';
	family->name_length = (uint16_t)span_copy(name, family->name, sizeof(family->name));
	return family;
}

/* A sample's family: by its name, or as a part of a histogram or a summary. */
static struct family *family_of(struct textfile_parser *parser, const struct span *name)
{
	struct family *family = find(parser, name);

	parser->sample.suffix = SERIES_PLAIN;
	for (int suffix = SERIES_BUCKET; !family && suffix < SERIES_SUFFIX_COUNT; suffix++) {
		size_t length = strlen(series_suffixes[suffix]);
		struct span stem = { name->at, name->end - length };
		if ((size_t)(name->end - name->at) <= length || memcmp(stem.end, series_suffixes[suffix], length) != 0)
			continue;
		struct family *whole = find(parser, &stem);
		if (whole && (whole->type == SERIES_HISTOGRAM || (whole->type == SERIES_SUMMARY && suffix != SERIES_BUCKET))) {
			parser->sample.suffix = (enum series_suffix)suffix;
			family = whole;
		}
	}
	return family ? family : find_or_add(parser, name);
}

/* --- comments ----------------------------------------------------------------------------------------------------------- */

static bool read_help(struct textfile_parser *parser, struct span *line, struct family *family)
{
	size_t length = 0;

	if (family->helped)
		return refuse(parser, "a second HELP of %s", family->name);
	family->helped = true;
	for (; line->at < line->end; line->at++) {
		char c = *line->at;
		if (c == '\\') {
			if (++line->at == line->end || (*line->at != '\\' && *line->at != 'n'))
				return refuse(parser, "only \\\\ and \\n are escapes in HELP");
			c = *line->at == 'n' ? '\n' : '\\';
		}
		if (length == TEXTFILE_HELP)
			return refuse(parser, "a HELP of more than %d bytes", TEXTFILE_HELP);
		family->help[length++] = c;
	}
	family->help[length] = '\0';
	return true;
}

static bool read_type(struct textfile_parser *parser, struct span *line, struct family *family)
{
	static const char *const types[SERIES_TYPE_COUNT] = {
		[SERIES_COUNTER] = "counter", [SERIES_GAUGE] = "gauge", [SERIES_UNTYPED] = "untyped", [SERIES_HISTOGRAM] = "histogram",
		[SERIES_SUMMARY] = "summary",
	};
	struct span word;

	if (family->typed)
		return refuse(parser, "a second TYPE of %s", family->name);
	if (family->sampled)
		return refuse(parser, "the TYPE of %s stands behind its samples", family->name);
	if (!span_word(line, &word))
		return refuse(parser, "TYPE of %s names no type", family->name);
	for (int type = 0; type < SERIES_TYPE_COUNT; type++) {
		if (span_is(&word, types[type])) {
			family->type = (uint8_t)type;
			family->typed = true;
		}
	}
	skip_blanks(line);
	return (family->typed && line->at == line->end) || refuse(parser, "the type of %s is none of counter, gauge, histogram, summary, untyped", family->name);
}

static bool read_comment(struct textfile_parser *parser, struct span *line)
{
	struct span keyword, name = { line->at, line->at };

	if (!span_word(line, &keyword) || (!span_is(&keyword, "HELP") && !span_is(&keyword, "TYPE")))
		return true;
	skip_blanks(line);
	if (!read_name(parser, line, &name))
		return false;
	if (line->at < line->end && *line->at != ' ' && *line->at != '\t')
		return refuse(parser, "a metric's name holds other than letters, digits, _ and :");
	skip_blanks(line);
	struct family *family = find_or_add(parser, &name);
	if (!family)
		return false;
	parser->family = family;
	return span_is(&keyword, "HELP") ? read_help(parser, line, family) : read_type(parser, line, family);
}

/* --- samples ------------------------------------------------------------------------------------------------------------ */

static bool read_label_value(struct textfile_parser *parser, struct span *line, char **to)
{
	char *start = *to;

	if (!take_char(line, '"'))
		return refuse(parser, "a label's value stands in double quotes");
	for (;; line->at++) {
		if (line->at == line->end)
			return refuse(parser, "a label's value without its closing quote");
		char c = *line->at;
		if (c == '"')
			break;
		if (c == '\\') {
			if (++line->at == line->end || !strchr("\\\"n", *line->at))
				return refuse(parser, "only \\\\, \\\" and \\n are escapes in a label's value");
			c = *line->at == 'n' ? '\n' : *line->at;
		}
		if (*to - start == TEXTFILE_LABEL_VALUE)
			return refuse(parser, "a label's value of more than %d bytes", TEXTFILE_LABEL_VALUE);
		*(*to)++ = c;
	}
	line->at++;
	*(*to)++ = '\0';
	return true;
}

/* Keeps them sorted, so that one set of labels has one form. */
static bool add_label(struct textfile_parser *parser, const char *name, const char *value)
{
	struct textfile_sample *sample = &parser->sample;
	uint32_t at = sample->label_count;

	while (at && strcmp(sample->labels[at - 1].name, name) > 0)
		at--;
	if (at && strcmp(sample->labels[at - 1].name, name) == 0)
		return refuse(parser, "the label %.60s twice", name);
	memmove(&sample->labels[at + 1], &sample->labels[at], (sample->label_count - at) * sizeof(sample->labels[0]));
	sample->labels[at] = (struct host_label){ name, value };
	sample->label_count++;
	return true;
}

static bool read_label(struct textfile_parser *parser, struct span *line, char **to)
{
	char *name = *to;
	const char *start = line->at;

	if (parser->sample.label_count == SERIES_MAX_LABELS)
		return refuse(parser, "more than %d labels", SERIES_MAX_LABELS);
	if (line->at == line->end || !begins_label(*line->at))
		return refuse(parser, "a label's name was expected");
	while (line->at < line->end && is_label(*line->at))
		line->at++;
	size_t length = (size_t)(line->at - start);
	if (length > TEXTFILE_NAME)
		return refuse(parser, "a name of more than %d bytes", TEXTFILE_NAME);
	memcpy(name, start, length);
	name[length] = '\0';
	*to += length + 1;
	if (strcmp(name, "__name__") == 0)
		return refuse(parser, "__name__ is no label's name");
	skip_blanks(line);
	if (!take_char(line, '='))
		return refuse(parser, "= was expected behind the label %.60s", name);
	skip_blanks(line);
	const char *value = *to;
	return read_label_value(parser, line, to) && add_label(parser, name, value);
}

static bool read_labels(struct textfile_parser *parser, struct span *line)
{
	char *to = parser->strings;

	parser->sample.label_count = 0;
	skip_blanks(line);
	if (!take_char(line, '{'))
		return true;
	for (;;) {
		skip_blanks(line);
		if (take_char(line, '}'))
			return true;
		if (!read_label(parser, line, &to))
			return false;
		skip_blanks(line);
		if (!take_char(line, ',') && (line->at == line->end || *line->at != '}'))
			return refuse(parser, ", or } was expected behind a label");
	}
}

/* Decimal, or NaN and infinity in the words of the format. */
static bool parse_value(const struct span *word, double *ret)
{
	char text[64];
	if (span_copy(word, text, sizeof(text)) >= sizeof(text))
		return false;
	const char *bare = text + (*text == '-' || *text == '+');
	if (strcasecmp(bare, "nan") == 0 && bare == text) {
		*ret = NAN;
		return true;
	}
	if (strcasecmp(bare, "inf") == 0 || strcasecmp(bare, "infinity") == 0) {
		*ret = *text == '-' ? -INFINITY : INFINITY;
		return true;
	}
	char *end;
	if (!*bare || strspn(text, "0123456789.eE+-") != strlen(text))
		return false;
	*ret = strtod(text, &end);
	return !*end && isfinite(*ret);
}

static bool has_label(const struct textfile_sample *sample, const char *name)
{
	for (uint32_t i = 0; i < sample->label_count; i++)
		if (strcmp(sample->labels[i].name, name) == 0)
			return true;
	return false;
}

static bool fits_family(struct textfile_parser *parser, const struct family *family)
{
	const struct textfile_sample *sample = &parser->sample;
	if (family->type == SERIES_HISTOGRAM && sample->suffix == SERIES_PLAIN)
		return refuse(parser, "%s is a histogram: it has _bucket, _sum and _count", family->name);
	if (sample->suffix == SERIES_BUCKET && !has_label(sample, "le"))
		return refuse(parser, "a bucket of %s without le", family->name);
	if (family->type == SERIES_SUMMARY && sample->suffix == SERIES_PLAIN && !has_label(sample, "quantile"))
		return refuse(parser, "a sample of the summary %s without quantile", family->name);
	return true;
}

static bool read_sample(struct textfile_parser *parser, struct span *line, textfile_take *take, void *opaque)
{
	struct span name = { line->at, line->at }, word;

	if (!read_name(parser, line, &name) || !read_labels(parser, line))
		return false;
	if (!span_word(line, &word) || !parse_value(&word, &parser->sample.value))
		return refuse(parser, "a number was expected behind the name and its labels");
	if (span_word(line, &word))
		return refuse(parser, "timestamps are not taken, nor anything else behind the value");

	struct family *family = family_of(parser, &name);
	if (!family || !fits_family(parser, family))
		return false;
	family->sampled = true;
	parser->family = family;
	parser->sample.family = family->name;
	parser->sample.help = family->helped ? family->help : NULL;
	parser->sample.type = (enum series_type)family->type;
	parser->sample.line = parser->line;
	return take(opaque, &parser->sample, parser->fault);
}

int textfile_parse(struct textfile_parser *parser, const char *text, size_t size, textfile_take *take, void *opaque,
	struct textfile_fault *ret_fault)
{
	struct span whole = { text, text + size }, line;

	*ret_fault = (struct textfile_fault){ .line = 1 };
	parser->fault = ret_fault;
	parser->line = parser->family_count = 0;
	parser->family = NULL;
	while (span_line(&whole, &line)) {
		ret_fault->line = ++parser->line;
		if (line.end == text + size)
			return refuse(parser, "the last line has no end: is the file still being written?"), -EINVAL;
		if (!is_utf8(line.at, (size_t)(line.end - line.at)))
			return refuse(parser, "not UTF-8"), -EINVAL;
		skip_blanks(&line);
		bool good = line.at == line.end || (take_char(&line, '#') ? read_comment(parser, &line)
									       : read_sample(parser, &line, take, opaque));
		if (!good)
			return -EINVAL;
	}
	return 0;
}
