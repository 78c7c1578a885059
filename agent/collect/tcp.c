/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections: their counts by node, cgroup and peer service, their records, and listeners. Ladder: with a walk over the living
 * ones (v5.12); below that what a connection carried is told at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/procfs.h"
#include "collect/tcp_adopt.h"
#include "collect/tcp_rows.h"
#include "tcp.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	MAX_LINKS = 12,
	MAX_TOLD = 64,                  /* records a tick that become events: the other kinds need their room, too */
	WALK_INTERVALS = 5,             /* half a microsecond a living connection: 10 000 of them are 0.1 % of a processor */
	SUMMARY_INTERVALS = 30,
	COUNTS = sizeof(struct tcp_counts) / sizeof(uint64_t),
	HISTOGRAM_WORDS = sizeof(struct histogram) / sizeof(uint64_t),
};

struct tcp_state {
	struct tcp_bpf *skel;
	bool tells_stray;            /* resets of nobody's: only since v6.10, 19822a980e19; seen by the reason that v6.12 added */
	struct bpf_link *links[MAX_LINKS], *connections, *listeners;
	struct ring_buffer *ring;
	struct object_walk walk;
	struct tcp_rows *rows;
	int proc_fd;
	uint64_t last_ns, walked_ns, untold, walk_every_ns;
	uint32_t told_count, namespaces_cut;
	struct tcp_record told[MAX_TOLD];
};

static void close_tcp(void *state_)
{
	struct tcp_state *state = state_;

	if (!state)
		return;
	ring_buffer__free(state->ring);
	for (int i = 0; i < MAX_LINKS; i++)
		bpf_link__destroy(state->links[i]);
	bpf_link__destroy(state->connections);
	bpf_link__destroy(state->listeners);
	object_close(tcp, state->skel);
	object_walk_free(&state->walk);
	tcp_rows_free(state->rows);
	if (state->proc_fd >= 0)
		close(state->proc_fd);
	free(state);
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

/* Most connections end well and need no story. */
static bool has_a_story(const struct tcp_record *record)
{
	return (record->end != TCP_END_FIN && record->end != TCP_LIVES) || record->connection.flows[TCP_RETRANSMITS];
}

static int keep_record(void *state_, void *data, size_t size)
{
	struct tcp_state *state = state_;
	const struct tcp_record *record = data;
	uint32_t at = state->told_count;

	if (size != sizeof(*record))
		return 0;
	if (at < MAX_TOLD)
		state->told_count++;
	else
		state->untold++;
	if (at == MAX_TOLD && has_a_story(record))
		for (at = 0; at < MAX_TOLD && has_a_story(&state->told[at]);)
			at++;
	if (at < MAX_TOLD)
		state->told[at] = *record;
	return 0;
}

static void tell(struct tcp_state *state, struct event_section *events)
{
	for (uint32_t i = 0; i < state->told_count; i++) {
		const struct tcp_record *record = &state->told[i];
		struct event *event = event_add(events, EVENT_CONNECTION);

		event->at_ns = record->at_ns;
		event->cgroup_id = record->connection.peer.cgroup_id;
		event->pid = record->connection.pid;
		event->uid = record->connection.uid;
		memcpy(event->comm, record->connection.comm, sizeof(event->comm));
		event->comm[sizeof(event->comm) - 1] = '\0';
		event->of.connection = *record;
	}
	state->told_count = 0;
}

/* --- walks ------------------------------------------------------------------------------------------------------------ */

static int read_listeners(const struct tcp_state *state, struct listener_section *section)
{
	struct listener_record records[256];
	int fd = bpf_iter_create(bpf_link__fd(state->listeners));
	size_t filled = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, (char *)records + filled, sizeof(records) - filled)) > 0 || (got < 0 && errno == EINTR)) {
		if (got < 0)
			continue;
		filled += (size_t)got;
		size_t whole = filled / sizeof(records[0]);
		for (size_t i = 0; i < whole; i++)
			tcp_rows_add_listener(section, &records[i]);
		filled -= whole * sizeof(records[0]);
		memmove(records, &records[whole], filled);
	}
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static int attach_walk(const struct bpf_program *program, const struct bpf_map *map, struct bpf_link **ret)
{
	union bpf_iter_link_info info = { .map = { .map_fd = map ? (uint32_t)bpf_map__fd(map) : 0 } };
	struct bpf_iter_attach_opts options;

	memset(&options, 0, sizeof(options)); /* libbpf refuses it with anything in its padding */
	options.sz = sizeof(options);
	options.link_info = map ? &info : NULL;
	options.link_info_len = map ? sizeof(info) : 0;
	*ret = bpf_program__attach_iter(program, &options);
	return *ret ? 0 : -errno;
}

