/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes through sockets by process and by cgroup. The kernel's rows are the truth and its totals are exact; here rows are ranked by
 * what they did lately, and those of processes and cgroups that are gone are given up, whose bytes then count in the rest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/bpf.h"
#include "collect/hooks.h"
#include "core/pages.h"
#include "measure/recency.h"
#include "socket.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	KERNEL_OWNERS = 4096,
	OWNERS_HIGH = 3072,             /* from here on, also the living who are silent give up their row */
	COUNTS = sizeof(struct socket_counts) / sizeof(uint64_t),
	MAX_PRUNED = 1024,              /* a tick; the next one takes the rest */
};

struct socket_state {
	struct socket_bpf *skel;
	struct hooks hooks;
	struct object_walk walk;
	struct recency *owners, *cgroups;
	uint64_t last_ns;
	/* Of the round under way. */
	const struct snapshot *snap;
	uint32_t owner_count, pruned_owner_count, pruned_cgroup_count, rows;
	struct socket_process *ranked;  /* KERNEL_OWNERS */
	struct socket_owner pruned_owners[MAX_PRUNED];
	uint64_t pruned_cgroups[MAX_PRUNED];
	struct socket_cgroup_section *section;
};

static void close_socket(void *state_)
{
	struct socket_state *state = state_;

	if (!state)
		return;
	hooks_free(&state->hooks);
	object_close(socket, state->skel);
	object_walk_free(&state->walk);
	recency_free(state->owners);
	recency_free(state->cgroups);
	pages_free(state->ranked);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

/* From the best down. */
enum rung { RUNG_TRACEPOINTS, RUNG_FUNCTIONS, RUNG_END };

static bool is_there(const struct collector_env *env, enum rung rung)
{
	if (rung == RUNG_TRACEPOINTS)
		return object_tracepoint_arguments(env, "sock_send_length") > 0;
	return object_has_function(env, "inet_sendmsg") && object_has_function(env, "inet_recvmsg");
}

/* IPv6 may not be there, or be a module whose functions the kernel's own types do not show. */
static void choose_programs(struct socket_bpf *skel, const struct collector_env *env, enum rung rung)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skel->obj) {
		const char *section = bpf_program__section_name(program), *name = strchr(section, '/') + 1;
		bool is_function = !strncmp(section, "fexit/", 6);

		bpf_program__set_autoload(program, is_function ? rung == RUNG_FUNCTIONS && object_has_function(env, name) : rung == RUNG_TRACEPOINTS);
	}
}

static int load(struct socket_state *state, const struct collector_env *env, enum rung rung, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	int connections = object_shared_map("connections");

	state->skel = socket_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	choose_programs(state->skel, env, rung);
	state->skel->rodata->pidns_inode = object_pidns(env);
	/* Without the tcp collector nobody asks whose a connection is. */
	state->skel->rodata->names_owners = connections >= 0 && !bpf_map__reuse_fd(state->skel->maps.connections, connections);
	bpf_map__set_autocreate(state->skel->maps.connections, state->skel->rodata->names_owners);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	return error ? error : hooks_put_on(&state->hooks, state->skel->obj, &state->skel->data->functions_on, why, WHY_LEN);
}

static int open_rung(const struct collector_env *env, enum rung rung, struct socket_state **ret, char *why)
{
	struct socket_state *state = calloc(1, sizeof(*state));
	int error = -ENOMEM;

	if (!state || object_walk_init(&state->walk, WALK_BYTES))
		goto fail;
	state->owners = recency_new(KERNEL_OWNERS, sizeof(struct socket_owner));
	state->cgroups = recency_new(MAX_SOCKET_CGROUPS, sizeof(uint64_t));
	state->ranked = pages_new(KERNEL_OWNERS, sizeof(*state->ranked));
	if (!state->owners || !state->cgroups || !state->ranked)
		goto fail;
	error = load(state, env, rung, why);
	if (error)
		goto fail;
	*ret = state;
	return 0;

fail:
	close_socket(state);
	if (!why[0])
		snprintf(why, WHY_LEN, "%s", strerror(-error));
	return error;
}

