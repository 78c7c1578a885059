/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the bytes of include/series.h. */
#include "series.h"

#include <stddef.h>
#include <string.h>

const char *const series_source_names[SERIES_SOURCE_COUNT] = {
#define SERIES_NAME(id, name) [SERIES_##id] = (name),
	SERIES_SOURCES(SERIES_NAME)
#undef SERIES_NAME
};

const char *const series_suffixes[SERIES_SUFFIX_COUNT] = {
	[SERIES_PLAIN] = "", [SERIES_BUCKET] = "_bucket", [SERIES_SUM] = "_sum", [SERIES_COUNT] = "_count",
};

/* A piece that begins with a head of `head` bytes and says its own size: steps over it. */
static const char *take(struct series_cursor *cursor, size_t head, uint32_t size)
{
	const char *at = cursor->at;
	if (size < head || size % SERIES_ALIGN || size > (size_t)(cursor->end - at))
		return NULL;
	cursor->at += size;
	return at;
}

static bool has_head(const struct series_cursor *cursor, size_t head)
{
	return cursor->at && (size_t)(cursor->end - cursor->at) >= head;
}

struct series_cursor series_begin(const struct series_section *section)
{
	uint32_t count = section->count < SERIES_BYTES ? section->count : SERIES_BYTES;
	return (struct series_cursor){ section->each, section->each + count };
}

const struct series_block *series_next_block(struct series_cursor *blocks, struct series_cursor *ret_families)
{
	const struct series_block *block = (const void *)blocks->at;
	if (!has_head(blocks, sizeof(*block)) || block->source >= SERIES_SOURCE_COUNT || !take(blocks, sizeof(*block), block->size))
		return NULL;
	*ret_families = (struct series_cursor){ (const char *)(block + 1), blocks->at };
	return block;
}

const struct series_family *series_next_family(struct series_cursor *families, const char **ret_name, const char **ret_help,
	struct series_cursor *ret_samples)
{
	const struct series_family *family = (const void *)families->at;
	if (!has_head(families, sizeof(*family)) || family->type >= SERIES_TYPE_COUNT || !take(families, sizeof(*family), family->size))
		return NULL;

	size_t strings = (size_t)family->name_size + family->help_size;
	size_t padded = (sizeof(*family) + strings + SERIES_ALIGN - 1) / SERIES_ALIGN * SERIES_ALIGN;
	const char *name = (const char *)(family + 1), *help = name + family->name_size;
	if (padded > family->size || family->name_size < 2 || !family->help_size || name[family->name_size - 1] ||
	    help[family->help_size - 1])
		return NULL;
	*ret_name = name;
	*ret_help = help;
	*ret_samples = (struct series_cursor){ (const char *)family + padded, families->at };
	return family;
}

const struct series_sample *series_next_sample(struct series_cursor *samples, const char *ret_strings[2 * SERIES_MAX_LABELS])
{
	const struct series_sample *sample = (const void *)samples->at;
	if (!has_head(samples, sizeof(*sample)) || sample->labels > SERIES_MAX_LABELS || sample->suffix >= SERIES_SUFFIX_COUNT ||
	    !take(samples, sizeof(*sample), sample->size))
		return NULL;

	const char *at = (const char *)(sample + 1);
	for (uint32_t i = 0; i < 2U * sample->labels; i++) {
		const char *end = memchr(at, '\0', (size_t)(samples->at - at));
		if (!end)
			return NULL;
		ret_strings[i] = at;
		at = end + 1;
	}
	return sample;
}
