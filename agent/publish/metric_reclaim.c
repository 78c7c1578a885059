/* SPDX-License-Identifier: Apache-2.0 */
/* Memory trouble: stalls to find memory, what the page cache had and had not, who grows how fast. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))
/* The growth in the rows is against about so long ago, or against nothing for a process that is younger. */
#define GROWTH_WINDOW_NS (15 * NSEC_PER_SEC)

static const char *const scopes[] = { [STALL_RECLAIM_NODE] = "node", [STALL_RECLAIM_LIMIT] = "own_limit" };

/* --- stalls ----------------------------------------------------------------------------------------------------------- */

static const struct reclaim_section *fresh_stalls(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->reclaim.measured_ns) ? &context->snap->reclaim : NULL;
}

static void emit_reclaim_seconds(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct reclaim_section *section = fresh_stalls(context);

	for (int kind = 0; section && kind <= STALL_RECLAIM_LIMIT; kind++) {
		struct label label = { "scope", scopes[kind] };
		sink_histogram(sink, &label, 1, &section->node[kind].latency);
	}
}

static void emit_compaction_seconds(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct reclaim_section *section = fresh_stalls(context);

	if (section)
		sink_histogram(sink, NULL, 0, &section->node[STALL_COMPACTION].latency);
}

static void emit_kswapd_wakes(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct reclaim_section *section = fresh_stalls(context);

	if (section)
		sink_sample(sink, NULL, 0, section->kswapd_wakes, 0);
}

static int compare_id(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = *(const uint64_t *)row;
	return (id > other) - (id < other);
}

/* The row, which begins with its id, of each shown cgroup that has one and a name. */
static const void *row_of(const struct metric_context *context, uint32_t shown, const void *rows, uint32_t count, size_t size,
			  const struct cgroup **ret)
{
	const struct cgroup *cgroup = &context->snap->cgroups.each[context->shown->cgroups[shown]];

	*ret = cgroup;
	return cgroup->path[0] ? bsearch(&cgroup->id, rows, count, size, compare_id) : NULL;
}

/* What one stall says: metric->field is the member's offset, and pages become bytes. */
static uint64_t stall_value(const struct metric *metric, const struct stall *stall)
{
	uint64_t value = *(const uint64_t *)((const char *)stall + metric->field);

	return metric->field == offsetof(struct stall, pages) ? value * (uint64_t)sysconf(_SC_PAGESIZE) : value;
}

static unsigned int stall_decimals(const struct metric *metric)
{
	return metric->value == VALUE_NS ? 9 : 0;
}

static void emit_cgroup_kind(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink, int kind,
			     const char *scope)
{
	const struct reclaim_section *section = &context->snap->reclaim;
	uint64_t all = stall_value(metric, &section->node[kind].sums), named = 0;

	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup;
		const struct stalled_cgroup *row = row_of(context, i, section->each, section->count, sizeof(*row), &cgroup);

		if (!row || !row->stalls.of[kind].count)
			continue;
		struct label labels[CGROUP_LABELS + 1];
		uint32_t count = cgroup_labels(context->snap, cgroup, labels);
		if (scope)
			labels[count++] = (struct label){ "scope", scope };
		uint64_t value = stall_value(metric, &row->stalls.of[kind]);
		sink_sample(sink, labels, count, value, stall_decimals(metric));
		named += value;
	}
	struct label label[] = { { "cgroup", "other" }, { "scope", scope } };
	sink_sample(sink, label, scope ? 2 : 1, all > named ? all - named : 0, stall_decimals(metric));
}

static void emit_cgroup_reclaim(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (int kind = 0; fresh_stalls(context) && kind <= STALL_RECLAIM_LIMIT; kind++)
		emit_cgroup_kind(metric, context, sink, kind, scopes[kind]);
}

static void emit_cgroup_compaction(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (fresh_stalls(context))
		emit_cgroup_kind(metric, context, sink, STALL_COMPACTION, NULL);
}

/* --- the page cache --------------------------------------------------------------------------------------------------- */

static const struct pagecache_section *fresh_cache(const struct metric_context *context, const struct metric *metric)
{
	const struct pagecache_section *section = context->snap ? &context->snap->pagecache : NULL;
	bool accesses = metric->field == offsetof(struct pagecache_use, accessed_bytes);

	return section && context_fresh(context, section->measured_ns) && (section->tells_accesses || !accesses) ? section : NULL;
}

