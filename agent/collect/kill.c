/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fatal signals: the records of the ring become events and are counted by who is credited. A record that was lost still counts, by the
 * kernel's own sums, as of an unknown killer. Notes of signals that never proved fatal are pruned when their target is gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "kill.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	EVENTS_A_TICK = 128,            /* of 512 that are kept: a storm must not push out everybody else's */
	MAX_DEAD = 256,                 /* notes pruned at one tick */
};
#define YOUNG_NS (5 * NSEC_PER_SEC)

struct kill_state {
	struct kill_bpf *skel;
	struct bpf_link *generate, *deliver;
	struct ring_buffer *ring;
	struct object_walk walk;
	struct snapshot *snap;          /* of this tick */
	uint32_t told;                  /* in this tick */
	uint64_t untold;                /* records without an event, by the bound */
	uint32_t dead_count;
	struct fatal_life dead[MAX_DEAD];
};

static void close_kill(void *state_)
{
	struct kill_state *state = state_;

	if (!state)
		return;
	ring_buffer__free(state->ring);
	bpf_link__destroy(state->generate);
	bpf_link__destroy(state->deliver);
	object_close(kill, state->skel);
	object_walk_free(&state->walk);
	free(state);
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

static const char *unit_of(const struct snapshot *snap, uint64_t cgroup_id)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, cgroup_id);
	return cgroup ? cgroup->unit : "";
}

/* The agent itself, or one of its workers, which are its children. */
static bool is_ours(const struct snapshot *snap, const struct party *party)
{
	const struct process *process;

	if (party->pid == getpid())
		return true;
	process = snapshot_process(snap, party->pid);
	return process && process->ppid == getpid() && process->start_ns == party->start_ns;
}

static void add_event(struct kill_state *state, const struct fatal_record *record, enum killer killer)
{
	if (state->told == EVENTS_A_TICK) {
		state->untold++;
		return;
	}
	struct event *event = event_add(&state->snap->events, EVENT_FATAL_SIGNAL);
	state->told++;
	event->at_ns = record->at_ns;
	event->cgroup_id = record->target.cgroup_id;
	event->pid = record->target.pid;
	event->uid = record->target.uid;
	memcpy(event->comm, record->target.comm, sizeof(event->comm));
	event->of.fatal = (struct fatal_signal){ .record = *record, .killer = killer };
}

static int take_record(void *state_, void *data, size_t size)
{
	struct kill_state *state = state_;
	struct fatal_record record;

	if (size != sizeof(record))
		return 0;
	memcpy(&record, data, sizeof(record));
	if (record.signal >= SIGNAL_NUMBERS)
		return 0;
	enum killer killer = killer_of(&record, unit_of(state->snap, record.sender.cgroup_id), is_ours(state->snap, &record.sender));
	state->snap->kills.ended[killer][record.signal]++;
	add_event(state, &record, killer);
	return 0;
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static int load(struct kill_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->skel = kill_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->pidns_inode = object_pidns(env);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	/* Delivery first: what is noted is then sure to be taken. */
	if (!error)
		error = object_attach(state->skel->progs.on_deliver, &state->deliver, why, WHY_LEN);
	if (!error)
		error = object_attach(state->skel->progs.on_generate, &state->generate, why, WHY_LEN);
	if (error)
		return error;
	state->ring = ring_buffer__new(bpf_map__fd(state->skel->maps.fatal_signals), take_record, state, NULL);
	return state->ring ? 0 : -errno;
}

static int open_kill(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct kill_state *state = calloc(1, sizeof(*state));
	char why[WHY_LEN] = "";
	int error = -ENOMEM;

	if (!state || object_walk_init(&state->walk, WALK_BYTES))
		goto fail;
	error = load(state, env, why);
	if (error)
		goto fail;
	collector_up(status, COLLECTOR_UP, "tp_btf", state->skel->obj);
	*ret_state = state;
	return 0;

fail:
	close_kill(state);
	return collector_down(status, error, why);
}

/* --- pruning ---------------------------------------------------------------------------------------------------------- */

static void find_dead(const void *key, const void *value, void *state_)
{
	struct kill_state *state = state_;
	const struct snapshot *snap = state->snap;
	const struct fatal_life *life = key;
	const struct fatal_notes *notes = value;
	const struct process *process = snapshot_process(snap, notes->pid);

	/* One whose note is younger than the walk may have been born after it. */
	if ((process && process->start_ns == life->start_ns) || notes->each[0].sent_ns + YOUNG_NS > snap->processes.measured_ns)
		return;
	if (state->dead_count < MAX_DEAD)
		state->dead[state->dead_count++] = *life;
}

static void prune(struct kill_state *state)
{
	int fd = bpf_map__fd(state->skel->maps.fatal_notes);

	state->dead_count = 0;
	if (!snapshot_is_fresh(state->snap, state->snap->processes.measured_ns) || state->snap->processes.cut)
		return;
	if (object_walk_map(&state->walk, fd, find_dead, state))
		return; /* the next tick will do */
	for (uint32_t i = 0; i < state->dead_count; i++)
		(void)bpf_map_delete_elem(fd, &state->dead[i]);
}

/* --- collecting ------------------------------------------------------------------------------------------------------- */

static int collect_kill(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct kill_state *state = state_;
	struct fatal_count counts[SIGNAL_NUMBERS];
	uint64_t notes_lost, lost = 0;
	uint32_t zero = 0;

	state->snap = snap;
	state->told = 0;
	int error = ring_buffer__consume(state->ring);
	if (error < 0)
		return error;
	if (bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.fatal_counts), &zero, counts) ||
	    bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.notes_lost), &zero, &notes_lost))
		return -errno;

	for (int signal = 0; signal < SIGNAL_NUMBERS; signal++) {
		snap->kills.ended[KILLER_UNKNOWN][signal] = counts[signal].lost;
		lost += counts[signal].lost;
	}
	if (full)
		prune(state);
	status->events_lost = lost + notes_lost + state->untold + object_missed(state->skel->obj);
	snap->kills.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_kill = {
	.name = "kill",
	.id = COLLECTOR_KILL,
	.fast = true,
	.open = open_kill,
	.collect = collect_kill,
	.close = close_kill,
};
