/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes and operations through sockets: by cgroup, with the exact rest as one more series, so that the sum over the label is the
 * node's; and of the processes that moved most lately.
 */
#include <stdio.h>
#include <stdlib.h>

#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const struct { const char *protocol, *direction; } flow_labels[SOCKET_FLOW_COUNT] = {
	[SOCKET_TCP_SENT] = { "tcp", "sent" }, [SOCKET_TCP_RECEIVED] = { "tcp", "received" },
	[SOCKET_UDP_SENT] = { "udp", "sent" }, [SOCKET_UDP_RECEIVED] = { "udp", "received" },
};

static const uint64_t *figures(const struct metric *metric, const struct socket_counts *counts)
{
	return (const uint64_t *)((const char *)counts + metric->field);
}

static int compare_id(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct socket_cgroup *)row)->id;
	return (id > other) - (id < other);
}

static void emit_flow(const struct metric *metric, struct metric_sink *sink, const char *cgroup, int flow, uint64_t value)
{
	struct label labels[] = {
		{ "cgroup", cgroup }, { "protocol", flow_labels[flow].protocol }, { "direction", flow_labels[flow].direction },
	};
	(void)metric;
	sink_sample(sink, labels, LABEL_COUNT(labels), value, 0);
}

static void emit_cgroups(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;
	uint64_t named[SOCKET_FLOW_COUNT] = { 0 };

	if (!snap || !context_fresh(context, snap->sockets.measured_ns))
		return;
	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[context->shown->cgroups[i]];
		const struct socket_cgroup_section *section = &snap->socket_cgroups;
		const struct socket_cgroup *row = bsearch(&cgroup->id, section->each, section->count, sizeof(section->each[0]), compare_id);

		for (int flow = 0; row && flow < SOCKET_FLOW_COUNT; flow++) {
			uint64_t value = figures(metric, &row->counts)[flow];
			named[flow] += value;
			if (value)
				emit_flow(metric, sink, cgroup->path, flow, value);
		}
	}
	for (int flow = 0; flow < SOCKET_FLOW_COUNT; flow++) {
		uint64_t total = figures(metric, &snap->sockets.total)[flow];
		emit_flow(metric, sink, "other", flow, total > named[flow] ? total - named[flow] : 0);
	}
}

/* As many as the configuration shows of processes. */
static void emit_processes(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;

	if (!snap || !context_fresh(context, snap->sockets.measured_ns))
		return;
	for (uint32_t i = 0; i < snap->sockets.count && i < context->shown->process_count; i++) {
		const struct socket_process *process = &snap->sockets.each[i];
		const struct cgroup *cgroup = snapshot_cgroup(snap, process->cgroup_id);
		char pid[12];

		snprintf(pid, sizeof(pid), "%d", process->pid);
		for (int flow = 0; flow < SOCKET_FLOW_COUNT; flow++) {
			uint64_t value = figures(metric, &process->counts)[flow];
			struct label labels[] = {
				{ "pid", pid }, { "comm", process->comm }, { "cgroup", cgroup ? cgroup->path : "" },
				{ "protocol", flow_labels[flow].protocol }, { "direction", flow_labels[flow].direction },
			};
			if (value)
				sink_sample(sink, labels, LABEL_COUNT(labels), value, 0);
		}
	}
}

#define SOCKET(name_, unit_, help_, field_, emit_) \
	{ .name = "nodemend_" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), .source = COLLECTOR_SOCKET, \
	  .emit = (emit_), .field = offsetof(struct socket_counts, field_) }

/* clang-format off */
static const struct metric rows[] = {
	SOCKET("process_socket_bytes_total", "bytes", "Payload that the process sent and received through TCP and UDP, of those that moved most lately.",
		bytes, emit_processes),
	SOCKET("process_socket_operations_total", "", "Sends and receives by which the process moved them.", operations, emit_processes),
	SOCKET("socket_bytes_total", "bytes", "Payload that programs sent and received through TCP and UDP; the sum over cgroup is the node's.",
		bytes, emit_cgroups),
	SOCKET("socket_operations_total", "", "Sends and receives by which they moved it.", operations, emit_cgroups),
};
/* clang-format on */

const struct metric_table metrics_of_socket = { rows, sizeof(rows) / sizeof(rows[0]) };
