/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' exposition in protobuf, one length-delimited MetricFamily after the other: the only form in which it takes native
 * histograms. A family is written as it comes: its head and each metric are packed by themselves, since messages that follow each
 * other are one message, and its length is put in front at the end. Histograms carry their classic buckets as well.
 */
#include <math.h>

#include "publish/metric.h"

/* The generated code stands here: it is compiled with our warnings and needs no object of its own. */
#include "exposition.pb-c.c"

enum {
	MAX_LABELS = 16,
	TAG_METRIC = 4 << 3 | 2,
	VARINT_MAX = 10,
	/* Native bucket k ends at 2^(k/8) s, and ours at 2^(FIRST_EXP + i/8): k = i + this. */
	NATIVE_OFFSET = HISTOGRAM_FIRST_EXP * HISTOGRAM_PER_OCTAVE,
	/* The one that ends at +Inf, behind that of the largest double. */
	NATIVE_INFINITE = 1024 * HISTOGRAM_PER_OCTAVE + 1,
	MAX_SPANS = HISTOGRAM_BUCKETS / 2 + 1,
};

static const Exposition__MetricType types[] = {
	[METRIC_COUNTER] = EXPOSITION__METRIC_TYPE__COUNTER, [METRIC_GAUGE] = EXPOSITION__METRIC_TYPE__GAUGE,
	[METRIC_HISTOGRAM] = EXPOSITION__METRIC_TYPE__HISTOGRAM, [METRIC_UNTYPED] = EXPOSITION__METRIC_TYPE__UNTYPED,
};

static size_t put_varint(uint8_t bytes[VARINT_MAX], uint64_t value)
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[size++] = (uint8_t)(value | 0x80);
	bytes[size++] = (uint8_t)value;
	return size;
}

static void append_packed(struct text *out, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);

	if (!text_reserve(out, size))
		return;
	out->length += protobuf_c_message_pack(message, (uint8_t *)out->data + out->length);
}

static void begin(struct metric_sink *sink, const struct metric_context *context)
{
}

static void begin_family(struct metric_sink *sink)
{
	const struct metric *metric = sink->metric;
	Exposition__MetricFamily family = EXPOSITION__METRIC_FAMILY__INIT;

	sink->family_at = sink->out->length;
	family.name = (char *)metric->name;
	family.help = (char *)metric->help;
	family.type = types[metric->type];
	append_packed(sink->out, &family.base);
}

static void end_family(struct metric_sink *sink)
{
	struct text *out = sink->out;
	uint8_t head[VARINT_MAX];
	size_t length = out->length - sink->family_at, size = put_varint(head, length);

	if (!text_reserve(out, size))
		return;
	memmove(out->data + sink->family_at + size, out->data + sink->family_at, length);
	memcpy(out->data + sink->family_at, head, size);
	out->length += size;
}

/* Names are ours; values are cleaned one behind the other into the scratch buffer, which moves while it grows: hence the second pass. */
static void append_metric(struct metric_sink *sink, const struct label *labels, uint32_t count, Exposition__Metric *metric)
{
	Exposition__LabelPair pairs[MAX_LABELS], *list[MAX_LABELS];
	uint8_t head[1 + VARINT_MAX] = { TAG_METRIC };
	size_t at[MAX_LABELS];

	count = count < MAX_LABELS ? count : MAX_LABELS;
	text_reset(&sink->scratch);
	for (uint32_t i = 0; i < count; i++) {
		at[i] = sink->scratch.length;
		text_utf8(&sink->scratch, labels[i].value);
		text_append(&sink->scratch, "", 1);
	}
	if (sink->scratch.failed) {
		sink->out->failed = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		exposition__label_pair__init(&pairs[i]);
		pairs[i].name = (char *)labels[i].name;
		pairs[i].value = sink->scratch.data + at[i];
		list[i] = &pairs[i];
	}
	metric->n_label = count;
	metric->label = list;

	size_t size = 1 + put_varint(head + 1, protobuf_c_message_get_packed_size(&metric->base));
	text_append(sink->out, (const char *)head, size);
	append_packed(sink->out, &metric->base);
}

