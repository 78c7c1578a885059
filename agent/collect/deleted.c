/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are deleted and still open, every ten seconds: who holds how much of which filesystem. By one BPF walk over all open
 * descriptors, or, where that does not load, by the links in /proc/PID/fd, at most so many of them in one look.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/deleted_procfs.h"
#include "core/clock.h"
#include "core/pages.h"
#include "deleted.skel.h"

enum { READ_BYTES = 32 * 1024, MAX_RECORDS = 4096 };
#define LOOK_EVERY_NS (10 * NSEC_PER_SEC)

struct deleted_state {
	struct deleted_bpf *skel;       /* NULL: procfs */
	struct bpf_link *link;
	int proc_fd;
	uint64_t looked_at_ns, records_cut;
	struct deleted_section last;    /* of the last look; shown until the next */
	uint32_t count;
	struct deleted_record records[MAX_RECORDS];
	char buffer[READ_BYTES] __attribute__((aligned(8)));
};

static void close_deleted(void *state_)
{
	struct deleted_state *state = state_;

	if (!state)
		return;
	bpf_link__destroy(state->link);
	object_close(deleted, state->skel);
	if (state->proc_fd >= 0)
		close(state->proc_fd);
	pages_free(state);
}

static int open_walk(struct deleted_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);

	state->skel = deleted_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->pidns_inode = object_pidns(env);
	int error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = object_attach(state->skel->progs.on_task_file, &state->link, why, WHY_LEN);
	if (!error)
		return 0;
	object_close(deleted, state->skel);
	return error;
}

static int open_deleted(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct deleted_state *state = pages_new(1, sizeof(*state));
	char why[WHY_LEN] = "";

	if (!state)
		return collector_down(status, -ENOMEM, why);
	state->proc_fd = fcntl(env->proc_fd, F_DUPFD_CLOEXEC, 3);
	if (!open_walk(state, env, why)) {
		collector_up(status, COLLECTOR_UP, "iter/task_file", state->skel->obj);
	} else {
		status->state = COLLECTOR_DEGRADED;
		snprintf(status->source, sizeof(status->source), "procfs");
		snprintf(status->why, sizeof(status->why), "no iter/task_file: %.130s", why);
	}
	*ret_state = state;
	return 0;
}

/* --- a look ----------------------------------------------------------------------------------------------------------- */

static void take_record(const struct deleted_record *record, void *state_)
{
	struct deleted_state *state = state_;

	if (state->count < MAX_RECORDS)
		state->records[state->count++] = *record;
	else
		state->records_cut++;
}

static int look_by_walk(struct deleted_state *state)
{
	int fd = bpf_iter_create(bpf_link__fd(state->link));
	size_t held = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t size = read(fd, state->buffer + held, sizeof(state->buffer) - held);
		if (size < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		int error = size < 0 ? -errno : 0;
		if (size <= 0) {
			close(fd);
			return error;
		}
		held += (size_t)size;
		size_t whole = held / sizeof(struct deleted_record) * sizeof(struct deleted_record);
		for (size_t at = 0; at < whole; at += sizeof(struct deleted_record))
			take_record((const struct deleted_record *)(const void *)(state->buffer + at), state);
		memmove(state->buffer, state->buffer + whole, held - whole);
		held -= whole;
	}
}

/* --- the section ------------------------------------------------------------------------------------------------------ */

static int compare_u64(uint64_t left, uint64_t right)
{
	return (left > right) - (left < right);
}

static int compare_file(const void *a, const void *b)
{
	const struct deleted_record *left = a, *right = b;
	int order = compare_u64(left->dev, right->dev);

	return order ? order : compare_u64(left->ino, right->ino);
}

/* By process and filesystem, then by file: two descriptors of one file stand side by side. */
static int compare_holder(const void *a, const void *b)
{
	const struct deleted_record *left = a, *right = b;
	int order = compare_u64(left->start_ns, right->start_ns);

	if (!order)
		order = compare_u64((uint64_t)left->pid, (uint64_t)right->pid);
	return order ? order : compare_file(a, b);
}

static int compare_bytes(const void *a, const void *b)
{
	return compare_u64(((const struct deleted_holder *)b)->bytes, ((const struct deleted_holder *)a)->bytes);
}

