/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault program: grows without end, by a rate, and says when its resident size passed a mark and when it was told to end.
 * It stops by itself at --limit, so that a test that fails cannot take the machine with it.
 *
 *   grower [--rate BYTES_PER_SECOND] [--mark BYTES] [--limit BYTES] [--ignore-term 1]
 *
 * Prints `ready PID`, `crossed BOOTTIME_NS RESIDENT_BYTES`, `term BOOTTIME_NS`, or `limit BOOTTIME_NS`.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Signal-safe: write() and no stdio. */
static void say_time(const char *word)
{
	char line[64], *end = line + sizeof(line), *at = end;
	uint64_t now = boot_ns();
	size_t length = strlen(word);

	*--at = '\n';
	for (; now; now /= 10)
		*--at = (char)('0' + now % 10);
	*--at = ' ';
	at -= length;
	memcpy(at, word, length);
	if (write(STDOUT_FILENO, at, (size_t)(end - at)) < 0)
		_exit(3);
}

static void on_term(int signal)
{
	say_time("term");
	_exit(128 + signal);
}

static void on_term_ignored(int signal)
{
	(void)signal;
	say_time("term");
}

static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");

	if (!statm)
		return 0;
	if (fscanf(statm, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(statm);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
	uint64_t rate = 300000000, mark = 1ULL << 30, limit = 3ULL << 30, grown = 0;
	bool ignore_term = false, crossed = false;

	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 10);

		if (!strcmp(argv[i], "--rate"))
			rate = value;
		else if (!strcmp(argv[i], "--mark"))
			mark = value;
		else if (!strcmp(argv[i], "--limit"))
			limit = value;
		else if (!strcmp(argv[i], "--ignore-term"))
			ignore_term = value;
	}
	if (!rate) {
		fprintf(stderr, "usage: grower [--rate BYTES_PER_SECOND] [--mark BYTES] [--limit BYTES] [--ignore-term 1]\n");
		return 2;
	}
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = ignore_term ? on_term_ignored : on_term, .sa_flags = SA_RESTART }, NULL);

	char *memory = mmap(NULL, limit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	/* Page by page, as most programs grow: whole huge pages would pass the mark in jumps of 2 MiB. */
	madvise(memory, limit, MADV_NOHUGEPAGE);

	uint64_t base = resident_bytes(), began = boot_ns();

	printf("ready %d\n", getpid());
	fflush(stdout);
	while (grown + CHUNK <= limit) {
		memset(memory + grown, 'g', CHUNK);
		grown += CHUNK;
		if (!crossed && base + grown >= mark) {
			crossed = true;
			printf("crossed %llu %llu\n", (unsigned long long)boot_ns(), (unsigned long long)resident_bytes());
			fflush(stdout);
		}
		uint64_t due = began + (uint64_t)((double)grown / (double)rate * 1e9), now = boot_ns();

		if (due > now)
			nanosleep(&(struct timespec){ .tv_sec = (time_t)((due - now) / 1000000000), .tv_nsec = (long)((due - now) % 1000000000) }, NULL);
	}
	say_time("limit");
	munmap(memory, limit);
	return 0;
}