static void real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	Exposition__Metric metric = EXPOSITION__METRIC__INIT;
	Exposition__Number message = EXPOSITION__NUMBER__INIT;

	message.value = value;
	if (sink->metric->type == METRIC_COUNTER)
		metric.counter = &message;
	else if (sink->metric->type == METRIC_GAUGE)
		metric.gauge = &message;
	else
		metric.untyped = &message;
	append_metric(sink, labels, count, &metric);
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
	real(sink, labels, count, (double)value / powers[decimals]);
}

/* Runs of buckets that are not empty; each count as the difference to the one before. */
struct native {
	uint32_t spans, deltas;
	int64_t last;
	int32_t next; /* index behind the last span */
	Exposition__BucketSpan span[MAX_SPANS], *span_list[MAX_SPANS];
	int64_t delta[HISTOGRAM_BUCKETS];
};

static void add_native(struct native *native, int32_t index, uint64_t count)
{
	if (!count)
		return;
	if (!native->spans || index != native->next) {
		Exposition__BucketSpan *span = &native->span[native->spans];

		exposition__bucket_span__init(span);
		span->offset = index - native->next;
		native->span_list[native->spans++] = span;
	}
	native->span[native->spans - 1].length++;
	native->next = index + 1;
	native->delta[native->deltas++] = (int64_t)count - native->last;
	native->last = (int64_t)count;
}

/* Bucket 0 is the one for zero and what is too short to tell; an empty histogram needs a span to be a native one. */
static void fill_native(Exposition__Histogram *message, struct native *native, const struct histogram *histogram)
{
	for (uint32_t i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
		add_native(native, (int32_t)i + NATIVE_OFFSET, histogram->buckets[i]);
	add_native(native, NATIVE_INFINITE, histogram->buckets[HISTOGRAM_BUCKETS - 1]);
	if (!native->spans) {
		exposition__bucket_span__init(&native->span[0]);
		native->span_list[native->spans++] = &native->span[0];
	}
	message->schema = HISTOGRAM_SCHEMA;
	message->zero_threshold = ldexp(1, HISTOGRAM_FIRST_EXP);
	message->zero_count = histogram->buckets[0];
	message->n_positive_span = native->spans;
	message->positive_span = native->span_list;
	message->n_positive_delta = native->deltas;
	message->positive_delta = native->delta;
}

static void append_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	Exposition__Metric metric = EXPOSITION__METRIC__INIT;
	Exposition__Histogram message = EXPOSITION__HISTOGRAM__INIT;
	Exposition__Bucket buckets[HISTOGRAM_CLASSIC], *list[HISTOGRAM_CLASSIC];
	uint64_t below[HISTOGRAM_CLASSIC + 1];
	struct native native;

	native.spans = native.deltas = 0;
	native.last = native.next = 0;
	histogram_classic(histogram, below);
	for (int i = 0; i < HISTOGRAM_CLASSIC; i++) {
		exposition__bucket__init(&buckets[i]);
		buckets[i].cumulative_count = below[i];
		buckets[i].upper_bound = ldexp(1, HISTOGRAM_CLASSIC_FIRST_EXP + i);
		list[i] = &buckets[i];
	}
	message.sample_count = below[HISTOGRAM_CLASSIC];
	message.sample_sum = (double)histogram->sum_ns / 1e9;
	message.n_bucket = HISTOGRAM_CLASSIC;
	message.bucket = list;
	fill_native(&message, &native, histogram);
	metric.histogram = &message;
	append_metric(sink, labels, count, &metric);
}

static void end(struct metric_sink *sink)
{
}

const struct metric_writer protobuf_writer = {
	.begin = begin,
	.begin_family = begin_family,
	.sample = sample,
	.real = real,
	.histogram = append_histogram,
	.end_family = end_family,
	.end = end,
};
