/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: families by name, series by family and labels, in tables of a fixed size with chains of indexes. Bodies of histograms
 * and sets stand apart, so that a series that needs none touches none of their pages.
 */
#include "publish/statsd_store.h"

#include <stdlib.h>
#include <sys/mman.h>

/* --- tables ------------------------------------------------------------------------------------------------------------ */

static void *pages(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

struct statsd *statsd_new(uint32_t max_series, uint64_t max_age_ns, uint64_t seed, uint64_t now_ns)
{
	struct statsd *statsd = calloc(1, sizeof(*statsd));
	if (!statsd)
		return NULL;
	uint32_t buckets = 64;
	while (buckets < 2 * max_series)
		buckets *= 2;
	statsd->max_series = max_series;
	statsd->max_age_ns = max_age_ns;
	statsd->seed = seed;
	statsd->started_ns = now_ns;
	statsd->bucket_mask = buckets - 1;
	statsd->families = pages(max_series * sizeof(*statsd->families));
	statsd->series = pages(max_series * sizeof(*statsd->series));
	statsd->bodies = pages(max_series * sizeof(*statsd->bodies));
	statsd->buckets = calloc(buckets, sizeof(*statsd->buckets));
	statsd->family_buckets = calloc(buckets, sizeof(*statsd->family_buckets));
	statsd->free_series = calloc(max_series, sizeof(*statsd->free_series));
	statsd->free_families = calloc(max_series, sizeof(*statsd->free_families));
	if (!statsd->families || !statsd->series || !statsd->bodies || !statsd->buckets || !statsd->family_buckets || !statsd->free_series ||
	    !statsd->free_families) {
		statsd_free(statsd);
		return NULL;
	}
	for (uint32_t i = max_series; i > 0; i--) { /* the first is used first: pages are touched in order */
		statsd->free_series[statsd->free_count++] = i;
		statsd->free_families[statsd->free_family_count++] = i;
	}
	return statsd;
}

void statsd_free(struct statsd *statsd)
{
	if (!statsd)
		return;
	if (statsd->families)
		munmap(statsd->families, statsd->max_series * sizeof(*statsd->families));
	if (statsd->series)
		munmap(statsd->series, statsd->max_series * sizeof(*statsd->series));
	if (statsd->bodies)
		munmap(statsd->bodies, statsd->max_series * sizeof(*statsd->bodies));
	free(statsd->buckets);
	free(statsd->family_buckets);
	free(statsd->free_series);
	free(statsd->free_families);
	free(statsd);
}

/* --- families ---------------------------------------------------------------------------------------------------------- */

/*
 * A histogram `x` writes x_bucket, x_sum and x_count, a counter `x` x_total; OpenMetrics calls the counter's family x. So two
 * families whose names are one but for such an ending must be of one type, or one exposition would hold a name twice.
 */
static uint32_t stem_of(const char *name)
{
	static const char *const endings[] = { "_total", "_sum", "_count", "_bucket", "_created" };
	size_t length = strlen(name);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (statsd_ends_with(name, length, endings[i]))
			return (uint32_t)(length - strlen(endings[i]));
	return (uint32_t)length;
}

static bool is_same_stem(const struct statsd_family *family, const char *name, uint32_t stem)
{
	return family->stem == stem && memcmp(family->name, name, stem) == 0;
}

static uint32_t *family_bucket(const struct statsd *statsd, const char *name, uint32_t stem)
{
	return &statsd->family_buckets[statsd_hash_end(statsd_hash_more(statsd->seed, name, stem)) & statsd->bucket_mask];
}

/* The family's index + 1; 0: the name is taken by another type. There are as many families as series, and one of those is free. */
static uint32_t find_or_add_family(struct statsd *statsd, const char *name, enum statsd_type type)
{
	uint32_t stem = stem_of(name), found = 0, *bucket = family_bucket(statsd, name, stem);
	for (uint32_t at = *bucket; at; at = statsd->families[at - 1].next_in_bucket) {
		const struct statsd_family *family = &statsd->families[at - 1];
		if (is_same_stem(family, name, stem) && family->type != type)
			return 0;
		if (strcmp(family->name, name) == 0)
			found = at;
	}
	if (found)
		return found;
	uint32_t index = statsd->free_families[--statsd->free_family_count];
	struct statsd_family *family = &statsd->families[index - 1];
	*family = (struct statsd_family){ .stem = stem, .type = type, .next_in_bucket = *bucket };
	memcpy(family->name, name, strlen(name) + 1);
	*bucket = index;
	return index;
}

static void release_family(struct statsd *statsd, uint32_t index)
{
	const struct statsd_family *family = &statsd->families[index - 1];
	uint32_t *at = family_bucket(statsd, family->name, family->stem);
	while (*at != index)
		at = &statsd->families[*at - 1].next_in_bucket;
	*at = family->next_in_bucket;
	statsd->free_families[statsd->free_family_count++] = index;
}

/* --- series ------------------------------------------------------------------------------------------------------------ */

static size_t pack_labels(const struct statsd_line *line, char ret[STATSD_LABELS_LEN])
{
	size_t used = 0;
	for (uint32_t i = 0; i < line->label_count; i++) {
		for (int part = 0; part < 2; part++) {
			const char *text = part ? line->labels[i].value : line->labels[i].name;
			size_t size = strlen(text) + 1; /* they all came out of a storage of the same size */
			memcpy(ret + used, text, size);
			used += size;
		}
	}
	return used;
}

static struct statsd_series *add_series(struct statsd *statsd, const struct statsd_line *line, const char *labels, size_t size, uint64_t hash)
{
	if (!statsd->free_count) {
		statsd->counters.folded++;
		return NULL;
	}
	uint32_t family = find_or_add_family(statsd, line->name, line->type);
	if (!family) {
		statsd->counters.conflicts++;
		return NULL;
	}

	uint32_t index = statsd->free_series[--statsd->free_count], *bucket = &statsd->buckets[hash & statsd->bucket_mask];
	struct statsd_series *series = &statsd->series[index - 1];
	*series = (struct statsd_series){ .family = family, .next_in_family = statsd->families[family - 1].first_series, .next_in_bucket = *bucket,
					  .label_count = line->label_count, .labels_size = (uint32_t)size, .hash = hash };
	memcpy(series->labels, labels, size);
	if (line->type == STATSD_TIMER || line->type == STATSD_SET)
		memset(&statsd->bodies[index - 1], 0, sizeof(statsd->bodies[0]));
	*bucket = statsd->families[family - 1].first_series = index;
	statsd->series_count++;
	return series;
}

struct statsd_series *statsd_find_or_add(struct statsd *statsd, const struct statsd_line *line)
{
	char labels[STATSD_LABELS_LEN];
	size_t size = pack_labels(line, labels);
	uint64_t hash = statsd_hash_more(statsd->seed, line->name, strlen(line->name) + 1);
	hash = statsd_hash_end(statsd_hash_more(hash, labels, size));

	for (uint32_t at = statsd->buckets[hash & statsd->bucket_mask]; at; at = statsd->series[at - 1].next_in_bucket) {
		struct statsd_series *series = &statsd->series[at - 1];
		const struct statsd_family *family = &statsd->families[series->family - 1];
		if (series->hash != hash || series->labels_size != size || memcmp(series->labels, labels, size) != 0 ||
		    strcmp(family->name, line->name) != 0)
			continue;
		if (family->type == line->type)
			return series;
		statsd->counters.conflicts++;
		return NULL;
	}
	return add_series(statsd, line, labels, size, hash);
}

static void unchain(struct statsd *statsd, uint32_t *head, uint32_t index, bool in_family)
{
	while (*head != index)
		head = in_family ? &statsd->series[*head - 1].next_in_family : &statsd->series[*head - 1].next_in_bucket;
	const struct statsd_series *series = &statsd->series[index - 1];
	*head = in_family ? series->next_in_family : series->next_in_bucket;
}

void statsd_expire(struct statsd *statsd, uint64_t now_ns)
{
	for (uint32_t i = 0; i < statsd->max_series && statsd->series_count; i++) {
		struct statsd_series *series = &statsd->series[i];
		if (!series->family || series->seen_ns + statsd->max_age_ns >= now_ns)
			continue;
		struct statsd_family *family = &statsd->families[series->family - 1];
		unchain(statsd, &family->first_series, i + 1, true);
		unchain(statsd, &statsd->buckets[series->hash & statsd->bucket_mask], i + 1, false);
		if (!family->first_series)
			release_family(statsd, series->family);
		series->family = 0;
		statsd->free_series[statsd->free_count++] = i + 1;
		statsd->series_count--;
		statsd->counters.expired++;
	}
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

const struct statsd_counters *statsd_counters(const struct statsd *statsd)
{
	return &statsd->counters;
}

uint32_t statsd_series_count(const struct statsd *statsd)
{
	return statsd->series_count;
}

uint64_t statsd_started_ns(const struct statsd *statsd)
{
	return statsd->started_ns;
}

const struct statsd_family *statsd_family(const struct statsd *statsd, uint32_t index)
{
	return index < statsd->max_series ? &statsd->families[index] : NULL;
}

const struct statsd_series *statsd_series(const struct statsd *statsd, uint32_t index_plus_one)
{
	return index_plus_one ? &statsd->series[index_plus_one - 1] : NULL;
}
