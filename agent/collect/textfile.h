/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Prometheus text format 0.0.4, as files hold it that others wrote: strictly, and within bounds. Pure: text in, samples out; a
 * fault names its line. What node_exporter refuses is refused: timestamps, a TYPE behind its samples, a last line without its end.
 */
#ifndef NODEMEND_COLLECT_TEXTFILE_H
#define NODEMEND_COLLECT_TEXTFILE_H

#include "collect/host.h"

enum {
	TEXTFILE_BYTES = 1 << 20,       /* of one file */
	TEXTFILE_FILES = 64,
	TEXTFILE_SERIES = 8192,         /* of all files */
	TEXTFILE_FAMILIES = 1024,       /* of one file */
	TEXTFILE_NAME = 200,            /* bytes of a name */
	TEXTFILE_LABEL_VALUE = 1024,
	TEXTFILE_HELP = 1000,
};

struct textfile_sample {
	const char *family, *help;      /* help: NULL where the file says none */
	enum series_type type;
	enum series_suffix suffix;
	double value;
	uint32_t line, label_count;
	struct host_label labels[SERIES_MAX_LABELS]; /* by name, each once */
};

struct textfile_fault {
	uint32_t line;                  /* from 1 */
	char text[160];
};

struct textfile_parser;
struct textfile_parser *textfile_parser_new(void);   /* NULL without memory; large, touched as far as it is used */
void textfile_parser_free(struct textfile_parser *parser);

/* `take` is handed each sample, good until it returns; it refuses one by writing the fault's text and returning false. 0 or -EINVAL. */
typedef bool textfile_take(void *opaque, const struct textfile_sample *sample, struct textfile_fault *fault);
int textfile_parse(struct textfile_parser *parser, const char *text, size_t size, textfile_take *take, void *opaque,
	struct textfile_fault *ret_fault);

#endif
