/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes and the rows of their cgroups, by one BPF walk over all threads (0.2 µs each) or, where that does not load, by procfs.
 * What ended in between comes from the task collector's map, so that processes shorter than a tick are not lost to their cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/attribution.h"
#include "collect/bpf.h"
#include "collect/process_procfs.h"
#include "collect/process_table.h"
#include "collect/task.h"
#include "process.skel.h"

/* The kernel's buffer of an iterator is eight pages: a larger read gets no more. */
enum { READ_BYTES = 32 * 1024, WALK_BYTES = 64 * 1024 };
/* Descriptors are counted in one walk of so many: they come and go, and are the dearest part of it. */
enum { TICKS_PER_FILES = 5 };

struct process_state {
	struct process_bpf *skel;       /* NULL: procfs */
	struct bpf_link *link;
	int proc_fd, sys_fd;
	int lives_fd;                   /* our own descriptor of the map; -1: nobody tells of ends */
	uint32_t ticks;
	/* The run queues' clocks at the last walk, at the one before it, and at the one before descriptors were counted last; zero: not known. */
	uint64_t last_clock[WALK_CPUS], earlier_clock[WALK_CPUS], files_clock[WALK_CPUS];
	struct attribution_window *window;
	const char *cgroup_root;
	struct object_walk walk;
	struct process_table *table;
	char records[READ_BYTES] __attribute__((aligned(8)));
};

static void close_process(void *state_)
{
	struct process_state *state = state_;

	if (!state)
		return;
	bpf_link__destroy(state->link);
	object_close(process, state->skel);
	if (state->lives_fd >= 0)
		close(state->lives_fd);
	if (state->proc_fd >= 0)
		close(state->proc_fd);
	if (state->sys_fd >= 0)
		close(state->sys_fd);
	object_walk_free(&state->walk);
	process_table_free(state->table);
	attribution_free(state->window);
	free(state);
}

/* The task collector reads the ring, and empties the two maps as processes end; without it slices are not told. */
static bool share_with_task(struct process_bpf *skel)
{
	struct bpf_map *maps[] = { skel->maps.task_events, skel->maps.sliced, skel->maps.told };
	bool shared = true;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]) && shared; i++) {
		int fd = object_shared_map(bpf_map__name(maps[i]));
		shared = fd >= 0 && !bpf_map__reuse_fd(maps[i], fd);
	}
	/* Its functions are looked at all the same on older kernels, and want their maps; a ring, however short, is memory at once. */
	if (!shared)
		(void)bpf_map__set_max_entries(maps[0], (uint32_t)sysconf(_SC_PAGESIZE)); /* refused once it is another's: then it is not made */
	return shared;
}

static int open_walk(struct process_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->skel = process_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->pidns_inode = object_pidns(env);
	state->skel->rodata->page_shift = object_page_shift();
	state->skel->rodata->slice_cpu_ns = env->config->slice_cpu_ns;
	state->skel->rodata->slice_io_bytes = env->config->slice_io_bytes;
	state->skel->rodata->slice_rss_bytes = env->config->slice_rss_bytes;
	state->skel->rodata->with_task = share_with_task(state->skel);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = object_attach(state->skel->progs.on_task, &state->link, why, WHY_LEN);
	if (!error)
		return 0;
	object_close(process, state->skel);
	if (!why[0])
		snprintf(why, WHY_LEN, "%s", strerror(-error));
	return error;
}

static struct process_state *new_state(const struct collector_env *env)
{
	struct process_state *state = calloc(1, sizeof(*state));
	int shared = object_shared_map(TASK_LIVES_MAP);

	if (!state)
		return NULL;
	state->proc_fd = fcntl(env->proc_fd, F_DUPFD_CLOEXEC, 3);
	state->sys_fd = fcntl(env->sys_fd, F_DUPFD_CLOEXEC, 3);
	state->lives_fd = shared < 0 ? -1 : fcntl(shared, F_DUPFD_CLOEXEC, 3);
	state->table = process_table_new(state->lives_fd >= 0);
	state->window = attribution_new();
	if (!state->table || !state->window || object_walk_init(&state->walk, WALK_BYTES)) {
		close_process(state);
		return NULL;
	}
	return state;
}

static int open_process(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct process_state *state = new_state(env);
	char why[WHY_LEN] = "";

	if (!state)
		return collector_down(status, -ENOMEM, why);
	if (!open_walk(state, env, why)) {
		collector_up(status, COLLECTOR_UP, "iter/task", state->skel->obj);
	} else if (!faccessat(state->proc_fd, "self/stat", F_OK, 0)) {
		status->state = COLLECTOR_DEGRADED;
		snprintf(status->source, sizeof(status->source), "procfs");
		snprintf(status->why, sizeof(status->why), "no iter/task: %.140s", why);
		state->cgroup_root = process_procfs_cgroup_root(state->sys_fd);
	} else {
		close_process(state);
		snprintf(status->why, sizeof(status->why), "no iter/task, no procfs: %.130s", why);
		return collector_down(status, -ENODEV, status->why);
	}
	*ret_state = state;
	return 0;
}

