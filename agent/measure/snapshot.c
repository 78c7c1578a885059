/* SPDX-License-Identifier: Apache-2.0 */
/* Copying and looking things up in a snapshot; see include/snapshot.h. */
#include "snapshot.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * A section is a head and an array of which only `count` entries are in use. `from` may lie in the ring while its writer is at
 * work: the count is read once and held to the array's size, and the reader throws a torn copy away.
 */
#define COPY_SECTION(member)                                                                                                               \
	do {                                                                                                                               \
		uint32_t count = *(const volatile uint32_t *)&from->member.count;                                                          \
		uint32_t most = sizeof(from->member.each) / sizeof(from->member.each[0]);                                                  \
		count = count < most ? count : most;                                                                                       \
		memcpy(&to->member, &from->member, (size_t)((const char *)&from->member.each[count] - (const char *)&from->member));       \
		to->member.count = count;                                                                                                  \
	} while (0)

/* Those that were ever written: a ring that has not come round yet is short. */
static void copy_events(struct event_section *to, const struct event_section *from)
{
	uint64_t total = *(const volatile uint64_t *)&from->total;
	size_t used = total < MAX_EVENTS ? (size_t)total + 1 : MAX_EVENTS;

	memcpy(to, from, offsetof(struct event_section, each) + used * sizeof(from->each[0]));
}

/* The ticks of those that were ever made. */
static void copy_recordings(struct recording_section *to, const struct recording_section *from)
{
	uint64_t total = *(const volatile uint64_t *)&from->total;

	to->total = total;
	for (uint32_t i = 0; i < MAX_RECORDINGS && i < total; i++) {
		const struct recording *recording = &from->each[i];
		uint32_t count = *(const volatile uint32_t *)&recording->count;

		count = count < RECORDED_TICKS ? count : RECORDED_TICKS;
		memcpy(&to->each[i], recording, offsetof(struct recording, each) + count * sizeof(recording->each[0]));
		to->each[i].count = count;
	}
}

void snapshot_copy(struct snapshot *to, const struct snapshot *from)
{
	memcpy(to, from, offsetof(struct snapshot, filesystems));
	COPY_SECTION(filesystems);
	COPY_SECTION(writers);
	COPY_SECTION(growth);
	COPY_SECTION(block_devices);
	COPY_SECTION(block_stats);
	COPY_SECTION(block_groups);
	COPY_SECTION(fsops);
	COPY_SECTION(fsop_groups);
	COPY_SECTION(deleted);
	COPY_SECTION(disks);
	COPY_SECTION(interfaces);
	COPY_SECTION(syscalls);
	COPY_SECTION(sched);
	COPY_SECTION(preemptions);
	COPY_SECTION(deep_waits);
	COPY_SECTION(bandwidths);
	COPY_SECTION(irqs);
	COPY_SECTION(syscall_errors);
	COPY_SECTION(syscall_cgroups);
	COPY_SECTION(syscall_in_flight);
	COPY_SECTION(syscall_deep);
	COPY_SECTION(units);
	COPY_SECTION(programs);
	COPY_SECTION(maps);
	to->self = from->self;
	to->governor = from->governor;
	to->engine = from->engine;
	COPY_SECTION(oom);
	to->kills = from->kills;
	COPY_SECTION(reclaim);
	COPY_SECTION(pagecache);
	copy_recordings(&to->recordings, &from->recordings);
	copy_events(&to->events, &from->events);
	to->changes = from->changes;
	COPY_SECTION(sockets);
	COPY_SECTION(socket_cgroups);
	COPY_SECTION(tcp);
	COPY_SECTION(peers);
	COPY_SECTION(listeners);
	COPY_SECTION(drops);
	COPY_SECTION(drop_devices);
	COPY_SECTION(dns);
	COPY_SECTION(dependencies);
	COPY_SECTION(bottleneck);
	COPY_SECTION(outlook);
	COPY_SECTION(identities);
	COPY_SECTION(anomaly);
	COPY_SECTION(crashes);
	COPY_SECTION(life);
	COPY_SECTION(logs);
	COPY_SECTION(cgroups);
	to->cgroups.rest_used = from->cgroups.rest_used;
	to->cgroups.rest_lives = from->cgroups.rest_lives;

	/* The totals stand behind the array. */
	COPY_SECTION(processes);
	size_t tail = offsetof(struct process_section, lives);
	memcpy((char *)&to->processes + tail, (const char *)&from->processes + tail, sizeof(to->processes) - tail);
	COPY_SECTION(series);
}

static int compare_pid(const void *key, const void *row)
{
	int32_t pid = *(const int32_t *)key, other = ((const struct process *)row)->pid;
	return (pid > other) - (pid < other);
}

const struct process *snapshot_process(const struct snapshot *snap, int32_t pid)
{
	return bsearch(&pid, snap->processes.each, snap->processes.count, sizeof(snap->processes.each[0]), compare_pid);
}

static int compare_cgroup(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct cgroup *)row)->id;
	return (id > other) - (id < other);
}

const struct cgroup *snapshot_cgroup(const struct snapshot *snap, uint64_t id)
{
	return bsearch(&id, snap->cgroups.each, snap->cgroups.count, sizeof(snap->cgroups.each[0]), compare_cgroup);
}

static int compare_identity(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct cgroup_identity *)row)->id;
	return (id > other) - (id < other);
}

const struct cgroup_identity *snapshot_identity(const struct snapshot *snap, uint64_t cgroup_id)
{
	return bsearch(&cgroup_id, snap->identities.each, snap->identities.count, sizeof(snap->identities.each[0]), compare_identity);
}

static int compare_gone(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct cgroup_gone *)row)->id;
	return (id > other) - (id < other);
}

bool snapshot_cgroup_gone(const struct snapshot *snap, uint64_t id)
{
	const struct cgroup_section *section = &snap->cgroups;
	return bsearch(&id, section->gone, section->gone_count, sizeof(section->gone[0]), compare_gone) != NULL;
}

uint64_t decay_recent(uint64_t recent, uint64_t elapsed_ns, uint64_t delta)
{
	if (!recent)
		return delta;
	return (uint64_t)((double)recent * exp2(-(double)elapsed_ns / (double)RECENT_HALF_LIFE_NS)) + delta;
}
