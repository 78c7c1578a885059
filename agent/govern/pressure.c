/* SPDX-License-Identifier: Apache-2.0 */
/* See pressure.h. */
#include "govern/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const files[PSI_RESOURCE_COUNT] = {
	[PSI_CPU] = "pressure/cpu", [PSI_MEMORY] = "pressure/memory", [PSI_IO] = "pressure/io",
};
/* Stalled microseconds in a window of microseconds: both are PRESSURE_PERMILLE. */
static const char *const triggers[] = { "some 75000 1000000", "some 150000 2000000" };

int pressure_trigger(int dir_fd, const char *file, bool full, uint32_t permille, uint32_t window_s)
{
	char text[64];
	int fd = openat(dir_fd, file, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	snprintf(text, sizeof(text), "%s %u %u", full ? "full" : "some", permille * 1000 * window_s, window_s * 1000000);
	if (write(fd, text, strlen(text) + 1) >= 0)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

int pressure_open(int proc_fd, enum psi_resource resource)
{
	int fd = openat(proc_fd, files[resource], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	for (size_t i = 0; fd >= 0 && i < sizeof(triggers) / sizeof(triggers[0]); i++) {
		/* The kernel wants the end of the string with it. */
		if (write(fd, triggers[i], strlen(triggers[i]) + 1) >= 0)
			return fd;
		error = -errno;
	}
	if (fd >= 0)
		close(fd);
	return error;
}
