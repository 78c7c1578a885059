// SPDX-License-Identifier: Apache-2.0
/*
 * One tenant of a node, well-behaved or not: unruly MODE SECONDS AMOUNT [WHERE]. What it does is bounded by AMOUNT and by SECONDS, and it
 * prints `ready PID` before it begins. The modes are the rows of the table at the end; `steady` is large in everything and never changes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1UL << 20)
static double until;
static long amount;
static const char *where;

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void pause_for(double seconds)
{
	struct timespec time = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
	nanosleep(&time, NULL);
}

static int open_here(const char *name, int flags)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", where, name);
	int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* --- processor ---------------------------------------------------------------------------------------------------------- */

/* AMOUNT percent of one processor. */
static void *spin(void *part)
{
	double busy = (double)amount / 100 / (double)(long)part;
	volatile unsigned long work = 0;
	while (now() < until) {
		double begun = now();
		while (now() - begun < busy * 0.05)
			for (int i = 0; i < 1000; i++)
				work++;
		pause_for(0.05 - busy * 0.05 > 0 ? 0.05 - busy * 0.05 : 0);
	}
	return NULL;
}

static void run_spin(void)
{
	spin((void *)1);
}

static void many(void *(*body)(void *), long count, void *argument)
{
	pthread_t thread;
	for (long i = 0; i < count; i++)
		pthread_create(&thread, NULL, body, argument);
}

/* The same, spread over many threads. */
static void run_threads(void)
{
	many(spin, 23, (void *)24);
	spin((void *)24);
}

/* AMOUNT children a second that do a little and end. */
static void run_forks(void)
{
	while (now() < until) {
		double begun = now();
		for (long i = 0; i < amount / 20; i++) {
			pid_t child = fork();
			if (child == 0) {
				volatile int work = 0;
				for (int j = 0; j < 200000; j++)
					work++;
				_exit(0);
			}
			if (child > 0)
				waitpid(child, NULL, 0);
		}
		double rest = 0.05 - (now() - begun);
		pause_for(rest > 0 ? rest : 0.001);
	}
}

static int ping[2], pong[2];

static void *answer(void *unused)
{
	char byte;
	while (read(ping[0], &byte, 1) == 1)
		if (write(pong[1], &byte, 1) != 1)
			break;
	return unused;
}

/* Two threads that hand a byte to and fro, AMOUNT percent of the time. */
static void run_switches(void)
{
	char byte = 0;
	if (pipe(ping) < 0 || pipe(pong) < 0)
		exit(1);
	many(answer, 1, NULL);
	while (now() < until) {
		double begun = now();
		while (now() - begun < (double)amount * 0.0005)
			if (write(ping[1], &byte, 1) != 1 || read(pong[0], &byte, 1) != 1)
				exit(1);
		pause_for(0.05 - (double)amount * 0.0005 > 0 ? 0.05 - (double)amount * 0.0005 : 0);
	}
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Everybody needs the same lock, and holds it for most of its work. */
static void *convoy(void *unused)
{
	volatile unsigned long work = 0;
	while (now() < until) {
		pthread_mutex_lock(&lock);
		for (long i = 0; i < 3000 * amount / 100; i++)
			work++;
		pthread_mutex_unlock(&lock);
		for (int i = 0; i < 50; i++)
			work++;
	}
	return unused;
}

static void run_convoy(void)
{
	many(convoy, 11, NULL);
	convoy(NULL);
}

/* --- memory ------------------------------------------------------------------------------------------------------------- */

static char *take(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		exit(1);
	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;
	return memory;
}

/* AMOUNT MiB a second, 1 GiB at most. */
static void run_leak(void)
{
	size_t taken = 0;
	while (now() < until) {
		if (taken < 1024 * MIB) {
			take((size_t)amount * MIB / 20);
			taken += (size_t)amount * MIB / 20;
		}
		pause_for(0.05);
	}
}

static int make_file(const char *name, size_t size)
{
	int fd = open_here(name, O_RDWR);
	char *block = take(MIB);
	for (size_t at = 0; at < size; at += MIB)
		if (pwrite(fd, block, MIB, (off_t)at) != (ssize_t)MIB)
			exit(1);
	fdatasync(fd);
	return fd;
}

/* Holds most of AMOUNT MiB, its group's limit, and reads a file of half of that again and again. */
static void run_squeeze(void)
{
	size_t size = (size_t)amount * MIB / 2;
	int fd = make_file("squeeze", size);
	char *memory = take((size_t)amount * MIB * 7 / 10), buffer[65536];
	while (now() < until) {
		for (size_t at = 0; at < size && now() < until; at += sizeof(buffer)) {
			if (pread(fd, buffer, sizeof(buffer), (off_t)at) < 0)
				exit(1);
			memory[at % ((size_t)amount * MIB / 2)]++;
		}
	}
}

/* --- disks -------------------------------------------------------------------------------------------------------------- */

/* Reads here and there in a file of 256 MiB that does not stay in the cache: AMOUNT reads a second of 64 KiB. */
static void run_thrash(void)
{
	size_t size = 256 * MIB;
	int fd = make_file("thrash", size);
	char buffer[65536];
	unsigned seed = (unsigned)getpid();
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	printf("ready %d\n", getpid());
	fflush(stdout);
	while (now() < until) {
		double begun = now();
		for (long i = 0; i < amount / 20; i++) {
			off_t at = (off_t)((size_t)rand_r(&seed) % (size / sizeof(buffer)) * sizeof(buffer));
			if (pread(fd, buffer, sizeof(buffer), at) < 0)
				exit(1);
			posix_fadvise(fd, at, sizeof(buffer), POSIX_FADV_DONTNEED);
		}
		double rest = 0.05 - (now() - begun);
		pause_for(rest > 0 ? rest : 0);
	}
}

/* AMOUNT MiB a second into one file of 128 MiB, over and over, and down to the disk. */
static void write_over(const char *name, long rate, int sync)
{
	int fd = open_here(name, O_RDWR);
	char *block = take(MIB);
	for (long turn = 0; now() < until; turn++) {
		double begun = now();
		if (pwrite(fd, block, MIB, (off_t)((size_t)turn % 128 * MIB)) != (ssize_t)MIB)
			exit(1);
		if (sync)
			fdatasync(fd);
		double rest = 1 / (double)rate - (now() - begun);
		pause_for(rest > 0 ? rest : 0);
	}
}

static void run_flood(void)
{
	write_over("flood", amount, 1);
}

/* AMOUNT small writes a second, each of which must be on the disk before the next. */
static void run_sync(void)
{
	int fd = open_here("sync", O_RDWR);
	char block[4096] = "";
	for (long turn = 0; now() < until; turn++) {
		double begun = now();
		if (pwrite(fd, block, sizeof(block), turn % 64 * 4096) != (ssize_t)sizeof(block))
			exit(1);
		fsync(fd);
		double rest = 1 / (double)amount - (now() - begun);
		pause_for(rest > 0 ? rest : 0);
	}
}

/* AMOUNT MiB a second of new bytes, until the file system is full. */
static void run_fill(void)
{
	int fd = open_here("fill", O_WRONLY | O_APPEND);
	char *block = take(MIB);
	while (now() < until) {
		if (write(fd, block, MIB) < 0)
			pause_for(0.1);
		pause_for(1 / (double)amount);
	}
}

/* AMOUNT empty files a second. */
static void run_inodes(void)
{
	char name[64];
	for (long turn = 0; now() < until; turn++) {
		snprintf(name, sizeof(name), "%s/i%ld", where, turn);
		int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd >= 0)
			close(fd);
		pause_for(1 / (double)amount);
	}
}

