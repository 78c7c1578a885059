/* SPDX-License-Identifier: Apache-2.0 */
/* The walk against procfs and against processes the test makes: the same numbers, and no short life lost to its cgroup. */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { THREADS = 4, TOUCHED = 64 << 20, SHORT_LIVES = 200 };

static uint64_t number_in(const char *file, const char *label)
{
	char line[256];
	uint64_t number = 0;
	FILE *stream = fopen(file, "re");

	assert_non_null(stream);
	while (fgets(line, sizeof(line), stream))
		if (!strncmp(line, label, strlen(label)))
			number = strtoull(line + strlen(label), NULL, 10);
	fclose(stream);
	return number;
}

static uint64_t cpu_ns(int who)
{
	struct rusage usage;

	assert_int_equal(getrusage(who, &usage), 0);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NSEC_PER_SEC +
		(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * NSEC_PER_USEC;
}

static void burn_until(uint64_t ns)
{
	while (cpu_ns(RUSAGE_SELF) < ns)
		;
}

static void *wait_at(void *barrier)
{
	pthread_barrier_wait(barrier); /* all there */
	pthread_barrier_wait(barrier); /* the walk is done */
	return NULL;
}

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_task);
	harness_open(harness, &collector_process);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_process);
	harness_close(*state, &collector_task);
	harness_free(*state);
	return 0;
}

static void this_process_is_as_procfs_says(void **state)
{
	struct harness *harness = *state;
	pthread_barrier_t barrier;
	pthread_t threads[THREADS];
	char *memory = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(memory, 1, TOUCHED);
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_at, &barrier), 0);
	pthread_barrier_wait(&barrier);
	uint64_t rss = number_in("/proc/self/status", "VmRSS:") * 1024, before = cpu_ns(RUSAGE_SELF);
	harness_tick(harness, &collector_process);
	uint64_t after = cpu_ns(RUSAGE_SELF);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	munmap(memory, TOUCHED);

	const struct process *self = snapshot_process(&harness->snap, getpid());
	assert_non_null(self);
	assert_string_equal(self->comm, "test_process");
	assert_int_equal(self->ppid, getppid());
	assert_int_equal(self->uid, geteuid());
	assert_int_equal(self->threads, THREADS + 1);
	assert_int_equal(self->state, 'R');
	assert_false(self->kernel_thread);
	assert_true(self->rss_bytes + (4 << 20) > rss && self->rss_bytes < rss + (8 << 20));
	/* getrusage rounds to ticks where the kernel accounts by ticks; the walk reads the scheduler's own clock. */
	assert_true(self->cpu_ns + 20 * NSEC_PER_MSEC > before && self->cpu_ns < after + 20 * NSEC_PER_MSEC);
	assert_true(self->written_bytes <= number_in("/proc/self/io", "write_bytes:"));
	assert_true(self->start_ns < harness->snap.boot_ns);
	assert_int_equal(harness->snap.cgroups.each[self->cgroup_index].id, self->cgroup_id);
}

/* The start of a process in clock ticks since boot; 0: it is gone. */
static unsigned long long start_ticks(int32_t pid)
{
	unsigned long long ticks = 0;
	char path[32], line[1024] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *stat = fopen(path, "re");
	if (!stat)
		return 0;
	if (fgets(line, sizeof(line), stat) && strrchr(line, ')'))
		(void)sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks);
	fclose(stat);
	return ticks;
}

/* What procfs lists now and was there before the walk, the walk has met; but PID 1, which some hosts show to no BPF program. */
static void every_lasting_process_is_met(void **state)
{
	const uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	struct harness *harness = *state;
	uint32_t met = 0;
	struct dirent *each;
	DIR *dir = opendir("/proc");

	assert_non_null(dir);
	harness_tick(harness, &collector_process);
	while ((each = readdir(dir))) {
		int32_t pid = atoi(each->d_name);
		unsigned long long ticks = pid > 1 ? start_ticks(pid) : 0;

		if (!ticks || ticks * tick_ns + 2 * tick_ns > harness->snap.boot_ns)
			continue;
		const struct process *process = snapshot_process(&harness->snap, pid);
		assert_non_null(process);
		assert_int_equal(process->start_ns / tick_ns, ticks);
		met++;
	}
	closedir(dir);
	assert_true(met > 3);
	for (uint32_t i = 1; i < harness->snap.processes.count; i++)
		assert_true(harness->snap.processes.each[i - 1].pid < harness->snap.processes.each[i].pid);
}

/*
 * Born and dead between two walks, each shorter than the scheduler's tick: no row ever, but their cgroup's processor time has them.
 * The last of it is told when the kernel frees the task, a grace period after it was reaped: ticks go on until it is there.
 */
