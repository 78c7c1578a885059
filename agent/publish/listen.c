/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket of http.h: numeric addresses only, with bounds that what it accepts inherits. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "publish/http.h"

enum {
	BACKLOG = 128,
	SEND_BUFFER = 128 << 10, /* the kernel's own bound lets each slow reader take 4 MiB of the node's memory */
};

static int parse_address(const char *listen_at, struct sockaddr_storage *ret, socklen_t *ret_length)
{
	const char *colon = strrchr(listen_at, ':');
	char host[64], *end;
	if (!colon || (size_t)(colon - listen_at) >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	memcpy(host, listen_at, (size_t)(colon - listen_at));
	host[colon - listen_at] = 0;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return -EINVAL;

	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	memset(ret, 0, sizeof(*ret));
	size_t length = strlen(host);
	if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = 0;
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
		*ret_length = sizeof(*v6);
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	*ret_length = sizeof(*v4);
	const char *numeric = !*host ? "0.0.0.0" : strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
	return inet_pton(AF_INET, numeric, &v4->sin_addr) == 1 ? 0 : -EINVAL;
}

int http_listen(const char *listen_at, int *ret_socket)
{
	struct sockaddr_storage address;
	socklen_t length;
	int error = parse_address(listen_at, &address, &length);
	if (error < 0)
		return error;

	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)); /* without it a restart may have to wait a minute */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SEND_BUFFER }, sizeof(int)); /* what it accepts has it, too */
	if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret_socket = fd;
	return 0;
}
