/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the cgroup rows that the process walk made their names and their controllers' figures, and drops those that have been
 * empty for a minute. Names come from the kernel as cgroups are made; of older ones from the id, which is the cgroup's kernfs file
 * handle: the kernel opens it without any search. Where that is refused, a member's /proc/PID/cgroup says the path, and the
 * inode number there proves that it is the same one.
 */
#include "collect/cgroup_controls.h"
#include "collect/cgroup_watch.h"
#include "collect/crash.h"
#include "collect/mount.h"
#include "collector.h"
#include "core/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_EMPTY_NS (60 * NSEC_PER_SEC)
#define RETRY_NS (10 * NSEC_PER_SEC)
#define CHARGE_SAMPLE_NS (2 * NSEC_PER_SEC)
#define LIMIT_NS (10 * NSEC_PER_SEC) /* limits change rarely, and a file a cgroup and tick is what this collector costs */

enum {
	KERNFS_HANDLE_TYPE = 0xfe,   /* FILEID_KERNFS; the handle is the id */
	ROWS_HIGH = MAX_CGROUPS * 3 / 4, /* from here on, the removed and empty do not keep their row for a minute */
	MAX_FAST_NAMES = 64,         /* new rows named at a fast tick; the rest wait for the next full one */
	CHARGE_SAMPLES = 8,          /* 2 s apart: the base of the growth is 14 to 16 s old, as for processes */
};

struct seen { /* what is known of a row, by id, ascending */
	uint64_t id, occupied_ns, retry_ns, limit_ns;
	uint64_t charged[CHARGE_SAMPLES], sampled_ns; /* memory.current, oldest first from charged_first */
	uint32_t charged_first, charged_count;
	bool counted;            /* as nameless */
};

struct hierarchy {
	int fd;                  /* -1: there is none */
	char mountpoint[PATH_LEN];
};

struct cgroup_state {
	int proc_fd;
	struct hierarchy names, memory, pids; /* the latter two may be a v1 hierarchy's, or the same one opened again */
	struct cgroup_controls controls;
	struct cgroup_watch *watch; /* NULL: nobody tells */
	uint64_t nameless;
	bool memory_v1, no_handles;
	uint32_t count, next_count;
	struct seen seen[MAX_CGROUPS], next[MAX_CGROUPS];
	uint32_t moved_to[MAX_CGROUPS];
	char buffer[PROCFS_BUFFER];
};

/* --- names -------------------------------------------------------------------------------------------------------------- */

static int set_path(struct cgroup *row, const char *path, size_t length)
{
	if (length >= sizeof(row->path))
		return -ENAMETOOLONG; /* cut short it would be another cgroup's name */
	memcpy(row->path, path, length);
	row->path[length] = '\0';
	struct path_identity said;
	identity_of_path(row->path, &said);
	snprintf(row->unit, sizeof(row->unit), "%s", said.unit);
	snprintf(row->container, sizeof(row->container), "%s", said.container_id);
	return 0;
}

