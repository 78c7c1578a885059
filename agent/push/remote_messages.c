/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See remote_messages.h. Each series is packed by itself behind its tag and length: messages that follow each other are one message, so
 * a batch is never held as a tree.
 */
#include "push/remote_messages.h"

#include <errno.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "publish/native.h"

/* The generated code stands here: it is compiled with our warnings and needs no object of its own. */
#include "remote_write.pb-c.c"  // NOLINT(bugprone-suspicious-include)
#include "remote_write2.pb-c.c" // NOLINT(bugprone-suspicious-include)

enum {
	VARINT_MAX = 10,
	BYTES = 2,                     /* protobuf's wire type of what has a length */
	TAG_SERIES_1 = 1 << 3 | BYTES,
	TAG_METADATA_1 = 3 << 3 | BYTES,
	TAG_SYMBOL_2 = 4 << 3 | BYTES,
	TAG_SERIES_2 = 5 << 3 | BYTES,
};

static const uint32_t types[] = { [METRIC_COUNTER] = 1, [METRIC_GAUGE] = 2, [METRIC_HISTOGRAM] = 3, [METRIC_INFO] = 2, [METRIC_UNTYPED] = 0, [METRIC_SUMMARY] = 5 };

static void append_tag(struct text *out, uint8_t tag, size_t length)
{
	char bytes[1 + VARINT_MAX] = { (char)tag };
	size_t size = 1;
	for (; length >= 0x80; length >>= 7)
		bytes[size++] = (char)(length | 0x80);
	bytes[size++] = (char)length;
	text_append(out, bytes, size);
}

static void append_message(struct text *out, uint8_t tag, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	append_tag(out, tag, size);
	if (text_reserve(out, size))
		out->length += protobuf_c_message_pack(message, (uint8_t *)out->data + out->length);
}

/* --- 1.0 --------------------------------------------------------------------------------------------------------------- */

struct labels_1 {
	Remote1__Label each[REMOTE_MAX_LABELS], *list[REMOTE_MAX_LABELS];
	uint32_t count;
};

static void fill_labels_1(struct labels_1 *labels, const char *at, size_t size)
{
	labels->count = 0;
	for (const char *end = at + size; at < end && labels->count < REMOTE_MAX_LABELS; labels->count++) {
		Remote1__Label *label = &labels->each[labels->count];
		remote1__label__init(label);
		label->name = (char *)at;
		label->value = (char *)at + strlen(at) + 1;
		labels->list[labels->count] = label;
		at = label->value + strlen(label->value) + 1;
	}
}

static void append_series_1(struct batch *batch, const char *at, size_t size, Remote1__Sample *sample, Remote1__Histogram *histogram)
{
	struct labels_1 labels;
	fill_labels_1(&labels, at, size);
	Remote1__TimeSeries series = REMOTE1__TIME_SERIES__INIT;
	series.n_labels = labels.count;
	series.labels = labels.list;
	series.n_samples = sample != NULL;
	series.samples = &sample;
	series.n_histograms = histogram != NULL;
	series.histograms = &histogram;
	append_message(&batch->series, TAG_SERIES_1, &series.base);
}

void batch_metadata(struct batch *batch, const struct metric *metric)
{
	if (batch->version != 1)
		return;
	Remote1__Metadata metadata = REMOTE1__METADATA__INIT;
	metadata.type = types[metric->type];
	metadata.metric_family_name = (char *)metric->name;
	metadata.help = (char *)metric->help;
	metadata.unit = (char *)metric->unit;
	append_message(&batch->metadata, TAG_METADATA_1, &metadata.base);
}

/* --- 2.0 --------------------------------------------------------------------------------------------------------------- */

/* The number of a text in the table of symbols; 0 is "". */
static uint32_t symbol(struct batch *batch, const char *text)
{
	size_t size = strlen(text) + 1;
	if (size == 1)
		return 0;
	if (series_set_add(&batch->known, text, size, NULL)) {
		append_tag(&batch->symbols, TAG_SYMBOL_2, size - 1);
		text_append(&batch->symbols, text, size - 1);
	}
	return series_set_find(&batch->known, text, size);
}

