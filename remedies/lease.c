/* SPDX-License-Identifier: Apache-2.0 */
/* See lease.h. The book is an array of fixed places; each is read, checked and written whole. */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/knob_kernel.h"
#include "remedies/victim.h"

const char *const lease_end_names[LEASE_END_COUNT] = { "returned", "foreign", "gone", "failed" };

/* Longer than any holder needs: it writes some hundred bytes to the page cache and to a control file. */
#define BOOK_WAIT_NS (500 * NSEC_PER_MSEC)
#define BOOK_LOOK_NS (2 * NSEC_PER_MSEC)

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

/* 1: a sound place, held or not; 0: the book ends before it; -EBADMSG: something else stands there. */
static int read_place(int fd, uint32_t at, struct lease *ret)
{
	ssize_t got = pread(fd, ret, sizeof(*ret), (off_t)(at * sizeof(*ret)));
	if (got == 0)
		return 0;
	if (got != (ssize_t)sizeof(*ret))
		return got < 0 ? -errno : -EBADMSG;
	return ret->sum == sum_of(ret) && ret->version == LEASE_VERSION && ret->knob.kind < KNOB_KIND_COUNT && ENDED(ret->action_id) && ENDED(ret->remedy) && ENDED(ret->boot_id) &&
		       ENDED(ret->knob.file) && ENDED(ret->knob.key) && ENDED(ret->knob.absent) && ENDED(ret->before) && ENDED(ret->during) && ENDED(ret->earlier) ?
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
	ssize_t got = fd < 0 ? -1 : read(fd, ret, 36);
	if (fd >= 0)
		close(fd);
	if (got != 36)
		return -EIO;
	ret[36] = '\0';
	return 0;
}

/* --- knobs --------------------------------------------------------------------------------------------------------------- */

/* Of a control file, and only of the cgroup that was meant: the name may be another one's by now. */
static int open_control(const struct knob *knob, int flags)
{
	char directory[PATH_LEN];
	const char *slash = strrchr(knob->file, '/');
	if (!slash || slash == knob->file)
		return -EINVAL;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - knob->file), knob->file);
	int dir_fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	struct stat held;
	int fd = -ESTALE;
	if (fstat(dir_fd, &held) == 0 && held.st_ino == knob->directory_inode) {
		fd = openat(dir_fd, slash + 1, flags | O_NOFOLLOW | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	close(dir_fd);
	return fd;
}

/* The one value, or the line of the key; a key without a line is `absent`. */
static int read_control(const struct knob *knob, char *ret, size_t size)
{
	char text[4096];
	int fd = open_control(knob, O_RDONLY);
	if (fd < 0)
		return fd;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	int error = got < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error == -ENODEV ? -ESTALE : error;
	text[got] = '\0';

	size_t key = strlen(knob->key);
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!key || (strncmp(line, knob->key, key) == 0 && line[key] == ' '))
			return snprintf(ret, size, "%s", line) < (int)size ? 0 : -EOVERFLOW;
	return snprintf(ret, size, "%s", knob->absent) < (int)size ? 0 : -EOVERFLOW;
}

static int write_control(const struct knob *knob, const char *value)
{
	int fd = open_control(knob, O_WRONLY);
	if (fd < 0)
		return fd;
	size_t length = strlen(value);
	ssize_t put = write(fd, value, length);
	int error = put == (ssize_t)length ? 0 : put < 0 ? -errno : -EIO;
	close(fd);
	return error == -ENODEV ? -ESTALE : error;
}

/* The process behind the number is the one that was meant, and stays it while it is held. 0 or -ESTALE. */
static int hold_process(const struct knob *knob, struct victim *ret)
{
	const uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK); /* procfs tells no finer */
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	int error = victim_hold(proc_fd, knob->pid, ret);
	close(proc_fd);
	if (error < 0)
		return -ESTALE;
	if (ret->start_ns / tick_ns == knob->start_ns / tick_ns)
		return 0;
	victim_close(ret);
	return -ESTALE;
}

static int read_nice(const struct knob *knob, char *ret, size_t size)
{
	struct victim victim;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, (id_t)knob->pid);
	error = errno ? -errno : victim_lives(&victim) ? 0 : -ESTALE;
	victim_close(&victim);
	if (error == 0)
		snprintf(ret, size, "%d", nice);
	return error;
}

static int write_nice(const struct knob *knob, const char *value)
{
	struct victim victim;
	char *end;
	long nice = strtol(value, &end, 10);
	if (*end || end == value || nice < -20 || nice > 19)
		return -EINVAL;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	if (setpriority(PRIO_PROCESS, (id_t)knob->pid, (int)nice) < 0)
		error = errno == ESRCH ? -ESTALE : -errno;
	victim_close(&victim);
	return error;
}

