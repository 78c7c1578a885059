/* SPDX-License-Identifier: Apache-2.0 */
/* See written.h. */
#include "remedies/written.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* --- processes ----------------------------------------------------------------------------------------------------------- */

static int read_small(int dir_fd, const char *path, char *text, size_t size)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, text, size - 1);
	int error = got < 0 ? -errno : 0;
	close(fd);
	text[got < 0 ? 0 : got] = '\0';
	return error;
}

int written_by_process(int proc_fd, int32_t pid, uint64_t *ret)
{
	char path[32], text[512];
	snprintf(path, sizeof(path), "%d/io", (int)pid);
	int error = read_small(proc_fd, path, text, sizeof(text));
	if (error)
		return error == -ENOENT ? -ESRCH : error;
	const char *line = strstr(text, "\nwrite_bytes: ");
	if (!line)
		return -EINVAL;
	*ret = strtoull(line + strlen("\nwrite_bytes: "), NULL, 10);
	return 0;
}

struct sum {
	int proc_fd;
	uint64_t bytes;
};

static int visit_member(int32_t pid, void *context)
{
	struct sum *sum = context;
	uint64_t bytes;
	int error = written_by_process(sum->proc_fd, pid, &bytes);
	if (error == 0)
		sum->bytes += bytes;
	return error == -ESRCH ? 0 : error;
}

int written_by_group(int proc_fd, const struct group *group, uint64_t *ret)
{
	struct sum sum = { .proc_fd = proc_fd };
	int error = group_each(group, visit_member, &sum);
	if (error == 0)
		*ret = sum.bytes;
	return error;
}

/* --- disks --------------------------------------------------------------------------------------------------------------- */

static int read_number(const char *path, char ret[DISK_LEN])
{
	char text[64];
	int error = read_small(AT_FDCWD, path, text, sizeof(text));
	if (error)
		return error == -ENOENT ? -ENODEV : error;
	text[strcspn(text, "\n")] = '\0';
	return strspn(text, "0123456789:") == strlen(text) && strchr(text, ':') && snprintf(ret, DISK_LEN, "%s", text) < DISK_LEN ? 0 : -EINVAL;
}

static int disk_of_number(unsigned int high, unsigned int low, char ret[DISK_LEN])
{
	char path[80];
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", high, low);
	bool part = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%sdev", high, low, part ? "../" : "");
	return read_number(path, ret);
}

int disk_of_filesystem(uint32_t dev, const char *device, char ret[DISK_LEN])
{
	struct stat node;
	if (dev >> 20)
		return disk_of_number(dev >> 20, dev & 0xfffff, ret);
	if (device[0] != '/' || stat(device, &node) < 0 || !S_ISBLK(node.st_mode))
		return -ENODEV;
	return disk_of_number(major(node.st_rdev), minor(node.st_rdev), ret);
}

int disk_of_path(const char *path, char ret[DISK_LEN])
{
	struct stat file;
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &file) < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	return major(file.st_dev) ? disk_of_number(major(file.st_dev), minor(file.st_dev), ret) : -ENODEV;
}

int disk_of_name(const char *name, char ret[DISK_LEN])
{
	char path[PATH_LEN];
	if (!name[0] || strchr(name, '/') || name[0] == '.' || snprintf(path, sizeof(path), "/sys/class/block/%s/partition", name) >= (int)sizeof(path))
		return -EINVAL;
	bool part = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), "/sys/class/block/%s/%sdev", name, part ? "../" : "");
	return read_number(path, ret);
}
