/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's side of the scribe: a queue, a double buffer, and a child that is replaced when it dies. Nothing here waits but start and stop. */
#include "keep/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "keep/scribe_serve.h"
#include "keep/state.h"

#define RETRY_NS (200 * NSEC_PER_MSEC)   /* a refused write, or a scribe that died at once: a full disk is asked again, not hammered */
#define LATE_NS NSEC_PER_SEC
#define HELLO_WITHIN_MS 10000            /* walking a journal of 16 MiB takes a tenth of a second on a slow disk */
#define STOP_WITHIN_NS (2 * NSEC_PER_SEC)

enum { NO_SLOT = -1 };

struct scribe {
	struct worker worker;
	int dir_fd, shared_fd, epoll_fd, timer_fd;
	struct scribe_shared *shared;
	int newest_slot, sent_slot;          /* waiting to be written; being read by the child */
	enum { SHELF_FREE, SHELF_WAITS, SHELF_SENT } shelves[SHELF_COUNT];
	bool greeted;                        /* the child has answered to HELLO */
	uint64_t retry_at_ns;                /* 0 = at once */
	uint64_t done_through, lost, late;
	bool head_is_late, said_late;
	bool state_first;                    /* the journal refused: the state, which needs no room, must not wait behind it */
	int last_error;
	uint32_t head, count;
	uint64_t queued_ns[SCRIBE_QUEUE];
	struct scribe_request queue[SCRIBE_QUEUE]; /* ring; queue[head] is with the child, or next */
	struct scribe_request request;
};

/* --- the child ----------------------------------------------------------------------------------------------------------- */

static int send_hello(struct scribe *scribe)
{
	union { struct cmsghdr header; char space[CMSG_SPACE(2 * sizeof(int))]; } control = { 0 };
	struct iovec data = { &scribe->request, sizeof(scribe->request) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int fds[2] = { scribe->dir_fd, scribe->shared_fd };
	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fds)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));

	scribe->request.verb = SCRIBE_HELLO;
	if (sendmsg(scribe->worker.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	scribe->worker.busy = true;
	scribe->worker.busy_since_ns = clock_boot_ns();
	return 0;
}

static int start_child(struct scribe *scribe)
{
	int error = worker_start(&scribe->worker);
	if (error < 0)
		return error;
	scribe->greeted = false;
	struct epoll_event event = { .events = EPOLLIN };
	if (epoll_ctl(scribe->epoll_fd, EPOLL_CTL_ADD, scribe->worker.fd, &event) < 0) {
		error = -errno;
		worker_stop(&scribe->worker);
		return error;
	}
	return send_hello(scribe);
}

static void wake_at(struct scribe *scribe, uint64_t at_ns)
{
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_ns / NSEC_PER_SEC), .tv_nsec = (long)(at_ns % NSEC_PER_SEC) } };
	(void)timerfd_settime(scribe->timer_fd, TFD_TIMER_ABSTIME, &when, NULL); /* of a valid timer and time: cannot fail */
}

static void retry_later(struct scribe *scribe)
{
	scribe->retry_at_ns = clock_boot_ns() + RETRY_NS;
	wake_at(scribe, scribe->retry_at_ns);
}

/* What it had in hand is sent again to the next one, which looks at the journal's last line first: nothing is written twice. */
static void child_died(struct scribe *scribe)
{
	log_warning("scribe: it died with %u records to write: started anew, they are sent again", scribe->count);
	worker_stop(&scribe->worker); /* closing takes it out of the epoll set */
	scribe->worker.restarts++;
	scribe->greeted = false;
	if (scribe->sent_slot != NO_SLOT && scribe->newest_slot == NO_SLOT)
		scribe->newest_slot = scribe->sent_slot;
	scribe->sent_slot = NO_SLOT;
	for (uint32_t i = 0; i < SHELF_COUNT; i++)
		scribe->shelves[i] = scribe->shelves[i] == SHELF_SENT ? SHELF_WAITS : scribe->shelves[i];
	retry_later(scribe);
}

/* --- sending ------------------------------------------------------------------------------------------------------------- */

