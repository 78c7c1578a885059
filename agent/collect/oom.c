/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OOM kills: the records of the ring become events and are counted by the victim's cgroup, whose name is kept. It runs before the walk
 * over the processes: where the kernel tells no more than a pid (before v6.9), the row of the last tick still says who that was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "oom.skel.h"

struct oom_state {
	struct oom_bpf *skel;
	struct bpf_link *link;
	struct ring_buffer *ring;
	struct snapshot *snap;          /* of this tick */
};

static void close_oom(void *state_)
{
	struct oom_state *state = state_;

	if (!state)
		return;
	ring_buffer__free(state->ring);
	bpf_link__destroy(state->link);
	object_close(oom, state->skel);
	free(state);
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

/* The split of its memory and its page tables stay unknown: they are read at the kill, or not at all. */
static void describe_by_last_tick(const struct snapshot *snap, struct oom_record *record)
{
	const struct process *process = snapshot_process(snap, record->victim.pid);

	if (record->described || !process)
		return;
	record->victim.start_ns = process->start_ns;
	record->victim.cgroup_id = process->cgroup_id;
	record->victim.uid = process->uid;
	record->oom_score_adj = process->oom_score_adj;
	memcpy(record->victim.comm, process->comm, sizeof(record->victim.comm));
}

static struct oom_row *row_of(struct oom_section *section, const struct oom_record *record)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].cgroup_id == record->victim.cgroup_id && section->each[i].scope == record->scope)
			return &section->each[i];
	if (section->count == MAX_OOM_ROWS)
		return NULL;
	section->each[section->count] = (struct oom_row){ .cgroup_id = record->victim.cgroup_id, .scope = record->scope };
	return &section->each[section->count++];
}

static void count_kill(struct oom_section *section, const struct oom_record *record)
{
	struct oom_row *row = record->victim.cgroup_id ? row_of(section, record) : NULL;

	if (row)
		row->kills++;
	else
		section->folded[record->scope]++;
}

static int take_record(void *state_, void *data, size_t size)
{
	struct oom_state *state = state_;
	struct oom_record record;

	if (size != sizeof(record))
		return 0;
	memcpy(&record, data, sizeof(record));
	if (record.scope >= OOM_SCOPE_COUNT)
		return 0;
	describe_by_last_tick(state->snap, &record);
	count_kill(&state->snap->oom, &record);

	struct event *event = event_add(&state->snap->events, EVENT_OOM_KILL);
	event->at_ns = record.at_ns;
	event->cgroup_id = record.victim.cgroup_id;
	event->pid = record.victim.pid;
	event->uid = record.victim.uid;
	memcpy(event->comm, record.victim.comm, sizeof(event->comm));
	event->of.oom = record;
	return 0;
}

/* A cgroup that is new has its name a tick later. */
static void name_rows(const struct snapshot *snap, struct oom_section *section)
{
	for (uint32_t i = 0; i < section->count; i++) {
		struct oom_row *row = &section->each[i];
		const struct cgroup *cgroup = row->path[0] ? NULL : snapshot_cgroup(snap, row->cgroup_id);

		_Static_assert(sizeof(row->path) == sizeof(cgroup->path), "a path fits");
		if (cgroup)
			memcpy(row->path, cgroup->path, sizeof(row->path));
	}
}

/* --- the collector ---------------------------------------------------------------------------------------------------- */

/* From the best down. */
enum rung { RUNG_TASK, RUNG_FUNCTION, RUNG_PID, RUNG_END };

static bool is_there(const struct collector_env *env, enum rung rung)
{
	int arguments = object_tracepoint_arguments(env, "mark_victim");

	if (rung == RUNG_FUNCTION)
		return object_has_function(env, "mark_oom_victim");
	return rung == RUNG_TASK ? arguments >= 2 : arguments < 2;
}

static int load(struct oom_state *state, const struct collector_env *env, enum rung rung, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->skel = oom_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	struct bpf_program *const programs[RUNG_END] = {
		[RUNG_TASK] = state->skel->progs.on_victim, [RUNG_FUNCTION] = state->skel->progs.on_victim_marked,
		[RUNG_PID] = state->skel->progs.on_victim_pid,
	};
	for (enum rung each = RUNG_TASK; each < RUNG_END; each++)
		bpf_program__set_autoload(programs[each], each == rung);
	state->skel->rodata->pidns_inode = object_pidns(env);
	state->skel->rodata->page_shift = object_page_shift();
	int error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = object_attach(programs[rung], &state->link, why, WHY_LEN);
	if (error)
		return error;
	state->ring = ring_buffer__new(bpf_map__fd(state->skel->maps.oom_kills), take_record, state, NULL);
	return state->ring ? 0 : -errno;
}

static int open_rung(const struct collector_env *env, enum rung rung, struct oom_state **ret, char *why)
{
	struct oom_state *state = calloc(1, sizeof(*state));
	int error = state ? load(state, env, rung, why) : -ENOMEM;

	if (error)
		close_oom(state);
	else
		*ret = state;
	return error;
}

static int open_oom(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = { [RUNG_TASK] = "tp_btf", [RUNG_FUNCTION] = "fentry", [RUNG_PID] = "tp_btf/pid" };
	struct oom_state *state = NULL;
	char why[WHY_LEN] = "";
	enum rung rung = RUNG_TASK;
	int error = -ENOENT;

	for (; rung < RUNG_END; rung++) {
		error = is_there(env, rung) ? open_rung(env, rung, &state, why) : error;
		if (state)
			break;
	}
	if (!state)
		return collector_down(status, error, why);
	collector_up(status, rung == RUNG_PID ? COLLECTOR_DEGRADED : COLLECTOR_UP, sources[rung], state->skel->obj);
	if (rung == RUNG_PID)
		snprintf(status->why, sizeof(status->why), "this kernel names a victim by pid only; the rest is from the last tick");
	*ret_state = state;
	return 0;
}

static int collect_oom(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct oom_state *state = state_;
	struct oom_losses losses;
	uint32_t zero = 0;

	state->snap = snap;
	int error = ring_buffer__consume(state->ring);
	if (error < 0)
		return error;
	if (bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.oom_losses), &zero, &losses))
		return -errno;

	name_rows(snap, &snap->oom);
	memcpy(snap->oom.lost, losses.of, sizeof(snap->oom.lost));
	status->events_lost = losses.of[OOM_SCOPE_NODE] + losses.of[OOM_SCOPE_CGROUP] + object_missed(state->skel->obj);
	snap->oom.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_oom = {
	.name = "oom",
	.id = COLLECTOR_OOM,
	.fast = true,
	.open = open_oom,
	.collect = collect_oom,
	.close = close_oom,
};
