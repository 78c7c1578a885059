/* SPDX-License-Identifier: Apache-2.0 */
/* See held.h. */
#include "collect/held.h"

#include <stdlib.h>
#include <string.h>

/* Below a second it is what disks and locks do all day. */
#define HELD_SHOWN_NS NSEC_PER_SEC

void held_init(struct held *held)
{
	held->before = held->lists[0];
	held->now = held->lists[1];
	held->before_count = held->count = 0;
}

void held_begin(struct held *held, uint64_t boot_ns, uint64_t interval_ns)
{
	struct held_one *old = held->before;
	uint64_t since_ns = boot_ns - held->boot_ns;

	held->gap_ns = since_ns > 3 * interval_ns ? since_ns : 0;

	held->before = held->now;
	held->before_count = held->count;
	held->now = old;
	held->count = 0;
	held->boot_ns = boot_ns;
}

static int compare_tid(const void *a, const void *b)
{
	int32_t left = ((const struct held_one *)a)->tid, right = ((const struct held_one *)b)->tid;
	return (left > right) - (left < right);
}

void held_take(struct held *held, const struct thread_record *record)
{
	if (!record->tid || held->count == HELD_THREADS)
		return;
	struct held_one *one = &held->now[held->count++];
	*one = (struct held_one){
		.pid = record->pid, .tid = record->tid, .start_ns = record->start_ns, .switches = record->switches, .since_ns = held->boot_ns,
	};
	const struct held_one *was = bsearch(one, held->before, held->before_count, sizeof(*one), compare_tid);
	if (was && was->pid == one->pid && was->start_ns == one->start_ns && was->switches == one->switches)
		one->since_ns = was->since_ns + held->gap_ns;
}

void held_end(struct held *held)
{
	qsort(held->now, held->count, sizeof(held->now[0]), compare_tid);
}

void held_begin_rows(struct process_section *section)
{
	section->held_count = section->held_cut = section->hung_10s = section->hung_120s = 0;
}

static struct held_thread *find_row(struct process_section *section, const struct process *process)
{
	for (uint32_t i = 0; i < section->held_count; i++)
		if (section->held[i].cgroup_id == process->cgroup_id && !memcmp(section->held[i].comm, process->comm, COMM_LEN))
			return &section->held[i];
	return NULL;
}

/* Takes its place among the longer and the shorter; the shortest falls off a full table. */
static void place_row(struct process_section *section, const struct held_thread *row)
{
	uint32_t at = section->held_count;

	if (section->held_count == MAX_HELD) {
		section->held_cut++;
		if (section->held[--at].held_ns >= row->held_ns)
			return;
	} else {
		section->held_count++;
	}
	for (; at && section->held[at - 1].held_ns < row->held_ns; at--)
		section->held[at] = section->held[at - 1];
	section->held[at] = *row;
}

void held_add_row(struct process_section *section, const struct process *process, const struct held_one *one, uint64_t boot_ns)
{
	struct held_thread row = { .pid = one->pid, .tid = one->tid, .cgroup_id = process->cgroup_id, .held_ns = boot_ns - one->since_ns };
	struct held_thread *before = find_row(section, process);

	section->hung_10s += row.held_ns >= 10 * NSEC_PER_SEC;
	section->hung_120s += row.held_ns >= 120 * NSEC_PER_SEC;
	if (row.held_ns < HELD_SHOWN_NS || (before && before->held_ns >= row.held_ns))
		return;
	memcpy(row.comm, process->comm, sizeof(row.comm));
	if (before) {
		size_t behind = (size_t)(&section->held[section->held_count] - before - 1);

		memmove(before, before + 1, behind * sizeof(*before));
		section->held_count--;
	}
	place_row(section, &row);
}
