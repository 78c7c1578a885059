/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault program: uses up the node's memory in one of several ways, by its own name `hog`, so that who watches can tell it from others.
 *
 *   hog anon|shmem|file|bomb|session [--rate BYTES_PER_SECOND] [--start BYTES] [--limit BYTES] [--count N] [--path FILE] [--seconds N]
 *
 * anon, shmem: pages of that kind. file: pages of a file, written through a mapping, and all of them over again. bomb: children of 10 MB
 * each, --count of them. session: --count idle children of 3 MB named `idle`, and one that grows. A --rate of 0 is as fast as it can.
 * Prints `ready PID`; ends after --seconds, and stays at --limit until then.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 20, BOMB_BYTES = 10 << 20, IDLE_BYTES = 3 << 20 };

static uint64_t rate = 60000000, start, limit = 1ULL << 30, count = 100, seconds = 180;
static const char *path = "/var/tmp/hog";
static double began;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_for(double time)
{
	if (time > 0)
		nanosleep(&(struct timespec){ .tv_sec = (time_t)time, .tv_nsec = (long)((time - (double)(time_t)time) * 1e9) }, NULL);
}

static void until_the_end(void)
{
	pause_for(began + (double)seconds - now());
	exit(0);
}

static char *map(size_t size, int flags, int fd)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	/* Page by page, as most programs grow. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	return memory;
}

/* --start bytes at once, then at --rate. */
static void fill(char *memory)
{
	uint64_t filled = 0;
	double paced = 0;

	for (; filled + CHUNK <= limit && now() < began + (double)seconds; filled += CHUNK) {
		memset(memory + filled, 'h', CHUNK);
		if (filled < start || !rate)
			continue;
		paced = paced > 0 ? paced : now();
		pause_for(paced + (double)(filled - start) / (double)rate - now());
	}
}

static void run_anon(void)
{
	fill(map(limit, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
}

static void run_shmem(void)
{
	fill(map(limit, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1));
}

static void run_file(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)limit) < 0) {
		perror(path);
		exit(1);
	}
	unlink(path);
	char *memory = map(limit, MAP_SHARED, fd);

	while (now() < began + (double)seconds)
		fill(memory);
}

static pid_t child_with(size_t size, const char *name)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, name);
	memset(map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1), 'c', size);
	until_the_end();
	return 0;
}

static void run_bomb(void)
{
	for (uint64_t i = 0; i < count && now() < began + (double)seconds; i++) {
		if (child_with(BOMB_BYTES, "hog") < 0)
			pause_for(0.1);
		if (rate)
			pause_for((double)BOMB_BYTES / (double)rate);
	}
}

static void run_session(void)
{
	prctl(PR_SET_NAME, "session");
	for (uint64_t i = 0; i < count; i++)
		child_with(IDLE_BYTES, "idle");
	if (fork()) /* the session outlives what leaks in it */
		return;
	prctl(PR_SET_NAME, "hog");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run_anon();
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = { { "anon", run_anon }, { "bomb", run_bomb }, { "file", run_file }, { "session", run_session }, { "shmem", run_shmem } };

static const struct {
	const char *name;
	uint64_t *value;
} numbers[] = { { "--count", &count }, { "--limit", &limit }, { "--rate", &rate }, { "--seconds", &seconds }, { "--start", &start } };

static void read_option(const char *name, const char *value)
{
	if (!strcmp(name, "--path"))
		path = value;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!strcmp(numbers[i].name, name))
			*numbers[i].value = strtoull(value, NULL, 10);
}

int main(int argc, char **argv)
{
	for (int i = 2; i + 1 < argc; i += 2)
		read_option(argv[i], argv[i + 1]);
	began = now();
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(modes[i].name, argv[1]) != 0)
			continue;
		printf("ready %d\n", getpid());
		fflush(stdout);
		modes[i].run();
		until_the_end();
	}
	fprintf(stderr, "usage: hog anon|bomb|file|session|shmem [--rate N] [--start N] [--limit N] [--count N] [--path FILE] [--seconds N]\n");
	return 2;
}
