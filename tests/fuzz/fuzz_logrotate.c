/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as logrotate's configuration: every stanza lies whole within it, ends with its brace and names files, and a refusal says where. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remedies/logrotate_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct given {
	const char *text;
	size_t size;
	uint32_t stanzas;
};

static void require(bool so)
{
	if (!so)
		abort();
}

static void check(const struct logrotate_stanza *stanza, void *context)
{
	struct given *given = context;
	given->stanzas++;
	require(stanza->text >= given->text && stanza->length <= given->size - (size_t)(stanza->text - given->text));
	require(stanza->length && stanza->text[stanza->length - 1] == '}');
	require(stanza->pattern_count && stanza->pattern_count <= MAX_STANZA_PATTERNS);
	require(stanza->globals_length <= given->size + 1);
	for (uint32_t i = 0; i < stanza->pattern_count; i++)
		require(memchr(stanza->patterns[i], '\0', PATH_LEN) && stanza->patterns[i][0]);
	require(stanza->globals_length == 0 || stanza->globals[stanza->globals_length - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logrotate_read read;
	char *text = malloc(size + 1); /* of just this size: a byte too far is seen */
	if (!text)
		return 0;
	memcpy(text, data, size);
	struct given given = { .text = text, .size = size };
	int error = logrotate_each_in(text, size, check, &given, &read);
	require(error == 0 || (error == -22 && memchr(read.fault, ':', sizeof(read.fault))));
	require(read.stanzas == given.stanzas);
	free(text);
	return 0;
}
