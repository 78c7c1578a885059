/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent and its publisher say of themselves: collectors, costs, incidents, actions, and all that was lost on the way. */
#include <stddef.h>

#include "publish/metric.h"
#include "publish/records.h"
#include "remedy.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

_Static_assert((int)SNAPSHOT_REMEDIES >= (int)REMEDY_COUNT && (int)SNAPSHOT_MODES == (int)MODE_COUNT &&
		       (int)SNAPSHOT_OUTCOMES >= (int)OUTCOME_COUNT,
	       "the snapshot's tables have room for the enums");

static const struct snapshot *fresh_snapshot(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->boot_ns) ? context->snap : NULL;
}

/* --- collectors ------------------------------------------------------------------------------------------------------- */

static void emit_collector_up(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	for (uint32_t i = 0; snap && i < snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &snap->collectors[i];
		struct label labels[] = { { "collector", status->name }, { "source", status->source } };
		if (status->state != COLLECTOR_OFF)
			sink_sample(sink, labels, LABEL_COUNT(labels), status->state != COLLECTOR_DOWN, 0);
	}
}

static void emit_collector_degraded(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	for (uint32_t i = 0; snap && i < snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &snap->collectors[i];
		struct label label = { "collector", status->name };
		if (status->state != COLLECTOR_OFF && status->state != COLLECTOR_DOWN)
			sink_sample(sink, &label, 1, status->state == COLLECTOR_DEGRADED, 0);
	}
}

static void emit_collector(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	for (uint32_t i = 0; snap && i < snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &snap->collectors[i];
		struct label label = { "collector", status->name };
		if (status->state != COLLECTOR_OFF)
			sink_field(sink, metric, &label, 1, status);
	}
}

/* --- the processes ---------------------------------------------------------------------------------------------------- */

static void emit_build(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	struct label label = { "version", NODEMEND_VERSION };
	sink_sample(sink, &label, 1, 1, 0);
}

static void emit_ticks(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->snap)
		sink_sample(sink, NULL, 0, context->snap->seq, 0);
}

static void emit_snapshot_age(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->snap)
		sink_sample(sink, NULL, 0, context->now_ns > context->snap->boot_ns ? context->now_ns - context->snap->boot_ns : 0, 9);
}

static const struct self_section *fresh_self(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->self.measured_ns) ? &context->snap->self : NULL;
}

static void emit_self(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct self_section *self = fresh_self(context);
	if (self)
		sink_field(sink, metric, NULL, 0, self);
}

/* The publisher's number stands two members behind the agent's. */
static void emit_both_processes(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	_Static_assert(offsetof(struct self_section, publisher_cpu_ns) - offsetof(struct self_section, cpu_ns) ==
			       offsetof(struct self_section, publisher_resident_bytes) - offsetof(struct self_section, resident_bytes),
				"same distance");
	const struct self_section *self = fresh_self(context);
	if (!self)
		return;

	struct label agent = { "process", "agent" }, publisher = { "process", "publisher" };
	sink_field(sink, metric, &agent, 1, self);
	if (self->publisher_resident_bytes)
		sink_field(sink, metric, &publisher, 1,
			   (const char *)self + offsetof(struct self_section, publisher_cpu_ns) - offsetof(struct self_section, cpu_ns));
}

static void emit_tick_seconds(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct self_section *self = fresh_self(context);
	if (self)
		sink_histogram(sink, NULL, 0, &self->ticks);
}

/* --- incidents and actions -------------------------------------------------------------------------------------------- */

static void emit_incidents(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	uint32_t counts[KIND_COUNT][SEVERITY_COUNT][INCIDENT_STATE_COUNT] = { 0 };
	for (uint32_t i = 0; i < context->records->incident_count; i++) {
		const struct incident_entry *entry = &context->records->incidents[i];
		if (entry->kind < KIND_COUNT && entry->severity < SEVERITY_COUNT && entry->state < INCIDENT_STATE_COUNT)
			counts[entry->kind][entry->severity][entry->state]++;
	}

	for (int kind = 0; kind < KIND_COUNT; kind++) {
		for (int severity = 0; severity < SEVERITY_COUNT; severity++) {
			for (int state = 0; state < INCIDENT_STATE_COUNT; state++) {
				struct label labels[] = {
					{ "kind", incident_kind_names[kind] }, { "severity", severity_names[severity] }, { "state",
						incident_state_names[state] },
				};
				sink_sample(sink, labels, LABEL_COUNT(labels), counts[kind][severity][state], 0);
			}
		}
	}
}

