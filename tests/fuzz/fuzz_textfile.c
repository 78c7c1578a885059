/* SPDX-License-Identifier: Apache-2.0 */
/* Text files of strangers: whatever is handed out keeps the bounds, and what is taken is taken the same way a second time. */
#include <stdlib.h>
#include <string.h>

#include "collect/textfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool so)
{
	if (!so)
		abort();
}

static bool take(void *opaque, const struct textfile_sample *sample, struct textfile_fault *fault)
{
	uint32_t *count = opaque;

	++*count;
	require(strlen(sample->family) > 0 && strlen(sample->family) <= TEXTFILE_NAME && sample->type < SERIES_TYPE_COUNT);
	require(sample->label_count <= SERIES_MAX_LABELS && sample->suffix < SERIES_SUFFIX_COUNT);
	require(!sample->help || strlen(sample->help) <= TEXTFILE_HELP);
	for (uint32_t i = 0; i < sample->label_count; i++) {
		require(strlen(sample->labels[i].value) <= TEXTFILE_LABEL_VALUE);
		require(i == 0 || strcmp(sample->labels[i - 1].name, sample->labels[i].name) < 0);
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct textfile_parser *parser;
	struct textfile_fault fault, again;
	uint32_t first = 0, second = 0;

	if (!parser)
		parser = textfile_parser_new();
	/* A block of its own, so that a read past the end is seen. */
	char *text = malloc(size ? size : 1);
	if (!parser || !text)
		return 0;
	memcpy(text, data, size);
	int error = textfile_parse(parser, text, size, take, &first, &fault);
	require(!error || (fault.line > 0 && fault.text[0] && memchr(fault.text, '\0', sizeof(fault.text))));
	require(textfile_parse(parser, text, size, take, &second, &again) == error && first == second);
	free(text);
	return 0;
}