static void emit_cache(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct pagecache_section *section = fresh_cache(context, metric);

	if (section)
		sink_field(sink, metric, NULL, 0, &section->node);
}

static void emit_cgroup_cache(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct pagecache_section *section = fresh_cache(context, metric);
	uint64_t named = 0;

	if (!section)
		return;
	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup;
		const struct cache_user *row = row_of(context, i, section->each, section->count, sizeof(*row), &cgroup);

		if (!row)
			continue;
		struct label labels[CGROUP_LABELS];
		sink_field(sink, metric, labels, cgroup_labels(context->snap, cgroup, labels), &row->use);
		named += *(const uint64_t *)((const char *)&row->use + metric->field);
	}
	uint64_t all = *(const uint64_t *)((const char *)&section->node + metric->field);
	struct label label = { "cgroup", "other" };
	sink_sample(sink, &label, 1, all > named ? all - named : 0, 0);
}

static void emit_refaults(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->memory.measured_ns))
		return;

	const struct memory_section *memory = &context->snap->memory;
	const struct { const char *type; uint64_t count; } refaults[] = { { "anon", memory->refault_anon }, { "file", memory->refault_file } };
	for (int i = 0; i < 2; i++) {
		struct label label = { "type", refaults[i].type };
		if (refaults[i].count != UNKNOWN)
			sink_sample(sink, &label, 1, refaults[i].count, 0);
	}
}

static void emit_cgroup_refaults(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;

	if (!snap || !context_fresh(context, snap->cgroups.measured_ns))
		return;
	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[context->shown->cgroups[i]];
		struct label labels[CGROUP_LABELS];

		sink_field(sink, metric, labels, cgroup_labels(snap, cgroup, labels), cgroup);
	}
}

/* --- growth ----------------------------------------------------------------------------------------------------------- */

static uint64_t per_second(int64_t growth, uint64_t window_ns)
{
	return growth > 0 && window_ns ? (uint64_t)((double)growth * (double)NSEC_PER_SEC / (double)window_ns) : 0;
}

static uint64_t window_of(const struct snapshot *snap, const struct process *process)
{
	uint64_t age = snap->boot_ns > process->start_ns ? snap->boot_ns - process->start_ns : 0;

	if (age >= GROWTH_WINDOW_NS)
		return GROWTH_WINDOW_NS;
	return age > NSEC_PER_SEC ? age : NSEC_PER_SEC;
}

static void emit_process_growth(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;

	if (!snap || !context_fresh(context, snap->processes.measured_ns))
		return;
	for (uint32_t i = 0; i < context->shown->process_count; i++) {
		const struct process *process = &snap->processes.each[context->shown->processes[i]];
		const struct cgroup *cgroup = snapshot_cgroup(snap, process->cgroup_id);
		char pid[12];

		snprintf(pid, sizeof(pid), "%d", process->pid);
		struct label labels[] = { { "pid", pid }, { "comm", process->comm }, { "cgroup", cgroup ? cgroup->path : "" } };
		sink_sample(sink, labels, LABEL_COUNT(labels), per_second(process->rss_growth_bytes, window_of(snap, process)), 0);
	}
}

static void emit_cgroup_growth(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;

	if (!snap || !context_fresh(context, snap->cgroups.measured_ns))
		return;
	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[context->shown->cgroups[i]];
		int64_t growth = *(const int64_t *)((const char *)cgroup + metric->field);
		struct label labels[CGROUP_LABELS];

		if (growth != INT64_MIN)
			sink_sample(sink, labels, cgroup_labels(snap, cgroup, labels), per_second(growth, GROWTH_WINDOW_NS), 0);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define STALL(name_, unit_, help_, field_, value_, emit_) \
	{ .name = "nodemend_cgroup_" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), .source = COLLECTOR_RECLAIM, \
	  .emit = (emit_), .field = offsetof(struct stall, field_), .value = (value_) }
#define CACHE(name_, help_, field_, emit_) \
	{ .name = "nodemend_" name_, .type = METRIC_COUNTER, .unit = "bytes", .help = (help_), .source = COLLECTOR_PAGECACHE, \
	  .emit = (emit_), .field = offsetof(struct pagecache_use, field_), .value = VALUE_U64 }

