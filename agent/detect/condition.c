/* SPDX-License-Identifier: Apache-2.0 */
/* See condition.h. */
#include "detect/condition.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a: only to keep the keys of two long names apart. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

void target_key(const struct target *target, char ret[KEY_LEN])
{
	if (target->type == TARGET_PROCESS)
		snprintf(ret, KEY_LEN, "process:%d:%llu", target->pid, (unsigned long long)target->start_ns);
	else if (snprintf(ret, KEY_LEN, "%s:%s", target_type_names[target->type], target->name) >= KEY_LEN)
		snprintf(ret, KEY_LEN, "%s:%.80s~%016llx", target_type_names[target->type], target->name, (unsigned long long)hash_text(target->name));
}

static bool matches(const char *glob, const char *text, int flags)
{
	return !glob[0] || (text[0] && fnmatch(glob, text, flags) == 0);
}

/* A cgroup glob without a `*` at its end also names everything below: "/ci.slice" is the slice and its services. */
static bool matches_path(const char *glob, const char *path)
{
	return !glob[0] || (path[0] && fnmatch(glob, path, FNM_PATHNAME | FNM_LEADING_DIR) == 0);
}

static const struct cgroup *cgroup_of(const struct snapshot *snap, const struct process *process)
{
	if (process->cgroup_index < snap->cgroups.count && snap->cgroups.each[process->cgroup_index].id == process->cgroup_id)
		return &snap->cgroups.each[process->cgroup_index];
	return snapshot_cgroup(snap, process->cgroup_id);
}

bool process_matches(const struct condition *condition, const struct snapshot *snap, const struct process *process)
{
	if (process->kernel_thread || !matches(condition->comm, process->comm, 0))
		return false;
	if (!condition->cgroup[0] && !condition->unit[0])
		return true;
	const struct cgroup *cgroup = cgroup_of(snap, process);
	return cgroup && matches_path(condition->cgroup, cgroup->path) && matches(condition->unit, cgroup->unit, 0);
}

/* --- targets ----------------------------------------------------------------------------------------------------------- */

typedef bool target_visitor(const struct target *target, void *context); /* a function type: the one place where it reads better */

static void node_target(const char *name, target_visitor *each, void *context)
{
	struct target target = { .type = TARGET_NODE };
	snprintf(target.name, sizeof(target.name), "%s", name);
	each(&target, context);
}

static void filesystem_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->filesystems.count; i++) {
		const struct filesystem *fs = &snap->filesystems.each[i];
		if (fs->read_only || !matches(condition->mountpoint, fs->mountpoint, FNM_PATHNAME))
			continue;
		struct target target = { .type = TARGET_FILESYSTEM, .dev = fs->dev };
		snprintf(target.name, sizeof(target.name), "%s", fs->mountpoint);
		snprintf(target.device, sizeof(target.device), "%s", fs->device);
		if (!each(&target, context))
			return;
	}
}

static void group_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->path[0] || !cgroup->processes || !matches_path(condition->cgroup, cgroup->path) || !matches(condition->unit, cgroup->unit, 0))
			continue;
		struct target target = { .type = TARGET_CGROUP, .cgroup_id = cgroup->id };
		snprintf(target.name, sizeof(target.name), "%s", cgroup->path);
		if (!each(&target, context))
			return;
	}
}

static void process_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (!process_matches(condition, snap, process))
			continue;
		struct target target = {
			.type = TARGET_PROCESS, .pid = process->pid, .start_ns = process->start_ns, .cgroup_id = process->cgroup_id,
		};
		snprintf(target.name, sizeof(target.name), "%s", process->comm);
		if (!each(&target, context))
			return;
	}
}

static const char *psi_node_name(enum psi_resource resource)
{
	static const char *const names[PSI_RESOURCE_COUNT] = { [PSI_CPU] = "cpu", [PSI_MEMORY] = "memory", [PSI_IO] = "io" };
	return names[resource];
}

