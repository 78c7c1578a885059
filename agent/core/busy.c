/* SPDX-License-Identifier: Apache-2.0 */
/* See busy.h. */
#include "core/busy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <utmpx.h>

/* --- package managers --------------------------------------------------------------------------------------------------- */

/* `held`: the file stays, and a record lock on it says so; else its being there does. */
static const struct {
	const char *path;
	bool held;
} locks[] = {
	{ "var/cache/apt/archives/lock", true },
	{ "var/lib/apt/lists/lock", true },
	{ "var/lib/dpkg/lock", true },
	{ "var/lib/dpkg/lock-frontend", true },
	{ "var/lib/rpm/.rpm.lock", true },
	{ "usr/lib/sysimage/rpm/.rpm.lock", true },
	{ "var/lib/pacman/db.lck", false },
};

static bool is_held(int root_fd, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = openat(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT && errno != ENOTDIR;
	/* Asks and takes nothing. Locks of open file descriptions (OFD) are in its way, too. */
	bool held = fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
	close(fd);
	return held;
}

static bool is_there(int root_fd, const char *path)
{
	return faccessat(root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool package_manager_at_work(int root_fd)
{
	for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++)
		if (locks[i].held ? is_held(root_fd, locks[i].path) : is_there(root_fd, locks[i].path))
			return true;
	return false;
}

/* --- people ------------------------------------------------------------------------------------------------------------- */

enum { SESSION_LEN = 4096 };

static bool has_line(const char *text, const char *line)
{
	size_t length = strlen(line);
	for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (strncmp(at, line, length) == 0 && (at[length] == '\n' || !at[length]))
			return true;
	return false;
}

/* As systemd-logind writes them: cron's are of class background, a greeter's of class greeter, one that is being left is closing. */
static bool is_person(int dir_fd, const char *name)
{
	char text[SESSION_LEN];
	int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got < 0)
		return errno != EINVAL; /* a FIFO stands beside each: "1.ref" */
	text[got] = '\0';
	bool user = has_line(text, "CLASS=user") || has_line(text, "CLASS=user-early") || has_line(text, "CLASS=user-incomplete");
	return user && !has_line(text, "STATE=closing");
}

/* 1, 0; -ENOENT: there is no logind. */
static int by_logind(int root_fd)
{
	int fd = openat(root_fd, "run/systemd/sessions", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		int error = -errno;
		if (fd >= 0)
			close(fd);
		return error == -ENOENT || error == -ENOTDIR ? -ENOENT : 1;
	}
	int found = 0;
	for (struct dirent *entry; !found && (entry = readdir(directory));)
		if (entry->d_name[0] != '.' && entry->d_type != DT_FIFO && !strchr(entry->d_name, '.'))
			found = is_person(dirfd(directory), entry->d_name);
	closedir(directory);
	return found;
}

/* A line whose process is gone was not cleaned up. */
static int by_utmp(int root_fd)
{
	struct utmpx line;
	int fd = openat(root_fd, "run/utmp", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = openat(root_fd, "var/run/utmp", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : 1;
	int found = 0;
	ssize_t got;
	while (!found && (got = read(fd, &line, sizeof(line))) == (ssize_t)sizeof(line))
		found = line.ut_type == USER_PROCESS && line.ut_pid > 0 && (kill(line.ut_pid, 0) == 0 || errno != ESRCH);
	if (!found && got < 0)
		found = 1;
	close(fd);
	return found;
}

bool person_logged_in(int root_fd)
{
	int logind = by_logind(root_fd), utmp = logind == 1 ? 0 : by_utmp(root_fd);
	if (logind < 0 && utmp < 0)
		return true;
	return logind == 1 || utmp == 1;
}
