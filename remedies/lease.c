/* SPDX-License-Identifier: Apache-2.0 */
/* See lease.h. The book is an array of fixed places; each is read, checked and written whole. */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/knob.h"
#include "remedies/lease_mark.h"

const char *const lease_end_names[LEASE_END_COUNT] = { "returned", "foreign", "gone", "failed", "taken over" };

/* Longer than any holder needs: it writes some hundred bytes to the page cache and to a control file. */
#define BOOK_WAIT_NS (500 * NSEC_PER_MSEC)
#define BOOK_LOOK_NS (2 * NSEC_PER_MSEC)
/* What an agent and the timer beside it need to turn back is 15 s; a mark that is older than its lease by so much was left by none that comes back. */
#define ABANDONED_NS (60 * NSEC_PER_SEC)

/* --- the book ------------------------------------------------------------------------------------------------------------ */

/* FNV-1a: a place that was half written, or written by something else, is not acted upon. */
static uint64_t sum_of(const struct lease *lease)
{
	const unsigned char *at = (const unsigned char *)lease + sizeof(lease->sum), *end = (const unsigned char *)(lease + 1);
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; at < end; at++)
		hash = (hash ^ *at) * 0x100000001b3ULL;
	return hash;
}

static int lock_book(int fd)
{
	const struct timespec look = { .tv_nsec = BOOK_LOOK_NS };
	for (uint64_t until = clock_boot_ns() + BOOK_WAIT_NS; flock(fd, LOCK_EX | LOCK_NB) < 0;) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_boot_ns() >= until)
			return -EBUSY;
		nanosleep(&look, NULL);
	}
	return 0;
}