/* A policy names it, or it has acted, by hand perhaps: of the others there would be hundreds of zeros. */
static bool is_in_use(const struct engine_section *engine, int remedy)
{
	bool used = engine->named[remedy];
	for (int mode = 0; mode < SNAPSHOT_MODES; mode++)
		for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
			used |= engine->actions_total[remedy][mode][outcome] != 0;
	return used;
}

static void emit_actions(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	if (!snap)
		return;

	for (int remedy = 0; remedy < REMEDY_COUNT; remedy++) {
		if (!is_in_use(&snap->engine, remedy))
			continue;
		for (int mode = MODE_SHADOW; mode < SNAPSHOT_MODES; mode++) {
			for (int outcome = OUTCOME_NONE + 1; outcome < OUTCOME_COUNT; outcome++) {
				struct label labels[] = {
					{ "remedy", remedy_names[remedy] }, { "mode", mode_names[mode] }, { "outcome",
						outcome_names[outcome] },
				};
				sink_sample(sink, labels, LABEL_COUNT(labels), snap->engine.actions_total[remedy][mode][outcome], 0);
			}
		}
	}
}

static void emit_remedy_armed(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	for (int remedy = 0; snap && remedy < REMEDY_COUNT; remedy++) {
		struct label label = { "remedy", remedy_names[remedy] };
		if (snap->engine.armed[remedy] <= 1)
			sink_sample(sink, &label, 1, snap->engine.armed[remedy], 0);
	}
}

static void emit_remedy_set_aside(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	for (int remedy = 0; snap && remedy < REMEDY_COUNT; remedy++) {
		struct label label = { "remedy", remedy_names[remedy] };
		if (is_in_use(&snap->engine, remedy) || snap->engine.set_aside[remedy])
			sink_sample(sink, &label, 1, snap->engine.set_aside[remedy], 0);
	}
}

static void emit_engine(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	if (snap)
		sink_field(sink, metric, NULL, 0, &snap->engine);
}

/* --- units that a policy names ---------------------------------------------------------------------------------------- */

static void emit_unit_active(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (uint32_t i = 0; context->snap && i < context->snap->units.count && i < MAX_UNITS; i++) {
		const struct unit_sample *unit = &context->snap->units.each[i];
		struct label label = { "unit", unit->name };
		if (context_fresh(context, unit->measured_ns) && unit->state != UNIT_UNKNOWN)
			sink_sample(sink, &label, 1, unit->state == UNIT_ACTIVE || unit->state == UNIT_RELOADING, 0);
	}
}

static void emit_unit_probe(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (uint32_t i = 0; context->snap && i < context->snap->units.count && i < MAX_UNITS; i++) {
		const struct unit_sample *unit = &context->snap->units.each[i];
		struct label label = { "unit", unit->name };
		if (context_fresh(context, unit->measured_ns) && (unit->probe == PROBE_PASSING || unit->probe == PROBE_FAILING))
			sink_sample(sink, &label, 1, unit->probe == PROBE_PASSING, 0);
	}
}

static void emit_unit_restarts(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (uint32_t i = 0; context->snap && i < context->snap->units.count && i < MAX_UNITS; i++) {
		const struct unit_sample *unit = &context->snap->units.each[i];
		struct label label = { "unit", unit->name };
		if (context_fresh(context, unit->measured_ns) && unit->state != UNIT_UNKNOWN)
			sink_field(sink, metric, &label, 1, unit);
	}
}

/* --- what was turned away --------------------------------------------------------------------------------------------- */

static void emit_publisher(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (context->counters)
		sink_field(sink, metric, NULL, 0, context->counters);
}