/* clang-format off */
static const struct metric rows[] = {
	{ .name = "nodemend_compaction_stall_seconds", .type = METRIC_HISTOGRAM, .unit = "seconds", .source = COLLECTOR_RECLAIM,
	  .emit = emit_compaction_seconds,
	  .help = "Time that tasks spent in moving pages together for a large allocation, a zone each." },
	{ .name = "nodemend_kswapd_wakes_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_RECLAIM, .emit = emit_kswapd_wakes,
	  .help = "Times that kswapd set out to reclaim memory in the background." },
	{ .name = "nodemend_reclaim_stall_seconds", .type = METRIC_HISTOGRAM, .unit = "seconds", .source = COLLECTOR_RECLAIM,
	  .emit = emit_reclaim_seconds,
	  .help = "Time that tasks spent in reclaiming memory before they could go on: for the node, or at their cgroup's own limit." },
	STALL("compaction_stall_seconds_total", "seconds", "Time spent in compaction; cgroup other is the exact rest.", ns, VALUE_NS,
		emit_cgroup_compaction),
	STALL("compaction_stalls_total", "", "Compactions waited for; cgroup other is the exact rest.", count, VALUE_U64,
		emit_cgroup_compaction),
	STALL("reclaim_stall_seconds_total", "seconds", "Time spent in reclaiming memory; cgroup other is the exact rest.", ns, VALUE_NS,
		emit_cgroup_reclaim),
	STALL("reclaim_stalls_total", "", "Reclaims waited for; cgroup other is the exact rest.", count, VALUE_U64, emit_cgroup_reclaim),
	STALL("reclaimed_bytes_total", "bytes", "Memory given up in these reclaims; cgroup other is the exact rest.", pages, VALUE_U64,
		emit_cgroup_reclaim),

	CACHE("page_cache_accessed_bytes_total", "Pages of regular files that reads and page faults asked the page cache for, in bytes.",
		accessed_bytes, emit_cache),
	CACHE("page_cache_filled_bytes_total",
		"Of these, what it did not have and was brought in, readahead with it; 1 - filled / accessed is the hit ratio.",
		filled_bytes, emit_cache),
	CACHE("cgroup_page_cache_accessed_bytes_total", "The same by cgroup; cgroup other is the exact rest.", accessed_bytes,
		emit_cgroup_cache),
	CACHE("cgroup_page_cache_filled_bytes_total", "The same by cgroup; cgroup other is the exact rest.", filled_bytes,
		emit_cgroup_cache),
	{ .name = "nodemend_memory_refaults_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_MEMORY, .emit = emit_refaults,
	  .help = "Pages that were read again soon after they had been reclaimed: memory is too small for what is in use." },

	{ .name = "nodemend_cgroup_refaults_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_CGROUP,
	  .emit = emit_cgroup_refaults, .field = offsetof(struct cgroup, refaults), .value = VALUE_U64,
	  .help = "The same by cgroup, with those below it, from cgroup v2's memory.stat; absent without one." },

	{ .name = "nodemend_process_growth_bytes_per_second", .type = METRIC_GAUGE, .unit = "bytes_per_second", .source = COLLECTOR_PROCESS,
	  .emit = emit_process_growth,
	  .help = "How fast the process' resident memory grew in the last 15 s, or since it was born; 0 where it did not." },
	{ .name = "nodemend_cgroup_growth_bytes_per_second", .type = METRIC_GAUGE, .unit = "bytes_per_second", .source = COLLECTOR_PROCESS,
	  .emit = emit_cgroup_growth, .field = offsetof(struct cgroup, rss_growth_bytes),
	  .help = "How fast the members' resident memory together grew in the last 15 s; 0 where it did not." },
	{ .name = "nodemend_cgroup_memory_growth_bytes_per_second", .type = METRIC_GAUGE, .unit = "bytes_per_second", .source = COLLECTOR_CGROUP,
	  .emit = emit_cgroup_growth, .field = offsetof(struct cgroup, memory_growth_bytes),
	  .help = "How fast the memory charged to the cgroup grew in the last 15 s, page cache included; 0 where it did not." },
};
/* clang-format on */

const struct metric_table metrics_of_reclaim = { rows, sizeof(rows) / sizeof(rows[0]) };