static void append_series_2(struct batch *batch, const char *at, size_t size, const struct metric *metric, Remote2__Sample *sample,
			    Remote2__Histogram *histogram)
{
	uint32_t refs[2 * REMOTE_MAX_LABELS], count = 0;
	for (const char *end = at + size; at < end && count < 2 * REMOTE_MAX_LABELS; at += strlen(at) + 1)
		refs[count++] = symbol(batch, at);

	Remote2__TimeSeries series = REMOTE2__TIME_SERIES__INIT;
	Remote2__Metadata metadata = REMOTE2__METADATA__INIT;
	series.n_labels_refs = count;
	series.labels_refs = refs;
	series.n_samples = sample != NULL;
	series.samples = &sample;
	series.n_histograms = histogram != NULL;
	series.histograms = &histogram;
	if (metric) {
		metadata.type = types[metric->type];
		metadata.help_ref = symbol(batch, metric->help);
		metadata.unit_ref = symbol(batch, metric->unit);
		series.metadata = &metadata;
	}
	append_message(&batch->series, TAG_SERIES_2, &series.base);
}

/* --- both -------------------------------------------------------------------------------------------------------------- */

void batch_begin(struct batch *batch, uint32_t version)
{
	batch->version = version;
	batch->items = 0;
	text_reset(&batch->series);
	text_reset(&batch->metadata);
	text_reset(&batch->symbols);
	series_set_empty(&batch->known);
	if (version == 2)
		append_tag(&batch->symbols, TAG_SYMBOL_2, 0);
}

void batch_sample(struct batch *batch, const char *labels, size_t size, const struct metric *metric, double value, int64_t time_ms)
{
	batch->items++;
	if (batch->version == 1) {
		Remote1__Sample sample = REMOTE1__SAMPLE__INIT;
		sample.value = value;
		sample.timestamp = time_ms;
		append_series_1(batch, labels, size, &sample, NULL);
	} else {
		Remote2__Sample sample = REMOTE2__SAMPLE__INIT;
		sample.value = value;
		sample.timestamp = time_ms;
		append_series_2(batch, labels, size, metric, &sample, NULL);
	}
}

/* The two messages differ in the names of their types alone. */
#define FILL_HISTOGRAM(message, span_type, span_init) \
	span_type spans[NATIVE_MAX_SPANS], *list[NATIVE_MAX_SPANS]; \
	for (uint32_t i = 0; i < native.span_count; i++) { \
		span_init(&spans[i]); \
		spans[i].offset = native.spans[i].offset; \
		spans[i].length = native.spans[i].length; \
		list[i] = &spans[i]; \
	} \
	(message).count_int = native.count; \
	(message).sum = (double)histogram->sum_ns / 1e9; \
	(message).schema = HISTOGRAM_SCHEMA; \
	(message).zero_threshold = native.zero_threshold; \
	(message).zero_count_int = native.zero_count; \
	(message).n_positive_spans = native.span_count; \
	(message).positive_spans = list; \
	(message).n_positive_deltas = native.delta_count; \
	(message).positive_deltas = native.deltas; \
	(message).timestamp = time_ms

void batch_histogram(struct batch *batch, const char *labels, size_t size, const struct metric *metric, const struct histogram *histogram, int64_t time_ms)
{
	struct native native;
	native_fill(histogram, &native);
	batch->items++;
	if (batch->version == 1) {
		Remote1__Histogram message = REMOTE1__HISTOGRAM__INIT;
		FILL_HISTOGRAM(message, Remote1__BucketSpan, remote1__bucket_span__init);
		append_series_1(batch, labels, size, NULL, &message);
	} else {
		Remote2__Histogram message = REMOTE2__HISTOGRAM__INIT;
		FILL_HISTOGRAM(message, Remote2__BucketSpan, remote2__bucket_span__init);
		append_series_2(batch, labels, size, metric, NULL, &message);
	}
}

