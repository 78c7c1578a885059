/* SPDX-License-Identifier: Apache-2.0 */
/* The table of capacities: what can run out, and where its figures stand in the snapshot. */
#include "detect/outlook_series.h"

#include <string.h>

/* Below this share of their limit cgroups and processes are not followed: systemd gives every unit a limit that few come near. */
#define WORTH_FOLLOWING_PERCENT 2
#define PROCESS_WORTH_PERCENT 10

struct listing {
	const struct snapshot *snap;
	struct capacity *each;
	uint32_t count, cut;
};

static void add(struct listing *listing, const struct capacity *capacity)
{
	if (capacity->used == UNKNOWN || capacity->full == UNKNOWN || !capacity->full)
		return;
	if (listing->count == MAX_CAPACITIES)
		listing->cut++;
	else
		listing->each[listing->count++] = *capacity;
}

static void add_node(struct listing *listing, enum capacity_resource resource, uint64_t used, uint64_t full)
{
	add(listing, &(struct capacity){ .resource = resource, .name = capacity_names[resource], .used = used, .full = full });
}

static uint64_t less(uint64_t whole, uint64_t part)
{
	return whole == UNKNOWN || part == UNKNOWN || part > whole ? UNKNOWN : whole - part;
}

static void list_memory(struct listing *listing)
{
	const struct memory_section *memory = &listing->snap->memory;
	if (!snapshot_is_fresh(listing->snap, memory->measured_ns))
		return;
	add_node(listing, CAPACITY_MEMORY, less(memory->total, memory->available), memory->total);
	add_node(listing, CAPACITY_SWAP, less(memory->swap_total, memory->swap_free), memory->swap_total);
}

static void list_node(struct listing *listing)
{
	const struct process_section *processes = &listing->snap->processes;
	if (!snapshot_is_fresh(listing->snap, processes->measured_ns))
		return;
	uint64_t threads_full = processes->pid_max < processes->threads_max ? processes->pid_max : processes->threads_max;
	if (!processes->cut)
		add_node(listing, CAPACITY_PIDS, processes->threads, threads_full);
	add_node(listing, CAPACITY_FILES, processes->files_allocated, processes->files_max);
}

/* The host's reader of node_exporter's families has the figures, where the module is loaded. */
static void list_conntrack(struct listing *listing)
{
	struct series_cursor blocks = series_begin(&listing->snap->series), families, samples;
	const struct series_block *block;
	const struct series_sample *sample;
	const char *name, *help, *strings[2 * SERIES_MAX_LABELS];
	uint64_t used = UNKNOWN, full = UNKNOWN;
	while ((block = series_next_block(&blocks, &families))) {
		if (block->source != SERIES_CONNTRACK || block->measured_ns + block->fresh_for_ns < listing->snap->boot_ns)
			continue;
		while (series_next_family(&families, &name, &help, &samples)) {
			bool limit = strcmp(name, "node_nf_conntrack_entries_limit") == 0;
			if (!limit && strcmp(name, "node_nf_conntrack_entries") != 0)
				continue;
			sample = series_next_sample(&samples, strings);
			if (sample && sample->value >= 0 && sample->value < 1e15)
				*(limit ? &full : &used) = (uint64_t)sample->value;
		}
	}
	add_node(listing, CAPACITY_CONNTRACK, used, full);
}

/* Of mounts of one device only the first: they fill together. */
static bool is_another_mount(const struct filesystem_section *section, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (section->each[i].dev == section->each[index].dev && !section->each[i].read_only)
			return true;
	return false;
}

static void list_filesystems(struct listing *listing)
{
	const struct filesystem_section *section = &listing->snap->filesystems;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct filesystem *fs = &section->each[i];
		if (fs->read_only || !snapshot_is_fresh(listing->snap, fs->measured_ns) || is_another_mount(section, i))
			continue;
		struct capacity capacity = { .name = fs->mountpoint, .identity = fs->dev, .dev = fs->dev, .filesystem = i };
		uint64_t used = less(fs->size, fs->free);
		capacity.resource = CAPACITY_FILESYSTEM;
		capacity.used = used;
		capacity.full = used == UNKNOWN ? UNKNOWN : used + fs->avail; /* as df says: the reserve is root's */
		add(listing, &capacity);
		capacity.resource = CAPACITY_INODES;
		capacity.used = less(fs->files, fs->files_free);
		capacity.full = fs->files;
		add(listing, &capacity);
	}
}

static bool reaches(uint64_t used, uint64_t full, uint32_t percent)
{
	return used != UNKNOWN && full != UNKNOWN && full && (double)used * 100 >= (double)full * percent;
}

static void list_cgroups(struct listing *listing)
{
	const struct cgroup_section *section = &listing->snap->cgroups;
	if (!snapshot_is_fresh(listing->snap, section->measured_ns))
		return;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct cgroup *cgroup = &section->each[i];
		struct capacity capacity = { .name = cgroup->path, .cgroup_id = cgroup->id };
		/* Page cache fills every limit and is given back at it; what the members hold is not. */
		uint64_t memory = cgroup->memory_current < cgroup->rss_bytes ? cgroup->memory_current : cgroup->rss_bytes;
		if (!cgroup->path[0])
			continue;
		capacity.resource = CAPACITY_CGROUP_MEMORY;
		capacity.used = memory;
		capacity.full = cgroup->memory_max;
		if (reaches(memory, cgroup->memory_max, WORTH_FOLLOWING_PERCENT))
			add(listing, &capacity);
		capacity.resource = CAPACITY_CGROUP_PIDS;
		capacity.used = cgroup->pids_current;
		capacity.full = cgroup->pids_max;
		if (reaches(cgroup->pids_current, cgroup->pids_max, WORTH_FOLLOWING_PERCENT))
			add(listing, &capacity);
	}
}

static void list_processes(struct listing *listing)
{
	const struct process_section *section = &listing->snap->processes;
	if (!snapshot_is_fresh(listing->snap, section->measured_ns))
		return;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct process *process = &section->each[i];
		if (process->files == FILES_UNKNOWN || !reaches(process->files, process->files_max, PROCESS_WORTH_PERCENT))
			continue;
		add(listing, &(struct capacity){
			.resource = CAPACITY_PROCESS_FILES, .name = process->comm, .identity = process->start_ns, .pid = process->pid,
			.start_ns = process->start_ns, .cgroup_id = process->cgroup_id, .used = process->files, .full = process->files_max,
		});
	}
}

uint32_t capacity_list(const struct snapshot *snap, struct capacity ret[MAX_CAPACITIES], uint32_t *ret_cut)
{
	static void (*const lists[])(struct listing *listing) = {
		list_memory, list_node, list_conntrack, list_filesystems, list_cgroups, list_processes,
	};
	struct listing listing = { .snap = snap, .each = ret };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		lists[i](&listing);
	*ret_cut = listing.cut;
	return listing.count;
}
