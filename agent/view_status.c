/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of `status` and `doctor`: pressure, what is open, what is up, and what the agent itself costs. */
#include "view.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "core/clock.h"
#include "core/control.h"
#include "govern/governor.h"
#include "keep/document.h"
#include "keep/scribe.h"
#include "mask.h"

static const char *const collector_states[COLLECTOR_STATE_COUNT] = {
	[COLLECTOR_OFF] = "off", [COLLECTOR_UP] = "up", [COLLECTOR_DEGRADED] = "degraded", [COLLECTOR_DOWN] = "down",
};

cJSON *view_document(const char *name)
{
	char schema[64];
	snprintf(schema, sizeof(schema), "nodemend.%s/1", name);
	cJSON *document = cJSON_CreateObject();
	if (cJSON_AddTrueToObject(document, "ok") && cJSON_AddStringToObject(document, "schema", schema))
		return document;
	cJSON_Delete(document);
	return NULL;
}

void view_add_text(cJSON *object, const char *name, const char *text)
{
	char clean[3 * PATH_LEN + 1];
	text_clean(text, PATH_LEN, clean);
	mask_in_place(clean, sizeof(clean));
	cJSON_AddStringToObject(object, name, clean);
}

void view_add_count(cJSON *object, const char *name, uint64_t value)
{
	if (value != UNKNOWN)
		cJSON_AddNumberToObject(object, name, (double)value);
}

void view_add_seconds(cJSON *object, const char *name, uint64_t ns)
{
	if (ns != UNKNOWN)
		cJSON_AddNumberToObject(object, name, (double)ns / (double)NSEC_PER_SEC);
}

void view_add_time(cJSON *object, const char *name, int64_t wall_ns)
{
	char text[32];
	if (wall_ns)
		cJSON_AddStringToObject(object, name, clock_format(wall_ns, text, sizeof(text)));
}

static void add_share(cJSON *object, const char *name, uint64_t part, uint64_t whole)
{
	if (part != UNKNOWN && whole != UNKNOWN && whole > 0)
		cJSON_AddNumberToObject(object, name, 100.0 * (double)part / (double)whole);
}

/* --- pressure --------------------------------------------------------------------------------------------------------- */

static void add_stalled(cJSON *object, const struct snapshot *snap, enum psi_resource resource)
{
	const struct psi_section *psi = &snap->psi;
	if (!snapshot_is_fresh(snap, psi->measured_ns))
		return;
	cJSON_AddNumberToObject(object, "some_stalled_percent", psi->some[resource].avg10_centi / 100.0);
	if (psi->has_full[resource])
		cJSON_AddNumberToObject(object, "all_stalled_percent", psi->full[resource].avg10_centi / 100.0);
}

static void add_cpu(cJSON *pressure, const struct snapshot *snap)
{
	cJSON *cpu = cJSON_AddObjectToObject(pressure, "cpu");
	if (snapshot_is_fresh(snap, snap->cpu.measured_ns)) {
		if (snap->cpu.used_permille != UINT32_MAX)
			cJSON_AddNumberToObject(cpu, "used_percent", snap->cpu.used_permille / 10.0);
		cJSON_AddNumberToObject(cpu, "online", snap->cpu.online);
		cJSON_AddNumberToObject(cpu, "load1", snap->cpu.load1_milli / 1000.0);
	}
	add_stalled(cpu, snap, PSI_CPU);
}

static void add_memory(cJSON *pressure, const struct snapshot *snap)
{
	cJSON *memory = cJSON_AddObjectToObject(pressure, "memory");
	const struct memory_section *section = &snap->memory;
	if (snapshot_is_fresh(snap, section->measured_ns)) {
		if (section->available != UNKNOWN && section->total != UNKNOWN && section->available <= section->total)
			add_share(memory, "used_percent", section->total - section->available, section->total);
		view_add_count(memory, "available_bytes", section->available);
		view_add_count(memory, "total_bytes", section->total);
		if (section->swap_total != UNKNOWN && section->swap_free != UNKNOWN && section->swap_free <= section->swap_total)
			add_share(memory, "swap_used_percent", section->swap_total - section->swap_free, section->swap_total);
	}
	add_stalled(memory, snap, PSI_MEMORY);
}

