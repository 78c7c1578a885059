/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Witness of a duel: says, on the kernel's word alone, when the trouble began, who was sent SIGTERM or SIGKILL by whom, and when there
 * was room again. All of its memory is locked and it runs before everybody else, so that the trouble does not blind it.
 *
 *   referee SECONDS QUIET_SECONDS [DISK HIGH_PERCENT LOW_PERCENT]
 *
 * Ends after SECONDS, or QUIET_SECONDS after the last signal once there is room. Prints `ready`, and at its end a line an event, times in ms
 * since boot: `onset MS available|stall`, `least MS KIB`, `room MS`, of a DISK `high MS`, `full MS`, `low MS`, a `sample MS AVAILABLE_KIB
 * SWAP_FREE_KIB SOME_US USED_PERMILLE` each half second, and `trace LINE` as tracefs wrote it; the last line is `over MS LOST`.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"
#define INSTANCE TRACING "instances/duel/"

enum { TURN_MS = 20, WINDOW = 1000 / TURN_MS, SAMPLE_MS = 500, SAID_MAX = 1 << 20 };
enum { AVAILABLE_LOW = 10, AVAILABLE_ROOM = 20, STALL_US = 150000 }; /* percent, percent, of a second: safety.md's targets */

static char said[SAID_MAX], part[65536];
static size_t said_length, part_length, lost;

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(said + said_length, SAID_MAX - said_length, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= SAID_MAX - said_length)
		lost++;
	else
		said_length += (size_t)length;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "referee: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return fd;
}

/* --- what the kernel tells of signals --------------------------------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
	int fd = open_or_die(path, O_WRONLY);

	if (write(fd, text, strlen(text)) < 0) {
		fprintf(stderr, "referee: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	close(fd);
}

static int open_trace(void)
{
	(void)mkdir(INSTANCE, 0700); /* of an earlier trial it may be there */
	put(INSTANCE "tracing_on", "0");
	put(INSTANCE "trace", "0");
	put(INSTANCE "trace_clock", "boot");
	put(INSTANCE "events/signal/signal_generate/filter", "sig==9||sig==15");
	put(INSTANCE "events/signal/signal_generate/enable", "1");
	put(INSTANCE "events/oom/mark_victim/enable", "1");
	put(INSTANCE "tracing_on", "1");
	return open_or_die(INSTANCE "trace_pipe", O_RDONLY | O_NONBLOCK);
}

/* The kernel does not remember every sender's name: while it lives it can be asked. */
static void say_trace(const char *line)
{
	const char *unnamed = strstr(line, "<...>-");
	char path[64], name[32] = "";

	if (unnamed) {
		snprintf(path, sizeof(path), "/proc/%ld/comm", strtol(unnamed + 6, NULL, 10));
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
		name[length > 0 ? length - 1 : 0] = '\0';
		if (fd >= 0)
			close(fd);
	}
	if (name[0])
		say("trace %s%s\n", name, unnamed + 5);
	else
		say("trace %s\n", line);
}

/* Whole lines only; returns whether a signal was among them. */
static bool take_trace(int fd)
{
	bool signalled = false;
	ssize_t got = read(fd, part + part_length, sizeof(part) - part_length);

	if (got <= 0)
		return false;
	part_length += (size_t)got;
	char *at = part, *end;
	for (; (end = memchr(at, '\n', part_length - (size_t)(at - part))); at = end + 1) {
		*end = '\0';
		say_trace(at);
		signalled |= strstr(at, "signal_generate") != NULL;
	}
	part_length -= (size_t)(at - part);
	memmove(part, at, part_length);
	if (part_length == sizeof(part)) { /* no line is that long */
		part_length = 0;
		lost++;
	}
	return signalled;
}

/* --- memory, pressure, disk -------------------------------------------------------------------------------------------------- */

static uint64_t number_after(int fd, const char *word)
{
	char text[4096];
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);

	text[length > 0 ? length : 0] = '\0';
	const char *at = strstr(text, word);
	return at ? strtoull(at + strlen(word), NULL, 10) : 0;
}

struct disk {
	const char *path;
	unsigned high, low; /* percent */
	bool was_high, was_full, was_low;
};

