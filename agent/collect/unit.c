/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The systemd units that policies name, and their probes. A worker holds the bus and runs the probes (unit_worker.c); here its
 * reports become rows. A row is as fresh as the worker's last word on it, so a bus or a worker that is gone makes it unknown.
 */
#include "collect/unit_wire.h"
#include "collector.h"
#include "core/pages.h"
#include "core/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEARTBEAT_MOST_NS NSEC_PER_SEC
#define HEARTBEAT_LEAST_NS (100 * NSEC_PER_MSEC)
#define SILENT_NS (10 * NSEC_PER_SEC)        /* a worker that does not even say that nothing changed has gone astray */
#define BACKOFF_FIRST_NS NSEC_PER_SEC
#define BACKOFF_MOST_NS (60 * NSEC_PER_SEC)
enum { MAX_REPORTS_A_TICK = 16 * MAX_UNITS };

struct unit_collector {
	struct worker worker;
	uint32_t count, cut, extra_probes;
	uint64_t heard_ns, retry_ns, backoff_ns;
	struct unit_order orders[MAX_UNITS];
};

/* --- which units -------------------------------------------------------------------------------------------------------- */

static bool same_probe(const struct probe *a, const struct probe *b)
{
	char name_a[NAME_LEN], name_b[NAME_LEN];
	probe_name(a, name_a);
	probe_name(b, name_b);
	return strcmp(name_a, name_b) == 0;
}

static void add_unit(struct unit_collector *state, const char *name, const struct probe *probe)
{
	struct unit_order *order = NULL;

	if (!name[0])
		return;
	for (uint32_t i = 0; i < state->count && !order; i++)
		if (strcmp(state->orders[i].name, name) == 0)
			order = &state->orders[i];
	if (!order) {
		if (state->count == MAX_UNITS) {
			state->cut++;
			return;
		}
		order = &state->orders[state->count];
		order->index = state->count++;
		snprintf(order->name, sizeof(order->name), "%s", name);
	}
	if (!probe || probe->type == PROBE_TYPE_NONE)
		return;
	if (order->probe.type == PROBE_TYPE_NONE)
		order->probe = *probe;
	else if (!same_probe(&order->probe, probe))
		state->extra_probes++;
}

/* A probe that stands for itself: behind all units, since the bus knows only those. */
static void add_probe(struct unit_collector *state, const struct probe *probe)
{
	char name[NAME_LEN];

	probe_name(probe, name);
	for (uint32_t i = 0; i < state->count; i++)
		if (state->orders[i].alone && strcmp(state->orders[i].name, name) == 0)
			return;
	if (state->count == MAX_UNITS) {
		state->cut++;
		return;
	}
	struct unit_order *order = &state->orders[state->count];
	*order = (struct unit_order){ .index = state->count++, .alone = true, .probe = *probe };
	memcpy(order->name, name, sizeof(order->name));
}

static void gather_probes(struct unit_collector *state, const struct config *config)
{
	for (uint32_t i = 0; i < config->policy_count; i++)
		for (uint32_t j = 0; j < config->policies[i].when_count; j++) {
			const struct predicate *leaf = &config->policies[i].when[j];
			if (leaf->op == PREDICATE_LEAF && leaf->condition.kind == CONDITION_PROBE)
				add_probe(state, &leaf->condition.probe);
		}
}

/* Of a hung condition, too, where it names one unit: systemd knows its main process. */
static bool is_about_unit(const struct condition *condition)
{
	return condition->kind == CONDITION_UNIT || (condition->kind == CONDITION_HUNG && strchr(condition->unit, '.') && !strpbrk(condition->unit, "*?["));
}

static void gather_units(struct unit_collector *state, const struct config *config)
{
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		for (uint32_t j = 0; j < policy->when_count; j++)
			if (policy->when[j].op == PREDICATE_LEAF && is_about_unit(&policy->when[j].condition))
				add_unit(state, policy->when[j].condition.unit,
					 policy->when[j].condition.kind == CONDITION_UNIT ? &policy->when[j].condition.probe : NULL);
		if (policy->blocked_by.unit[0])
			add_unit(state, policy->blocked_by.unit, NULL);
		for (uint32_t j = 0; j < policy->step_count; j++)
			if (remedy_unit(policy->steps[j].remedy, &policy->steps[j].args))
				add_unit(state, remedy_unit(policy->steps[j].remedy, &policy->steps[j].args), NULL);
	}

	gather_probes(state, config);

	uint64_t heartbeat_ns = config->interval_ns;
	if (heartbeat_ns > HEARTBEAT_MOST_NS)
		heartbeat_ns = HEARTBEAT_MOST_NS;
	if (heartbeat_ns < HEARTBEAT_LEAST_NS)
		heartbeat_ns = HEARTBEAT_LEAST_NS;
	for (uint32_t i = 0; i < state->count; i++) {
		state->orders[i].count = state->count;
		state->orders[i].heartbeat_ns = heartbeat_ns;
		snprintf(state->orders[i].bus, sizeof(state->orders[i].bus), "%s", config->systemd_bus);
	}
}

/* --- the worker --------------------------------------------------------------------------------------------------------- */