/* The first whose content waits to be sent; SHELF_COUNT: none. */
static uint32_t waiting_shelf(const struct scribe *scribe)
{
	uint32_t at = 0;
	while (at < SHELF_COUNT && scribe->shelves[at] != SHELF_WAITS)
		at++;
	return at;
}

static bool shelf_in_hand(const struct scribe *scribe)
{
	for (uint32_t i = 0; i < SHELF_COUNT; i++)
		if (scribe->shelves[i] != SHELF_FREE)
			return true;
	return false;
}

static void send_next(struct scribe *scribe)
{
	uint64_t now_ns = clock_boot_ns();
	if (scribe->worker.busy || !scribe->greeted)
		return;
	int error = 0;
	if (scribe->count > 0 && !(scribe->state_first && scribe->newest_slot != NO_SLOT)) {
		error = worker_send(&scribe->worker, &scribe->queue[scribe->head], sizeof(scribe->queue[0]), now_ns);
	} else if (scribe->newest_slot != NO_SLOT) {
		scribe->request.verb = SCRIBE_STATE;
		scribe->request.slot = (uint32_t)scribe->newest_slot;
		error = worker_send(&scribe->worker, &scribe->request, sizeof(scribe->request), now_ns);
		if (error == 0) {
			scribe->sent_slot = scribe->newest_slot;
			scribe->newest_slot = NO_SLOT;
			scribe->state_first = false;
		}
	} else if (waiting_shelf(scribe) < SHELF_COUNT) {
		scribe->request.verb = SCRIBE_SHELF;
		scribe->request.slot = waiting_shelf(scribe);
		error = worker_send(&scribe->worker, &scribe->request, sizeof(scribe->request), now_ns);
		if (error == 0)
			scribe->shelves[scribe->request.slot] = SHELF_SENT;
	}
	if (error == -EPIPE)
		child_died(scribe);
}

static void note_lateness(struct scribe *scribe)
{
	if (scribe->count == 0 || scribe->head_is_late)
		return;
	uint64_t late_at_ns = scribe->queued_ns[scribe->head] + LATE_NS;
	if (clock_boot_ns() < late_at_ns) {
		if (!scribe->retry_at_ns)
			wake_at(scribe, late_at_ns);
		return;
	}
	scribe->head_is_late = true;
	scribe->late++;
	if (scribe->said_late)
		return;
	scribe->said_late = true; /* until the queue is empty again */
	log_warning("scribe: the disk has not taken a record within %llu s, %u are waiting", (unsigned long long)(LATE_NS / NSEC_PER_SEC), scribe->count);
}

/* Everything that can be done now, without waiting. */
static void pump(struct scribe *scribe)
{
	if (scribe->retry_at_ns && clock_boot_ns() < scribe->retry_at_ns)
		return;
	scribe->retry_at_ns = 0;
	if (scribe->worker.pid <= 0) {
		int error = start_child(scribe);
		if (error < 0) {
			log_error("scribe: cannot be started: nothing is kept until it can: %s", strerror(-error));
			scribe->last_error = error;
			retry_later(scribe);
			return;
		}
	}
	send_next(scribe);
	note_lateness(scribe);
}

int scribe_action(struct scribe *scribe, const struct action *action, uint64_t *ret_ticket)
{
	if (scribe->count == SCRIBE_QUEUE) {
		scribe->lost++;
		return -EAGAIN;
	}
	uint32_t at = (scribe->head + scribe->count) % SCRIBE_QUEUE;
	struct scribe_request *request = &scribe->queue[at];
	request->verb = SCRIBE_ACTION;
	request->action = *action;
	request->ticket = scribe->done_through + scribe->count + 1;
	scribe->queued_ns[at] = clock_boot_ns();
	scribe->count++;
	*ret_ticket = request->ticket;
	pump(scribe);
	return 0;
}

int scribe_state(struct scribe *scribe, const struct saved_state *state)
{
	int slot = scribe->sent_slot == 0 ? 1 : 0;
	state_copy(&scribe->shared->slots[slot], state);
	scribe->newest_slot = slot;
	pump(scribe);
	return 0;
}

/* Its own where it has one, else one that nothing is in. */
static uint32_t shelf_of(const struct scribe *scribe, const char *name)
{
	uint32_t at = 0;
	while (at < SHELF_COUNT && scribe->shared->shelves[at].name[0] && strcmp(scribe->shared->shelves[at].name, name) != 0)
		at++;
	return at;
}

