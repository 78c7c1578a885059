/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices as the kernel's own request tracepoints show them. The kernel keeps counters by (disk, operation) and by (cgroup, disk,
 * operation, source), and a row for each request at a device; from those rows come the depth now, its mean and the oldest request.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block.skel.h"
#include "collect/block_group.h"
#include "collect/bpf.h"
#include "collect/procfs.h"
#include "core/clock.h"

enum {
	WALK_ROWS = 16,                     /* of `devices` in one batch */
	REQUESTS_A_CPU = 512, REQUESTS_LEAST = 1024, REQUESTS_MOST = 16384, /* 88 bytes each */
};

struct block_state {
	struct block_bpf *skel;
	struct bpf_link *links[6];
	uint32_t link_count;
	enum depth depth;
	struct object_walk walk;
	int sys_fd;
	struct block_groups *groups;
	uint64_t last_ns;               /* of the full tick before, CLOCK_MONOTONIC */
	/* By dev, like the section's rows; `busy_ns`: requests at the disk, integrated over time. */
	struct { uint32_t dev, in_flight; uint64_t busy_ns; } before[MAX_BLOCK_DEVICES];
	uint32_t before_count;
};

static void detach(struct block_state *state)
{
	while (state->link_count)
		bpf_link__destroy(state->links[--state->link_count]);
}

static void close_block(void *state_)
{
	struct block_state *state = state_;

	if (!state)
		return;
	detach(state);
	object_close(block, state->skel);
	object_walk_free(&state->walk);
	block_groups_free(state->groups);
	if (state->sys_fd >= 0)
		close(state->sys_fd);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

/* Whether bios carry a cgroup2 group below the root: then nobody needs to ask who handed a request in. */
static bool io_controller_tells(const struct collector_env *env)
{
	char text[512];
	struct span line, word;

	if (procfs_read_at(env->sys_fd, "fs/cgroup/cgroup.subtree_control", text, sizeof(text)) < 0)
		return false;
	line = (struct span){ text, text + strcspn(text, "\n") };
	while (span_word(&line, &word))
		if (span_is(&word, "io"))
			return true;
	return false;
}

static bool share_files(struct block_bpf *skel)
{
	int fd = object_shared_map("files");

	return fd >= 0 && !bpf_map__reuse_fd(skel->maps.files, fd);
}

static void choose_programs(struct block_bpf *skel, const struct collector_env *env, bool io_tells)
{
	bool with_queue = object_tracepoint_arguments(env, "block_rq_issue") == 2;
	bool handed_in = !io_tells && object_tracepoint_arguments(env, "block_io_start") > 0;
	bool files = share_files(skel);
	int cpus = libbpf_num_possible_cpus();
	int requests = cpus * REQUESTS_A_CPU;
	uint32_t io_stat_bit;

	bpf_program__set_autoload(skel->progs.on_issue, !with_queue);
	bpf_program__set_autoload(skel->progs.on_issue_from_queue, with_queue);
	bpf_program__set_autoload(skel->progs.on_requeue, !with_queue);
	bpf_program__set_autoload(skel->progs.on_requeue_from_queue, with_queue);
	bpf_program__set_autoload(skel->progs.on_io_start, handed_in);
	bpf_program__set_autoload(skel->progs.on_merge, handed_in);
	skel->rodata->knows_files = files;
	if (!object_enumerator(env, "__RQF_IO_STAT", &io_stat_bit))
		skel->rodata->io_stat_bit = io_stat_bit;
	bpf_map__set_autocreate(skel->maps.files, files);
	requests = requests < REQUESTS_LEAST ? REQUESTS_LEAST : requests > REQUESTS_MOST ? REQUESTS_MOST : requests;
	bpf_map__set_max_entries(skel->maps.requests, (uint32_t)requests);
}

/* What ends a request before what begins one: a row that we make is then sure to be taken away. */
static int attach(struct block_state *state, char *why)
{
	struct block_bpf *skel = state->skel;
	struct bpf_program *const order[] = {
		skel->progs.on_complete, skel->progs.on_requeue, skel->progs.on_requeue_from_queue, skel->progs.on_merge,
		skel->progs.on_issue, skel->progs.on_issue_from_queue, skel->progs.on_io_start,
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!bpf_program__autoload(order[i]))
			continue;
		int error = object_attach(order[i], &state->links[state->link_count], why, WHY_LEN);
		if (error) {
			detach(state);
			return error;
		}
		state->link_count++;
	}
	return 0;
}

