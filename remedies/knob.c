/* SPDX-License-Identifier: Apache-2.0 */
/* See knob.h: a line of a cgroup's control file, a process' nice value, and whether a process runs. */
#include "remedies/knob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/knob_kernel.h"
#include "remedies/swap.h"
#include "remedies/victim.h"

ssize_t read_whole(int fd, char *ret, size_t size)
{
	size_t used = 0;
	ssize_t got = 1;
	while (got != 0 && used < size) {
		got = read(fd, ret + used, size - used);
		if (got < 0 && errno != EINTR)
			return -errno;
		used += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)used;
}

/* --- control files ------------------------------------------------------------------------------------------------------- */

int knob_directory(const struct knob *knob)
{
	char directory[PATH_LEN];
	const char *slash = strrchr(knob->file, '/');
	if (!slash || slash == knob->file)
		return -EINVAL;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - knob->file), knob->file);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	struct stat held;
	if (fstat(fd, &held) == 0 && held.st_ino == knob->directory_inode)
		return fd;
	close(fd);
	return -ESTALE;
}

/* Of a control file, and only of the cgroup that was meant: the name may be another one's by now. */
static int open_control(const struct knob *knob, int flags)
{
	int dir_fd = knob_directory(knob);
	if (dir_fd < 0)
		return dir_fd;
	int fd = openat(dir_fd, strrchr(knob->file, '/') + 1, flags | O_NOFOLLOW | O_CLOEXEC);
	fd = fd < 0 ? -errno : fd;
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
	ssize_t got = read_whole(fd, text, sizeof(text) - 1);
	close(fd);
	if (got < 0)
		return got == -ENODEV ? -ESTALE : (int)got;
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
	const char *text = value[0] ? value : "\n"; /* a cpuset that has no list of its own: nothing at all would not be written */
	size_t length = strlen(text);
	ssize_t put = write(fd, text, length);
	int error = put == (ssize_t)length ? 0 : put < 0 ? -errno : -EIO;
	close(fd);
	return error == -ENODEV ? -ESTALE : error;
}

/* --- processes ----------------------------------------------------------------------------------------------------------- */

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

/* A process is as nice as its first thread. */
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

/* Every thread but the first that is at `from`. How many were set; -errno. */
static int set_threads(int32_t pid, int from, int to)
{
	char path[48];
	int changed = 0, error = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		return errno == ENOENT ? -ESTALE : -errno;
	for (struct dirent *entry; error == 0 && (entry = readdir(tasks));) {
		long tid = strtol(entry->d_name, NULL, 10);
		errno = 0;
		if (tid <= 0 || tid == pid || getpriority(PRIO_PROCESS, (id_t)tid) != from || errno)
			continue;
		if (setpriority(PRIO_PROCESS, (id_t)tid, to) == 0)
			changed++;
		else if (errno != ESRCH)
			error = -errno;
	}
	closedir(tasks);
	return error ? error : changed;
}

/*
 * To the kernel each thread has a nice value of its own (setpriority(2), "C library/kernel differences"). The first one is set first and put back
 * last: whenever this is cut short, it stands at the lease's value, and so it is known that there is something to be put back. A thread that
 * was born of one not yet set is found by the next round.
 */
static int write_nice(const struct knob *knob, const char *value)
{
	enum { ROUNDS = 8 };
	struct victim victim;
	char *end;
	long to = strtol(value, &end, 10);
	if (*end || end == value || to < -20 || to > 19)
		return -EINVAL;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	errno = 0;
	int from = getpriority(PRIO_PROCESS, (id_t)knob->pid);
	error = errno ? -errno : 0;
	if (error == 0 && to > from && setpriority(PRIO_PROCESS, (id_t)knob->pid, (int)to) < 0)
		error = -errno;
	for (int round = 0, changed = 1; error == 0 && from != to && changed > 0 && round < ROUNDS; round++) {
		changed = set_threads(knob->pid, from, (int)to);
		error = changed < 0 ? changed : 0;
	}
	if (error == 0 && to < from && setpriority(PRIO_PROCESS, (id_t)knob->pid, (int)to) < 0)
		error = -errno;
	victim_close(&victim);
	return error == -ESRCH ? -ESTALE : error;
}

/* By its first thread, which stops with the others. One that a debugger holds is neither ours to stop nor to let go. */
static int state_of(int32_t pid)
{
	char path[48], text[512];
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	const char *close_at = strrchr(text, ')');
	return close_at && close_at[1] == ' ' ? close_at[2] : -ESTALE;
}

