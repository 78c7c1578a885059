/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of the protocol: NAME:VALUE[:VALUE…]|TYPE[|@RATE][|#TAG[:VALUE],…], and what of it becomes a name of Prometheus. Pure;
 * reads nothing behind `size`.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "publish/statsd.h"

enum { NUMBER_LEN = 48 };
/* A rate below this is a slip, and would make one line count for millions. */
#define LEAST_RATE 1e-6

static const struct {
	const char *word;
	enum statsd_type type;
	double scale;
} types[] = {
	{ "c", STATSD_COUNTER, 1 }, { "d", STATSD_TIMER, 1 }, { "g", STATSD_GAUGE, 1 },
	{ "h", STATSD_TIMER, 1 },   { "ms", STATSD_TIMER, 1e-3 }, { "s", STATSD_SET, 1 },
};

/* Families of ours and of Prometheus itself: nobody else may write them. */
static const char *const reserved[] = { "node_", "nodemend_", "scrape_" };
/* Labels that have a meaning of their own to Prometheus. */
static const char *const special[] = { "le", "quantile" };

/* --- numbers ----------------------------------------------------------------------------------------------------------- */

/* No hex, no words, no blanks: what strtod takes beyond decimals is no value of this protocol. */
static int read_number(const char *text, size_t size, double *ret)
{
	char closed[NUMBER_LEN], *end;
	if (!size || size >= sizeof(closed))
		return -EINVAL;
	for (size_t i = 0; i < size; i++)
		if (!isdigit((unsigned char)text[i]) && (!text[i] || !strchr("+-.eE", text[i])))
			return -EINVAL;
	memcpy(closed, text, size);
	closed[size] = '\0';
	double value = strtod(closed, &end);
	if (*end || !isfinite(value))
		return -EINVAL;
	*ret = value;
	return 0;
}

int statsd_next_word(struct statsd_line *line, const char **ret, size_t *ret_size)
{
	if (!line->values)
		return 1;
	const char *colon = memchr(line->values, ':', line->values_size);
	*ret = line->values;
	*ret_size = colon ? (size_t)(colon - line->values) : line->values_size;
	line->values_size -= colon ? *ret_size + 1 : *ret_size;
	line->values = colon ? colon + 1 : NULL;
	return 0;
}

int statsd_next_number(struct statsd_line *line, double *ret, bool *ret_signed)
{
	const char *text;
	size_t size;
	if (statsd_next_word(line, &text, &size))
		return 1;
	*ret_signed = size && (*text == '+' || *text == '-');
	return read_number(text, size, ret);
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

/* As statsd_exporter does: what Prometheus does not allow becomes _, and a digit in front gets one before it. */
static int make_name(const char *from, size_t size, char *ret, size_t room, size_t *ret_size)
{
	size_t used = 0;
	if (!size || size + 2 > room)
		return -EINVAL;
	if (isdigit((unsigned char)*from))
		ret[used++] = '_';
	for (size_t i = 0; i < size; i++)
		ret[used++] = isalnum((unsigned char)from[i]) ? from[i] : '_';
	ret[used] = '\0';
	*ret_size = used;
	return 0;
}

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strncmp(name, reserved[i], strlen(reserved[i])) == 0)
			return true;
	return name[0] == '_' && name[1] == '_';
}

static bool is_special(const char *name)
{
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (strcmp(name, special[i]) == 0)
			return true;
	return name[0] == '_' && name[1] == '_';
}

/* --- tags -------------------------------------------------------------------------------------------------------------- */

struct storage { char *at; size_t left; };

static int store_label_name(struct storage *storage, const char *text, size_t size, const char **ret)
{
	static const char prefix[] = "tag_";
	char name[STATSD_NAME_LEN];
	size_t used;
	if (make_name(text, size, name, sizeof(name), &used) < 0)
		return -EINVAL;
	size_t before = is_special(name) ? sizeof(prefix) - 1 : 0;
	if (before + used + 1 > storage->left)
		return -EINVAL;
	memcpy(storage->at, prefix, before);
	memcpy(storage->at + before, name, used + 1);
	*ret = storage->at;
	storage->at += before + used + 1;
	storage->left -= before + used + 1;
	return 0;
}

