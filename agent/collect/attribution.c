/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See attribution.h. Each node figure is counted by the kernel at the very place where it charges the task:
 *
 *   cpu      user, nice and system time of /proc/stat. Idle, iowait, steal and the time of interrupts are nobody's; kernel threads
 *            are members of the root cgroup like others. The kernel may sample these times at ticks while tasks are charged exactly.
 *   read     pgpgin: submit_bio() adds a read to it and to its task, in one line.
 *   written  nr_dirtied: folio_account_dirtied() adds a page to it and to its task. Direct writes are charged to tasks alone, so with
 *            them the groups have more than the node.
 */
#include "collect/attribution.h"

#include <stdlib.h>
#include <unistd.h>

enum { SAMPLES = 64 };
#define WINDOW_NS (60 * NSEC_PER_SEC)

struct sample {
	uint64_t at_ns;
	struct attribution of[ATTRIBUTED_COUNT];
};

struct attribution_window {
	uint32_t first, count;
	struct sample samples[SAMPLES];
};

struct attribution_window *attribution_new(void)
{
	return calloc(1, sizeof(struct attribution_window));
}

void attribution_free(struct attribution_window *window)
{
	free(window);
}

static void read_node(const struct snapshot *snap, struct sample *sample)
{
	const struct cpu_times *times = &snap->cpu.total;
	bool cpu = snap->cpu.measured_ns == snap->boot_ns, memory = snap->memory.measured_ns == snap->boot_ns;
	uint64_t pages = memory ? snap->memory.nr_dirtied : UNKNOWN, kib = memory ? snap->memory.pgpgin : UNKNOWN;

	/* Guests' time is in user and nice already. */
	sample->of[ATTRIBUTED_CPU].node = cpu ? times->user_ns + times->nice_ns + times->system_ns : UNKNOWN;
	sample->of[ATTRIBUTED_READ].node = kib == UNKNOWN ? UNKNOWN : kib * 1024;
	sample->of[ATTRIBUTED_WRITTEN].node = pages == UNKNOWN ? UNKNOWN : pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_groups(struct sample *sample, const union usage *used)
{
	sample->of[ATTRIBUTED_CPU].groups += used->cpu_ns;
	sample->of[ATTRIBUTED_READ].groups += used->read_bytes;
	sample->of[ATTRIBUTED_WRITTEN].groups += used->written_bytes;
}

static const struct sample *push(struct attribution_window *window, const struct sample *sample)
{
	while (window->count == SAMPLES || (window->count && window->samples[window->first].at_ns + WINDOW_NS < sample->at_ns)) {
		window->first = (window->first + 1) % SAMPLES;
		window->count--;
	}
	window->samples[(window->first + window->count++) % SAMPLES] = *sample;
	return &window->samples[window->first];
}

void attribution_fill(struct attribution_window *window, struct snapshot *snap)
{
	struct sample now = { .at_ns = snap->boot_ns };

	read_node(snap, &now);
	add_groups(&now, &snap->cgroups.rest_used);
	for (uint32_t i = 0; i < snap->cgroups.count; i++)
		add_groups(&now, &snap->cgroups.each[i].used);

	const struct sample *base = push(window, &now);
	for (int i = 0; i < ATTRIBUTED_COUNT; i++) {
		bool known = base->at_ns != now.at_ns && now.of[i].node != UNKNOWN && base->of[i].node != UNKNOWN;

		snap->processes.attribution[i] = (struct attribution){
			.node = known ? now.of[i].node - base->of[i].node : UNKNOWN, .groups = now.of[i].groups - base->of[i].groups,
		};
	}
}