int scribe_shelf(struct scribe *scribe, const char *name, const void *data, size_t size)
{
	uint32_t at = shelf_of(scribe, name);
	if (at == SHELF_COUNT)
		return -ENOSPC;
	struct scribe_shelf *shelf = &scribe->shared->shelves[at];
	if (scribe->shelves[at] != SHELF_FREE)
		return -EAGAIN;
	if (size > sizeof(shelf->data))
		return -EFBIG;
	snprintf(shelf->name, sizeof(shelf->name), "%s", name);
	shelf->size = (uint32_t)size;
	memcpy(shelf->data, data, size);
	scribe->shelves[at] = SHELF_WAITS;
	pump(scribe);
	return 0;
}

/* One that failed is written again in its turn, with what was learned since. The pages go back, up to its name: a megabyte that is needed some times
 * an hour. */
static void shelf_is_done(struct scribe *scribe)
{
	const long page = sysconf(_SC_PAGESIZE);
	for (uint32_t i = 0; i < SHELF_COUNT; i++) {
		if (scribe->shelves[i] != SHELF_SENT)
			continue;
		scribe->shelves[i] = SHELF_FREE;
		char *behind = (char *)&scribe->shared->shelves[i] + page;
		(void)madvise(behind, sizeof(struct scribe_shelf) - (size_t)page, MADV_REMOVE); /* where it cannot, they stay */
	}
}

/* --- answers ------------------------------------------------------------------------------------------------------------- */

static void say_error(struct scribe *scribe, const struct scribe_answer *answer)
{
	if (answer->error == scribe->last_error)
		return;
	static const char *const whats[] = {
		[SCRIBE_HELLO] = "the journal", [SCRIBE_ACTION] = "the journal's next line", [SCRIBE_STATE] = "the state", [SCRIBE_SHELF] = "what was learned",
	};
	const char *what = whats[answer->verb];
	if (answer->error < 0)
		log_error("scribe: %s is not on disk, tried again: %s", what, strerror(-answer->error));
	else
		log_info("scribe: writing works again");
	scribe->last_error = answer->error;
}

static void next_action(struct scribe *scribe)
{
	scribe->done_through = scribe->queue[scribe->head].ticket;
	scribe->head = (scribe->head + 1) % SCRIBE_QUEUE;
	scribe->count--;
	scribe->head_is_late = false;
	if (scribe->count == 0)
		scribe->said_late = false;
}

static void take_action_answer(struct scribe *scribe, const struct scribe_answer *answer)
{
	if (scribe->count == 0 || answer->ticket != scribe->queue[scribe->head].ticket)
		return;
	if (answer->error == 0) {
		next_action(scribe);
	} else if (answer->error == -EMSGSIZE) {
		scribe->lost++; /* it will never fit; the ones behind it must not wait for it */
		next_action(scribe);
	} else {
		scribe->state_first = true;
		retry_later(scribe);
	}
}

static void take_answer(struct scribe *scribe, const struct scribe_answer *answer)
{
	say_error(scribe, answer);
	switch (answer->verb) {
	case SCRIBE_HELLO:
		scribe->greeted = true; /* also with an error: it opens again at each request */
		break;
	case SCRIBE_ACTION:
		take_action_answer(scribe, answer);
		break;
	case SCRIBE_STATE:
		if (answer->error < 0 && scribe->newest_slot == NO_SLOT)
			scribe->newest_slot = scribe->sent_slot;
		scribe->sent_slot = NO_SLOT;
		if (answer->error < 0)
			retry_later(scribe);
		break;
	case SCRIBE_SHELF:
		shelf_is_done(scribe);
		break;
	}
}

void scribe_dispatch(struct scribe *scribe)
{
	uint64_t expired;
	struct scribe_answer answer;
	(void)!read(scribe->timer_fd, &expired, sizeof(expired)); /* only to make it quiet */
	int got = 0;
	while (scribe->worker.pid > 0 && (got = worker_receive(&scribe->worker, &answer, sizeof(answer))) > 0) {
		take_answer(scribe, &answer);
		pump(scribe);
	}
	if (got < 0)
		child_died(scribe);
	pump(scribe);
}

