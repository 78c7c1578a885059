/* SPDX-License-Identifier: Apache-2.0 */
/* What the StatsD input says of itself, and what applications sent to it. */
#include "publish/metric_series.h"
#include "publish/statsd.h"

static void emit_counter(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->statsd)
		sink_field(sink, metric, NULL, 0, statsd_counters(context->statsd));
}

static void emit_series_count(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->statsd)
		sink_sample(sink, NULL, 0, statsd_series_count(context->statsd), 0);
}

#define COUNTER(name_, member_, help_) \
	{ .name = (name_), .type = METRIC_COUNTER, .unit = "", .help = (help_), .source = METRIC_OF_STATSD, .emit = emit_counter, \
	  .field = offsetof(struct statsd_counters, member_), .value = VALUE_U64 }
static const struct metric metrics[] = {
	COUNTER("nodemend_statsd_datagrams_total", datagrams, "Datagrams read from the StatsD socket; what a full socket refused is only known to its sender."),
	COUNTER("nodemend_statsd_lines_total", lines, "Lines in them."),
	COUNTER("nodemend_statsd_malformed_total", malformed, "Lines that are not of the protocol, or over a bound."),
	COUNTER("nodemend_statsd_folded_total", folded, "Lines left out because inputs.statsd.max_series series were there already."),
	COUNTER("nodemend_statsd_conflicts_total", conflicts, "Lines left out because their name is in use with another type."),
	COUNTER("nodemend_statsd_expired_total", expired, "Series forgotten because nobody sent them for inputs.statsd.max_age."),
	{ .name = "nodemend_statsd_series", .type = METRIC_GAUGE, .unit = "", .help = "Series kept now.", .source = METRIC_OF_STATSD, .emit = emit_series_count },
};
const struct metric_table metrics_of_statsd = { metrics, sizeof(metrics) / sizeof(metrics[0]) };

/* --- what applications sent -------------------------------------------------------------------------------------------- */

static uint32_t unpack_labels(const struct statsd_series *series, struct label ret[STATSD_MAX_LABELS])
{
	const char *at = series->labels;
	for (uint32_t i = 0; i < series->label_count; i++) {
		ret[i].name = at;
		ret[i].value = at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return series->label_count;
}

static void emit_series(const struct statsd *statsd, enum statsd_type type, const struct statsd_series *series, struct metric_sink *sink)
{
	struct label labels[STATSD_MAX_LABELS];
	uint32_t count = unpack_labels(series, labels);
	if (type == STATSD_TIMER)
		sink_histogram(sink, labels, count, statsd_histogram(statsd, series));
	else
		sink_real(sink, labels, count, type == STATSD_SET ? statsd_distinct(statsd, series) : series->value);
}

static void emit_statsd(const struct metric_context *context, struct metric_sink *sink)
{
	static const enum metric_type types[] = {
		[STATSD_COUNTER] = METRIC_COUNTER, [STATSD_GAUGE] = METRIC_GAUGE, [STATSD_TIMER] = METRIC_HISTOGRAM, [STATSD_SET] = METRIC_GAUGE,
	};
	static const char *const helps[] = {
		[STATSD_COUNTER] = "Received as a StatsD counter.", [STATSD_GAUGE] = "Received as a StatsD gauge.",
		[STATSD_TIMER] = "Received as a StatsD timer, in seconds.",
		[STATSD_SET] = "Different values of a StatsD set in the last whole minute.",
	};
	const struct statsd_family *family;
	for (uint32_t i = 0; context->statsd && (family = statsd_family(context->statsd, i)); i++) {
		if (!family->first_series || series_has(family->name)) /* a text file's or the host's own goes first */
			continue;
		const struct metric row = { .name = family->name, .type = types[family->type], .unit = "", .help = helps[family->type], .source = METRIC_OF_STATSD };
		const struct statsd_series *series = statsd_series(context->statsd, family->first_series);
		sink_family(sink, &row);
		for (; series; series = statsd_series(context->statsd, series->next_in_family))
			emit_series(context->statsd, family->type, series, sink);
		sink_family_end(sink);
	}
	sink->metric = NULL; /* the row was ours */
}

const struct metric_provider statsd_provider = { .source = METRIC_OF_STATSD, .emit = emit_statsd };
