/* SPDX-License-Identifier: Apache-2.0 */
/* Time in soft interrupts by vector, and in the handlers of devices by line. The kernel's figures only grow; names come from sysfs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/procfs.h"
#include "irq.skel.h"

enum { WALK_BYTES = 64 * 1024, NESTING_WORDS = 4, NAME_TICKS = 60 };

/* The exits first: what is seen to begin is then seen to end. */
enum { LINK_SOFTIRQ_EXIT, LINK_HANDLER_EXIT, LINK_SOFTIRQ_ENTRY, LINK_HANDLER_ENTRY, LINK_COUNT };

struct irq_state {
	struct irq_bpf *skel;
	struct bpf_link *links[LINK_COUNT];
	struct object_walk walk;
	int sys_fd;
	bool attached;
	uint32_t ticks;
	struct irq_section *into;    /* while a walk fills it */
	struct irq before[MAX_IRQS]; /* the rows of the last tick, for their names */
};

static void detach(struct irq_state *state)
{
	for (int i = 0; i < LINK_COUNT; i++) {
		bpf_link__destroy(state->links[i]);
		state->links[i] = NULL;
	}
	state->attached = false;
}

static void close_irq(void *state_)
{
	struct irq_state *state = state_;

	if (!state)
		return;
	detach(state);
	object_close(irq, state->skel);
	object_walk_free(&state->walk);
	if (state->sys_fd >= 0)
		close(state->sys_fd);
	free(state);
}

/* What a CPU was in the middle of when we last detached has long ended. */
static int forget_nesting(const struct irq_state *state)
{
	uint32_t zero = 0;

	memset(state->walk.buffer, 0, (size_t)state->walk.cpus * NESTING_WORDS * sizeof(uint64_t));
	return bpf_map_update_elem(bpf_map__fd(state->skel->maps.nestings), &zero, state->walk.buffer, BPF_ANY) ? -errno : 0;
}

static int attach(struct irq_state *state, char *why)
{
	struct bpf_program *const programs[LINK_COUNT] = {
		[LINK_SOFTIRQ_EXIT] = state->skel->progs.on_softirq_exit, [LINK_HANDLER_EXIT] = state->skel->progs.on_handler_exit,
		[LINK_SOFTIRQ_ENTRY] = state->skel->progs.on_softirq_entry, [LINK_HANDLER_ENTRY] = state->skel->progs.on_handler_entry,
	};
	int error = forget_nesting(state);

	for (int i = 0; !error && i < LINK_COUNT; i++)
		error = object_attach(programs[i], &state->links[i], why, WHY_LEN);
	if (error)
		detach(state);
	else
		state->attached = true;
	return error;
}

static int load(struct irq_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	int error = object_walk_init(&state->walk, WALK_BYTES);
	if (error)
		return error;
	state->sys_fd = fcntl(env->sys_fd, F_DUPFD_CLOEXEC, 3);
	state->skel = irq_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	error = object_load(state->skel->obj, why, WHY_LEN);
	return error ? error : attach(state, why);
}

static int open_irq(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct irq_state *state = calloc(1, sizeof(*state));
	char why[WHY_LEN] = "";
	int error = -ENOMEM;

	if (state) {
		state->sys_fd = -1;
		error = load(state, env, why);
	}
	if (error) {
		close_irq(state);
		return collector_down(status, error, why);
	}
	collector_up(status, COLLECTOR_UP, "tp_btf", state->skel->obj);
	*ret_state = state;
	return 0;
}

static void take_irq(const void *key, const void *value, void *state_)
{
	const struct irq_state *state = state_;
	struct irq_section *section = state->into;
	const struct irq_cost *costs = value;

	if (section->count == MAX_IRQS) {
		section->cut++;
		return;
	}
	struct irq *row = &section->each[section->count++];
	*row = (struct irq){ .irq = *(const uint32_t *)key };
	for (uint32_t cpu = 0; cpu < state->walk.cpus; cpu++) {
		row->cost.count += costs[cpu].count;
		row->cost.ns += costs[cpu].ns;
	}
}

static int compare_irq(const void *a, const void *b)
{
	uint32_t left = ((const struct irq *)a)->irq, right = ((const struct irq *)b)->irq;
	return (left > right) - (left < right);
}

/* "virtio3-rx", or several by commas where devices share the line; no name is none, and the number stands for itself. */
static void read_name(const struct irq_state *state, struct irq *row)
{
	char path[48];

	snprintf(path, sizeof(path), "kernel/irq/%u/actions", row->irq);
	ssize_t length = procfs_read_at(state->sys_fd, path, row->name, sizeof(row->name));
	row->name[length > 0 ? strcspn(row->name, "\n") : 0] = '\0';
}

/* A line's handlers change with its driver: names are read when a line first fires, and all again now and then. */
static void name_rows(struct irq_state *state, uint32_t count)
{
	bool again = state->ticks++ % NAME_TICKS == 0;

	for (uint32_t i = 0; i < state->into->count; i++) {
		struct irq *row = &state->into->each[i];
		const struct irq *known = again ? NULL : bsearch(row, state->before, count, sizeof(state->before[0]), compare_irq);

		if (known)
			memcpy(row->name, known->name, sizeof(row->name));
		else
			read_name(state, row);
	}
}

static int read_irqs(struct irq_state *state, struct irq_section *section)
{
	uint32_t count = section->count;

	memcpy(state->before, section->each, count * sizeof(state->before[0]));
	section->count = section->cut = 0;
	state->into = section;
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.irqs), take_irq, state);
	if (error)
		return error;
	qsort(section->each, section->count, sizeof(section->each[0]), compare_irq);
	name_rows(state, count);
	return 0;
}

static int collect_irq(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct irq_state *state = state_;
	union {
		struct softirq_costs costs;
		uint64_t words[SOFTIRQ_COSTS];
	} sums;

	(void)full;
	if (!state->attached)
		return 0;
	int error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.softirqs), 0, sums.words, SOFTIRQ_COSTS);
	if (!error)
		error = read_irqs(state, &snap->irqs);
	if (error)
		return error;
	memcpy(snap->irqs.softirqs, sums.costs.each, sizeof(snap->irqs.softirqs));
	status->events_lost = sums.costs.lost_irqs + snap->irqs.cut + object_missed(state->skel->obj);
	snap->irqs.measured_ns = snap->boot_ns;
	return 0;
}

/* It keeps no histograms: counts and seconds, or nothing. */
static int set_depth(void *state_, enum depth depth)
{
	struct irq_state *state = state_;
	char why[WHY_LEN];

	if (depth == DEPTH_OFF)
		detach(state);
	else if (!state->attached)
		return attach(state, why);
	return 0;
}

const struct collector collector_irq = {
	.name = "irq",
	.id = COLLECTOR_IRQ,
	.open = open_irq,
	.collect = collect_irq,
	.close = close_irq,
	.set_depth = set_depth,
};
