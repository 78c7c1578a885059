/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_metrics.h. */
#include "push/otlp_metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "otlp.pb-c.h"

enum {
	METRIC_GAUGE_FIELD = 5,
	METRIC_SUM_FIELD = 7,
	METRIC_EXPONENTIAL_FIELD = 10,
	DATA_POINT = 1,
	NUMBER_ATTRIBUTES = 7,
	HISTOGRAM_ATTRIBUTES = 1,
	/* OTLP's bucket k is (2^(k/8), 2^((k+1)/8)], ours i ends at 2^(FIRST_EXP + i/8): k = i + this. */
	BUCKET_OFFSET = HISTOGRAM_FIRST_EXP * HISTOGRAM_PER_OCTAVE - 1,
	OVERFLOW_BUCKET = HISTOGRAM_BUCKETS - 1,
	FAMILY_NAME_LEN = 128,
};

const enum otlp_since otlp_since_of[METRIC_SOURCES] = {
	/* The kernel counts. */
	[COLLECTOR_CPU] = OTLP_SINCE_BOOT, [COLLECTOR_MEMORY] = OTLP_SINCE_BOOT, [COLLECTOR_PSI] = OTLP_SINCE_BOOT,
	[COLLECTOR_FILESYSTEM] = OTLP_SINCE_BOOT, [COLLECTOR_DISK] = OTLP_SINCE_BOOT, [COLLECTOR_INTERFACE] = OTLP_SINCE_BOOT,
	[COLLECTOR_PROCESS] = OTLP_SINCE_BOOT, [COLLECTOR_CGROUP] = OTLP_SINCE_BOOT, [COLLECTOR_UNIT] = OTLP_SINCE_BOOT,
	[COLLECTOR_LOG] = OTLP_SINCE_BOOT,
	[COLLECTOR_HOST] = OTLP_SINCE_BOOT,
	/* We do. */
	[COLLECTOR_SYSCALL] = OTLP_SINCE_AGENT, [COLLECTOR_TASK] = OTLP_SINCE_AGENT, [COLLECTOR_FSWRITE] = OTLP_SINCE_AGENT,
	[COLLECTOR_TCP] = OTLP_SINCE_AGENT, [COLLECTOR_SOCKET] = OTLP_SINCE_AGENT, [COLLECTOR_DROP] = OTLP_SINCE_AGENT,
	[COLLECTOR_DNS] = OTLP_SINCE_AGENT, [COLLECTOR_OOM] = OTLP_SINCE_AGENT, [COLLECTOR_BLOCK] = OTLP_SINCE_AGENT,
	[COLLECTOR_FSOP] = OTLP_SINCE_AGENT, [COLLECTOR_DELETED] = OTLP_SINCE_AGENT, [COLLECTOR_IDENTITY] = OTLP_SINCE_AGENT,
	[COLLECTOR_KILL] = OTLP_SINCE_AGENT, [COLLECTOR_RECLAIM] = OTLP_SINCE_AGENT, [COLLECTOR_PAGECACHE] = OTLP_SINCE_AGENT,
	[COLLECTOR_SCHED] = OTLP_SINCE_AGENT, [COLLECTOR_IRQ] = OTLP_SINCE_AGENT,
	[METRIC_OF_AGENT] = OTLP_SINCE_AGENT, [METRIC_OF_STATSD] = OTLP_SINCE_STATSD,
};

/* The table's words for units in UCUM's; others are put in braces, which UCUM takes for an annotation. */
static const struct { const char *word, *ucum; } units[] = {
	{ "", "1" }, { "seconds", "s" }, { "bytes", "By" }, { "ratio", "1" }, { "hertz", "Hz" }, { "volts", "V" }, { "amperes", "A" },
	{ "celsius", "Cel" }, { "joules", "J" }, { "watts", "W" }, { "meters", "m" }, { "percent", "%" },
};

static const char *ucum(const char *word, char buffer[FAMILY_NAME_LEN])
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(word, units[i].word) == 0)
			return units[i].ucum;
	snprintf(buffer, FAMILY_NAME_LEN, "{%s}", word);
	return buffer;
}

/* metrics_write() hands the writer the buffer that it was given, which is ours. */
static struct otlp_metrics *of(const struct metric_sink *sink)
{
	return (struct otlp_metrics *)((char *)sink->out - offsetof(struct otlp_metrics, out));
}

static uint64_t start_of(const struct otlp_metrics *metrics, const struct metric *metric)
{
	int64_t start = metrics->start_wall_ns[otlp_since_of[metric->source]];

	/* A clock that was set back since makes no start in the future. */
	return start > 0 && start <= metrics->time_wall_ns ? (uint64_t)start : 0;
}