static void emit_folded(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct { const char *entity; uint64_t count; } folded[] = {
		{ "cgroup", context->shown->folded_cgroups }, { "process", context->shown->folded_processes }, { "writer",
			context->shown->folded_writers },
	};
	for (int i = 0; i < 3; i++) {
		struct label label = { "entity", folded[i].entity };
		sink_sample(sink, &label, 1, folded[i].count, 0);
	}
}

static void emit_cut(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = fresh_snapshot(context);
	if (!snap)
		return;

	const struct { const char *entity; uint32_t cut; } bounds[] = {
		{ "bpf_map", snap->maps.cut }, { "bpf_program", snap->programs.cut }, { "cgroup", snap->cgroups.cut }, { "disk", snap->disks.cut }, { "filesystem", snap->filesystems.cut }, { "identity", snap->identities.cut }, { "interface",
			snap->interfaces.cut },
		{ "process", snap->processes.cut }, { "syscall", snap->syscalls.cut }, { "syscall_deep", snap->syscall_deep.cut },
		{ "syscall_error", snap->syscall_errors.cut }, { "syscall_in_flight", snap->syscall_in_flight.cut },
		{ "writer", snap->writers.cut },
	};
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct label label = { "entity", bounds[i].entity };
		sink_sample(sink, &label, 1, bounds[i].cut, 0);
	}
}

