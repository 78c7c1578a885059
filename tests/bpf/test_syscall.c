/* SPDX-License-Identifier: Apache-2.0 */
/* The syscall collector against counts the test makes itself: exact, without phantoms, each ABI under its own names. */
#include "harness.h"

#include <sched.h>
#include <signal.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "collect/bpf.h"
#include "syscall_name.h"

enum { PROCESSES = 20000, CALLS = 10, FORKS = 60000, COMPAT_CALLS = 1000, RESULT_FD = 100 };

static struct syscall_stat find(const struct snapshot *snap, enum syscall_abi abi, const char *name)
{
	char buffer[32];

	for (uint32_t i = 0; i < snap->syscalls.count; i++) {
		const struct syscall_stat *each = &snap->syscalls.each[i];
		if (each->abi == abi && !strcmp(syscall_name(abi, each->nr, buffer, sizeof(buffer)), name))
			return *each;
	}
	return (struct syscall_stat){ 0 };
}

static uint64_t samples(const struct syscall_stat *stat)
{
	uint64_t sum = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += stat->latency.buckets[i];
	return sum;
}

/* The work is done by this program run anew with a word: a small process, which forks fast. */
static void run_self(const char *word)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl("/proc/self/exe", "test_syscall", word, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_syscall);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_syscall);
	harness_free(*state);
	return 0;
}