int scribe_fd(const struct scribe *scribe)
{
	return scribe->epoll_fd;
}

uint64_t scribe_done_through(const struct scribe *scribe)
{
	return scribe->done_through;
}

int scribe_last_error(const struct scribe *scribe)
{
	return scribe->last_error;
}

uint64_t scribe_lost(const struct scribe *scribe)
{
	return scribe->lost;
}

uint64_t scribe_late(const struct scribe *scribe)
{
	return scribe->late;
}

uint64_t scribe_restarts(const struct scribe *scribe)
{
	return scribe->worker.restarts;
}

/* --- start and stop ------------------------------------------------------------------------------------------------------ */

static int open_directory(const char *path, int *ret_fd, char *why, size_t why_size)
{
	if (mkdir(path, 0750) < 0 && errno != EEXIST) {
		int error = -errno;
		snprintf(why, why_size, "cannot be made: %s", strerror(errno));
		return error;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) < 0) {
		int error = -errno;
		snprintf(why, why_size, "cannot be opened: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return error;
	}
	/* Who may write here may forge what the agent believes it has done. */
	if ((status.st_uid != 0 && status.st_uid != geteuid()) || status.st_mode & S_IWOTH) {
		snprintf(why, why_size, "it belongs to another user or is writable by everyone, not used");
		close(fd);
		return -EPERM;
	}
	*ret_fd = fd;
	return 0;
}

static int open_channels(struct scribe *scribe)
{
	scribe->shared_fd = memfd_create("nodemend-state", MFD_CLOEXEC);
	if (scribe->shared_fd < 0 || ftruncate(scribe->shared_fd, sizeof(*scribe->shared)) < 0)
		return -errno;
	scribe->shared = mmap(NULL, sizeof(*scribe->shared), PROT_READ | PROT_WRITE, MAP_SHARED, scribe->shared_fd, 0);
	if (scribe->shared == MAP_FAILED) {
		scribe->shared = NULL;
		return -errno;
	}
	scribe->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	scribe->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	if (scribe->epoll_fd < 0 || scribe->timer_fd < 0 || epoll_ctl(scribe->epoll_fd, EPOLL_CTL_ADD, scribe->timer_fd, &event) < 0)
		return -errno;
	return 0;
}

/* The one wait: an agent that cannot keep a journal is told so before it begins, not at its first act. */
static int greet(struct scribe *scribe, bool *ret_moved, char *why, size_t why_size)
{
	int error = start_child(scribe);
	struct scribe_answer answer = { 0 };
	if (error < 0) {
		snprintf(why, why_size, "the scribe cannot be started: %s", strerror(-error));
		return error;
	}
	struct pollfd wait = { .fd = scribe->worker.fd, .events = POLLIN };
	int ready;
	do
		ready = poll(&wait, 1, HELLO_WITHIN_MS);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0) {
		snprintf(why, why_size, "the disk does not answer within %d s", HELLO_WITHIN_MS / 1000);
		return -ETIMEDOUT;
	}
	error = worker_receive(&scribe->worker, &answer, sizeof(answer));
	if (error > 0)
		error = answer.error;
	if (error == -EBUSY)
		snprintf(why, why_size, "another agent writes its journal there");
	else if (error < 0)
		snprintf(why, why_size, "its journal cannot be opened: %s", strerror(-error));
	scribe->greeted = true;
	*ret_moved = answer.moved;
	return error;
}

/* 0: loaded, or there is nothing yet, or nothing good; why says what was lost. */
static int load(struct scribe *scribe, const char *boot_id, struct saved_state *ret, char *why, size_t why_size)
{
	struct state_file *file;
	state_clear(ret);
	int error = state_open(scribe->dir_fd, &file);
	if (error == -ENOSPC || error == -EDQUOT) {
		snprintf(why, why_size, "there is no room for the state file: cooldowns and open incidents do not survive a restart until there is");
		return 0;
	}
	if (error < 0) {
		snprintf(why, why_size, "its state file cannot be opened: %s", strerror(-error));
		return error;
	}
	char fault[WHY_LEN];
	error = state_load(file, boot_id, (int64_t)clock_boot_ns(), clock_wall_ns(), ret, fault, sizeof(fault));
	state_close(file);
	if (error == -EBADMSG)
		snprintf(why, why_size, "both state files are broken and were set aside: cooldowns and open incidents are forgotten (%s)", fault);
	else if (error == 0 && fault[0])
		snprintf(why, why_size, "the newer state file is broken, the one before it counts (%s)", fault);
	return error == -EBADMSG || error == -ENOENT ? 0 : error;
}

