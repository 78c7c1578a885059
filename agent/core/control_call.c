/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of the control socket: one request, one answer, five seconds. */
#include "core/control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/control_socket.h"

#define PATIENCE_NS (5 * 1000000000ULL)

void control_address(const char *run_dir, int dir_fd, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int length = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/" CONTROL_SOCKET, run_dir);
	if (length < 0 || (size_t)length >= sizeof(ret->sun_path))
		snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET, dir_fd);
}

static int connect_to(const char *run_dir)
{
	int dir_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	struct sockaddr_un address;
	control_address(run_dir, dir_fd, &address);

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = fd < 0 ? -errno : 0;
	/* A full backlog makes connect() wait, and this is how long. */
	struct timeval patience = { .tv_sec = PATIENCE_NS / 1000000000ULL };
	if (error == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		error = -errno;
	if (error == 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		error = errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(dir_fd);
	if (error == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return error;
}

/* 1: ready; -ETIMEDOUT; -errno. */
static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = clock_boot_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		struct pollfd poller = { .fd = fd, .events = events };
		int ready = poll(&poller, 1, (int)((deadline_ns - now) / 1000000) + 1);
		if (ready > 0)
			return 1;
		if (ready < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(int fd, const char *text, size_t length, uint64_t deadline_ns)
{
	for (size_t sent = 0; sent < length;) {
		int ready = wait_for(fd, POLLOUT, deadline_ns);
		if (ready < 0)
			return ready;
		ssize_t now = send(fd, text + sent, length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (now < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0; /* it was turned away: the reason can still be read */
		if (now < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		sent += now > 0 ? (size_t)now : 0;
	}
	return 0;
}

/* One line without its end into a buffer of its own; 0 or -errno. */
static int receive_line(int fd, uint64_t deadline_ns, char **ret_line)
{
	size_t size = 16 << 10, length = 0;
	char *line = malloc(size);
	int error = line ? 0 : -ENOMEM;
	while (error == 0) {
		if (length == size) {
			char *larger = size < CONTROL_MAX_ANSWER ? realloc(line, size * 2) : NULL;
			if (!larger) {
				error = size < CONTROL_MAX_ANSWER ? -ENOMEM : -EMSGSIZE;
				break;
			}
			line = larger;
			size *= 2;
		}
		error = wait_for(fd, POLLIN, deadline_ns);
		if (error < 0)
			break;
		ssize_t got = recv(fd, line + length, size - length, MSG_DONTWAIT);
		error = got == 0 ? -ECONNRESET : got < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
		char *end = got > 0 ? memchr(line + length, '\n', (size_t)got) : NULL;
		if (end) {
			*end = '\0';
			*ret_line = line;
			return 0;
		}
		length += got > 0 ? (size_t)got : 0;
	}
	free(line);
	return error;
}

int control_call(const char *run_dir, const struct cJSON *request, struct cJSON **ret_answer)
{
	char *text = cJSON_PrintUnformatted(request);
	if (!text)
		return -ENOMEM;
	size_t length = strlen(text);
	char *line = NULL;
	uint64_t deadline_ns = clock_boot_ns() + PATIENCE_NS;

	int fd = connect_to(run_dir);
	int error = fd < 0 ? fd : 0;
	if (error == 0) {
		text[length] = '\n'; /* in the place of the NUL: what is sent is counted */
		error = send_all(fd, text, length + 1, deadline_ns);
	}
	if (error == 0)
		error = receive_line(fd, deadline_ns, &line);
	if (fd >= 0)
		close(fd);
	free(text);
	if (error < 0)
		return error;

	cJSON *answer = cJSON_Parse(line);
	free(line);
	if (!cJSON_IsObject(answer)) {
		cJSON_Delete(answer);
		return -EPROTO;
	}
	*ret_answer = answer;
	return 0;
}
