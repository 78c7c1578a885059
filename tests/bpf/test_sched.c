/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sched collector against /proc/PID/schedstat and status, the clock, and programs that do one thing each in a cgroup of their
 * own. Others run on this machine meanwhile: what they do stands in their own cgroups' rows, and no test here knows how much it is.
 */
#include "harness.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <linux/loop.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "collect/bpf.h"
#include "signals/sched.h"

extern const struct collector collector_sched;

enum { FORKS = 4000, CHURN = 100, MOVES = 20, SLEEPS = 200, SHORT = 40, PATIENCE = 100 };
#define WINDOW_NS (1500 * NSEC_PER_MSEC)

struct group {
	char name[48], path[128];
	uint64_t id;
};

/* --- groups and the programs in them ---------------------------------------------------------------------------------- */

static struct group group_new(const char *name)
{
	struct group group;
	struct stat stat;

	snprintf(group.name, sizeof(group.name), "test-sched-%d-%s", getpid(), name);
	snprintf(group.path, sizeof(group.path), "%s/%s", cgroup_root(), group.name);
	assert_int_equal(mkdir(group.path, 0755), 0);
	assert_int_equal(lstat(group.path, &stat), 0);
	group.id = stat.st_ino;
	return group;
}

/* The last member may still be on its way out. */
static void group_free(const struct group *group)
{
	while (rmdir(group->path) && errno == EBUSY)
		sched_yield();
}

static void write_text(const char *folder, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		_exit(1);
	}
	close(fd);
}

static void sleep_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		_exit(1);
}

static int last_cpu(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

/* A thread's account follows it to another cgroup at its next switch: the short sleep is one. */
static void join(const struct group *group)
{
	write_text(group->path, "cgroup.procs", "0");
	sleep_ns(NSEC_PER_MSEC);
}

/* What a fork has of ours holds the collector's hooks on: before v6.10 they could not be put on again then, after they were taken off. */
static int keep_only(int fd)
{
	if (dup2(fd, 3) != 3 || close_range(4, ~0U, 0))
		_exit(1);
	return 3;
}

/* Runs `what` in the group until it is killed; returns when it is there. Without `arg` it has no files of ours. */
static pid_t start(const struct group *group, void (*what)(void *), void *arg)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		int told = arg ? ready[1] : keep_only(ready[1]);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		join(group);
		if (write(told, "r", 1) != 1)
			_exit(1);
		what(arg);
		_exit(0);
	}
	assert_true(pid > 0);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void burn(uint64_t ns)
{
	uint64_t until = clock_boot_ns() + ns;

	while (clock_boot_ns() < until)
		;
}

static void spin(void *cpu)
{
	if (cpu)
		pin(*(int *)cpu);
	for (volatile uint64_t count = 0;; count++)
		;
}

/* --- figures ---------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_sched);
	*state = harness;
	return 0;
}

/* Below the first rung there is nothing by cgroup to compare with. Before anything is made: a test that is skipped cleans nothing up. */
static struct harness *with_groups(void **state)
{
	harness_needs(*state, &collector_sched, NULL);
	return *state;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_sched);
	harness_free(*state);
	return 0;
}

static struct blame_sums sums_of(const struct harness *harness, uint64_t id)
{
	for (uint32_t i = 0; i < harness->snap.sched.count; i++)
		if (harness->snap.sched.each[i].cgroup_id == id)
			return harness->snap.sched.each[i].sums;
	return (struct blame_sums){ .voluntary = 0 };
}

/* After a tick, what the group's threads did since the one before. */
static struct blame_sums minus(struct blame_sums now, struct blame_sums before)
{
	union blame_words from = { .sums = before }, to = { .sums = now };

	for (int i = 0; i < BLAME_SUMS; i++) {
		if (to.words[i] < from.words[i])
			fail_msg("figure %d fell from %llu to %llu", i, (unsigned long long)from.words[i], (unsigned long long)to.words[i]);
		to.words[i] -= from.words[i];
	}
	return to.sums;
}

static uint64_t whole(const struct blame_sums *sums)
{
	uint64_t ns = 0;

	for (int i = 0; i < BLAME_COUNT; i++)
		ns += sums->ns[i];
	return ns;
}

/* Ticks, and the time right after. */
static uint64_t tick(struct harness *harness)
{
	harness_tick(harness, &collector_sched);
	return clock_boot_ns();
}

