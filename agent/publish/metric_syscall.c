/* SPDX-License-Identifier: Apache-2.0 */
/* System calls: of the node, by cgroup, and those in flight. */
#include <stddef.h>
#include <stdlib.h>

#include "publish/metric.h"
#include "syscall_name.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

/* The first three members of every row, whatever it counts. */
#define NAMES(row, buffer) \
	{ "syscall", name_of((row)->abi, (row)->nr, buffer) }, { "abi", syscall_abi_names[(row)->abi % SYSCALL_ABI_COUNT] }
#define CLASS(row) { "class", syscall_class_names[(row)->class % SYSCALL_CLASS_COUNT] }

/* "other": numbers beyond the kernel-side table, and those that came when it was full. */
static const char *name_of(uint8_t abi, uint16_t nr, char buffer[24])
{
	return nr >= SYSCALL_NUMBER_OTHER ? "other" : syscall_name(abi, nr, buffer, 24);
}

static const struct syscall_section *fresh_syscalls(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->syscalls.measured_ns) ? &context->snap->syscalls : NULL;
}

/* The next row is of the same call in its other class. */
static bool goes_on(const struct syscall_section *section, uint32_t i)
{
	return i + 1 < section->count && section->each[i + 1].nr == section->each[i].nr && section->each[i + 1].abi == section->each[i].abi;
}

static void emit_syscalls(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	uint64_t sum = 0;

	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct syscall_stat *stat = &section->each[i];
		char buffer[24];

		sum += stat->count;
		if (goes_on(section, i))
			continue;
		struct label labels[] = { NAMES(stat, buffer) };
		sink_sample(sink, labels, LABEL_COUNT(labels), sum, 0);
		sum = 0;
	}
}

/* Those of a call that have a name. */
static uint64_t emit_named_errors(const struct metric_context *context, struct metric_sink *sink, const struct syscall_stat *stat)
{
	const struct syscall_error_section *section = &context->snap->syscall_errors;
	uint64_t named = 0;

	for (uint32_t i = 0; i < section->count; i++) {
		const struct syscall_error *error = &section->each[i];
		char buffer[24], errno_buffer[24];

		if (error->nr != stat->nr || error->abi != stat->abi || !error->count)
			continue;
		struct label labels[] = {
			{ "syscall", name_of(stat->abi, stat->nr, buffer) },
			{ "errno", syscall_errno_name(error->error, errno_buffer, sizeof(errno_buffer)) },
			{ "abi", syscall_abi_names[stat->abi % SYSCALL_ABI_COUNT] },
		};
		sink_sample(sink, labels, LABEL_COUNT(labels), error->count, 0);
		named += error->count;
	}
	return named;
}

static void emit_syscall_errors(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	uint64_t sum = 0;

	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct syscall_stat *stat = &section->each[i];
		char buffer[24];

		sum += stat->errors;
		if (goes_on(section, i))
			continue;
		uint64_t named = sum ? emit_named_errors(context, sink, stat) : 0;
		struct label labels[] = {
			{ "syscall", name_of(stat->abi, stat->nr, buffer) }, { "errno", "other" },
			{ "abi", syscall_abi_names[stat->abi % SYSCALL_ABI_COUNT] },
		};
		if (sum > named)
			sink_sample(sink, labels, LABEL_COUNT(labels), sum - named, 0);
		sum = 0;
	}
}

static void emit_syscall_latency(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);

	for (uint32_t i = 0; section && i < section->count; i++) {
		const struct syscall_stat *stat = &section->each[i];
		char buffer[24];
		struct label labels[] = { NAMES(stat, buffer), CLASS(stat) };
		if (stat->timed)
			sink_histogram(sink, labels, LABEL_COUNT(labels), &stat->latency);
	}
}

static void emit_seconds(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	uint64_t ns[SYSCALL_CLASS_COUNT] = { 0 };

	if (!section)
		return;
	for (uint32_t i = 0; i < section->count; i++)
		ns[section->each[i].class % SYSCALL_CLASS_COUNT] += section->each[i].latency.sum_ns;
	for (int class = 0; class < SYSCALL_CLASS_COUNT; class++) {
		struct label label = { "class", syscall_class_names[class] };
		sink_sample(sink, &label, 1, ns[class], 9);
	}
}

