/* SPDX-License-Identifier: Apache-2.0 */
/* See process_states.h. */
#include "collect/process_states.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ZOMBIES = 4096 }; /* beyond them zombies are counted, but have no parent */

static int compare_pid(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
	return (left > right) - (left < right);
}

static void place_parent(struct process_section *section, const struct zombie_parent *parent)
{
	uint32_t at = section->zombie_parent_count;

	if (section->zombie_parent_count < MAX_ZOMBIE_PARENTS)
		section->zombie_parent_count++;
	else if (section->zombie_parents[--at].zombies >= parent->zombies)
		return;
	for (; at && section->zombie_parents[at - 1].zombies < parent->zombies; at--)
		section->zombie_parents[at] = section->zombie_parents[at - 1];
	section->zombie_parents[at] = *parent;
}

static void name_parent(const struct process_section *section, struct zombie_parent *parent)
{
	const struct process *process = bsearch(&parent->pid, section->each, section->count, sizeof(section->each[0]), compare_pid);

	if (!process)
		return;
	parent->cgroup_id = process->cgroup_id;
	memcpy(parent->comm, process->comm, sizeof(parent->comm));
}

/* compare_pid() serves for rows, too: a row begins with its pid. */
_Static_assert(__builtin_offsetof(struct process, pid) == 0, "compare_pid() reads the first word of a row");

void process_states_fill(struct process_section *section)
{
	int32_t parents[MAX_ZOMBIES];
	uint32_t known = 0;

	memset(section->states, 0, sizeof(section->states));
	section->zombies = section->zombie_parent_count = 0;
	for (uint32_t i = 0; i < section->count; i++) {
		const struct process *process = &section->each[i];
		const char *letter = process->state ? strchr(PROCESS_STATES, process->state) : NULL;

		if (letter)
			section->states[letter - PROCESS_STATES]++;
		/* A leader that went before its threads is no zombie to its parent: it cannot be waited for yet. */
		if (process->state != 'Z' || process->threads > 1)
			continue;
		section->zombies++;
		if (known < MAX_ZOMBIES)
			parents[known++] = process->ppid;
	}

	qsort(parents, known, sizeof(parents[0]), compare_pid);
	for (uint32_t from = 0, to; from < known; from = to) {
		for (to = from + 1; to < known && parents[to] == parents[from]; to++)
			;
		struct zombie_parent parent = { .pid = parents[from], .zombies = to - from };
		name_parent(section, &parent);
		place_parent(section, &parent);
	}
}