/* --- what is counted ---------------------------------------------------------------------------------------------------- */

static void hold_files(long count)
{
	for (long i = 0; i < count && open("/dev/null", O_RDONLY) >= 0; i++)
		continue;
}

/* AMOUNT descriptors a second, of 4096. */
static void run_files(void)
{
	struct rlimit limit = { 4096, 4096 };
	setrlimit(RLIMIT_NOFILE, &limit);
	while (now() < until) {
		hold_files(amount / 20);
		pause_for(0.05);
	}
}

static void *sleeper(void *unused)
{
	while (now() < until)
		pause_for(1);
	return unused;
}

/* AMOUNT children a second that stay, 3000 at most. */
static void run_pids(void)
{
	for (long made = 0; now() < until; pause_for(0.05)) {
		for (long i = 0; i < amount / 20 && made < 3000; i++, made++) {
			pid_t child = fork();
			if (child == 0) {
				sleeper(NULL);
				_exit(0);
			}
		}
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
}

/* --- network ------------------------------------------------------------------------------------------------------------ */

static void send_to(const char *address, long rate)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	char block[16384] = "";
	inet_pton(AF_INET, address, &to.sin_addr);
	while (now() < until) {
		double begun = now();
		for (long i = 0; i < rate * 64 / 20 + 1; i++)
			(void)!sendto(fd, block, sizeof(block), 0, (const struct sockaddr *)&to, sizeof(to));
		double rest = 0.05 - (now() - begun);
		pause_for(rest > 0 ? rest : 0);
	}
}

/* AMOUNT MiB a second of datagrams to the address WHERE. */
static void run_send(void)
{
	send_to(where, amount);
}

/* --- the steady one ----------------------------------------------------------------------------------------------------- */

static void *steady_writer(void *unused)
{
	write_over("steady", 4, 0);
	return unused;
}

static void *steady_sender(void *unused)
{
	const char *address = getenv("STEADY_ADDRESS");
	if (address)
		send_to(address, 4);
	return unused;
}

/* AMOUNT percent of a processor, 600 MiB, 1500 descriptors, 200 threads, 4 MiB a second to a file and as much to the network. */
static void run_steady(void)
{
	struct rlimit limit = { 4096, 4096 };
	setrlimit(RLIMIT_NOFILE, &limit);
	take(600 * MIB);
	hold_files(1500);
	many(sleeper, 200, NULL);
	many(steady_writer, 1, NULL);
	many(steady_sender, 1, NULL);
	printf("ready %d\n", getpid());
	fflush(stdout);
	spin((void *)1);
}

static const struct {
	const char *name;
	void (*run)(void);
	int says_ready_itself;
} modes[] = {
	{ "convoy", run_convoy, 0 }, { "files", run_files, 0 }, { "fill", run_fill, 0 }, { "flood", run_flood, 0 }, { "forks", run_forks, 0 },
	{ "inodes", run_inodes, 0 }, { "leak", run_leak, 0 }, { "pids", run_pids, 0 }, { "send", run_send, 0 }, { "spin", run_spin, 0 },
	{ "squeeze", run_squeeze, 0 }, { "steady", run_steady, 1 }, { "switches", run_switches, 0 }, { "sync", run_sync, 0 },
	{ "thrash", run_thrash, 1 }, { "threads", run_threads, 0 },
};

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	amount = atol(argv[3]);
	where = argc > 4 ? argv[4] : ".";
	until = now() + atof(argv[2]);
	setpgid(0, 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].name, argv[1]) != 0)
			continue;
		if (!modes[i].says_ready_itself) {
			printf("ready %d\n", getpid());
			fflush(stdout);
		}
		modes[i].run();
		return 0;
	}
	fprintf(stderr, "unruly: no mode %s\n", argv[1]);
	return 2;
}