#define assert_near(got, truth, permille) assert_near_at(got, truth, permille, #got, __LINE__)
static void assert_near_at(uint64_t got, uint64_t truth, uint64_t permille, const char *what, int line)
{
	uint64_t apart = got > truth ? got - truth : truth - got;

	if (apart * 1000 > truth * permille)
		fail_msg("line %d: %s is %llu, and the truth %llu", line, what, (unsigned long long)got, (unsigned long long)truth);
}

/* Some time within a tick the walk looked at the threads: where processors are short, ticks take long. */
struct moment { uint64_t before, after; };

static struct moment tick_at(struct harness *harness)
{
	uint64_t before = clock_boot_ns();

	return (struct moment){ .before = before, .after = tick(harness) };
}

#define assert_lasted(got, threads, from, to, permille) assert_lasted_at(got, threads, from, to, permille, #got, __LINE__)
static void assert_lasted_at(uint64_t got, uint64_t threads, struct moment from, struct moment to, uint64_t permille, const char *what, int line)
{
	uint64_t least = (to.before - from.after) * threads, most = (to.after - from.before) * threads;

	if (got < least)
		assert_near_at(got, least, permille, what, line);
	else if (got > most)
		assert_near_at(got, most, permille, what, line);
}

struct schedstat { unsigned long long on_cpu, run_delay, slices; };

static struct schedstat schedstat_of(pid_t pid)
{
	struct schedstat stat;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu %llu", &stat.on_cpu, &stat.run_delay, &stat.slices), 3);
	fclose(file);
	return stat;
}

static void switches_of(pid_t pid, unsigned long long *ret_voluntary, unsigned long long *ret_involuntary)
{
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		(void)sscanf(line, "voluntary_ctxt_switches: %llu", ret_voluntary);
		(void)sscanf(line, "nonvoluntary_ctxt_switches: %llu", ret_involuntary);
	}
	fclose(file);
}

/* --- waits, slices, preemptions --------------------------------------------------------------------------------------- */

static struct preemption preempted(const struct harness *harness, uint64_t victim, uint64_t aggressor)
{
	struct preemption sum = { .victim = victim, .aggressor = aggressor };

	for (uint32_t i = 0; i < harness->snap.preemptions.count; i++) {
		const struct preemption *pair = &harness->snap.preemptions.each[i];
		if (pair->victim != victim || (aggressor && pair->aggressor != aggressor))
			continue;
		sum.count += pair->count;
		sum.wait_ns += pair->wait_ns;
	}
	return sum;
}

/* A stop is told to the parent before the thread has left the CPU. */
static void await_off_cpu(pid_t pid)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	do {
		FILE *file = fopen(path, "re");
		assert_non_null(file);
		assert_non_null(fgets(text, sizeof(text), file));
		fclose(file);
	} while (!strncmp(text, "running", 7));
}

static void await_stop(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	await_off_cpu(pid);
}

/* Both off the CPU, and no wait of theirs under way: the kernel's figures and ours are of the same moment. */
static void tick_stopped(struct harness *harness, const pid_t pids[2], struct schedstat ret[2])
{
	for (int i = 0; i < 2; i++) {
		kill(pids[i], SIGSTOP);
		await_stop(pids[i]);
	}
	tick(harness);
	for (int i = 0; i < 2; i++)
		ret[i] = schedstat_of(pids[i]);
}

