/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See tcp_rows.h. The totals of the node are exact without any row, so that a row given up loses its name and nothing else: those of
 * cgroups that are gone, and when the table fills up, of the peers that have been silent the longest.
 */
#include "collect/tcp_rows.h"

#include <stdlib.h>
#include <string.h>

#include "measure/recency.h"

/* Of MAX_PEERS in the kernel: room for those that come until the next tick. */
enum { PEERS_HIGH = MAX_PEERS * 3 / 4 };

struct tcp_rows {
	struct recency *cgroups, *peers;
	struct snapshot *snap;         /* of the round under way */
	uint32_t pruned_cgroups, pruned_peers;
	struct tcp_cgroup_key gone_cgroups[MAX_TCP_CGROUPS];
	struct peer_key gone_peers[MAX_PEERS];
};

struct tcp_rows *tcp_rows_new(void)
{
	struct tcp_rows *rows = calloc(1, sizeof(*rows));

	if (!rows)
		return NULL;
	rows->cgroups = recency_new(MAX_TCP_CGROUPS, sizeof(struct tcp_cgroup_key));
	rows->peers = recency_new(MAX_PEERS, sizeof(struct peer_key));
	if (!rows->cgroups || !rows->peers) {
		tcp_rows_free(rows);
		return NULL;
	}
	return rows;
}

void tcp_rows_free(struct tcp_rows *rows)
{
	if (!rows)
		return;
	recency_free(rows->cgroups);
	recency_free(rows->peers);
	free(rows);
}

/* A failed attempt weighs as much as a connection: neither may be hidden by the bytes of others. */
static uint64_t weight_of(const struct tcp_counts *counts)
{
	uint64_t weight = counts->sent_bytes + counts->received_bytes + counts->connections + counts->resets_sent + counts->resets_received +
			  counts->retransmits;

	for (int end = 0; end < TCP_END_COUNT; end++)
		weight += counts->failures[end] + counts->ends[end];
	return weight;
}

/* A cgroup without a row among the named ones, for a row that has stood still since the last tick, by when a new one has its name. */
static bool is_gone(const struct snapshot *snap, uint64_t cgroup_id, uint64_t grown)
{
	return !grown && snapshot_is_fresh(snap, snap->cgroups.measured_ns) && !snap->cgroups.cut && !snapshot_cgroup(snap, cgroup_id);
}

static void take_cgroup(const void *key, const void *value, void *rows_)
{
	struct tcp_rows *rows = rows_;
	struct tcp_section *section = &rows->snap->tcp;
	struct tcp_cgroup row = { .key = *(const struct tcp_cgroup_key *)key, .counts = *(const struct tcp_counts *)value };
	uint64_t grown;

	(void)recency_note(rows->cgroups, &row.key, weight_of(&row.counts), &grown);
	if (is_gone(rows->snap, row.key.cgroup_id, grown) && rows->pruned_cgroups < MAX_TCP_CGROUPS)
		rows->gone_cgroups[rows->pruned_cgroups++] = row.key;
	else if (section->count < MAX_TCP_CGROUPS)
		section->each[section->count++] = row;
	else
		section->cut++;
}

static void take_peer(const void *key, const void *value, void *rows_)
{
	struct tcp_rows *rows = rows_;
	struct peer_section *section = &rows->snap->peers;
	struct peer row = { .key = *(const struct peer_key *)key, .counts = *(const struct tcp_counts *)value };
	uint64_t grown;

	row.recent = recency_note(rows->peers, &row.key, weight_of(&row.counts), &grown);
	if (is_gone(rows->snap, row.key.cgroup_id, grown) && rows->pruned_peers < MAX_PEERS)
		rows->gone_peers[rows->pruned_peers++] = row.key;
	else if (section->count < MAX_PEERS)
		section->each[section->count++] = row;
	else
		section->cut++;
}

static int compare_cgroups(const void *a, const void *b)
{
	const struct tcp_cgroup_key *left = &((const struct tcp_cgroup *)a)->key, *right = &((const struct tcp_cgroup *)b)->key;

	if (left->cgroup_id != right->cgroup_id)
		return left->cgroup_id > right->cgroup_id ? 1 : -1;
	return (left->direction > right->direction) - (left->direction < right->direction);
}

static int compare_peers(const void *a, const void *b)
{
	const struct peer *left = a, *right = b;

	if (left->recent != right->recent)
		return right->recent > left->recent ? 1 : -1;
	return memcmp(&left->key, &right->key, sizeof(left->key));
}

/* After the walk, which a deletion would disturb. What the silent do from now on makes a row anew. */
static void prune(struct tcp_rows *rows, int cgroups_fd, int peers_fd)
{
	const struct peer_section *peers = &rows->snap->peers;

	for (uint32_t i = 0; i < rows->pruned_cgroups; i++)
		(void)bpf_map_delete_elem(cgroups_fd, &rows->gone_cgroups[i]);
	for (uint32_t i = 0; i < rows->pruned_peers; i++)
		(void)bpf_map_delete_elem(peers_fd, &rows->gone_peers[i]);
	for (uint32_t i = PEERS_HIGH; i < peers->count; i++)
		(void)bpf_map_delete_elem(peers_fd, &peers->each[i].key);
}

int tcp_rows_take(struct tcp_rows *rows, const struct object_walk *walk, int cgroups_fd, int peers_fd, struct snapshot *snap,
		  uint64_t elapsed_ns)
{
	rows->snap = snap;
	rows->pruned_cgroups = rows->pruned_peers = 0;
	snap->tcp.count = snap->tcp.cut = snap->peers.count = snap->peers.cut = 0;
	recency_begin(rows->cgroups, elapsed_ns);
	recency_begin(rows->peers, elapsed_ns);
	int error = object_walk_map(walk, cgroups_fd, take_cgroup, rows);
	if (!error)
		error = object_walk_map(walk, peers_fd, take_peer, rows);
	if (error)
		return error;

	recency_end(rows->cgroups);
	recency_end(rows->peers);
	qsort(snap->tcp.each, snap->tcp.count, sizeof(snap->tcp.each[0]), compare_cgroups);
	qsort(snap->peers.each, snap->peers.count, sizeof(snap->peers.each[0]), compare_peers);
	prune(rows, cgroups_fd, peers_fd);
	return 0;
}

/* --- listeners -------------------------------------------------------------------------------------------------------- */

void tcp_rows_add_listener(struct listener_section *section, const struct listener_record *record)
{
	struct listener *row = section->each, *end = &section->each[section->count];

	while (row < end && (row->cgroup_id != record->cgroup_id || row->port != record->port))
		row++;
	if (row == end) {
		if (section->count == MAX_LISTENERS) {
			section->cut++;
			return;
		}
		section->count++;
		*row = (struct listener){ .cgroup_id = record->cgroup_id, .port = record->port };
	}
	row->sockets++;
	row->backlog += record->backlog;
	row->limit += record->limit;
	row->drops += record->drops;
}

static int compare_listeners(const void *a, const void *b)
{
	const struct listener *left = a, *right = b;

	if (left->cgroup_id != right->cgroup_id)
		return left->cgroup_id > right->cgroup_id ? 1 : -1;
	return (int)left->port - (int)right->port;
}

void tcp_rows_sort_listeners(struct listener_section *section)
{
	qsort(section->each, section->count, sizeof(section->each[0]), compare_listeners);
}
