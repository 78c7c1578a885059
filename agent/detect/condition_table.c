/* SPDX-License-Identifier: Apache-2.0 */
/* The node's tables of fixed size: process ids, tracked connections, neighbours. Each is a count and its limit. */
#include "detect/condition_type.h"

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b; /* UNKNOWN is the largest */
}

static void pids_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	(void)condition;
	(void)snap;
	node_target("pids", each, context);
}

static void read_pids(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	(void)condition;
	(void)target;
	const struct process_section *processes = &snap->processes;
	if (!snapshot_is_fresh(snap, processes->measured_ns))
		reading_unknown(ret, "the process table is stale");
	else
		reading_percent(ret, processes->threads, lesser(processes->pid_max, processes->threads_max), "the kernel does not say pid_max");
}

static enum incident_kind pids_kind(const struct condition *condition)
{
	(void)condition;
	return KIND_PID_EXHAUSTION;
}

const struct condition_type pids_condition = {
	.targets = pids_targets,
	.measure = read_pids,
	.kind = pids_kind,
	.metrics = { [MEASURE_USED_PERCENT] = "pids_used_percent" },
};

static void network_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	(void)snap;
	node_target(condition->kind == CONDITION_CONNTRACK ? "conntrack" : "neighbours", each, context);
}

static void read_network(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct interface_section *network = &snap->interfaces;
	(void)target;
	if (!snapshot_is_fresh(snap, network->measured_ns))
		reading_unknown(ret, "the network's figures are stale");
	else if (condition->kind == CONDITION_CONNTRACK)
		reading_percent(ret, network->conntrack, network->conntrack_max, "connections are not tracked on this node");
	else
		reading_percent(ret, network->neighbours, network->neighbours_max, "the kernel does not say its limit of neighbours");
}

static enum incident_kind network_kind(const struct condition *condition)
{
	(void)condition;
	return KIND_NETWORK_SATURATION;
}

const struct condition_type conntrack_condition = {
	.targets = network_targets,
	.measure = read_network,
	.kind = network_kind,
	.metrics = { [MEASURE_USED_PERCENT] = "conntrack_used_percent" },
};

const struct condition_type neighbours_condition = {
	.targets = network_targets,
	.measure = read_network,
	.kind = network_kind,
	.metrics = { [MEASURE_USED_PERCENT] = "neighbours_used_percent" },
};
