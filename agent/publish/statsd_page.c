/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See statsd_page.h. A family is its type, its name and how many series it has; a series is its labels and a number, or a histogram's
 * buckets that are not empty. Numbers are as the machine has them: the page never leaves it.
 */
#include "publish/statsd_page.h"

#include <errno.h>
#include <string.h>

#include "publish/statsd_store.h"

struct packed_family { uint32_t series; uint8_t type, name_size; };
struct packed_series { double value; uint64_t sum_ns; uint16_t labels_size, buckets; uint32_t label_count; };
struct packed_bucket { uint64_t count; uint32_t index; };

size_t statsd_page_size(uint32_t max_series)
{
	const size_t most = sizeof(struct packed_family) + STATSD_NAME_LEN + sizeof(struct packed_series) + STATSD_LABELS_LEN +
			    HISTOGRAM_BUCKETS * sizeof(struct packed_bucket);
	return sizeof(struct statsd_page) + max_series * most;
}

/* --- packing ----------------------------------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
	memcpy(at, data, size);
	return at + size;
}

static uint8_t *pack_series(uint8_t *at, const struct statsd *statsd, enum statsd_type type, const struct statsd_series *series)
{
	const struct histogram *histogram = type == STATSD_TIMER ? statsd_histogram(statsd, series) : NULL;
	struct packed_series head = { .value = type == STATSD_SET ? statsd_distinct(statsd, series) : series->value,
				      .labels_size = (uint16_t)series->labels_size, .label_count = series->label_count };
	uint8_t *head_at = at;
	at = put(at + sizeof(head), series->labels, series->labels_size);
	for (uint32_t i = 0; histogram && i < HISTOGRAM_BUCKETS; i++) {
		const struct packed_bucket bucket = { .count = histogram->buckets[i], .index = i };
		if (!bucket.count)
			continue;
		at = put(at, &bucket, sizeof(bucket));
		head.buckets++;
	}
	head.sum_ns = histogram ? histogram->sum_ns : 0;
	memcpy(head_at, &head, sizeof(head));
	return at;
}

static uint8_t *pack(uint8_t *at, const struct statsd *statsd)
{
	const struct statsd_family *family;
	for (uint32_t i = 0; (family = statsd_family(statsd, i)); i++) {
		if (!family->first_series)
			continue;
		struct packed_family head = { .type = (uint8_t)family->type, .name_size = (uint8_t)strlen(family->name) };
		uint8_t *head_at = at;
		at = put(at + sizeof(head), family->name, head.name_size);
		for (const struct statsd_series *series = statsd_series(statsd, family->first_series); series;
		     series = statsd_series(statsd, series->next_in_family), head.series++)
			at = pack_series(at, statsd, family->type, series);
		memcpy(head_at, &head, sizeof(head));
	}
	return at;
}

void statsd_page_write(struct statsd_page *page, const struct statsd *statsd, uint64_t now_ns)
{
	/* One that was killed while it wrote has left an odd number. */
	uint64_t version = atomic_load_explicit(&page->version, memory_order_relaxed) | 1;
	atomic_store_explicit(&page->version, version, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	page->written_ns = now_ns;
	page->started_ns = statsd->started_ns;
	page->counters = statsd->counters;
	page->used = (uint64_t)(pack(page->bytes, statsd) - page->bytes);
	atomic_store_explicit(&page->version, version + 1, memory_order_release);
}

/* --- unpacking --------------------------------------------------------------------------------------------------------- */

struct cursor { const uint8_t *at, *end; };

static bool take(struct cursor *cursor, void *to, size_t size)
{
	if ((size_t)(cursor->end - cursor->at) < size)
		return false;
	memcpy(to, cursor->at, size);
	cursor->at += size;
	return true;
}

/* As many texts as there are names and values, each closed, and nothing beside them. */
static bool are_labels(const struct statsd_series *series)
{
	uint32_t ends = 0;
	for (uint32_t i = 0; i < series->labels_size; i++)
		ends += !series->labels[i];
	return series->label_count <= STATSD_MAX_LABELS && ends == 2 * series->label_count &&
	       (!series->labels_size || !series->labels[series->labels_size - 1]);
}

