/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what a name in a log's folder leads to. Never a FIFO or a device: opening one may wait, or start something, and reading one takes away
 * what others want. So it is looked at first, and opened when it is known to be a file.
 */
#include "collect/logs_source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	LINKS_MOST = 40,             /* as the kernel */
	WALK_LEN = 4096,             /* and its PATH_MAX: what a link stands for may be longer than what we are asked for */
};

/* Their files are asked, not read: reading kmsg or trace_pipe takes away what others wait for, and others make up gigabytes. */
static bool is_made_up(int fd)
{
	static const unsigned long magics[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC, TRACEFS_MAGIC, DEBUGFS_MAGIC, SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,
		SELINUX_MAGIC, EFIVARFS_MAGIC,
	};
	struct statfs status;
	if (fstatfs(fd, &status) < 0)
		return true;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if ((unsigned long)status.f_type == magics[i])
			return true;
	return false;
}

/* The text that a link stands for, before what is left of the path. */
static int follow_link(int link, char path[WALK_LEN], const char *left)
{
	char whole[WALK_LEN];
	ssize_t length = readlinkat(link, "", whole, sizeof(whole));
	if (length < 0)
		return -errno;
	size_t behind = strlen(left);
	if ((size_t)length + 1 + behind >= WALK_LEN)
		return -ENAMETOOLONG;
	memmove(path + length + 1, left, behind + 1);
	memcpy(path, whole, (size_t)length);
	path[length] = '/';
	return 0;
}

/*
 * Name by name, since each may be a link that somebody else has put there, and we may read what he may not: one is followed where root made it,
 * as kubelet does in /var/log/containers, or who runs us. Nothing is opened on the way, so no device is rung either.
 */
static int walk(int folder, const char *wanted)
{
	char path[WALK_LEN];
	int at = openat(folder, wanted[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC), links = 0;
	if (strlen(wanted) >= WALK_LEN)
		links = LINKS_MOST;
	snprintf(path, sizeof(path), "%.*s", WALK_LEN - 1, wanted);
	while (at >= 0 && links < LINKS_MOST) {
		struct stat status;
		char *name = path + strspn(path, "/");
		if (!*name)
			return at;
		char *left = name + strcspn(name, "/");
		bool last = !*left;
		*left = '\0';
		int next = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 || fstat(next, &status) < 0)
			links = LINKS_MOST;
		else if (S_ISLNK(status.st_mode) && !is_made_up(next)) {
			bool trusted = status.st_uid == 0 || status.st_uid == geteuid();
			links = trusted && follow_link(next, path, last ? "" : left + 1) == 0 ? links + 1 : LINKS_MOST;
			close(next);
			if (path[0] != '/' || links == LINKS_MOST)
				continue;
			next = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		} else {
			if (S_ISLNK(status.st_mode)) { /* /proc/1/root and its like: where it leads its text does not say */
				close(next);
				next = status.st_uid == 0 ? openat(at, name, O_PATH | O_CLOEXEC) : -1;
			}
			memmove(path, last ? left : left + 1, strlen(last ? left : left + 1) + 1);
		}
		close(at);
		at = next;
	}
	if (at >= 0)
		close(at);
	return -ELOOP;
}

int log_open_regular(int folder, const char *path, struct stat *ret)
{
	char reopened[32];
	*ret = (struct stat){ .st_ino = 0 };
	int found = walk(folder, path);
	if (found < 0)
		return found;
	int fd = -EINVAL;
	if (fstat(found, ret) == 0 && S_ISREG(ret->st_mode) && !is_made_up(found)) {
		snprintf(reopened, sizeof(reopened), "/proc/self/fd/%d", found);
		fd = open(reopened, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	close(found);
	return fd;
}
