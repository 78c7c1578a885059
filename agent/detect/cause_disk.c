/* SPDX-License-Identifier: Apache-2.0 */
/* Who fills a filesystem, by what was made on it lately, and who has requests at a disk. */
#include <stdio.h>
#include <string.h>

#include "detect/cause.h"

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

void rank_writers(struct ranking *ranking)
{
	const struct writer_section *writers = &ranking->snap->writers;
	for (uint32_t i = 0; i < writers->count; i++) {
		const struct writer *writer = &writers->each[i];
		if (writer->dev != ranking->finding->target.dev || !writer->bytes_recent)
			continue;
		struct cause *cause = ranking_place(ranking, (double)writer->bytes_recent, (double)writer->bytes_recent);
		if (!cause)
			continue;
		cause->pid = writer->pid;
		cause->start_ns = writer->start_ns;
		memcpy(cause->comm, writer->comm, sizeof(cause->comm));
		cause->comm[sizeof(cause->comm) - 1] = '\0';
		ranking_name_group(ranking->snap, writer->cgroup_id, cause);
		const struct process *process = snapshot_process(ranking->snap, writer->pid);
		bool lives = process && process->start_ns == writer->start_ns;
		snprintf(cause->evidence, sizeof(cause->evidence), "wrote %.1f MiB lately, %.1f MiB since it was first seen%s", mib(writer->bytes_recent),
			 mib(writer->bytes_total), lives ? "" : "; it has ended");
	}
}

/* A cgroup has a row for each operation and source: they are added up at its first one. */
static uint64_t recent_of(const struct block_group_section *groups, uint32_t dev, uint64_t cgroup_id, uint32_t from)
{
	uint64_t bytes = 0;
	for (uint32_t i = from; i < groups->count; i++)
		if (groups->each[i].dev == dev && groups->each[i].cgroup_id == cgroup_id)
			bytes += groups->each[i].recent_bytes;
	return bytes;
}

static bool was_before(const struct block_group_section *groups, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++)
		if (groups->each[i].dev == groups->each[at].dev && groups->each[i].cgroup_id == groups->each[at].cgroup_id)
			return true;
	return false;
}

bool rank_disk_users(struct ranking *ranking, uint32_t dev)
{
	const struct block_group_section *groups = &ranking->snap->block_groups;
	for (uint32_t i = 0; i < groups->count; i++) {
		const struct block_group *group = &groups->each[i];
		if (group->dev != dev || !group->cgroup_id || was_before(groups, i))
			continue;
		uint64_t bytes = recent_of(groups, dev, group->cgroup_id, i);
		struct cause *cause = bytes ? ranking_place(ranking, (double)bytes, (double)bytes) : NULL;
		if (!cause)
			continue;
		ranking_name_group(ranking->snap, group->cgroup_id, cause);
		snprintf(cause->evidence, sizeof(cause->evidence), "had %.1f MiB of requests at this disk lately", mib(bytes));
	}
	return ranking->count > 0;
}
