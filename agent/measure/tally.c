/* SPDX-License-Identifier: Apache-2.0 */
/* See tally.h. Entries never move; a hash finds them by key, and the order is made anew only when rows came or went. */
#include "measure/tally.h"

#include <stdlib.h>
#include <string.h>

#include "core/pages.h"
#include "snapshot.h"

enum { NONE = -1 };

struct entry {
	struct tally_key key;
	int32_t next;                /* in its bucket, or of the free ones */
	bool used, in_kernel, changed;
	uint32_t quiet_ticks;
	uint64_t recent;
};

struct tally {
	uint32_t capacity, counters, buckets, used, count;
	int32_t free;
	bool order_changed;
	uint64_t cut;
	uint64_t rest[TALLY_COUNTERS];
	int32_t *heads;
	uint32_t *order;
	struct entry *entries;
	uint64_t *kernel, *total, *delta; /* [entry * counters] */
};

struct tally *tally_new(uint32_t capacity, uint32_t counters)
{
	struct tally *tally = counters && counters <= TALLY_COUNTERS ? calloc(1, sizeof(*tally)) : NULL;

	if (!tally)
		return NULL;
	tally->capacity = capacity;
	tally->counters = counters;
	tally->free = NONE;
	for (tally->buckets = 16; tally->buckets < capacity; tally->buckets *= 2)
		;
	tally->heads = pages_new(tally->buckets, sizeof(*tally->heads));
	tally->order = pages_new(capacity, sizeof(*tally->order));
	tally->entries = pages_new(capacity, sizeof(*tally->entries));
	tally->kernel = pages_new((size_t)capacity * counters, sizeof(*tally->kernel));
	tally->total = pages_new((size_t)capacity * counters, sizeof(*tally->total));
	tally->delta = pages_new((size_t)capacity * counters, sizeof(*tally->delta));
	if (!tally->heads || !tally->order || !tally->entries || !tally->kernel || !tally->total || !tally->delta) {
		tally_free(tally);
		return NULL;
	}
	memset(tally->heads, 0xff, tally->buckets * sizeof(*tally->heads));
	return tally;
}

void tally_free(struct tally *tally)
{
	if (!tally)
		return;
	pages_free(tally->delta);
	pages_free(tally->total);
	pages_free(tally->kernel);
	pages_free(tally->entries);
	pages_free(tally->order);
	pages_free(tally->heads);
	free(tally);
}

static int32_t *head_of(const struct tally *tally, struct tally_key key)
{
	uint64_t hash = (key.a ^ (key.b << 32 | key.b >> 32)) * 0x9E3779B97F4A7C15ULL;
	return &tally->heads[(hash ^ hash >> 32) & (tally->buckets - 1)];
}

static int32_t find_entry(const struct tally *tally, struct tally_key key)
{
	for (int32_t i = *head_of(tally, key); i != NONE; i = tally->entries[i].next)
		if (tally->entries[i].key.a == key.a && tally->entries[i].key.b == key.b)
			return i;
	return NONE;
}

static int32_t add_entry(struct tally *tally, struct tally_key key)
{
	int32_t index = tally->free, *head = head_of(tally, key);

	if (index != NONE)
		tally->free = tally->entries[index].next;
	else if (tally->used < tally->capacity)
		index = (int32_t)tally->used++;
	else
		return NONE;
	tally->entries[index] = (struct entry){ .key = key, .used = true, .next = *head };
	*head = index;
	size_t at = (size_t)index * tally->counters, size = tally->counters * sizeof(uint64_t);
	memset(tally->kernel + at, 0, size);
	memset(tally->total + at, 0, size);
	memset(tally->delta + at, 0, size);
	tally->order_changed = true;
	return index;
}

void tally_begin(struct tally *tally)
{
	for (uint32_t i = 0; i < tally->used; i++) {
		struct entry *entry = &tally->entries[i];

		if (!entry->used)
			continue;
		entry->in_kernel = entry->changed = false;
		memset(tally->delta + (size_t)i * tally->counters, 0, tally->counters * sizeof(uint64_t));
	}
}

