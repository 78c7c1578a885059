/* SPDX-License-Identifier: Apache-2.0 */
/* See recorder.h. */
#include "measure/recorder.h"

#include <stdlib.h>
#include <string.h>

/* A tick that comes a little early is not left for the next. */
#define PICTURE_NS (NSEC_PER_SEC - 50 * NSEC_PER_MSEC)

struct recorder {
	uint64_t seen_kills, taken_ns, taken;
	struct recorded_tick each[RECORDED_TICKS];
};

struct recorder *recorder_new(void)
{
	return calloc(1, sizeof(struct recorder));
}

void recorder_free(struct recorder *recorder)
{
	free(recorder);
}

/* --- a picture -------------------------------------------------------------------------------------------------------- */

static int64_t size_of(const struct process *process)
{
	return (int64_t)process->rss_bytes;
}

static int64_t growth_of(const struct process *process)
{
	return process->rss_growing_bytes;
}

/* Keeps the largest few, the largest first; nobody is there for nothing. */
static uint32_t rank(const struct process_section *section, int64_t (*key)(const struct process *), struct recorded_process *ret)
{
	const struct process *best[RECORDED_PROCESSES];
	uint32_t count = 0;

	for (uint32_t i = 0; i < section->count; i++) {
		const struct process *process = &section->each[i];
		int64_t value = key(process);
		uint32_t at;

		if (value <= 0 || (count == RECORDED_PROCESSES && value <= key(best[count - 1])))
			continue;
		at = count < RECORDED_PROCESSES ? count++ : count - 1;
		for (; at && key(best[at - 1]) < value; at--)
			best[at] = best[at - 1];
		best[at] = process;
	}
	for (uint32_t i = 0; i < count; i++) {
		ret[i] = (struct recorded_process){
			.cgroup_id = best[i]->cgroup_id, .rss_bytes = best[i]->rss_bytes, .growing_bytes = best[i]->rss_growing_bytes,
			.pid = best[i]->pid,
		};
		memcpy(ret[i].comm, best[i]->comm, sizeof(ret[i].comm));
	}
	return count;
}

static void take_picture(struct recorder *recorder, const struct snapshot *snap)
{
	struct recorded_tick *tick = &recorder->each[recorder->taken++ % RECORDED_TICKS];
	bool memory = snapshot_is_fresh(snap, snap->memory.measured_ns), pressure = snapshot_is_fresh(snap, snap->psi.measured_ns);

	*tick = (struct recorded_tick){
		.boot_ns = snap->boot_ns,
		.wall_ns = snap->wall_ns,
		.available_bytes = memory ? snap->memory.available : UNKNOWN,
		.free_bytes = memory ? snap->memory.free : UNKNOWN,
		.swap_free_bytes = memory ? snap->memory.swap_free : UNKNOWN,
		.some_permille = pressure ? snap->psi.some[PSI_MEMORY].interval_permille : UINT32_MAX,
		.full_permille = pressure ? snap->psi.full[PSI_MEMORY].interval_permille : UINT32_MAX,
	};
	if (snapshot_is_fresh(snap, snap->processes.measured_ns)) {
		tick->largest_count = rank(&snap->processes, size_of, tick->largest);
		tick->growing_count = rank(&snap->processes, growth_of, tick->growing);
	}
	recorder->taken_ns = snap->boot_ns;
}

/* --- freezing --------------------------------------------------------------------------------------------------------- */

/* The `fresh` newest OOM kills among the events that are kept: first to last. */
static bool find_kills(const struct event_section *events, uint64_t fresh, struct recording *ret)
{
	uint64_t oldest = events->total > MAX_EVENTS ? events->total - MAX_EVENTS + 1 : 1;

	ret->last_seq = 0;
	for (uint64_t seq = events->total; seq >= oldest && fresh; seq--) {
		const struct event *event = &events->each[seq % MAX_EVENTS];

		if (event->kind != EVENT_OOM_KILL)
			continue;
		if (!ret->last_seq)
			ret->last_seq = seq;
		ret->first_seq = seq;
		ret->at_ns = event->at_ns;
		fresh--;
	}
	return ret->last_seq != 0;
}

static void freeze(const struct recorder *recorder, const struct event_section *events, uint64_t fresh, struct recording_section *section)
{
	struct recording *recording = &section->each[section->total % MAX_RECORDINGS];
	uint64_t first = recorder->taken > RECORDED_TICKS ? recorder->taken - RECORDED_TICKS : 0;

	if (!find_kills(events, fresh, recording))
		return;
	recording->count = 0;
	for (uint64_t i = first; i < recorder->taken; i++)
		recording->each[recording->count++] = recorder->each[i % RECORDED_TICKS];
	section->total++;
}

/* Frozen first: the picture of this tick shows the node after the kill. */
void recorder_tick(struct recorder *recorder, const struct snapshot *snap, struct recording_section *section)
{
	uint64_t kills = snap->events.by_kind[EVENT_OOM_KILL];

	if (kills > recorder->seen_kills)
		freeze(recorder, &snap->events, kills - recorder->seen_kills, section);
	recorder->seen_kills = kills;
	if (!recorder->taken || snap->boot_ns - recorder->taken_ns >= PICTURE_NS)
		take_picture(recorder, snap);
}

const struct recording *recorder_find(const struct recording_section *section, uint64_t event_seq)
{
	for (uint32_t i = 0; i < MAX_RECORDINGS && i < section->total; i++)
		if (section->each[i].first_seq <= event_seq && event_seq <= section->each[i].last_seq)
			return &section->each[i];
	return NULL;
}