static int open_book(const char *path, int flags)
{
	int fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	struct stat file;
	int error = fstat(fd, &file) < 0 ? -errno : !S_ISREG(file.st_mode) || file.st_uid != geteuid() || (file.st_mode & 022) ? -EPERM : lock_book(fd);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

static bool owners_end(const struct lease *lease)
{
	for (int i = 0; i < LEASE_OWNERS; i++)
		if (!ENDED(lease->owners[i]))
			return false;
	return true;
}

/* 1: a sound place, held or not; 0: the book ends before it; -EBADMSG: something else stands there. */
static int read_place(int fd, uint32_t at, struct lease *ret)
{
	ssize_t got = pread(fd, ret, sizeof(*ret), (off_t)(at * sizeof(*ret)));
	if (got == 0)
		return 0;
	if (got != (ssize_t)sizeof(*ret))
		return got < 0 ? -errno : -EBADMSG;
	return ret->sum == sum_of(ret) && ret->version == LEASE_VERSION && ret->knob.kind < KNOB_KIND_COUNT && ENDED(ret->action_id) && ENDED(ret->remedy) && ENDED(ret->boot_id) &&
		       ENDED(ret->knob.file) && ENDED(ret->knob.key) && ENDED(ret->knob.absent) && ENDED(ret->before) && ENDED(ret->during) && ENDED(ret->earlier) && owners_end(ret) ?
		       1 :
		       -EBADMSG;
}

static int write_place(int fd, uint32_t at, struct lease *lease)
{
	lease->version = LEASE_VERSION;
	lease->sum = sum_of(lease);
	ssize_t put = pwrite(fd, lease, sizeof(*lease), (off_t)(at * sizeof(*lease)));
	return put == (ssize_t)sizeof(*lease) ? 0 : put < 0 ? -errno : -ENOSPC;
}

static bool same_knob(const struct knob *a, const struct knob *b)
{
	return a->kind == b->kind && a->directory_inode == b->directory_inode && a->pid == b->pid && a->start_ns == b->start_ns &&
	       strcmp(a->file, b->file) == 0 && strcmp(a->key, b->key) == 0;
}

static int read_boot_id(char ret[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read_whole(fd, ret, 36);
	if (fd >= 0)
		close(fd);
	if (got != 36)
		return -EIO;
	ret[36] = '\0';
	return 0;
}

/* --- taking -------------------------------------------------------------------------------------------------------------- */

/* The place of this knob, or the first empty one. */
static int find_place(int fd, const struct knob *knob, uint32_t *ret_at, struct lease *ret)
{
	uint32_t empty = MAX_LEASES;
	for (uint32_t at = 0; at < MAX_LEASES; at++) {
		int sound = read_place(fd, at, ret);
		if (sound == 0) {
			empty = empty < at ? empty : at;
			break;
		}
		if (sound > 0 && ret->held && same_knob(&ret->knob, knob)) {
			*ret_at = at;
			return 1;
		}
		if (sound > 0 && !ret->held && empty == MAX_LEASES)
			empty = at;
	}
	if (empty == MAX_LEASES)
		return -ENOSPC;
	*ret_at = empty;
	return 0;
}

static int own_mark(int book_fd, const struct lease *lease, struct lease_mark *ret)
{
	struct stat book;
	if (fstat(book_fd, &book) < 0)
		return -errno;
	*ret = (struct lease_mark){ .book_dev = book.st_dev, .book_inode = book.st_ino, .expires_boot_ns = lease->expires_boot_ns };
	memcpy(ret->before, lease->before, sizeof(ret->before));
	memcpy(ret->during, lease->during, sizeof(ret->during));
	return 0;
}

/* 1: another book has it. One whose time is long over is nobody's: its agent and its book are gone, and `mark` says what the knob was. */
static int is_another_s(int book_fd, const struct knob *knob, struct lease_mark *mark)
{
	struct stat book;
	int there = lease_mark_read(knob, mark);
	if (there == -EBADMSG)
		mark->expires_boot_ns = UNKNOWN;
	if (there <= 0)
		return there == -EBADMSG;
	if (fstat(book_fd, &book) < 0)
		return -errno;
	return mark->book_dev != book.st_dev || mark->book_inode != book.st_ino;
}

static bool is_abandoned(const struct lease_mark *mark)
{
	return mark->expires_boot_ns != UNKNOWN && clock_boot_ns() >= mark->expires_boot_ns + ABANDONED_NS;
}

/* What the knob was before anybody's lease. */
static int find_before(int book_fd, struct lease *lease)
{
	struct lease_mark mark;
	int error = knob_read(&lease->knob, lease->before, sizeof(lease->before));
	if (error)
		return error;
	int another = is_another_s(book_fd, &lease->knob, &mark);
	if (another <= 0)
		return another;
	if (!is_abandoned(&mark))
		return -EADDRINUSE;
	if (strcmp(lease->before, mark.during) == 0)
		memcpy(lease->before, mark.before, sizeof(lease->before));
	lease_mark_remove(&lease->knob);
	return 0;
}

/* `was`: the place as it stood, to be put back where the kernel will not turn the knob. */
static int turn(int fd, uint32_t at, struct lease *lease, const struct lease *was, const char *value)
{
	struct lease_mark mark;
	lease->held = LEASE_TURNING;
	int error = write_place(fd, at, lease);
	if (error)
		return error;
	error = own_mark(fd, lease, &mark);
	if (error == 0)
		error = lease_mark_write(&lease->knob, &mark, !was->held);
	if (error == -EEXIST) /* since it was looked at, another agent has come before us */
		error = -EADDRINUSE;
	bool marked = error == 0;
	if (error == 0)
		error = knob_write(&lease->knob, value);
	if (error) {
		if (marked && !was->held)
			lease_mark_remove(&lease->knob);
		*lease = *was;
		(void)write_place(fd, at, lease);
		return error;
	}
	/* As the kernel words it: what stands there later is compared with that. Where it cannot be read or kept, whatever stands there is ours. */
	char stands[LEASE_TEXT_LEN];
	if (knob_read(&lease->knob, stands, sizeof(stands)) == 0) {
		memcpy(lease->during, stands, sizeof(lease->during));
		memcpy(mark.during, stands, sizeof(mark.during));
		lease->held = LEASE_HELD;
		(void)write_place(fd, at, lease);
		(void)lease_mark_write(&lease->knob, &mark, false);
	}
	return 0;
}

/* As this book's lease left it: 1; 0: somebody else turned it meanwhile; -errno. */
static int stands_as_left(const struct lease *lease)
{
	char stands[LEASE_TEXT_LEN];
	int error = knob_read(&lease->knob, stands, sizeof(stands));
	return error ? error : lease->held == LEASE_TURNING || strcmp(stands, lease->during) == 0 || (lease->earlier[0] && strcmp(stands, lease->earlier) == 0);
}

static int begin(int fd, const struct knob *knob, struct lease *lease)
{
	memset(lease, 0, sizeof(*lease));
	lease->held = LEASE_TURNING;
	lease->knob = *knob;
	int error = find_before(fd, lease);
	return error ? error : read_boot_id(lease->boot_id);
}

static void take_over(struct lease *lease, const char *action_id)
{
	memcpy(lease->earlier, lease->during, sizeof(lease->earlier));
	if (strcmp(lease->action_id, action_id) == 0)
		return;
	memmove(lease->owners[1], lease->owners[0], sizeof(lease->owners) - sizeof(lease->owners[0]));
	memcpy(lease->owners[0], lease->action_id, sizeof(lease->owners[0]));
}

static int take(int fd, const struct remedy_request *request, const struct knob *knob, const char *value, uint64_t for_ns, struct lease *lease)
{
	uint32_t at;
	int again = find_place(fd, knob, &at, lease);
	if (again < 0)
		return again;
	struct lease was = *lease;
	if (again)
		again = stands_as_left(lease); /* else what it was before is what somebody chose meanwhile */
	if (again < 0)
		return again;
	if (again) {
		take_over(lease, request->action_id);
	} else {
		int error = begin(fd, knob, lease);
		if (error)
			return error;
		if (!was.held || !same_knob(&was.knob, knob))
			memset(&was, 0, sizeof(was));
	}
	memcpy(lease->action_id, request->action_id, sizeof(lease->action_id));
	snprintf(lease->remedy, sizeof(lease->remedy), "%s", remedies[request->remedy]->name);
	snprintf(lease->during, sizeof(lease->during), "%s", value);
	lease->expires_boot_ns = clock_boot_ns() + for_ns;
	lease->set_wall_ns = clock_wall_ns();
	return turn(fd, at, lease, &was, value);
}

int lease_take(const struct remedy_request *request, const struct knob *knob, const char *value, uint64_t for_ns, struct remedy_result *result)
{
	struct lease lease = { 0 };
	char shown[PATH_LEN];
	struct action_step *step = result_step(result, "lease");
	int fd = open_book(request->lease_book, O_CREAT);
	int error = fd < 0 ? fd : take(fd, request, knob, value, for_ns, &lease);
	if (fd >= 0)
		close(fd);
	act_shown(shown, sizeof(shown), knob_name(knob));
	if (error == -EADDRINUSE)
		step_end(step, false, "%.100s: not set: another agent has it on lease", shown);
	else if (error < 0)
		step_end(step, false, "%.100s: not set: %s", shown, strerror(-error));
	else
		step_end(step, true, "%.100s: %.30s, was %.30s, for %llu s", shown, lease.during, lease.before, (unsigned long long)(for_ns / NSEC_PER_SEC));
	return error;
}

int lease_extend(const char *book, const struct knob *knob, uint64_t for_ns)
{
	struct lease lease = { 0 };
	struct lease_mark mark;
	uint32_t at;
	int fd = open_book(book, 0);
	if (fd < 0)
		return fd;
	int error = find_place(fd, knob, &at, &lease);
	error = error == 1 ? 0 : error == 0 ? -ENOENT : error;
	if (error == 0) {
		lease.expires_boot_ns = clock_boot_ns() + for_ns;
		error = write_place(fd, at, &lease);
	}
	if (error == 0 && own_mark(fd, &lease, &mark) == 0)
		(void)lease_mark_write(knob, &mark, false);
	close(fd);
	return error;
}

/* `book_fd` < 0: there is no book yet, and so nothing in it. */
static bool another_agent_has_it(int book_fd, const struct knob *knob)
{
	struct lease_mark mark;
	int another = book_fd >= 0 ? is_another_s(book_fd, knob, &mark) : lease_mark_read(knob, &mark);
	if (another == -EBADMSG)
		return true;
	return another == 1 && !is_abandoned(&mark);
}

int lease_find(const char *book, const struct knob *knob, char *ret, size_t size)
{
	struct lease lease = { 0 };
	uint32_t at;
	int fd = book[0] ? open_book(book, 0) : -ENOENT;
	if (fd < 0 && fd != -ENOENT)
		return fd;
	int held = another_agent_has_it(fd, knob) ? -EADDRINUSE : fd < 0 ? 0 : find_place(fd, knob, &at, &lease);
	if (fd >= 0)
		close(fd);
	if (held <= 0)
		return held == -ENOSPC ? 0 : held;
	held = stands_as_left(&lease);
	if (held == 1)
		snprintf(ret, size, "%s", lease.before);
	return held;
}

/* --- returning ----------------------------------------------------------------------------------------------------------- */

static enum lease_end turn_back(const struct lease *lease, int *ret_error)
{
	char stands[LEASE_TEXT_LEN];
	int error = knob_read(&lease->knob, stands, sizeof(stands));
	if (error == 0 && strcmp(stands, lease->before) == 0)
		return LEASE_RETURNED; /* it was never turned, or somebody did this already */
	if (error == 0 && lease->held != LEASE_TURNING && strcmp(stands, lease->during) != 0 && (!lease->earlier[0] || strcmp(stands, lease->earlier) != 0))
		return LEASE_FOREIGN;
	if (error == 0)
		error = knob_write(&lease->knob, lease->before);
	if (error == -ESTALE)
		return LEASE_GONE;
	*ret_error = error;
	return error == 0 ? LEASE_RETURNED : LEASE_FAILED;
}

static enum lease_end give_back(int book_fd, const struct lease *lease, const char *boot_id, int *ret_error)
{
	struct lease_mark mark;
	*ret_error = 0;
	if (strcmp(lease->boot_id, boot_id) != 0)
		return LEASE_GONE;
	if (is_another_s(book_fd, &lease->knob, &mark) == 1)
		return LEASE_FOREIGN; /* another agent found our lease long over, and took it */
	enum lease_end end = turn_back(lease, ret_error);
	if (end != LEASE_FAILED)
		lease_mark_remove(&lease->knob);
	return end;
}

static bool had(const struct lease *lease, const char *action_id)
{
	for (int i = 0; i < LEASE_OWNERS; i++)
		if (strcmp(lease->owners[i], action_id) == 0)
			return true;
	return false;
}

static bool is_chosen(const struct lease *lease, enum lease_choice which, const char *action_id, uint64_t now_boot_ns, const char *boot_id)
{
	switch (which) {
	case LEASES_ALL:
		return true;
	case LEASES_OF_ACTION:
		return strcmp(lease->action_id, action_id) == 0;
	case LEASES_EXPIRED:
		break;
	}
	return now_boot_ns >= lease->expires_boot_ns || strcmp(lease->boot_id, boot_id) != 0;
}

int leases_return(const char *book, enum lease_choice which, const char *action_id, uint64_t now_boot_ns, lease_teller *tell, void *context,
		  struct lease_report *ret)
{
	char boot_id[40];
	struct lease lease;
	*ret = (struct lease_report){ .next_boot_ns = UNKNOWN };
	int fd = open_book(book, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	int error = read_boot_id(boot_id), sound = 1;
	for (uint32_t at = 0; error == 0 && at < MAX_LEASES && (sound = read_place(fd, at, &lease)) != 0; at++) {
		if (sound < 0) {
			ret->unreadable++;
			continue;
		}
		if (!lease.held)
			continue;
		enum lease_end end = LEASE_FAILED;
		int why = 0;
		bool chosen = is_chosen(&lease, which, action_id, now_boot_ns, boot_id);
		if (chosen) {
			end = give_back(fd, &lease, boot_id, &why);
			uint32_t held = lease.held;
			lease.held = end == LEASE_FAILED ? held : 0;
			if (!lease.held && (why = write_place(fd, at, &lease)) < 0)
				lease.held = held; /* turned back, and the book does not know: the next one finds it so */
			if (tell)
				tell(&lease, end, why, context);
			ret->returned += end == LEASE_RETURNED;
			ret->foreign += end == LEASE_FOREIGN;
			ret->gone += end == LEASE_GONE;
			ret->failed += end == LEASE_FAILED;
		} else if (which == LEASES_OF_ACTION && had(&lease, action_id)) {
			ret->taken_over++;
			if (tell)
				tell(&lease, LEASE_TAKEN_OVER, 0, context);
		}
		if (lease.held) {
			ret->held++;
			uint64_t next = chosen ? now_boot_ns : lease.expires_boot_ns;
			ret->next_boot_ns = next < ret->next_boot_ns ? next : ret->next_boot_ns;
		}
	}
	/* An empty book is an empty file: a timer looks for one that is not. It stays, since somebody may be waiting for its lock. */
	if (error == 0 && !ret->held && !ret->unreadable && ftruncate(fd, 0) < 0)
		error = -errno;
	close(fd);
	return error;
}
