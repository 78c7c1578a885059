/* SPDX-License-Identifier: Apache-2.0 */
/* See shelf.h. */
#include "keep/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep/files.h"

enum { HEAD_SIZE = 96 }; /* the line, padded with blanks before its end */

static void make_head(const void *data, size_t size, char ret[HEAD_SIZE + 1])
{
	char digest[DIGEST_LEN];
	digest_of(data, size, digest);
	int length = snprintf(ret, HEAD_SIZE + 1, "sha256 %s %zu", digest, size);
	memset(ret + length, ' ', HEAD_SIZE - (size_t)length);
	ret[HEAD_SIZE - 1] = '\n';
}

static int write_new(int dir_fd, const char *name, const void *data, size_t size)
{
	char head[HEAD_SIZE + 1];
	make_head(data, size, head);
	(void)unlinkat(dir_fd, name, 0); /* of a writer that died; what cannot be removed will fail to open */
	int fd = file_open(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	int error = file_write(fd, head, HEAD_SIZE, 0);
	if (error == 0)
		error = file_write(fd, data, size, HEAD_SIZE);
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
		(void)unlinkat(dir_fd, new_name, 0); /* of a full disk, the part that fit */
		return error;
	}
	return fsync(dir_fd) < 0 ? -errno : 0;
}

/* The length is part of the line: a file that is too short or too long has another. */
static ssize_t read_whole(int fd, void *data, size_t room)
{
	char found[HEAD_SIZE], head[HEAD_SIZE + 1];
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size < HEAD_SIZE)
		return -EBADMSG;
	if ((size_t)status.st_size - HEAD_SIZE > room)
		return -EFBIG;
	ssize_t got = file_read(fd, found, HEAD_SIZE, 0);
	ssize_t size = got < 0 ? got : file_read(fd, data, (size_t)status.st_size - HEAD_SIZE, HEAD_SIZE);
	if (size < 0)
		return size;
	make_head(data, (size_t)size, head);
	return got == HEAD_SIZE && memcmp(head, found, HEAD_SIZE) == 0 ? size : -EBADMSG;
}

ssize_t shelf_read(int dir_fd, const char *name, void *data, size_t room)
{
	int fd = file_open(dir_fd, name, O_RDONLY);
	if (fd < 0)
		return fd;
	ssize_t result = read_whole(fd, data, room);
	close(fd);
	return result;
}
