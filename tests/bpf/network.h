/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of sockets: a network namespace and a cgroup of the test's own, so that what others do is never in its figures. */
#ifndef NODEMEND_TESTS_BPF_NETWORK_H
#define NODEMEND_TESTS_BPF_NETWORK_H

#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static inline void run(const char *command)
{
	int status = system(command);

	if (status)
		fail_msg("%s: status %d", command, status);
}

/* For the whole process, before it opens anything. */
static inline void enter_own_network(void)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	run("ip link set lo up");
}

/* Makes it if need be and moves the calling process there. Returns its id. */
static inline uint64_t enter_cgroup(const char *name)
{
	char path[160];
	struct stat status;

	snprintf(path, sizeof(path), "%s/test-%s", cgroup_root(), name);
	assert_true(!mkdir(path, 0755) || errno == EEXIST);
	assert_int_equal(stat(path, &status), 0);
	strncat(path, "/cgroup.procs", sizeof(path) - strlen(path) - 1);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0", 1), 1);
	close(fd);
	return status.st_ino;
}

static inline void leave_cgroup(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup_root());
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "0", 1);
		close(fd);
	}
	snprintf(path, sizeof(path), "%s/test-%s", cgroup_root(), name);
	while (rmdir(path) && errno == EBUSY) /* a child that was just reaped may still be leaving */
		sched_yield();
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline union address loopback(int family, uint16_t port, socklen_t *ret_size)
{
	union address address = { .any.sa_family = (sa_family_t)family };

	if (family == AF_INET) {
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address.v4.sin_port = htons(port);
		*ret_size = sizeof(address.v4);
	} else {
		address.v6.sin6_addr = in6addr_loopback;
		address.v6.sin6_port = htons(port);
		*ret_size = sizeof(address.v6);
	}
	return address;
}

/* Bound to a free port of the loopback; a TCP one listens. */
static inline int make_server(int family, int type, int backlog, uint16_t *ret_port)
{
	socklen_t size;
	union address address = loopback(family, 0, &size);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &address.any, size), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, &address.any, &size), 0);
	*ret_port = ntohs(family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
	return fd;
}

static inline int make_client(int family, int type, uint16_t port)
{
	socklen_t size;
	union address address = loopback(family, port, &size);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, &address.any, size)) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static inline void send_all(int fd, size_t bytes)
{
	static const char block[16384];

	for (size_t sent = 0; sent < bytes;) {
		ssize_t n = send(fd, block, bytes - sent < sizeof(block) ? bytes - sent : sizeof(block), MSG_NOSIGNAL);
		assert_true(n > 0);
		sent += (size_t)n;
	}
}

static inline void receive_all(int fd, size_t bytes)
{
	char block[16384];

	for (size_t got = 0; got < bytes;) {
		ssize_t n = recv(fd, block, bytes - got < sizeof(block) ? bytes - got : sizeof(block), 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
}

static inline void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* In the child everything fails by its exit status. */
static inline void reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#endif
