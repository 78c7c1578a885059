/* SPDX-License-Identifier: Apache-2.0 */
/* What state processes are in: held in D, ended and not waited for, how many files they have open, and a pid that comes again. */
#include "own_cgroup.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { FILES = 3000, ZOMBIES = 5 };

static const struct collector *const all[] = { &collector_task, &collector_process };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	for (int i = 0; i < 2; i++)
		harness_open(harness, all[i]);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	for (int i = 2; i-- > 0;)
		harness_close(*state, all[i]);
	harness_free(*state);
	return 0;
}

static void tick_later(struct harness *harness, uint64_t later_ns)
{
	for (int i = 0; i < 2; i++)
		harness_tick_later(harness, all[i], later_ns);
}

/* Second by second: what was not looked at for longer is taken for a host that slept. */
static void pass(struct harness *harness, uint64_t from_s, uint64_t to_s)
{
	for (uint64_t at = from_s; at <= to_s; at++)
		tick_later(harness, at * NSEC_PER_SEC);
}

static const struct held_thread *held(const struct harness *harness, pid_t pid)
{
	for (uint32_t i = 0; i < harness->snap.processes.held_count; i++)
		if (harness->snap.processes.held[i].pid == pid)
			return &harness->snap.processes.held[i];
	return NULL;
}

static char state_of(struct harness *harness, pid_t pid)
{
	tick_later(harness, 0);
	const struct process *row = snapshot_process(&harness->snap, pid);
	return row ? row->state : '?';
}

/* Who calls vfork waits in D until its child has ended; this one ends when the pipe does. */
static pid_t start_held(int *ret_pipe)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (!pid) {
		close(ends[1]);
		prctl(PR_SET_NAME, "held-in-d");
		if (!vfork()) {
			char byte;
			(void)!read(ends[0], &byte, 1);
			_exit(0);
		}
		/* Awake: has run since, and is held no more. */
		for (;;)
			pause();
	}
	close(ends[0]);
	*ret_pipe = ends[1];
	return pid;
}