static void add_filesystem(cJSON *list, const struct snapshot *snap, const struct filesystem *filesystem)
{
	cJSON *row = cJSON_CreateObject();
	view_add_text(row, "mountpoint", filesystem->mountpoint);
	view_add_text(row, "device", filesystem->device);
	if (filesystem->stuck_ns)
		view_add_seconds(row, "stuck_seconds", filesystem->stuck_ns);
	if (snapshot_is_fresh(snap, filesystem->measured_ns)) {
		/* As df counts it: of what the unprivileged can use. */
		uint64_t used = filesystem->size - filesystem->free;
		add_share(row, "used_percent", used, used + filesystem->avail);
		if (filesystem->files)
			add_share(row, "inodes_used_percent", filesystem->files - filesystem->files_free, filesystem->files);
		view_add_count(row, "available_bytes", filesystem->avail);
		view_add_count(row, "size_bytes", filesystem->size);
		if (filesystem->exhausted_in_ns != UNKNOWN) {
			view_add_seconds(row, "exhausted_in_seconds", filesystem->exhausted_in_ns);
			cJSON_AddNumberToObject(row, "confidence", filesystem->exhausted_confidence_permille / 1000.0);
		}
	}
	cJSON_AddItemToArray(list, row);
}

static void add_io(cJSON *pressure, const struct snapshot *snap)
{
	cJSON *list = cJSON_AddArrayToObject(pressure, "filesystems");
	for (uint32_t i = 0; i < snap->filesystems.count; i++)
		add_filesystem(list, snap, &snap->filesystems.each[i]);

	cJSON *disk = cJSON_AddObjectToObject(pressure, "disk");
	add_stalled(disk, snap, PSI_IO);
	list = cJSON_AddArrayToObject(disk, "devices");
	for (uint32_t i = 0; i < snap->disks.count && snapshot_is_fresh(snap, snap->disks.measured_ns); i++) {
		cJSON *row = cJSON_CreateObject();
		view_add_text(row, "device", snap->disks.each[i].name);
		cJSON_AddNumberToObject(row, "busy_percent", snap->disks.each[i].busy_permille / 10.0);
		cJSON_AddItemToArray(list, row);
	}
}

static void add_network(cJSON *pressure, const struct snapshot *snap)
{
	cJSON *network = cJSON_AddObjectToObject(pressure, "network");
	cJSON *list = cJSON_AddArrayToObject(network, "interfaces");
	double seconds = (double)snap->elapsed_ns / (double)NSEC_PER_SEC;
	for (uint32_t i = 0; i < snap->interfaces.count && seconds > 0 && snapshot_is_fresh(snap, snap->interfaces.measured_ns); i++) {
		const struct interface *interface = &snap->interfaces.each[i];
		double receive = (double)interface->rx_delta_bytes / seconds, transmit = (double)interface->tx_delta_bytes / seconds;
		cJSON *row = cJSON_CreateObject();
		view_add_text(row, "device", interface->name);
		cJSON_AddBoolToObject(row, "up", interface->up);
		cJSON_AddNumberToObject(row, "receive_bytes_per_second", receive);
		cJSON_AddNumberToObject(row, "transmit_bytes_per_second", transmit);
		if (interface->speed_bits != UNKNOWN && interface->speed_bits > 0)
			cJSON_AddNumberToObject(row, "used_percent", (receive > transmit ? receive : transmit) * 800.0 / (double)interface->speed_bits);
		cJSON_AddItemToArray(list, row);
	}
}

/* --- what limits the node ---------------------------------------------------------------------------------------------- */

