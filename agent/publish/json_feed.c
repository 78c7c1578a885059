/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON feed, nodemend.metrics/1, on one line: written as it is read, no tree is built. */
#include "core/clock.h"
#include "publish/metric.h"

static const char *const type_words[] = {
	[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram", [METRIC_INFO] = "gauge",
	[METRIC_UNTYPED] = "unknown",
};

static void begin(struct metric_sink *sink, const struct metric_context *context)
{
	const struct snapshot *snap = context->snap;
	struct text *out = sink->out;
	char time[40];

	text_string(out, "{\"schema\":\"nodemend.metrics/1\",\"node\":");
	text_json_string(out, snap ? snap->node : "");
	text_string(out, ",\"boot_id\":");
	text_json_string(out, snap ? snap->boot_id : "");
	text_string(out, ",\"seq\":");
	text_u64(out, snap ? snap->seq : 0);
	text_string(out, ",\"time\":");
	text_json_string(out, clock_format(snap ? snap->wall_ns : 0, time, sizeof(time)));
	text_string(out, ",\"interval_seconds\":");
	text_decimal(out, snap ? snap->interval_ns : 0, 9);
	text_string(out, ",\"metrics\":[");
}

static void begin_family(struct metric_sink *sink)
{
	const struct metric *metric = sink->metric;
	struct text *out = sink->out;

	text_string(out, sink->families ? ",{\"name\":\"" : "{\"name\":\"");
	text_string(out, metric->name);
	text_string(out, "\",\"type\":\"");
	text_string(out, type_words[metric->type]);
	if (*metric->unit) {
		text_string(out, "\",\"unit\":\"");
		text_string(out, metric->unit);
	}
	text_string(out, "\",\"help\":");
	text_json_string(out, metric->help);
	text_string(out, ",\"samples\":[");
}

static void begin_sample(struct metric_sink *sink, const struct label *labels, uint32_t count)
{
	struct text *out = sink->out;
	text_string(out, sink->samples > 1 ? ",{\"labels\":{" : "{\"labels\":{");
	for (uint32_t i = 0; i < count; i++) {
		text_string(out, i ? ",\"" : "\"");
		text_string(out, labels[i].name);
		text_append(out, "\":", 2);
		text_json_string(out, labels[i].value);
	}
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	begin_sample(sink, labels, count);
	text_string(sink->out, "},\"value\":");
	text_decimal(sink->out, value, decimals);
	text_append(sink->out, "}", 1);
}

static void real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	begin_sample(sink, labels, count);
	text_string(sink->out, "},\"value\":");
	text_real(sink->out, value);
	text_append(sink->out, "}", 1);
}

static void append_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	struct text *out = sink->out;
	uint64_t below[HISTOGRAM_CLASSIC + 1];
	histogram_classic(histogram, below);

	begin_sample(sink, labels, count);
	text_string(out, "},\"count\":");
	text_u64(out, below[HISTOGRAM_CLASSIC]);
	text_string(out, ",\"sum\":");
	text_decimal(out, histogram->sum_ns, 9);
	text_string(out, ",\"buckets\":[");
	for (int i = 0; i < HISTOGRAM_CLASSIC; i++) {
		text_string(out, i ? ",[" : "[");
		text_string(out, sink->le[i]);
		text_append(out, ",", 1);
		text_u64(out, below[i]);
		text_append(out, "]", 1);
	}
	text_string(out, "]}");
}

static void end_family(struct metric_sink *sink)
{
	text_string(sink->out, "]}");
}

static void end(struct metric_sink *sink)
{
	text_string(sink->out, "]}");
}

const struct metric_writer json_writer = {
	.begin = begin,
	.begin_family = begin_family,
	.sample = sample,
	.real = real,
	.histogram = append_histogram,
	.end_family = end_family,
	.end = end,
};