static void who_is_held_is_known_by_name_and_time(void **state)
{
	struct harness *harness = *state;
	int release;
	pid_t pid = start_held(&release);

	while (state_of(harness, pid) != 'D')
		usleep(1000);
	tick_later(harness, 0);
	uint32_t hung = harness->snap.processes.hung_10s, hung_120s = harness->snap.processes.hung_120s;
	assert_true(harness->snap.processes.blocked >= 1);
	assert_true(harness->snap.processes.states[strchr(PROCESS_STATES, 'D') - PROCESS_STATES] >= 1);
	pass(harness, 1, 11);
	const struct held_thread *row = held(harness, pid);
	assert_non_null(row);
	assert_string_equal(row->comm, "held-in-d");
	assert_int_equal(row->tid, pid);
	assert_int_equal(row->cgroup_id, snapshot_process(&harness->snap, pid)->cgroup_id);
	assert_true(row->held_ns >= 11 * NSEC_PER_SEC);
	assert_true(harness->snap.processes.hung_10s >= hung + 1);
	pass(harness, 12, 125);
	assert_true(harness->snap.processes.hung_120s >= hung_120s + 1);

	close(release);
	while (state_of(harness, pid) != 'S')
		usleep(1000);
	assert_null(held(harness, pid));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void zombies_are_their_parents(void **state)
{
	struct harness *harness = *state;
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	tick_later(harness, 0);
	uint32_t zombies = harness->snap.processes.zombies;
	pid_t pid = fork();
	if (!pid) {
		siginfo_t info;
		prctl(PR_SET_NAME, "does-not-wait");
		for (int i = 0; i < ZOMBIES; i++) {
			pid_t child = fork();
			if (!child)
				_exit(0);
			waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
		}
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	tick_later(harness, 0);

	const struct process_section *section = &harness->snap.processes;
	const struct zombie_parent *parent = NULL;
	for (uint32_t i = 0; i < section->zombie_parent_count; i++)
		if (section->zombie_parents[i].pid == pid)
			parent = &section->zombie_parents[i];
	assert_non_null(parent);
	assert_int_equal(parent->zombies, ZOMBIES);
	assert_string_equal(parent->comm, "does-not-wait");
	/* Others' may have gone meanwhile. */
	assert_true(section->zombies >= ZOMBIES && section->zombies + zombies >= ZOMBIES);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static uint32_t files_of(pid_t pid)
{
	char path[32];
	uint32_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *each = readdir(dir); each; each = readdir(dir))
		count += each->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void open_files_are_as_procfs_lists_them(void **state)
{
	struct harness *harness = *state;
	const struct rlimit limit = { .rlim_cur = FILES * 2, .rlim_max = FILES * 2 };
	static const int opened[] = { 3, 100, FILES };
	pid_t pids[3];
	char byte;
	int ready[2];

	assert_int_equal(pipe(ready), 0);
	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			setrlimit(RLIMIT_NOFILE, &limit);
			for (int n = 0; n < opened[i]; n++)
				(void)!dup(0);
			close(4 + i); /* a hole */
			(void)!write(ready[1], "x", 1);
			for (;;)
				pause();
		}
		assert_int_equal(read(ready[0], &byte, 1), 1);
	}
	/* One walk in five counts them. */
	for (int i = 0; i < 5; i++)
		tick_later(harness, 0);
	for (int i = 0; i < 3; i++) {
		const struct process *row = snapshot_process(&harness->snap, pids[i]);
		assert_non_null(row);
		assert_int_equal(row->files, files_of(pids[i]));
		assert_true((int)row->files >= opened[i]);
		assert_int_equal(row->files_max, limit.rlim_cur);
	}
	assert_true(snapshot_cgroup(&harness->snap, snapshot_process(&harness->snap, pids[2])->cgroup_id)->files >= FILES);
	assert_true(harness->snap.processes.files_allocated != UNKNOWN && harness->snap.processes.pid_max >= 301);
	for (int i = 0; i < 3; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close(ready[0]);
	close(ready[1]);
}

/* The same pid twice: the second has none of the first's past, and the cgroup has both lives. */
static void a_pid_that_comes_again_is_another(void **state)
{
	struct harness *harness = *state;
	struct own_cgroup cgroup = own_cgroup_make("reuse", 0);
	uint64_t cpu_ns[2], start_ns[2];
	pid_t pid = 0;

	tick_later(harness, 0);
	for (int i = 0; i < 2; i++) {
		int ready[2];
		char byte;
		assert_int_equal(pipe(ready), 0);
		pid_t born = own_cgroup_fork(&cgroup, pid);
		if (!born) {
			burn((i ? 20 : 200) * NSEC_PER_MSEC);
			(void)!write(ready[1], "x", 1);
			for (;;)
				pause();
		}
		assert_true(!pid || born == pid);
		pid = born;
		assert_int_equal(read(ready[0], &byte, 1), 1);
		usleep(20000); /* asleep: its clock is up to date */
		tick_later(harness, 0);
		const struct process *row = snapshot_process(&harness->snap, pid);
		assert_non_null(row);
		cpu_ns[i] = row->cpu_ns;
		start_ns[i] = row->start_ns;
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(ready[0]);
		close(ready[1]);
	}
	assert_true(start_ns[1] > start_ns[0]);
	assert_true(cpu_ns[0] >= 200 * NSEC_PER_MSEC && cpu_ns[1] >= 20 * NSEC_PER_MSEC && cpu_ns[1] < cpu_ns[0]);
	uint64_t truth = own_cgroup_usage_ns(&cgroup);
	const struct cgroup *row;
	do {
		usleep(10000);
		tick_later(harness, 0);
		row = snapshot_cgroup(&harness->snap, cgroup.id);
	} while (row->cpu_ns < truth - truth / 100);
	assert_true(row->cpu_ns <= truth + truth / 100);
	assert_int_equal(row->lives.forks, 2);
	assert_int_equal(row->lives.exits[EXIT_SIGNAL], 2);
	own_cgroup_remove(&cgroup);
}

static void each_signal_has_its_number(void **state)
{
	struct harness *harness = *state;
	static const int numbers[] = { SIGTERM, SIGSEGV, SIGUSR1, 40 };
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	uint64_t before[4];

	tick_later(harness, 0);
	for (int i = 0; i < 4; i++)
		before[i] = harness->snap.processes.exit_signals[numbers[i]];
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();
		if (!pid) {
			setrlimit(RLIMIT_CORE, &none);
			signal(numbers[i], SIG_DFL);
			raise(numbers[i]);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	tick_later(harness, 0);
	for (int i = 0; i < 4; i++)
		assert_true(harness->snap.processes.exit_signals[numbers[i]] > before[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_held_is_known_by_name_and_time, setup, teardown),
		cmocka_unit_test_setup_teardown(zombies_are_their_parents, setup, teardown),
		cmocka_unit_test_setup_teardown(open_files_are_as_procfs_lists_them, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pid_that_comes_again_is_another, setup, teardown),
		cmocka_unit_test_setup_teardown(each_signal_has_its_number, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