static void two_spinners_wait_for_each_other(void **state)
{
	struct harness *harness = with_groups(state);
	struct group groups[2] = { group_new("one"), group_new("two") };
	int cpu = last_cpu();
	pid_t pids[2];
	struct schedstat first[2], last[2];
	struct blame_sums before[2], sums[2];

	for (int i = 0; i < 2; i++)
		pids[i] = start(&groups[i], spin, &cpu);
	tick_stopped(harness, pids, first);
	for (int i = 0; i < 2; i++)
		before[i] = sums_of(harness, groups[i].id);
	for (int i = 0; i < 2; i++)
		kill(pids[i], SIGCONT);
	sleep_ns(WINDOW_NS);
	tick_stopped(harness, pids, last);
	for (int i = 0; i < 2; i++) {
		sums[i] = minus(sums_of(harness, groups[i].id), before[i]);
		assert_near(sums[i].ns[BLAME_ON_CPU], last[i].on_cpu - first[i].on_cpu, 10);
		assert_near(sums[i].ns[BLAME_RUNQUEUE], last[i].run_delay - first[i].run_delay, 10);
		assert_true(sums[i].ns[BLAME_ON_CPU] > 0 && sums[i].ns[BLAME_RUNQUEUE] > 0);
	}
	for (int i = 0; i < 2; i++) {
		struct preemption by_itself = preempted(harness, groups[i].id, groups[i].id), by_all = preempted(harness, groups[i].id, 0);

		/* Both could always run: while one did, the other waited; they are stopped one after the other. */
		assert_true(sums[i].ns[BLAME_RUNQUEUE] * 11 / 10 + 50 * NSEC_PER_MSEC >= sums[1 - i].ns[BLAME_ON_CPU]);
		assert_int_equal(by_itself.count, 0);
		assert_near(by_all.count, sums_of(harness, groups[i].id).involuntary, 100);
		assert_near(by_all.wait_ns, sums_of(harness, groups[i].id).ns[BLAME_RUNQUEUE], 100);
	}
	for (int i = 0; i < 2; i++) {
		end(pids[i]);
		group_free(&groups[i]);
	}
}

static void interrupt_often(void *cpu)
{
	struct sched_param param = { .sched_priority = 1 };

	pin(*(int *)cpu);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		_exit(1);
	for (;;) {
		burn(2 * NSEC_PER_MSEC);
		sleep_ns(8 * NSEC_PER_MSEC);
	}
}

/* A real-time thread takes the CPU from whoever has it, and nobody of the fair class takes it back. */
static void the_aggressor_is_named(void **state)
{
	struct harness *harness = with_groups(state);
	struct group victims = group_new("victims"), aggressors = group_new("aggressors");
	int cpu = last_cpu();
	pid_t victim = start(&victims, spin, &cpu), aggressor = start(&aggressors, interrupt_often, &cpu);

	/* Before it was a real-time one, the other may have taken the CPU from it: an emulated processor is slow enough for that. */
	while (sched_getscheduler(aggressor) != SCHED_FIFO)
		sleep_ns(NSEC_PER_MSEC);
	sleep_ns(200 * NSEC_PER_MSEC);
	tick(harness);
	uint64_t before = preempted(harness, aggressors.id, victims.id).count;
	struct preemption pair = { .count = 0 };
	for (int i = 0; i < PATIENCE && pair.count <= 5; i++) { /* how often the victim runs at all is up to the others on this CPU */
		sleep_ns(200 * NSEC_PER_MSEC);
		tick(harness);
		pair = preempted(harness, victims.id, aggressors.id);
	}
	assert_true(pair.count > 5);
	assert_int_equal(preempted(harness, aggressors.id, victims.id).count, before);
	/* Pairs are read a moment after the sums, and a wait may have ended in between: so once nobody waits for it any more. */
	end(aggressor);
	sleep_ns(200 * NSEC_PER_MSEC);
	tick(harness);
	pair = preempted(harness, victims.id, aggressors.id);
	assert_true(pair.wait_ns >= pair.count * NSEC_PER_MSEC); /* at least what is left of the two that it burns */
	assert_true(pair.wait_ns <= sums_of(harness, victims.id).ns[BLAME_RUNQUEUE]);
	assert_true(harness->snap.preemptions.total >= pair.count && harness->snap.preemptions.total_wait_ns >= pair.wait_ns);
	end(victim);
	group_free(&victims);
	group_free(&aggressors);
}

static void yield_often(void *unused)
{
	(void)unused;
	pin(last_cpu());
	for (;;)
		sched_yield();
}

/* Two that give way to each other all the time are no victims. */
static void yielding_is_no_preemption(void **state)
{
	struct harness *harness = with_groups(state);
	struct group groups[2] = { group_new("polite"), group_new("civil") };
	pid_t pids[2] = { start(&groups[0], yield_often, NULL), start(&groups[1], yield_often, NULL) };

	for (int i = 0; i < PATIENCE && sums_of(harness, groups[0].id).involuntary + sums_of(harness, groups[1].id).involuntary < 200; i++) {
		sleep_ns(100 * NSEC_PER_MSEC);
		tick(harness);
	}
	for (int i = 0; i < 2; i++) {
		struct preemption by_other = preempted(harness, groups[i].id, groups[1 - i].id);
		uint64_t involuntary = sums_of(harness, groups[i].id).involuntary;

		assert_true(involuntary > 20);
		assert_true(by_other.count * 5 < involuntary);
		end(pids[i]);
		group_free(&groups[i]);
	}
}

