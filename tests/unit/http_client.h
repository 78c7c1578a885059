/* SPDX-License-Identifier: Apache-2.0 */
/* A client as crude as the tests need it: raw bytes out, raw bytes in, with a deadline so that a hang is a failure. */
#ifndef NODEMEND_TESTS_HTTP_CLIENT_H
#define NODEMEND_TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static inline int client_connect(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 20 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline bool client_send(int fd, const char *data, size_t size)
{
	return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Up to the end, or until `until` has been seen (NULL: the end). What was read is terminated; the caller frees it. */
static inline char *client_read(int fd, const char *until)
{
	size_t size = 0, room = 1 << 22;
	char *data = malloc(room);
	data[0] = 0;
	for (ssize_t got; size < room - 1 && !(until && strstr(data, until)) && (got = recv(fd, data + size, room - 1 - size, 0)) > 0;) {
		size += (size_t)got;
		data[size] = 0;
	}
	return data;
}

/* A port nobody has right now. */
static inline uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(fd, (struct sockaddr *)&address, sizeof(address));
	getsockname(fd, (struct sockaddr *)&address, &length);
	close(fd);
	return ntohs(address.sin_port);
}

#endif
