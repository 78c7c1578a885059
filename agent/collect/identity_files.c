/* SPDX-License-Identifier: Apache-2.0 */
/* See identity_files.h. */
#include "collect/identity_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int node_open(const char *root)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Without O_NONBLOCK a FIFO in the file's place would hold the worker until somebody writes. */
static int open_below(int root_fd, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

static int read_all(int fd, char *text, size_t most, size_t *ret_size)
{
	size_t size = 0;
	while (size < most) {
		ssize_t got = read(fd, text + size, most - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	*ret_size = size;
	return 0;
}

int node_read(int root_fd, const char *path, size_t most, char **ret_text, size_t *ret_size)
{
	struct stat found;
	char *text = NULL;
	size_t size = 0;

	int fd = open_below(root_fd, path, O_NOFOLLOW);
	if (fd < 0)
		return fd;
	int error = fstat(fd, &found) < 0 ? -errno : !S_ISREG(found.st_mode) ? -EINVAL : (uint64_t)found.st_size > most ? -EFBIG : 0;
	/* One byte more than it has now: a file that grows meanwhile is cut, and what is cut is no JSON. */
	if (!error && !(text = malloc((size_t)found.st_size + 2)))
		error = -ENOMEM;
	if (!error)
		error = read_all(fd, text, (size_t)found.st_size + 1, &size);
	close(fd);
	if (error) {
		free(text);
		return error;
	}
	text[size] = '\0';
	*ret_text = text;
	*ret_size = size;
	return 0;
}

DIR *node_list(int root_fd, const char *path)
{
	int fd = open_below(root_fd, path, O_DIRECTORY);
	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	DIR *folder = fdopendir(fd);
	if (!folder)
		close(fd);
	return folder;
}
