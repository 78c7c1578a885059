/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was changed on the node: binaries, packages, services, files below /etc, the clock, and that it was booted. It only notes; what
 * has to do with an incident is asked when there is one.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/change.h"
#include "collector.h"
#include "core/pages.h"

enum { MAX_SERVICES = 1024 };
/* A clock that is slewed moves by half a millisecond a second (adjtimex(2)); whatever is more was set. */
#define CLOCK_STEP_NS ((int64_t)(500 * NSEC_PER_MSEC))
/* What happens in the first quarter of an hour after a boot may come of it. */
#define BOOTED_LATELY_NS (15 * 60 * NSEC_PER_SEC)

struct change_state {
	const struct collector_env *env;
	struct change_exec *exec;
	struct change_etc *etc;              /* NULL: not watched */
	struct change_package *package;
	uint64_t last_ns;
	int64_t clock_offset_ns;             /* wall time minus boot time */
	uint64_t newest_cgroup;              /* ids only grow: what is above it is new */
	uint32_t service_count;
	uint64_t services[MAX_SERVICES];     /* hashes of the paths that were there */
	uint64_t reloading;                  /* a bit for each of the first units that policies name */
};

void change_add(struct change_sink *sink, enum change_kind kind, uint64_t cgroup_id, const char *format, ...)
{
	struct change_section *section = &sink->snap->changes;
	if (!sink->left) {
		section->lost++;
		return;
	}
	sink->left--;
	struct node_change *change = &section->each[section->total++ % MAX_NODE_CHANGES];
	*change = (struct node_change){ .at_ns = sink->snap->boot_ns, .wall_ns = sink->snap->wall_ns, .cgroup_id = cgroup_id, .kind = kind };
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(change->what, sizeof(change->what), format, arguments);
	va_end(arguments);
}

/* --- services ---------------------------------------------------------------------------------------------------------- */

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

static bool was_there(struct change_state *state, uint64_t hash)
{
	for (uint32_t i = 0; i < state->service_count; i++)
		if (state->services[i] == hash)
			return true;
	return false;
}

static bool is_service(const struct cgroup *cgroup)
{
	size_t length = strlen(cgroup->unit);
	return length > 8 && strcmp(cgroup->unit + length - 8, ".service") == 0;
}

/* systemd removes the cgroup of a service that ends and makes another, with a new id, for the next start. */
static void look_at_services(struct change_state *state, struct change_sink *sink)
{
	const struct cgroup_section *cgroups = &sink->snap->cgroups;
	uint64_t newest = state->newest_cgroup;
	for (uint32_t i = cgroups->count; i-- > 0 && cgroups->each[i].id > newest;) {
		const struct cgroup *cgroup = &cgroups->each[i];
		if (cgroup->id > state->newest_cgroup)
			state->newest_cgroup = cgroup->id;
		if (!is_service(cgroup))
			continue;
		uint64_t hash = hash_text(cgroup->path);
		bool again = was_there(state, hash);
		if (!again && state->service_count < MAX_SERVICES)
			state->services[state->service_count++] = hash;
		if (newest) /* the first look finds what has been there */
			change_add(sink, CHANGE_UNIT, cgroup->id, "%s was %s", cgroup->unit, again ? "restarted" : "started");
	}
}

static void look_at_reloads(struct change_state *state, struct change_sink *sink)
{
	const struct unit_section *units = &sink->snap->units;
	uint64_t now = 0;
	for (uint32_t i = 0; i < units->count && i < 64; i++) {
		if (units->each[i].state != UNIT_RELOADING)
			continue;
		now |= 1ULL << i;
		if (!(state->reloading >> i & 1))
			change_add(sink, CHANGE_UNIT, 0, "%s was reloaded", units->each[i].name);
	}
	state->reloading = now;
}

/* --- the clock --------------------------------------------------------------------------------------------------------- */

static void look_at_clock(struct change_state *state, struct change_sink *sink)
{
	int64_t offset = sink->snap->wall_ns - (int64_t)sink->snap->boot_ns, step = offset - state->clock_offset_ns;
	bool first = state->last_ns == 0;
	state->clock_offset_ns = offset;
	if (!first && (step > CLOCK_STEP_NS || step < -CLOCK_STEP_NS))
		change_add(sink, CHANGE_CLOCK, 0, "the clock was set %s by %.3f s", step > 0 ? "forward" : "back",
			   (double)(step > 0 ? step : -step) / (double)NSEC_PER_SEC);
	if (first && sink->snap->boot_ns < BOOTED_LATELY_NS)
		change_add(sink, CHANGE_BOOT, 0, "the node was booted %u s before", (unsigned)(sink->snap->boot_ns / NSEC_PER_SEC));
}

/* --- the collector ----------------------------------------------------------------------------------------------------- */

static void change_close(void *opaque)
{
	struct change_state *state = opaque;
	if (!state)
		return;
	change_exec_free(state->exec);
	change_etc_close(state->etc);
	change_package_free(state->package);
	pages_free(state);
}

static int change_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct change_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	const char *root = env->config && env->config->host_root[0] ? env->config->host_root : "/";
	state->env = env;
	state->exec = change_exec_new();
	state->package = change_package_new(root);
	if (!state->exec || !state->package) {
		change_close(state);
		return -ENOMEM;
	}

	int error = change_etc_open(root, &state->etc);
	status->state = error < 0 ? COLLECTOR_DEGRADED : COLLECTOR_UP;
	snprintf(status->source, sizeof(status->source), error < 0 ? "procfs" : "inotify");
	if (error < 0)
		snprintf(status->why, sizeof(status->why), "what is written below /etc is not seen: %s", strerror(-error));
	*ret_state = state;
	return 0;
}

static int change_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct change_state *state = opaque;
	struct change_sink sink = { .snap = snap, .left = CHANGES_A_TICK };
	if (!full)
		return 0;

	look_at_clock(state, &sink);
	look_at_services(state, &sink);
	look_at_reloads(state, &sink);
	change_exec_look(state->exec, state->env->proc_fd, state->last_ns, &sink);
	change_package_look(state->package, &sink);
	if (state->etc)
		change_etc_read(state->etc, &sink);

	status->events_lost = snap->changes.lost + (state->etc ? change_etc_lost(state->etc) : 0);
	state->last_ns = snap->boot_ns;
	snap->changes.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_change = {
	.name = "change", .id = COLLECTOR_CHANGE, .open = change_open, .collect = change_collect, .close = change_close,
};