static const struct {
	int (*read)(const struct knob *knob, char *ret, size_t size);
	int (*write)(const struct knob *knob, const char *value);
} knobs[KNOB_KIND_COUNT] = {
	[KNOB_CGROUP] = { read_control, write_control },
	[KNOB_NICE] = { read_nice, write_nice },
	[KNOB_SYSCTL] = { knob_sysctl_read, knob_sysctl_write },
	[KNOB_LINK] = { knob_link_read, knob_link_write },
};

int knob_read(const struct knob *knob, char *ret, size_t size)
{
	return knobs[knob->kind].read(knob, ret, size);
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

/* `was`: the place as it stood, to be put back where the kernel will not turn the knob. */
static int turn(int fd, uint32_t at, struct lease *lease, const struct lease *was, const char *value)
{
	int error = write_place(fd, at, lease);
	if (error)
		return error;
	error = knobs[lease->knob.kind].write(&lease->knob, value);
	if (error) {
		*lease = *was;
		(void)write_place(fd, at, lease);
		return error;
	}
	/* As the kernel words it: what stands there later is compared with that. */
	char stands[LEASE_TEXT_LEN];
	if (knob_read(&lease->knob, stands, sizeof(stands)) == 0 && strcmp(stands, lease->during) != 0) {
		memcpy(lease->during, stands, sizeof(lease->during));
		error = write_place(fd, at, lease);
	}
	return error;
}

static int take(int fd, const struct remedy_request *request, const struct knob *knob, const char *value, uint64_t for_ns, struct lease *lease)
{
	uint32_t at;
	int again = find_place(fd, knob, &at, lease);
	if (again < 0)
		return again;
	struct lease was = *lease;
	if (!again) {
		memset(&was, 0, sizeof(was));
		memset(lease, 0, sizeof(*lease));
		lease->held = 1;
		lease->knob = *knob;
		int error = knob_read(knob, lease->before, sizeof(lease->before));
		if (error == 0)
			error = read_boot_id(lease->boot_id);
		if (error)
			return error;
	}
	memcpy(lease->earlier, lease->during, sizeof(lease->earlier));
	memcpy(lease->action_id, request->action_id, sizeof(lease->action_id));
	snprintf(lease->remedy, sizeof(lease->remedy), "%s", remedies[request->remedy]->name);
	snprintf(lease->during, sizeof(lease->during), "%s", value);
	lease->expires_boot_ns = clock_boot_ns() + for_ns;
	lease->set_wall_ns = clock_wall_ns();
	return turn(fd, at, lease, &was, value);
}

int lease_take(const struct remedy_request *request, const struct knob *knob, const char *value, uint64_t for_ns, struct remedy_result *result)
{
	struct lease lease;
	char shown[PATH_LEN];
	struct action_step *step = result_step(result, "lease");
	int fd = open_book(request->lease_book, O_CREAT);
	int error = fd < 0 ? fd : take(fd, request, knob, value, for_ns, &lease);
	if (fd >= 0)
		close(fd);
	act_shown(shown, sizeof(shown), knob->kind == KNOB_NICE ? "nice" : knob->file);
	if (error < 0)
		step_end(step, false, "%.100s: not set: %s", shown, strerror(-error));
	else
		step_end(step, true, "%.100s: %.30s, was %.30s, for %llu s", shown, lease.during, lease.before, (unsigned long long)(for_ns / NSEC_PER_SEC));
	return error;
}

/* --- returning ----------------------------------------------------------------------------------------------------------- */

static enum lease_end give_back(const struct lease *lease, const char *boot_id, int *ret_error)
{
	char stands[LEASE_TEXT_LEN];
	*ret_error = 0;
	if (strcmp(lease->boot_id, boot_id) != 0)
		return LEASE_GONE;
	int error = knob_read(&lease->knob, stands, sizeof(stands));
	if (error == 0 && strcmp(stands, lease->before) == 0)
		return LEASE_RETURNED; /* it was never turned, or somebody did this already */
	if (error == 0 && strcmp(stands, lease->during) != 0 && (!lease->earlier[0] || strcmp(stands, lease->earlier) != 0))
		return LEASE_FOREIGN;
	if (error == 0)
		error = knobs[lease->knob.kind].write(&lease->knob, lease->before);
	if (error == -ESTALE)
		return LEASE_GONE;
	*ret_error = error;
	return error == 0 ? LEASE_RETURNED : LEASE_FAILED;
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
			end = give_back(&lease, boot_id, &why);
			lease.held = end == LEASE_FAILED;
			if (!lease.held && (why = write_place(fd, at, &lease)) < 0)
				lease.held = 1; /* turned back, and the book does not know: the next one finds it so */
			if (tell)
				tell(&lease, end, why, context);
			ret->returned += end == LEASE_RETURNED;
			ret->foreign += end == LEASE_FOREIGN;
			ret->gone += end == LEASE_GONE;
			ret->failed += end == LEASE_FAILED;
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
