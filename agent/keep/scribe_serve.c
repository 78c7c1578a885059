/* SPDX-License-Identifier: Apache-2.0 */
/* The child's side of the scribe: one request at a time, answered when it is on disk. It may hang as long as the disk does. */
#include "keep/scribe_serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/worker.h"
#include "keep/journal.h"
#include "keep/shelf.h"
#include "keep/state.h"

enum { BUSY_PAUSES = 100, BUSY_PAUSE_NS = 20000000 };

struct desk {
	int dir_fd;
	const struct scribe_shared *shared;
	struct journal *journal;     /* NULL: not open, tried again at each request */
	struct state_file *state;    /* likewise: opened after the agent has read it */
	bool moved;
	struct scribe_request request;
};

static int receive_hello(int fd, struct desk *desk)
{
	union { struct cmsghdr header; char space[CMSG_SPACE(2 * sizeof(int))]; } control;
	struct iovec data = { &desk->request, sizeof(desk->request) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t got;
	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);

	const struct cmsghdr *passed = CMSG_FIRSTHDR(&message);
	int fds[2];
	if (got != (ssize_t)sizeof(desk->request) || !passed || passed->cmsg_type != SCM_RIGHTS || passed->cmsg_len != CMSG_LEN(sizeof(fds)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(passed), sizeof(fds));
	desk->dir_fd = fds[0];
	void *shared = mmap(NULL, sizeof(*desk->shared), PROT_READ, MAP_SHARED, fds[1], 0);
	close(fds[1]);
	if (shared == MAP_FAILED)
		return -errno;
	desk->shared = shared;
	return 0;
}

static int open_journal(struct desk *desk)
{
	return desk->journal ? 0 : journal_open(desk->dir_fd, &desk->journal, &desk->moved);
}

/* An agent that was killed leaves a scribe that is just dying, and may need a moment to come back from the disk first. */
static int open_after_another(struct desk *desk)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int error = open_journal(desk);
	for (int i = 0; error == -EBUSY && i < BUSY_PAUSES; i++) {
		nanosleep(&pause, NULL);
		error = open_journal(desk);
	}
	return error;
}

static int write_action(struct desk *desk)
{
	int error = open_journal(desk);
	return error < 0 ? error : journal_append(desk->journal, &desk->request.action);
}

/* The journal must be open: its lock keeps a second agent off the state, too. */
static int write_state(struct desk *desk)
{
	int error = open_journal(desk);
	if (error < 0)
		return error;
	if (!desk->state) {
		error = state_open(desk->dir_fd, &desk->state);
		if (error < 0)
			return error;
	}
	state_anchor(desk->state, journal_head(desk->journal));
	return state_save(desk->state, &desk->shared->slots[desk->request.slot % 2]);
}

/* Under the journal's lock, too. */
static int write_shelf(struct desk *desk)
{
	const struct scribe_shelf *shelf = &desk->shared->shelves[desk->request.slot % SHELF_COUNT];
	int error = open_journal(desk);
	return error < 0 ? error : shelf->size > SHELF_MAX ? -EMSGSIZE : shelf_write(desk->dir_fd, shelf->name, shelf->data, shelf->size);
}

static void serve_one(struct desk *desk, struct scribe_answer *answer)
{
	*answer = (struct scribe_answer){ .verb = desk->request.verb, .ticket = desk->request.ticket };
	switch (desk->request.verb) {
	case SCRIBE_HELLO:
		answer->error = open_after_another(desk);
		answer->moved = desk->moved;
		break;
	case SCRIBE_ACTION:
		answer->error = write_action(desk);
		break;
	case SCRIBE_STATE:
		answer->error = write_state(desk);
		break;
	case SCRIBE_SHELF:
		answer->error = write_shelf(desk);
		break;
	}
}

int scribe_serve(int fd)
{
	(void)signal(SIGTERM, SIG_IGN); /* systemd sends it to all of a unit: the agent's last records come after that */
	struct desk desk = { .dir_fd = -1 };
	int error = receive_hello(fd, &desk);
	int got = error < 0 ? error : 1;
	while (got > 0) {
		struct scribe_answer answer;
		serve_one(&desk, &answer);
		got = worker_write(fd, &answer, sizeof(answer));
		if (got > 0)
			got = worker_read(fd, &desk.request, sizeof(desk.request));
	}
	if (got < 0)
		log_error("scribe: its socket to the agent failed: %s", strerror(-got));
	state_close(desk.state);
	journal_close(desk.journal);
	return got < 0;
}
