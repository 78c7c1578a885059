/* SPDX-License-Identifier: Apache-2.0 */
/* What the sender did, from the page of counters that it writes. */
#include <stdatomic.h>

#include "publish/metric.h"
#include "push/share.h"

#define LOAD(field_) atomic_load_explicit(&(field_), memory_order_relaxed)

static const struct outlet_counters *outlets(const struct metric_context *context, uint32_t *ret_count)
{
	uint32_t count = context->outputs ? LOAD(context->outputs->count) : 0;
	*ret_count = count < MAX_OUTLETS ? count : MAX_OUTLETS;
	return context->outputs ? context->outputs->outlets : NULL;
}

/* One number an outlet, at metric->field. */
static void emit_number(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	uint32_t count;
	const struct outlet_counters *each = outlets(context, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct label labels[] = { { "output", each[i].output }, { "endpoint", each[i].endpoint } };
		const _Atomic uint64_t *number = (const _Atomic uint64_t *)((const char *)&each[i] + metric->field);
		sink_sample(sink, labels, 2, LOAD(*number), 0);
	}
}

static void emit_reasons(const struct metric_context *context, struct metric_sink *sink, size_t field, const char *const *names, int reasons)
{
	uint32_t count;
	const struct outlet_counters *each = outlets(context, &count);
	for (uint32_t i = 0; i < count; i++) {
		const _Atomic uint64_t *numbers = (const _Atomic uint64_t *)((const char *)&each[i] + field);
		for (int reason = 0; reason < reasons; reason++) {
			const struct label labels[] = { { "output", each[i].output }, { "endpoint", each[i].endpoint }, { "reason", names[reason] } };
			sink_sample(sink, labels, 3, LOAD(numbers[reason]), 0);
		}
	}
}

static void emit_failed(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_reasons(context, sink, metric->field, failure_names, FAILURE_COUNT);
}

static void emit_dropped(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_reasons(context, sink, metric->field, drop_names, DROP_COUNT);
}

static void emit_last_success(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	uint32_t count;
	const struct outlet_counters *each = outlets(context, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct label labels[] = { { "output", each[i].output }, { "endpoint", each[i].endpoint } };
		int64_t when = LOAD(each[i].last_success_wall_ns);
		if (when > 0)
			sink_sample(sink, labels, 2, (uint64_t)when / NSEC_PER_MSEC, 3);
	}
}

static void emit_latency(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	uint32_t count;
	const struct outlet_counters *each = outlets(context, &count);
	for (uint32_t i = 0; i < count; i++) {
		const struct label labels[] = { { "output", each[i].output }, { "endpoint", each[i].endpoint } };
		struct histogram histogram = { .sum_ns = LOAD(each[i].latency_sum_ns) };
		for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
			histogram.buckets[bucket] = LOAD(each[i].latency[bucket]);
		sink_histogram(sink, labels, 2, &histogram);
	}
}

/* Of the sender itself: nothing where there is no output. */
static void emit_sender(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	uint32_t count;
	if (outlets(context, &count) && count)
		sink_sample(sink, NULL, 0, LOAD(*(const _Atomic uint64_t *)((const char *)context->outputs + metric->field)), 0);
}

#define ROW(name_, type_, unit_, emit_, help_, struct_, field_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = (emit_), \
	  .field = offsetof(struct struct_, field_) }

/* clang-format off */
static const struct metric rows[] = {
	ROW("output_dropped_total", METRIC_COUNTER, "", emit_dropped, "Samples and records given up, by output and reason.", outlet_counters, dropped),
	ROW("output_failed_total", METRIC_COUNTER, "", emit_failed, "Requests that failed, by output and reason.", outlet_counters, failed),
	ROW("output_last_success_time_seconds", METRIC_GAUGE, "seconds", emit_last_success,
		"Unix time of the last request that was taken; absent before the first.", outlet_counters, last_success_wall_ns),
	ROW("output_latency_seconds", METRIC_HISTOGRAM, "seconds", emit_latency, "Time from sending a request to its answer.", outlet_counters, latency),
	ROW("output_queue_bytes", METRIC_GAUGE, "bytes", emit_number, "What waits in memory.", outlet_counters, queue_bytes),
	ROW("output_sent_total", METRIC_COUNTER, "", emit_number, "Samples and records that were taken.", outlet_counters, sent),
	ROW("output_spool_bytes", METRIC_GAUGE, "bytes", emit_number, "What waits on disk.", outlet_counters, spool_bytes),
	ROW("output_spool_errors_total", METRIC_COUNTER, "", emit_number, "Writes that the disk did not take; it went on in memory.", outlet_counters,
		spool_errors),
	ROW("sender_messages_lost_total", METRIC_COUNTER, "", emit_sender, "Incidents and actions that the sender was too slow for.", output_page,
		messages_lost),
	ROW("sender_restarts_total", METRIC_COUNTER, "", emit_sender, "Times the agent had to start the sender again.", output_page, restarts),
};
/* clang-format on */

const struct metric_table metrics_of_outputs = { rows, sizeof(rows) / sizeof(rows[0]) };
