/* SPDX-License-Identifier: Apache-2.0 */
/* See group.h. */
#include "remedies/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/victim.h"

enum {
	KERNFS_HANDLE_TYPE = 0xfe, /* FILEID_KERNFS; the handle is the id */
	MAX_GROUPS = 256, MAX_LEVELS = 16,
	PROCS_LEN = 4096,
};
#define FREEZE_NS (500 * NSEC_PER_MSEC)

/* --- opening ------------------------------------------------------------------------------------------------------------- */

int group_open_hierarchy(void)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct statfs kind;
		int fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstatfs(fd, &kind) == 0 && kind.f_type == CGROUP2_SUPER_MAGIC)
			return fd;
		close(fd);
	}
	return -ENODEV;
}

static int open_by_id(int hierarchy, uint64_t id)
{
	union {
		struct file_handle head;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .head = { .handle_bytes = sizeof(id), .handle_type = KERNFS_HANDLE_TYPE } };
	memcpy(handle.bytes + sizeof(struct file_handle), &id, sizeof(id));
	int fd = open_by_handle_at(hierarchy, &handle.head, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The path names it and the id proves it, whichever of the two it was opened by. */
static int same_group(int hierarchy, int fd, uint64_t id, const char *path)
{
	struct stat held, named;
	char below[PATH_LEN + 2];
	snprintf(below, sizeof(below), ".%s", path);
	if (fstat(fd, &held) < 0 || fstatat(hierarchy, below, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return -ESTALE;
	return held.st_ino == id && named.st_ino == id && held.st_dev == named.st_dev ? 0 : -ESTALE;
}

int group_open(uint64_t id, const char *path, struct group *ret)
{
	char below[PATH_LEN + 2];
	int hierarchy = group_open_hierarchy();
	if (hierarchy < 0)
		return hierarchy;
	int fd = open_by_id(hierarchy, id);
	if (fd == -EPERM || fd == -EOPNOTSUPP) {
		snprintf(below, sizeof(below), ".%s", path);
		fd = openat(hierarchy, below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	int error = fd < 0 ? -ESTALE : same_group(hierarchy, fd, id, path);
	close(hierarchy);
	if (error < 0) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	ret->fd = fd;
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	return 0;
}

void group_close(struct group *group)
{
	if (group->fd >= 0)
		close(group->fd);
	group->fd = -1;
}

/* --- members ------------------------------------------------------------------------------------------------------------- */

struct walk {
	uint32_t groups;
	int (*visit)(int32_t pid, void *context);
	void *context;
};

static int visit_procs(struct walk *walk, int dir_fd)
{
	char text[PROCS_LEN];
	int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC), result = 0;
	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno; /* removed a moment ago: nobody was in it */
	int64_t pid = -1;
	ssize_t got;
	while (result == 0 && (got = read(fd, text, sizeof(text))) != 0) {
		if (got < 0) {
			result = errno == ENODEV ? 0 : -errno;
			break;
		}
		for (ssize_t i = 0; result == 0 && i < got; i++) {
			if (text[i] >= '0' && text[i] <= '9' && pid <= INT32_MAX) {
				pid = (pid < 0 ? 0 : pid) * 10 + (text[i] - '0');
			} else if (pid >= 0) {
				result = pid == 0 || pid > INT32_MAX ? -EXDEV : walk->visit((int32_t)pid, walk->context);
				pid = -1;
			}
		}
	}
	close(fd);
	return result;
}

static int visit_below(struct walk *walk, int dir_fd, uint32_t level)
{
	if (level >= MAX_LEVELS || ++walk->groups > MAX_GROUPS)
		return -EOVERFLOW;
	int result = visit_procs(walk, dir_fd);
	if (result)
		return result;

	_Alignas(struct dirent64) char entries[PROCS_LEN];
	if (lseek(dir_fd, 0, SEEK_SET) < 0)
		return -errno;
	ssize_t got;
	while (result == 0 && (got = getdents64(dir_fd, entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; result == 0 && at < got;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			at += entry->d_reclen;
			if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
				continue;
			int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd < 0)
				continue; /* removed a moment ago */
			result = visit_below(walk, fd, level + 1);
			close(fd);
		}
	}
	return result;
}

int group_each(const struct group *group, int (*visit)(int32_t pid, void *context), void *context)
{
	struct walk walk = { .visit = visit, .context = context };
	return visit_below(&walk, group->fd, 0);
}

/* A directory of kernfs has two links and one for each directory in it. */
int group_is_leaf(const struct group *group)
{
	struct stat directory;
	return fstat(group->fd, &directory) < 0 ? -errno : directory.st_nlink == 2;
}

/* --- events -------------------------------------------------------------------------------------------------------------- */

/* 1 when cgroup.events has the line `wanted`; it may be read before something changes, and poll says when to read again. */
static int wait_for_event(const struct group *group, const char *wanted, uint64_t until_boot_ns)
{
	char text[256];
	int fd = openat(group->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENODEV ? 1 : -errno; /* the cgroup is gone: nothing is in it */
	int result = 0;
	for (;;) {
		ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
		text[got > 0 ? got : 0] = '\0';
		result = got < 0 ? (errno == ENODEV ? 1 : -errno) : strstr(text, wanted) != NULL;
		if (result)
			break;
		result = act_wait(fd, POLLPRI, until_boot_ns);
		if (result <= 0)
			break;
	}
	close(fd);
	return result;
}

int group_wait_empty(const struct group *group, uint64_t until_boot_ns)
{
	return wait_for_event(group, "populated 0\n", until_boot_ns);
}

int group_wait_frozen(const struct group *group, uint64_t until_boot_ns)
{
	return wait_for_event(group, "frozen 1\n", until_boot_ns);
}

/* --- ending -------------------------------------------------------------------------------------------------------------- */

static int write_one(const struct group *group, const char *file, const char *text)
{
	int fd = openat(group->fd, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

int group_kill(const struct group *group)
{
	return write_one(group, "cgroup.kill", "1");
}

struct killing {
	const struct group *group;
	int proc_fd;
};

/* Held, then proven to be in it, then killed: its number may have gone to somebody else since it was read. */
static int kill_member(int32_t pid, void *context)
{
	const struct killing *killing = context;
	struct victim victim;
	int error = victim_hold(killing->proc_fd, pid, &victim);
	if (error < 0)
		return error == -ESRCH ? 0 : error;
	if (victim_in_cgroup(killing->proc_fd, pid, killing->group->path, true) == 1 && victim_lives(&victim))
		error = victim_kill(&victim);
	victim_close(&victim);
	return error == -ESRCH ? 0 : error;
}

int group_kill_each(const struct group *group)
{
	struct killing killing = { .group = group, .proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	if (killing.proc_fd < 0)
		return -errno;
	int error = group_each(group, kill_member, &killing);
	close(killing.proc_fd);
	return error;
}

/* One in an uninterruptible sleep cannot be frozen; it cannot fork either, so the others need not wait for it. */
int group_freeze(const struct group *group, uint64_t until_boot_ns)
{
	uint64_t frozen_by = clock_boot_ns() + FREEZE_NS;
	int error = write_one(group, "cgroup.freeze", "1");
	return error ? error : wait_for_event(group, "frozen 1\n", frozen_by < until_boot_ns ? frozen_by : until_boot_ns);
}

int group_thaw(const struct group *group)
{
	int error = write_one(group, "cgroup.freeze", "0");
	return error == -ENOENT || error == -ENODEV ? 0 : error;
}

int group_freeze_and_kill(const struct group *group, uint64_t until_boot_ns)
{
	int error = group_freeze(group, until_boot_ns);
	if (error >= 0)
		error = group_kill_each(group);
	int thawed = group_thaw(group);
	return error ? error : thawed;
}
