/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor by those who use it. Series of a cgroup are for those that are shown; all others are one, "other", so that the sum
 * over the label is the node's total.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))
#define OTHER "other"

static const char *const blame_names[BLAME_COUNT] = {
	[BLAME_ON_CPU] = "on_cpu", [BLAME_STOLEN] = "stolen", [BLAME_RUNQUEUE] = "runqueue", [BLAME_THROTTLED] = "throttled",
	[BLAME_BLOCK_IO] = "block_io", [BLAME_RECLAIM] = "reclaim", [BLAME_FUTEX] = "futex", [BLAME_NETWORK] = "network",
	[BLAME_SLEEP] = "sleep", [BLAME_OTHER] = "other",
};

static const struct sched_section *fresh_sched(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->sched.measured_ns) ? &context->snap->sched : NULL;
}

static const struct sched_section *fresh_groups(const struct metric_context *context)
{
	const struct sched_section *section = fresh_sched(context);
	return section && section->has_threads ? section : NULL;
}

static int compare_index(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

/* NULL: it has no series of its own. */
static const char *shown_path(const struct metric_context *context, uint64_t cgroup_id)
{
	const struct cgroup *cgroup = snapshot_cgroup(context->snap, cgroup_id);
	uint32_t index = cgroup ? (uint32_t)(cgroup - context->snap->cgroups.each) : 0;

	if (!cgroup || !cgroup->path[0] ||
	    !bsearch(&index, context->shown->cgroups, context->shown->cgroup_count, sizeof(index), compare_index))
		return NULL;
	return cgroup->path;
}

/* --- by cgroup -------------------------------------------------------------------------------------------------------- */

typedef void emit_sums(const struct metric *metric, struct metric_sink *sink, const char *path, const struct blame_sums *sums);

static void add_sums(struct blame_sums *to, const struct blame_sums *more)
{
	for (int i = 0; i < BLAME_COUNT; i++)
		to->ns[i] += more->ns[i];
	to->voluntary += more->voluntary;
	to->involuntary += more->involuntary;
	to->migrations += more->migrations;
}

static void emit_groups(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink, emit_sums *emit)
{
	const struct sched_section *section = fresh_groups(context);
	if (!section)
		return;

	struct blame_sums other = section->rest;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct blame_group *group = &section->each[i];
		const char *path = shown_path(context, group->cgroup_id);

		if (path)
			emit(metric, sink, path, &group->sums);
		else
			add_sums(&other, &group->sums);
	}
	emit(metric, sink, OTHER, &other);
}

static void emit_states(const struct metric *metric, struct metric_sink *sink, const char *path, const struct blame_sums *sums)
{
	for (int state = 0; state < BLAME_COUNT; state++) {
		struct label labels[] = { { "cgroup", path }, { "state", blame_names[state] } };
		sink_sample(sink, labels, LABEL_COUNT(labels), sums->ns[state], 9);
	}
}

static void emit_thread_seconds(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_groups(metric, context, sink, emit_states);
}

static void emit_two_kinds(const struct metric *metric, struct metric_sink *sink, const char *path, const struct blame_sums *sums)
{
	struct label voluntary[] = { { "cgroup", path }, { "kind", "voluntary" } };
	struct label involuntary[] = { { "cgroup", path }, { "kind", "involuntary" } };

	sink_sample(sink, voluntary, LABEL_COUNT(voluntary), sums->voluntary, 0);
	sink_sample(sink, involuntary, LABEL_COUNT(involuntary), sums->involuntary, 0);
}

static void emit_switches(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_groups(metric, context, sink, emit_two_kinds);
}

static void emit_one_field(const struct metric *metric, struct metric_sink *sink, const char *path, const struct blame_sums *sums)
{
	struct label label = { "cgroup", path };
	sink_field(sink, metric, &label, 1, sums);
}

static void emit_migrations(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	emit_groups(metric, context, sink, emit_one_field);
}

static void emit_deep_waits(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->deep_waits.measured_ns))
		return;

	const struct deep_wait_section *section = &context->snap->deep_waits;
	for (uint32_t i = 0; i < section->count; i++) {
		struct label label = { "cgroup", shown_path(context, section->each[i].cgroup_id) };
		if (label.value)
			sink_histogram(sink, &label, 1, &section->each[i].wait);
	}
}

static void emit_bandwidth(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->bandwidths.measured_ns))
		return;

	const struct bandwidth_section *section = &context->snap->bandwidths;
	for (uint32_t i = 0; i < section->count; i++) {
		struct label label = { "cgroup", shown_path(context, section->each[i].cgroup_id) };
		if (label.value)
			sink_field(sink, metric, &label, 1, &section->each[i]);
	}
}

/* --- preemptions ------------------------------------------------------------------------------------------------------ */

