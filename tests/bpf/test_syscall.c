/* SPDX-License-Identifier: Apache-2.0 */
/* The syscall collector against counts the test makes itself: exact, without phantoms, each ABI under its own names. */
#include "harness.h"

#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "collect/bpf.h"
#include "syscall_name.h"

enum { PROCESSES = 20000, CALLS = 10, FORKS = 60000, COMPAT_CALLS = 1000, RESULT_FD = 100 };

#define RARE "sched_getscheduler" /* hardly anything else on a node makes it */

static bool is_call(uint8_t abi, uint16_t nr, enum syscall_abi wanted, const char *name)
{
	char buffer[32];
	return abi == wanted && !strcmp(syscall_name(wanted, nr, buffer, sizeof(buffer)), name);
}

/* Both classes together. */
static struct syscall_stat find(const struct snapshot *snap, enum syscall_abi abi, const char *name)
{
	struct syscall_stat sum = { 0 };

	for (uint32_t i = 0; i < snap->syscalls.count; i++) {
		const struct syscall_stat *each = &snap->syscalls.each[i];
		if (!is_call(each->abi, each->nr, abi, name))
			continue;
		sum.count += each->count;
		sum.errors += each->errors;
		sum.latency.sum_ns += each->latency.sum_ns;
		for (int k = 0; k < HISTOGRAM_BUCKETS; k++)
			sum.latency.buckets[k] += each->latency.buckets[k];
	}
	return sum;
}

static uint64_t find_errors(const struct snapshot *snap, const char *name, int error)
{
	for (uint32_t i = 0; i < snap->syscall_errors.count; i++) {
		const struct syscall_error *each = &snap->syscall_errors.each[i];
		if (each->error == error && is_call(each->abi, each->nr, SYSCALL_ABI_64, name))
			return each->count;
	}
	return 0;
}

static struct syscall_cgroup_row find_row_of(const struct snapshot *snap, enum syscall_abi abi, uint64_t cgroup_id, const char *name,
	enum syscall_class class)
{
	for (uint32_t i = 0; i < snap->syscall_cgroups.count; i++) {
		const struct syscall_cgroup_row *each = &snap->syscall_cgroups.each[i];
		if (each->cgroup_id == cgroup_id && each->class == class && is_call(each->abi, each->nr, abi, name))
			return *each;
	}
	return (struct syscall_cgroup_row){ 0 };
}

static struct syscall_cgroup_row find_row(const struct snapshot *snap, uint64_t cgroup_id, const char *name, enum syscall_class class)
{
	return find_row_of(snap, SYSCALL_ABI_64, cgroup_id, name, class);
}

/* Of a cgroup, at DEPTH_DEEP. */
static struct histogram find_times(const struct snapshot *snap, uint64_t cgroup_id, const char *name)
{
	for (uint32_t i = 0; i < snap->syscall_deep.count; i++) {
		const struct syscall_deep_row *each = &snap->syscall_deep.each[i];
		if (each->cgroup_id == cgroup_id && is_call(each->abi, each->nr, SYSCALL_ABI_64, name))
			return each->latency;
	}
	return (struct histogram){ 0 };
}

static const struct syscall_in_flight *find_in_flight(const struct snapshot *snap, uint64_t cgroup_id, const char *name)
{
	for (uint32_t i = 0; i < snap->syscall_in_flight.count; i++) {
		const struct syscall_in_flight *each = &snap->syscall_in_flight.each[i];
		if (each->cgroup_id == cgroup_id && is_call(each->abi, each->nr, SYSCALL_ABI_64, name))
			return each;
	}
	return NULL;
}

/* --- cgroups of our own ------------------------------------------------------------------------------------------------ */

struct own_cgroup {
	char path[128];
	uint64_t id;
};

static struct own_cgroup make_cgroup(const char *name, int number)
{
	struct own_cgroup cgroup;
	struct stat stat_;

