/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policies look for in logs. A worker reads (logs_worker.c); here its reports become rows, and what a line named becomes what is on
 * this node: the mount of a device, the process of a number. A row is as fresh as the worker's last word.
 */
#include "collect/logs_wire.h"
#include "collector.h"
#include "core/pages.h"
#include "core/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SILENT_NS (10 * NSEC_PER_SEC)
#define FRESH_NS (3 * NSEC_PER_SEC)          /* its beat is a second, whatever the interval */
#define BACKOFF_FIRST_NS NSEC_PER_SEC
#define BACKOFF_MOST_NS (60 * NSEC_PER_SEC)
enum { MAX_REPORTS_A_TICK = 4 * (MAX_LOG_ROWS + MAX_LOG_COUNTS + MAX_LOG_SOURCES) };

struct logs_collector {
	struct worker worker;
	uint32_t count, cut, sent;
	uint64_t heard_ns, retry_ns, backoff_ns;
	bool begun, caught_up;
	bool used[MAX_LOG_ROWS];
	struct log_row rows[MAX_LOG_ROWS];   /* by the worker's index */
	struct log_order orders[MAX_LOG_RULES];
};

/* --- which rules -------------------------------------------------------------------------------------------------------- */

static void add_rule(struct logs_collector *state, const struct policy *policy, const struct condition *condition)
{
	uint64_t rule = log_query_hash(condition);
	for (uint32_t i = 0; i < state->count; i++)
		if (state->orders[i].rule == rule)
			return;
	if (state->count == MAX_LOG_RULES) {
		state->cut++;
		return;
	}
	struct log_order *order = &state->orders[state->count];
	*order = (struct log_order){ .index = state->count++, .rule = rule, .query = condition->log, .times = condition->times, .within_ns = condition->window_ns };
	memcpy(order->name, policy->name, sizeof(order->name));
	memcpy(order->unit, condition->unit, sizeof(order->unit));
}

static void gather_rules(struct logs_collector *state, const struct collector_env *env)
{
	for (uint32_t i = 0; i < env->config->policy_count; i++) {
		const struct policy *policy = &env->config->policies[i];
		for (uint32_t j = 0; j < policy->when_count; j++)
			if (policy->when[j].op == PREDICATE_LEAF && policy->when[j].condition.kind == CONDITION_LOG)
				add_rule(state, policy, &policy->when[j].condition);
	}
	for (uint32_t i = 0; i < state->count; i++) {
		struct log_order *order = &state->orders[i];
		order->count = state->count;
		snprintf(order->state_dir, sizeof(order->state_dir), "%s", env->state_dir ? env->state_dir : "");
		snprintf(order->boot_id, sizeof(order->boot_id), "%s", env->boot_id ? env->boot_id : "");
		snprintf(order->journal_dir, sizeof(order->journal_dir), "%s", env->config->journal_directory);
		snprintf(order->kmsg, sizeof(order->kmsg), "/dev/kmsg");
	}
}

/* --- what a line named -------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* A line names a filesystem by its device; the incident is about the mount, where people know it from. */
static void find_mount(const struct snapshot *snap, struct log_row *row)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++) {
		const struct filesystem *fs = &snap->filesystems.each[i];
		if (strcmp(base_name(fs->device), row->name) != 0)
			continue;
		memcpy(row->device, row->name, sizeof(row->device)); /* it was found by this: shorter than a file's name may be */
		row->device[sizeof(row->device) - 1] = '\0';
		snprintf(row->name, sizeof(row->name), "%s", fs->mountpoint);
		row->dev = fs->dev;
		return;
	}
	row->about = TARGET_DISK; /* not mounted, or not any more: then it is the disk's trouble */
}

static void find_process(const struct snapshot *snap, struct log_row *row)
{
	const struct process *process = snapshot_process(snap, row->pid);
	if (!process) {
		row->about = TARGET_LOG;
		row->pid = 0;
		memcpy(row->name, row->log, sizeof(row->name));
		return;
	}
	snprintf(row->name, sizeof(row->name), "%s", process->comm);
	row->start_ns = process->start_ns;
	row->cgroup_id = process->cgroup_id;
}

/* Once a row: whom it named stays the one, whatever becomes of him. */
static void take_row(struct logs_collector *state, const struct snapshot *snap, uint32_t index, const struct log_row *said)
{
	struct log_row *row = &state->rows[index];
	bool same = state->used[index] && row->rule == said->rule && strcmp(row->log, said->log) == 0;
	struct log_row named = *row;

	*row = *said;
	state->used[index] = true;
	if (same) {
		row->about = named.about;
		memcpy(row->name, named.name, sizeof(row->name));
		memcpy(row->device, named.device, sizeof(row->device));
		row->dev = named.dev;
		row->pid = named.pid;
		row->start_ns = named.start_ns;
		row->cgroup_id = named.cgroup_id;
	} else if (row->about == TARGET_FILESYSTEM) {
		find_mount(snap, row);
	} else if (row->about == TARGET_PROCESS) {
		find_process(snap, row);
	}
}

/* --- reports ------------------------------------------------------------------------------------------------------------ */