void condition_targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	switch (condition->kind) {
	case CONDITION_FILESYSTEM:
		filesystem_targets(condition, snap, each, context);
		break;
	case CONDITION_MEMORY:
		node_target("memory", each, context);
		break;
	case CONDITION_CPU:
		node_target("cpu", each, context);
		break;
	case CONDITION_PSI:
		node_target(psi_node_name(condition->psi_resource), each, context);
		break;
	case CONDITION_PROCESS:
		if (condition->measure == MEASURE_COUNT_BELOW)
			node_target(condition->comm[0] ? condition->comm : condition->unit[0] ? condition->unit : condition->cgroup, each, context);
		else if (condition->by_group)
			group_targets(condition, snap, each, context);
		else
			process_targets(condition, snap, each, context);
		break;
	case CONDITION_UNIT: {
		struct target target = { .type = TARGET_UNIT };
		snprintf(target.name, sizeof(target.name), "%s", condition->unit);
		each(&target, context);
		break;
	}
	case CONDITION_KIND_COUNT:
		break;
	}
}

bool condition_selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	switch (condition->kind) {
	case CONDITION_FILESYSTEM:
		return target->type == TARGET_FILESYSTEM && matches(condition->mountpoint, target->name, FNM_PATHNAME);
	case CONDITION_PROCESS:
		if (condition->measure == MEASURE_COUNT_BELOW)
			return false;
		if (condition->by_group)
			return target->type == TARGET_CGROUP && matches_path(condition->cgroup, target->name);
		if (target->type == TARGET_PROCESS) {
			const struct process *process = snapshot_process(snap, target->pid);
			return process && process->start_ns == target->start_ns && process_matches(condition, snap, process);
		}
		return false;
	case CONDITION_UNIT:
		return target->type == TARGET_UNIT && strcmp(condition->unit, target->name) == 0;
	default:
		return false;
	}
}

/* --- readings ---------------------------------------------------------------------------------------------------------- */

static void known(struct reading *ret, double value)
{
	ret->state = READING_KNOWN;
	ret->value = value;
	ret->confidence_permille = 1000;
}

static void unknown(struct reading *ret, const char *why)
{
	ret->state = READING_UNKNOWN;
	ret->why = why;
}

/* `part` of `whole` in percent; unknown where one of them is, or where there is nothing to have a part of. */
static void percent(struct reading *ret, uint64_t part, uint64_t whole, const char *why)
{
	if (part == UNKNOWN || whole == UNKNOWN || whole == 0)
		unknown(ret, why);
	else
		known(ret, 100.0 * (double)part / (double)whole);
}

static void read_filesystem(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->filesystems.measured_ns)) {
		unknown(ret, "the list of filesystems is stale");
		return;
	}

	const struct filesystem *fs = NULL;
	for (uint32_t i = 0; i < snap->filesystems.count && !fs; i++)
		if (strcmp(snap->filesystems.each[i].mountpoint, target->name) == 0)
			fs = &snap->filesystems.each[i];
	if (!fs) {
		ret->state = READING_GONE;
		return;
	}
	if (!snapshot_is_fresh(snap, fs->measured_ns)) {
		unknown(ret, fs->stuck_ns ? "statvfs hangs" : "statvfs has not answered");
		return;
	}

	ret->exhausted_in_ns = fs->exhausted_in_ns;
	uint64_t used = fs->size - fs->free, usable = used + fs->avail;
	switch (condition->measure) {
	case MEASURE_USED_PERCENT:
		percent(ret, used, usable, "the filesystem has no size");
		break;
	case MEASURE_AVAILABLE_PERCENT:
		percent(ret, fs->avail, usable, "the filesystem has no size");
		break;
	case MEASURE_AVAILABLE_BYTES:
		known(ret, (double)fs->avail);
		break;
	case MEASURE_INODES_USED_PERCENT:
		percent(ret, fs->files - fs->files_free, fs->files, "the filesystem does not count inodes");
		break;
	case MEASURE_FULL_WITHIN:
		/* No forecast means no evidence that it will be full in time: that is "no", and only a stale mount is "unknown". */
		known(ret, fs->exhausted_in_ns == UNKNOWN ? 1e300 : (double)fs->exhausted_in_ns);
		ret->confidence_permille = fs->exhausted_confidence_permille;
		break;
	default:
		unknown(ret, "not a measure of filesystems");
	}
}