static int open_socket(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	static const char *const sources[] = { [RUNG_TRACEPOINTS] = "tp_btf", [RUNG_FUNCTIONS] = "fexit" };
	struct socket_state *state = NULL;
	char why[WHY_LEN] = "no fexit";
	int error = -ENOENT;

	for (enum rung rung = RUNG_TRACEPOINTS; rung < RUNG_END && !state; rung++) {
		if (!is_there(env, rung))
			continue;
		why[0] = '\0';
		error = open_rung(env, rung, &state, why);
		if (!error)
			collector_up(status, COLLECTOR_UP, sources[rung], state->skel->obj);
	}
	if (!state) {
		char instead[WHY_LEN];
		snprintf(instead, sizeof(instead), "%sthe tcp collector has the bytes of TCP by cgroup and peer: %.50s",
			 is_there(env, RUNG_TRACEPOINTS) ? "" : "no sock_send_length before kernel 6.3; ", why);
		return collector_down(status, error, instead);
	}
	*ret_state = state;
	return 0;
}

/* Every program here runs for each operation: counters stand still while they are off, and go on from where they were. */
static int set_depth_socket(void *state_, enum depth depth)
{
	struct socket_state *state = state_;
	char why[WHY_LEN];

	if (depth == DEPTH_OFF) {
		hooks_take_off(&state->hooks, &state->skel->data->functions_on);
		return 0;
	}
	state->skel->data->depth = depth;
	return state->hooks.on ? 0 : hooks_put_on(&state->hooks, state->skel->obj, &state->skel->data->functions_on, why, WHY_LEN);
}

/* --- rows ------------------------------------------------------------------------------------------------------------- */

static uint64_t all_bytes(const struct socket_counts *counts)
{
	uint64_t bytes = 0;

	for (int flow = 0; flow < SOCKET_FLOW_COUNT; flow++)
		bytes += counts->bytes[flow] + counts->operations[flow]; /* empty datagrams are something, too */
	return bytes;
}

/* A row that has just grown may be of somebody younger than the last walk over the processes. */
static bool may_be_pruned(const struct socket_state *state, const struct socket_owner *owner, const struct socket_row *row, uint64_t grown)
{
	const struct snapshot *snap = state->snap;
	const struct process *process = snapshot_process(snap, row->pid);

	if (grown)
		return false;
	if (state->rows > OWNERS_HIGH)
		return true;
	return snapshot_is_fresh(snap, snap->processes.measured_ns) && !snap->processes.cut &&
	       (!process || process->start_ns > owner->start_ns);
}

static void take_owner(const void *key, const void *value, void *state_)
{
	struct socket_state *state = state_;
	const struct socket_owner *owner = key;
	const struct socket_row *row = value;
	uint64_t grown, recent = recency_note(state->owners, owner, all_bytes(&row->counts), &grown);

	state->rows++;
	if (may_be_pruned(state, owner, row, grown) && state->pruned_owner_count < MAX_PRUNED)
		state->pruned_owners[state->pruned_owner_count++] = *owner;
	if (!row->pid || state->owner_count == KERNEL_OWNERS)
		return;
	struct socket_process *process = &state->ranked[state->owner_count++];
	*process = (struct socket_process){
		.start_ns = owner->start_ns, .cgroup_id = row->cgroup_id, .recent = recent, .pid = row->pid, .counts = row->counts,
	};
	memcpy(process->comm, row->comm, sizeof(process->comm));
	process->comm[sizeof(process->comm) - 1] = '\0';
}