static void emit_records_dropped(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	struct label incident = { "record", "incident" }, action = { "record", "action" };
	sink_sample(sink, &incident, 1, context->records->incidents_dropped, 0);
	sink_sample(sink, &action, 1, context->records->actions_dropped, 0);
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

#define ROW(name_, type_, unit_, emit_, help_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = (emit_) }
#define FIELD(name_, type_, unit_, emit_, help_, struct_, field_, value_) \
	{ .name = "nodemend_" name_, .type = (type_), .unit = (unit_), .help = (help_), .source = METRIC_OF_AGENT, .emit = (emit_), \
	  .field = offsetof(struct struct_, field_), .value = (value_) }
#define PUBLISHER(name_, help_, field_) \
	FIELD("publisher_" name_ "_total", METRIC_COUNTER, "", emit_publisher, help_, publisher_counters, field_, VALUE_U64)

/* clang-format off */
static const struct metric rows[] = {
	ROW("actions_total", METRIC_COUNTER, "", emit_actions, "Actions that ended, by remedy, mode and outcome, of remedies that a policy names or that have acted."),
	ROW("build_info", METRIC_INFO, "", emit_build, "1, with the version as a label."),
	ROW("collector_degraded", METRIC_GAUGE, "", emit_collector_degraded, "1 where a better source exists than the one in use."),
	FIELD("collector_last_seconds", METRIC_GAUGE, "seconds", emit_collector, "Time that the last collection took.", collector_status,
		collect_ns, VALUE_NS),
	ROW("collector_up", METRIC_GAUGE, "", emit_collector_up,
		"1 while the collector measures, 0 while it is down; absent where it is switched off."),
	FIELD("engine_paused", METRIC_GAUGE, "", emit_engine, "1 while all acting is paused.", engine_section, paused, VALUE_BOOL),
	FIELD("engine_quarantined", METRIC_GAUGE, "", emit_engine, "Targets that are left to a human, for no remedy helped.",
		engine_section, quarantined, VALUE_U32),
	FIELD("events_lost_total", METRIC_COUNTER, "", emit_collector,
		"Events that the collector could not keep: full rings, failed inserts, rows cut by a bound.", collector_status,
			events_lost, VALUE_U64),
	ROW("incidents", METRIC_GAUGE, "", emit_incidents, "Incidents in memory, by kind, severity and state."),
	FIELD("manual_tasks_open", METRIC_GAUGE, "", emit_engine, "Work items that wait for a human; `nodemend tasks` lists them.",
		engine_section, manual_tasks_open, VALUE_U32),
	FIELD("foreign_kills_total", METRIC_COUNTER, "", emit_engine,
		"Kills by others (the kernel, a kubelet, an oomd, a person) that started a cooldown.", engine_section, foreign_kills, VALUE_U64),
	FIELD("incidents_folded_total", METRIC_COUNTER, "", emit_engine, "Incidents for which there was no room.", engine_section,
		incidents_folded, VALUE_U64),
	FIELD("journal_late_total", METRIC_COUNTER, "", emit_self, "Intents that were not yet durable at their deadline.", self_section,
		journal_late, VALUE_U64),
	PUBLISHER("busy", "Requests refused because too many answers were under way.", busy_refused),
	PUBLISHER("feed_errors", "Failed replacements of metrics.json.", feed_errors),
	PUBLISHER("messages_bad", "Messages from the agent that made no sense.", messages_bad),
	PUBLISHER("rejected", "Requests answered with a 4xx.", rejected),
	PUBLISHER("renderings", "Pages of metrics made; requests for the same page share one.", renderings),
	PUBLISHER("requests", "HTTP requests.", requests),
	FIELD("publisher_restarts_total", METRIC_COUNTER, "", emit_self, "Times the agent had to start the publisher again.",
		self_section, publisher_restarts, VALUE_U64),
	PUBLISHER("ring_errors", "Reads of the newest snapshot that found the writer in the way.", ring_errors),
	PUBLISHER("slow_closed", "Connections closed because they took too long.", slow_closed),
	PUBLISHER("strangers", "Requests refused because of a missing or wrong token, password or certificate.", strangers),
	PUBLISHER("strangers_later", "Requests whose password was not even looked at: there were too many to check.", strangers_later),
	PUBLISHER("streams_dropped", "Streams closed because the reader was too slow.", streams_dropped),
	PUBLISHER("streams_refused", "Streams refused because there were too many.", streams_refused),
	ROW("records_dropped_total", METRIC_COUNTER, "", emit_records_dropped,
		"Incidents and actions that fell out of the publisher's memory."),
	ROW("remedy_armed", METRIC_GAUGE, "", emit_remedy_armed,
		"1 where the remedy would work on this host; absent until it has been asked."),
	ROW("remedy_set_aside", METRIC_GAUGE, "", emit_remedy_set_aside,
		"Kinds of trouble, by cause, against which the remedy keeps failing here and is not tried."),
	ROW("rows_cut", METRIC_GAUGE, "", emit_cut, "Rows of the last snapshot for which its tables had no room."),
	FIELD("self_cpu_seconds_total", METRIC_COUNTER, "seconds", emit_both_processes, "Processor time of nodemend itself.",
		self_section, cpu_ns, VALUE_NS),
	FIELD("self_events_dropped_total", METRIC_COUNTER, "", emit_self, "Records that the publisher was too slow for.", self_section,
		events_dropped, VALUE_U64),
	FIELD("self_resident_bytes", METRIC_GAUGE, "bytes", emit_both_processes, "Resident memory of nodemend itself.", self_section,
		resident_bytes, VALUE_U64),
	ROW("series_folded_total", METRIC_COUNTER, "", emit_folded, "Rows that got no series of their own, summed over all snapshots."),
	ROW("snapshot_age_seconds", METRIC_GAUGE, "seconds", emit_snapshot_age,
		"Age of the newest snapshot; beyond three intervals its numbers are no longer shown."),
	ROW("tick_seconds", METRIC_HISTOGRAM, "seconds", emit_tick_seconds,
		"Time that a whole tick took: collecting, detecting, deciding."),
	ROW("ticks_total", METRIC_COUNTER, "", emit_ticks, "Full ticks since the agent started."),
	ROW("unit_active", METRIC_GAUGE, "", emit_unit_active, "1 while the unit is active; absent where systemd does not say."),
	ROW("unit_probe_passing", METRIC_GAUGE, "", emit_unit_probe, "1 while the unit's probe passes."),
	FIELD("unit_restarts_total", METRIC_COUNTER, "", emit_unit_restarts, "Restarts of the unit by systemd itself.", unit_sample,
		restarts, VALUE_U32),
};
/* clang-format on */

const struct metric_table metrics_of_agent = { rows, sizeof(rows) / sizeof(rows[0]) };