size_t batch_bytes(const struct batch *batch)
{
	return batch->series.length + batch->metadata.length + batch->symbols.length;
}

static int compress(const struct text *raw, struct text *ret)
{
	size_t size = snappy_max_compressed_length(raw->length);
	text_reset(ret);
	if (raw->failed || !text_reserve(ret, size))
		return -ENOMEM;
	size = ret->capacity;
	if (snappy_compress(raw->data, raw->length, ret->data, &size) != SNAPPY_OK)
		return -ENOMEM;
	ret->length = size;
	return 0;
}

int batch_finish(struct batch *batch, struct text *raw, struct text *ret)
{
	const struct text *const parts[] = { &batch->symbols, &batch->series, &batch->metadata };
	text_reset(raw);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i]->length)
			text_append(raw, parts[i]->data, parts[i]->length);
		if (parts[i]->failed)
			raw->failed = true;
	}
	return compress(raw, ret);
}

void batch_free(struct batch *batch)
{
	text_free(&batch->series);
	text_free(&batch->metadata);
	text_free(&batch->symbols);
	series_set_free(&batch->known);
}

/* --- from 2.0 to 1.0 --------------------------------------------------------------------------------------------------- */

static bool labels_of(const Remote2__Request *request, const Remote2__TimeSeries *series, struct text *ret)
{
	text_reset(ret);
	for (size_t i = 0; i < series->n_labels_refs; i++) {
		if (series->labels_refs[i] >= request->n_symbols)
			return false;
		const char *text = request->symbols[series->labels_refs[i]];
		text_append(ret, text, strlen(text) + 1);
	}
	return !ret->failed && series->n_labels_refs % 2 == 0;
}

/* Our own numbers stand for the same things in both, so the message is the same bytes under another type. */
static int downgrade_series(struct batch *batch, const struct text *labels, const Remote2__TimeSeries *series)
{
	for (size_t i = 0; i < series->n_samples; i++)
		batch_sample(batch, labels->data, labels->length, NULL, series->samples[i]->value, series->samples[i]->timestamp);
	for (size_t i = 0; i < series->n_histograms; i++) {
		size_t size = protobuf_c_message_get_packed_size(&series->histograms[i]->base);
		uint8_t *bytes = malloc(size);
		Remote1__Histogram *histogram = NULL;
		if (bytes) {
			protobuf_c_message_pack(&series->histograms[i]->base, bytes);
			histogram = remote1__histogram__unpack(NULL, size, bytes);
		}
		free(bytes);
		if (!histogram)
			return -ENOMEM;
		append_series_1(batch, labels->data, labels->length, NULL, histogram);
		remote1__histogram__free_unpacked(histogram, NULL);
	}
	return 0;
}

static int downgrade(struct batch *batch, const Remote2__Request *request)
{
	struct text labels = { 0 };
	int error = 0;
	batch_begin(batch, 1);
	for (size_t i = 0; !error && i < request->n_timeseries; i++)
		error = labels_of(request, request->timeseries[i], &labels) ? downgrade_series(batch, &labels, request->timeseries[i]) : -EINVAL;
	text_free(&labels);
	return error;
}

int batch_downgrade(const void *body, size_t size, struct text *ret)
{
	struct text raw = { 0 };
	struct batch batch = { 0 };
	size_t length;
	if (snappy_uncompressed_length(body, size, &length) != SNAPPY_OK || length > TEXT_MAX)
		return -EINVAL;
	if (!text_reserve(&raw, length + 1))
		return -ENOMEM;
	Remote2__Request *request = NULL;
	if (snappy_uncompress(body, size, raw.data, &length) == SNAPPY_OK)
		request = remote2__request__unpack(NULL, length, (const uint8_t *)raw.data);
	int error = request ? downgrade(&batch, request) : -EINVAL;
	if (request)
		remote2__request__free_unpacked(request, NULL);
	if (!error)
		error = batch_finish(&batch, &raw, ret);
	batch_free(&batch);
	text_free(&raw);
	return error;
}