static int open_block(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct bpf_object_open_opts options = object_options(env);
	struct block_state *state = calloc(1, sizeof(*state));
	bool io_tells = io_controller_tells(env);
	int error = -ENOMEM;

	if (!state)
		goto fail;
	state->depth = DEPTH_HISTOGRAMS;
	state->sys_fd = fcntl(env->sys_fd, F_DUPFD_CLOEXEC, 3);
	state->groups = block_groups_new();
	if (!state->groups)
		goto fail;
	error = object_walk_init(&state->walk, WALK_ROWS * (size_t)libbpf_num_possible_cpus() * sizeof(struct block_counts));
	if (error)
		goto fail;
	state->skel = block_bpf__open_opts(&options);
	error = state->skel ? 0 : -errno;
	if (error)
		goto fail;
	choose_programs(state->skel, env, io_tells);
	error = object_load(state->skel->obj, status->why, WHY_LEN);
	if (!error)
		error = attach(state, status->why);
	if (error)
		goto fail;

	collector_up(status, COLLECTOR_UP, io_tells ? "tp_btf, cgroups by the bio" :
		     state->skel->rodata->knows_files ? "tp_btf, cgroups by dirtier and submitter" : "tp_btf, cgroups by submitter",
		     state->skel->obj);
	*ret_state = state;
	return 0;

fail:
	close_block(state);
	return collector_down(status, error, status->why);
}

/* --- devices ---------------------------------------------------------------------------------------------------------- */

/* 0 with its name, or -ENOENT where the device is gone. */
static int name_device(const struct block_state *state, uint32_t dev, char name[BLOCK_NAME_LEN])
{
	char path[64], target[PATH_LEN];

	snprintf(path, sizeof(path), "dev/block/%u:%u", dev >> 20, dev & 0xfffff);
	ssize_t length = readlinkat(state->sys_fd, path, target, sizeof(target) - 1);
	if (length < 0)
		return errno == ENOENT ? -ENOENT : -errno;
	target[length] = '\0';
	const char *slash = strrchr(target, '/');
	snprintf(name, BLOCK_NAME_LEN, "%.*s", BLOCK_NAME_LEN - 1, slash ? slash + 1 : target);
	for (char *c = name; *c; c++)
		if (*c == '!') /* sysfs' way to write a slash: cciss!c0d0 */
			*c = '/';
	return 0;
}

static void add_cpu(struct block_counts *to, const struct block_counts *from)
{
	uint64_t *sums = (uint64_t *)to;
	const uint64_t *values = (const uint64_t *)from;

	_Static_assert(sizeof(*to) % sizeof(*sums) == 0, "counters only");
	for (size_t i = 0; i < sizeof(*to) / sizeof(*sums); i++)
		sums[i] += values[i];
}

struct gathering {
	const struct block_state *state;
	struct snapshot *snap;
	uint64_t now_ns;
};

static void take_counts(const void *key_, const void *values, void *gathering_)
{
	const struct gathering *gathering = gathering_;
	struct block_stat_section *section = &gathering->snap->block_stats;
	const struct block_device_key *key = key_;
	const struct block_counts *counts = values;

	if (section->count == MAX_BLOCK_STATS) {
		section->cut++;
		return;
	}
	struct block_stat *stat = &section->each[section->count++];
	*stat = (struct block_stat){ .dev = key->dev, .op = key->op };
	for (uint32_t cpu = 0; cpu < gathering->state->walk.cpus; cpu++)
		add_cpu(&stat->counts, &counts[cpu]);
}