static void sleep_and_spin(void *unused)
{
	(void)unused;
	for (;;) {
		raise(SIGSTOP);
		for (int i = 0; i < SLEEPS; i++) {
			sleep_ns(NSEC_PER_MSEC / 2); /* a shorter one may be over before it has begun */
			for (volatile int spun = 0; spun < 100000; spun++)
				;
		}
	}
}

static void switches_are_those_of_procfs(void **state)
{
	struct harness *harness = with_groups(state);
	struct group group = group_new("switches");
	unsigned long long voluntary[2] = { 0 }, involuntary[2] = { 0 };
	pid_t pid = start(&group, sleep_and_spin, NULL);

	await_stop(pid);
	tick(harness);
	struct blame_sums before = sums_of(harness, group.id);
	switches_of(pid, &voluntary[0], &involuntary[0]);
	kill(pid, SIGCONT);
	await_stop(pid);
	tick(harness);
	struct blame_sums sums = minus(sums_of(harness, group.id), before);
	switches_of(pid, &voluntary[1], &involuntary[1]);
	assert_true(sums.voluntary >= SLEEPS / 2);
	assert_int_equal(sums.voluntary, voluntary[1] - voluntary[0]);
	assert_int_equal(sums.involuntary, involuntary[1] - involuntary[0]);
	end(pid);
	group_free(&group);
}

static void move_about(void *unused)
{
	(void)unused;
	pin(0);
	for (;;) {
		raise(SIGSTOP);
		for (int i = 1; i <= MOVES; i++)
			pin(i % 2 ? last_cpu() : 0);
	}
}

static void migrations_are_counted(void **state)
{
	struct harness *harness = with_groups(state);

	if (!last_cpu()) {
		print_message("SKIP one CPU: there is nowhere to move to\n");
		skip();
	}
	struct group group = group_new("migrations");
	pid_t pid = start(&group, move_about, NULL);
	await_stop(pid);
	tick(harness);
	struct blame_sums before = sums_of(harness, group.id);
	kill(pid, SIGCONT);
	await_stop(pid);
	tick(harness);
	assert_int_equal(minus(sums_of(harness, group.id), before).migrations, MOVES);
	end(pid);
	group_free(&group);
}

static uint64_t cpu_used_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * NSEC_PER_SEC + (uint64_t)used.tv_nsec;
}

static void burn_cpu(uint64_t ns)
{
	while (cpu_used_ns() < ns)
		;
}

