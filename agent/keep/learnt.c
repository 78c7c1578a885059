/* SPDX-License-Identifier: Apache-2.0 */
/* See learnt.h. */
#include "keep/learnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep/files.h"

#define LEARNT_NEXT LEARNT_FILE ".next"
enum { HEAD_SIZE = 96 }; /* the line, padded with blanks before its end */

static void make_head(const void *data, size_t size, char ret[HEAD_SIZE + 1])
{
	char digest[DIGEST_LEN];
	digest_of(data, size, digest);
	int length = snprintf(ret, HEAD_SIZE + 1, "sha256 %s %zu", digest, size);
	memset(ret + length, ' ', HEAD_SIZE - (size_t)length);
	ret[HEAD_SIZE - 1] = '\n';
}

static int write_all(int fd, const void *data, size_t size)
{
	char head[HEAD_SIZE + 1];
	make_head(data, size, head);

	int error = file_write(fd, head, HEAD_SIZE, 0);
	if (error == 0)
		error = file_write(fd, data, size, HEAD_SIZE);
	if (error == 0 && fdatasync(fd) < 0)
		error = -errno;
	return error;
}

int learnt_save(int dir_fd, const void *data, size_t size)
{
	/* One that a crash left behind. What cannot be removed will fail to open. */
	(void)unlinkat(dir_fd, LEARNT_NEXT, 0);
	int fd = file_open(dir_fd, LEARNT_NEXT, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	int error = write_all(fd, data, size);
	close(fd);
	if (error == 0 && (renameat(dir_fd, LEARNT_NEXT, dir_fd, LEARNT_FILE) < 0 || fsync(dir_fd) < 0))
		error = -errno;
	if (error < 0)
		(void)unlinkat(dir_fd, LEARNT_NEXT, 0); /* of a full disk, the part that fit */
	return error;
}

/* The length is part of the line: a file that is too short or too long has another. */
static const char *check(const char *bytes, size_t size)
{
	char head[HEAD_SIZE + 1];
	if (size < HEAD_SIZE)
		return "it is too short";
	make_head(bytes + HEAD_SIZE, size - HEAD_SIZE, head);
	return memcmp(head, bytes, HEAD_SIZE) == 0 ? NULL : "its checksum or its length is wrong";
}

static int load(int fd, void **ret, size_t *ret_size, char *why, size_t why_size)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size > LEARNT_MOST + HEAD_SIZE) {
		snprintf(why, why_size, "it is larger than any that is written");
		return -EBADMSG;
	}
	char *bytes = malloc((size_t)status.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	ssize_t got = file_read(fd, bytes, (size_t)status.st_size, 0);
	const char *fault = got < 0 ? NULL : check(bytes, (size_t)got);
	if (got < 0 || fault) {
		free(bytes);
		snprintf(why, why_size, "%s", fault ? fault : strerror((int)-got));
		return fault ? -EBADMSG : (int)got;
	}
	memmove(bytes, bytes + HEAD_SIZE, (size_t)got - HEAD_SIZE);
	*ret = bytes;
	*ret_size = (size_t)got - HEAD_SIZE;
	return 0;
}

int learnt_load(int dir_fd, void **ret, size_t *ret_size, char *why, size_t why_size)
{
	int fd = file_open(dir_fd, LEARNT_FILE, O_RDONLY);
	if (fd < 0) {
		snprintf(why, why_size, "%s", strerror(-fd));
		return fd;
	}
	int error = load(fd, ret, ret_size, why, why_size);
	close(fd);
	return error;
}
