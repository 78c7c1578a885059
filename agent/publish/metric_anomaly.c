/* SPDX-License-Identifier: Apache-2.0 */
/* How unusual the node is, and each of its cgroups. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "publish/metric.h"

static const struct anomaly_section *fresh_section(const struct metric_context *context)
{
	/* It is brought up to date every ten seconds. */
	return context->snap && context_fresh(context, context->snap->boot_ns) && context->snap->anomaly.measured_ns ? &context->snap->anomaly : NULL;
}

/* The numbers are not whole: thousandths. */
static uint64_t milli(double value)
{
	return value > 0 && isfinite(value) ? (uint64_t)(fmin(value, 1e12) * 1000 + 0.5) : 0;
}

static void emit_scopes(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct anomaly_section *section = fresh_section(context);
	for (uint32_t i = 0; section && i < section->count && i < MAX_ANOMALY_SCOPES; i++) {
		const struct anomaly_scope *scope = &section->each[i];
		const struct cgroup *cgroup = scope->cgroup_id ? snapshot_cgroup(context->snap, scope->cgroup_id) : NULL;
		if (!scope->measured_ns || (scope->cgroup_id && !cgroup))
			continue;
		struct label labels[] = { { "scope", cgroup ? "cgroup" : "node" }, { "cgroup", cgroup ? cgroup->path : "" } };
		double value;
		memcpy(&value, (const char *)scope + metric->field, sizeof(value));
		sink_sample(sink, labels, cgroup ? 2 : 1, milli(value), 3);
	}
}

static void emit_section(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct anomaly_section *section = fresh_section(context);
	if (section)
		sink_field(sink, metric, NULL, 0, section);
}

#define SCOPE(name_, help_, field_) \
	{ .name = "nodemend_anomaly_" name_, .type = METRIC_GAUGE, .unit = "", .help = (help_), .source = METRIC_OF_AGENT, .emit = emit_scopes, \
	  .field = offsetof(struct anomaly_scope, field_) }
#define SECTION(name_, help_, field_) \
	{ .name = "nodemend_anomaly_" name_, .type = METRIC_GAUGE, .unit = "", .help = (help_), .source = METRIC_OF_AGENT, .emit = emit_section, \
	  .field = offsetof(struct anomaly_section, field_), .value = VALUE_U32 }

static const struct metric rows[] = {
	SCOPE("alarms_per_day", "How often a day its own past would give a score like that of the alarm that stands; 8640 where none does.", alarms_per_day),
	SCOPE("score", "How unusual it is just now: the evidence of all its series, summed; absent while too little is known.", score),
	SECTION("series_folded", "Series for which there was no room.", folded),
	SECTION("series_watched", "Series that are watched for anomalies.", watched),
	SCOPE("threshold", "The score that is to be expected once a day.", threshold),
};

const struct metric_table metrics_of_anomaly = { rows, sizeof(rows) / sizeof(rows[0]) };
