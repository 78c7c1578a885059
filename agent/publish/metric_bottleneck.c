/* SPDX-License-Identifier: Apache-2.0 */
/* Each resource by utilisation, saturation and errors, and which of them limits the node. */
#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const struct bottleneck_section *fresh(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->bottleneck.measured_ns) ? &context->snap->bottleneck : NULL;
}

enum figure { FIGURE_LIMITING, FIGURE_UTILISATION, FIGURE_SATURATION, FIGURE_ERRORS };

static void emit_use(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct bottleneck_section *section = fresh(context);
	for (uint32_t i = 0; section && i < section->count && i < MAX_RESOURCES; i++) {
		const struct resource_use *use = &section->each[i];
		struct label labels[] = { { "resource", resource_kind_names[use->kind % RESOURCE_KIND_COUNT] }, { "device", use->name } };
		double ratio = metric->field == FIGURE_UTILISATION ? use->utilisation : use->saturation;
		if (metric->field == FIGURE_LIMITING)
			sink_sample(sink, labels, LABEL_COUNT(labels), section->limiting == (int32_t)i, 0);
		else if (metric->field == FIGURE_ERRORS && use->errors != UNKNOWN)
			sink_sample(sink, labels, LABEL_COUNT(labels), use->errors, 0);
		else if (metric->field != FIGURE_ERRORS && ratio >= 0)
			sink_sample(sink, labels, LABEL_COUNT(labels), (uint64_t)(ratio * 1e6), 6);
	}
}

#define ROW(name_, type_, figure_, help_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = "", .help = (help_), .source = METRIC_OF_AGENT, .emit = emit_use, .field = (figure_) }

/* clang-format off */
static const struct metric rows[] = {
	ROW("bottleneck", METRIC_GAUGE, FIGURE_LIMITING, "1 for the resource that limits the node now: in use, and waited for; 0 for the others."),
	ROW("resource_errors_total", METRIC_COUNTER, FIGURE_ERRORS,
		"Errors of the resource: memory, processes killed for want of it; disk, failed requests since the agent started; network, of the interface."),
	ROW("resource_saturation", METRIC_GAUGE, FIGURE_SATURATION,
		"How much waits for the resource: cpu and memory, share of the last 10 s; disk, requests at it on average; network, packets dropped a second."),
	ROW("resource_utilisation_ratio", METRIC_GAUGE, FIGURE_UTILISATION, "Share of the resource's time, capacity or speed that is in use."),
};
/* clang-format on */

const struct metric_table metrics_of_bottleneck = { rows, sizeof(rows) / sizeof(rows[0]) };
