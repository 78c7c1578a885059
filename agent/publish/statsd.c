/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: families by name, series by family and labels, in tables of a fixed size with chains of indexes. Bodies of histograms
 * and sets stand apart, so that a series that needs none touches none of their pages.
 */
#include "publish/statsd.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SET_WORDS = STATSD_SET_BITS / 64 };

union body {
	struct histogram histogram;
	uint64_t set[SET_WORDS];
};

struct statsd {
	uint32_t max_series, series_count, bucket_mask;
	uint64_t max_age_ns, seed;
	struct statsd_counters counters;
	struct statsd_family *families;    /* max_series of each; a free one has no series */
	struct statsd_series *series;
	union body *bodies;
	uint32_t *buckets, *family_buckets; /* indexes + 1 of the first of each chain */
	uint32_t *free_series, *free_families, free_count, free_family_count;
	struct statsd_line line;
};

/* --- tables ------------------------------------------------------------------------------------------------------------ */

static void *pages(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

struct statsd *statsd_new(uint32_t max_series, uint64_t max_age_ns, uint64_t seed)
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

/* FNV-1a from a secret beginning, and a last mix: the low bits choose the bucket. */
static uint64_t hash_more(uint64_t hash, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3ULL;
	return hash;
}

static uint64_t hash_end(uint64_t hash)
{
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}

/* --- families ---------------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, size_t length, const char *ending)
{
	size_t size = strlen(ending);
	return length > size && memcmp(name + length - size, ending, size) == 0;
}

/*
 * A histogram `x` writes x_bucket, x_sum and x_count, a counter `x` x_total; OpenMetrics calls the counter's family x. So two
 * families whose names are one but for such an ending must be of one type, or one exposition would hold a name twice.
 */
static uint32_t stem_of(const char *name)
{
	static const char *const endings[] = { "_total", "_sum", "_count", "_bucket", "_created" };
	size_t length = strlen(name);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (ends_with(name, length, endings[i]))
			return (uint32_t)(length - strlen(endings[i]));
	return (uint32_t)length;
}

static bool is_same_stem(const struct statsd_family *family, const char *name, uint32_t stem)
{
	return family->stem == stem && memcmp(family->name, name, stem) == 0;
}

static uint32_t *family_bucket(const struct statsd *statsd, const char *name, uint32_t stem)
{
	return &statsd->family_buckets[hash_end(hash_more(statsd->seed, name, stem)) & statsd->bucket_mask];
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

static struct statsd_series *find_or_add_series(struct statsd *statsd, const struct statsd_line *line)
{
	char labels[STATSD_LABELS_LEN];
	size_t size = pack_labels(line, labels);
	uint64_t hash = hash_more(statsd->seed, line->name, strlen(line->name) + 1);
	hash = hash_end(hash_more(hash, labels, size));

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

/* --- values ------------------------------------------------------------------------------------------------------------ */

static union body *body_of(const struct statsd *statsd, const struct statsd_series *series)
{
	return &statsd->bodies[series - statsd->series];
}

/* A counter never falls, and a time beyond thirty years is none. */
static bool is_value_good(const struct statsd_line *line, double value)
{
	return line->type == STATSD_GAUGE || (value >= 0 && (line->type == STATSD_COUNTER || value * line->scale <= 1e9));
}

/* A line is good as a whole or not at all: its numbers are read once before any is taken. */
static bool are_values_good(struct statsd_line *line)
{
	const char *values = line->values;
	size_t size = line->values_size;
	double value;
	bool is_signed;
	int result = 0;
	if (line->type == STATSD_SET)
		return size > 0;
	while (result == 0) {
		result = statsd_next_number(line, &value, &is_signed);
		if (result == 0 && !is_value_good(line, value))
			return false;
	}
	line->values = values;
	line->values_size = size;
	return result == 1;
}

static void add_time(struct histogram *histogram, double seconds, double rate)
{
	uint64_t ns = (uint64_t)(seconds * 1e9 + 0.5), times = (uint64_t)(1 / rate + 0.5);
	histogram->buckets[histogram_bucket(ns)] += times;
	histogram->sum_ns += ns * times;
}

/* Linear counting: n different values leave about e^(-n/m) of m bits unset. One percent off at a thousand, full at 70 000. */
static double count_set(const uint64_t set[SET_WORDS])
{
	uint32_t zeros = 0;
	for (uint32_t i = 0; i < SET_WORDS; i++)
		zeros += 64 - (uint32_t)__builtin_popcountll(set[i]);
	return round(-STATSD_SET_BITS * log((double)(zeros ? zeros : 1) / STATSD_SET_BITS));
}

static void turn_window(struct statsd_series *series, union body *body, uint64_t now_ns)
{
	if (!series->window_ns)
		series->window_ns = now_ns;
	if (now_ns - series->window_ns < STATSD_SET_WINDOW_NS)
		return;
	series->value = count_set(body->set);
	series->whole_window = true;
	series->window_ns = now_ns;
	memset(body->set, 0, sizeof(body->set));
}

static void add_to_set(const struct statsd *statsd, union body *body, const char *word, size_t size)
{
	uint64_t bit = hash_end(hash_more(statsd->seed, word, size)) % STATSD_SET_BITS;
	body->set[bit / 64] |= 1ULL << bit % 64;
}

static void apply(struct statsd *statsd, struct statsd_series *series, struct statsd_line *line, uint64_t now_ns)
{
	union body *body = body_of(statsd, series);
	const char *word;
	size_t size;
	double value;
	bool is_signed;

	if (line->type == STATSD_SET)
		turn_window(series, body, now_ns);
	while (line->type == STATSD_SET && statsd_next_word(line, &word, &size) == 0)
		add_to_set(statsd, body, word, size);
	while (line->type != STATSD_SET && statsd_next_number(line, &value, &is_signed) == 0) {
		if (line->type == STATSD_TIMER)
			add_time(&body->histogram, value * line->scale, line->rate);
		else if (line->type == STATSD_COUNTER)
			series->value += value / line->rate;
		else
			series->value = is_signed ? series->value + value : value;
	}
	series->seen_ns = now_ns;
}

/* --- datagrams --------------------------------------------------------------------------------------------------------- */

static void take_line(struct statsd *statsd, const char *text, size_t size, uint64_t now_ns)
{
	struct statsd_line *line = &statsd->line;
	statsd->counters.lines++;
	if (statsd_parse(text, size, line) < 0 || !are_values_good(line)) {
		statsd->counters.malformed++;
		return;
	}
	size_t length = strlen(line->name);
	if (line->type == STATSD_COUNTER && !ends_with(line->name, length, "_total"))
		memcpy(line->name + length, "_total", sizeof("_total")); /* statsd_parse left room for it */
	struct statsd_series *series = find_or_add_series(statsd, line);
	if (series)
		apply(statsd, series, line, now_ns);
}

void statsd_take(struct statsd *statsd, const char *datagram, size_t size, uint64_t now_ns)
{
	statsd->counters.datagrams++;
	for (size_t at = 0; at < size;) {
		const char *newline = memchr(datagram + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - datagram) - at : size - at;
		size_t kept = length && datagram[at + length - 1] == '\r' ? length - 1 : length;
		if (kept)
			take_line(statsd, datagram + at, kept, now_ns);
		at += length + 1;
	}
}

void statsd_refuse(struct statsd *statsd)
{
	statsd->counters.datagrams++;
	statsd->counters.malformed++;
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

const struct statsd_family *statsd_family(const struct statsd *statsd, uint32_t index)
{
	return index < statsd->max_series ? &statsd->families[index] : NULL;
}

const struct statsd_series *statsd_series(const struct statsd *statsd, uint32_t index_plus_one)
{
	return index_plus_one ? &statsd->series[index_plus_one - 1] : NULL;
}

const struct histogram *statsd_histogram(const struct statsd *statsd, const struct statsd_series *series)
{
	return &body_of(statsd, series)->histogram;
}

double statsd_distinct(const struct statsd *statsd, const struct statsd_series *series)
{
	return series->whole_window ? series->value : count_set(body_of(statsd, series)->set);
}
