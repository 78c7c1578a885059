/* SPDX-License-Identifier: Apache-2.0 */
/* Whole disks, from /proc/diskstats. Partitions, loop, RAM and floppy devices are left out, as node_exporter does by default. */
#include "collect/procfs.h"
#include "collector.h"
#include "core/pages.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512 /* in this file always, whatever the device's own block size */ };

struct disk_state {
	int fd;
	uint64_t full_ns;
	struct disk_section next;
	char buffer[PROCFS_BUFFER];
};

static bool is_whole_disk(const char *name)
{
	static const char *const left_out[] = {
		"fd[0-9]*", "hd[a-z][0-9]*", "loop[0-9]*", "nvme[0-9]*n[0-9]*p[0-9]*", "ram[0-9]*", "sd[a-z][0-9]*", "sd[a-z][a-z][0-9]*",
		"vd[a-z][0-9]*", "xvd[a-z][0-9]*", "zram[0-9]*",
	};

	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (fnmatch(left_out[i], name, 0) == 0)
			return false;
	return true;
}

static int parse_disk(struct span *line, struct disk *ret)
{
	uint64_t major, minor, read_sectors, write_sectors, read_ms, write_ms, io_ms, weighted_ms;
	struct span name;

	if (!span_next_number(line, &major) || !span_next_number(line, &minor) || major > 0xfff || minor > 0xfffff ||
	    !span_word(line, &name))
		return -EINVAL;
	*ret = (struct disk){ .dev = (uint32_t)(major << 20 | minor), .busy_permille = UINT32_MAX };
	if (span_copy(&name, ret->name, sizeof(ret->name)) >= sizeof(ret->name))
		return -EINVAL;

	uint64_t *const order[] = { &ret->reads,	&ret->reads_merged, &read_sectors, &read_ms, &ret->writes, &ret->writes_merged,
				    &write_sectors, &write_ms,	    &ret->in_flight, &io_ms,   &weighted_ms };
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (!span_next_number(line, order[i]))
			return -EINVAL;

	if (__builtin_mul_overflow(read_sectors, SECTOR_BYTES, &ret->read_bytes) ||
	    __builtin_mul_overflow(write_sectors, SECTOR_BYTES, &ret->written_bytes) ||
	    __builtin_mul_overflow(read_ms, NSEC_PER_MSEC, &ret->read_ns) ||
	    __builtin_mul_overflow(write_ms, NSEC_PER_MSEC, &ret->write_ns) || __builtin_mul_overflow(io_ms, NSEC_PER_MSEC, &ret->io_ns) ||
	    __builtin_mul_overflow(weighted_ms, NSEC_PER_MSEC, &ret->weighted_io_ns))
		return -EINVAL;
	return 0;
}

int disk_parse(const char *text, size_t size, struct disk_section *ret)
{
	struct span whole, line;

	int error = span_of(text, size, &whole);
	if (error)
		return error;

	ret->count = 0;
	ret->cut = 0;
	while (span_line(&whole, &line)) {
		struct disk disk;
		error = parse_disk(&line, &disk);
		if (error)
			return error;
		if (!is_whole_disk(disk.name))
			continue;
		if (ret->count < MAX_DISKS)
			ret->each[ret->count++] = disk;
		else
			ret->cut++;
	}
	return 0;
}

static const struct disk *find(const struct disk_section *disks, const struct disk *like)
{
	for (uint32_t i = 0; i < disks->count; i++)
		if (disks->each[i].dev == like->dev && strcmp(disks->each[i].name, like->name) == 0)
			return &disks->each[i];
	return NULL;
}

/* io_ns is kept in 32 bits of milliseconds by some kernels and wraps after 49 days; then this interval has no figure. */
static uint32_t busy_permille(const struct disk *before, const struct disk *now, uint64_t elapsed_ns)
{
	if (!before || !elapsed_ns || now->io_ns < before->io_ns)
		return UINT32_MAX;
	double share = (double)(now->io_ns - before->io_ns) * 1000 / (double)elapsed_ns;
	return share < 1000 ? (uint32_t)share : 1000;
}

static void disk_close(void *opaque)
{
	struct disk_state *state = opaque;
	if (!state)
		return;
	if (state->fd >= 0)
		close(state->fd);
	pages_free(state);
}

static int disk_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct disk_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	snprintf(status->source, sizeof(status->source), "procfs");
	state->fd = procfs_open(env->proc_fd, "diskstats");
	if (state->fd < 0) {
		int error = state->fd;
		snprintf(status->why, sizeof(status->why), "/proc/diskstats: %s", strerror(-error));
		disk_close(state);
		return error;
	}

	status->state = COLLECTOR_UP;
	*ret_state = state;
	return 0;
}

static int disk_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct disk_state *state = opaque;
	struct disk_section *next = &state->next;

	ssize_t length = procfs_read(state->fd, state->buffer, sizeof(state->buffer));
	if (length == -ENODATA) { /* a node without any block device: known, and none */
		next->count = 0;
		next->cut = 0;
	} else {
		int error = length < 0 ? (int)length : disk_parse(state->buffer, (size_t)length, next);
		if (error)
			return error;
	}

	/* The interval is this collector's own: the first reading after it was opened has none. */
	uint64_t elapsed_ns = state->full_ns ? snap->boot_ns - state->full_ns : 0;
	for (uint32_t i = 0; i < next->count; i++) {
		const struct disk *before = find(&snap->disks, &next->each[i]);
		next->each[i].busy_permille = before ? before->busy_permille : UINT32_MAX;
		if (full)
			next->each[i].busy_permille = busy_permille(before, &next->each[i], elapsed_ns);
	}
	if (full)
		state->full_ns = snap->boot_ns;

	status->events_lost += next->cut;
	memcpy(snap->disks.each, next->each, next->count * sizeof(next->each[0]));
	snap->disks.count = next->count;
	snap->disks.cut = next->cut;
	snap->disks.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_disk = {
	.name = "disk", .id = COLLECTOR_DISK, .fast = false, .open = disk_open, .collect = disk_collect, .close = disk_close,
};
