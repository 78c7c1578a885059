/* SPDX-License-Identifier: Apache-2.0 */
/* See unix_http.h. One connection a request: whatever went wrong with one says nothing about the next. */
#include "remedies/unix_http.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"

enum { REQUEST_LEN = 2048, READ_LEN = 16 * 1024 };
#define CONNECT_AGAIN_NS (5 * NSEC_PER_MSEC)

/* --- connecting ---------------------------------------------------------------------------------------------------------- */

/* What another user serves may say what it likes, and root would act on it. */
static int require_root(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	return peer.uid == 0 ? 0 : -EPERM;
}

/* A full backlog says EAGAIN, and nothing tells when there is room: unix(7). */
static int connect_by(int fd, const struct sockaddr_un *address, uint64_t deadline_boot_ns)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_boot_ns() >= deadline_boot_ns)
			return -ETIME;
		nanosleep(&(struct timespec){ .tv_nsec = CONNECT_AGAIN_NS }, NULL);
	}
	return require_root(fd);
}

int unix_connect(const char *path, uint64_t deadline_boot_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = connect_by(fd, &address, deadline_boot_ns);
	if (error < 0)
		close(fd);
	return error < 0 ? error : fd;
}

/* --- asking -------------------------------------------------------------------------------------------------------------- */

static int wait_for(int fd, short events, uint64_t deadline_boot_ns)
{
	int ready = act_wait(fd, events, deadline_boot_ns);
	return ready == 0 ? -ETIME : ready < 0 ? ready : 0;
}

static bool is_plain(const char *target)
{
	for (const char *at = target; *at; at++)
		if (*at <= ' ' || *at > '~')
			return false;
	return target[0] == '/';
}

static int send_request(int fd, const char *method, const char *target, uint64_t deadline_boot_ns)
{
	char request[REQUEST_LEN];
	int length = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: nodemend\r\nAccept: application/json\r\n"
			      "Connection: close\r\nContent-Length: 0\r\n\r\n", method, target);
	if (!is_plain(target) || length < 0 || (size_t)length >= sizeof(request))
		return -EINVAL;
	for (int sent = 0; sent < length;) {
		ssize_t done = send(fd, request + sent, (size_t)(length - sent), MSG_NOSIGNAL);
		if (done > 0) {
			sent += (int)done;
			continue;
		}
		int error = errno == EAGAIN ? wait_for(fd, POLLOUT, deadline_boot_ns) : errno == EINTR ? 0 : -errno;
		if (error < 0)
			return error;
	}
	return 0;
}

/* The deadline holds for the whole: a peer that drips would else hold up the act forever. */
static int receive(int fd, struct http_answer *answer, uint64_t deadline_boot_ns)
{
	char bytes[READ_LEN];
	for (;;) {
		if (clock_boot_ns() >= deadline_boot_ns)
			return -ETIME;
		ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
		if (got == 0)
			return http_answer_end(answer);
		int done = got > 0 ? http_answer_feed(answer, bytes, (size_t)got) :
			   errno == EAGAIN ? wait_for(fd, POLLIN, deadline_boot_ns) : errno == EINTR ? 0 : -errno;
		if (done)
			return done;
	}
}

int unix_http(const char *socket_path, const char *method, const char *target, uint64_t deadline_boot_ns, char *body, size_t room,
	      struct unix_answer *ret)
{
	struct http_answer answer;
	int fd = unix_connect(socket_path, deadline_boot_ns);
	if (fd < 0)
		return fd;
	http_answer_init(&answer, body, room);
	int error = send_request(fd, method, target, deadline_boot_ns);
	if (error == 0)
		error = receive(fd, &answer, deadline_boot_ns);
	close(fd);
	if (error < 0)
		return error;
	ret->size = answer.size;
	memcpy(ret->server, answer.server, sizeof(ret->server));
	return answer.status;
}