static void add_bottleneck(cJSON *document, const struct snapshot *snap)
{
	const struct bottleneck_section *section = &snap->bottleneck;
	if (!snapshot_is_fresh(snap, section->measured_ns))
		return;
	cJSON *object = cJSON_AddObjectToObject(document, "bottleneck");
	view_add_text(object, "sentence", section->sentence);
	if (section->limiting != NOTHING_LIMITS) {
		cJSON_AddStringToObject(object, "resource", resource_kind_names[section->each[section->limiting].kind]);
		view_add_text(object, "device", section->each[section->limiting].name);
	}
	cJSON *list = cJSON_AddArrayToObject(object, "resources");
	for (uint32_t i = 0; i < section->count; i++) {
		const struct resource_use *use = &section->each[i];
		cJSON *row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "resource", resource_kind_names[use->kind]);
		view_add_text(row, "device", use->name);
		if (use->utilisation >= 0)
			cJSON_AddNumberToObject(row, "utilisation", use->utilisation);
		if (use->saturation >= 0)
			cJSON_AddNumberToObject(row, "saturation", use->saturation);
		view_add_count(row, "errors", use->errors);
		cJSON_AddItemToArray(list, row);
	}
}

/* --- the agent itself -------------------------------------------------------------------------------------------------- */

static void add_rate(cJSON *object, const char *name, uint64_t rate, uint32_t processors)
{
	if (rate != UNKNOWN)
		add_share(object, name, rate, NSEC_PER_SEC * processors);
}

/* What the governor goes by: all shares are of the node, and of the last window. */
static void add_budget(cJSON *document, const struct agent *agent)
{
	const struct governor_section *cost = &agent->snap->governor;
	if (!cost->processors)
		return;
	cJSON *object = cJSON_AddObjectToObject(document, "budget");
	cJSON_AddNumberToObject(object, "cpu_percent", agent->config->budget_cpu_percent);
	view_add_count(object, "memory_bytes", cost->memory_budget_bytes);
	view_add_count(object, "memory_spent_bytes", cost->memory_bytes);
	if (cost->measured_ns) {
		add_rate(object, "kernel_percent", cost->kernel_rate, cost->processors);
		add_rate(object, "agent_percent", cost->agent_rate, cost->processors);
		add_rate(object, "publisher_percent", cost->publisher_rate, cost->processors);
	}
	view_add_count(object, "shed_level", cost->shed_level);
	cJSON_AddBoolToObject(object, "exhausted", cost->exhausted);
	cJSON_AddBoolToObject(object, "short_of_memory", cost->short_of_memory);
	if (cost->armed && cost->armed_until_ns > agent->snap->boot_ns) {
		cJSON_AddStringToObject(object, "deep_by", arm_reason_names[cost->armed_by]);
		view_add_seconds(object, "deep_for_seconds", cost->armed_until_ns - agent->snap->boot_ns);
	}
}

static void add_self(cJSON *document, const struct agent *agent)
{
	const struct self_section *self = &agent->snap->self;
	uint64_t age_ns = agent->snap->boot_ns > agent->started_boot_ns ? agent->snap->boot_ns - agent->started_boot_ns : 0;
	cJSON *object = cJSON_AddObjectToObject(document, "self");
	view_add_seconds(object, "uptime_seconds", age_ns);
	if (self->measured_ns) {
		view_add_seconds(object, "cpu_seconds", self->cpu_ns);
		view_add_seconds(object, "publisher_cpu_seconds", self->publisher_cpu_ns);
		add_share(object, "cpu_percent", self->cpu_ns + self->publisher_cpu_ns, age_ns);
		view_add_count(object, "resident_bytes", self->resident_bytes);
		view_add_count(object, "publisher_resident_bytes", self->publisher_resident_bytes);
	}
	view_add_count(object, "publisher_restarts", self->publisher_restarts);
	view_add_count(object, "records_dropped", self->events_dropped);
	view_add_count(object, "intents_late", agent->intents_late);

	if (agent->control) {
		uint64_t turned_away, cut_off;
		control_counts(agent->control, &turned_away, &cut_off);
		view_add_count(object, "control_peers_turned_away", turned_away);
		view_add_count(object, "control_peers_cut_off", cut_off);
	}
	int error = agent->scribe ? scribe_last_error(agent->scribe) : 0;
	if (error < 0)
		cJSON_AddStringToObject(object, "state_error", strerror(-error));
}

