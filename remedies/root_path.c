/* SPDX-License-Identifier: Apache-2.0 */
/* See root_path.h. */
#include "remedies/root_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In a sticky directory (/var/tmp) nobody but root renames what is root's. */
static int prove(int fd)
{
	struct stat found;
	if (fstat(fd, &found) < 0)
		return -errno;
	if (S_ISLNK(found.st_mode))
		return -ELOOP;
	bool writable = found.st_mode & (S_IWGRP | S_IWOTH);
	if (found.st_uid != 0 || (writable && !(S_ISDIR(found.st_mode) && (found.st_mode & S_ISVTX))))
		return -EPERM;
	return 0;
}

static int step(int fd, const char *name, int flags)
{
	int below = openat(fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int error = below < 0 ? -errno : prove(below);
	if (error == 0)
		return below;
	if (below >= 0)
		close(below);
	return error;
}

int root_path_open(const char *path, int flags)
{
	char name[NAME_MAX + 1];
	if (path[0] != '/')
		return -EINVAL;
	int fd = step(AT_FDCWD, "/", path[1] ? O_PATH | O_DIRECTORY : flags);
	for (const char *at = path + 1; fd >= 0 && *at;) {
		size_t length = strcspn(at, "/");
		bool last = !at[length];
		int below = -ENAMETOOLONG;
		if (length <= NAME_MAX) {
			memcpy(name, at, length);
			name[length] = '\0';
			below = step(fd, name, last ? flags : O_PATH | O_DIRECTORY);
		}
		close(fd);
		fd = below;
		at += length + !last;
	}
	return fd;
}
