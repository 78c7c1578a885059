/* SPDX-License-Identifier: Apache-2.0 */
/* See victim.h. */
#include "remedies/victim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"

enum {
	STAT_LEN = 1024, CGROUP_FILE_LEN = 8192,
	FIELD_START = 22, FIELD_RSS = 24, /* of /proc/PID/stat, counted from 1: proc(5) */
	FIELD_STATE = 3,
};

/* --- procfs -------------------------------------------------------------------------------------------------------------- */

static ssize_t read_file(int proc_fd, int32_t pid, const char *name, char *buffer, size_t size)
{
	char path[48];
	snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	size_t used = 0;
	ssize_t got = 1;
	while (got > 0 && used < size - 1) {
		got = read(fd, buffer + used, size - 1 - used);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			used += (size_t)got;
	}
	int error = got < 0 ? -errno : used == size - 1 ? -EFBIG : 0;
	close(fd);
	buffer[used] = '\0';
	return error ? error : (ssize_t)used;
}

/* The name may hold blanks and parentheses; the last one ends it. */
static int read_stat(int proc_fd, int32_t pid, struct victim *ret)
{
	char text[STAT_LEN];
	ssize_t got = read_file(proc_fd, pid, "stat", text, sizeof(text));
	if (got < 0)
		return (int)got;
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EINVAL;
	*close = '\0';
	snprintf(ret->comm, sizeof(ret->comm), "%s", open + 1);

	char *rest = NULL, *word = strtok_r(close + 1, " ", &rest);
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK), pages = 0, ticks = 0;
	for (int field = FIELD_STATE; word && field <= FIELD_RSS; field++, word = strtok_r(NULL, " ", &rest)) {
		if (field == FIELD_START)
			ticks = strtoull(word, NULL, 10);
		if (field == FIELD_RSS)
			pages = strtoull(word, NULL, 10);
	}
	if (!word)
		return -EINVAL;
	ret->start_ns = ticks * tick_ns;
	ret->rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int victim_in_cgroup(int proc_fd, int32_t pid, const char *path, bool below)
{
	char text[CGROUP_FILE_LEN], *rest = NULL;
	ssize_t got = read_file(proc_fd, pid, "cgroup", text, sizeof(text));
	if (got < 0)
		return (int)got;
	size_t length = strlen(path);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;
		if (second && strncmp(second + 1, path, length) == 0 && (!second[1 + length] || (below && second[1 + length] == '/')))
			return 1;
	}
	return 0;
}

/* --- holding ------------------------------------------------------------------------------------------------------------- */

void victim_close(struct victim *victim)
{
	if (victim->pidfd >= 0)
		close(victim->pidfd);
	victim->pidfd = -1;
}

bool victim_lives(const struct victim *victim)
{
	struct pollfd ended = { .fd = victim->pidfd, .events = POLLIN };
	return poll(&ended, 1, 0) == 0;
}

int victim_pidfd(int32_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

bool victim_is_leaving(int proc_fd, const struct victim *victim)
{
	struct victim now = { .pidfd = -1 };
	bool read = victim->rss_bytes && read_stat(proc_fd, victim->pid, &now) == 0;
	return read && now.start_ns == victim->start_ns && !now.rss_bytes && victim_lives(victim);
}

/* What was read by number was read of the held process if that one still lives afterwards: its number was not free for another. */
int victim_hold(int proc_fd, int32_t pid, struct victim *ret)
{
	*ret = (struct victim){ .pidfd = -1, .pid = pid };
	if (pid <= 1)
		return -EPERM;
	ret->pidfd = victim_pidfd(pid);
	if (ret->pidfd < 0)
		return ret->pidfd;
	int error = read_stat(proc_fd, pid, ret);
	if (error == 0 && !victim_lives(ret))
		error = -ESRCH;
	if (error < 0)
		victim_close(ret);
	return error;
}

static const char *difference(int proc_fd, const struct cause *cause, const struct victim *victim)
{
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	if (!cause->start_ns)
		return "when it was started was not measured";
	if (cause->start_ns / tick_ns != victim->start_ns / tick_ns)
		return "another process has its number now";
	if (strcmp(cause->comm, victim->comm) != 0)
		return "it runs another program now";
	if (cause->cgroup[0] && victim_in_cgroup(proc_fd, victim->pid, cause->cgroup, false) != 1)
		return "it is in another cgroup now";
	return victim_lives(victim) ? NULL : "it has ended";
}

int victim_open(int proc_fd, const struct cause *cause, struct victim *ret, char *why, size_t why_size)
{
	int error = victim_hold(proc_fd, cause->pid, ret);
	if (error < 0) {
		snprintf(why, why_size, "%s", error == -ESRCH ? "it has ended" : strerror(-error));
		return error;
	}
	const char *changed = difference(proc_fd, cause, ret);
	if (!changed)
		return 0;
	victim_close(ret);
	snprintf(why, why_size, "%s", changed);
	return -ESTALE;
}

/* --- signalling ---------------------------------------------------------------------------------------------------------- */

int victim_signal(const struct victim *victim, int signal)
{
	return syscall(SYS_pidfd_send_signal, victim->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int victim_kill(const struct victim *victim)
{
	int error = victim_signal(victim, SIGKILL);
	if (error < 0)
		return error;
#ifdef SYS_process_mrelease
	(void)syscall(SYS_process_mrelease, victim->pidfd, 0); /* older kernels, or it is gone already: then there is nothing to take */
#endif
	return 0;
}

int victim_wait(const struct victim *victim, uint64_t until_boot_ns)
{
	return act_wait(victim->pidfd, POLLIN, until_boot_ns);
}