static void take_depth(const void *key, const void *value, void *gathering_)
{
	const struct gathering *gathering = gathering_;
	struct block_device_section *section = &gathering->snap->block_devices;
	const struct block_depth *depth = value;

	if (section->count == MAX_BLOCK_DEVICES) {
		section->cut++;
		return;
	}
	struct block_device_state *device = &section->each[section->count++];
	*device = (struct block_device_state){ .dev = *(const uint32_t *)key, .in_flight = (uint32_t)depth->in_flight };
	device->max_in_flight = depth->epoch == gathering->state->skel->data->epoch ? depth->max : device->in_flight;
}

static struct block_device_state *find_device(struct block_device_section *section, uint32_t dev)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == dev)
			return &section->each[i];
	return NULL;
}

/* The time-weighted mean is held here for a moment as the integral: what completed took, and what is there has taken so far. */
struct integral {
	struct gathering base;
	uint64_t busy_ns[MAX_BLOCK_DEVICES];
};

static void take_request(const void *key, const void *value, void *integral_)
{
	struct integral *integral = integral_;
	const struct block_request *request = value;
	struct block_device_section *section = &integral->base.snap->block_devices;
	struct block_device_state *device = request->issued_ns ? find_device(section, request->dev) : NULL;

	if (!device || integral->base.now_ns <= request->issued_ns)
		return;
	uint64_t age = integral->base.now_ns - request->issued_ns;
	integral->busy_ns[device - section->each] += age;
	if (age > device->oldest_ns)
		device->oldest_ns = age;
}

/* A device that is gone takes its rows along. */
static void forget_device(struct block_state *state, uint32_t dev)
{
	for (uint32_t op = 0; op < BLOCK_OP_COUNT; op++) {
		struct block_device_key key = { .dev = dev, .op = op };
		(void)bpf_map_delete_elem(bpf_map__fd(state->skel->maps.devices), &key); /* most have not occurred */
	}
	(void)bpf_map_delete_elem(bpf_map__fd(state->skel->maps.depths), &dev);
	block_groups_forget_device(state->groups, bpf_map__fd(state->skel->maps.groups), dev);
}

static void drop_gone_devices(struct block_state *state, struct snapshot *snap)
{
	struct block_device_section *devices = &snap->block_devices;
	struct block_stat_section *stats = &snap->block_stats;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < devices->count; i++) {
		uint32_t dev = devices->each[i].dev, kept_stats = 0;

		if (name_device(state, dev, devices->each[i].name) != -ENOENT) {
			devices->each[kept++] = devices->each[i];
			continue;
		}
		forget_device(state, dev);
		for (uint32_t j = 0; j < stats->count; j++)
			if (stats->each[j].dev != dev)
				stats->each[kept_stats++] = stats->each[j];
		stats->count = kept_stats;
	}
	devices->count = kept;
}

static int compare_device(const void *a, const void *b)
{
	uint32_t left = ((const struct block_device_state *)a)->dev, right = ((const struct block_device_state *)b)->dev;
	return (left > right) - (left < right);
}

static int compare_stat(const void *a, const void *b)
{
	const struct block_stat *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev > right->dev ? 1 : -1;
	return (int)left->op - (int)right->op;
}

/* Means and peaks need the tick before; a device that was not there then had done nothing. */
static void compare_with_before(struct block_state *state, struct integral *integral)
{
	struct block_device_section *section = &integral->base.snap->block_devices;
	uint64_t elapsed = state->last_ns ? integral->base.now_ns - state->last_ns : 0;

	for (uint32_t i = 0; i < section->count; i++) {
		struct block_device_state *device = &section->each[i];
		uint64_t busy_before = 0, busy_now = integral->busy_ns[i];

		for (uint32_t j = 0; j < state->before_count; j++) {
			if (state->before[j].dev != device->dev)
				continue;
			busy_before = state->before[j].busy_ns;
			if (state->before[j].in_flight > device->max_in_flight)
				device->max_in_flight = state->before[j].in_flight;
		}
		/* The sums and the requests are read one after the other: one that ends in between is in neither, or in both. */
		device->mean_in_flight_milli = !elapsed ? UINT32_MAX : busy_now <= busy_before ? 0 :
			(uint32_t)((busy_now - busy_before) * 1000 / elapsed);
	}
	state->before_count = section->count;
	for (uint32_t i = 0; i < section->count; i++) {
		state->before[i].dev = section->each[i].dev;
		state->before[i].in_flight = section->each[i].in_flight;
		state->before[i].busy_ns = integral->busy_ns[i];
	}
	state->last_ns = integral->base.now_ns;
}

