/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recorded series as CSV (RFC 4180; LF or CRLF, fields quoted or not, a byte order mark is passed over): the header `timestamp,<metric>,…`,
 * then a row a sample. A timestamp is Unix seconds, with or without a fraction, or ISO 8601 (`2026-01-31T12:00:00`, a blank for the T, a
 * fraction, Z or +hh:mm; without a zone it is UTC). A value is a decimal number; an empty field, nan, null, na and infinities are a sample that
 * is missing, which is NaN. Rows come one at a time, so a file may be larger than memory.
 */
#ifndef NODEMEND_CSV_H
#define NODEMEND_CSV_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CSV_MAX_METRICS = 4096, CSV_MAX_ROW = 1 << 20, CSV_WHY_LEN = 256 };

/* Good until the next row. */
struct csv_row {
	uint64_t line;        /* of the file, from 1 */
	int64_t time_ns;      /* since 1970 */
	const char *stamp;    /* the timestamp as it was written */
	const double *values; /* csv_metrics() of them; NaN: missing */
};

struct csv;
/* "-" is standard input. 0; -errno, with `why` as a sentence: for -EINVAL `file:line: what is wrong, and what would be right`. */
int csv_open(const char *path, struct csv **ret, char why[CSV_WHY_LEN]);
/* The same over a stream, which the csv closes; `name` is for the sentences. */
int csv_open_stream(FILE *stream, const char *name, struct csv **ret, char why[CSV_WHY_LEN]);
uint32_t csv_metrics(const struct csv *csv);
const char *csv_name(const struct csv *csv, uint32_t metric);
/* 1: a row; 0: the end; -errno with a sentence, as above. */
int csv_next(struct csv *csv, struct csv_row *ret, char why[CSV_WHY_LEN]);
void csv_close(struct csv *csv);

/* A field as it must be written, quoted where it has to be. */
void csv_print_field(FILE *out, const char *text);

#endif
