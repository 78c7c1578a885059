/* SPDX-License-Identifier: Apache-2.0 */
/* What nodemend costs, what its maps hold, how much of the truth its collectors saw, and what the governor did about it. */
#include <stddef.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

/* Rates are nanoseconds a second: with nine decimals they are processors. */
enum { RATE_DECIMALS = 9 };

static const char *owner_name(uint32_t collector)
{
	return collector < COLLECTOR_COUNT ? collector_names[collector] : "agent";
}

static const struct governor_section *fresh_governor(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->boot_ns) ? &context->snap->governor : NULL;
}

/* --- programs and maps ------------------------------------------------------------------------------------------------ */

static void emit_program(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct program_section *programs = fresh_governor(context) ? &context->snap->programs : NULL;
	if (!programs || !programs->measured_ns)
		return;
	for (uint32_t i = 0; i < programs->count && i < MAX_BPF_PROGRAMS; i++) {
		struct label label = { "program", programs->each[i].name };
		sink_field(sink, metric, &label, 1, &programs->each[i]);
	}
}

static void emit_map(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct map_section *maps = context->snap && context_fresh(context, context->snap->maps.measured_ns) ? &context->snap->maps : NULL;
	for (uint32_t i = 0; maps && i < maps->count && i < MAX_BPF_MAPS; i++) {
		struct label labels[] = { { "collector", owner_name(maps->each[i].collector) }, { "map", maps->each[i].name } };
		sink_field(sink, metric, labels, LABEL_COUNT(labels), &maps->each[i]);
	}
}

/* --- collectors ------------------------------------------------------------------------------------------------------- */

static void emit_coverage(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	(void)metric;
	for (uint32_t i = 0; fresh_governor(context) && i < context->snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &context->snap->collectors[i];
		struct label label = { "collector", status->name };
		if (status->state == COLLECTOR_OFF || status->state == COLLECTOR_DOWN || status->coverage_expected == UNKNOWN || !status->coverage_expected)
			continue;
		double ratio = (double)status->coverage_seen / (double)status->coverage_expected;
		sink_sample(sink, &label, 1, (uint64_t)(ratio * 1e6), 6);
	}
}

static void emit_depth(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	(void)metric;
	for (uint32_t i = 0; fresh_governor(context) && i < context->snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &context->snap->collectors[i];
		struct label label = { "collector", status->name };
		if (status->adjustable)
			sink_sample(sink, &label, 1, status->depth, 0);
	}
}

static void emit_collector_ratio(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct governor_section *cost = fresh_governor(context);
	(void)metric;
	for (uint32_t i = 0; cost && cost->measured_ns && i < context->snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &context->snap->collectors[i];
		const struct collector_cost *each = &cost->each[i];
		struct label labels[] = { { "collector", status->name }, { "where", "kernel" } };
		if (status->state == COLLECTOR_OFF || status->state == COLLECTOR_DOWN)
			continue;
		if (each->kernel_rate != UNKNOWN)
			sink_sample(sink, labels, LABEL_COUNT(labels), each->kernel_rate, RATE_DECIMALS);
		labels[1].value = "agent";
		sink_sample(sink, labels, LABEL_COUNT(labels), each->user_rate, RATE_DECIMALS);
	}
}

static void emit_steps(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct governor_section *cost = fresh_governor(context);
	(void)metric;
	for (uint32_t i = 0; cost && cost->processors && i < context->snap->collector_count && i < MAX_COLLECTORS; i++) {
		struct label labels[] = { { "collector", context->snap->collectors[i].name }, { "direction", "down" } };
		if (!context->snap->collectors[i].adjustable)
			continue;
		sink_sample(sink, labels, LABEL_COUNT(labels), cost->each[i].steps_down, 0);
		labels[1].value = "up";
		sink_sample(sink, labels, LABEL_COUNT(labels), cost->each[i].steps_up, 0);
	}
}

/* --- the whole -------------------------------------------------------------------------------------------------------- */

static void emit_self_ratio(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct governor_section *cost = fresh_governor(context);
	(void)metric;
	if (!cost || !cost->measured_ns)
		return;
	const struct { const char *where; uint64_t rate; } parts[] = {
		{ "agent", cost->agent_rate }, { "kernel", cost->kernel_rate }, { "publisher", cost->publisher_rate },
	};
	for (int i = 0; i < 3; i++) {
		struct label label = { "where", parts[i].where };
		if (parts[i].rate != UNKNOWN)
			sink_sample(sink, &label, 1, parts[i].rate, RATE_DECIMALS);
	}
}

static void emit_budget(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct governor_section *cost = fresh_governor(context);
	(void)metric;
	if (cost && cost->processors)
		sink_sample(sink, NULL, 0, cost->budget_rate / cost->processors, RATE_DECIMALS);
}

static void emit_spent(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct governor_section *cost = fresh_governor(context);
	(void)metric;
	if (!cost || !cost->measured_ns || !cost->processors || cost->kernel_rate == UNKNOWN || cost->agent_rate == UNKNOWN)
		return;
	uint64_t publisher = cost->publisher_rate == UNKNOWN ? 0 : cost->publisher_rate; /* there may be none */
	sink_sample(sink, NULL, 0, (cost->kernel_rate + cost->agent_rate + publisher) / cost->processors, RATE_DECIMALS);
}