static struct deleted_filesystem *find_filesystem(struct deleted_section *section, uint32_t dev)
{
	for (uint32_t i = 0; i < section->filesystem_count; i++)
		if (section->filesystems[i].dev == dev)
			return &section->filesystems[i];
	return NULL;
}

/* What is mounted here. A memfd is a deleted file, too, on a filesystem that nobody can fill or see: it stays out. */
static void begin_section(struct deleted_section *section, const struct filesystem_section *mounted)
{
	section->count = section->cut = section->filesystem_count = 0;
	for (uint32_t i = 0; i < mounted->count && section->filesystem_count < MAX_DELETED_FILESYSTEMS; i++)
		if (!find_filesystem(section, mounted->each[i].dev))
			section->filesystems[section->filesystem_count++] = (struct deleted_filesystem){ .dev = mounted->each[i].dev };
}

static void keep_mounted(struct deleted_state *state)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < state->count; i++)
		if (find_filesystem(&state->last, state->records[i].dev))
			state->records[kept++] = state->records[i];
	state->count = kept;
}

static void add_filesystems(struct deleted_state *state)
{
	qsort(state->records, state->count, sizeof(state->records[0]), compare_file);
	for (uint32_t i = 0; i < state->count; i++) {
		const struct deleted_record *record = &state->records[i];
		struct deleted_filesystem *filesystem = find_filesystem(&state->last, record->dev);

		if (i && !compare_file(record - 1, record))
			continue;
		filesystem->bytes += record->bytes;
		filesystem->files++;
	}
}

/* The smallest gives way when there is no room. */
static struct deleted_holder *place_of(struct deleted_section *section)
{
	if (section->count < MAX_DELETED_HOLDERS)
		return &section->each[section->count++];
	section->cut++;
	qsort(section->each, section->count, sizeof(section->each[0]), compare_bytes);
	return &section->each[section->count - 1];
}

static void add_holders(struct deleted_state *state)
{
	struct deleted_holder *holder = NULL;

	qsort(state->records, state->count, sizeof(state->records[0]), compare_holder);
	for (uint32_t i = 0; i < state->count; i++) {
		const struct deleted_record *record = &state->records[i];

		if (!record->pid) /* of a pid namespace above ours: in the total, but not ours to name */
			continue;
		if (i && holder && !compare_holder(record - 1, record))
			continue;
		if (!holder || holder->start_ns != record->start_ns || holder->pid != record->pid || holder->dev != record->dev) {
			holder = place_of(&state->last);
			*holder = (struct deleted_holder){
				.start_ns = record->start_ns, .pid = record->pid, .dev = record->dev, .cgroup_id = record->cgroup_id,
			};
			memcpy(holder->comm, record->comm, sizeof(holder->comm));
			holder->comm[sizeof(holder->comm) - 1] = '\0';
		}
		holder->bytes += record->bytes;
		holder->files++;
	}
	qsort(state->last.each, state->last.count, sizeof(state->last.each[0]), compare_bytes);
}

static int look(struct deleted_state *state, const struct snapshot *snap)
{
	uint64_t began_ns = clock_boot_ns();
	int error = 0;

	state->count = 0;
	if (state->skel)
		error = look_by_walk(state);
	else
		state->records_cut += deleted_procfs_look(state->proc_fd, take_record, state);
	if (error)
		return error;
	begin_section(&state->last, &snap->filesystems);
	keep_mounted(state);
	add_filesystems(state);
	add_holders(state);
	state->last.looked_ns = clock_boot_ns() - began_ns;
	return 0;
}

static int collect_deleted(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct deleted_state *state = state_;

	if (!state->looked_at_ns || snap->boot_ns - state->looked_at_ns >= LOOK_EVERY_NS) {
		int error = look(state, snap);
		if (error)
			return error;
		state->looked_at_ns = snap->boot_ns;
		snap->deleted = state->last;
	}
	snap->deleted.measured_ns = snap->boot_ns;
	status->events_lost = state->records_cut;
	return 0;
}

const struct collector collector_deleted = {
	.name = "deleted",
	.id = COLLECTOR_DELETED,
	.open = open_deleted,
	.collect = collect_deleted,
	.close = close_deleted,
};
