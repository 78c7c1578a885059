/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See command_group.h. All runs are leaves of one cgroup at the top of the v2 hierarchy: below the agent's own, which has processes in it, no
 * controller could be enabled for them (the rule of no internal processes, cgroup-v2.rst), and a command that eats memory would eat the
 * agent's. A runner holds a lock on its leaf as long as it lives, so that whoever can take the lock knows that nobody will end it.
 */
#include "remedies/command_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"

#define PARENT "nodemend-runs"
#define EMPTY_NS (2 * NSEC_PER_SEC)
enum { MAKE_TRIES = 8, MAX_LEFT = 64 };

/* --- the parent ---------------------------------------------------------------------------------------------------------- */

static int write_control(int dir_fd, const char *file, const char *text)
{
	int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

/* Opened, locked, and still the one that the name leads to: who was the last to leave removes it. */
static int open_parent(int hierarchy, bool make)
{
	for (int try = 0; try < MAKE_TRIES; try++) {
		struct stat held, named;
		if (make && mkdirat(hierarchy, PARENT, 0755) < 0 && errno != EEXIST)
			return -errno;
		int fd = openat(hierarchy, PARENT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && (errno != ENOENT || !make))
			return -errno;
		if (fd < 0)
			continue;
		while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
			;
		if (fstat(fd, &held) == 0 && fstatat(hierarchy, PARENT, &named, AT_SYMLINK_NOFOLLOW) == 0 && held.st_ino == named.st_ino)
			return fd;
		close(fd);
	}
	return -EAGAIN;
}

static void close_parent(int hierarchy, int parent)
{
	(void)unlinkat(hierarchy, PARENT, AT_REMOVEDIR); /* EBUSY: others are in it */
	close(parent);
}

/* --- a leaf -------------------------------------------------------------------------------------------------------------- */

static void limit(int parent, struct command_group *group, uint64_t memory_max, uint32_t tasks_max)
{
	static const char *const controllers[] = { "+memory", "+pids", "+cpu" };
	char text[32];

	/* What this node does not have, or has given to a v1 hierarchy, is refused. */
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++)
		(void)write_control(parent, "cgroup.subtree_control", controllers[i]);

	snprintf(text, sizeof(text), "%" PRIu64, memory_max);
	group->limits_memory = write_control(group->group.fd, "memory.max", text) == 0;
	(void)write_control(group->group.fd, "memory.swap.max", "0"); /* else it would push others out, and be slow on the way to its end */
	(void)write_control(group->group.fd, "memory.oom.group", "1");
	snprintf(text, sizeof(text), "%" PRIu32, tasks_max);
	(void)write_control(group->group.fd, "pids.max", text);
	(void)write_control(group->group.fd, "cpu.max", "100000 100000"); /* one processor */
}

static int make_leaf(int parent, struct command_group *group)
{
	static uint32_t count;

	snprintf(group->name, sizeof(group->name), "run-%d-%" PRIx64 "-%" PRIu32, (int)getpid(), clock_boot_ns(), ++count);
	if (mkdirat(parent, group->name, 0755) < 0)
		return -errno;
	group->group.fd = openat(parent, group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int error = group->group.fd < 0 || flock(group->group.fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (error < 0) {
		group_close(&group->group);
		(void)unlinkat(parent, group->name, AT_REMOVEDIR);
		return error;
	}
	snprintf(group->group.path, sizeof(group->group.path), "/%s/%s", PARENT, group->name);
	return 0;
}

int command_group_make(uint64_t memory_max, uint32_t tasks_max, struct command_group *ret)
{
	*ret = (struct command_group){ .group = { .fd = -1 } };
	int hierarchy = group_open_hierarchy();
	if (hierarchy < 0)
		return hierarchy;
	int parent = open_parent(hierarchy, true);
	if (parent < 0) {
		close(hierarchy);
		return parent;
	}

	int error = make_leaf(parent, ret);
	if (error == 0) {
		limit(parent, ret, memory_max, tasks_max);
		close(parent);
	} else {
		close_parent(hierarchy, parent);
	}
	close(hierarchy);
	return error;
}

static int count_member(int32_t pid, void *context)
{
	(void)pid;
	++*(uint32_t *)context;
	return 0;
}

uint32_t command_group_members(const struct command_group *group)
{
	uint32_t count = 0;
	if (group->group.fd >= 0)
		(void)group_each(&group->group, count_member, &count);
	return count;
}

/* --- the end ------------------------------------------------------------------------------------------------------------- */

/* A command that is root may have made cgroups below its own. */
static void remove_below(int dir_fd, uint32_t level)
{
	int again = level < 16 ? openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *directory = again >= 0 ? fdopendir(again) : NULL;
	if (!directory) {
		if (again >= 0)
			close(again);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		int below = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0)
			continue;
		remove_below(below, level + 1);
		close(below);
		(void)unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR);
	}
	closedir(directory);
}

static int empty(const struct group *group)
{
	uint64_t until = clock_boot_ns() + EMPTY_NS;
	int error = group_kill(group);
	if (error == -ENOENT) /* before 5.14 */
		error = group_freeze_and_kill(group, until);
	if (error == -ENODEV)
		return 0;
	int gone = group_wait_empty(group, until);
	return gone == 1 ? 0 : error < 0 ? error : -EBUSY;
}

static int remove_leaf(int parent, const char *name, const struct group *group)
{
	remove_below(group->fd, 0);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int command_group_end(struct command_group *group)
{
	if (group->group.fd < 0)
		return 0;
	int error = empty(&group->group); /* before the parent's lock, so that nobody waits for it */
	int hierarchy = group_open_hierarchy();
	int parent = hierarchy < 0 ? hierarchy : open_parent(hierarchy, false);
	if (parent >= 0) {
		int removed = remove_leaf(parent, group->name, &group->group);
		error = error ? error : removed;
		close_parent(hierarchy, parent);
	}
	if (hierarchy >= 0)
		close(hierarchy);
	group_close(&group->group);
	return error;
}

/* --- what others left ---------------------------------------------------------------------------------------------------- */

static bool end_if_orphan(int parent, const char name[NAME_LEN])
{
	struct group group = { .fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };
	if (group.fd < 0)
		return false;
	snprintf(group.path, sizeof(group.path), "/%s/%.*s", PARENT, NAME_LEN, name);
	bool orphan = flock(group.fd, LOCK_EX | LOCK_NB) == 0;
	if (orphan)
		orphan = empty(&group) == 0 && remove_leaf(parent, name, &group) == 0;
	group_close(&group);
	return orphan;
}

uint32_t command_groups_sweep(void)
{
	int hierarchy = group_open_hierarchy();
	int parent = hierarchy < 0 ? hierarchy : open_parent(hierarchy, false);
	char left[MAX_LEFT][NAME_LEN];
	uint32_t count = 0, ended = 0;
	if (parent >= 0) {
		int again = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *directory = again >= 0 ? fdopendir(again) : NULL;
		for (struct dirent *entry; directory && count < MAX_LEFT && (entry = readdir(directory));)
			if (entry->d_type == DT_DIR && strncmp(entry->d_name, "run-", 4) == 0 && strlen(entry->d_name) < NAME_LEN)
				memcpy(left[count++], entry->d_name, strlen(entry->d_name) + 1);
		if (directory)
			closedir(directory);
		else if (again >= 0)
			close(again);
		for (uint32_t i = 0; i < count; i++)
			ended += end_if_orphan(parent, left[i]);
		close_parent(hierarchy, parent);
	}
	if (hierarchy >= 0)
		close(hierarchy);
	return ended;
}