static int read_stop(const struct knob *knob, char *ret, size_t size)
{
	struct victim victim;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	int state = state_of(knob->pid);
	error = state < 0 || !victim_lives(&victim) ? -ESTALE : 0;
	victim_close(&victim);
	if (error == 0)
		snprintf(ret, size, "%s", state == 'T' ? KNOB_STOPPED : state == 't' ? "traced" : KNOB_RUNNING);
	return error;
}

/* One in an uninterruptible sleep stops when it is out of it, which nobody knows: it is let go again, since a stop that comes late is one that nobody
 * has written down. */
static int await_stop(const struct victim *victim, int32_t pid)
{
	const struct timespec look = { .tv_nsec = NSEC_PER_MSEC };
	for (uint64_t until = clock_boot_ns() + 500 * NSEC_PER_MSEC; clock_boot_ns() < until; nanosleep(&look, NULL)) {
		if (!victim_lives(victim))
			return -ESTALE;
		if (state_of(pid) == 'T')
			return 0;
	}
	(void)victim_signal(victim, SIGCONT);
	return -ETIMEDOUT;
}

static int write_stop(const struct knob *knob, const char *value)
{
	bool stop = strcmp(value, KNOB_STOPPED) == 0;
	struct victim victim;
	if (!stop && strcmp(value, KNOB_RUNNING) != 0)
		return -EINVAL;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	error = victim_signal(&victim, stop ? SIGSTOP : SIGCONT);
	if (error == 0 && stop)
		error = await_stop(&victim, knob->pid);
	victim_close(&victim);
	return error == -ESRCH ? -ESTALE : error;
}

static int read_nofile(const struct knob *knob, char *ret, size_t size)
{
	struct victim victim;
	struct rlimit limit;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	error = prlimit(knob->pid, RLIMIT_NOFILE, NULL, &limit) < 0 ? -errno : victim_lives(&victim) ? 0 : -ESTALE;
	victim_close(&victim);
	if (error == 0)
		snprintf(ret, size, "%llu", (unsigned long long)limit.rlim_cur);
	return error == -ESRCH ? -ESTALE : error;
}

/* Files that are open above the limit stay open: lowering it again takes nothing away. */
static int write_nofile(const struct knob *knob, const char *value)
{
	struct victim victim;
	struct rlimit limit;
	char *end;
	unsigned long long soft = strtoull(value, &end, 10);
	if (*end || end == value)
		return -EINVAL;
	int error = hold_process(knob, &victim);
	if (error)
		return error;
	if (prlimit(knob->pid, RLIMIT_NOFILE, NULL, &limit) < 0)
		error = -errno;
	limit.rlim_cur = soft;
	if (error == 0 && soft > limit.rlim_max)
		error = -EINVAL; /* the hard limit is the administrator's word */
	if (error == 0 && prlimit(knob->pid, RLIMIT_NOFILE, &limit, NULL) < 0)
		error = -errno;
	victim_close(&victim);
	return error == -ESRCH ? -ESTALE : error;
}

/* --- all ----------------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name; /* NULL: its file's */
	int (*read)(const struct knob *knob, char *ret, size_t size);
	int (*write)(const struct knob *knob, const char *value);
} knobs[KNOB_KIND_COUNT] = {
	[KNOB_CGROUP] = { NULL, read_control, write_control },
	[KNOB_NICE] = { "nice value", read_nice, write_nice },
	[KNOB_STOP] = { "state of the process", read_stop, write_stop },
	[KNOB_SYSCTL] = { NULL, knob_sysctl_read, knob_sysctl_write },
	[KNOB_LINK] = { NULL, knob_link_read, knob_link_write },
	[KNOB_NOFILE] = { "limit of open files", read_nofile, write_nofile },
	[KNOB_SWAPFILE] = { NULL, swapfile_read, swapfile_write },
	[KNOB_ZRAM] = { NULL, zram_read, zram_write },
};

int knob_read(const struct knob *knob, char *ret, size_t size)
{
	return knobs[knob->kind].read(knob, ret, size);
}

int knob_write(const struct knob *knob, const char *value)
{
	return knobs[knob->kind].write(knob, value);
}

const char *knob_name(const struct knob *knob)
{
	return knobs[knob->kind].name ? knobs[knob->kind].name : knob->file;
}
