/* SPDX-License-Identifier: Apache-2.0 */
/* See files.h. */
#include "keep/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int file_open(int dir_fd, const char *name, int flags)
{
	/* O_NONBLOCK: a FIFO in our place must not hold us up before fstat tells what it is. */
	int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
	if (fd < 0)
		return -errno;

	struct stat status;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int file_write(int fd, const void *data, size_t size, off_t offset)
{
	while (size > 0) {
		ssize_t wrote = pwrite(fd, data, size, offset);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return -errno;
		data = (const char *)data + wrote;
		size -= (size_t)wrote;
		offset += wrote;
	}
	return 0;
}

ssize_t file_read(int fd, void *data, size_t size, off_t offset)
{
	size_t have = 0;
	while (have < size) {
		ssize_t got = pread(fd, (char *)data + have, size - have, offset + (off_t)have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

/* Counts them and finds the oldest: their times sort as text. */
static uint32_t scan_aside(int dir_fd, const char *name, char *oldest, size_t size)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		if (fd >= 0)
			close(fd);
		return 0;
	}

	char prefix[NAME_MAX + 1];
	int length = snprintf(prefix, sizeof(prefix), "%s.corrupt-", name);
	uint32_t count = 0;
	struct dirent *entry;
	oldest[0] = '\0';
	while ((entry = readdir(directory))) {
		if (strncmp(entry->d_name, prefix, (size_t)length) != 0)
			continue;
		count++;
		if (!oldest[0] || strcmp(entry->d_name, oldest) < 0)
			snprintf(oldest, size, "%s", entry->d_name);
	}
	closedir(directory);
	return count;
}

uint32_t files_aside(int dir_fd, const char *name)
{
	char oldest[NAME_MAX + 1];
	return scan_aside(dir_fd, name, oldest, sizeof(oldest));
}

int file_set_aside(int dir_fd, const char *name, int64_t wall_ns, char *ret_name, size_t size)
{
	char oldest[NAME_MAX + 1], when[32] = "unknown";
	if (scan_aside(dir_fd, name, oldest, sizeof(oldest)) >= MAX_ASIDE)
		(void)unlinkat(dir_fd, oldest, 0); /* a crash loop on a bad disk must not fill it */

	time_t seconds = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	for (int attempt = 0; attempt <= MAX_ASIDE; attempt++) {
		if (attempt == 0)
			snprintf(ret_name, size, "%s.corrupt-%s", name, when);
		else
			snprintf(ret_name, size, "%s.corrupt-%s.%d", name, when, attempt);
		if (renameat2(dir_fd, name, dir_fd, ret_name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EINVAL && faccessat(dir_fd, ret_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && renameat(dir_fd, name, dir_fd, ret_name) == 0)
			return 0; /* a filesystem without RENAME_NOREPLACE; nobody else writes here, the directory is locked */
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

void digest_of(const void *data, size_t size, char ret[DIGEST_LEN])
{
	struct sha256_ctx context;
	uint8_t digest[SHA256_DIGEST_SIZE];
	sha256_init(&context);
	sha256_update(&context, size, data);
	sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}
