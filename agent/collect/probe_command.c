/* SPDX-License-Identifier: Apache-2.0 */
/* See probe_command.h. */
#include "collect/probe_command.h"

#include "collect/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MAX_LINKS = 40,       /* as the kernel */
	STRAY_PASSES = 4,     /* the end of one stray hands us its children */
};

/* --- may it be run ------------------------------------------------------------------------------------------------------ */

struct walk {
	int dir;
	uint32_t links;
	char rest[PATH_MAX];
};

static void enter(struct walk *walk, int fd)
{
	close(walk->dir);
	walk->dir = fd;
}

/* A link that only root can have made is followed by hand, so that what it passes through is looked at, too. */
static int follow(struct walk *walk, int link)
{
	char target[PATH_MAX], rest[PATH_MAX];

	ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	if (++walk->links > MAX_LINKS)
		return -ELOOP;
	memcpy(rest, walk->rest, sizeof(rest));
	/* What is left begins with a slash, or is nothing. */
	if ((size_t)snprintf(walk->rest, sizeof(walk->rest), "%s%s", target, rest) >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	if (target[0] != '/')
		return 0;

	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	enter(walk, root);
	return 0;
}

static bool take_component(struct walk *walk, char ret[NAME_MAX + 1])
{
	size_t blanks = strspn(walk->rest, "/"), length = strcspn(walk->rest + blanks, "/");
	if (length == 0 || length > NAME_MAX)
		return false;
	memcpy(ret, walk->rest + blanks, length);
	ret[length] = '\0';
	memmove(walk->rest, walk->rest + blanks + length, strlen(walk->rest + blanks + length) + 1);
	return true;
}

static bool only_root_writes(const struct stat *found)
{
	/* A sticky directory that all may write to is no exception: whoever makes a file first owns it. */
	return found->st_uid == 0 && (S_ISLNK(found->st_mode) || (found->st_mode & 022) == 0);
}

/* 1: the file was reached and may be run. 0: one step nearer. */
static int step(struct walk *walk)
{
	char name[NAME_MAX + 1];
	struct stat found;

	if (!take_component(walk, name))
		return -EACCES; /* the path ends in a directory */
	int fd = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	int error = fstat(fd, &found) < 0 ? -errno : !only_root_writes(&found) ? -EACCES : 0;
	if (!error && S_ISDIR(found.st_mode)) {
		enter(walk, fd);
		return 0;
	}
	if (!error && S_ISLNK(found.st_mode))
		error = follow(walk, fd);
	else if (!error)
		error = S_ISREG(found.st_mode) && (found.st_mode & 0111) && !walk->rest[0] ? 1 : -EACCES;
	close(fd);
	return error;
}

int probe_command_check(const char *path)
{
	struct walk walk = { .dir = -1 };
	struct stat root;

	if (path[0] != '/')
		return -EACCES;
	if ((size_t)snprintf(walk.rest, sizeof(walk.rest), "%s", path) >= sizeof(walk.rest))
		return -ENAMETOOLONG;
	walk.dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (walk.dir < 0)
		return -errno;

	int result = fstat(walk.dir, &root) < 0 ? -errno : only_root_writes(&root) ? 0 : -EACCES;
	while (result == 0)
		result = step(&walk);
	close(walk.dir);
	return result == 1 ? 0 : result;
}

/* --- its life ----------------------------------------------------------------------------------------------------------- */

static _Noreturn void become(const struct probe *what)
{
	static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL };
	char *argv[sizeof(what->argv) / sizeof(what->argv[0]) + 1] = { NULL };
	const struct rlimit no_core = { 0, 0 };
	sigset_t none;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setpriority(PRIO_PROCESS, 0, 0); /* the agent's haste is not the probe's */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	umask(077);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL); /* KILL and STOP refuse, as they should */

	int null = open("/dev/null", O_RDWR);
	if (null < 0 || chdir("/") < 0)
		_exit(126);
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			_exit(126);
	if (close_range(3, ~0U, 0) < 0)
		_exit(126);

	for (size_t i = 0; i < sizeof(what->argv) / sizeof(what->argv[0]) && what->argv[i][0]; i++)
		argv[i] = (char *)what->argv[i];
	/* By its path, which nobody but root can turn elsewhere after the check: a script run by descriptor would not know its own name. */
	execve(argv[0], argv, environment);
	_exit(127);
}

int command_start(const struct probe *what, pid_t *ret_pid, int *ret_pidfd)
{
	int error = probe_command_check(what->argv[0]);
	if (error)
		return error;

	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(what);

	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		error = -errno;
		command_kill(pid);
		waitpid(pid, NULL, 0); /* it has done nothing yet that could keep it from dying */
		return error;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

void command_kill(pid_t pid)
{
	(void)kill(-pid, SIGKILL); /* ESRCH: it has not come to setsid() yet */
	(void)kill(pid, SIGKILL);
}

int command_reap(pid_t pid)
{
	int status;

	(void)kill(-pid, SIGKILL); /* before it is reaped: until then the number stays taken */
	return waitpid(pid, &status, WNOHANG) == pid ? status : -1;
}

/* --- what got away from its group --------------------------------------------------------------------------------------- */

static bool is_ours(const pid_t *ours, uint32_t count, uint64_t pid)
{
	for (uint32_t i = 0; i < count; i++)
		if ((uint64_t)ours[i] == pid)
			return true;
	return false;
}

/* A kernel without the list of children: only those that have ended can be told. */
static void reap_ended(const pid_t *ours, uint32_t count)
{
	siginfo_t ended = { 0 };

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0) {
		if (is_ours(ours, count, (uint64_t)ended.si_pid))
			return; /* it comes first until it is reaped; the next call goes on */
		waitpid(ended.si_pid, NULL, WNOHANG);
		ended.si_pid = 0;
	}
}

void command_reap_strays(const pid_t *ours, uint32_t count)
{
	char text[4096];
	uint64_t pid;

	for (int pass = 0; pass < STRAY_PASSES; pass++) {
		ssize_t length = procfs_read_at(AT_FDCWD, "/proc/thread-self/children", text, sizeof(text));
		if (length == -ENOENT) {
			reap_ended(ours, count);
			return;
		}
		if (length == -EFBIG) /* whole numbers of what fitted; the next pass sees the others */
			for (length = sizeof(text); length > 0 && text[length - 1] != ' ';)
				length--;
		if (length < 0)
			return;

		struct span children = { text, text + length };
		uint32_t strays = 0;
		while (span_next_number(&children, &pid)) {
			if (is_ours(ours, count, pid))
				continue;
			strays++;
			(void)kill((pid_t)pid, SIGKILL);
			waitpid((pid_t)pid, NULL, WNOHANG);
		}
		if (!strays)
			return;
	}
}