/* Parts per million: how many of the calls that returned have a latency. */
static void emit_coverage(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);
	uint64_t count = 0, timed = 0;

	for (uint32_t i = 0; section && i < section->count; i++) {
		count += section->each[i].count;
		timed += section->each[i].timed;
	}
	if (count)
		sink_sample(sink, NULL, 0, (uint64_t)((double)timed * 1e6 / (double)count), 6);
}

static void emit_slow(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct syscall_section *section = fresh_syscalls(context);

	if (section && context_fresh(context, context->snap->syscall_cgroups.measured_ns)) /* the lower rung knows no times */
		sink_field(sink, metric, NULL, 0, section);
}

/* --- by cgroup -------------------------------------------------------------------------------------------------------- */

static bool is_shown(const struct metric_context *context, uint64_t cgroup_id, const char **ret_path)
{
	const struct cgroup *cgroup = context_shown_cgroup(context, cgroup_id);
	if (cgroup)
		*ret_path = cgroup->path;
	return cgroup != NULL;
}

static void emit_cgroup_row(const struct metric *metric, struct metric_sink *sink, const char *path, const struct syscall_cgroup_row *row)
{
	char buffer[24];
	struct label labels[] = { { "cgroup", path }, NAMES(row, buffer), CLASS(row) };
	uint64_t value = *(const uint64_t *)((const char *)row + metric->field);

	if (value)
		sink_field(sink, metric, labels, LABEL_COUNT(labels), row);
}

static int compare_call(const void *a_, const void *b_)
{
	const struct syscall_cgroup_row *a = a_, *b = b_;

	if (a->abi != b->abi)
		return a->abi - b->abi;
	return a->nr != b->nr ? a->nr - b->nr : a->class - b->class;
}

/* All that no shown cgroup has, by call: so that over the label cgroup the sum is the node's. */
static void add_to_rest(struct syscall_cgroup_row *rest, uint32_t *count, const struct syscall_cgroup_row *row)
{
	for (uint32_t i = 0; i < *count; i++)
		if (!compare_call(&rest[i], row)) {
			rest[i].count += row->count;
			rest[i].errors += row->errors;
			rest[i].sum_ns += row->sum_ns;
			return;
		}
	if (*count < MAX_SYSCALLS)
		rest[(*count)++] = *row;
}

static void emit_cgroup(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->syscall_cgroups.measured_ns))
		return;

	const struct syscall_cgroup_section *section = &context->snap->syscall_cgroups;
	struct syscall_cgroup_row rest[MAX_SYSCALLS];
	uint32_t rests = 0;
	const char *path = NULL;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct syscall_cgroup_row *row = &section->each[i];

		if (!i || row->cgroup_id != section->each[i - 1].cgroup_id)
			path = is_shown(context, row->cgroup_id, &path) ? path : NULL;
		if (path)
			emit_cgroup_row(metric, sink, path, row);
		else
			add_to_rest(rest, &rests, row);
	}
	qsort(rest, rests, sizeof(rest[0]), compare_call);
	for (uint32_t i = 0; i < rests; i++)
		emit_cgroup_row(metric, sink, "other", &rest[i]);
}

static void emit_cgroup_latency(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->syscall_deep.measured_ns))
		return;

	const struct syscall_deep_section *section = &context->snap->syscall_deep;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct syscall_deep_row *row = &section->each[i];
		const char *path;
		char buffer[24];

		if (!is_shown(context, row->cgroup_id, &path))
			continue;
		struct label labels[] = { { "cgroup", path }, NAMES(row, buffer), CLASS(row) };
		sink_histogram(sink, labels, LABEL_COUNT(labels), &row->latency);
	}
}

/* --- in flight -------------------------------------------------------------------------------------------------------- */

static bool same_call(const struct syscall_in_flight *a, const struct syscall_in_flight *b)
{
	return a->abi == b->abi && a->nr == b->nr && a->class == b->class;
}

static void emit_one_in_flight(const struct metric *metric, struct metric_sink *sink, const char *path, const struct syscall_in_flight *row)
{
	char buffer[24];
	struct label labels[] = { { "cgroup", path }, NAMES(row, buffer), CLASS(row) };

	sink_field(sink, metric, labels, LABEL_COUNT(labels), row);
}