static int walk_listeners(const struct tcp_state *state, struct listener_section *section)
{
	section->count = section->cut = 0;
	int error = read_listeners(state, section);
	if (!error)
		tcp_rows_sort_listeners(section);
	return error;
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static void choose_programs(struct tcp_state *state, const struct collector_env *env, bool walked)
{
	struct tcp_bpf *skel = state->skel;

	bpf_program__set_autoload(skel->progs.on_state, walked);
	bpf_program__set_autoload(skel->progs.on_retransmit, walked);
	bpf_program__set_autoload(skel->progs.on_connection, walked);
	bpf_program__set_autoload(skel->progs.on_state_unwalked, !walked);
	bpf_program__set_autoload(skel->progs.on_retransmit_unwalked, !walked);
	skel->rodata->pidns_inode = object_pidns(env);
	skel->rodata->summary_ns = SUMMARY_INTERVALS * env->config->interval_ns;
}

static int attach_hooks(struct tcp_state *state, char *why)
{
	struct bpf_program *program;
	int count = 0;

	bpf_object__for_each_program(program, state->skel->obj) {
		if (!bpf_program__autoload(program) || strncmp(bpf_program__section_name(program), "tp_btf/", 7) != 0 || count == MAX_LINKS)
			continue;
		int error = object_attach(program, &state->links[count++], why, WHY_LEN);
		if (error)
			return error;
	}
	return 0;
}

static int attach_walks(struct tcp_state *state, bool walked)
{
	int error = attach_walk(state->skel->progs.on_listener, state->skel->maps.tcp_listeners, &state->listeners);

	if (!error && walked)
		error = attach_walk(state->skel->progs.on_connection, state->skel->maps.connections, &state->connections);
	return error;
}

/* After the hooks are on, so that none is missed in between. */
static int adopt(const struct tcp_state *state)
{
	struct bpf_link *older;
	int error = attach_walk(state->skel->progs.on_older, NULL, &older);

	if (error)
		return error;
	error = tcp_adopt(bpf_link__fd(older), state->proc_fd);
	bpf_link__destroy(older);
	return error;
}

static int open_rung(const struct collector_env *env, bool walked, struct tcp_state **ret, char *why)
{
	struct tcp_state *state = calloc(1, sizeof(*state));
	struct bpf_object_open_opts options = object_options(env);
	int error = -ENOMEM;

	if (!state)
		return error;
	state->proc_fd = fcntl(env->proc_fd, F_DUPFD_CLOEXEC, 3);
	state->walk_every_ns = WALK_INTERVALS * env->config->interval_ns;
	state->rows = tcp_rows_new();
	if (!state->rows || object_walk_init(&state->walk, WALK_BYTES))
		goto fail;
	state->skel = tcp_bpf__open_opts(&options);
	error = state->skel ? 0 : -errno;
	if (error)
		goto fail;
	choose_programs(state, env, walked);
	state->tells_stray = object_tracepoint_arguments(env, "tcp_send_reset") >= 3;
	error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = attach_hooks(state, why);
	if (!error)
		error = attach_walks(state, walked);
	if (error)
		goto fail;
	state->ring = ring_buffer__new(bpf_map__fd(state->skel->maps.tcp_records), keep_record, state, NULL);
	error = state->ring ? 0 : -errno;
	if (error)
		goto fail;
	error = adopt(state);
	if (error < 0)
		goto fail;
	state->namespaces_cut = (uint32_t)error;
	*ret = state;
	return 0;

fail:
	close_tcp(state);
	return error;
}

static int open_tcp(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct tcp_state *state;
	char why[WHY_LEN] = "", unwalked[WHY_LEN] = "";
	enum collector_state reached = COLLECTOR_UP;
	int error = open_rung(env, true, &state, why);

	if (error) {
		error = open_rung(env, false, &state, unwalked);
		reached = COLLECTOR_DEGRADED;
		snprintf(status->why, sizeof(status->why), "connections are told at their end only: %.110s", why[0] ? why : strerror(-error));
	}
	if (error)
		return collector_down(status, error, unwalked);
	collector_up(status, reached, "tp_btf", state->skel->obj);
	*ret_state = state;
	return 0;
}

/* A hook runs a few times in the life of a connection: only records and histograms are given up. The state hook stays on, for a
 * table of sockets that misses one end is wrong for good. */
static int set_depth_tcp(void *state_, enum depth depth)
{
	struct tcp_state *state = state_;

	state->skel->data->depth = depth == DEPTH_OFF ? DEPTH_COUNTS : depth;
	return 0;
}

/* --- the sections ----------------------------------------------------------------------------------------------------- */

static int sum_maps(struct tcp_state *state, struct tcp_section *section, struct collector_status *status)
{
	uint64_t notes[TCP_NOTE_COUNT];
	int error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.tcp_notes), 0, notes, TCP_NOTE_COUNT);

	for (uint32_t i = 0; !error && i < TCP_DIRECTION_COUNT; i++)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.tcp_totals), i, (uint64_t *)&section->total[i], COUNTS);
	for (uint32_t i = 0; !error && i < TCP_HISTOGRAM_COUNT; i++)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.tcp_histograms), i, (uint64_t *)&section->histograms[i],
				   HISTOGRAM_WORDS);
	if (error)
		return error;
	section->resets_sent_alone = state->tells_stray ? notes[TCP_RESET_SENT_ALONE] : UNKNOWN;
	section->resets_received_alone = notes[TCP_RESET_RECEIVED_ALONE];
	status->events_lost = notes[TCP_LOSS_CONNECTION] + notes[TCP_LOSS_CGROUP] + notes[TCP_LOSS_PEER] + notes[TCP_LOSS_LISTENER] +
			      notes[TCP_LOSS_RECORD] + state->namespaces_cut + object_missed(state->skel->obj);
	return 0;
}

