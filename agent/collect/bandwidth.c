/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bandwidth.h. The controller is in v2 or in a v1 hierarchy beside it, where a cgroup has the same path. A file a cgroup and
 * tick would be most of what the collector costs, and most have no limit: those whose periods stand still are asked in turn.
 */
#include "collect/bandwidth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/mount.h"

enum { TEXT_BYTES = 2048, QUIET_A_TICK = 32 };

struct bandwidth_reader {
	int fd;                      /* of the hierarchy's root */
	uint32_t next;               /* where the turn of the quiet ones goes on, in snap->cgroups */
	struct bandwidth_section last;
	char text[TEXT_BYTES];
};

int bandwidth_parse(const char *text, size_t size, struct bandwidth *ret)
{
	struct bandwidth found = { .cgroup_id = ret->cgroup_id };
	struct span whole, line, name;
	uint64_t value;
	unsigned int seen = 0;

	int error = span_of(text, size, &whole);
	if (error)
		return error;
	while (span_line(&whole, &line)) {
		if (!span_word(&line, &name) || !span_next_number(&line, &value))
			return -EINVAL;
		if (span_is(&name, "nr_periods")) {
			found.periods = value;
			seen |= 1;
		} else if (span_is(&name, "nr_throttled")) {
			found.throttled = value;
			seen |= 2;
		} else if (span_is(&name, "throttled_usec") || span_is(&name, "throttled_time")) {
			found.throttled_ns = span_is(&name, "throttled_usec") ? value * NSEC_PER_USEC : value;
			seen |= 4;
		}
	}
	if (seen != 7 || !found.periods)
		return -ENODATA;
	*ret = found;
	return 0;
}

/* v1's cpu hierarchy where it is mounted: a controller is in one of the two, never in both. */
static int open_hierarchy(const struct collector_env *env, char *buffer)
{
	struct span whole, line;
	struct mount mount;
	char best[PATH_LEN] = "";
	ssize_t length = procfs_read_at(env->proc_fd, "self/mountinfo", buffer, PROCFS_BUFFER);

	if (length < 0 || span_of(buffer, (size_t)length, &whole))
		return -ENODEV;
	while (span_line(&whole, &line)) {
		if (mount_parse(&line, &mount))
			continue;
		bool v1 = !strcmp(mount.type, "cgroup") && mount_has_option(mount.options, "cpu");
		if (v1 || (!best[0] && !strcmp(mount.type, "cgroup2")))
			memcpy(best, mount.mountpoint, sizeof(best));
		if (v1)
			break;
	}
	int fd = best[0] ? open(best, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	return fd < 0 ? -ENODEV : fd;
}

struct bandwidth_reader *bandwidth_new(const struct collector_env *env)
{
	struct bandwidth_reader *reader = calloc(1, sizeof(*reader));
	char *buffer = malloc(PROCFS_BUFFER);

	if (reader && buffer)
		reader->fd = open_hierarchy(env, buffer);
	if (!reader || !buffer || reader->fd < 0) {
		free(reader);
		reader = NULL;
	}
	free(buffer);
	return reader;
}

void bandwidth_free(struct bandwidth_reader *reader)
{
	if (!reader)
		return;
	close(reader->fd);
	free(reader);
}

static int compare_id(const void *key, const void *row)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct bandwidth *)row)->cgroup_id;
	return (id > other) - (id < other);
}

static int read_row(struct bandwidth_reader *reader, const struct cgroup *cgroup, struct bandwidth *ret)
{
	char path[PATH_LEN + 16];

	snprintf(path, sizeof(path), "%s/cpu.stat", cgroup->path + 1);
	ssize_t length = procfs_read_at(reader->fd, path, reader->text, sizeof(reader->text));
	ret->cgroup_id = cgroup->id;
	return length < 0 ? (int)length : bandwidth_parse(reader->text, (size_t)length, ret);
}

void bandwidth_read(struct bandwidth_reader *reader, struct snapshot *snap)
{
	const struct cgroup_section *cgroups = &snap->cgroups;
	struct bandwidth_section *section = &snap->bandwidths;
	uint32_t asked = 0, from = reader->next;

	reader->last = *section;
	section->count = section->cut = 0;
	for (uint32_t i = 0; i < cgroups->count; i++) {
		const struct cgroup *cgroup = &cgroups->each[i];
		const struct bandwidth *before = bsearch(&cgroup->id, reader->last.each, reader->last.count, sizeof(reader->last.each[0]),
							 compare_id);
		struct bandwidth row;

		if (!cgroup->path[0] || !cgroup->path[1]) /* nameless; and the root has no limit */
			continue;
		if (!before) {
			if (i < from || asked == QUIET_A_TICK)
				continue;
			asked++;
			reader->next = i + 1;
		}
		if (read_row(reader, cgroup, &row))
			continue;
		if (section->count < MAX_BANDWIDTHS)
			section->each[section->count++] = row;
		else
			section->cut++;
	}
	if (asked < QUIET_A_TICK)
		reader->next = 0;
	section->measured_ns = snap->boot_ns;
}
