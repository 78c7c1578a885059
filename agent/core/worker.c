/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. A worker is forked, not exec'd: it starts in under a millisecond and shares our pages until it writes. */
#include "core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"

/* The largest message is a remedy request of 20 KiB; two must fit so that a send to an idle worker never blocks. */
enum { SOCKET_BUFFER = 1 << 18 };

/* What the child must not keep: BPF objects, sockets and files of the agent. `fd` becomes 3, the standard streams stay. */
static int keep_only(int fd)
{
	if (fd != 3) {
		if (dup2(fd, 3) < 0)
			return -errno;
	}
	return close_range(4, ~0U, 0) < 0 ? -errno : 3;
}

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL); /* KILL and STOP refuse, as they should */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN); /* a terminal's ^C is for the agent, which ends us */
	(void)signal(SIGTERM, SIG_IGN); /* systemd sends it to the whole group; an act under way ends with the agent, not before */
	(void)signal(SIGHUP, SIG_IGN);
}

static _Noreturn void child_main(const struct worker *worker, int fd, pid_t parent)
{
	char name[16];
	snprintf(name, sizeof(name), "nm-%s", worker->name);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it died before we could ask to die with it */

	reset_signals();
	fd = keep_only(fd);
	log_reopen();
	_exit(fd < 0 ? 1 : worker->serve(fd));
}

int worker_start(struct worker *worker)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int size = SOCKET_BUFFER;
	for (int i = 0; i < 2; i++)
		(void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* the default holds a few messages too */

	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		int error = -errno;
		close(pair[0]);
		close(pair[1]);
		return error;
	}
	if (pid == 0)
		child_main(worker, pair[1], parent);

	close(pair[1]);
	/* Before anybody can have reaped it: we are one thread, and it was born just now. */
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		int error = -errno;
		close(pair[0]); /* the end of its socket ends it */
		return error;
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	worker->pid = pid;
	worker->pidfd = pidfd;
	worker->fd = pair[0];
	worker->busy = false;
	return 0;
}

void worker_stop(struct worker *worker)
{
	if (!worker || worker->pid <= 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0); /* ESRCH: it has ended */
	close(worker->pidfd);
	close(worker->fd);
	/* One that hangs in D state dies later: do not wait for it here, the loop's SIGCHLD reaps it. */
	(void)waitpid(worker->pid, NULL, WNOHANG);
	worker->pid = 0;
	worker->pidfd = -1;
	worker->fd = -1;
	worker->busy = false;
}

int worker_send(struct worker *worker, const void *request, size_t size, uint64_t now_ns)
{
	if (worker->fd < 0)
		return -EPIPE;
	if (worker->busy)
		return -EBUSY;
	ssize_t sent = send(worker->fd, request, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN ? -EBUSY : -EPIPE;
	worker->busy = true;
	worker->busy_since_ns = now_ns;
	return 0;
}

int worker_receive(struct worker *worker, void *answer, size_t size)
{
	if (worker->fd < 0)
		return -EPIPE;
	ssize_t got = recv(worker->fd, answer, size, MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	if (got == 0)
		return -EPIPE;
	worker->busy = false;
	return (size_t)got == size ? 1 : -EPROTO;
}

bool worker_is_stuck(const struct worker *worker, uint64_t now_ns)
{
	return worker->busy && worker->give_up_ns && now_ns > worker->busy_since_ns + worker->give_up_ns;
}

int worker_read(int fd, void *message, size_t size)
{
	for (;;) {
		ssize_t got = recv(fd, message, size, MSG_TRUNC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		return (size_t)got == size ? 1 : -EPROTO;
	}
}

int worker_write(int fd, const void *message, size_t size)
{
	for (;;) {
		if (send(fd, message, size, MSG_NOSIGNAL) >= 0)
			return 1;
		if (errno == EINTR)
			continue;
		return errno == EPIPE ? 0 : -errno;
	}
}