static int start(struct scribe *scribe, const char *state_dir, const char *boot_id, struct saved_state *ret_state, char *why, size_t why_size)
{
	int error = open_directory(state_dir, &scribe->dir_fd, why, why_size);
	if (error < 0)
		return error;
	error = open_channels(scribe);
	if (error < 0) {
		snprintf(why, why_size, "the scribe cannot be set up: %s", strerror(-error));
		return error;
	}
	bool moved = false;
	error = greet(scribe, &moved, why, why_size);
	if (error < 0)
		return error;
	error = load(scribe, boot_id, ret_state, why, why_size);
	if (error < 0)
		return error;

	/* A new chain makes the old state's anchor a false alarm: the same state, anchored anew. */
	if (moved) {
		snprintf(ret_state->boot_id, sizeof(ret_state->boot_id), "%s", boot_id);
		ret_state->saved_boot_ns = (int64_t)clock_boot_ns();
		ret_state->saved_wall_ns = clock_wall_ns();
		(void)scribe_state(scribe, ret_state); /* only queued: cannot fail */
	}
	return 0;
}

static void scribe_free(struct scribe *scribe)
{
	worker_stop(&scribe->worker);
	if (scribe->shared)
		munmap(scribe->shared, sizeof(*scribe->shared));
	int fds[] = { scribe->dir_fd, scribe->shared_fd, scribe->epoll_fd, scribe->timer_fd };
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(scribe);
}

int scribe_start(const char *state_dir, const char *boot_id, struct scribe **ret, struct saved_state *ret_state, char *why, size_t why_size)
{
	struct scribe *scribe = calloc(1, sizeof(*scribe));
	if (!scribe)
		return -ENOMEM;
	scribe->worker = (struct worker){ .name = "scribe", .serve = scribe_serve, .fd = -1 };
	scribe->dir_fd = scribe->shared_fd = scribe->epoll_fd = scribe->timer_fd = -1;
	scribe->newest_slot = scribe->sent_slot = NO_SLOT;
	why[0] = '\0';

	int error = start(scribe, state_dir, boot_id, ret_state, why, why_size);
	if (error < 0) {
		scribe_free(scribe);
		return error;
	}
	*ret = scribe;
	return 0;
}

static int left_ms(uint64_t until_ns)
{
	uint64_t now_ns = clock_boot_ns();
	return now_ns < until_ns ? (int)((until_ns - now_ns) / NSEC_PER_MSEC) + 1 : 0;
}

/* It goes by itself when its socket ends, and the directory's lock with it: whoever starts next finds it free. */
static void dismiss(struct scribe *scribe, uint64_t until_ns)
{
	int fd = scribe->worker.pid > 0 ? pidfd_open(scribe->worker.pid, 0) : -1;
	if (fd < 0)
		return;
	(void)shutdown(scribe->worker.fd, SHUT_WR); /* an already broken one is as good as ended */
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	(void)poll(&wait, 1, left_ms(until_ns)); /* one that does not go is killed next */
	close(fd);
}

void scribe_stop(struct scribe *scribe)
{
	if (!scribe)
		return;
	uint64_t until_ns = clock_boot_ns() + STOP_WITHIN_NS;
	scribe_dispatch(scribe);
	while (scribe->count > 0 || scribe->newest_slot != NO_SLOT || scribe->sent_slot != NO_SLOT || shelf_in_hand(scribe)) {
		if (!left_ms(until_ns))
			break;
		struct pollfd wait = { .fd = scribe->epoll_fd, .events = POLLIN };
		(void)poll(&wait, 1, left_ms(until_ns));
		scribe_dispatch(scribe);
	}
	if (scribe->count > 0)
		log_error("scribe: ended with %u records not on disk", scribe->count);
	dismiss(scribe, until_ns);
	scribe_free(scribe);
}
