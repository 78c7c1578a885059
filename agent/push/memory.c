/* SPDX-License-Identifier: Apache-2.0 */
/* See memory.h. */
#include "push/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"

enum { FILE_NAME_LEN = NAME_LEN + 16, FILE_MODE = 0600 };

static int write_all(int fd, const char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t written = write(fd, data + done, size - done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? -errno : -EIO;
		done += (size_t)written;
	}
	return 0;
}

int memory_write(int dir_fd, const char *output, const char *data, size_t size)
{
	char name[FILE_NAME_LEN], new_name[FILE_NAME_LEN];
	snprintf(name, sizeof(name), "%s.told", output);
	snprintf(new_name, sizeof(new_name), "%s.told.new", output);
	int fd = openat(dir_fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return -errno;
	int error = write_all(fd, data, size);
	if (close(fd) < 0 && !error)
		error = -errno;
	if (!error && renameat(dir_fd, new_name, dir_fd, name) < 0)
		error = -errno;
	if (error)
		(void)unlinkat(dir_fd, new_name, 0);
	return error;
}

int memory_read(int dir_fd, const char *output, struct text *ret)
{
	char name[FILE_NAME_LEN];
	snprintf(name, sizeof(name), "%s.told", output);
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct stat status;
	int error = fstat(fd, &status) < 0 ? -errno : !S_ISREG(status.st_mode) ? -EINVAL : status.st_size > MEMORY_MAX ? -EFBIG : 0;
	while (!error && text_reserve(ret, 4096)) {
		ssize_t got = read(fd, ret->data + ret->length, 4096);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			error = -errno;
		if (got <= 0)
			break;
		ret->length += (size_t)got;
		if (ret->length > MEMORY_MAX)
			error = -EFBIG;
	}
	close(fd);
	return ret->failed ? -ENOMEM : error;
}