static void take_cgroup(const void *key, const void *value, void *state_)
{
	struct socket_state *state = state_;
	const struct snapshot *snap = state->snap;
	struct socket_cgroup row = { .id = *(const uint64_t *)key, .counts = *(const struct socket_counts *)value };
	uint64_t grown;

	(void)recency_note(state->cgroups, &row.id, all_bytes(&row.counts), &grown);
	if (!grown && snapshot_is_fresh(snap, snap->cgroups.measured_ns) && !snap->cgroups.cut && !snapshot_cgroup(snap, row.id) &&
	    state->pruned_cgroup_count < MAX_PRUNED)
		state->pruned_cgroups[state->pruned_cgroup_count++] = row.id;
	else if (state->section->count < MAX_SOCKET_CGROUPS)
		state->section->each[state->section->count++] = row;
	else
		state->section->cut++;
}

static int compare_recent(const void *a, const void *b)
{
	const struct socket_process *left = a, *right = b;

	if (left->recent != right->recent)
		return right->recent > left->recent ? 1 : -1;
	return (left->pid > right->pid) - (left->pid < right->pid);
}

static int compare_id(const void *a, const void *b)
{
	uint64_t left = ((const struct socket_cgroup *)a)->id, right = ((const struct socket_cgroup *)b)->id;
	return (left > right) - (left < right);
}

/* After the walk: an element deleted during it would disturb it. */
static void prune(struct socket_state *state)
{
	for (uint32_t i = 0; i < state->pruned_owner_count; i++)
		(void)bpf_map_delete_elem(bpf_map__fd(state->skel->maps.socket_owners), &state->pruned_owners[i]);
	for (uint32_t i = 0; i < state->pruned_cgroup_count; i++)
		(void)bpf_map_delete_elem(bpf_map__fd(state->skel->maps.socket_cgroups), &state->pruned_cgroups[i]);
}

static int walk_rows(struct socket_state *state, struct snapshot *snap, uint64_t elapsed_ns)
{
	state->snap = snap;
	state->section = &snap->socket_cgroups;
	state->owner_count = state->rows = state->pruned_owner_count = state->pruned_cgroup_count = 0;
	snap->socket_cgroups.count = snap->socket_cgroups.cut = 0;
	recency_begin(state->owners, elapsed_ns);
	recency_begin(state->cgroups, elapsed_ns);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.socket_owners), take_owner, state);
	if (!error)
		error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.socket_cgroups), take_cgroup, state);
	if (error)
		return error;
	recency_end(state->owners);
	recency_end(state->cgroups);
	return 0;
}

static void fill_processes(struct socket_state *state, struct socket_section *section)
{
	qsort(state->ranked, state->owner_count, sizeof(*state->ranked), compare_recent);
	section->count = state->owner_count < MAX_SOCKET_PROCESSES ? state->owner_count : MAX_SOCKET_PROCESSES;
	section->cut = state->owner_count - section->count;
	memcpy(section->each, state->ranked, section->count * sizeof(section->each[0]));
}

static int collect_socket(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct socket_state *state = state_;
	union {
		struct socket_counts counts;
		uint64_t words[COUNTS];
	} total;
	uint64_t lost[SOCKET_LOSS_COUNT];

	/* Rows before totals, so that the rest is never negative. */
	int error = walk_rows(state, snap, state->last_ns ? snap->boot_ns - state->last_ns : 0);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.socket_totals), 0, total.words, COUNTS);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.socket_losses), 0, lost, SOCKET_LOSS_COUNT);
	if (error)
		return error;

	state->last_ns = snap->boot_ns;
	fill_processes(state, &snap->sockets);
	qsort(snap->socket_cgroups.each, snap->socket_cgroups.count, sizeof(snap->socket_cgroups.each[0]), compare_id);
	prune(state);
	snap->sockets.total = total.counts;
	status->events_lost = lost[SOCKET_LOSS_PROCESS] + lost[SOCKET_LOSS_CGROUP] + object_missed(state->skel->obj);
	snap->sockets.measured_ns = snap->socket_cgroups.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_socket = {
	.name = "socket",
	.id = COLLECTOR_SOCKET,
	.open = open_socket,
	.collect = collect_socket,
	.close = close_socket,
	.set_depth = set_depth_socket,
};
