/* SPDX-License-Identifier: Apache-2.0 */
/* See csv.h. One buffer holds the row that is read, its fields end with a NUL in place. */
#include "csv.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "csv_time.h"

enum { MAX_FIELDS = CSV_MAX_METRICS + 1 };

struct csv {
	FILE *stream;
	char name[CSV_WHY_LEN / 2];
	uint64_t line;            /* that the next byte belongs to */
	uint32_t metrics;
	char *row;                /* CSV_MAX_ROW */
	uint32_t fields, offsets[MAX_FIELDS];
	char **names;
	double *values;
};

__attribute__((format(printf, 4, 5))) static int fault(const struct csv *csv, uint64_t line, char why[CSV_WHY_LEN], const char *format, ...)
{
	va_list arguments;
	int length = snprintf(why, CSV_WHY_LEN, "%s:%llu: ", csv->name, (unsigned long long)line);
	va_start(arguments, format);
	vsnprintf(why + length, CSV_WHY_LEN - (size_t)length, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static int next_byte(struct csv *csv)
{
	int byte = getc_unlocked(csv->stream);
	if (byte == '\n')
		csv->line++;
	return byte;
}

/* Fills row, fields and offsets. 1; 0 at the end; -errno. A row without a byte is passed over: files end in them. */
static int read_record(struct csv *csv, uint64_t *ret_line, char why[CSV_WHY_LEN])
{
	uint32_t used = 0;
	bool quoted = false, closed = false, any = false;
	int byte;

	*ret_line = csv->line;
	csv->fields = 1;
	csv->offsets[0] = 0;
	while ((byte = next_byte(csv)) != EOF) {
		if (used >= CSV_MAX_ROW - 2)
			return fault(csv, *ret_line, why, "the row is longer than %d bytes; is a quote not closed?", CSV_MAX_ROW);
		if (!byte)
			return fault(csv, *ret_line, why, "a zero byte; the file must be text");
		if (quoted && byte != '"') {
			csv->row[used++] = (char)byte;
		} else if (quoted) {
			quoted = false;
			closed = true;
		} else if (byte == '"' && closed) { /* two of them: one that belongs to the text */
			csv->row[used++] = '"';
			quoted = true;
			closed = false;
		} else if (byte == '"' && used == csv->offsets[csv->fields - 1]) {
			quoted = any = true;
		} else if (byte == ',') {
			if (csv->fields == MAX_FIELDS)
				return fault(csv, *ret_line, why, "more than %d metrics; split the file", CSV_MAX_METRICS);
			csv->row[used++] = 0;
			csv->offsets[csv->fields++] = used;
			closed = false;
			any = true;
		} else if (byte == '\n') {
			if (any || used)
				break;
			*ret_line = csv->line;
		} else if (byte == '\r') {
			continue; /* of CRLF; nowhere else does a number or a name need one */
		} else if (closed) {
			return fault(csv, *ret_line, why, "text after a closing quote in column %u; a quote inside a field is written twice", csv->fields);
		} else {
			csv->row[used++] = (char)byte;
		}
	}
	if (ferror(csv->stream)) {
		int err = errno ? errno : EIO;
		fault(csv, *ret_line, why, "%s", strerror(err));
		return -err;
	}
	if (quoted)
		return fault(csv, *ret_line, why, "the file ends inside a quoted field; its closing quote is missing");
	csv->row[used] = 0;
	return any || used ? 1 : 0;
}

/* Blanks around a field carry nothing. */
static char *field(struct csv *csv, uint32_t index)
{
	char *text = csv->row + csv->offsets[index], *end = text + strlen(text);
	text += strspn(text, " \t");
	while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = 0;
	return text;
}

/* A byte order mark is no part of the first name. Nothing else begins so: a lone first byte of one is no text either. */
static void skip_mark(FILE *stream)
{
	int byte = getc(stream);
	if (byte == 0xef) {
		(void)getc(stream);
		(void)getc(stream);
	} else if (byte != EOF) {
		(void)ungetc(byte, stream);
	}
}

static int read_header(struct csv *csv, char why[CSV_WHY_LEN])
{
	uint64_t line;
	skip_mark(csv->stream);
	int err = read_record(csv, &line, why);
	if (err < 0)
		return err;
	if (err == 0)
		return fault(csv, 1, why, "the file is empty; its first line must be `timestamp,<metric>,...`");

	const char *first = field(csv, 0);
	if (strcasecmp(first, "timestamp") != 0)
		return fault(csv, line, why, "the first column is '%.32s'; it must be `timestamp`", first);
	if (csv->fields < 2)
		return fault(csv, line, why, "no metric; the header must be `timestamp,<metric>,...`");

	csv->metrics = csv->fields - 1;
	csv->names = calloc(csv->metrics, sizeof(*csv->names));
	csv->values = calloc(csv->metrics, sizeof(*csv->values));
	if (!csv->names || !csv->values)
		goto memory;
	for (uint32_t i = 0; i < csv->metrics; i++) {
		const char *name = field(csv, i + 1);
		if (!*name)
			return fault(csv, line, why, "column %u has no name; every metric needs one", i + 2);
		csv->names[i] = strdup(name);
		if (!csv->names[i])
			goto memory;
	}
	return 0;
memory:
	fault(csv, line, why, "out of memory");
	return -ENOMEM;
}

int csv_open_stream(FILE *stream, const char *name, struct csv **ret, char why[CSV_WHY_LEN])
{
	struct csv *csv = calloc(1, sizeof(*csv));
	if (!csv || !(csv->row = malloc(CSV_MAX_ROW))) {
		snprintf(why, CSV_WHY_LEN, "out of memory");
		free(csv);
		(void)fclose(stream); /* nothing was written to it */
		return -ENOMEM;
	}
	csv->stream = stream;
	csv->line = 1;
	snprintf(csv->name, sizeof(csv->name), "%s", name);
	int err = read_header(csv, why);
	if (err) {
		csv_close(csv);
		return err;
	}
	*ret = csv;
	return 0;
}

int csv_open(const char *path, struct csv **ret, char why[CSV_WHY_LEN])
{
	if (strcmp(path, "-") == 0)
		return csv_open_stream(stdin, "stdin", ret, why);
	FILE *stream = fopen(path, "re");
	if (!stream) {
		int err = errno;
		snprintf(why, CSV_WHY_LEN, "%s: %s", path, strerror(err));
		return -err;
	}
	return csv_open_stream(stream, path, ret, why);
}

uint32_t csv_metrics(const struct csv *csv)
{
	return csv->metrics;
}

const char *csv_name(const struct csv *csv, uint32_t metric)
{
	return csv->names[metric];
}

/* The words that exporters write where there is no number. */
static bool is_missing(const char *text)
{
	static const char *const words[] = { "", "nan", "null", "na", "n/a", "none", "inf", "infinity" };
	text += *text == '-' || *text == '+';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

int csv_next(struct csv *csv, struct csv_row *ret, char why[CSV_WHY_LEN])
{
	uint64_t line;
	int got = read_record(csv, &line, why);
	if (got <= 0)
		return got;
	if (csv->fields != csv->metrics + 1)
		return fault(csv, line, why, "%u fields where the header has %u; an absent value is an empty field", csv->fields, csv->metrics + 1);

	int64_t time_ns;
	const char *stamp = field(csv, 0);
	if (!csv_time(stamp, &time_ns))
		return fault(csv, line, why, "'%.40s' is no time; right are Unix seconds (1767225600) and ISO 8601 (2026-01-01T00:00:00Z)", stamp);
	for (uint32_t i = 0; i < csv->metrics; i++) {
		const char *text = field(csv, i + 1);
		if (!csv_number(text, &csv->values[i])) {
			if (!is_missing(text))
				return fault(csv, line, why, "'%.40s' in column %u (%.40s) is no number; an absent value is an empty field or nan", text,
					     i + 2, csv->names[i]);
			csv->values[i] = NAN;
		} else if (!isfinite(csv->values[i])) {
			csv->values[i] = NAN; /* 1e999 */
		}
	}
	*ret = (struct csv_row){ .line = line, .time_ns = time_ns, .stamp = stamp, .values = csv->values };
	return 1;
}

void csv_close(struct csv *csv)
{
	if (!csv)
		return;
	(void)fclose(csv->stream); /* read only: there is nothing that could be lost */
	for (uint32_t i = 0; csv->names && i < csv->metrics; i++)
		free(csv->names[i]);
	free(csv->names);
	free(csv->values);
	free(csv->row);
	free(csv);
}

void csv_print_field(FILE *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n") && *text != ' ') {
		fputs(text, out);
		return;
	}
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', out);
		putc(*text, out);
	}
	putc('"', out);
}