static void add_mode(cJSON *document, const struct agent *agent)
{
	const struct pause *pause = &agent->saved->pause;
	cJSON_AddStringToObject(document, "mode", mode_names[agent->config->mode]);
	if (agent->kill_switch[0]) {
		cJSON_AddStringToObject(document, "kill_switch", agent->kill_switch);
		cJSON_AddBoolToObject(document, "kill_switch_set", access(agent->kill_switch, F_OK) == 0);
	}
	if (!pause->paused || (pause->until_boot_ns && (int64_t)agent->snap->boot_ns >= pause->until_boot_ns))
		return;
	cJSON *object = cJSON_AddObjectToObject(document, "paused");
	view_add_time(object, "since", pause->since_wall_ns);
	view_add_time(object, "until", pause->until_wall_ns);
	view_add_text(object, "reason", pause->reason);
}

static void add_node(cJSON *document, const struct agent *agent)
{
	cJSON_AddStringToObject(document, "version", NODEMEND_VERSION);
	cJSON_AddStringToObject(document, "node", agent->config->node);
	view_add_time(document, "time", agent->snap->wall_ns);
	view_add_seconds(document, "interval_seconds", agent->config->interval_ns);
	cJSON_AddStringToObject(document, "listen", agent->listen_override ? agent->listen_override : agent->config->listen);
	cJSON_AddStringToObject(document, "run_dir", agent->run_dir);
	cJSON_AddStringToObject(document, "state_dir", agent->state_dir);
	add_mode(document, agent);
}

static void add_cost(cJSON *row, const struct snapshot *snap, uint32_t id)
{
	const struct collector_status *status = &snap->collectors[id];
	const struct collector_cost *cost = &snap->governor.each[id];

	if (status->adjustable)
		cJSON_AddStringToObject(row, "depth", depth_names[status->depth]);
	if (snap->governor.measured_ns) {
		add_rate(row, "kernel_cpu_percent", cost->kernel_rate, 1);
		add_rate(row, "agent_cpu_percent", cost->user_rate, 1);
	}
	if (cost->steps_down)
		view_add_count(row, "steps_down", cost->steps_down);
	add_share(row, "coverage_percent", status->coverage_seen, status->coverage_expected);
	if (status->map_bytes)
		view_add_count(row, "map_bytes", status->map_bytes);
}

static void add_maps(cJSON *document, const struct snapshot *snap)
{
	cJSON *list = cJSON_AddArrayToObject(document, "maps");
	for (uint32_t i = 0; i < snap->maps.count && snapshot_is_fresh(snap, snap->maps.measured_ns); i++) {
		const struct bpf_map_stat *stat = &snap->maps.each[i];
		cJSON *row = cJSON_CreateObject();
		view_add_text(row, "name", stat->name);
		view_add_count(row, "entries", stat->entries);
		view_add_count(row, "capacity", stat->capacity);
		view_add_count(row, "failed_inserts", stat->refused);
		view_add_count(row, "bytes", stat->bytes);
		cJSON_AddItemToArray(list, row);
	}
}

static void add_collectors(cJSON *document, const struct snapshot *snap)
{
	cJSON *list = cJSON_AddArrayToObject(document, "collectors");
	for (uint32_t i = 0; i < snap->collector_count; i++) {
		const struct collector_status *status = &snap->collectors[i];
		cJSON *row = cJSON_CreateObject();
		view_add_text(row, "name", status->name);
		view_add_text(row, "state", collector_states[status->state]);
		if (status->source[0])
			view_add_text(row, "source", status->source);
		if (status->why[0])
			view_add_text(row, "why", status->why);
		view_add_count(row, "events_lost", status->events_lost);
		if (status->state == COLLECTOR_UP || status->state == COLLECTOR_DEGRADED)
			add_cost(row, snap, i);
		cJSON_AddItemToArray(list, row);
	}
}