/* Used, in thousandths of what the unprivileged can have; of bytes or inodes, whichever is fuller. */
static unsigned used_permille(const char *path)
{
	struct statvfs s;

	if (statvfs(path, &s) < 0)
		return 0;
	uint64_t used = s.f_blocks - s.f_bfree, inodes = s.f_files ? (s.f_files - s.f_ffree) * 1000 / s.f_files : 0;
	uint64_t bytes = used * 1000 / (used + s.f_bavail ? used + s.f_bavail : 1);
	return (unsigned)(bytes > inodes ? bytes : inodes);
}

static unsigned watch_disk(struct disk *disk)
{
	if (!disk->path)
		return 0;
	unsigned used = used_permille(disk->path);
	if (!disk->was_high && used >= disk->high * 10) {
		disk->was_high = true;
		say("high %llu\n", (unsigned long long)now_ms());
	}
	if (!disk->was_full && used >= 1000) {
		disk->was_full = true;
		say("full %llu\n", (unsigned long long)now_ms());
	}
	if (disk->was_high && !disk->was_low && used < disk->low * 10) {
		disk->was_low = true;
		say("low %llu\n", (unsigned long long)now_ms());
	}
	return used;
}

struct memory {
	int meminfo, pressure;
	uint64_t total, least, least_ms, some[WINDOW], turn;
	bool onset, room;
};

static void watch_memory(struct memory *memory, uint64_t available, uint64_t some, bool signalled)
{
	uint64_t before = memory->turn >= WINDOW ? memory->some[memory->turn % WINDOW] : some, now = now_ms();

	memory->some[memory->turn++ % WINDOW] = some;
	bool low = available * 100 < memory->total * AVAILABLE_LOW, stalled = some - before > STALL_US;
	if (!memory->onset && (low || stalled)) {
		memory->onset = true;
		say("onset %llu %s\n", (unsigned long long)now, low ? "available" : "stall");
	}
	if (available < memory->least) {
		memory->least = available;
		memory->least_ms = now;
	}
	/* A signal before the trouble was about something else. */
	if (memory->onset && signalled && !memory->room && available * 100 > memory->total * AVAILABLE_ROOM) {
		memory->room = true;
		say("room %llu\n", (unsigned long long)now);
	}
}

static void hold_fast(void)
{
	memset(said, 0, sizeof(said));
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0 || sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 10 }) < 0) {
		perror("referee: mlockall, sched_setscheduler");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 6) {
		fprintf(stderr, "usage: referee SECONDS QUIET_SECONDS [DISK HIGH_PERCENT LOW_PERCENT]\n");
		return 2;
	}
	hold_fast();
	struct memory memory = { open_or_die("/proc/meminfo", O_RDONLY), open_or_die("/proc/pressure/memory", O_RDONLY), .least = UINT64_MAX };
	struct disk disk = { argc == 6 ? argv[3] : NULL, argc == 6 ? (unsigned)atoi(argv[4]) : 0, argc == 6 ? (unsigned)atoi(argv[5]) : 0, false, false, false };
	int trace = open_trace();
	uint64_t began = now_ms(), seconds = strtoull(argv[1], NULL, 10), quiet = strtoull(argv[2], NULL, 10), last_signal = 0, next_sample = began;

	memory.total = number_after(memory.meminfo, "MemTotal:");
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (uint64_t now = began; now < began + seconds * 1000; now = now_ms()) {
		if (last_signal && (memory.room || disk.was_low) && now > last_signal + quiet * 1000)
			break;
		if (take_trace(trace) && (memory.onset || disk.path))
			last_signal = now;
		uint64_t available = number_after(memory.meminfo, "MemAvailable:"), some = number_after(memory.pressure, "total=");
		watch_memory(&memory, available, some, last_signal != 0);
		unsigned used = watch_disk(&disk);
		if (now >= next_sample) {
			say("sample %llu %llu %llu %llu %u\n", (unsigned long long)now, (unsigned long long)available,
			    (unsigned long long)number_after(memory.meminfo, "SwapFree:"), (unsigned long long)some, used);
			next_sample = now + SAMPLE_MS;
		}
		poll(NULL, 0, TURN_MS);
	}
	take_trace(trace);
	put(INSTANCE "tracing_on", "0");
	say("least %llu %llu\n", (unsigned long long)memory.least_ms, (unsigned long long)memory.least);
	fwrite(said, 1, said_length, stdout);
	printf("over %llu %zu\n", (unsigned long long)now_ms(), lost);
	return 0;
}
