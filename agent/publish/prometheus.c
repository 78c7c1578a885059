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
	[METRIC_UNTYPED] = "untyped", [METRIC_SUMMARY] = "summary",
};
static const struct { const char *word, *suffix; } openmetrics_types[] = {
	[METRIC_COUNTER] = { "counter", "_total" }, [METRIC_GAUGE] = { "gauge", "" },	  [METRIC_HISTOGRAM] = { "histogram", "" },
	[METRIC_INFO] = { "info", "_info" },	    [METRIC_UNTYPED] = { "unknown", "" }, [METRIC_SUMMARY] = { "summary", "" },
};

static void begin(struct metric_sink *sink, const struct metric_context *context)
{
}

static void end(struct metric_sink *sink)
{
}

/* Our own HELP needs no escape, a text file's may. OpenMetrics has one more. */
static void append_help(struct text *out, const char *help, bool quotes)
{
	for (const char *at = help; *at; at++) {
		size_t plain = strcspn(at, quotes ? "\\\n\"" : "\\\n");
		text_append(out, at, plain);
		at += plain;
		if (!*at)
			return;
		text_string(out, *at == '\n' ? "\\n" : *at == '"' ? "\\\"" : "\\\\");
	}
}

static void family_line(struct text *out, const char *keyword, const char *family, size_t length, const char *rest, bool quotes)
{
	text_append(out, "# ", 2);
	text_string(out, keyword);
	text_append(out, " ", 1);
	text_append(out, family, length);
	text_append(out, " ", 1);
	append_help(out, rest, quotes);
	text_append(out, "\n", 1);
}

static void begin_family_prometheus(struct metric_sink *sink)
{
	const struct metric *metric = sink->metric;
	size_t length = strlen(metric->name);
	family_line(sink->out, "HELP", metric->name, length, metric->help, false);
	family_line(sink->out, "TYPE", metric->name, length, type_words[metric->type], false);
}

static bool is_total(const char *name, size_t length)
{
	size_t end = strlen("_total");
	return length > end && strcmp(name + length - end, "_total") == 0;
}

static void begin_family_openmetrics(struct metric_sink *sink)
{
	const struct metric *metric = sink->metric;
	size_t length = strlen(metric->name), unit = strlen(metric->unit);
	enum metric_type type = metric->type;
	if (type == METRIC_COUNTER && !is_total(metric->name, length))
		type = METRIC_UNTYPED; /* a text file's: OpenMetrics knows no counter of such a name, and the name matters more */
	length -= strlen(openmetrics_types[type].suffix);

	family_line(sink->out, "TYPE", metric->name, length, openmetrics_types[type].word, false);
	if (unit && length > unit && metric->name[length - unit - 1] == '_' && memcmp(metric->name + length - unit, metric->unit,
		unit) == 0)
		family_line(sink->out, "UNIT", metric->name, length, metric->unit, false);
	family_line(sink->out, "HELP", metric->name, length, metric->help, true);
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

static void begin_sample(struct metric_sink *sink, const struct label *labels, uint32_t count)
{
	struct text *out = sink->out;
	text_string(out, sink->metric->name);
	text_string(out, sink->suffix);
	append_labels(out, labels, count);
	text_append(out, "} ", count ? 2 : 0);
	text_append(out, " ", count ? 0 : 1);
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	begin_sample(sink, labels, count);
	text_decimal(sink->out, value, decimals);
	text_append(sink->out, "\n", 1);
}

/* ` # {incident="…"} value timestamp`: a name of 8 characters and an id of at most 39 keep far below the 128 that are allowed. */
static void append_exemplar(struct text *out, const struct exemplar *exemplar, unsigned int decimals)
{
	if (!exemplar)
		return;
	text_string(out, " # {incident=\"");
	text_label_value(out, exemplar->incident);
	text_append(out, "\"} ", 3);
	text_decimal(out, exemplar->value, decimals);
	text_append(out, " ", 1);
	text_decimal(out, (uint64_t)exemplar->wall_ns / NSEC_PER_MSEC, 3); /* a reader keeps milliseconds */
}

static void sample_openmetrics(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	begin_sample(sink, labels, count);
	text_decimal(sink->out, value, decimals);
	append_exemplar(sink->out, sink->exemplar, decimals);
	text_append(sink->out, "\n", 1);
}

static void real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	begin_sample(sink, labels, count);
	text_real(sink->out, value);
	text_append(sink->out, "\n", 1);
}

/* Repeats the `size` bytes at `from`, which lie in the same buffer: a reserve may move it. */
static void append_again(struct text *out, size_t from, size_t size)
{
	if (text_reserve(out, size))
		text_append(out, out->data + from, size);
}

static void append_bucket_end(struct text *out, const char *le, uint64_t count, const struct exemplar *exemplar)
{
	text_string(out, le);
	text_append(out, "\"} ", 3);
	text_u64(out, count);
	append_exemplar(out, exemplar, 9);
	text_append(out, "\n", 1);
}

static void write_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram,
			    const struct exemplar *exemplar)
{
	struct text *out = sink->out;
	uint32_t marked = exemplar ? histogram_classic_of(exemplar->value) : UINT32_MAX;
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
	append_bucket_end(out, sink->le[0], below[0], marked == 0 ? exemplar : NULL);

	for (uint32_t i = 1; i <= HISTOGRAM_CLASSIC; i++) {
		append_again(out, first, prefix);
		append_bucket_end(out, i < HISTOGRAM_CLASSIC ? sink->le[i] : "+Inf", below[i], marked == i ? exemplar : NULL);
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

static void histogram_prometheus(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	write_histogram(sink, labels, count, histogram, NULL);
}

static void histogram_openmetrics(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	write_histogram(sink, labels, count, histogram, sink->exemplar);
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
	.real = real,
	.histogram = histogram_prometheus,
	.end_family = end_family,
	.end = end,
	.takes_parts = true,
	.takes_infinite = true,
};

const struct metric_writer openmetrics_writer = {
	.begin = begin_openmetrics,
	.begin_family = begin_family_openmetrics,
	.sample = sample_openmetrics,
	.real = real,
	.histogram = histogram_openmetrics,
	.end_family = end_family,
	.end = end_openmetrics,
	.takes_infinite = true,
};
