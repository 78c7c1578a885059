/* SPDX-License-Identifier: Apache-2.0 */
/* See recency.h. Two arrays in turn: the last round's, by key, and this one's. What is not noted in a round is forgotten. */
#include "measure/recency.h"

#include <stdlib.h>
#include <string.h>

#include "core/pages.h"
#include "snapshot.h"

struct noted {
	uint8_t key[RECENCY_KEY_BYTES];
	uint64_t weight, recent;
};

struct recency {
	uint32_t capacity, before_count, now_count;
	size_t key_size;
	uint64_t elapsed_ns;
	struct noted *before, *now;
};

struct recency *recency_new(uint32_t capacity, size_t key_size)
{
	struct recency *recency = key_size <= RECENCY_KEY_BYTES ? calloc(1, sizeof(*recency)) : NULL;

	if (!recency)
		return NULL;
	recency->capacity = capacity;
	recency->key_size = key_size;
	recency->before = pages_new(capacity, sizeof(*recency->before));
	recency->now = pages_new(capacity, sizeof(*recency->now));
	if (!recency->before || !recency->now) {
		recency_free(recency);
		return NULL;
	}
	return recency;
}

void recency_free(struct recency *recency)
{
	if (!recency)
		return;
	pages_free(recency->before);
	pages_free(recency->now);
	free(recency);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct noted *)a)->key, ((const struct noted *)b)->key, RECENCY_KEY_BYTES);
}

void recency_begin(struct recency *recency, uint64_t elapsed_ns)
{
	recency->elapsed_ns = elapsed_ns;
	recency->now_count = 0;
}

uint64_t recency_note(struct recency *recency, const void *key, uint64_t weight, uint64_t *ret_grown)
{
	struct noted noted = { .weight = weight };

	memcpy(noted.key, key, recency->key_size);
	const struct noted *before = bsearch(&noted, recency->before, recency->before_count, sizeof(noted), compare_keys);

	/* Below what it was: deleted in the kernel, and back again from 0. */
	*ret_grown = before && weight >= before->weight ? weight - before->weight : weight;
	noted.recent = decay_recent(before ? before->recent : 0, recency->elapsed_ns, *ret_grown);
	if (recency->now_count < recency->capacity)
		recency->now[recency->now_count++] = noted;
	return noted.recent;
}

void recency_end(struct recency *recency)
{
	struct noted *last = recency->before;

	recency->before = recency->now;
	recency->before_count = recency->now_count;
	recency->now = last;
	qsort(recency->before, recency->before_count, sizeof(*recency->before), compare_keys);
}