/* --- requests and families ------------------------------------------------------------------------------------------------- */

static void begin_request(struct otlp_metrics *metrics)
{
	text_reset(&metrics->out);
	metrics->points = 0;
	otlp_request_begin(&metrics->out, metrics->resource, &metrics->shells);
}

static void end_request(struct otlp_metrics *metrics)
{
	if (!metrics->points)
		return;
	otlp_request_end(&metrics->out, &metrics->shells);
	metrics->failed |= metrics->out.failed;
	if (!metrics->out.failed)
		metrics->take(metrics->context, &metrics->out, metrics->points);
}

static void open_family(struct otlp_metrics *metrics, const char *name, const char *help, const char *unit)
{
	Otlp__Metric head = OTLP__METRIC__INIT;
	char buffer[FAMILY_NAME_LEN];

	metrics->metric_at = metrics->out.length;
	head.name = (char *)name;
	head.description = (char *)help;
	head.unit = (char *)ucum(unit, buffer);
	otlp_pack(&metrics->out, &head.base);
	metrics->points_at = metrics->out.length;
}

/* A decoder that finds a sub-message twice may keep the second only, so what is not a point follows inside the same one. */
static void enclose_family(struct otlp_metrics *metrics, enum metric_type type)
{
	static const uint32_t fields[] = {
		[METRIC_COUNTER] = METRIC_SUM_FIELD, [METRIC_GAUGE] = METRIC_GAUGE_FIELD, [METRIC_UNTYPED] = METRIC_GAUGE_FIELD,
		[METRIC_INFO] = METRIC_GAUGE_FIELD, [METRIC_HISTOGRAM] = METRIC_EXPONENTIAL_FIELD,
	};
	Otlp__Points tail = OTLP__POINTS__INIT;

	if (type == METRIC_COUNTER || type == METRIC_HISTOGRAM)
		tail.aggregation_temporality = OTLP__TEMPORALITY__CUMULATIVE;
	tail.is_monotonic = type == METRIC_COUNTER;
	otlp_pack(&metrics->out, &tail.base);
	otlp_enclose(&metrics->out, fields[type], metrics->points_at);
	otlp_enclose(&metrics->out, OTLP_ITEM, metrics->metric_at);
}

static void close_family(struct otlp_metrics *metrics, const struct metric *metric)
{
	char name[FAMILY_NAME_LEN];

	enclose_family(metrics, metric->type);
	if (!metrics->overflow_points)
		return;
	snprintf(name, sizeof(name), "%s_overflow", metric->name);
	open_family(metrics, name, "Observations above 64 s, which the exponential histogram has no bucket for.", "");
	text_append(&metrics->out, metrics->overflow.data, metrics->overflow.length);
	enclose_family(metrics, METRIC_COUNTER);
	metrics->points += metrics->overflow_points;
	metrics->failed |= metrics->overflow.failed;
	metrics->overflow_points = 0;
	text_reset(&metrics->overflow);
}

/* Before each point: the request may be full, and then the family goes on in the next. */
static void make_room(struct metric_sink *sink)
{
	struct otlp_metrics *metrics = of(sink);
	const struct metric *metric = sink->metric;

	if (!metrics->points || (metrics->points < metrics->max_points && metrics->out.length + metrics->overflow.length < metrics->max_bytes))
		return;
	if (metrics->out.length > metrics->points_at)
		close_family(metrics, metric);
	else
		metrics->out.length = metrics->metric_at; /* no point yet */
	end_request(metrics);
	begin_request(metrics);
	open_family(metrics, metric->name, metric->help, metric->unit);
}

static void begin(struct metric_sink *sink, const struct metric_context *context)
{
	begin_request(of(sink));
}

static void begin_family(struct metric_sink *sink)
{
	open_family(of(sink), sink->metric->name, sink->metric->help, sink->metric->unit);
}

static void end_family(struct metric_sink *sink)
{
	close_family(of(sink), sink->metric);
}

static void end(struct metric_sink *sink)
{
	end_request(of(sink));
}

/* --- points ---------------------------------------------------------------------------------------------------------------- */

static void put_attributes(struct otlp_metrics *metrics, struct text *out, uint32_t field, const struct label *labels, uint32_t count)
{
	struct otlp_attributes to = { .out = out, .field = field, .scratch = &metrics->scratch };

	for (uint32_t i = 0; i < count; i++)
		otlp_string(&to, labels[i].name, labels[i].value);
}

