/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crowd: so many processes that sleep, born in the given cgroups in turn, until it is ended. It keeps them from outliving it.
 *
 *   sleepers COUNT CGROUP_DIRECTORY ...
 *
 * Prints `ready PID`.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long fork_into(int cgroup)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)cgroup };

	return syscall(SYS_clone3, &args, sizeof(args));
}

static int populate(int cgroup, int count)
{
	for (int i = 0; i < count; i++) {
		long pid = fork_into(cgroup);

		if (pid < 0)
			return -1;
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	int groups = argc - 2, count = argc > 2 ? atoi(argv[1]) : 0;

	if (count < 1) {
		fprintf(stderr, "usage: sleepers COUNT CGROUP_DIRECTORY ...\n");
		return 2;
	}
	for (int i = 0; i < groups; i++) {
		int share = count / groups + (i < count % groups), cgroup = open(argv[i + 2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (cgroup < 0 || populate(cgroup, share)) {
			perror(argv[i + 2]);
			return 1;
		}
		close(cgroup);
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