	snprintf(cgroup.path, sizeof(cgroup.path), "%s/test-syscall-%d-%s-%d", cgroup_root(), getpid(), name, number);
	assert_int_equal(mkdir(cgroup.path, 0755), 0);
	assert_int_equal(stat(cgroup.path, &stat_), 0);
	cgroup.id = stat_.st_ino; /* kernfs ids are inode numbers where those have 64 bits */
	return cgroup;
}

static void remove_cgroup(const struct own_cgroup *cgroup)
{
	while (rmdir(cgroup->path) && errno == EBUSY) /* a member that was reaped leaves a moment later */
		sched_yield();
}

/* The caller itself; in children, so no assertions. */
static void enter_cgroup(const struct own_cgroup *cgroup)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup->path);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(3);
	close(fd);
}

static pid_t start_in(const struct own_cgroup *cgroup, void (*work)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (!pid) {
		enter_cgroup(cgroup);
		work(arg);
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void await_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static uint64_t samples(const struct histogram *latency)
{
	uint64_t sum = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += latency->buckets[i];
	return sum;
}

/* The work is done by this program run anew with a word: a small process, which forks fast. */
static void run_self(void *word)
{
	execl("/proc/self/exe", "test_syscall", word, (char *)NULL);
	_exit(127);
}

enum { SLOW_MS = 20 };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness->config.slow_syscall_ns = SLOW_MS * NSEC_PER_MSEC;

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

static int make_calls(void)
{
	for (int i = 0; i < test_scale(PROCESSES); i++) {
		pid_t pid = fork();
		if (!pid) {
			for (int call = 0; call < CALLS; call++)
				syscall(SYS_sched_getscheduler, 0);
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

	harness_needs(harness, &collector_syscall, "tp_btf");
	struct own_cgroup cgroup = make_cgroup("short", 1);
	char word[] = "calls";

	assert_int_equal(collector_syscall.set_depth(harness->state[COLLECTOR_SYSCALL], DEPTH_DEEP), 0);
	await_end(start_in(&cgroup, run_self, word));
	harness_tick(harness, &collector_syscall);
	struct syscall_cgroup_row row = find_row(&harness->snap, cgroup.id, RARE, SYSCALL_WORKING);
	struct histogram times = find_times(&harness->snap, cgroup.id, RARE), never = find_times(&harness->snap, cgroup.id, "exit_group");
	uint64_t lost = harness->status[COLLECTOR_SYSCALL].events_lost;

	uint64_t processes = (uint64_t)test_scale(PROCESSES), calls = processes * CALLS;

	assert_in_range(row.count, calls - MIN(lost, calls), calls); /* exactly, where nothing is said to be lost */
	assert_true(samples(&times) <= calls && samples(&times) + lost >= calls);
	assert_true(find_row(&harness->snap, cgroup.id, "exit_group", SYSCALL_WORKING).count + lost >= processes);
	assert_int_equal(samples(&never), 0);
	assert_int_equal(find_row(&harness->snap, cgroup.id, "exit_group", SYSCALL_WORKING).sum_ns, 0);
	remove_cgroup(&cgroup);
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

	harness_needs(harness, &collector_syscall, "tp_btf");
	struct own_cgroup cgroup = make_cgroup("forks", 1);
	char result[32] = "", word[] = "forks";
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], RESULT_FD), RESULT_FD);
	assert_int_equal(collector_syscall.set_depth(harness->state[COLLECTOR_SYSCALL], DEPTH_DEEP), 0);
	await_end(start_in(&cgroup, run_self, word));
	harness_tick(harness, &collector_syscall);
	close(RESULT_FD);
	close(ends[1]);
	assert_true(read(ends[0], result, sizeof(result) - 1) > 0);
	close(ends[0]);
	uint64_t longest = strtoull(result, NULL, 10);
	struct histogram times = find_times(&harness->snap, cgroup.id, FORK_NAME);

	uint64_t forks = (uint64_t)test_scale(FORKS), lost = harness->status[COLLECTOR_SYSCALL].events_lost;

	assert_in_range(find_row(&harness->snap, cgroup.id, FORK_NAME, SYSCALL_WORKING).count, forks - MIN(lost, forks), forks);
	assert_true(samples(&times) <= forks && samples(&times) + lost >= forks);
	assert_true(times.sum_ns <= longest * forks);
	for (uint32_t k = histogram_bucket(longest) + 1; k < HISTOGRAM_BUCKETS; k++)
		assert_int_equal(times.buckets[k], 0);
	remove_cgroup(&cgroup);
}

#if defined(__x86_64__)
static void call_by_interrupt(void *unused)
{
	(void)unused;
	for (int i = 0; i < COMPAT_CALLS; i++) {
		long number = 20;
		__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	}
}
#endif

static void compat_calls_have_their_own_names(void **state)
{
#if defined(__x86_64__)
	struct harness *harness = *state;

	harness_needs(harness, &collector_syscall, "tp_btf");
	struct own_cgroup cgroup = make_cgroup("compat", 1);

	await_end(start_in(&cgroup, call_by_interrupt, NULL));
	harness_tick(harness, &collector_syscall);
	assert_all_but(find_row_of(&harness->snap, SYSCALL_ABI_32, cgroup.id, "getpid", SYSCALL_WORKING).count, COMPAT_CALLS,
		       harness_lost(harness, &collector_syscall));
	assert_int_equal(find_row(&harness->snap, cgroup.id, "writev", SYSCALL_WORKING).count, 0);
	remove_cgroup(&cgroup);
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
	struct syscall_stat before = find(&harness->snap, SYSCALL_ABI_64, "sched_rr_get_interval");
	uint64_t bad = find_errors(&harness->snap, "sched_rr_get_interval", EINVAL), none = find_errors(&harness->snap, "sched_rr_get_interval", ESRCH);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(syscall(SYS_sched_rr_get_interval, -1, NULL), -1);         /* EINVAL */
		assert_int_equal(syscall(SYS_sched_rr_get_interval, 0x7ffffff0, NULL), -1); /* ESRCH */
		assert_int_equal(syscall(SYS_sched_rr_get_interval, 0x7ffffff0, NULL), -1);
	}
	harness_tick(harness, &collector_syscall);
	struct syscall_stat after = find(&harness->snap, SYSCALL_ABI_64, "sched_rr_get_interval");
	uint64_t lost = harness_lost(harness, &collector_syscall);
	assert_all_but(find_errors(&harness->snap, "sched_rr_get_interval", EINVAL) - bad, 100, lost);
	assert_all_but(find_errors(&harness->snap, "sched_rr_get_interval", ESRCH) - none, 200, lost);
	assert_all_but(after.errors - before.errors, 300, lost);
	assert_all_but(after.count - before.count, 300, lost);
}

