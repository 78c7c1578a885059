/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: one target a port of a cgroup. Beyond its backlog a connection is not refused but forgotten, and its client waits. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static void name_listener(const struct snapshot *snap, const struct listener *listener, char name[PATH_LEN])
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, listener->cgroup_id);
	snprintf(name, PATH_LEN, "port %u of %.230s", listener->port, cgroup && cgroup->path[0] ? cgroup->path : "a cgroup");
}

static bool is_meant(const struct condition *condition, const struct snapshot *snap, const struct listener *listener)
{
	if (condition->port && condition->port != listener->port)
		return false;
	if (!condition->cgroup[0] && !condition->unit[0])
		return true;
	const struct cgroup *cgroup = snapshot_cgroup(snap, listener->cgroup_id);
	return cgroup && glob_matches_path(condition->cgroup, cgroup->path) && glob_matches(condition->unit, cgroup->unit, 0);
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->listeners.count; i++) {
		const struct listener *listener = &snap->listeners.each[i];
		struct target target = { .type = TARGET_NODE, .cgroup_id = listener->cgroup_id };
		if (!is_meant(condition, snap, listener))
			continue;
		name_listener(snap, listener, target.name);
		if (!each(&target, context))
			return;
	}
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	(void)condition;
	if (!snapshot_is_fresh(snap, snap->listeners.measured_ns)) {
		reading_unknown(ret, "listening sockets are not watched");
		return;
	}
	for (uint32_t i = 0; i < snap->listeners.count; i++) {
		const struct listener *listener = &snap->listeners.each[i];
		char name[PATH_LEN];
		name_listener(snap, listener, name);
		if (strcmp(name, target->name) != 0)
			continue;
		reading_percent(ret, listener->backlog, listener->limit, "the socket has no backlog");
		snprintf(ret->detail, sizeof(ret->detail), "%llu wait to be accepted, %llu may; %llu dropped so far",
			 (unsigned long long)listener->backlog, (unsigned long long)listener->limit, (unsigned long long)listener->drops);
		return;
	}
	ret->state = READING_GONE;
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_NETWORK_SATURATION;
}

const struct condition_type listener_condition = {
	.targets = targets,
	.measure = read_condition,
	.kind = kind,
	.metrics = { [MEASURE_BACKLOG_PERCENT] = "listener_backlog_percent" },
};