static void read_memory(const struct condition *condition, const struct snapshot *snap, struct reading *ret)
{
	const struct memory_section *memory = &snap->memory;
	if (!snapshot_is_fresh(snap, memory->measured_ns)) {
		unknown(ret, "meminfo is stale");
		return;
	}
	if (condition->measure == MEASURE_SWAP_USED_PERCENT) {
		percent(ret, memory->swap_free == UNKNOWN ? UNKNOWN : memory->swap_total - memory->swap_free, memory->swap_total, "the node has no swap");
		return;
	}
	if (memory->available == UNKNOWN || memory->total == UNKNOWN) {
		unknown(ret, "the kernel does not say MemAvailable");
		return;
	}
	if (condition->measure == MEASURE_USED_PERCENT)
		percent(ret, memory->total - memory->available, memory->total, "no MemTotal");
	else if (condition->measure == MEASURE_AVAILABLE_PERCENT)
		percent(ret, memory->available, memory->total, "no MemTotal");
	else
		known(ret, (double)memory->available);
}

static void read_psi(const struct condition *condition, const struct snapshot *snap, struct reading *ret)
{
	enum psi_resource resource = condition->psi_resource;
	bool full = condition->measure == MEASURE_PSI_FULL;
	if (!snapshot_is_fresh(snap, snap->psi.measured_ns)) {
		unknown(ret, "no pressure figures from this kernel");
		return;
	}
	if (full && !snap->psi.has_full[resource]) {
		unknown(ret, "this kernel has no full pressure of this resource");
		return;
	}

	const struct psi_line *line = full ? &snap->psi.full[resource] : &snap->psi.some[resource];
	switch (condition->psi_window_s) {
	case 10:
		known(ret, line->avg10_centi / 100.0);
		break;
	case 60:
		known(ret, line->avg60_centi / 100.0);
		break;
	case 300:
		known(ret, line->avg300_centi / 100.0);
		break;
	default:
		known(ret, line->interval_permille / 10.0);
	}
}

static void read_count(const struct condition *condition, const struct snapshot *snap, struct reading *ret)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < snap->processes.count; i++)
		count += process_matches(condition, snap, &snap->processes.each[i]);
	/* A table that was cut may have lost the very one: absence is then not known. */
	if (snap->processes.cut && count < condition->threshold.raise)
		unknown(ret, "the process table was cut");
	else
		known(ret, count);
}

static double cpu_percent(const struct snapshot *snap, uint64_t delta_ns)
{
	return snap->elapsed_ns ? 100.0 * (double)delta_ns / (double)snap->elapsed_ns : 0;
}

static void read_process(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->processes.measured_ns)) {
		unknown(ret, "the process table is stale");
		return;
	}
	if (condition->measure == MEASURE_COUNT_BELOW) {
		read_count(condition, snap, ret);
		return;
	}

	uint64_t rss, cpu_delta;
	int64_t growth;
	if (target->type == TARGET_CGROUP) {
		const struct cgroup *cgroup = snapshot_cgroup(snap, target->cgroup_id);
		if (!cgroup || !cgroup->processes) {
			ret->state = READING_GONE;
			return;
		}
		/* The members' RSS counts shared pages in each; the controller's figure counts page cache. The smaller is nearer the truth. */
		rss = cgroup->memory_current < cgroup->rss_bytes ? cgroup->memory_current : cgroup->rss_bytes;
		cpu_delta = cgroup->cpu_delta_ns;
		growth = cgroup->rss_growth_bytes;
	} else {
		const struct process *process = snapshot_process(snap, target->pid);
		if (!process || process->start_ns != target->start_ns) {
			ret->state = READING_GONE;
			return;
		}
		rss = process->rss_bytes;
		cpu_delta = process->cpu_delta_ns;
		growth = process->rss_growth_bytes;
	}

	if (condition->measure == MEASURE_CPU_PERCENT)
		known(ret, cpu_percent(snap, cpu_delta));
	else if (condition->measure == MEASURE_GROWTH_BYTES)
		known(ret, (double)growth);
	else
		known(ret, (double)rss);
}

static void read_unit(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	const struct unit_sample *unit = NULL;
	for (uint32_t i = 0; i < snap->units.count && !unit; i++)
		if (strcmp(snap->units.each[i].name, target->name) == 0)
			unit = &snap->units.each[i];
	if (!unit || !snapshot_is_fresh(snap, unit->measured_ns) || unit->state == UNIT_UNKNOWN) {
		unknown(ret, "systemd has not answered about this unit");
		return;
	}

	if (condition->measure == MEASURE_UNIT_STATE)
		known(ret, (condition->unit_states >> unit->state) & 1);
	else if (unit->probe == PROBE_PASSING || unit->probe == PROBE_FAILING)
		known(ret, unit->probe == PROBE_FAILING);
	else if (unit->state == UNIT_ACTIVE)
		unknown(ret, "the probe has not answered");
	else
		known(ret, 0); /* a unit that is not up is not hung: its state is another condition's matter */
}

