/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a child process that does what may hang (statvfs, D-Bus, unlink, fsync), one request at a time, over a
 * SOCK_SEQPACKET pair of fixed-size messages. The agent never blocks on it: requests and answers are MSG_DONTWAIT, and
 * one that misses its deadline is killed and replaced. A worker dies with the agent (PR_SET_PDEATHSIG).
 */
#ifndef NODEMEND_CORE_WORKER_H
#define NODEMEND_CORE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct worker {
	const char *name;        /* process name, "nm-" + name in ps */
	int (*serve)(int fd);    /* runs in the child until fd closes; its return is the exit code */
	pid_t pid;               /* 0 = not running */
	int pidfd;               /* what is signalled: a number may be another's once somebody has reaped it */
	int fd;                  /* -1 = not running; non-blocking */
	bool busy;
	uint64_t busy_since_ns;  /* boot time */
	uint64_t restarts;
	uint64_t give_up_ns;     /* longest a request may take; 0 = no limit */
};

int worker_start(struct worker *worker);   /* fork; 0 or -errno */
void worker_stop(struct worker *worker);   /* SIGKILL and reap; NULL and not-running are fine */
/* 0: sent, worker is busy. -EBUSY: still at the last one. -EPIPE: it died (start it again). */
int worker_send(struct worker *worker, const void *request, size_t size, uint64_t now_ns);
/* 1: an answer of exactly `size` bytes. 0: none yet. -EPIPE: died. -EPROTO: wrong size. */
int worker_receive(struct worker *worker, void *answer, size_t size);
/* Whether it has overstayed give_up_ns; the caller then stops and starts it. */
bool worker_is_stuck(const struct worker *worker, uint64_t now_ns);

/* For serve(): blocking whole-message receive and send. 1, 0 = peer closed, -errno. */
int worker_read(int fd, void *message, size_t size);
int worker_write(int fd, const void *message, size_t size);

#endif