static void emit_governor(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct governor_section *cost = fresh_governor(context);
	if (cost && cost->processors)
		sink_field(sink, metric, NULL, 0, cost);
}

static void emit_arms(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	static const char *const reasons[ARM_REASON_COUNT] = {
		[ARM_CPU] = "cpu", [ARM_MEMORY] = "memory", [ARM_IO] = "io", [ARM_FINDING] = "finding",
	};
	const struct governor_section *cost = fresh_governor(context);
	(void)metric;
	for (int i = 0; cost && cost->processors && i < ARM_REASON_COUNT; i++) {
		struct label label = { "reason", reasons[i] };
		sink_sample(sink, &label, 1, cost->arms[i], 0);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define ROW(name_, type_, unit_, emit_, help_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = (emit_) }
#define FIELD(name_, type_, unit_, emit_, help_, struct_, field_, value_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = (emit_), \
	  .field = offsetof(struct struct_, field_), .value = (value_) }

/* clang-format off */
static const struct metric rows[] = {
	FIELD("bpf_map_bytes", METRIC_GAUGE, "bytes", emit_map, "Kernel memory of the BPF map.", bpf_map_stat, bytes, VALUE_U64),
	FIELD("bpf_map_capacity", METRIC_GAUGE, "", emit_map,
		"Rows that the map has room for, or bytes of a ring; absent where it grows with what it belongs to.", bpf_map_stat, capacity,
		VALUE_U64),
	FIELD("bpf_map_entries", METRIC_GAUGE, "", emit_map,
		"Rows in the map, or bytes of a ring that wait to be read at the end of an interval; absent for arrays.", bpf_map_stat, entries,
		VALUE_U64),
	FIELD("bpf_map_failed_inserts_total", METRIC_COUNTER, "", emit_map,
		"Rows that found no room in the map, or records that found none in the ring; absent for arrays.", bpf_map_stat, refused,
		VALUE_U64),
	FIELD("bpf_run_seconds_total", METRIC_COUNTER, "seconds", emit_program,
		"Time spent in the BPF program, estimated from short windows; absent where the kernel does not count it.",
		bpf_program_stat, run_ns, VALUE_NS),
	FIELD("bpf_runs_total", METRIC_COUNTER, "", emit_program,
		"Runs of the BPF program, estimated from short windows; absent where the kernel does not count them.",
		bpf_program_stat, run_count, VALUE_U64),
	ROW("budget_cpu_ratio", METRIC_GAUGE, "", emit_budget, "Share of the node's processors that nodemend may cost."),
	FIELD("budget_exhausted", METRIC_GAUGE, "", emit_governor, "1 while it costs more and nothing is left to step down.",
		governor_section, exhausted, VALUE_BOOL),
	FIELD("budget_memory_bytes", METRIC_GAUGE, "bytes", emit_governor, "Memory that nodemend may hold.", governor_section,
		memory_budget_bytes, VALUE_U64),
	FIELD("budget_memory_spent_bytes", METRIC_GAUGE, "bytes", emit_governor,
		"Memory that it holds: all its processes, each page once, and BPF maps.", governor_section, memory_bytes, VALUE_U64),
	FIELD("budget_shed_level", METRIC_GAUGE, "", emit_governor, "Steps down in force, of all collectors.", governor_section,
		shed_level, VALUE_U32),
	ROW("budget_spent_ratio", METRIC_GAUGE, "", emit_spent,
		"Share of the node's processors that nodemend costs: its processes, and its programs on behalf of others."),
	ROW("budget_steps_total", METRIC_COUNTER, "", emit_steps, "Steps of the collector's depth by the budget, down and up again."),
	FIELD("budget_windows_total", METRIC_COUNTER, "", emit_governor, "Windows in which the cost was measured.", governor_section,
		windows, VALUE_U64),
	ROW("collector_cpu_ratio", METRIC_GAUGE, "", emit_collector_ratio,
		"Share of one processor that the collector costs: its programs (kernel), and reading what they kept (agent)."),
	ROW("collector_depth", METRIC_GAUGE, "", emit_depth,
		"How deep the collector looks: 0 off, 1 counts, 2 histograms, 3 deep; absent where it has one depth only."),
	ROW("coverage_ratio", METRIC_GAUGE, "", emit_coverage,
		"Of what the collector should have seen since it opened, how much it did; absent where it cannot know."),
	FIELD("depth_armed", METRIC_GAUGE, "", emit_governor, "1 while the deep tier is armed.", governor_section, armed, VALUE_BOOL),
	ROW("depth_arms_total", METRIC_COUNTER, "", emit_arms,
		"Times that pressure on a resource, or a policy's condition, armed the deep tier."),
	ROW("self_cpu_ratio", METRIC_GAUGE, "", emit_self_ratio,
		"Share of one processor that nodemend costs: agent with workers, publisher, and programs on behalf of others (kernel)."),
};
/* clang-format on */

const struct metric_table metrics_of_cost = { rows, sizeof(rows) / sizeof(rows[0]) };
