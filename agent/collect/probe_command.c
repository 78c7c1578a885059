/* SPDX-License-Identifier: Apache-2.0 */
/* See probe_command.h. */
#include "collect/probe_command.h"

#include "collect/procfs.h"
#include "core/program.h"

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

enum { STRAY_PASSES = 4 }; /* the end of one stray hands us its children */

/* --- may it be run ------------------------------------------------------------------------------------------------------ */

int probe_command_check(const char *path)
{
	int fd;
	int error = program_open(path, &fd);
	if (error == 0)
		close(fd);
	return error;
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
