/* SPDX-License-Identifier: Apache-2.0 */
/* See figure.h. */
#include "remedies/figure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "snapshot.h"

int figure_text(int dir_fd, const char *file, char *ret, size_t size)
{
	ret[0] = '\0';
	int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t used = 0;
	ssize_t got = 1;
	while (got > 0 && used < size - 1) {
		got = read(fd, ret + used, size - 1 - used);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			used += (size_t)got;
	}
	int error = got < 0 ? -errno : used == size - 1 ? -EFBIG : 0;
	close(fd);
	ret[used] = '\0';
	return error;
}

int figure_one(int dir_fd, const char *file, uint64_t *ret)
{
	char text[64], *end;
	int error = figure_text(dir_fd, file, text, sizeof(text));
	if (error)
		return error;
	if (strcmp(text, "max\n") == 0 || strcmp(text, "max") == 0) {
		*ret = UNKNOWN;
		return 0;
	}
	uint64_t value = strtoull(text, &end, 10);
	if (end == text || (*end && *end != '\n'))
		return -EINVAL;
	*ret = value;
	return 0;
}

/* The line that begins with the word `name`, behind it. */
static const char *behind(const char *text, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == ':'))
			return line + length + (line[length] == ':');
	return NULL;
}

int figure_named(int dir_fd, const char *file, const char *name, uint64_t *ret)
{
	char text[FIGURE_TEXT_LEN] = "", *end;
	int error = figure_text(dir_fd, file, text, sizeof(text));
	if (error)
		return error;
	const char *at = behind(text, name);
	if (!at)
		return -ENOENT;
	uint64_t value = strtoull(at, &end, 10);
	if (end == at)
		return -EINVAL;
	*ret = strncmp(end, " kB", 3) == 0 ? value * 1024 : value;
	return 0;
}

int figure_stalled(int dir_fd, const char *file, const char *line, uint64_t *ret_ns)
{
	char text[512], *end;
	int error = figure_text(dir_fd, file, text, sizeof(text));
	if (error)
		return error;
	const char *at = behind(text, line), *total = at ? strstr(at, "total=") : NULL;
	if (!total)
		return -ENOENT;
	total += strlen("total=");
	uint64_t us = strtoull(total, &end, 10);
	if (end == total)
		return -EINVAL;
	*ret_ns = us * NSEC_PER_USEC;
	return 0;
}