/* The field is one of struct preemption; its total is what all pairs have together. */
static void emit_pairs(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->preemptions.measured_ns))
		return;

	const struct preemption_section *section = &context->snap->preemptions;
	struct preemption rest = { .count = section->total, .wait_ns = section->total_wait_ns };
	for (uint32_t i = 0; i < section->count; i++) {
		const struct preemption *pair = &section->each[i];
		const char *victim = shown_path(context, pair->victim), *aggressor = shown_path(context, pair->aggressor);
		struct label labels[] = { { "cgroup", victim }, { "by", aggressor } };

		if (!victim || !aggressor)
			continue;
		sink_field(sink, metric, labels, LABEL_COUNT(labels), pair);
		rest.count -= pair->count < rest.count ? pair->count : rest.count;
		rest.wait_ns -= pair->wait_ns < rest.wait_ns ? pair->wait_ns : rest.wait_ns;
	}
	struct label labels[] = { { "cgroup", OTHER }, { "by", OTHER } };
	sink_field(sink, metric, labels, LABEL_COUNT(labels), &rest);
}

/* --- the node --------------------------------------------------------------------------------------------------------- */

static void emit_histogram(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct sched_section *section = fresh_sched(context);

	if (section && context_fresh(context, section->histograms_ns))
		sink_histogram(sink, NULL, 0, (const struct histogram *)((const char *)&section->histograms + metric->field));
}

/* How long a thread was off the CPU is only known where threads are. */
static void emit_thread_histogram(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (fresh_groups(context))
		emit_histogram(metric, context, sink);
}

static void emit_bursts(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct sched_section *section = fresh_sched(context);

	for (uint32_t cpu = 0; section && cpu < section->cpus && cpu < MAX_BURST_CPUS; cpu++) {
		char number[12];
		struct label label = { "cpu", number };

		snprintf(number, sizeof(number), "%u", cpu);
		if (section->burst_permille[cpu] != UINT16_MAX)
			sink_sample(sink, &label, 1, section->burst_permille[cpu], 3);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define SCHED(name_, type_, unit_, help_, emit_) \
	.name = "nodemend_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = COLLECTOR_SCHED, .emit = (emit_)
#define HISTOGRAM(name_, help_, emit_, field_) \
	{ SCHED(name_, METRIC_HISTOGRAM, "seconds", help_, emit_), .field = offsetof(struct sched_histograms, field_) }
#define BANDWIDTH(name_, unit_, help_, field_, value_) \
	{ SCHED("cgroup_cfs_" name_, METRIC_COUNTER, unit_, help_, emit_bandwidth), .field = offsetof(struct bandwidth, field_), \
	  .value = (value_) }

/* clang-format off */
static const struct metric rows[] = {
	BANDWIDTH("periods_total", "", "Periods of bandwidth control that the cgroup was runnable in; absent without a limit.", periods, VALUE_U64),
	BANDWIDTH("throttled_periods_total", "", "Those in which it used up its quota.", throttled, VALUE_U64),
	BANDWIDTH("throttled_seconds_total", "seconds", "Time that its run queues were held back, all CPUs added up.", throttled_ns, VALUE_NS),
	{ SCHED("cgroup_context_switches_total", METRIC_COUNTER, "", "Switches away from threads of the cgroup, as the kernel tells them apart; "
		"each is followed by a wait for the CPU.", emit_switches) },
	{ SCHED("cgroup_migrations_total", METRIC_COUNTER, "", "Moves of the cgroup's threads to another CPU.", emit_migrations),
		.field = offsetof(struct blame_sums, migrations), .value = VALUE_U64 },
	{ SCHED("cgroup_runqueue_latency_seconds", METRIC_HISTOGRAM, "seconds", "The cgroup's part of nodemend_runqueue_latency_seconds since it "
		"was last looked at deeply; absent where it is not.", emit_deep_waits) },
	{ SCHED("cgroup_thread_seconds_total", METRIC_COUNTER, "seconds", "Time of the cgroup's threads since the agent started, by what they "
		"did or waited for; intervals that are still open are in it. The states add up to threads times time.", emit_thread_seconds) },
	{ SCHED("cpu_burst_ratio", METRIC_GAUGE, "", "The busiest 10 ms of the last interval, 0 to 1.", emit_bursts) },
	HISTOGRAM("cpu_window_busy_seconds", "How much of each 10 ms a CPU was busy, all CPUs together.", emit_histogram, window),
	HISTOGRAM("off_cpu_seconds", "Time from leaving the CPU to being on one again.", emit_thread_histogram, off),
	HISTOGRAM("on_cpu_seconds", "Time from getting a CPU to leaving it.", emit_histogram, slice),
	{ SCHED("preempted_seconds_total", METRIC_COUNTER, "seconds", "Time that threads of the cgroup then waited for a CPU.", emit_pairs),
		.field = offsetof(struct preemption, wait_ns), .value = VALUE_NS },
	{ SCHED("preemptions_total", METRIC_COUNTER, "", "Times a runnable thread of the cgroup had to give the CPU to one of the other.",
		emit_pairs), .field = offsetof(struct preemption, count), .value = VALUE_U64 },
	HISTOGRAM("runqueue_latency_seconds", "Time that a runnable thread waited for a CPU, as the kernel's run_delay counts it.",
		emit_histogram, wait),
};
/* clang-format on */

const struct metric_table metrics_of_sched = { rows, sizeof(rows) / sizeof(rows[0]) };
