/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls CALLS PROCESSES [NUMBER]: makes CALLS getppid calls (or those of NUMBER, without arguments) in each of PROCESSES
 * short-lived processes, and nothing else that is not needed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long calls = argc > 1 ? atol(argv[1]) : 10, processes = argc > 2 ? atol(argv[2]) : 1;
	long number = argc > 3 ? atol(argv[3]) : SYS_getppid;

	for (long i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return perror("fork"), 1;
		if (!pid) {
			for (long call = 0; call < calls; call++)
				syscall(number, 0);
			_exit(0);
		}
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return 0;
}