static void short_lives_count_for_their_cgroup(void **state)
{
	struct harness *harness = *state;

	harness_tick(harness, &collector_task);
	harness_tick(harness, &collector_process);
	const struct process *self = snapshot_process(&harness->snap, getpid());
	uint64_t id = self->cgroup_id, before = snapshot_cgroup(&harness->snap, id)->cpu_ns, spent = 0;
	uint64_t ended = harness->snap.processes.exited.cpu_ns;
	for (int i = 0; i < SHORT_LIVES; i++) {
		pid_t pid = fork();
		if (!pid) {
			struct timespec now;
			do
				clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
			while (now.tv_nsec < 1000000);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	do {
		harness_tick(harness, &collector_task);
		harness_tick(harness, &collector_process);
		spent += snapshot_cgroup(&harness->snap, id)->cpu_delta_ns;
	} while (harness->snap.processes.exited.cpu_ns - ended < SHORT_LIVES * NSEC_PER_MSEC);

	const struct cgroup *cgroup = snapshot_cgroup(&harness->snap, id);
	assert_true(cgroup->cpu_ns - before >= SHORT_LIVES * NSEC_PER_MSEC);
	assert_int_equal(cgroup->cpu_ns - before, spent);
	assert_true(cgroup->cpu_recent_ns > 0 && cgroup->processes > 0);
}

/* A zombie has a row, but its cost came with its end: it must not count twice, neither now nor when it is reaped. */
static void a_zombie_is_counted_once(void **state)
{
	struct harness *harness = *state;
	siginfo_t info;
	pid_t pid = fork();

	if (!pid) {
		burn_until(300 * NSEC_PER_MSEC);
		_exit(0);
	}
	uint64_t begun = clock_boot_ns(); /* a tick is long on a slow machine, and what it spends after its measurement counts */
	harness_tick(harness, &collector_process);
	uint64_t id = snapshot_process(&harness->snap, getpid())->cgroup_id, total = snapshot_cgroup(&harness->snap, id)->cpu_ns;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	harness_tick(harness, &collector_process);
	assert_int_equal(snapshot_process(&harness->snap, pid)->state, 'Z');
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	harness_tick(harness, &collector_process);
	assert_null(snapshot_process(&harness->snap, pid));

	uint64_t spent = snapshot_cgroup(&harness->snap, id)->cpu_ns - total, possible = clock_boot_ns() - begun + 50 * NSEC_PER_MSEC;
	assert_true(spent <= possible * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(spent >= 200 * NSEC_PER_MSEC || possible < 400 * NSEC_PER_MSEC);
}

static void growth_of_the_newborn_is_all_it_has(void **state)
{
	struct harness *harness = *state;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		char *memory = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(memory, 1, TOUCHED);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	harness_tick(harness, &collector_process);
	assert_true(snapshot_process(&harness->snap, pid)->rss_growth_bytes >= TOUCHED - (4 << 20));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

enum { WOKEN_FILES = 20, WOKEN_BYTES = 8 << 20 };

static void sleep_and_work(int orders, int done)
{
	char byte;

	while (read(orders, &byte, 1) == 1) {
		char *memory = mmap(NULL, WOKEN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(memory, 1, WOKEN_BYTES);
		for (int i = 0; i < WOKEN_FILES; i++)
			(void)!dup(orders);
		burn_until(50 * NSEC_PER_MSEC);
		(void)!write(done, "x", 1);
	}
	_exit(0);
}

static const struct process *row_after(struct harness *harness, int ticks, pid_t pid)
{
	for (int i = 0; i < ticks; i++)
		harness_tick(harness, &collector_process);
	const struct process *row = snapshot_process(&harness->snap, pid);
	assert_non_null(row);
	return row;
}

/* Of who sleeps only a short record is written: what it says is right at once, the rest within some walks; and who woke is read whole at once. */
static void who_sleeps_costs_little_and_who_wakes_is_seen(void **state)
{
	struct harness *harness = *state;
	int orders[2], done[2];
	char byte, file[64];

	assert_int_equal(pipe(orders), 0);
	assert_int_equal(pipe(done), 0);
	pid_t pid = fork();
	if (!pid) {
		close(orders[1]);
		sleep_and_work(orders[0], done[1]);
	}
	close(orders[0]);
	while (row_after(harness, 1, pid)->state != 'S')
		;
	struct process asleep = *row_after(harness, 6, pid);

	/* What somebody else changes meanwhile is not in the short record; that it is not seen at once, ever, shows that there are short records. */
	snprintf(file, sizeof(file), "/proc/%d/oom_score_adj", (int)pid);
	bool late = false;
	for (int adj = 100; adj < 104; adj++) {
		FILE *stream = fopen(file, "we");
		assert_non_null(stream);
		fprintf(stream, "%d", adj);
		assert_int_equal(fclose(stream), 0);
		late |= row_after(harness, 1, pid)->oom_score_adj != adj;
		assert_int_equal(row_after(harness, STILL_WALKS, pid)->oom_score_adj, adj);
	}
	assert_true(late);

	assert_int_equal(write(orders[1], "x", 1), 1);
	assert_int_equal(read(done[0], &byte, 1), 1);
	const struct process *row = row_after(harness, 1, pid);
	assert_true(row->cpu_ns >= asleep.cpu_ns + 20 * NSEC_PER_MSEC);
	assert_true(row->rss_bytes >= asleep.rss_bytes + WOKEN_BYTES / 2);
	row = row_after(harness, 5, pid); /* one of them counts open files */
	assert_int_equal(row->files, asleep.files + WOKEN_FILES);
	snprintf(file, sizeof(file), "/proc/%d/status", (int)pid);
	assert_true(row->rss_bytes / 1024 >= number_in(file, "VmRSS:") * 98 / 100);
	close(orders[1]);
	waitpid(pid, NULL, 0);
	close(done[0]);
	close(done[1]);
	harness_tick(harness, &collector_process);
	assert_null(snapshot_process(&harness->snap, pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(this_process_is_as_procfs_says, setup, teardown),
		cmocka_unit_test_setup_teardown(every_lasting_process_is_met, setup, teardown),
		cmocka_unit_test_setup_teardown(short_lives_count_for_their_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(a_zombie_is_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(growth_of_the_newborn_is_all_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(who_sleeps_costs_little_and_who_wakes_is_seen, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
