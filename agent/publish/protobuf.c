/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' exposition in protobuf, one length-delimited MetricFamily after the other: the only form in which it takes native
 * histograms. A family is written as it comes: its head and each metric are packed by themselves, since messages that follow each
 * other are one message, and its length is put in front at the end. Histograms carry their classic buckets as well.
 */
#include <math.h>

#include "core/clock.h"
#include "publish/metric.h"
#include "publish/native.h"

/* The generated code stands here: it is compiled with our warnings and needs no object of its own. */
#include "exposition.pb-c.c" // NOLINT(bugprone-suspicious-include)

enum {
	MAX_LABELS = SERIES_MAX_LABELS,
	TAG_METRIC = 4 << 3 | 2,
	VARINT_MAX = 10,
};

static const Exposition__MetricType types[] = {
	[METRIC_COUNTER] = EXPOSITION__METRIC_TYPE__COUNTER, [METRIC_GAUGE] = EXPOSITION__METRIC_TYPE__GAUGE,
	[METRIC_HISTOGRAM] = EXPOSITION__METRIC_TYPE__HISTOGRAM, [METRIC_INFO] = EXPOSITION__METRIC_TYPE__GAUGE,
	[METRIC_UNTYPED] = EXPOSITION__METRIC_TYPE__UNTYPED,
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
	metric->n_label = 0;
	metric->label = NULL;
}

struct exemplar_message {
	Exposition__LabelPair label, *labels[1];
	Exposition__Timestamp timestamp;
	Exposition__Exemplar message;
};

static void fill_exemplar(struct exemplar_message *ret, const struct exemplar *exemplar, double value)
{
	exposition__label_pair__init(&ret->label);
	exposition__timestamp__init(&ret->timestamp);
	exposition__exemplar__init(&ret->message);
	ret->label.name = (char *)"incident";
	ret->label.value = (char *)exemplar->incident;
	ret->labels[0] = &ret->label;
	ret->timestamp.seconds = exemplar->wall_ns / NSEC_PER_SEC;
	ret->timestamp.nanos = (int32_t)(exemplar->wall_ns % NSEC_PER_SEC);
	ret->message.n_label = 1;
	ret->message.label = ret->labels;
	ret->message.value = value;
	ret->message.timestamp = &ret->timestamp;
}

static void append_number(struct metric_sink *sink, const struct label *labels, uint32_t count, double value, Exposition__Exemplar *exemplar)
{
	Exposition__Metric metric = EXPOSITION__METRIC__INIT;
	Exposition__Number number = EXPOSITION__NUMBER__INIT;

	number.value = value;
	number.exemplar = exemplar;
	if (sink->metric->type == METRIC_COUNTER)
		metric.counter = &number;
	else if (sink->metric->type == METRIC_GAUGE || sink->metric->type == METRIC_INFO)
		metric.gauge = &number;
	else
		metric.untyped = &number;
	append_metric(sink, labels, count, &metric);
}

static void real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	append_number(sink, labels, count, value, NULL);
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
	struct exemplar_message exemplar;

	if (sink->exemplar)
		fill_exemplar(&exemplar, sink->exemplar, (double)sink->exemplar->value / powers[decimals]);
	append_number(sink, labels, count, (double)value / powers[decimals], sink->exemplar ? &exemplar.message : NULL);
}

/* `spans` and `list` have NATIVE_MAX_SPANS. */
static void fill_native(Exposition__Histogram *message, struct native *native, Exposition__BucketSpan *spans, Exposition__BucketSpan **list)
{
	for (uint32_t i = 0; i < native->span_count; i++) {
		exposition__bucket_span__init(&spans[i]);
		spans[i].offset = native->spans[i].offset;
		spans[i].length = native->spans[i].length;
		list[i] = &spans[i];
	}
	message->schema = HISTOGRAM_SCHEMA;
	message->zero_threshold = native->zero_threshold;
	message->zero_count = native->zero_count;
	message->n_positive_span = native->span_count;
	message->positive_span = list;
	message->n_positive_delta = native->delta_count;
	message->positive_delta = native->deltas;
}

static void append_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	Exposition__Metric metric = EXPOSITION__METRIC__INIT;
	Exposition__Histogram message = EXPOSITION__HISTOGRAM__INIT;
	Exposition__Bucket buckets[HISTOGRAM_CLASSIC + 1], *list[HISTOGRAM_CLASSIC + 1];
	uint64_t below[HISTOGRAM_CLASSIC + 1];
	Exposition__BucketSpan spans[NATIVE_MAX_SPANS], *span_list[NATIVE_MAX_SPANS];
	struct native native;
	struct exemplar_message exemplar;
	uint32_t marked = sink->exemplar ? histogram_classic_of(sink->exemplar->value) : UINT32_MAX;

	native_fill(histogram, &native);
	histogram_classic(histogram, below);
	for (int i = 0; i <= HISTOGRAM_CLASSIC; i++) {
		exposition__bucket__init(&buckets[i]);
		buckets[i].cumulative_count = below[i];
		buckets[i].upper_bound = i < HISTOGRAM_CLASSIC ? ldexp(1, HISTOGRAM_CLASSIC_FIRST_EXP + i) : INFINITY;
		list[i] = &buckets[i];
	}
	if (sink->exemplar) {
		fill_exemplar(&exemplar, sink->exemplar, (double)sink->exemplar->value / 1e9);
		buckets[marked].exemplar = &exemplar.message;
	}
	message.sample_count = below[HISTOGRAM_CLASSIC];
	message.sample_sum = (double)histogram->sum_ns / 1e9;
	message.n_bucket = marked == HISTOGRAM_CLASSIC ? HISTOGRAM_CLASSIC + 1 : HISTOGRAM_CLASSIC; /* the last one is the count, and left out without need */
	message.bucket = list;
	fill_native(&message, &native, spans, span_list);
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
	.takes_infinite = true,
};