static int start(struct unit_collector *state, uint64_t now_ns)
{
	int error = worker_start(&state->worker);

	/* 64 orders of 3 KiB fit into the socket that is to hold them: a refusal is a fault and not a delay. */
	for (uint32_t i = 0; !error && i < state->count; i++)
		if (send(state->worker.fd, &state->orders[i], sizeof(state->orders[i]), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			error = -errno;
	if (error)
		worker_stop(&state->worker);
	state->heard_ns = now_ns;
	return error;
}

static void give_up(struct unit_collector *state, uint64_t now_ns, struct collector_status *status, const char *why)
{
	worker_stop(&state->worker);
	state->worker.restarts++;
	state->backoff_ns = state->backoff_ns ? state->backoff_ns * 2 : BACKOFF_FIRST_NS;
	if (state->backoff_ns > BACKOFF_MOST_NS)
		state->backoff_ns = BACKOFF_MOST_NS;
	state->retry_ns = now_ns + state->backoff_ns;
	status->events_lost++;
	status->state = COLLECTOR_DOWN;
	snprintf(status->why, sizeof(status->why), "%s", why);
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

/* By systemd's own count, which knows of those between two reports; one that a person started anew shows as another main process only. */
static void keep_starts(const struct unit_sample *before, struct unit_sample *row)
{
	uint32_t more = 0;

	row->starts = before->starts;
	row->last_pid = row->main_pid > 0 ? row->main_pid : before->last_pid;
	memcpy(row->start_ns, before->start_ns, sizeof(row->start_ns));
	if (!before->measured_ns || row->state == UNIT_UNKNOWN)
		return;
	bool counted = row->restarts > before->restarts, other = before->last_pid && row->main_pid > 0 && row->main_pid != before->last_pid;
	if (counted)
		more = row->restarts - before->restarts;
	else if (other && !before->start_told)
		more = 1;
	row->start_told = counted ? !other : before->start_told && !other;
	for (; more && row->starts < UINT32_MAX; more--)
		row->start_ns[row->starts++ % UNIT_STARTS_KEPT] = row->measured_ns;
}

static void take_report(struct unit_collector *state, struct unit_section *section, const struct unit_report *report,
			struct collector_status *status)
{
	if (report->index >= section->count)
		return;
	struct unit_sample *row = &section->each[report->index];
	struct unit_sample before = *row;
	*row = report->sample;
	row->alone = state->orders[report->index].alone;
	keep_starts(&before, row);
	status->state = report->bus_up ? state->extra_probes ? COLLECTOR_DEGRADED : COLLECTOR_UP : COLLECTOR_DOWN;
	if (!report->bus_up)
		memcpy(status->why, report->bus_why, sizeof(status->why));
	else if (state->extra_probes)
		snprintf(status->why, sizeof(status->why), "%u more probes of units that have one already: only the first of each runs",
			 state->extra_probes);
	else
		status->why[0] = '\0';
	status->why[sizeof(status->why) - 1] = '\0';
}

static int take_reports(struct unit_collector *state, struct snapshot *snap, struct collector_status *status)
{
	struct unit_report report;

	for (int i = 0; i < MAX_REPORTS_A_TICK; i++) {
		int got = worker_receive(&state->worker, &report, sizeof(report));
		if (got <= 0)
			return got;
		state->heard_ns = snap->boot_ns;
		state->backoff_ns = 0;
		take_report(state, &snap->units, &report, status);
	}
	return 0;
}

/* The rows stand from the first tick on: a unit that a policy names is never simply absent. */
static void make_rows(const struct unit_collector *state, struct unit_section *section)
{
	for (uint32_t i = 0; i < state->count; i++) {
		if (i < section->count && strcmp(section->each[i].name, state->orders[i].name) == 0)
			continue;
		section->each[i] = (struct unit_sample){ 0 };
		section->each[i].alone = state->orders[i].alone;
		section->each[i].probe = state->orders[i].probe.type == PROBE_TYPE_NONE ? PROBE_NONE : PROBE_UNKNOWN;
		memcpy(section->each[i].name, state->orders[i].name, sizeof(section->each[i].name));
	}
	section->count = state->count;
}

static void set_unknown(struct unit_section *section)
{
	for (uint32_t i = 0; i < section->count; i++)
		section->each[i].state = UNIT_UNKNOWN;
}

static int unit_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct unit_collector *state = opaque;

	make_rows(state, &snap->units);
	if (state->count == 0) {
		snap->units.measured_ns = snap->boot_ns;
		return 0;
	}

	if (state->worker.pid <= 0) {
		if (snap->boot_ns < state->retry_ns)
			return 0;
		int error = start(state, snap->boot_ns);
		if (error) {
			give_up(state, snap->boot_ns, status, "no worker for the bus and the probes");
			return error;
		}
	}
	int error = take_reports(state, snap, status);
	if (!error && snap->boot_ns > state->heard_ns + SILENT_NS)
		error = -ETIMEDOUT;
	if (error) {
		set_unknown(&snap->units);
		give_up(state, snap->boot_ns, status, error == -ETIMEDOUT ? "the worker fell silent and was ended" : "the worker ended");
		return 0;
	}
	if (status->state == COLLECTOR_UP || status->state == COLLECTOR_DEGRADED)
		snap->units.measured_ns = snap->boot_ns;
	return 0;
}

static void unit_close(void *opaque)
{
	struct unit_collector *state = opaque;
	if (!state)
		return;
	worker_stop(&state->worker);
	pages_free(state);
}

static int unit_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct unit_collector *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	state->worker = (struct worker){ .name = "units", .serve = unit_serve, .fd = -1 };
	gather_units(state, env->config);
	snprintf(status->source, sizeof(status->source), "sd-bus");
	status->state = COLLECTOR_UP;
	status->events_lost += state->cut;
	if (state->count == 0)
		snprintf(status->why, sizeof(status->why), "no policy names a unit or a probe");
	*ret_state = state;
	return 0;
}

const struct collector collector_unit = {
	.name = "unit", .id = COLLECTOR_UNIT, .fast = true, .open = unit_open, .collect = unit_collect, .close = unit_close,
};