static void put_point(struct otlp_metrics *metrics, struct text *out, const struct metric *metric, bool cumulative,
		      const struct label *labels, uint32_t count, Otlp__NumberDataPoint *point)
{
	size_t from = out->length;

	point->time_unix_nano = (uint64_t)metrics->time_wall_ns;
	if (cumulative)
		point->start_time_unix_nano = start_of(metrics, metric);
	otlp_pack(out, &point->base);
	put_attributes(metrics, out, NUMBER_ATTRIBUTES, labels, count);
	otlp_enclose(out, DATA_POINT, from);
}

static void put_number(struct otlp_metrics *metrics, struct text *out, const struct metric *metric, bool cumulative,
		       const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
	Otlp__NumberDataPoint point = OTLP__NUMBER_DATA_POINT__INIT;

	if (decimals || value > INT64_MAX) {
		point.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE;
		point.as_double = (double)value / powers[decimals];
	} else {
		point.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_INT;
		point.as_int = (int64_t)value;
	}
	put_point(metrics, out, metric, cumulative, labels, count, &point);
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	struct otlp_metrics *metrics = of(sink);

	make_room(sink);
	put_number(metrics, &metrics->out, sink->metric, sink->metric->type == METRIC_COUNTER, labels, count, value, decimals);
	metrics->points++;
}

static void real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	struct otlp_metrics *metrics = of(sink);
	Otlp__NumberDataPoint point = OTLP__NUMBER_DATA_POINT__INIT;

	make_room(sink);
	point.value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE;
	point.as_double = value;
	put_point(metrics, &metrics->out, sink->metric, sink->metric->type == METRIC_COUNTER, labels, count, &point);
	metrics->points++;
}

/* From the first bucket that is not empty to the last. Returns the sum of their counts. */
static uint64_t fill_buckets(Otlp__Buckets *buckets, const struct histogram *histogram)
{
	uint32_t first = 1, end = OVERFLOW_BUCKET;
	uint64_t sum = 0;

	while (first < end && !histogram->buckets[first])
		first++;
	while (end > first && !histogram->buckets[end - 1])
		end--;
	for (uint32_t i = first; i < end; i++)
		sum += histogram->buckets[i];
	buckets->offset = end > first ? (int32_t)first + BUCKET_OFFSET : 0;
	buckets->n_bucket_counts = end - first;
	buckets->bucket_counts = (uint64_t *)&histogram->buckets[first];
	return sum;
}

static void append_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	struct otlp_metrics *metrics = of(sink);
	Otlp__ExponentialHistogramDataPoint point = OTLP__EXPONENTIAL_HISTOGRAM_DATA_POINT__INIT;
	Otlp__Buckets positive = OTLP__BUCKETS__INIT;
	uint64_t overflow = histogram->buckets[OVERFLOW_BUCKET];

	make_room(sink);
	size_t from = metrics->out.length;
	point.time_unix_nano = (uint64_t)metrics->time_wall_ns;
	point.start_time_unix_nano = start_of(metrics, sink->metric);
	point.scale = HISTOGRAM_SCHEMA;
	point.zero_count = histogram->buckets[0];
	point.zero_threshold = ldexp(1, HISTOGRAM_FIRST_EXP);
	point.count = point.zero_count + fill_buckets(&positive, histogram);
	point.positive = &positive;
	if (!overflow) {
		point.has_sum_case = OTLP__EXPONENTIAL_HISTOGRAM_DATA_POINT__HAS_SUM_SUM;
		point.sum = (double)histogram->sum_ns / (double)NSEC_PER_SEC;
	}
	otlp_pack(&metrics->out, &point.base);
	put_attributes(metrics, &metrics->out, HISTOGRAM_ATTRIBUTES, labels, count);
	otlp_enclose(&metrics->out, DATA_POINT, from);
	metrics->points++;
	if (overflow) {
		put_number(metrics, &metrics->overflow, sink->metric, true, labels, count, overflow, 0);
		metrics->overflow_points++;
	}
}

static const struct metric_writer otlp_writer = {
	.begin = begin,
	.begin_family = begin_family,
	.sample = sample,
	.real = real,
	.histogram = append_histogram,
	.end_family = end_family,
	.end = end,
	.takes_infinite = true,
};

int otlp_metrics_write(struct otlp_metrics *metrics, const struct metric_context *context)
{
	if (!context->snap)
		return 0;
	metrics->time_wall_ns = context->snap->wall_ns;
	metrics->failed = false;
	metrics_write(&otlp_writer, context, 0, &metrics->out);
	return metrics->failed ? -ENOMEM : 0;
}

void otlp_metrics_free(struct otlp_metrics *metrics)
{
	text_free(&metrics->out);
	text_free(&metrics->scratch);
	text_free(&metrics->overflow);
}