static bool unpack_series(struct cursor *cursor, struct statsd *statsd, enum statsd_type type, struct statsd_series *series)
{
	struct packed_series head;
	if (!take(cursor, &head, sizeof(head)) || head.labels_size > STATSD_LABELS_LEN || (head.buckets && type != STATSD_TIMER))
		return false;
	*series = (struct statsd_series){ .value = head.value, .whole_window = true, .label_count = head.label_count, .labels_size = head.labels_size };
	if (!take(cursor, series->labels, head.labels_size) || !are_labels(series))
		return false;
	if (type != STATSD_TIMER)
		return true;

	struct histogram *histogram = &statsd_body_of(statsd, series)->histogram;
	memset(histogram, 0, sizeof(*histogram));
	histogram->sum_ns = head.sum_ns;
	for (uint32_t i = 0; i < head.buckets; i++) {
		struct packed_bucket bucket;
		if (!take(cursor, &bucket, sizeof(bucket)) || bucket.index >= HISTOGRAM_BUCKETS)
			return false;
		histogram->buckets[bucket.index] = bucket.count;
	}
	return true;
}

static bool unpack_family(struct cursor *cursor, struct statsd *statsd, struct statsd_family *family)
{
	struct packed_family head;
	if (!take(cursor, &head, sizeof(head)) || head.name_size >= STATSD_NAME_LEN || head.type > STATSD_SET)
		return false;
	*family = (struct statsd_family){ .type = (enum statsd_type)head.type };
	if (!take(cursor, family->name, head.name_size) || strlen(family->name) != head.name_size || !head.name_size)
		return false;
	uint32_t *link = &family->first_series;
	for (uint32_t i = 0; i < head.series; i++) {
		if (statsd->series_count == statsd->max_series)
			return false;
		struct statsd_series *series = &statsd->series[statsd->series_count++];
		if (!unpack_series(cursor, statsd, family->type, series))
			return false;
		*link = statsd->series_count;
		link = &series->next_in_family;
	}
	return true;
}

static void empty(struct statsd *statsd)
{
	for (uint32_t i = 0; i < statsd->unpacked_families; i++)
		statsd->families[i].first_series = 0;
	statsd->unpacked_families = statsd->series_count = 0;
}

static bool unpack(struct cursor cursor, struct statsd *statsd)
{
	empty(statsd);
	while (cursor.at < cursor.end)
		if (statsd->unpacked_families == statsd->max_series || !unpack_family(&cursor, statsd, &statsd->families[statsd->unpacked_families++]))
			return false;
	return true;
}

/* A copy of the bytes, and with them what is said beside them. */
static int copy(const struct statsd_page *page, struct statsd *statsd, struct text *buffer, uint64_t *ret_written_ns)
{
	uint64_t version = atomic_load_explicit(&page->version, memory_order_acquire);
	if (version & 1)
		return -EAGAIN;
	if (!version)
		return -ENODATA;
	uint64_t used = page->used, written_ns = page->written_ns, started_ns = page->started_ns;
	const struct statsd_counters counters = page->counters;
	if (used <= statsd_page_size(statsd->max_series) - sizeof(*page))
		text_append(buffer, (const char *)page->bytes, used);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&page->version, memory_order_relaxed) != version)
		return -EAGAIN;

	statsd->counters = counters;
	statsd->started_ns = started_ns;
	*ret_written_ns = written_ns;
	return buffer->failed ? -ENOMEM : buffer->length == used ? 0 : -EPROTO;
}

int statsd_page_read(const struct statsd_page *page, struct statsd *statsd, struct text *buffer, uint64_t *ret_written_ns)
{
	text_reset(buffer);
	int error = copy(page, statsd, buffer, ret_written_ns);
	if (error == -EAGAIN || error == -ENODATA)
		return error;
	if (!error && buffer->length) {
		const struct cursor cursor = { (const uint8_t *)buffer->data, (const uint8_t *)buffer->data + buffer->length };
		error = unpack(cursor, statsd) ? 0 : -EPROTO;
	}
	if (error || !buffer->length)
		empty(statsd);
	return error;
}
