/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault program: fills a filesystem at a steady rate, by write, through a mapping, or by fallocate. What it could not
 * write it tries again, as a careless logger would, until --total is reached or it is ended.
 *
 *   writer FILE [--rate BYTES_PER_SECOND] [--total BYTES] [--mode write|direct|mmap|fallocate] [--ring BYTES]
 *
 * direct: past the page cache. --ring: the file gets no larger than that, and is written over from its beginning.
 * Prints `ready PID`, then at the end `done BYTES ENOSPC_COUNT`.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };
enum write_mode { BY_WRITE, BY_MMAP, BY_FALLOCATE };

static volatile sig_atomic_t ended;

static void on_term(int signal)
{
	(void)signal;
	ended = 1;
}

/* One chunk at `offset`: 0 or -errno. */
static int put(int fd, enum write_mode mode, const char *data, uint64_t offset, size_t size)
{
	if (mode == BY_WRITE) {
		ssize_t n = pwrite(fd, data, size, (off_t)offset);

		return n == (ssize_t)size ? 0 : n < 0 ? -errno : -ENOSPC;
	}

	int r = -posix_fallocate(fd, (off_t)offset, (off_t)size); /* a mapping beyond free space would end in SIGBUS */

	if (r < 0 || mode == BY_FALLOCATE)
		return r;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (map == MAP_FAILED)
		return -errno;
	memcpy(map, data, size);
	munmap(map, size);
	return 0;
}

static void wait_until(const struct timespec *start, double seconds)
{
	struct timespec at = *start;
	uint64_t ns = (uint64_t)at.tv_nsec + (uint64_t)(seconds * 1e9);

	at.tv_sec += (time_t)(ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	while (!ended && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	uint64_t rate = 50000000, total = UINT64_MAX, ring = UINT64_MAX, written = 0, paced = 0, enospc = 0;
	enum write_mode mode = BY_WRITE;
	bool direct = false;
	static alignas(4096) char data[CHUNK];
	struct timespec start;

	for (int i = 2; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--rate"))
			rate = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--total"))
			total = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--ring"))
			ring = strtoull(argv[i + 1], NULL, 10) / CHUNK * CHUNK;
		else if (!strcmp(argv[i], "--mode") && !strcmp(argv[i + 1], "direct"))
			direct = true;
		else if (!strcmp(argv[i], "--mode"))
			mode = !strcmp(argv[i + 1], "mmap") ? BY_MMAP : !strcmp(argv[i + 1], "fallocate") ? BY_FALLOCATE : BY_WRITE;
	}
	if (argc < 2 || argc % 2 || !rate || !ring) {
		fprintf(stderr, "usage: writer FILE [--rate BYTES_PER_SECOND] [--total BYTES] [--mode write|direct|mmap|fallocate] [--ring BYTES]\n");
		return 2;
	}
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
	memset(data, 'w', sizeof(data));

	int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC | (direct ? O_DIRECT : 0), 0644);

	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!ended && written < total) {
		size_t size = total - written < CHUNK ? (size_t)(total - written) : CHUNK;
		int r = put(fd, mode, data, written % ring, size);

		if (r == -ENOSPC)
			enospc++;
		else if (r < 0)
			break;
		else
			written += size;
		paced += size;
		wait_until(&start, (double)paced / (double)rate);
	}
	printf("done %llu %llu\n", (unsigned long long)written, (unsigned long long)enospc);
	return 0;
}
