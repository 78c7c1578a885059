/* SPDX-License-Identifier: Apache-2.0 */
/* What the log reader read, left out and found; and the ends that crash conditions asked for. */
#include "publish/metric.h"

#include <string.h>

static void emit_matches(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	(void)metric;
	if (!context->snap || !context_fresh(context, context->snap->logs.measured_ns))
		return;
	for (uint32_t i = 0; i < context->snap->logs.count_count; i++) {
		const struct log_count *count = &context->snap->logs.counts[i];
		struct label labels[] = { { "pattern", count->pattern }, { "source", count->source } };
		if (count->pattern[0])
			sink_sample(sink, labels, 2, count->matches, 0);
	}
}

static void emit_source(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->logs.measured_ns))
		return;
	for (uint32_t i = 0; i < context->snap->logs.source_count; i++) {
		const struct log_source_row *source = &context->snap->logs.sources[i];
		struct label labels[] = { { "source", source->name } };
		bool told = !source->name[0];
		uint64_t sum = 0;
		/* Two conditions that put lines together by different rules read one source twice: one series. */
		for (uint32_t j = 0; j < context->snap->logs.source_count; j++) {
			const struct log_source_row *other = &context->snap->logs.sources[j];
			if (strcmp(other->name, source->name) != 0)
				continue;
			told |= j < i;
			sum += *(const uint64_t *)((const char *)other + metric->field);
		}
		if (!told)
			sink_sample(sink, labels, 1, sum, 0);
	}
}

static void emit_crashes(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	(void)metric;
	if (context->snap && context_fresh(context, context->snap->crashes.measured_ns))
		sink_sample(sink, NULL, 0, context->snap->crashes.total, 0);
}

#define SOURCE(name_, unit_, member_, help_) \
	{ .name = "nodemend_log_" name_ "_total", .type = METRIC_COUNTER, .unit = (unit_), .source = COLLECTOR_LOG, .emit = emit_source, .help = (help_), \
	  .field = offsetof(struct log_source_row, member_) }

static const struct metric rows[] = {
	SOURCE("cut_lines", "", cut, "Lines longer than the 4096 bytes that are looked at."),
	SOURCE("gave_up", "", gave_up, "Matches that ended at the limit of steps: neither yes nor no."),
	SOURCE("lines", "", lines, "Lines that were read and held against the policies' patterns."),
	{ .name = "nodemend_log_matches_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_LOG, .emit = emit_matches,
	  .help = "Lines that matched, by shipped pattern or by the policy whose own pattern it is." },
	SOURCE("read_bytes", "bytes", bytes, "Bytes of logs that were read."),
	SOURCE("skipped_bytes", "bytes", skipped_bytes, "Bytes of files that were passed over, because more came than may be read."),
	SOURCE("skipped_lines", "", skipped_lines, "Lines of the kernel or the journal that were passed over, or gone before they were read."),
	{ .name = "nodemend_process_crashes_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_TASK, .emit = emit_crashes,
	  .help = "Ends of processes that a policy's crash condition may mean." },
};

const struct metric_table metrics_of_logs = { rows, sizeof(rows) / sizeof(rows[0]) };
