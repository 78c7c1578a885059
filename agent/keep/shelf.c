/* SPDX-License-Identifier: Apache-2.0 */
/* See shelf.h. */
#include "keep/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep/files.h"

static int write_new(int dir_fd, const char *name, const void *data, size_t size)
{
	(void)unlinkat(dir_fd, name, 0); /* of a writer that died */
	int fd = file_open(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	int error = file_write(fd, data, size, 0);
	if (error == 0 && fdatasync(fd) < 0)
		error = -errno;
	close(fd);
	return error;
}

int shelf_write(int dir_fd, const char *name, const void *data, size_t size)
{
	char new_name[NAME_MAX + 1];
	snprintf(new_name, sizeof(new_name), "%s.new", name);
	int error = write_new(dir_fd, new_name, data, size);
	if (error == 0 && renameat(dir_fd, new_name, dir_fd, name) < 0)
		error = -errno;
	if (error < 0) {
		(void)unlinkat(dir_fd, new_name, 0);
		return error;
	}
	return fsync(dir_fd) < 0 ? -errno : 0;
}

ssize_t shelf_read(int dir_fd, const char *name, void *data, size_t room)
{
	int fd = file_open(dir_fd, name, O_RDONLY);
	if (fd < 0)
		return fd;
	struct stat status;
	ssize_t result = fstat(fd, &status) < 0 ? -errno : status.st_size > (off_t)room ? -EFBIG : file_read(fd, data, room, 0);
	close(fd);
	return result;
}
