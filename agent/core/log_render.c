/* SPDX-License-Identifier: Apache-2.0 */
/* See log_render.h. */
#include "core/log_render.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/utf8.h"

struct out {
	char *data;
	size_t used, size;
};

static void put(struct out *out, const char *data, size_t size)
{
	if (size > out->size - out->used)
		size = out->size - out->used;
	memcpy(out->data + out->used, data, size);
	out->used += size;
}

static void put_text(struct out *out, const char *text)
{
	put(out, text, strlen(text));
}

static void put_format(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_format(struct out *out, const char *format, ...)
{
	char text[128];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length > 0)
		put(out, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_DEBUG:
		return "debug";
	default:
		return "info";
	}
}

/* One table for all: the key in JSON, the field in the journal. */
static const struct {
	const char *json, *journal;
	size_t offset;
} names[] = {
	{ "incident", "NODEMEND_INCIDENT", offsetof(struct log_fields, incident) },
	{ "action", "NODEMEND_ACTION", offsetof(struct log_fields, action) },
	{ "policy", "NODEMEND_POLICY", offsetof(struct log_fields, policy) },
	{ "remedy", "NODEMEND_REMEDY", offsetof(struct log_fields, remedy) },
	{ "outcome", "NODEMEND_OUTCOME", offsetof(struct log_fields, outcome) },
	{ "collector", "NODEMEND_COLLECTOR", offsetof(struct log_fields, collector) },
};
enum { NAME_COUNT = sizeof(names) / sizeof(names[0]) };

static const char *field_of(const struct log_record *record, size_t name)
{
	const char *value = record->fields ? *(const char *const *)((const char *)record->fields + names[name].offset) : NULL;
	return value && *value ? value : NULL;
}

/* --- text -------------------------------------------------------------------------------------------------------------- */

size_t log_render_text(const struct log_record *record, bool journal_prefix, char *data, size_t size)
{
	struct out out = { data, 0, size - 1 };
	if (journal_prefix)
		put_format(&out, "<%d>nodemend: ", record->level);
	else
		put_text(&out, record->level == LOG_LEVEL_ERROR	    ? "nodemend: error: "
			       : record->level == LOG_LEVEL_WARNING ? "nodemend: warning: "
								    : "nodemend: ");
	put_text(&out, record->message);
	if (record->lost)
		put_format(&out, " (%" PRIu64 " lines before this were lost)", record->lost);
	data[out.used] = '\n';
	return out.used + 1;
}

/* --- JSON -------------------------------------------------------------------------------------------------------------- */

/* Room is kept for the rest of the line: a cut value still has its quote and the object its brace. */
static void put_json(struct out *out, const char *text)
{
	enum { RESERVE = 800 };
	size_t most = out->size > RESERVE ? out->size - RESERVE : 0;
	const unsigned char *at = (const unsigned char *)text;
	put(out, "\"", 1);
	while (*at && out->used < most) {
		size_t length = *at < 0x80 ? 1 : utf8_length(at);
		if (*at == '"' || *at == '\\')
			put(out, "\\", 1);
		if (length && (*at >= ' ' || *at >= 0x80))
			put(out, (const char *)at, length);
		else
			put_text(out, "\xef\xbf\xbd");
		at += length ? length : 1;
	}
	put(out, "\"", 1);
}

size_t log_render_json(const struct log_record *record, char *data, size_t size)
{
	struct out out = { data, 0, size - 2 };
	char time[40];
	put_text(&out, "{\"schema\":\"nodemend.log/1\",\"time\":");
	put_json(&out, clock_format(record->wall_ns, time, sizeof(time)));
	put_text(&out, ",\"level\":");
	put_json(&out, level_word(record->level));
	put_text(&out, ",\"process\":");
	put_json(&out, record->process);
	put_format(&out, ",\"pid\":%d", record->pid);
	if (record->lost)
		put_format(&out, ",\"lost\":%" PRIu64, record->lost);
	/* Ids and words of our own, short: they come first, so that it is the sentence that is cut. */
	for (size_t i = 0; i < NAME_COUNT; i++) {
		if (!field_of(record, i))
			continue;
		put_format(&out, ",\"%s\":", names[i].json);
		put_json(&out, field_of(record, i));
	}
	put_text(&out, ",\"message\":");
	put_json(&out, record->message);
	data[out.used++] = '}';
	data[out.used++] = '\n';
	return out.used;
}

/* --- journald ---------------------------------------------------------------------------------------------------------- */

/* A value with a newline would need the binary form: none of ours has one, and one that did would begin a field of its own. */
static void put_field(struct out *out, const char *name, const char *value)
{
	put_text(out, name);
	put(out, "=", 1);
	put(out, value, strcspn(value, "\n"));
	put(out, "\n", 1);
}

size_t log_render_journal(const struct log_record *record, char *data, size_t size)
{
	struct out out = { data, 0, size };
	put_format(&out, "PRIORITY=%d\n", record->level);
	put_field(&out, "SYSLOG_IDENTIFIER", "nodemend");
	put_format(&out, "SYSLOG_PID=%d\n", record->pid);
	put_field(&out, "NODEMEND_PROCESS", record->process);
	if (record->lost)
		put_format(&out, "NODEMEND_LOST=%" PRIu64 "\n", record->lost);
	for (size_t i = 0; i < NAME_COUNT; i++)
		if (field_of(record, i))
			put_field(&out, names[i].journal, field_of(record, i));
	put_field(&out, "MESSAGE", record->message);
	return out.used;
}