/* Of all that ever ran in the group: to the last switch, which what wait4() tells of a child is not. */
static uint64_t usage_of(const struct group *group)
{
	char path[160], text[512] = "";

	snprintf(path, sizeof(path), "%s/cpu.stat", group->path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(strstr(text, "usage_usec ") + strlen("usage_usec "), NULL, 10) * NSEC_PER_USEC;
}

/* Short lives: what each used is on the account of the group when it is gone. */
static void on_cpu_is_what_the_dead_used(void **state)
{
	struct harness *harness = with_groups(state);
	struct group group = group_new("short");

	tick(harness);
	for (int i = 0; i < SHORT; i++) {
		pid_t pid = fork();

		if (!pid) {
			join(&group);
			burn_cpu(30 * NSEC_PER_MSEC);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	uint64_t truth, before;
	do { /* until the last one is off its processor, too */
		before = usage_of(&group);
		sleep_ns(50 * NSEC_PER_MSEC);
		truth = usage_of(&group);
	} while (truth != before);
	tick(harness);
	/* In the truth, and not in our account: from the write that moves a thread to its next switch. */
	assert_near(sums_of(harness, group.id).ns[BLAME_ON_CPU], truth, test_slowness() == 1 ? 15 : 40);
	group_free(&group);
}

/* --- the blame vector ------------------------------------------------------------------------------------------------- */

static void do_sleep(void *unused) { for (;;) sleep_ns(1000 * NSEC_PER_SEC); }
static void do_futex(void *unused) { static uint32_t word; for (;;) syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL); }
static void do_poll(void *unused) { for (;;) poll(NULL, 0, -1); }

static void do_receive(void *unused)
{
	char byte;
	int ends[2];

	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		while (recv(ends[0], &byte, 1, 0))
			;
}

static void do_read_socket(void *unused)
{
	char byte;
	int ends[2];

	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		while (read(ends[0], &byte, 1))
			;
}

static void do_read_pipe(void *unused)
{
	char byte;
	int ends[2];

	if (!pipe(ends))
		while (read(ends[0], &byte, 1))
			;
}

/* Its child does not get to exec: uninterruptible, and no I/O. The child itself sleeps. */
static void do_vfork(void *arg)
{
	(void)arg;
	if (vfork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

struct part {
	const char *name;
	void (*what)(void *);
	enum blame blame;
	uint32_t threads;            /* asleep ones beside it count, too */
};

static const struct part parts[] = {
	{ "sleep", do_sleep, BLAME_SLEEP, 1 },         { "futex", do_futex, BLAME_FUTEX, 1 },
	{ "poll", do_poll, BLAME_NETWORK, 1 },         { "recv", do_receive, BLAME_NETWORK, 1 },
	{ "socket", do_read_socket, BLAME_NETWORK, 1 }, { "pipe", do_read_pipe, BLAME_SLEEP, 1 },
	{ "vfork", do_vfork, BLAME_OTHER, 2 },
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* None of them leaves its wait in the window: this is the time that no switch ever tells. */
static void waits_under_way_are_told_by_what_they_wait_for(void **state)
{
	struct harness *harness = with_groups(state);
	struct group groups[PARTS];
	struct blame_sums before[PARTS];
	pid_t pids[PARTS];

	for (int i = 0; i < PARTS; i++) {
		groups[i] = group_new(parts[i].name);
		pids[i] = start(&groups[i], parts[i].what, NULL);
	}
	sleep_ns(100 * NSEC_PER_MSEC);
	struct moment begin = tick_at(harness);
	for (int i = 0; i < PARTS; i++)
		before[i] = sums_of(harness, groups[i].id);
	sleep_ns(WINDOW_NS);
	struct moment end_ = tick_at(harness);
	uint64_t ns = end_.before - begin.after;
	for (int i = 0; i < PARTS; i++) {
		struct blame_sums sums = minus(sums_of(harness, groups[i].id), before[i]);

		assert_lasted(whole(&sums), parts[i].threads, begin, end_, 10);
		if (sums.ns[parts[i].blame] * 100 < ns * 98)
			fail_msg("%s: only %llu of %llu ns", parts[i].name, (unsigned long long)sums.ns[parts[i].blame], (unsigned long long)ns);
	}
	for (int i = 0; i < PARTS; i++) {
		end(pids[i]);
		group_free(&groups[i]);
	}
}

/* A loop device whose file has its pages dropped: each direct read waits for the disk, or for the loop's worker. */
struct loop {
	int file, device;
	char path[64], name[32];
};

static struct loop loop_new(void)
{
	struct loop loop;
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	assert_true(control >= 0);
	snprintf(loop.path, sizeof(loop.path), "/var/tmp/test-sched-%d.img", getpid());
	loop.file = open(loop.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(loop.file >= 0);
	unlink(loop.path);
	assert_int_equal(posix_fallocate(loop.file, 0, 16 << 20), 0);
	for (;;) { /* others look for a free one, too */
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		assert_true(number >= 0);
		snprintf(loop.name, sizeof(loop.name), "/dev/loop%d", number);
		loop.device = open(loop.name, O_RDWR | O_DIRECT | O_CLOEXEC);
		assert_true(loop.device >= 0);
		if (!ioctl(loop.device, LOOP_SET_FD, loop.file))
			break;
		assert_int_equal(errno, EBUSY);
		close(loop.device);
	}
	close(control);
	return loop;
}

static void loop_free(struct loop *loop)
{
	ioctl(loop->device, LOOP_CLR_FD, 0);
	close(loop->device);
	close(loop->file);
}

static void read_directly(void *loop_)
{
	const struct loop *loop = loop_;
	char *block = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (off_t at = 0; pread(loop->device, block, 4096, at) == 4096; at = (at + 4096) % (16 << 20))
		;
}

static void direct_reads_wait_for_block_io(void **state)
{
	struct harness *harness = with_groups(state);
	struct group group = group_new("direct");
	struct loop loop = loop_new();
	pid_t pid = start(&group, read_directly, &loop);

	struct moment begin = tick_at(harness);
	struct blame_sums before = sums_of(harness, group.id);
	sleep_ns(WINDOW_NS);
	struct moment end_ = tick_at(harness);
	struct blame_sums sums = minus(sums_of(harness, group.id), before);
	assert_lasted(whole(&sums), 1, begin, end_, 15);
	assert_true(sums.voluntary > 10);
	assert_true(sums.ns[BLAME_BLOCK_IO] > 0);
	assert_near(sums.ns[BLAME_ON_CPU] + sums.ns[BLAME_STOLEN] + sums.ns[BLAME_RUNQUEUE] + sums.ns[BLAME_BLOCK_IO], whole(&sums), 10);
	end(pid);
	loop_free(&loop);
	group_free(&group);
}

/* --- bandwidth -------------------------------------------------------------------------------------------------------- */

/* Where the cpu controller is: beside v2, or in it. */
static void cpu_group_of(const struct group *group, char *ret, size_t size)
{
	bool v1 = !access("/sys/fs/cgroup/cpu/cgroup.procs", F_OK);

	snprintf(ret, size, "%s/%s", v1 ? "/sys/fs/cgroup/cpu" : cgroup_root(), group->name);
	if (v1) {
		assert_int_equal(mkdir(ret, 0755), 0);
		write_text(ret, "cpu.cfs_quota_us", "5000");
	} else {
		write_text(cgroup_root(), "cgroup.subtree_control", "+cpu");
		write_text(ret, "cpu.max", "5000 100000");
	}
}

static void throttled_time_is_told_from_waiting(void **state)
{
	struct harness *harness = with_groups(state);
	struct group group = group_new("quota");
	char folder[160], text[16];

	cpu_group_of(&group, folder, sizeof(folder));
	harness->snap.cgroups.count = 1;
	harness->snap.cgroups.each[0].id = group.id;
	snprintf(harness->snap.cgroups.each[0].path, PATH_LEN, "/%s", group.name);
	pid_t pid = start(&group, spin, NULL);
	snprintf(text, sizeof(text), "%d", pid);
	write_text(folder, "cgroup.procs", text);
	sleep_ns(300 * NSEC_PER_MSEC);
	struct moment begin = tick_at(harness);
	struct blame_sums before = sums_of(harness, group.id);
	assert_int_equal(harness->snap.bandwidths.count, 1);
	struct bandwidth first = harness->snap.bandwidths.each[0];
	sleep_ns(2 * NSEC_PER_SEC);
	struct moment end_ = tick_at(harness);
	uint64_t ns = end_.before - begin.after;
	struct blame_sums sums = minus(sums_of(harness, group.id), before);
	assert_int_equal(harness->snap.bandwidths.count, 1);
	struct bandwidth last = harness->snap.bandwidths.each[0];
	harness->snap.cgroups.count = 0;

	assert_int_equal(last.cgroup_id, group.id);
	assert_true(last.periods > first.periods && last.throttled > first.throttled);
	assert_lasted(whole(&sums), 1, begin, end_, 10);
	/* One thread: what held its run queue held it. The kernel adds a stretch at its end, and an emulator that is late makes it longer than a period. */
	uint64_t held = last.throttled_ns - first.throttled_ns, stretch = held / (last.throttled - first.throttled);
	assert_true(sums.ns[BLAME_THROTTLED] + 3 * stretch >= held);
	assert_true(sums.ns[BLAME_THROTTLED] > 0 && sums.ns[BLAME_ON_CPU] < ns * 3 / 10);
	end(pid);
	if (strcmp(folder, group.path))
		while (rmdir(folder) && errno == EBUSY)
			sched_yield();
	group_free(&group);
}

/* --- windows ---------------------------------------------------------------------------------------------------------- */

static uint64_t count_of(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->buckets[i];
	return count;
}

static void a_burst_between_two_readings_is_seen(void **state)
{
	struct harness *harness = *state;
	int cpu = last_cpu();

	tick(harness);
	pid_t pid = fork();
	if (!pid) {
		pin(cpu);
		burn(60 * NSEC_PER_MSEC);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	sleep_ns(500 * NSEC_PER_MSEC);
	tick(harness);
	assert_int_equal(harness->snap.sched.cpus, libbpf_num_possible_cpus());
	assert_true(harness->snap.sched.burst_permille[cpu] >= 900);
}

/* All windows and all slices are the same time, cut up in two ways. */
static void windows_and_slices_agree(void **state)
{
	struct harness *harness = *state;
	int cpus[2] = { 0, last_cpu() };
	struct group group = group_new("windows");
	pid_t pids[2] = { start(&group, spin, &cpus[0]), start(&group, spin, &cpus[1]) };

	tick(harness);
	struct sched_histograms before = harness->snap.sched.histograms;
	sleep_ns(WINDOW_NS);
	end(pids[0]); /* each ends with a switch, which brings the windows up to date */
	end(pids[1]);
	tick(harness);
	const struct sched_histograms *now = &harness->snap.sched.histograms;
	uint64_t windows = now->window.sum_ns - before.window.sum_ns, slices = now->slice.sum_ns - before.slice.sum_ns;
	assert_near(windows, slices, 50);
	assert_true(count_of(&now->window) - count_of(&before.window) >= WINDOW_NS / BURST_WINDOW_NS);
	assert_true(count_of(&now->slice) > count_of(&before.slice));
	/* A thread that gets a CPU was off it before; below the first rung nobody knows since when. */
	if (harness->status[COLLECTOR_SCHED].state == COLLECTOR_UP)
		assert_int_equal(count_of(&now->off), count_of(&now->wait));
	group_free(&group);
}

/* --- nothing left, nothing made up ------------------------------------------------------------------------------------ */

static void fork_much(void *unused)
{
	(void)unused;
	for (int i = 0; i < test_scale(FORKS); i++) {
		pid_t pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(1);
	}
}

static bool kernel_has_row(const char *map, uint64_t id)
{
	char value[512];

	return !bpf_map_lookup_elem(object_shared_map(map), &id, value);
}

static void ticks_until_quiet(struct harness *harness)
{
	for (int i = 0; i < 8; i++)
		tick(harness);
}

static void a_storm_of_forks_leaves_no_phantoms(void **state)
{
	struct harness *harness = with_groups(state);
	struct group group = group_new("storm");
	int status;

	uint64_t begin = tick(harness), lost = harness_lost(harness, &collector_sched), missed = harness_missed();
	pid_t pid = start(&group, fork_much, NULL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	uint64_t ns = tick(harness) - begin;
	struct blame_sums sums = sums_of(harness, group.id);

	/* At each moment the parent and at most one child that lives. */
	assert_true(whole(&sums) >= ns * 9 / 10 && whole(&sums) <= 2 * ns);
	lost = harness_lost(harness, &collector_sched) - lost;
	assert_int_equal(lost, harness_missed() - missed);
	assert_true(sums.voluntary + lost >= (uint64_t)test_scale(FORKS));
	ticks_until_quiet(harness);
	assert_int_equal(whole(&(struct blame_sums[]){ sums_of(harness, group.id) }[0]), 0);
	assert_false(kernel_has_row("ended_threads", group.id));
	assert_false(kernel_has_row("live_threads", group.id));
	group_free(&group);
}

static uint64_t voluntary_of_all(const struct harness *harness)
{
	uint64_t sum = harness->snap.sched.rest.voluntary;

	for (uint32_t i = 0; i < harness->snap.sched.count; i++)
		sum += harness->snap.sched.each[i].sums.voluntary;
	return sum;
}

static void cgroups_that_come_and_go_leave_no_rows(void **state)
{
	struct harness *harness = with_groups(state);
	static struct group groups[CHURN];
	static pid_t pids[CHURN];

	for (int i = 0; i < CHURN; i++) {
		char name[16];
		snprintf(name, sizeof(name), "churn%d", i);
		groups[i] = group_new(name);
		pids[i] = start(&groups[i], do_sleep, NULL);
	}
	tick(harness);
	for (int i = 0; i < CHURN; i++) {
		struct blame_sums sums = sums_of(harness, groups[i].id);
		assert_true(whole(&sums) > 0);
	}
	uint64_t rest = harness->snap.sched.rest.ns[BLAME_SLEEP], all = voluntary_of_all(harness);
	for (int i = 0; i < CHURN; i++) {
		end(pids[i]);
		group_free(&groups[i]);
	}
	for (int i = 0; i < 8; i++) {
		tick(harness);
		assert_true(voluntary_of_all(harness) >= all);
		all = voluntary_of_all(harness);
	}
	for (int i = 0; i < CHURN; i++) {
		assert_int_equal(sums_of(harness, groups[i].id).voluntary, 0);
		assert_false(kernel_has_row("ended_threads", groups[i].id));
		assert_false(kernel_has_row("live_threads", groups[i].id));
	}
	assert_true(harness->snap.sched.rest.ns[BLAME_SLEEP] > rest); /* what they slept is not forgotten */
}

/* --- depth ------------------------------------------------------------------------------------------------------------ */

static void depth_turns_without_a_jump(void **state)
{
	struct harness *harness = with_groups(state);
	void *collector = harness->state[COLLECTOR_SCHED];
	struct group group = group_new("depth");
	pid_t pid = start(&group, do_sleep, NULL);

	tick(harness);
	struct blame_sums before = sums_of(harness, group.id);
	assert_int_equal(collector_sched.set_depth(collector, DEPTH_OFF), 0);
	uint64_t measured = harness->snap.sched.measured_ns;
	sleep_ns(WINDOW_NS);
	tick(harness);
	assert_int_equal(harness->snap.sched.measured_ns, measured); /* stale, so absent */

	assert_int_equal(collector_sched.set_depth(collector, DEPTH_COUNTS), 0);
	tick(harness);
	struct blame_sums after = minus(sums_of(harness, group.id), before);
	assert_true(whole(&after) < WINDOW_NS / 2); /* the pause is in no figure */
	uint64_t histograms = harness->snap.sched.histograms_ns;
	sleep_ns(100 * NSEC_PER_MSEC);
	tick(harness);
	assert_int_equal(harness->snap.sched.histograms_ns, histograms);
	after = minus(sums_of(harness, group.id), before);
	assert_true(whole(&after) >= 90 * NSEC_PER_MSEC);
	end(pid);
	group_free(&group);
}

static const struct histogram *deep_wait(const struct harness *harness, uint64_t id)
{
	for (uint32_t i = 0; i < harness->snap.deep_waits.count; i++)
		if (harness->snap.deep_waits.each[i].cgroup_id == id)
			return &harness->snap.deep_waits.each[i].wait;
	return NULL;
}

static void the_deepest_has_a_histogram_a_cgroup(void **state)
{
	struct harness *harness = with_groups(state);
	void *collector = harness->state[COLLECTOR_SCHED];
	struct group group = group_new("deep");
	int cpu = last_cpu();
	pid_t pids[2] = { start(&group, spin, &cpu), start(&group, spin, &cpu) };

	tick(harness);
	sleep_ns(100 * NSEC_PER_MSEC);
	assert_null(deep_wait(harness, group.id));
	assert_int_equal(collector_sched.set_depth(collector, DEPTH_DEEP), 0);
	tick(harness); /* the row is made */
	sleep_ns(500 * NSEC_PER_MSEC);
	tick(harness);
	assert_non_null(deep_wait(harness, group.id));
	assert_true(count_of(deep_wait(harness, group.id)) > 5);
	assert_true(deep_wait(harness, group.id)->sum_ns <= sums_of(harness, group.id).ns[BLAME_RUNQUEUE]);
	assert_int_equal(collector_sched.set_depth(collector, DEPTH_HISTOGRAMS), 0);
	assert_false(kernel_has_row("deep_waits", group.id));
	end(pids[0]);
	end(pids[1]);
	group_free(&group);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_spinners_wait_for_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(the_aggressor_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(yielding_is_no_preemption, setup, teardown),
		cmocka_unit_test_setup_teardown(switches_are_those_of_procfs, setup, teardown),
		cmocka_unit_test_setup_teardown(migrations_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(on_cpu_is_what_the_dead_used, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_under_way_are_told_by_what_they_wait_for, setup, teardown),
		cmocka_unit_test_setup_teardown(direct_reads_wait_for_block_io, setup, teardown),
		cmocka_unit_test_setup_teardown(throttled_time_is_told_from_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(a_burst_between_two_readings_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(windows_and_slices_agree, setup, teardown),
		cmocka_unit_test_setup_teardown(a_storm_of_forks_leaves_no_phantoms, setup, teardown),
		cmocka_unit_test_setup_teardown(cgroups_that_come_and_go_leave_no_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_turns_without_a_jump, setup, teardown),
		cmocka_unit_test_setup_teardown(the_deepest_has_a_histogram_a_cgroup, setup, teardown),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
