/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bystander: a well-behaved program that appends and syncs 1 MB/s, ten records a second, and remembers every ENOSPC and
 * the longest time a record took. Nothing that is mended may ever disturb it.
 *
 *   append_sync FILE [BYTES_PER_SECOND]
 *
 * Prints `ready PID`, and at SIGTERM `done BYTES ENOSPC_COUNT OTHER_ERRORS LONGEST_MS`.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RECORDS_PER_SECOND = 10, RECORD_MAX = 1 << 20 };

static volatile sig_atomic_t ended;

static void on_term(int signal)
{
	(void)signal;
	ended = 1;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	static char record[RECORD_MAX];
	uint64_t bytes = 0, enospc = 0, errors = 0;
	size_t size = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000) / RECORDS_PER_SECOND;
	double longest = 0;

	if (argc < 2 || !size || size > sizeof(record)) {
		fprintf(stderr, "usage: append_sync FILE [BYTES_PER_SECOND]\n");
		return 2;
	}
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
	memset(record, 'b', sizeof(record));

	int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	while (!ended) {
		double began = now_ms();
		ssize_t n = write(fd, record, size);
		int error = n == (ssize_t)size ? 0 : n >= 0 ? ENOSPC : errno;

		if (!error && fsync(fd) < 0)
			error = errno;
		if (!error)
			bytes += size;
		else if (error == ENOSPC)
			enospc++;
		else if (error != EINTR)
			errors++;
		if (now_ms() - began > longest)
			longest = now_ms() - began;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000000L / RECORDS_PER_SECOND }, NULL);
	}
	printf("done %llu %llu %llu %.0f\n", (unsigned long long)bytes, (unsigned long long)enospc, (unsigned long long)errors, longest);
	return 0;
}