/* Below the mountpoint; the mountpoint itself is "/". */
static int set_path_below(struct cgroup *row, const char *path, const char *mountpoint)
{
	size_t length = strlen(mountpoint);
	static const char gone[] = " (deleted)";

	if (strncmp(path, mountpoint, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return -EXDEV;
	path += length;
	length = strlen(path);
	if (length >= sizeof(gone) - 1 && strcmp(path + length - (sizeof(gone) - 1), gone) == 0)
		return -ESTALE;
	return length ? set_path(row, path, length) : set_path(row, "/", 1);
}

static int name_by_handle(const struct cgroup_state *state, struct cgroup *row)
{
	union {
		struct file_handle head;
		char bytes[sizeof(struct file_handle) + sizeof(row->id)];
	} handle = { .head = { .handle_bytes = sizeof(row->id), .handle_type = KERNFS_HANDLE_TYPE } };
	memcpy(handle.bytes + sizeof(struct file_handle), &row->id, sizeof(row->id));

	int fd = open_by_handle_at(state->names.fd, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	char link[64], path[PATH_LEN * 2];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	int error = -errno;
	close(fd);
	if (length < 0)
		return error;
	if ((size_t)length == sizeof(path) - 1)
		return -ENAMETOOLONG;
	path[length] = '\0';
	return set_path_below(row, path, state->names.mountpoint);
}

static int path_of_process(struct cgroup_state *state, int32_t pid, struct span *ret)
{
	char file[32];
	struct span whole, line;

	snprintf(file, sizeof(file), "%d/cgroup", pid);
	ssize_t length = procfs_read_at(state->proc_fd, file, state->buffer, sizeof(state->buffer));
	if (length < 0)
		return (int)length;
	int error = span_of(state->buffer, (size_t)length, &whole);
	if (error)
		return error;
	while (span_line(&whole, &line))
		if (span_starts(&line, "0::/")) {
			*ret = (struct span){ line.at - 1, line.end };
			return 0;
		}
	return -ENOENT;
}

static int name_by_member(struct cgroup_state *state, const struct snapshot *snap, struct cgroup *row)
{
	char path[PATH_LEN + 2];
	struct span said = { NULL, NULL };
	struct stat found;

	for (uint32_t i = 0; i < snap->processes.count; i++) {
		const struct process *process = &snap->processes.each[i];
		if (process->cgroup_id != row->id || path_of_process(state, process->pid, &said) != 0)
			continue;
		if ((size_t)(said.end - said.at) >= PATH_LEN)
			return -ENAMETOOLONG;
		/* It may have moved since the walk. */
		snprintf(path, sizeof(path), ".%.*s", (int)(said.end - said.at), said.at);
		if (fstatat(state->names.fd, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_ino == row->id)
			return set_path(row, said.at, (size_t)(said.end - said.at));
	}
	return -ESRCH;
}

static int name_row(struct cgroup_state *state, const struct snapshot *snap, struct cgroup *row, struct collector_status *status)
{
	const char *told = state->watch ? cgroup_watch_path(state->watch, row->id) : NULL;

	if (told)
		return set_path(row, told, strlen(told));
	if (!state->no_handles) {
		int error = name_by_handle(state, row);
		if (error != -EPERM && error != -EOPNOTSUPP)
			return error;
		state->no_handles = true;
		status->state = COLLECTOR_DEGRADED;
		snprintf(status->why, sizeof(status->why), "names from /proc/PID/cgroup: open_by_handle_at: %s", strerror(-error));
	}
	return name_by_member(state, snap, row);
}

static int compare_id(const void *key, const void *entry)
{
	uint64_t id = *(const uint64_t *)key, other = ((const struct seen *)entry)->id;
	return (id > other) - (id < other);
}

static void name_rows(struct cgroup_state *state, struct snapshot *snap, uint32_t most, struct collector_status *status)
{
	for (uint32_t i = 0; i < snap->cgroups.count && most; i++) {
		struct cgroup *row = &snap->cgroups.each[i];
		if (row->path[0])
			continue;
		struct seen *seen = bsearch(&row->id, state->seen, state->count, sizeof(state->seen[0]), compare_id);
		if (seen && snap->boot_ns < seen->retry_ns)
			continue;
		most--;
		if (name_row(state, snap, row, status) == 0 || !seen)
			continue;
		/* Gone already, or not ours to see: it stays nameless, is counted once and not asked about at every tick. */
		state->nameless += !seen->counted;
		seen->counted = true;
		seen->retry_ns = snap->boot_ns + RETRY_NS;
	}
}

/* --- rows --------------------------------------------------------------------------------------------------------------- */

static bool keeps_row(const struct cgroup_state *state, const struct snapshot *snap, const struct seen *seen, bool is_new)
{
	uint64_t empty_ns = snap->boot_ns - seen->occupied_ns;

	if (!empty_ns || is_new)
		return true;
	if (state->watch && cgroup_watch_replaced(state->watch, seen->id))
		return false; /* two rows of one name would be two series of the same labels */
	if (snap->cgroups.count > ROWS_HIGH && state->watch && cgroup_watch_removed(state->watch, seen->id))
		return false;
	return empty_ns <= KEEP_EMPTY_NS;
}

/* Both are in the order of ids: one pass brings what was known to the rows of this tick, and leaves out those empty for long. */
static void merge(struct cgroup_state *state, struct snapshot *snap)
{
	struct cgroup_section *cgroups = &snap->cgroups;
	uint32_t kept = 0, known = 0;

	for (uint32_t i = 0; i < cgroups->count; i++) {
		struct cgroup *row = &cgroups->each[i];
		while (known < state->count && state->seen[known].id < row->id)
			known++;
		struct seen seen = { .id = row->id, .occupied_ns = snap->boot_ns };
		bool is_new = known == state->count || state->seen[known].id != row->id;
		if (!is_new)
			seen = state->seen[known];
		if (row->processes)
			seen.occupied_ns = snap->boot_ns;

		state->moved_to[i] = NO_INDEX;
		if (!keeps_row(state, snap, &seen, is_new))
			continue;
		state->moved_to[i] = kept;
		state->next[kept] = seen;
		if (kept != i)
			cgroups->each[kept] = *row;
		kept++;
	}

	for (uint32_t i = 0; kept != cgroups->count && i < snap->processes.count; i++) {
		struct process *process = &snap->processes.each[i];
		if (process->cgroup_index < cgroups->count)
			process->cgroup_index = state->moved_to[process->cgroup_index];
	}
	cgroups->count = kept;
	memcpy(state->seen, state->next, kept * sizeof(state->seen[0]));
	state->count = kept;
}

/* --- the memory controller ---------------------------------------------------------------------------------------------- */

/* What memory.stat says of refaults (anonymous and file pages together) and of page cache that can be dropped. UNKNOWN without such lines. */
static void read_stat(struct cgroup_state *state, struct cgroup *row)
{
	char path[PATH_LEN + NAME_LEN];
	struct span whole, line, word;
	uint64_t value;

	row->refaults = row->memory_file = UNKNOWN;
	snprintf(path, sizeof(path), "%s/memory.stat", row->path + 1);
	ssize_t length = procfs_read_at(state->memory.fd, path, state->buffer, sizeof(state->buffer));
	if (length < 0 || span_of(state->buffer, (size_t)length, &whole))
		return;
	while (span_line(&whole, &line)) {
		if (!span_word(&line, &word))
			continue;
		/* v1 counts the cgroup itself under the plain name, and what its limit holds under total_. */
		if (state->memory_v1 && !span_starts(&word, "total_"))
			continue;
		if ((span_is(&word, "inactive_file") || span_is(&word, "active_file")) && span_next_number(&line, &value))
			row->memory_file = (row->memory_file == UNKNOWN ? 0 : row->memory_file) + value;
		else if (!state->memory_v1 && span_starts(&word, "workingset_refault_") && span_next_number(&line, &value))
			row->refaults = (row->refaults == UNKNOWN ? 0 : row->refaults) + value;
	}
}

/* The kernel sums a subtree's counters up for each reading of memory.stat: every ten seconds is often enough, but near a limit. */
static bool is_near_limit(const struct cgroup *row)
{
	return row->memory_max != UNKNOWN && row->memory_current != UNKNOWN && row->memory_current > row->memory_max - row->memory_max / 4;
}

static int64_t growth_of(struct seen *seen, uint64_t charged, uint64_t now_ns)
{
	if (charged == UNKNOWN) {
		seen->charged_count = 0;
		return INT64_MIN;
	}
	if (!seen->charged_count || now_ns - seen->sampled_ns >= CHARGE_SAMPLE_NS) {
		seen->sampled_ns = now_ns;
		seen->charged[(seen->charged_first + seen->charged_count) % CHARGE_SAMPLES] = charged;
		if (seen->charged_count < CHARGE_SAMPLES)
			seen->charged_count++;
		else
			seen->charged_first = (seen->charged_first + 1) % CHARGE_SAMPLES;
	}
	return (int64_t)charged - (int64_t)seen->charged[seen->charged_first];
}

static void read_memory(struct cgroup_state *state, struct snapshot *snap)
{
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		struct cgroup *row = &snap->cgroups.each[i];
		struct seen *seen = &state->seen[i];

		/* The root has no limit, and its usage is the node's: meminfo says that better. */
		if (state->memory.fd < 0 || !row->path[0] || !row->path[1] || !row->processes) {
			row->memory_current = row->memory_max = row->memory_low = UNKNOWN;
			row->oom_group = false;
			row->memory_growth_bytes = INT64_MIN;
			row->refaults = row->memory_file = UNKNOWN;
			seen->charged_count = 0;
			seen->limit_ns = 0;
			continue;
		}
		row->memory_current = cgroup_read_value(state->memory.fd, row, state->memory_v1 ? "memory.usage_in_bytes" : "memory.current");
		row->memory_growth_bytes = growth_of(seen, row->memory_current, snap->boot_ns);
		if (snap->boot_ns < seen->limit_ns) {
			if (is_near_limit(row))
				read_stat(state, row);
			continue;
		}
		seen->limit_ns = snap->boot_ns + LIMIT_NS;
		row->memory_max = cgroup_read_value(state->memory.fd, row, state->memory_v1 ? "memory.limit_in_bytes" : "memory.max");
		row->memory_low = state->memory_v1 ? UNKNOWN : cgroup_read_value(state->memory.fd, row, "memory.low");
		row->oom_group = !state->memory_v1 && cgroup_read_value(state->memory.fd, row, "memory.oom.group") == 1;
		read_stat(state, row);
		if (row->memory_max >= 1ULL << 62) /* v1 says "none" by the largest number of pages */
			row->memory_max = UNKNOWN;
	}
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

static int open_hierarchy(const char *mountpoint, struct hierarchy *ret)
{
	int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ret->fd >= 0)
		close(ret->fd);
	ret->fd = fd;
	snprintf(ret->mountpoint, sizeof(ret->mountpoint), "%s", mountpoint);
	return 0;
}

static bool has_controller(int fd, const char *name, char *buffer, size_t size)
{
	struct span whole, line, word;
	ssize_t length = procfs_read_at(fd, "cgroup.controllers", buffer, size);

	if (length < 0 || span_of(buffer, (size_t)length, &whole) || !span_line(&whole, &line))
		return false;
	while (span_word(&line, &word))
		if (span_is(&word, name))
			return true;
	return false;
}

/* A controller is in v2, or in a v1 hierarchy beside it, or nowhere; then its figures are unknown, and no more than that. */
static void find_pids(struct cgroup_state *state, const char *v1)
{
	if (state->names.fd >= 0 && has_controller(state->names.fd, "pids", state->buffer, sizeof(state->buffer)))
		(void)open_hierarchy(state->names.mountpoint, &state->pids);
	else if (v1[0])
		(void)open_hierarchy(v1, &state->pids);
}

/* v2 for names where it is mounted at all, and else v1's memory controller. */
static int find_hierarchies(struct cgroup_state *state, ssize_t length)
{
	struct span whole, line;
	struct mount mount;
	char memory_v1[PATH_LEN] = "", pids_v1[PATH_LEN] = "";
	int found = -ENOENT;

	int error = span_of(state->buffer, (size_t)length, &whole);
	if (error)
		return error;
	while (span_line(&whole, &line)) {
		if (mount_parse(&line, &mount) != 0)
			continue;
		if (strcmp(mount.type, "cgroup2") == 0 && found != 0)
			found = open_hierarchy(mount.mountpoint, &state->names);
		if (strcmp(mount.type, "cgroup") == 0 && mount_has_option(mount.options, "memory"))
			memcpy(memory_v1, mount.mountpoint, sizeof(memory_v1));
		if (strcmp(mount.type, "cgroup") == 0 && mount_has_option(mount.options, "pids"))
			memcpy(pids_v1, mount.mountpoint, sizeof(pids_v1));
	}

	find_pids(state, pids_v1);
	if (found == 0 && has_controller(state->names.fd, "memory", state->buffer, sizeof(state->buffer)))
		return open_hierarchy(state->names.mountpoint, &state->memory);
	if (!memory_v1[0])
		return found;
	state->memory_v1 = true;
	(void)open_hierarchy(memory_v1, &state->memory); /* without it the figures are unknown, and no more than that */
	return found == 0 ? 0 : open_hierarchy(memory_v1, &state->names);
}

static void cgroup_close(void *opaque)
{
	struct cgroup_state *state = opaque;
	if (!state)
		return;
	if (state->names.fd >= 0)
		close(state->names.fd);
	if (state->memory.fd >= 0)
		close(state->memory.fd);
	if (state->pids.fd >= 0)
		close(state->pids.fd);
	cgroup_watch_close(state->watch);
	pages_free(state);
}

static void describe(const struct cgroup_state *state, struct collector_status *status)
{
	bool v2 = !state->memory_v1 || strcmp(state->names.mountpoint, state->memory.mountpoint) != 0;

	status->state = v2 ? COLLECTOR_UP : COLLECTOR_DEGRADED;
	snprintf(status->source, sizeof(status->source), "%s", !v2 ? "cgroup v1" : state->memory_v1 ? "cgroup hybrid" : "cgroup v2");
	if (!v2)
		snprintf(status->why, sizeof(status->why), "no cgroup v2 hierarchy is mounted: names are those of v1's memory controller");
}

/* Names of v1's memory controller are of other cgroups than the ids that are told. */
static void start_watch(struct cgroup_state *state, const struct collector_env *env, struct collector_status *status)
{
	char why[WHY_LEN];

	if (status->state != COLLECTOR_UP)
		return;
	int error = cgroup_watch_open(env, &state->watch, why, sizeof(why));
	if (!error) {
		status->map_bytes = cgroup_watch_map_bytes(state->watch);
		return;
	}
	if (error != -EXDEV)
		status->state = COLLECTOR_DEGRADED;
	snprintf(status->why, sizeof(status->why), "cgroups shorter than a tick stay nameless: %.110s", why);
}

static int cgroup_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct cgroup_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	state->proc_fd = env->proc_fd;
	state->names.fd = state->memory.fd = state->pids.fd = -1;

	ssize_t length = procfs_read_at(env->proc_fd, "self/mountinfo", state->buffer, sizeof(state->buffer));
	int error = length < 0 ? (int)length : find_hierarchies(state, length);
	if (error) {
		snprintf(status->why, sizeof(status->why), "%s: %s",
			 length < 0 ? "/proc/self/mountinfo" : "no usable cgroup hierarchy is mounted", strerror(-error));
		cgroup_close(state);
		return error;
	}

	describe(state, status);
	state->controls = (struct cgroup_controls){ .pressure_fd = state->names.fd, .pids_fd = state->pids.fd };
	start_watch(state, env, status);
	*ret_state = state;
	return 0;
}

/* Of an end a moment ago: its cgroup may have had no row yet, or never gets one. At once, since policies speak of cgroups by their names. */
static void name_crashes(struct cgroup_state *state, struct snapshot *snap, struct collector_status *status)
{
	struct cgroup row;
	for (uint32_t i = 0; i < snap->crashes.count; i++) {
		struct crash *crash = &snap->crashes.each[i];
		if (crash->cgroup[0] || crash->at_ns + RETRY_NS < snap->boot_ns)
			continue;
		memset(&row, 0, sizeof(row));
		row.id = crash->cgroup_id;
		if (name_row(state, snap, &row, status) == 0)
			crash_name(crash, &row);
	}
}

static int cgroup_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct cgroup_state *state = opaque;
	int error = state->watch ? cgroup_watch_take(state->watch, snap->boot_ns) : 0;

	if (error)
		return error;
	if (!full) {
		name_rows(state, snap, MAX_FAST_NAMES, status);
		name_crashes(state, snap, status);
		return 0;
	}
	merge(state, snap);
	name_rows(state, snap, MAX_CGROUPS, status);
	name_crashes(state, snap, status);
	read_memory(state, snap);
	cgroup_controls_read(&state->controls, &snap->cgroups);
	if (state->watch)
		cgroup_watch_fill_gone(state->watch, &snap->cgroups, snap->boot_ns);
	status->events_lost = state->nameless + (state->watch ? cgroup_watch_lost(state->watch) : 0);
	if (snap->processes.measured_ns == snap->boot_ns)
		snap->cgroups.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_cgroup = {
	.name = "cgroup", .id = COLLECTOR_CGROUP, .fast = true, .open = cgroup_open, .collect = cgroup_collect, .close = cgroup_close,
};
