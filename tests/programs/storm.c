/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault program: nothing but system calls, the shortest there are, in N threads; ends by itself after --seconds.
 *
 *   storm [--threads N] [--seconds S]
 *
 * Prints `ready PID`.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *call(void *unused)
{
	(void)unused;
	for (;;)
		(void)syscall(SYS_getppid);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned threads = 1, seconds = 60;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--threads"))
			threads = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = (unsigned)strtoul(argv[i + 1], NULL, 10);
	}
	if (!threads || threads > 64) {
		fprintf(stderr, "usage: storm [--threads N] [--seconds S]\n");
		return 2;
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	alarm(seconds);
	for (unsigned i = 1; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, call, NULL))
			return 1;
	}
	call(NULL);
	return 0;
}
