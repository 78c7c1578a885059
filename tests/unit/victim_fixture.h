/* SPDX-License-Identifier: Apache-2.0 */
/* Processes to be ended, of another program than the test's own, and a request to end them. */
#ifndef NODEMEND_TESTS_VICTIM_FIXTURE_H
#define NODEMEND_TESTS_VICTIM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"

/* What `nature` does to SIGTERM. */
enum nature { OBEDIENT, STUBBORN };

/* In the child, before the program is there: an ignored signal stays ignored across an exec. */
static inline _Noreturn void victim_exec(enum nature nature, const char *path)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (nature == STUBBORN)
		(void)signal(SIGTERM, SIG_IGN);
	execl(path, path, "3600", (char *)NULL);
	_exit(127);
}

/* Runs /bin/sleep; returns when it is that program, and not this one any more. */
static inline pid_t victim_start_in(enum nature nature, int procs_fd)
{
	int gate[2];
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (procs_fd >= 0 && write(procs_fd, "0", 1) != 1)
			_exit(126);
		victim_exec(nature, "/bin/sleep");
	}
	close(gate[1]);
	char byte;
	(void)!read(gate[0], &byte, 1); /* closed by the exec */
	close(gate[0]);
	return pid;
}

/*
 * This very program under another name: what runs the agent's own program is protected, and so would a mere fork be. For children that do
 * more than sleep; the file may be removed once it has been executed. In the child, `path` is from victim_copy().
 */
static inline void victim_copy(const char *name, char path[64])
{
	static char piece[65536];
	snprintf(path, 64, "/tmp/%.15s-%d", name, (int)getpid());
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	ssize_t got;
	assert_true(from >= 0 && to >= 0);
	while ((got = read(from, piece, sizeof(piece))) > 0)
		assert_int_equal(write(to, piece, (size_t)got), got);
	close(from);
	close(to);
}

static inline pid_t victim_start(enum nature nature)
{
	return victim_start_in(nature, -1);
}

static inline bool victim_is_alive(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

static inline void victim_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As the collector would have measured it, from procfs. */
static inline struct cause victim_cause(pid_t pid)
{
	struct cause cause = { .rank = 1, .pid = pid, .share_permille = 900 };
	char path[64], text[1024], state;
	unsigned long long ticks = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(got > 0);
	text[got] = '\0';
	char *open_at = strchr(text, '('), *close_at = strrchr(text, ')');
	*close_at = '\0';
	snprintf(cause.comm, sizeof(cause.comm), "%.15s", open_at + 1);
	assert_int_equal(sscanf(close_at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &ticks), 2);
	cause.start_ns = ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	return cause;
}

static inline void victim_request(struct remedy_request *request, uint64_t term_wait_ns)
{
	memset(request, 0, sizeof(*request));
	request->verb = REMEDY_VERB_APPLY;
	request->remedy = REMEDY_TERMINATE;
	request->target = (struct target){ .type = TARGET_NODE, .name = "memory" };
	request->args.terminate = (struct terminate_args){ .scope = TERMINATE_PROCESS, .term_wait_ns = term_wait_ns };
	request->deadline_boot_ns = clock_boot_ns() + 20 * NSEC_PER_SEC;
	effect_clear(&request->expect);
}

#endif
