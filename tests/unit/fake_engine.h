/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container engine of the test's own on a unix socket: each request goes to the test's function, and what would change something is written
 * down. One thread, one request at a time, as a test wants it.
 */
#ifndef NODEMEND_TESTS_FAKE_ENGINE_H
#define NODEMEND_TESTS_FAKE_ENGINE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FAKE_REQUEST_LEN = 1024, FAKE_ACTS = 64 };

struct fake_engine {
	/* Writes the body and returns the status. */
	int (*answer)(const char *method, const char *target, char *body, size_t room);
	char dir[64], socket[96];
	int fd;
	pthread_t thread;
	uint32_t acts;
	char act[FAKE_ACTS][256];    /* "DELETE /images/a?force=false" */
};

static inline void fake_write(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);
		if (done <= 0)
			return;
		bytes += done;
		size -= (size_t)done;
	}
}

static inline void fake_serve(struct fake_engine *fake, int fd)
{
	static char body[1 << 20], head[256];
	char request[FAKE_REQUEST_LEN] = "", method[16], target[512];
	size_t used = 0;
	while (!strstr(request, "\r\n\r\n") && used < sizeof(request) - 1) {
		ssize_t got = recv(fd, request + used, sizeof(request) - 1 - used, 0);
		if (got <= 0)
			return;
		used += (size_t)got;
		request[used] = '\0';
	}
	if (sscanf(request, "%15s %511s HTTP/1.1", method, target) != 2)
		return;
	if (strcmp(method, "GET") != 0 && fake->acts < FAKE_ACTS)
		snprintf(fake->act[fake->acts++], sizeof(fake->act[0]), "%s %.230s", method, target);
	body[0] = '\0';
	int status = fake->answer(method, target, body, sizeof(body));
	/* In two chunks, as Go's server sends what it did not measure. */
	size_t size = strlen(body), first = size / 2;
	int length = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nServer: Docker/20.10.24 (linux)\r\n%s\r\n", status, status == 204 ? "" : "Transfer-Encoding: chunked\r\n");
	fake_write(fd, head, (size_t)length);
	for (int i = 0; status != 204 && i < 2; i++) {
		size_t piece = i ? size - first : first;
		length = snprintf(head, sizeof(head), "%zx\r\n", piece);
		if (piece) {
			fake_write(fd, head, (size_t)length);
			fake_write(fd, body + (i ? first : 0), piece);
			fake_write(fd, "\r\n", 2);
		}
	}
	if (status != 204)
		fake_write(fd, "0\r\n\r\n", 5);
}

static inline void *fake_run(void *context)
{
	struct fake_engine *fake = context;
	for (int fd; (fd = accept(fake->fd, NULL, NULL)) >= 0;) {
		fake_serve(fake, fd);
		close(fd);
	}
	return NULL;
}

static inline int fake_start(struct fake_engine *fake)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(fake->dir, sizeof(fake->dir), "/tmp/nodemend-engine-XXXXXX");
	if (!mkdtemp(fake->dir))
		return -1;
	snprintf(fake->socket, sizeof(fake->socket), "%s/sock", fake->dir);
	memcpy(address.sun_path, fake->socket, sizeof(fake->socket));
	fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fake->fd < 0 || bind(fake->fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fake->fd, 16) < 0)
		return -1;
	return pthread_create(&fake->thread, NULL, fake_run, fake) ? -1 : 0;
}

static inline void fake_stop(struct fake_engine *fake)
{
	(void)shutdown(fake->fd, SHUT_RDWR);
	pthread_join(fake->thread, NULL);
	close(fake->fd);
	unlink(fake->socket);
	rmdir(fake->dir);
}

/* Appends; what does not fit is cut, and the JSON then broken, which the test sees. */
static inline void fake_add(char *body, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));
static inline void fake_add(char *body, size_t room, const char *format, ...)
{
	size_t used = strlen(body);
	va_list args;
	va_start(args, format);
	vsnprintf(body + used, room - used, format, args);
	va_end(args);
}

#endif