static int collect_devices(struct block_state *state, struct snapshot *snap)
{
	struct integral integral = { .base = { .state = state, .snap = snap } };
	struct block_device_section *devices = &snap->block_devices;
	struct block_stat_section *stats = &snap->block_stats;

	devices->count = devices->cut = stats->count = stats->cut = 0;
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.depths), take_depth, &integral);
	state->skel->data->epoch++;
	if (!error)
		error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.devices), take_counts, &integral);
	if (error)
		return error;
	qsort(devices->each, devices->count, sizeof(devices->each[0]), compare_device);
	drop_gone_devices(state, snap);
	qsort(stats->each, stats->count, sizeof(stats->each[0]), compare_stat);

	for (uint32_t i = 0; i < stats->count; i++) {
		struct block_device_state *device = find_device(devices, stats->each[i].dev);
		if (device)
			integral.busy_ns[device - devices->each] += stats->each[i].counts.device_ns;
	}
	integral.base.now_ns = clock_awake_ns();
	error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.requests), take_request, &integral);
	if (!error)
		compare_with_before(state, &integral);
	return error;
}

static int collect_block(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct block_state *state = state_;
	uint64_t lost[BLOCK_LOSS_COUNT];

	if (state->depth == DEPTH_OFF)
		return 0;
	int error = collect_devices(state, snap);
	if (!error)
		error = block_groups_collect(state->groups, &state->walk, bpf_map__fd(state->skel->maps.groups), snap);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.losses), 0, lost, BLOCK_LOSS_COUNT);
	if (error)
		return error;

	status->events_lost = lost[BLOCK_LOSS_START] + lost[BLOCK_LOSS_DEVICE] + lost[BLOCK_LOSS_GROUP] + snap->block_devices.cut +
		snap->block_stats.cut + block_groups_cut(state->groups) + object_missed(state->skel->obj);
	snap->block_stats.has_histograms = state->depth >= DEPTH_HISTOGRAMS;
	snap->block_devices.measured_ns = snap->block_stats.measured_ns = snap->block_groups.measured_ns = snap->boot_ns;
	return 0;
}

/* --- depth ------------------------------------------------------------------------------------------------------------ */

static void delete_all(int fd, size_t key_size)
{
	char key[16];

	_Static_assert(sizeof(key) >= sizeof(uint64_t), "the keys of requests and depths");
	for (uint32_t i = 0; key_size <= sizeof(key) && i < REQUESTS_MOST && !bpf_map_get_next_key(fd, NULL, key); i++)
		(void)bpf_map_delete_elem(fd, key); /* another has it then */
}

/* What was at a device when we looked away would stay there for ever; counters go on where they were. */
static int set_depth(void *state_, enum depth depth)
{
	struct block_state *state = state_;
	char why[WHY_LEN];
	int error;

	if (depth == DEPTH_OFF) {
		detach(state);
		delete_all(bpf_map__fd(state->skel->maps.requests), sizeof(uint64_t));
		delete_all(bpf_map__fd(state->skel->maps.depths), sizeof(uint32_t));
		state->before_count = 0;
		state->last_ns = 0;
	} else {
		state->skel->data->depth = depth;
		error = state->depth == DEPTH_OFF ? attach(state, why) : 0;
		if (error)
			return error;
	}
	state->depth = depth;
	return 0;
}

const struct collector collector_block = {
	.name = "block",
	.id = COLLECTOR_BLOCK,
	.open = open_block,
	.collect = collect_block,
	.close = close_block,
	.set_depth = set_depth,
};
