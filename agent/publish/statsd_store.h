/* SPDX-License-Identifier: Apache-2.0 */
/* What the StatsD store is made of; for the files statsd*.c alone. */
#ifndef NODEMEND_PUBLISH_STATSD_STORE_H
#define NODEMEND_PUBLISH_STATSD_STORE_H

#include <string.h>

#include "publish/statsd.h"

enum { STATSD_SET_WORDS = STATSD_SET_BITS / 64 };

union statsd_body {
	struct histogram histogram;
	uint64_t set[STATSD_SET_WORDS];
};

struct statsd {
	uint32_t max_series, series_count, bucket_mask;
	uint64_t max_age_ns, seed, started_ns;
	struct statsd_counters counters;
	struct statsd_family *families;    /* max_series of each; a free one has no series */
	struct statsd_series *series;
	union statsd_body *bodies;
	uint32_t *buckets, *family_buckets; /* indexes + 1 of the first of each chain */
	uint32_t *free_series, *free_families, free_count, free_family_count;
	uint32_t unpacked_families;         /* of a copy: the first so many are in use (statsd_page.c) */
	struct statsd_line line;
};

/* The series that a line is for; NULL where it is left out, and counted. */
struct statsd_series *statsd_find_or_add(struct statsd *statsd, const struct statsd_line *line);

static inline union statsd_body *statsd_body_of(const struct statsd *statsd, const struct statsd_series *series)
{
	return &statsd->bodies[series - statsd->series];
}

/* FNV-1a from a secret beginning, and a last mix: the low bits choose the bucket. */
static inline uint64_t statsd_hash_more(uint64_t hash, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3ULL;
	return hash;
}

static inline uint64_t statsd_hash_end(uint64_t hash)
{
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93ULL;
	return hash ^ hash >> 32;
}

static inline bool statsd_ends_with(const char *name, size_t length, const char *ending)
{
	size_t size = strlen(ending);
	return length > size && memcmp(name + length - size, ending, size) == 0;
}

#endif
