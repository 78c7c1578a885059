/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Prometheus text format 0.0.4 and OpenMetrics 1.0. They differ in how a counter's family is called (OpenMetrics: without
 * _total) and an info (without _info), in the words for these types, in UNIT, in how a whole number is written as a bucket's bound,
 * in the exemplars that Prometheus' own text cannot carry, and in the end.
 */
#include "core/clock.h"
#include "publish/metric.h"

static const char *const type_words[] = {
	[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram", [METRIC_INFO] = "gauge",
	[METRIC_UNTYPED] = "untyped",
};
static const struct { const char *word, *suffix; } openmetrics_types[] = {
	[METRIC_COUNTER] = { "counter", "_total" }, [METRIC_GAUGE] = { "gauge", "" },	  [METRIC_HISTOGRAM] = { "histogram", "" },
	[METRIC_INFO] = { "info", "_info" },	    [METRIC_UNTYPED] = { "unknown", "" },
};

static void begin(struct metric_sink *sink, const struct metric_context *context)
{
}

static void end(struct metric_sink *sink)
{
}

/* HELP's text is ours: it holds nothing that needs an escape. */
static void family_line(struct text *out, const char *keyword, const char *family, size_t length, const char *rest)
{
	text_append(out, "# ", 2);
	text_string(out, keyword);
	text_append(out, " ", 1);
	text_append(out, family, length);
	text_append(out, " ", 1);
	text_string(out, rest);
	text_append(out, "\n", 1);
}

static void begin_family_prometheus(struct metric_sink *sink)
{
	const struct metric *metric = sink->metric;
	size_t length = strlen(metric->name);
	family_line(sink->out, "HELP", metric->name, length, metric->help);
	family_line(sink->out, "TYPE", metric->name, length, type_words[metric->type]);
}

static void begin_family_openmetrics(struct metric_sink *sink)
{
	const struct metric *metric = sink->metric;
	size_t length = strlen(metric->name), unit = strlen(metric->unit);
	length -= strlen(openmetrics_types[metric->type].suffix);

	family_line(sink->out, "TYPE", metric->name, length, openmetrics_types[metric->type].word);
	if (unit && length > unit && metric->name[length - unit - 1] == '_' && memcmp(metric->name + length - unit, metric->unit,
		unit) == 0)
		family_line(sink->out, "UNIT", metric->name, length, metric->unit);
	family_line(sink->out, "HELP", metric->name, length, metric->help);
}

static void append_labels(struct text *out, const struct label *labels, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		text_append(out, i ? "," : "{", 1);
		text_string(out, labels[i].name);
		text_append(out, "=\"", 2);
		text_label_value(out, labels[i].value);
		text_append(out, "\"", 1);
	}
}

static void append_sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	struct text *out = sink->out;
	text_string(out, sink->metric->name);
	append_labels(out, labels, count);
	text_append(out, "} ", count ? 2 : 0);
	text_append(out, " ", count ? 0 : 1);
	text_decimal(out, value, decimals);
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	append_sample(sink, labels, count, value, decimals);
	text_append(sink->out, "\n", 1);
}

/* ` # {incident="…"} value timestamp`: a name of 8 characters and an id of at most 39 keep far below the 128 that are allowed. */
static void sample_openmetrics(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	const struct exemplar *exemplar = sink->exemplar;
	struct text *out = sink->out;
	append_sample(sink, labels, count, value, decimals);
	if (exemplar) {
		text_string(out, " # {incident=\"");
		text_label_value(out, exemplar->incident);
		text_append(out, "\"} ", 3);
		text_decimal(out, exemplar->value, decimals);
		text_append(out, " ", 1);
		text_decimal(out, (uint64_t)exemplar->wall_ns / NSEC_PER_MSEC, 3); /* a reader keeps milliseconds */
	}
	text_append(out, "\n", 1);
}

/* Repeats the `size` bytes at `from`, which lie in the same buffer: a reserve may move it. */
static void append_again(struct text *out, size_t from, size_t size)
{
	if (text_reserve(out, size))
		text_append(out, out->data + from, size);
}

static void append_bucket_end(struct text *out, const char *le, uint64_t count)
{
	text_string(out, le);
	text_append(out, "\"} ", 3);
	text_u64(out, count);
	text_append(out, "\n", 1);
}

static void append_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	struct text *out = sink->out;
	uint64_t below[HISTOGRAM_CLASSIC + 1];
	histogram_classic(histogram, below);

	/* Name and labels are the same on every line: escaped once, copied then. */
	size_t first = out->length;
	text_string(out, sink->metric->name);
	text_append(out, "_bucket", 7);
	size_t labels_at = out->length;
	append_labels(out, labels, count);
	size_t labels_end = out->length;
	text_string(out, count ? ",le=\"" : "{le=\"");
	size_t prefix = out->length - first;
	append_bucket_end(out, sink->le[0], below[0]);

	for (int i = 1; i <= HISTOGRAM_CLASSIC; i++) {
		append_again(out, first, prefix);
		append_bucket_end(out, i < HISTOGRAM_CLASSIC ? sink->le[i] : "+Inf", below[i]);
	}

	text_string(out, sink->metric->name);
	text_append(out, "_sum", 4);
	append_again(out, labels_at, labels_end - labels_at);
	text_string(out, count ? "} " : " ");
	text_decimal(out, histogram->sum_ns, 9);
	text_append(out, "\n", 1);
	text_string(out, sink->metric->name);
	text_append(out, "_count", 6);
	append_again(out, labels_at, labels_end - labels_at);
	text_string(out, count ? "} " : " ");
	text_u64(out, below[HISTOGRAM_CLASSIC]);
	text_append(out, "\n", 1);
}

static void end_family(struct metric_sink *sink)
{
}

/* The canonical numbers of OpenMetrics: a whole one has a point, too. */
static void begin_openmetrics(struct metric_sink *sink, const struct metric_context *context)
{
	for (int i = 0; i < HISTOGRAM_CLASSIC; i++) {
		size_t length = strlen(sink->le[i]);
		if (!strpbrk(sink->le[i], ".e"))
			snprintf(sink->le[i] + length, sizeof(sink->le[i]) - length, ".0");
	}
}

static void end_openmetrics(struct metric_sink *sink)
{
	text_string(sink->out, "# EOF\n");
}

const struct metric_writer prometheus_writer = {
	.begin = begin,
	.begin_family = begin_family_prometheus,
	.sample = sample,
	.histogram = append_histogram,
	.end_family = end_family,
	.end = end,
};

const struct metric_writer openmetrics_writer = {
	.begin = begin_openmetrics,
	.begin_family = begin_family_openmetrics,
	.sample = sample_openmetrics,
	.histogram = append_histogram,
	.end_family = end_family,
	.end = end_openmetrics,
};
