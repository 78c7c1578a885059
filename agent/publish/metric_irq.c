/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts: soft ones by vector, device handlers by line. Both are few and all of them are shown. */
#include <stdio.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const struct irq_section *fresh_irqs(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->irqs.measured_ns) ? &context->snap->irqs : NULL;
}

static void emit_softirqs(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct irq_section *section = fresh_irqs(context);

	for (int vector = 0; section && vector < SOFTIRQ_VECTORS; vector++) {
		struct label label = { "vector", softirq_names[vector] };
		sink_field(sink, metric, &label, 1, &section->softirqs[vector]);
	}
}

static void emit_hardirqs(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct irq_section *section = fresh_irqs(context);

	for (uint32_t i = 0; section && i < section->count; i++) {
		char number[12];
		snprintf(number, sizeof(number), "%u", section->each[i].irq);
		struct label labels[] = { { "irq", number }, { "name", section->each[i].name } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), &section->each[i].cost);
	}
}

#define IRQ(name_, unit_, help_, emit_, field_, value_) \
	{ .name = "nodemend_" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), .source = COLLECTOR_IRQ, .emit = (emit_), \
	  .field = offsetof(struct irq_cost, field_), .value = (value_) }

/* clang-format off */
static const struct metric rows[] = {
	IRQ("hardirq_seconds_total", "seconds", "Time in the handlers of an interrupt line since the agent started.", emit_hardirqs, ns,
		VALUE_NS),
	IRQ("hardirqs_total", "", "Runs of the handlers of an interrupt line since the agent started.", emit_hardirqs, count, VALUE_U64),
	IRQ("softirq_seconds_total", "seconds", "Time in soft interrupts since the agent started, without the handlers that interrupted them.",
		emit_softirqs, ns, VALUE_NS),
	IRQ("softirqs_total", "", "Runs of soft interrupts since the agent started.", emit_softirqs, count, VALUE_U64),
};
/* clang-format on */

const struct metric_table metrics_of_irq = { rows, sizeof(rows) / sizeof(rows[0]) };
