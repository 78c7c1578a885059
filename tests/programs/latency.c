/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bystander: a program with some memory of its own that wakes a hundred times a second, touches a page of it, and syncs 4 KiB to a file
 * ten times a second; it remembers how late each was.
 *
 *   latency FILE
 *
 * Prints `ready PID`, and at SIGTERM `done WAKES P50_US P99_US MAX_US SYNCS P99_US MAX_US`.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_NS = 10000000, WAKES_PER_SYNC = 10, MEMORY = 8 << 20, PAGE = 4096, KEPT = 1 << 16 };

struct times {
	uint32_t us[KEPT]; /* those beyond it are left out */
	uint32_t count;
};

static volatile sig_atomic_t ended;
static struct times wakes, syncs;
static char memory[MEMORY];

static void on_term(int signal)
{
	(void)signal;
	ended = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void keep(struct times *times, uint64_t ns)
{
	if (times->count < KEPT)
		times->us[times->count++] = (uint32_t)(ns / 1000);
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static uint32_t rank(const struct times *times, unsigned permille)
{
	return times->count ? times->us[(uint64_t)(times->count - 1) * permille / 1000] : 0;
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0) {
		fprintf(stderr, "usage: latency FILE, one that can be written\n");
		return 2;
	}
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
	memset(memory, 'b', sizeof(memory));
	printf("ready %d\n", getpid());
	fflush(stdout);

	uint64_t due = now_ns();
	for (uint32_t turn = 0; !ended; turn++) {
		due += PERIOD_NS;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){ (time_t)(due / 1000000000), (long)(due % 1000000000) }, NULL);
		memory[(uint64_t)turn * 61 * PAGE % MEMORY]++;
		uint64_t woken = now_ns();
		keep(&wakes, woken > due ? woken - due : 0);
		if (turn % WAKES_PER_SYNC == 0) {
			if (pwrite(fd, memory, PAGE, 0) == PAGE && fdatasync(fd) == 0)
				keep(&syncs, now_ns() - woken);
		}
		/* What was missed is one late wake, told once. */
		uint64_t now = now_ns();
		due = now > due ? now : due;
	}
	qsort(wakes.us, wakes.count, sizeof(*wakes.us), ascending);
	qsort(syncs.us, syncs.count, sizeof(*syncs.us), ascending);
	printf("done %u %u %u %u %u %u %u\n", wakes.count, rank(&wakes, 500), rank(&wakes, 990), rank(&wakes, 1000), syncs.count, rank(&syncs, 990), rank(&syncs, 1000));
	return 0;
}
