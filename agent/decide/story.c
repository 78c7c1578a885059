/* SPDX-License-Identifier: Apache-2.0 */
/* See story.h. */
#include "decide/story.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "decide/incident.h"

/* What begins within so long of each other can be one story; a service needs some time to fail of what fails it. */
#define TOGETHER_NS ((int64_t)(5 * 60 * NSEC_PER_SEC))
/* Two incidents have one culprit where it makes at least half of each. */
enum { CULPRIT_PERMILLE = 500 };

/* How far down the chain of causes a kind stands: a device fails, then what is exhausted, then who waits, then who notices. */
static const uint8_t depths[KIND_COUNT] = {
	[KIND_KERNEL_FAULT] = 0, [KIND_DISK_EXHAUSTION] = 1, [KIND_MEMORY_EXHAUSTION] = 1, [KIND_PID_EXHAUSTION] = 1, [KIND_FD_EXHAUSTION] = 1,
	[KIND_NETWORK_SATURATION] = 1, [KIND_CPU_EXHAUSTION] = 2, [KIND_IO_SATURATION] = 2, [KIND_OOM_KILL] = 3, [KIND_PROCESS_CRASH] = 4,
	[KIND_SERVICE_DOWN] = 5, [KIND_SERVICE_HUNG] = 5, [KIND_DEPENDENCY_DOWN] = 6, [KIND_LOG_PATTERN] = 7, [KIND_ANOMALY] = 8,
};

/* A strict order, so that there is never a circle: the deeper cause, then the older, then the lower id. */
static bool goes_before(const struct incident *a, const struct incident *b)
{
	if (depths[a->kind] != depths[b->kind])
		return depths[a->kind] < depths[b->kind];
	if (a->opened_wall_ns != b->opened_wall_ns)
		return a->opened_wall_ns < b->opened_wall_ns;
	return strcmp(a->id, b->id) < 0;
}

/* --- the same device ---------------------------------------------------------------------------------------------------- */

/* "" where there is none: what a tmpfs or an overlay calls its device is nobody's. */
static const char *device_of(const struct incident *incident)
{
	const struct target *target = &incident->resource;
	if (strncmp(target->device, "/dev/", 5) == 0)
		return target->device + 5;
	return target->type == TARGET_DISK ? target->name : "";
}

/* "sda1" of "sda", "nvme0n1p2" of "nvme0n1". */
static bool is_partition(const char *part, const char *disk)
{
	size_t length = strlen(disk);
	if (!length || strncmp(part, disk, length) != 0)
		return false;
	part += length;
	if (isdigit((unsigned char)disk[length - 1]) && *part == 'p')
		part++;
	return *part && strspn(part, "0123456789") == strlen(part);
}

static const char *same_device(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	const char *a = device_of(child), *b = device_of(parent);
	(void)snap;
	return a[0] && b[0] && (strcmp(a, b) == 0 || is_partition(a, b) || is_partition(b, a)) ? "the same device" : NULL;
}

/* A node that waits for I/O while one of its devices reports errors. */
static const char *sick_device(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	(void)snap;
	bool waits = child->kind == KIND_IO_SATURATION && child->resource.type == TARGET_NODE;
	return waits && parent->kind == KIND_KERNEL_FAULT && parent->resource.type == TARGET_DISK ? "a device that fails" : NULL;
}

/* --- the same culprit --------------------------------------------------------------------------------------------------- */

static const struct cause *culprit_of(const struct incident *incident)
{
	const struct cause *first = &incident->causes[0];
	bool named = incident->cause_count && first->share_permille >= CULPRIT_PERMILLE && first->cgroup[0] && strcmp(first->cgroup, "/") != 0;
	return named ? first : NULL;
}

static const char *same_culprit(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	const struct cause *a = culprit_of(child), *b = culprit_of(parent);
	(void)snap;
	return a && b && a->cgroup_id == b->cgroup_id ? "the same cause" : NULL;
}

/* --- who waits for it --------------------------------------------------------------------------------------------------- */

static bool is_resource(enum incident_kind kind)
{
	return depths[kind] <= 3;
}

static const char *unit_of(const struct incident *incident)
{
	if (incident->resource.type == TARGET_UNIT)
		return incident->resource.name;
	return incident->cause_count ? incident->causes[0].unit : "";
}

static uint64_t group_of(const struct incident *incident)
{
	return incident->resource.cgroup_id ? incident->resource.cgroup_id : incident->cause_count ? incident->causes[0].cgroup_id : 0;
}

static bool is_among(const struct cause *each, uint32_t count, const char *unit, uint64_t cgroup_id)
{
	for (uint32_t i = 0; i < count; i++)
		if ((cgroup_id && each[i].cgroup_id == cgroup_id) || (unit[0] && strcmp(each[i].unit, unit) == 0))
			return true;
	return false;
}

static const char *suffers_from_it(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	(void)snap;
	if (is_resource(child->kind) || !is_resource(parent->kind))
		return NULL;
	return is_among(parent->victims, parent->victim_count, unit_of(child), group_of(child)) ? "it suffers from it" : NULL;
}

/* A thread of it that has been in uninterruptible sleep for a while, and a device or the node's I/O that is in trouble. */
static const char *waits_for_disk(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	bool disk = parent->kind == KIND_IO_SATURATION || parent->kind == KIND_KERNEL_FAULT;
	const char *unit = unit_of(child);
	if (!disk || (child->kind != KIND_SERVICE_HUNG && child->kind != KIND_SERVICE_DOWN))
		return NULL;
	for (uint32_t i = 0; i < snap->processes.held_count; i++) {
		uint64_t id = snap->processes.held[i].cgroup_id;
		const struct cgroup *cgroup = snapshot_cgroup(snap, id);
		if ((id && id == group_of(child)) || (cgroup && unit[0] && strcmp(cgroup->unit, unit) == 0))
			return "its threads wait for the disk";
	}
	return NULL;
}