/* Absent before the first look; without a score too little is known yet. */
static void add_anomaly(cJSON *document, const struct snapshot *snap)
{
	const struct anomaly_section *section = &snap->anomaly;
	if (!section->measured_ns || !section->count)
		return;
	const struct anomaly_scope *node = &section->each[0];
	cJSON *anomaly = cJSON_AddObjectToObject(document, "anomaly");
	cJSON_AddNumberToObject(anomaly, "series_watched", section->watched);
	cJSON_AddNumberToObject(anomaly, "series_folded", section->folded);
	if (!node->measured_ns)
		return;
	cJSON_AddNumberToObject(anomaly, "score", node->score);
	cJSON_AddNumberToObject(anomaly, "threshold", node->threshold);
	if (node->since_ns)
		cJSON_AddNumberToObject(anomaly, "alarms_per_day", node->alarms_per_day);
}

cJSON *view_status(const struct agent *agent)
{
	cJSON *document = view_document("status");
	if (!document)
		return NULL;
	add_node(document, agent);

	cJSON *pressure = cJSON_AddObjectToObject(document, "pressure");
	add_cpu(pressure, agent->snap);
	add_memory(pressure, agent->snap);
	add_io(pressure, agent->snap);
	add_network(pressure, agent->snap);
	add_bottleneck(document, agent->snap);
	add_anomaly(document, agent->snap);

	view_add_nearest(document, agent->snap);

	cJSON *incidents = view_incidents(agent, 0, false);
	cJSON_AddItemToObject(document, "incidents", cJSON_DetachItemFromObject(incidents, "incidents"));
	cJSON_Delete(incidents);
	view_add_count(document, "incidents_not_opened", agent->engine.incidents_folded);
	view_add_count(document, "quarantined", agent->snap->engine.quarantined);
	add_collectors(document, agent->snap);
	add_maps(document, agent->snap);
	add_self(document, agent);
	add_budget(document, agent);
	return document;
}

/* What the kernel watches for policies, and what it does not. */
static void add_triggers(cJSON *document, const struct snapshot *snap)
{
	static const char *const names[PSI_RESOURCE_COUNT] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };
	cJSON *list = cJSON_AddArrayToObject(document, "pressure_triggers");
	for (uint32_t i = 0; i < snap->triggers.count; i++) {
		const struct trigger *trigger = &snap->triggers.each[i];
		cJSON *row = cJSON_CreateObject();
		cJSON_AddStringToObject(row, "resource", names[trigger->resource]);
		if (trigger->cgroup[0])
			view_add_text(row, "cgroup", trigger->cgroup);
		cJSON_AddBoolToObject(row, "full", trigger->full);
		cJSON_AddNumberToObject(row, "percent", trigger->permille / 10.0);
		cJSON_AddBoolToObject(row, "watched", trigger->error == 0);
		if (trigger->error)
			view_add_text(row, "why", strerror(trigger->error));
		cJSON_AddItemToArray(list, row);
	}
	view_add_count(document, "pressure_triggers_cut", snap->triggers.cut);
}

cJSON *view_doctor(const struct agent *agent)
{
	cJSON *document = view_document("doctor");
	if (!document)
		return NULL;
	add_node(document, agent);
	add_collectors(document, agent->snap);
	cJSON *known = view_remedies(agent);
	cJSON_AddItemToObject(document, "remedies", cJSON_DetachItemFromObject(known, "remedies"));
	cJSON_Delete(known);
	add_triggers(document, agent->snap);
	add_maps(document, agent->snap);
	add_self(document, agent);
	add_budget(document, agent);
	return document;
}
