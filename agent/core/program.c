/* SPDX-License-Identifier: Apache-2.0 */
/* See program.h. Links are followed by hand, one part of the path after the other, so that what they pass through is looked at, too. */
#include "core/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; /* as the kernel */

struct walk {
	int dir;
	uint32_t links;
	char rest[PATH_MAX];
};

static void enter(struct walk *walk, int fd)
{
	close(walk->dir);
	walk->dir = fd;
}

/* A link that only root can have made is followed by hand, so that what it passes through is looked at, too. */
static int follow(struct walk *walk, int link)
{
	char target[PATH_MAX], rest[PATH_MAX];

	ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	if (++walk->links > MAX_LINKS)
		return -ELOOP;
	memcpy(rest, walk->rest, sizeof(rest));
	/* What is left begins with a slash, or is nothing. */
	if ((size_t)snprintf(walk->rest, sizeof(walk->rest), "%s%s", target, rest) >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	if (target[0] != '/')
		return 0;

	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	enter(walk, root);
	return 0;
}

static bool take_component(struct walk *walk, char ret[NAME_MAX + 1])
{
	size_t blanks = strspn(walk->rest, "/"), length = strcspn(walk->rest + blanks, "/");
	if (length == 0 || length > NAME_MAX)
		return false;
	memcpy(ret, walk->rest + blanks, length);
	ret[length] = '\0';
	memmove(walk->rest, walk->rest + blanks + length, strlen(walk->rest + blanks + length) + 1);
	return true;
}

static bool only_root_writes(const struct stat *found)
{
	/* A sticky directory that all may write to is no exception: whoever makes a file first owns it. */
	return found->st_uid == 0 && (S_ISLNK(found->st_mode) || (found->st_mode & 022) == 0);
}

/* 1: the file was reached and may be run. 0: one step nearer. */
static int step(struct walk *walk, int *ret_fd)
{
	char name[NAME_MAX + 1];
	struct stat found;

	if (!take_component(walk, name))
		return -EACCES; /* the path ends in a directory */
	int fd = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	int error = fstat(fd, &found) < 0 ? -errno : !only_root_writes(&found) ? -EACCES : 0;
	if (!error && S_ISDIR(found.st_mode)) {
		enter(walk, fd);
		return 0;
	}
	if (!error && S_ISLNK(found.st_mode))
		error = follow(walk, fd);
	else if (!error)
		error = S_ISREG(found.st_mode) && (found.st_mode & 0111) && !walk->rest[0] ? 1 : -EACCES;
	if (error == 1)
		*ret_fd = fd;
	else
		close(fd);
	return error;
}

int program_open(const char *path, int *ret_fd)
{
	struct walk walk = { .dir = -1 };
	struct stat root;

	if (path[0] != '/')
		return -EACCES;
	if ((size_t)snprintf(walk.rest, sizeof(walk.rest), "%s", path) >= sizeof(walk.rest))
		return -ENAMETOOLONG;
	walk.dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (walk.dir < 0)
		return -errno;

	int result = fstat(walk.dir, &root) < 0 ? -errno : only_root_writes(&root) ? 0 : -EACCES;
	while (result == 0)
		result = step(&walk, ret_fd);
	close(walk.dir);
	return result == 1 ? 0 : result;
}