static void take_report(struct logs_collector *state, struct snapshot *snap, const struct log_report *report)
{
	struct log_section *section = &snap->logs;
	switch (report->word) {
	case LOG_WORD_ROW:
		if (report->index < MAX_LOG_ROWS && report->row.about < TARGET_TYPE_COUNT)
			take_row(state, snap, report->index, &report->row);
		break;
	case LOG_WORD_GONE:
		if (report->index < MAX_LOG_ROWS)
			state->used[report->index] = false;
		break;
	case LOG_WORD_COUNT:
		if (report->index < MAX_LOG_COUNTS) {
			section->counts[report->index] = report->count;
			if (section->count_count <= report->index)
				section->count_count = report->index + 1;
		}
		break;
	case LOG_WORD_SOURCE:
		if (report->index < MAX_LOG_SOURCES) {
			section->sources[report->index] = report->source;
			if (section->source_count <= report->index)
				section->source_count = report->index + 1;
		}
		break;
	case LOG_WORD_BEAT:
		section->cut = report->rows_cut > UINT32_MAX ? UINT32_MAX : (uint32_t)report->rows_cut;
		state->caught_up = true;
		break;
	}
}

static void fill_rows(const struct logs_collector *state, struct log_section *section)
{
	section->count = 0;
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++)
		if (state->used[i])
			section->each[section->count++] = state->rows[i];
}

static int take_reports(struct logs_collector *state, struct snapshot *snap)
{
	struct log_report report;
	for (int i = 0; i < MAX_REPORTS_A_TICK; i++) {
		int got = worker_receive(&state->worker, &report, sizeof(report));
		if (got < 0)
			return got;
		if (got == 0)
			break;
		state->heard_ns = snap->boot_ns;
		state->backoff_ns = 0;
		take_report(state, snap, &report);
	}
	fill_rows(state, &snap->logs);
	return 0;
}

/* --- the worker --------------------------------------------------------------------------------------------------------- */

/* As many orders as its socket holds; the rest at the next tick. */
static int send_orders(struct logs_collector *state)
{
	for (; state->sent < state->count; state->sent++)
		if (send(state->worker.fd, &state->orders[state->sent], sizeof(state->orders[0]), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return errno == EAGAIN ? 0 : -errno;
	return 0;
}

static int start(struct logs_collector *state, struct log_section *section, uint64_t now_ns)
{
	int error = worker_start(&state->worker);
	section->measured_ns = 0; /* what it knew it says again */
	state->sent = 0;
	state->caught_up = false;
	memset(state->used, 0, sizeof(state->used));
	state->heard_ns = now_ns;
	return error;
}

static void give_up(struct logs_collector *state, uint64_t now_ns, struct collector_status *status, const char *why)
{
	worker_stop(&state->worker);
	state->worker.restarts++;
	state->backoff_ns = state->backoff_ns ? state->backoff_ns * 2 : BACKOFF_FIRST_NS;
	if (state->backoff_ns > BACKOFF_MOST_NS)
		state->backoff_ns = BACKOFF_MOST_NS;
	state->retry_ns = now_ns + state->backoff_ns;
	status->state = COLLECTOR_DEGRADED;
	snprintf(status->why, sizeof(status->why), "%s", why);
}

static void say_state(const struct logs_collector *state, const struct log_section *section, struct collector_status *status)
{
	status->state = state->cut ? COLLECTOR_DEGRADED : COLLECTOR_UP;
	status->why[0] = '\0';
	status->events_lost = state->cut + section->cut;
	if (state->cut)
		snprintf(status->why, sizeof(status->why), "%u log conditions more than the %d that are read", state->cut, MAX_LOG_RULES);
	for (uint32_t i = 0; i < section->source_count; i++) {
		const struct log_source_row *source = &section->sources[i];
		status->events_lost += source->skipped_lines;
		if (!source->why[0])
			continue;
		status->state = COLLECTOR_DEGRADED;
		snprintf(status->why, sizeof(status->why), "%.60s: %.90s", source->name, source->why);
	}
}

static int logs_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct logs_collector *state = opaque;
	(void)full;

	if (!state->begun) { /* rows and counters of before a reload have other places */
		memset(&snap->logs, 0, sizeof(snap->logs));
		state->heard_ns = snap->boot_ns;
		state->begun = true;
	}
	if (state->count == 0)
		return 0;
	if (state->worker.pid <= 0) {
		if (snap->boot_ns < state->retry_ns)
			return 0;
		int error = start(state, &snap->logs, snap->boot_ns);
		if (error) {
			give_up(state, snap->boot_ns, status, "no worker to read logs");
			return error;
		}
	}
	int error = send_orders(state);
	if (!error)
		error = take_reports(state, snap);
	if (!error && snap->boot_ns > state->heard_ns + SILENT_NS)
		error = -ETIMEDOUT;
	if (error) {
		give_up(state, snap->boot_ns, status, error == -ETIMEDOUT ? "the log reader hangs and was ended" : "the log reader ended");
		return 0;
	}
	if (!state->caught_up)
		return 0;
	if (snap->boot_ns < state->heard_ns + FRESH_NS)
		snap->logs.measured_ns = snap->boot_ns;
	say_state(state, &snap->logs, status);
	return 0;
}

static void logs_close(void *opaque)
{
	struct logs_collector *state = opaque;
	if (!state)
		return;
	worker_stop(&state->worker);
	pages_free(state);
}

static int logs_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct logs_collector *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	state->worker = (struct worker){ .name = "logs", .serve = logs_serve, .fd = -1 };
	gather_rules(state, env);
	snprintf(status->source, sizeof(status->source), "kmsg, journal, files");
	status->state = COLLECTOR_UP;
	if (state->count == 0)
		snprintf(status->why, sizeof(status->why), "no policy looks for lines");
	/* Now, before BPF is loaded: a worker begins with a copy of all that the agent has by then. What fails is tried again at the ticks. */
	else if (worker_start(&state->worker) < 0)
		state->worker.pid = 0;
	*ret_state = state;
	return 0;
}

const struct collector collector_log = {
	.name = "log", .id = COLLECTOR_LOG, .fast = true, .open = logs_open, .collect = logs_collect, .close = logs_close,
};