static const char *killed_for_memory(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	(void)snap;
	bool node = parent->resource.type == TARGET_NODE, same = group_of(child) && group_of(child) == group_of(parent);
	if (child->kind == KIND_OOM_KILL && parent->kind == KIND_MEMORY_EXHAUSTION && (node || same))
		return "the memory it was killed for";
	bool died = child->kind == KIND_SERVICE_DOWN || child->kind == KIND_PROCESS_CRASH;
	if (died && parent->kind == KIND_OOM_KILL && (same || (unit_of(child)[0] && strcmp(unit_of(child), unit_of(parent)) == 0)))
		return "it was killed for memory";
	return NULL;
}

/* Who depends on a service that is down, hung or suffers; a log that tells of the same unit. */
static const char *same_unit(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	(void)snap;
	const char *unit = child->resource.type == TARGET_LOG ? child->resource.name : unit_of(child);
	bool service = parent->kind == KIND_SERVICE_DOWN || parent->kind == KIND_SERVICE_HUNG || parent->kind == KIND_PROCESS_CRASH;
	return service && !is_resource(child->kind) && unit[0] && strcmp(unit, unit_of(parent)) == 0 ? "the same service" : NULL;
}

const char *story_link(const struct incident *child, const struct incident *parent, const struct snapshot *snap)
{
	static const char *(*const links[])(const struct incident *, const struct incident *, const struct snapshot *) = {
		same_device, sick_device, killed_for_memory, waits_for_disk, suffers_from_it, same_unit, same_culprit,
	};
	/* Of this phase, and on the clock that nobody sets: one that was reopened hides what comes with it. */
	int64_t apart = (int64_t)(child->phase_boot_ns - parent->phase_boot_ns);
	if (!goes_before(parent, child) || apart > TOGETHER_NS || apart < -TOGETHER_NS)
		return NULL;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const char *words = links[i](child, parent, snap);
		if (words)
			return words;
	}
	return NULL;
}

/* --- each tick ---------------------------------------------------------------------------------------------------------- */

static void let_go(struct engine *engine, struct incident *incident, const struct circumstances *now, struct changes *ret)
{
	if (!incident->parent[0] || incident_by_id(engine, incident->parent))
		return;
	char parent[ID_LEN];
	memcpy(parent, incident->parent, sizeof(parent));
	incident->parent[0] = '\0';
	incident_enter(incident, incident->state, now, ret, "%s, which it hung under, is over: it goes on by itself", parent);
}

/* It has become worse than what it hung under, or that has become milder. */
static void outgrow(struct engine *engine, struct incident *incident, const struct circumstances *now, struct changes *ret)
{
	const struct incident *parent = incident->parent[0] ? incident_by_id(engine, incident->parent) : NULL;
	if (!parent || parent->severity >= incident->severity)
		return;
	incident->parent[0] = '\0';
	incident_enter(incident, incident->state, now, ret, "worse than %s, which it hung under: it goes on by itself", parent->id);
}

static void hang(struct engine *engine, struct incident *child, const struct snapshot *snap, const struct circumstances *now, struct changes *ret)
{
	const struct incident *found = NULL;
	const char *why = NULL;
	for (uint32_t i = 0; i < engine->saved->incident_count; i++) {
		const struct incident *parent = &engine->saved->incidents[i];
		const char *words = parent == child ? NULL : story_link(child, parent, snap);
		if (!words || (found && !goes_before(parent, found)))
			continue;
		found = parent;
		why = words;
	}
	if (!found)
		return;
	/* Under the root, so that a story is one level deep. */
	const struct incident *root = found->parent[0] ? incident_by_id(engine, found->parent) : found;
	if (!root || root == child || root->severity < child->severity) /* who is told of what is critical only would not hear of it */
		return;
	memcpy(child->parent, root->id, sizeof(child->parent));
	incident_enter(child, child->state, now, ret, "part of %s: %s", root->id, why);
}

/* Those that hung under one that has now found a parent of its own go along. */
static void go_along(struct engine *engine, struct changes *ret, const struct circumstances *now)
{
	for (uint32_t i = 0; i < engine->saved->incident_count; i++) {
		struct incident *incident = &engine->saved->incidents[i];
		const struct incident *parent = incident->parent[0] ? incident_by_id(engine, incident->parent) : NULL;
		if (!parent || !parent->parent[0] || strcmp(parent->parent, incident->id) == 0)
			continue;
		const struct incident *root = incident_by_id(engine, parent->parent);
		if (!root || root->severity < incident->severity) {
			incident->parent[0] = '\0'; /* it stands for itself until it finds another */
			continue;
		}
		memcpy(incident->parent, parent->parent, sizeof(incident->parent));
		incident_enter(incident, incident->state, now, ret, "part of %s, as %s is", incident->parent, parent->id);
	}
}

void stories_update(struct engine *engine, const struct snapshot *snap, const struct circumstances *now, struct changes *ret)
{
	struct saved_state *saved = engine->saved;
	for (uint32_t i = 0; i < saved->incident_count; i++)
		let_go(engine, &saved->incidents[i], now, ret);
	for (uint32_t i = 0; i < saved->incident_count; i++)
		outgrow(engine, &saved->incidents[i], now, ret);
	for (uint32_t i = 0; i < saved->incident_count; i++)
		if (!saved->incidents[i].parent[0])
			hang(engine, &saved->incidents[i], snap, now, ret);
	go_along(engine, ret, now);
}
