/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who filled the memory that the kernel then freed by force: by the flight recorder's last picture before the kill. After it the one that
 * grew is gone more often than not, and among those who are left there is always somebody who grew a little and is innocent.
 */
#include <stdio.h>
#include <string.h>

#include "detect/cause.h"

/* A kill older than this is another story than one that is told now: the kernel's line is read within a tick or two. */
#define RECENT_NS (30 * NSEC_PER_SEC)

static const struct recorded_tick *last_picture(const struct snapshot *snap)
{
	const struct recording_section *section = &snap->recordings;
	const struct recording *newest = section->total ? &section->each[(section->total - 1) % MAX_RECORDINGS] : NULL;
	bool recent = newest && newest->count && newest->at_ns <= snap->boot_ns && snap->boot_ns - newest->at_ns < RECENT_NS;

	return recent ? &newest->each[newest->count - 1] : NULL;
}

static void place(struct ranking *ranking, const struct recorded_process *process)
{
	bool ours = ranking->finding->target.type != TARGET_CGROUP || ranking_asks_for_group(ranking, process->cgroup_id);
	struct cause *cause = ours && process->growing_bytes > 0 ? ranking_place(ranking, (double)process->growing_bytes, (double)process->growing_bytes) : NULL;

	if (!cause)
		return;
	_Static_assert(sizeof(cause->comm) == sizeof(process->comm), "a name fits");
	cause->pid = process->pid;
	cause->rss_bytes = process->rss_bytes;
	memcpy(cause->comm, process->comm, sizeof(cause->comm));
	ranking_name_group(ranking->snap, process->cgroup_id, cause);
	snprintf(cause->evidence, sizeof(cause->evidence), "right before the kill it grew by %.1f MiB to %.1f MiB", (double)process->growing_bytes / (1 << 20),
		 (double)process->rss_bytes / (1 << 20));
}

bool rank_before_kill(struct ranking *ranking)
{
	const struct recorded_tick *picture = last_picture(ranking->snap);

	for (uint32_t i = 0; picture && i < picture->growing_count; i++)
		place(ranking, &picture->growing[i]);
	return ranking->count != 0;
}
