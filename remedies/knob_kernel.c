/* SPDX-License-Identifier: Apache-2.0 */
/* See knob_kernel.h. */
#include "remedies/knob_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "remedies/link.h"

/* Nothing but a plain file of that very mount: the book names it, and a book is only a file. */
static int open_sysctl(const struct knob *knob, int flags)
{
	static const char root[] = "/proc/sys";
	const struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC | O_NOFOLLOW),
				      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	if (strncmp(knob->file, root, sizeof(root) - 1) != 0 || knob->file[sizeof(root) - 1] != '/')
		return -EINVAL;
	int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;
	int fd = (int)syscall(SYS_openat2, root_fd, knob->file + sizeof(root), &how, sizeof(how));
	fd = fd < 0 ? errno == ENOENT ? -ESTALE : -errno : fd; /* its module is gone, and the value with it */
	close(root_fd);
	return fd;
}

int knob_sysctl_read(const struct knob *knob, char *ret, size_t size)
{
	int fd = open_sysctl(knob, O_RDONLY);
	if (fd < 0)
		return fd;
	ssize_t got = read(fd, ret, size - 1);
	int error = got < 0 ? -errno : got == (ssize_t)size - 1 ? -EOVERFLOW : 0;
	close(fd);
	if (error == 0)
		ret[got] = '\0';
	if (error == 0)
		ret[strcspn(ret, "\n")] = '\0';
	return error;
}

int knob_sysctl_write(const struct knob *knob, const char *value)
{
	int fd = open_sysctl(knob, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return fd;
	size_t length = strlen(value);
	ssize_t put = write(fd, value, length);
	int error = put == (ssize_t)length ? 0 : put < 0 ? -errno : -EIO;
	close(fd);
	return error;
}

int knob_link_read(const struct knob *knob, char *ret, size_t size)
{
	bool up;
	int error = link_is_up(knob->file, (uint32_t)knob->directory_inode, &up);
	if (error == 0)
		snprintf(ret, size, "%s", up ? "up" : "down");
	return error;
}

int knob_link_write(const struct knob *knob, const char *value)
{
	bool up = strcmp(value, "up") == 0;
	return up || strcmp(value, "down") == 0 ? link_set(knob->file, (uint32_t)knob->directory_inode, up) : -EINVAL;
}