/* A node without the file, or without these lines, has no such figure. */
static void read_netstat(const struct tcp_state *state, struct tcp_section *section)
{
	char text[16 * 1024];
	ssize_t size = procfs_read_at(state->proc_fd, "net/netstat", text, sizeof(text));

	section->listen_overflows = section->listen_drops = UNKNOWN;
	if (size > 0)
		(void)netstat_parse(text, (size_t)size, section);
}

static int collect_tcp(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct tcp_state *state = state_;
	struct tcp_section *section = &snap->tcp;
	int error;

	if (state->connections && snap->boot_ns - state->walked_ns >= state->walk_every_ns) {
		error = tcp_run_walk(bpf_link__fd(state->connections));
		if (error)
			return error;
		state->walked_ns = snap->boot_ns;
	}
	error = ring_buffer__consume(state->ring);
	if (error < 0)
		return error;
	tell(state, &snap->events);

	/* Rows before totals, so that the rest is never negative. */
	error = tcp_rows_take(state->rows, &state->walk, bpf_map__fd(state->skel->maps.tcp_cgroups), bpf_map__fd(state->skel->maps.peers), snap,
			      state->last_ns ? snap->boot_ns - state->last_ns : 0);
	if (!error)
		error = sum_maps(state, section, status);
	if (!error)
		error = walk_listeners(state, &snap->listeners);
	if (error)
		return error;

	read_netstat(state, section);
	state->last_ns = snap->boot_ns;
	section->records_untold = state->untold;
	section->measured_ns = snap->peers.measured_ns = snap->listeners.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_tcp = {
	.name = "tcp",
	.id = COLLECTOR_TCP,
	.open = open_tcp,
	.collect = collect_tcp,
	.close = close_tcp,
	.set_depth = set_depth_tcp,
};
