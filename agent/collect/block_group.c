/* SPDX-License-Identifier: Apache-2.0 */
/* See block_group.h. */
#include "collect/block_group.h"

#include <stdlib.h>
#include <string.h>

#include "measure/tally.h"

enum {
	KERNEL_ROWS = 4096,
	KERNEL_ROWS_HIGH = 3072,        /* from here on, the living who are silent give up their rows, too */
	QUIET_GONE = 3, QUIET_SILENT = 60, /* ticks: what completes late still finds its row */
	BYTES = 0, OPS, DEVICE_NS, COUNTERS,
};

struct rest {
	uint32_t dev, op;
	uint64_t counts[COUNTERS];
};

struct block_groups {
	struct tally *tally;
	uint64_t last_ns, rows_cut;
	uint32_t rest_count;
	struct rest rests[MAX_BLOCK_STATS];
};

struct block_groups *block_groups_new(void)
{
	struct block_groups *groups = calloc(1, sizeof(*groups));

	if (!groups)
		return NULL;
	groups->tally = tally_new(KERNEL_ROWS, COUNTERS);
	if (!groups->tally) {
		free(groups);
		return NULL;
	}
	return groups;
}

void block_groups_free(struct block_groups *groups)
{
	if (!groups)
		return;
	tally_free(groups->tally);
	free(groups);
}

static struct tally_key tally_key_of(const struct block_group_key *key)
{
	return (struct tally_key){ .a = key->cgroup_id, .b = (uint64_t)key->dev << 32 | (uint64_t)key->op << 8 | key->source };
}

static struct block_group_key kernel_key_of(struct tally_key key)
{
	return (struct block_group_key){
		.cgroup_id = key.a, .dev = (uint32_t)(key.b >> 32), .op = (uint8_t)(key.b >> 8), .source = (uint8_t)key.b,
	};
}

static void take(const void *key, const void *value, void *groups_)
{
	struct block_groups *groups = groups_;

	_Static_assert(sizeof(struct block_group_counts) == COUNTERS * sizeof(uint64_t), "as the tally takes them");
	tally_take(groups->tally, tally_key_of(key), value);
}

static struct rest *rest_of(struct block_groups *groups, uint32_t dev, uint32_t op)
{
	for (uint32_t i = 0; i < groups->rest_count; i++)
		if (groups->rests[i].dev == dev && groups->rests[i].op == op)
			return &groups->rests[i];
	if (groups->rest_count == MAX_BLOCK_STATS)
		return NULL;
	groups->rests[groups->rest_count] = (struct rest){ .dev = dev, .op = op };
	return &groups->rests[groups->rest_count++];
}

static void add_to_rest(struct block_groups *groups, const struct block_group_key *key, const uint64_t *counts)
{
	struct rest *rest = rest_of(groups, key->dev, key->op);

	if (!rest) {
		groups->rows_cut++;
		return;
	}
	for (int i = 0; i < COUNTERS; i++)
		rest->counts[i] += counts[i];
}

/* Its last words are read before it is deleted: it has been quiet, so nothing comes in between. */
static void retire(struct block_groups *groups, int fd, uint32_t index)
{
	struct tally_row row = tally_row(groups->tally, index);
	struct block_group_key key = kernel_key_of(row.key);

	if (row.in_kernel && bpf_map_delete_elem(fd, &key))
		return;
	add_to_rest(groups, &key, row.total);
	tally_retire(groups->tally, index);
}

static bool is_over(const struct snapshot *snap, const struct tally_row *row, uint32_t kernel_rows)
{
	if (kernel_rows > KERNEL_ROWS_HIGH && row->quiet_ticks >= QUIET_SILENT)
		return true;
	return row->key.a && row->quiet_ticks >= QUIET_GONE && snapshot_is_fresh(snap, snap->cgroups.measured_ns) &&
		!snap->cgroups.cut && !snapshot_cgroup(snap, row->key.a);
}

static void fill(struct block_groups *groups, struct block_group_section *section)
{
	section->count = section->cut = 0;
	for (uint32_t i = 0; i < groups->rest_count && section->count < MAX_BLOCK_GROUPS; i++) {
		const struct rest *rest = &groups->rests[i];

		section->each[section->count++] = (struct block_group){
			.dev = rest->dev, .op = (uint8_t)rest->op, .source = BLOCK_SOURCE_NOBODY,
			.bytes = rest->counts[BYTES], .ops = rest->counts[OPS], .device_ns = rest->counts[DEVICE_NS],
		};
	}
	for (uint32_t i = 0; i < tally_count(groups->tally); i++) {
		struct tally_row row = tally_row(groups->tally, i);
		struct block_group_key key = kernel_key_of(row.key);

		if (section->count == MAX_BLOCK_GROUPS) {
			section->cut++;
			continue;
		}
		section->each[section->count++] = (struct block_group){
			.cgroup_id = key.cgroup_id, .dev = key.dev, .op = key.op, .source = key.source,
			.bytes = row.total[BYTES], .ops = row.total[OPS], .device_ns = row.total[DEVICE_NS], .recent_bytes = row.recent,
		};
	}
}

int block_groups_collect(struct block_groups *groups, const struct object_walk *walk, int fd, struct snapshot *snap)
{
	uint64_t elapsed = groups->last_ns ? snap->boot_ns - groups->last_ns : 0;

	tally_begin(groups->tally);
	int error = object_walk_map(walk, fd, take, groups);
	tally_end(groups->tally, elapsed);
	groups->last_ns = snap->boot_ns;
	if (error)
		return error;

	fill(groups, &snap->block_groups);
	uint32_t count = tally_count(groups->tally);
	for (uint32_t i = 0; i < count; i++) {
		struct tally_row row = tally_row(groups->tally, i);

		if (is_over(snap, &row, count))
			retire(groups, fd, i);
	}
	return 0;
}

void block_groups_forget_device(struct block_groups *groups, int fd, uint32_t dev)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < tally_count(groups->tally); i++) {
		struct tally_row row = tally_row(groups->tally, i);
		struct block_group_key key = kernel_key_of(row.key);

		if (key.dev != dev)
			continue;
		(void)bpf_map_delete_elem(fd, &key); /* it may have been pruned before */
		tally_retire(groups->tally, i);
	}
	for (uint32_t i = 0; i < groups->rest_count; i++)
		if (groups->rests[i].dev != dev)
			groups->rests[kept++] = groups->rests[i];
	groups->rest_count = kept;
}

uint64_t block_groups_cut(const struct block_groups *groups)
{
	return groups->rows_cut + tally_cut(groups->tally);
}
