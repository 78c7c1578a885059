/* SPDX-License-Identifier: Apache-2.0 */
/* See restart_book.h. An array of fixed places in the run directory, read and written whole under a lock, as the book of leases is. */
#include "remedies/restart_book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"

enum { BOOK_VERSION = 1, MAX_PLACES = 64 };
/* A holder writes one place to the page cache. */
#define BOOK_WAIT_NS (200 * NSEC_PER_MSEC)
#define BOOK_LOOK_NS (2 * NSEC_PER_MSEC)

struct place {
	uint32_t version;
	char unit[NAME_LEN], boot_id[40];
	struct restarts restarts;
};

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

static int open_book(const char *lease_book, int flags)
{
	char path[PATH_LEN + 16];
	const char *slash = strrchr(lease_book, '/');
	if (!slash)
		return -ENOENT;
	snprintf(path, sizeof(path), "%.*s/restarts", (int)(slash - lease_book), lease_book);
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

static int read_boot_id(char ret[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, 36);
	if (fd >= 0)
		close(fd);
	ret[got == 36 ? 36 : 0] = '\0';
	return got == 36 ? 0 : -EIO;
}

/* 1: a place of this boot; 0: an empty one, one of before a reboot, or no sense; -ENODATA: the book ends before it. */
static int read_place(int fd, uint32_t at, const char *boot_id, struct place *ret)
{
	ssize_t got = pread(fd, ret, sizeof(*ret), (off_t)(at * sizeof(*ret)));
	if (got <= 0)
		return got < 0 ? -errno : -ENODATA;
	return got == (ssize_t)sizeof(*ret) && ret->version == BOOK_VERSION && ENDED(ret->unit) && ENDED(ret->boot_id) && ret->restarts.count <= RESTARTS_KEPT &&
	       ret->restarts.count > 0 && strcmp(ret->boot_id, boot_id) == 0;
}

/* The place of the unit, 1; else the first empty one, or the one that was written to the longest time ago, 0. */
static int find_place(int fd, const char *unit, const char *boot_id, uint32_t *ret_at, struct place *ret)
{
	uint64_t oldest = UINT64_MAX;
	*ret_at = 0;
	for (uint32_t at = 0; at < MAX_PLACES; at++) {
		int used = read_place(fd, at, boot_id, ret);
		if (used < 0 && used != -ENODATA)
			return used;
		if (used > 0 && strcmp(ret->unit, unit) == 0) {
			*ret_at = at;
			return 1;
		}
		uint64_t age = used > 0 ? ret->restarts.boot_ns[0] : 0;
		if (age < oldest) {
			oldest = age;
			*ret_at = at;
		}
		if (used == -ENODATA)
			break;
	}
	memset(ret, 0, sizeof(*ret));
	return 0;
}

int restarts_read(const char *lease_book, const char *unit, struct restarts *ret)
{
	struct place place;
	char boot_id[40];
	uint32_t at;
	memset(ret, 0, sizeof(*ret));
	int fd = open_book(lease_book, 0);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	int error = read_boot_id(boot_id);
	int found = error ? error : find_place(fd, unit, boot_id, &at, &place);
	close(fd);
	if (found > 0)
		*ret = place.restarts;
	return found < 0 ? found : 0;
}

int restarts_note(const char *lease_book, const char *unit, uint64_t now_boot_ns)
{
	struct place place;
	uint32_t at;
	char boot_id[40];
	int fd = open_book(lease_book, O_CREAT);
	if (fd < 0)
		return fd;
	int error = read_boot_id(boot_id);
	int found = error ? error : find_place(fd, unit, boot_id, &at, &place);
	if (found >= 0) {
		struct restarts *restarts = &place.restarts;
		place.version = BOOK_VERSION;
		snprintf(place.unit, sizeof(place.unit), "%s", unit);
		memcpy(place.boot_id, boot_id, sizeof(place.boot_id));
		restarts->count += restarts->count < RESTARTS_KEPT;
		memmove(&restarts->boot_ns[1], &restarts->boot_ns[0], (RESTARTS_KEPT - 1) * sizeof(restarts->boot_ns[0]));
		restarts->boot_ns[0] = now_boot_ns;
		ssize_t put = pwrite(fd, &place, sizeof(place), (off_t)(at * sizeof(place)));
		found = put == (ssize_t)sizeof(place) ? 0 : put < 0 ? -errno : -ENOSPC;
	}
	close(fd);
	return found < 0 ? found : 0;
}
