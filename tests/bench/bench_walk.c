/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one walk over all tasks costs with its table: processor time a task, the best of many walks, with and without counting open files.
 * Makes as many sleeping processes as it is told, so that what each task costs is not hidden by what a walk costs.
 */
#include "../bpf/harness.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { WALKS = 60, FILES_EVERY = 5, SLEEPERS = 5000 };

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void make_sleepers(int count)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("fork");
			exit(1);
		}
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t plain = UINT64_MAX, with_files = UINT64_MAX;
	struct harness *harness = harness_new();

	make_sleepers(argc > 1 ? atoi(argv[1]) : SLEEPERS);
	harness_open(harness, &collector_task);
	harness_open(harness, &collector_process);
	int walks = argc > 2 ? atoi(argv[2]) : WALKS;
	for (int i = 0; i < walks; i++) {
		uint64_t before = cpu_ns();

		harness_tick(harness, &collector_process);
		uint64_t took = cpu_ns() - before, *best = i % FILES_EVERY ? &plain : &with_files;
		*best = took < *best ? took : *best;
	}
	printf("tasks %u\nwalk %.0f ns a task\nwalk with open files %.0f ns a task\n", harness->snap.processes.threads,
	       (double)plain / harness->snap.processes.threads, (double)with_files / harness->snap.processes.threads);
	harness_close(harness, &collector_process);
	harness_close(harness, &collector_task);
	harness_free(harness);
	return 0;
}