#include "syscall_cases.h"

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
	uint32_t known = object_programs(stats, MAX_BPF_PROGRAMS);
	assert_true(known >= 8 && link_count == known && program_count >= known && map_count >= known);
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
	if (argc > 1 && !strcmp(argv[1], "calls"))
		return make_calls();
	if (argc > 1 && !strcmp(argv[1], "forks"))
		return make_forks();
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);

	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_leaves_nothing),
		cmocka_unit_test_setup_teardown(calls_of_short_processes_are_counted_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(forks_leave_no_phantom, setup, teardown),
		cmocka_unit_test_setup_teardown(compat_calls_have_their_own_names, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_are_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(cgroups_have_exactly_what_they_did, setup, teardown),
		cmocka_unit_test_setup_teardown(a_move_is_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_add_up_to_the_node, setup, teardown),
		cmocka_unit_test_setup_teardown(a_call_in_flight_ages_and_leaves_a_record, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_of_a_pipe_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_to_a_full_pipe_works, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_of_a_handler_are_counted_inside_another, setup, teardown),
		cmocka_unit_test_setup_teardown(ended_cgroups_give_their_places_back, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_changes_keep_counts_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(callers_on_one_processor_are_seen_or_told, setup, teardown),
		cmocka_unit_test_setup_teardown(x32_calls_are_apart, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
