/* SPDX-License-Identifier: Apache-2.0 */
/* See deleted_procfs.h. Nothing is asked of a file server: a mount that hangs must not hang us. */
#include "collect/deleted_procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/procfs.h"

enum { MAX_DESCRIPTORS = 20000 /* 2 µs each */, SECTOR_BYTES = 512 };

/* The kernel says so in the link's text; a file whose own name ends so is told by its count of links. */
static bool is_deleted(const char *target, ssize_t length)
{
	static const char mark[] = " (deleted)";
	ssize_t size = (ssize_t)sizeof(mark) - 1;

	return length > size && target[0] == '/' && !memcmp(target + length - size, mark, (size_t)size);
}

static bool fill(int fd_dir, const char *number, struct deleted_record *record)
{
	char target[PATH_LEN];
	struct statx status;
	ssize_t length = readlinkat(fd_dir, number, target, sizeof(target));

	/* A path longer than the buffer cannot show its end: ask the file. */
	if (length < 0 || (length < (ssize_t)sizeof(target) && !is_deleted(target, length)))
		return false;
	if (statx(fd_dir, number, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) || status.stx_nlink || !S_ISREG(status.stx_mode))
		return false;
	record->ino = status.stx_ino;
	record->bytes = status.stx_blocks * SECTOR_BYTES;
	record->dev = status.stx_dev_major << 20 | status.stx_dev_minor;
	return record->bytes != 0;
}

static uint32_t look_at_process(int proc_fd, const char *pid, uint32_t left, void (*take)(const struct deleted_record *, void *), void *arg)
{
	char path[64];
	uint32_t used = 0;

	snprintf(path, sizeof(path), "%.15s/fd", pid);
	int fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		if (fd >= 0)
			close(fd);
		return 0; /* it has ended */
	}
	for (struct dirent *entry; used < left && (entry = readdir(folder)); used++) {
		struct deleted_record record = { .pid = (int32_t)strtol(pid, NULL, 10) };

		if (entry->d_name[0] == '.' || !fill(dirfd(folder), entry->d_name, &record))
			continue;
		snprintf(path, sizeof(path), "%.15s/comm", pid);
		char comm[DELETED_COMM_LEN + 2] = "";
		(void)procfs_read_at(proc_fd, path, comm, sizeof(comm)); /* without, it has no name */
		comm[strcspn(comm, "\n")] = '\0';
		snprintf(record.comm, sizeof(record.comm), "%.*s", DELETED_COMM_LEN - 1, comm);
		take(&record, arg);
	}
	closedir(folder);
	return used;
}

uint32_t deleted_procfs_look(int proc_fd, void (*take)(const struct deleted_record *record, void *arg), void *arg)
{
	uint32_t left = MAX_DESCRIPTORS, left_out = 0;
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (left)
			left -= look_at_process(proc_fd, entry->d_name, left, take, arg);
		else
			left_out++;
	}
	closedir(folder);
	return left_out;
}
