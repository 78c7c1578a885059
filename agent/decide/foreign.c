/* SPDX-License-Identifier: Apache-2.0 */
/* See foreign.h. */
#include "decide/foreign.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "decide/incident.h"

/* Who ends processes so that the node or a cgroup gets better. A service manager that stops its own, and a program that ends itself, do not. */
static const struct {
	bool counts, for_node; /* for_node: whomever it chose, the node's memory is what it chose by */
} killers[KILLER_COUNT] = {
	[KILLER_CONTAINER_RUNTIME] = { true, false },
	[KILLER_EARLYOOM] = { true, true },
	[KILLER_KERNEL_OOM] = { true, false }, /* its own record says which */
	[KILLER_KUBELET] = { true, true },
	[KILLER_OPERATOR] = { true, false },
	[KILLER_SYSTEMD_OOMD] = { true, true },
};

/* --- what it concerns -------------------------------------------------------------------------------------------------- */

static bool is_among_causes(const struct foreign_kill *kill, const struct incident *incident)
{
	for (uint32_t i = 0; incident && i < incident->cause_count; i++) {
		const struct cause *cause = &incident->causes[i];
		if (cause->pid && cause->pid == kill->pid && cause->start_ns == kill->start_ns)
			return true;
		if (kill->cgroup_id && cause->cgroup_id == kill->cgroup_id && strcmp(cause->cgroup, "/") != 0)
			return true;
	}
	return false;
}

static bool concerns(const struct foreign_kill *kill, enum incident_kind kind, const struct target *target, const struct incident *incident)
{
	switch (target->type) {
	case TARGET_PROCESS:
		return target->pid == kill->pid ? target->start_ns == kill->start_ns : target->cgroup_id && target->cgroup_id == kill->cgroup_id;
	case TARGET_CGROUP:
		return target->cgroup_id == kill->cgroup_id;
	case TARGET_NODE:
		return (kill->of_node && kind == KIND_MEMORY_EXHAUSTION) || is_among_causes(kill, incident);
	default:
		return is_among_causes(kill, incident);
	}
}

bool foreign_since(const struct saved_state *saved, const struct finding *finding, const struct incident *incident, int64_t since_boot_ns)
{
	for (uint32_t i = 0; i < saved->foreign_count; i++)
		if (saved->foreign[i].boot_ns >= since_boot_ns && concerns(&saved->foreign[i], finding->kind, &finding->target, incident))
			return true;
	return false;
}

/* --- taking ------------------------------------------------------------------------------------------------------------ */

static void credit(struct engine *engine, const struct foreign_kill *kill, const struct circumstances *now, struct changes *ret)
{
	for (uint32_t i = 0; i < engine->saved->incident_count; i++) {
		struct incident *incident = &engine->saved->incidents[i];
		if (concerns(kill, incident->kind, &incident->resource, incident))
			incident_enter(incident, incident->state, now, ret, "process %d (%.15s) was ended by %s: whatever would end another waits as after an act of ours",
				       kill->pid, kill->comm, killer_names[kill->killer]);
	}
}

/* An OOM kill is told twice: when it is decided, with its scope, and when the process dies of it. */
static struct foreign_kill *find(struct saved_state *saved, const struct party *party)
{
	for (uint32_t i = saved->foreign_count; i-- > 0;)
		if (saved->foreign[i].pid == party->pid && saved->foreign[i].start_ns == party->start_ns)
			return &saved->foreign[i];
	return NULL;
}

static void add(struct engine *engine, const struct party *party, uint64_t at_ns, enum killer killer, bool of_node, const struct circumstances *now,
		struct changes *ret)
{
	struct saved_state *saved = engine->saved;
	struct foreign_kill *kill = find(saved, party);
	if (kill) {
		kill->of_node |= of_node;
		return;
	}
	if (saved->foreign_count == MAX_FOREIGN)
		memmove(saved->foreign, saved->foreign + 1, --saved->foreign_count * sizeof(saved->foreign[0]));
	kill = &saved->foreign[saved->foreign_count++];
	*kill = (struct foreign_kill){
		.pid = party->pid, .start_ns = party->start_ns, .cgroup_id = party->cgroup_id, .boot_ns = (int64_t)at_ns,
		.wall_ns = now->wall_ns - (int64_t)(now->boot_ns - at_ns), .killer = killer, .of_node = of_node,
	};
	memcpy(kill->comm, party->comm, sizeof(kill->comm));
	kill->comm[sizeof(kill->comm) - 1] = '\0';
	engine->foreign_total++;
	credit(engine, kill, now, ret);
	ret->state_changed = true;
}

static void take(struct engine *engine, const struct event *event, const struct circumstances *now, struct changes *ret)
{
	uint64_t at_ns = event->at_ns < now->boot_ns ? event->at_ns : now->boot_ns;
	if (event->kind == EVENT_OOM_KILL) {
		add(engine, &event->of.oom.victim, at_ns, KILLER_KERNEL_OOM, event->of.oom.scope == OOM_SCOPE_NODE, now, ret);
		return;
	}
	const struct fatal_signal *fatal = &event->of.fatal;
	if (event->kind != EVENT_FATAL_SIGNAL || fatal->killer >= KILLER_COUNT || !killers[fatal->killer].counts)
		return;
	if (fatal->record.signal == SIGKILL || fatal->record.signal == SIGTERM)
		add(engine, &fatal->record.target, at_ns, fatal->killer, killers[fatal->killer].for_node, now, ret);
}

void foreign_take(struct engine *engine, const struct snapshot *snap, const struct circumstances *now, struct changes *ret)
{
	const struct event_section *events = &snap->events;
	uint64_t first = events->total > MAX_EVENTS ? events->total - MAX_EVENTS + 1 : 1;
	if (engine->events_seen > events->total)
		engine->events_seen = 0; /* the counting began anew */
	if (engine->events_seen + 1 > first)
		first = engine->events_seen + 1;
	for (uint64_t seq = first; seq <= events->total; seq++)
		take(engine, &events->each[seq % MAX_EVENTS], now, ret);
	engine->events_seen = events->total;
}