/* A call that nothing else on a node makes, so that the count is exact. */
static int make_calls(void)
{
	for (int i = 0; i < test_scale(PROCESSES); i++) {
		pid_t pid = fork();
		if (!pid) {
			for (int call = 0; call < CALLS; call++)
				syscall(SYS_sched_get_priority_max, 0);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	return 0;
}

static void calls_of_short_processes_are_counted_exactly(void **state)
{
	struct harness *harness = *state;

	harness_tick(harness, &collector_syscall);
	struct syscall_stat before = find(&harness->snap, SYSCALL_ABI_64, "sched_get_priority_max");
	uint64_t exits = find(&harness->snap, SYSCALL_ABI_64, "exit_group").count;
	run_self("calls");
	harness_tick(harness, &collector_syscall);
	struct syscall_stat after = find(&harness->snap, SYSCALL_ABI_64, "sched_get_priority_max");
	struct syscall_stat exit_group = find(&harness->snap, SYSCALL_ABI_64, "exit_group");
	uint64_t calls = (uint64_t)test_scale(PROCESSES) * CALLS;
	uint64_t timed = samples(&after) - samples(&before), lost = harness->status[COLLECTOR_SYSCALL].events_lost;

	assert_in_range(after.count - before.count, calls - MIN(lost, calls), calls); /* exactly, where nothing is said to be lost */
	harness_needs(harness, &collector_syscall, "tp_btf");
	assert_true(timed <= calls && timed + lost >= calls);
	assert_true(exit_group.count - exits + lost >= calls / CALLS);
	assert_int_equal(samples(&exit_group), 0);
}

/* A number that no C library uses, where there is one: all calls under it are ours, and "the longest" is known. */
#ifdef SYS_fork
#define FORK_NAME "fork"
static pid_t bare_fork(void) { return (pid_t)syscall(SYS_fork); }
#else
#define FORK_NAME "clone"
static pid_t bare_fork(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
#endif

/* Prints the longest fork in nanoseconds. */
static int make_forks(void)
{
	uint64_t longest = 0;

	for (int i = 0; i < test_scale(FORKS); i++) {
		uint64_t start = clock_boot_ns();
		pid_t pid = bare_fork();
		if (!pid)
			_exit(0);
		uint64_t ns = clock_boot_ns() - start;
		longest = ns > longest ? ns : longest;
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	return dprintf(RESULT_FD, "%llu", (unsigned long long)longest) > 0 ? 0 : 1;
}

static void forks_leave_no_phantom(void **state)
{
	struct harness *harness = *state;
	char result[32] = "";
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], RESULT_FD), RESULT_FD);
	harness_tick(harness, &collector_syscall);
	struct syscall_stat before = find(&harness->snap, SYSCALL_ABI_64, FORK_NAME);
	run_self("forks");
	harness_tick(harness, &collector_syscall);
	struct syscall_stat after = find(&harness->snap, SYSCALL_ABI_64, FORK_NAME);
	close(RESULT_FD);
	close(ends[1]);
	assert_true(read(ends[0], result, sizeof(result) - 1) > 0);
	close(ends[0]);
	uint64_t longest = strtoull(result, NULL, 10), forks = (uint64_t)test_scale(FORKS);

	uint64_t lost = harness->status[COLLECTOR_SYSCALL].events_lost, timed = samples(&after) - samples(&before);

	assert_in_range(after.count - before.count, forks - MIN(lost, forks), forks);
	harness_needs(harness, &collector_syscall, "tp_btf");
	assert_true(timed <= forks && timed + lost >= forks);
	assert_true(after.latency.sum_ns - before.latency.sum_ns <= longest * forks);
	for (uint32_t k = histogram_bucket(longest) + 1; k < HISTOGRAM_BUCKETS; k++)
		assert_int_equal(after.latency.buckets[k], before.latency.buckets[k]);
}

static void compat_calls_have_their_own_names(void **state)
{
#if defined(__x86_64__)
	struct harness *harness = *state;

	harness_tick(harness, &collector_syscall);
	uint64_t writev = find(&harness->snap, SYSCALL_ABI_64, "writev").count, before = find(&harness->snap, SYSCALL_ABI_32, "getpid").count;
	for (int i = 0; i < COMPAT_CALLS; i++) {
		long number = 20;
		__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	}
	harness_tick(harness, &collector_syscall);
	assert_int_equal(find(&harness->snap, SYSCALL_ABI_32, "getpid").count - before, COMPAT_CALLS);
	assert_true(find(&harness->snap, SYSCALL_ABI_64, "writev").count - writev < COMPAT_CALLS / 2);
#else
	(void)state;
	print_message("SKIP no 32-bit calls on this architecture\n");
	skip();
#endif
}

static void errors_are_told_apart(void **state)
{
	struct harness *harness = *state;

	harness_tick(harness, &collector_syscall);
	struct syscall_stat before = find(&harness->snap, SYSCALL_ABI_64, "getpgid");
	for (int i = 0; i < 100; i++)
		assert_int_equal(syscall(SYS_getpgid, -1), -1); /* ESRCH: one of the rest */
	uint64_t bad = find(&harness->snap, SYSCALL_ABI_64, "dup").errors[ERRNO_CLASS_EBADF];
	for (int i = 0; i < 100; i++)
		assert_int_equal(syscall(SYS_dup, -1), -1);
	harness_tick(harness, &collector_syscall);
	struct syscall_stat after = find(&harness->snap, SYSCALL_ABI_64, "getpgid");
	assert_int_equal(after.errors[ERRNO_CLASS_OTHER] - before.errors[ERRNO_CLASS_OTHER], 100);
	assert_true(find(&harness->snap, SYSCALL_ABI_64, "dup").errors[ERRNO_CLASS_EBADF] - bad >= 100);
}

/* The ids behind our own descriptors, by the label that fdinfo gives them: other loaders on this node are not our business. */
static uint32_t own_ids(const char *label, uint32_t *ids, uint32_t capacity)
{
	uint32_t count = 0;

	for (int fd = 3; fd < 256; fd++) {
		char path[64], line[128];

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		FILE *file = fopen(path, "re");
		while (file && fgets(line, sizeof(line), file))
			if (!strncmp(line, label, strlen(label)) && count < capacity)
				ids[count++] = (uint32_t)strtoul(line + strlen(label), NULL, 10);
		if (file)
			fclose(file);
	}
	return count;
}

/* Freed after a grace period: the kernel is asked until it is so, and only the test's time limit ends the asking. */
static void await_gone(const uint32_t *ids, uint32_t count, int (*open_by_id)(__u32 id))
{
	for (uint32_t i = 0; i < count; i++)
		for (int fd; (fd = open_by_id(ids[i])) >= 0; sched_yield())
			close(fd);
}

static void close_leaves_nothing(void **state)
{
	static const struct collector *const all[] = { &collector_syscall, &collector_task, &collector_fswrite, &collector_process };
	uint32_t programs[64], maps[128], links[64];
	struct harness *harness = harness_new();

	(void)state;
	harness->config.collectors[COLLECTOR_FSWRITE] = true;
	for (int i = 0; i < 4; i++) {
		harness_open(harness, all[i]);
		harness_tick(harness, all[i]);
	}
	uint32_t program_count = own_ids("prog_id:", programs, 64);
	uint32_t map_count = own_ids("map_id:", maps, 128), link_count = own_ids("link_id:", links, 64);
	struct bpf_program_stat stats[MAX_BPF_PROGRAMS];
	assert_int_equal(object_programs(stats, MAX_BPF_PROGRAMS), 9);
	assert_true(program_count >= 9 && map_count >= 11 && link_count == 9);
	for (int i = 0; i < 4; i++)
		harness_close(harness, all[i]);
	await_gone(links, link_count, bpf_link_get_fd_by_id);
	await_gone(programs, program_count, bpf_prog_get_fd_by_id);
	await_gone(maps, map_count, bpf_map_get_fd_by_id);
	assert_int_equal(own_ids("prog_id:", programs, 64) + own_ids("map_id:", maps, 128), 0);
	assert_int_equal(object_programs(stats, MAX_BPF_PROGRAMS), 0);
	harness_free(harness);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return !strcmp(argv[1], "calls") ? make_calls() : make_forks();

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_leaves_nothing),
		cmocka_unit_test_setup_teardown(calls_of_short_processes_are_counted_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(forks_leave_no_phantom, setup, teardown),
		cmocka_unit_test_setup_teardown(compat_calls_have_their_own_names, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_are_told_apart, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