/* How many bytes of whole records the buffer held; the rest is the beginning of one more. */
static size_t take_records(struct process_table *table, const char *records, size_t size)
{
	size_t at = 0;

	for (;;) {
		const struct thread_record *thread = (const void *)(records + at);

		if (size - at < sizeof(struct still_record))
			return at;
		if (thread->kind == THREAD_STILL) {
			process_table_take_still(table, (const void *)thread);
			at += sizeof(struct still_record);
			continue;
		}
		if (size - at < sizeof(*thread))
			return at;
		if (thread->kind == THREAD_FOLLOWER) {
			process_table_take_thread(table, thread);
			at += sizeof(*thread);
			continue;
		}
		if (size - at < sizeof(struct process_record))
			return at;
		process_table_take_process(table, (const void *)(records + at));
		at += sizeof(struct process_record);
	}
}

static int walk_by_bpf(struct process_state *state)
{
	int fd = bpf_iter_create(bpf_link__fd(state->link));
	size_t filled = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, state->records + filled, sizeof(state->records) - filled)) > 0 || (got < 0 && errno == EINTR)) {
		if (got < 0)
			continue;
		filled += (size_t)got;
		size_t taken = take_records(state->table, state->records, filled);
		filled -= taken;
		memmove(state->records, state->records + taken, filled);
	}
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static void take_ended(const void *key, const void *value, void *table)
{
	process_table_take_ended(table, *(const uint64_t *)key, value);
}

/* v5.14, 3e87f192b405: hashes know lookup-and-delete. Before, what ends between the two calls is lost to the rest. */
static void delete_lives(const struct process_state *state, uint32_t index)
{
	const uint64_t id = process_table_forgotten_id(state->table, index);
	struct cgroup_lives last, none = { .lives.forks = 0 };

	if (bpf_map_lookup_and_delete_elem(state->lives_fd, &id, &last)) {
		if (errno == ENOENT || bpf_map_lookup_elem(state->lives_fd, &id, &last))
			return; /* most never had an entry */
		(void)bpf_map_delete_elem(state->lives_fd, &id);
	}
	process_table_take_last(state->table, index, &last);
	if (id == CGROUP_UNKNOWN)
		(void)bpf_map_update_elem(state->lives_fd, &id, &none, BPF_NOEXIST);
}

static uint64_t slices_lost(const struct process_state *state)
{
	return state->skel ? state->skel->data->slices_lost : 0;
}

/*
 * What has not run since the last walk began need not be read whole. The clocks are noted one by one while a walk goes on, so those of the walk
 * before the last are the newest that surely all lie before it. After a walk that was cut off, nothing is known of what it did not reach.
 */
static int walk(struct process_state *state, bool full)
{
	if (!state->skel)
		return process_procfs_walk(state->proc_fd, state->sys_fd, state->cgroup_root, state->table);

	struct process_bpf__data *data = state->skel->data;
	bool files = full && state->ticks++ % TICKS_PER_FILES == 0;
	data->count_files_now = files;
	data->walk_number++;
	memset((void *)data->seen_clock, 0, sizeof(data->seen_clock));
	memcpy((void *)data->still_since, files ? state->files_clock : state->earlier_clock, sizeof(data->still_since));
	int error = walk_by_bpf(state);
	if (error) {
		memset(state->last_clock, 0, sizeof(state->last_clock));
		memset(state->earlier_clock, 0, sizeof(state->earlier_clock));
		memset(state->files_clock, 0, sizeof(state->files_clock));
		return error;
	}
	if (files)
		memcpy(state->files_clock, state->last_clock, sizeof(state->files_clock));
	memcpy(state->earlier_clock, state->last_clock, sizeof(state->earlier_clock));
	memcpy(state->last_clock, (const void *)data->seen_clock, sizeof(state->last_clock));
	return 0;
}

static int collect_process(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct process_state *state = state_;
	int error = 0;

	process_table_begin(state->table, snap->boot_ns, snap->interval_ns);
	/* The ends first: one that ends between the two is then missing for a tick, where the other way round it would count twice. */
	if (state->lives_fd >= 0)
		error = object_walk_map(&state->walk, state->lives_fd, take_ended, state->table);
	if (!error)
		error = walk(state, full);
	if (error)
		return error;

	process_table_end(state->table, snap, full);
	for (uint32_t i = 0; state->lives_fd >= 0 && i < process_table_forgotten(state->table); i++)
		delete_lives(state, i);
	if (full) {
		process_procfs_limits(state->proc_fd, &snap->processes);
		attribution_fill(state->window, snap);
	}
	status->events_lost = process_table_cut(state->table) + slices_lost(state);
	return 0;
}

const struct collector collector_process = {
	.name = "process",
	.id = COLLECTOR_PROCESS,
	.fast = true,
	.open = open_process,
	.collect = collect_process,
	.close = close_process,
};