/* A tag is written by whoever can reach the socket, and read by everybody who reads metrics. */
static int store_label_value(struct storage *storage, const char *name, const char *text, size_t size, const char **ret)
{
	char value[STATSD_VALUE_LEN], shown[STATSD_VALUE_LEN];
	if (size >= sizeof(value) || memchr(text, '\0', size))
		return -EINVAL;
	memcpy(value, text, size);
	value[size] = '\0';
	size_t used = mask_text(shown, sizeof(shown), mask_is_secret_name(name) ? "***" : value);
	if (used >= storage->left)
		return -EINVAL;
	memcpy(storage->at, shown, used + 1);
	*ret = storage->at;
	storage->at += used + 1;
	storage->left -= used + 1;
	return 0;
}

/* By name, so that the order of the tags does not make another series. */
static int add_label(struct statsd_line *line, struct statsd_label label)
{
	uint32_t at = line->label_count;
	if (at == STATSD_MAX_LABELS)
		return -EINVAL;
	for (; at && strcmp(line->labels[at - 1].name, label.name) >= 0; at--) {
		if (strcmp(line->labels[at - 1].name, label.name) == 0)
			return -EINVAL;
		line->labels[at] = line->labels[at - 1];
	}
	line->labels[at] = label;
	line->label_count++;
	return 0;
}

/* Datadog's bare tags are words that are there: "true". An empty value is no label to Prometheus, and none here. */
static int read_tags(const char *text, size_t size, struct statsd_line *line)
{
	struct storage storage = { line->storage, sizeof(line->storage) };
	for (size_t at = 0; at < size;) {
		const char *comma = memchr(text + at, ',', size - at);
		size_t length = comma ? (size_t)(comma - text) - at : size - at;
		const char *colon = memchr(text + at, ':', length);
		size_t name_size = colon ? (size_t)(colon - text) - at : length;
		struct statsd_label label;
		if (length && !(colon && length == name_size + 1)) {
			if (store_label_name(&storage, text + at, name_size, &label.name) < 0 ||
			    store_label_value(&storage, label.name, colon ? colon + 1 : "true", colon ? length - name_size - 1 : 4, &label.value) < 0 ||
			    add_label(line, label) < 0)
				return -EINVAL;
		}
		at += length + 1;
	}
	return 0;
}

/* --- the line ---------------------------------------------------------------------------------------------------------- */

static int read_type(const char *text, size_t size, struct statsd_line *line)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strlen(types[i].word) != size || memcmp(types[i].word, text, size) != 0)
			continue;
		line->type = types[i].type;
		line->scale = types[i].scale;
		return 0;
	}
	return -EINVAL;
}

/* Sections behind the type; those of newer clients (container ids, timestamps) say nothing that is kept here. */
static int read_section(const char *text, size_t size, struct statsd_line *line)
{
	if (size && *text == '@') {
		double rate;
		if (read_number(text + 1, size - 1, &rate) < 0 || rate < LEAST_RATE || rate > 1)
			return -EINVAL;
		line->rate = rate;
	} else if (size && *text == '#') {
		return line->label_count ? -EINVAL : read_tags(text + 1, size - 1, line);
	}
	return 0;
}

int statsd_parse(const char *text, size_t size, struct statsd_line *line)
{
	const char *end = text + size, *colon = memchr(text, ':', size);
	const char *bar = colon ? memchr(colon, '|', (size_t)(end - colon)) : NULL;
	size_t used;

	line->rate = 1;
	line->label_count = 0;
	if (!bar || make_name(text, (size_t)(colon - text), line->name, sizeof(line->name) - sizeof("_total"), &used) < 0 || is_reserved(line->name))
		return -EINVAL;
	line->values = colon + 1;
	line->values_size = (size_t)(bar - colon - 1);

	for (bool is_type = true; bar; is_type = false) {
		const char *start = bar + 1;
		bar = memchr(start, '|', (size_t)(end - start));
		size_t length = (size_t)((bar ? bar : end) - start);
		if ((is_type ? read_type(start, length, line) : read_section(start, length, line)) < 0)
			return -EINVAL;
	}
	return 0;
}