void condition_read(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	*ret = (struct reading){ .state = READING_UNKNOWN, .exhausted_in_ns = UNKNOWN, .why = "" };
	switch (condition->kind) {
	case CONDITION_FILESYSTEM:
		read_filesystem(condition, snap, target, ret);
		break;
	case CONDITION_MEMORY:
		read_memory(condition, snap, ret);
		break;
	case CONDITION_CPU:
		if (snapshot_is_fresh(snap, snap->cpu.measured_ns) && snap->cpu.used_permille != UINT32_MAX)
			known(ret, snap->cpu.used_permille / 10.0);
		else
			unknown(ret, "processor times are stale");
		break;
	case CONDITION_PSI:
		read_psi(condition, snap, ret);
		break;
	case CONDITION_PROCESS:
		read_process(condition, snap, target, ret);
		break;
	case CONDITION_UNIT:
		read_unit(condition, snap, target, ret);
		break;
	case CONDITION_KIND_COUNT:
		break;
	}
}

/* --- names ------------------------------------------------------------------------------------------------------------- */

enum incident_kind condition_incident_kind(const struct condition *condition)
{
	switch (condition->kind) {
	case CONDITION_FILESYSTEM:
		return KIND_DISK_EXHAUSTION;
	case CONDITION_MEMORY:
		return KIND_MEMORY_EXHAUSTION;
	case CONDITION_CPU:
		return KIND_CPU_EXHAUSTION;
	case CONDITION_PSI:
		return condition->psi_resource == PSI_CPU ? KIND_CPU_EXHAUSTION :
		       condition->psi_resource == PSI_IO  ? KIND_IO_SATURATION :
							    KIND_MEMORY_EXHAUSTION;
	case CONDITION_PROCESS:
		return condition->measure == MEASURE_CPU_PERCENT ? KIND_CPU_EXHAUSTION :
		       condition->measure == MEASURE_COUNT_BELOW ? KIND_PROCESS_CRASH :
								   KIND_MEMORY_EXHAUSTION;
	case CONDITION_UNIT:
		return condition->measure == MEASURE_UNIT_PROBE ? KIND_SERVICE_HUNG : KIND_SERVICE_DOWN;
	case CONDITION_KIND_COUNT:
		break;
	}
	return KIND_COUNT;
}

const char *condition_metric(const struct condition *condition)
{
	static const char *const names[CONDITION_KIND_COUNT][MEASURE_COUNT] = {
		[CONDITION_FILESYSTEM] = {
			[MEASURE_USED_PERCENT] = "filesystem_used_percent",
			[MEASURE_AVAILABLE_PERCENT] = "filesystem_avail_percent",
			[MEASURE_AVAILABLE_BYTES] = "node_filesystem_avail_bytes",
			[MEASURE_INODES_USED_PERCENT] = "filesystem_inodes_used_percent",
			[MEASURE_FULL_WITHIN] = "nodemend_exhausted_in_seconds",
		},
		[CONDITION_MEMORY] = {
			[MEASURE_USED_PERCENT] = "memory_used_percent",
			[MEASURE_AVAILABLE_PERCENT] = "memory_available_percent",
			[MEASURE_AVAILABLE_BYTES] = "node_memory_MemAvailable_bytes",
			[MEASURE_SWAP_USED_PERCENT] = "memory_swap_used_percent",
		},
		[CONDITION_CPU] = { [MEASURE_USED_PERCENT] = "cpu_used_percent" },
		[CONDITION_PSI] = { [MEASURE_PSI_SOME] = "psi_some_percent", [MEASURE_PSI_FULL] = "psi_full_percent" },
		[CONDITION_PROCESS] = {
			[MEASURE_RSS_BYTES] = "process_resident_bytes",
			[MEASURE_CPU_PERCENT] = "process_cpu_percent",
			[MEASURE_GROWTH_BYTES] = "process_growth_bytes",
			[MEASURE_COUNT_BELOW] = "process_count",
		},
		[CONDITION_UNIT] = { [MEASURE_UNIT_STATE] = "unit_state", [MEASURE_UNIT_PROBE] = "unit_probe_failing" },
	};
	const char *name = names[condition->kind][condition->measure];
	return name ? name : "unknown";
}