static void emit_in_flight(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->syscall_in_flight.measured_ns))
		return;

	const struct syscall_in_flight_section *section = &context->snap->syscall_in_flight;
	struct syscall_in_flight rest[MAX_SYSCALLS];
	uint32_t rests = 0;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct syscall_in_flight *row = &section->each[i];
		const char *path;
		uint32_t k = 0;

		if (is_shown(context, row->cgroup_id, &path)) {
			emit_one_in_flight(metric, sink, path, row);
			continue;
		}
		while (k < rests && !same_call(&rest[k], row))
			k++;
		if (k == rests && rests < MAX_SYSCALLS)
			rest[rests++] = (struct syscall_in_flight){ .abi = row->abi, .nr = row->nr, .class = row->class };
		if (k == rests)
			continue;
		rest[k].threads += row->threads;
		if (row->oldest_ns > rest[k].oldest_ns)
			rest[k].oldest_ns = row->oldest_ns;
	}
	for (uint32_t k = 0; k < rests; k++)
		emit_one_in_flight(metric, sink, "other", &rest[k]);
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define ROW(name_, type_, unit_, emit_, help_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .source = COLLECTOR_SYSCALL, .emit = (emit_), .help = (help_) }
#define FIELD(name_, type_, unit_, emit_, help_, struct_, field_, value_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .source = COLLECTOR_SYSCALL, .emit = (emit_), .help = (help_), \
	  .field = offsetof(struct struct_, field_), .value = (value_) }

/* clang-format off */
static const struct metric rows[] = {
	FIELD("cgroup_syscall_errors_total", METRIC_COUNTER, "", emit_cgroup,
		"System calls of a cgroup that returned an error; cgroup other is the rest, so that the sum is the node's.",
		syscall_cgroup_row, errors, VALUE_U64),
	ROW("cgroup_syscall_latency_seconds", METRIC_HISTOGRAM, "seconds", emit_cgroup_latency,
		"Time from the entry of a system call to its return, by cgroup, while the collector looks deep."),
	FIELD("cgroup_syscall_seconds_total", METRIC_COUNTER, "seconds", emit_cgroup,
		"Time that the members of a cgroup spent in a system call, all threads added up; class tells waiting from working.",
		syscall_cgroup_row, sum_ns, VALUE_NS),
	FIELD("cgroup_syscalls_total", METRIC_COUNTER, "", emit_cgroup,
		"System calls of a cgroup that returned.", syscall_cgroup_row, count, VALUE_U64),
	FIELD("slow_syscalls_lost_total", METRIC_COUNTER, "", emit_slow,
		"Slow system calls without a record, since their ring was full.", syscall_section, slow_lost, VALUE_U64),
	FIELD("slow_syscalls_total", METRIC_COUNTER, "", emit_slow,
		"Working system calls that took longer than slow_syscall.", syscall_section, slow_total, VALUE_U64),
	ROW("syscall_coverage_ratio", METRIC_GAUGE, "ratio", emit_coverage,
		"Share of the counted system calls that have a latency."),
	ROW("syscall_errors_total", METRIC_COUNTER, "", emit_syscall_errors,
		"System calls that returned an error, by errno; RESTART: interrupted and resumed by the kernel."),
	FIELD("syscall_in_flight", METRIC_GAUGE, "", emit_in_flight,
		"Threads that are in a system call at this moment.", syscall_in_flight, threads, VALUE_U32),
	FIELD("syscall_in_flight_oldest_seconds", METRIC_GAUGE, "seconds", emit_in_flight,
		"How long the oldest of the calls in flight has been going on.", syscall_in_flight, oldest_ns, VALUE_NS),
	ROW("syscall_latency_seconds", METRIC_HISTOGRAM, "seconds", emit_syscall_latency,
		"Time from the entry of a system call to its return; class tells waiting from working."),
	ROW("syscall_seconds_total", METRIC_COUNTER, "seconds", emit_seconds,
		"Time spent in system calls, all threads added up, by class."),
	ROW("syscalls_total", METRIC_COUNTER, "", emit_syscalls,
		"System calls that returned."),
};
/* clang-format on */

const struct metric_table metrics_of_syscall = { rows, sizeof(rows) / sizeof(rows[0]) };