/* Below what was read before: deleted in the kernel, and back again from 0. */
static uint64_t added(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

static int32_t take(struct tally *tally, struct tally_key key, const uint64_t *values)
{
	int32_t index = find_entry(tally, key);

	if (index == NONE)
		index = add_entry(tally, key);
	if (index == NONE) {
		tally->cut++;
		return NONE;
	}

	struct entry *entry = &tally->entries[index];
	size_t at = (size_t)index * tally->counters;
	for (uint32_t i = 0; i < tally->counters; i++) {
		uint64_t more = added(values[i], tally->kernel[at + i]);

		tally->kernel[at + i] = values[i];
		tally->total[at + i] += more;
		tally->delta[at + i] += more;
		entry->changed |= more != 0;
	}
	entry->in_kernel = true;
	return index;
}

void tally_take(struct tally *tally, struct tally_key key, const uint64_t *values)
{
	(void)take(tally, key, values); /* -1 was counted */
}

void tally_take_last(struct tally *tally, struct tally_key key, const uint64_t *values)
{
	int32_t index = take(tally, key, values);

	if (index == NONE)
		return;
	memset(tally->kernel + (size_t)index * tally->counters, 0, tally->counters * sizeof(uint64_t));
	tally->entries[index].in_kernel = false;
}

static int compare_entries(const void *a, const void *b, void *entries_)
{
	const struct entry *entries = entries_;
	const struct tally_key *left = &entries[*(const uint32_t *)a].key, *right = &entries[*(const uint32_t *)b].key;

	if (left->a != right->a)
		return left->a > right->a ? 1 : -1;
	return (left->b > right->b) - (left->b < right->b);
}

void tally_end(struct tally *tally, uint64_t elapsed_ns)
{
	for (uint32_t i = 0; i < tally->used; i++) {
		struct entry *entry = &tally->entries[i];

		if (!entry->used)
			continue;
		entry->quiet_ticks = entry->changed ? 0 : entry->quiet_ticks + 1;
		entry->recent = decay_recent(entry->recent, elapsed_ns, tally->delta[(size_t)i * tally->counters]);
	}
	if (!tally->order_changed)
		return;
	tally->count = 0;
	for (uint32_t i = 0; i < tally->used; i++)
		if (tally->entries[i].used)
			tally->order[tally->count++] = i;
	qsort_r(tally->order, tally->count, sizeof(tally->order[0]), compare_entries, tally->entries);
	tally->order_changed = false;
}

uint32_t tally_count(const struct tally *tally)
{
	return tally->count;
}

struct tally_row tally_row(const struct tally *tally, uint32_t index)
{
	const struct entry *entry = &tally->entries[tally->order[index]];
	size_t at = (size_t)tally->order[index] * tally->counters;

	return (struct tally_row){
		.key = entry->key, .in_kernel = entry->in_kernel, .quiet_ticks = entry->quiet_ticks, .recent = entry->recent,
		.total = tally->total + at, .delta = tally->delta + at,
	};
}

const uint64_t *tally_find(const struct tally *tally, struct tally_key key)
{
	int32_t index = find_entry(tally, key);

	return index == NONE ? NULL : tally->total + (size_t)index * tally->counters;
}

void tally_retire(struct tally *tally, uint32_t index)
{
	int32_t at = (int32_t)tally->order[index], *link;
	struct entry *entry = &tally->entries[at];

	if (!entry->used)
		return;
	for (uint32_t i = 0; i < tally->counters; i++)
		tally->rest[i] += tally->total[(size_t)at * tally->counters + i];
	for (link = head_of(tally, entry->key); *link != at; link = &tally->entries[*link].next)
		;
	*link = entry->next;
	entry->used = false;
	entry->next = tally->free;
	tally->free = at;
	tally->order_changed = true;
}

const uint64_t *tally_rest(const struct tally *tally)
{
	return tally->rest;
}

uint64_t tally_cut(const struct tally *tally)
{
	return tally->cut;
}
