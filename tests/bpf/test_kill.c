/* SPDX-License-Identifier: Apache-2.0 */
/* Fatal signals against processes that the test makes and ends: who sent what, what was not fatal, and how many there were. */
#include "harness.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { STORM = 5000 };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_kill);
	harness_tick(harness, &collector_kill);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_kill);
	harness_free(*state);
	return 0;
}

/* The newest event of this target; NULL: none. */
static const struct event *find(const struct harness *harness, pid_t pid)
{
	const struct event_section *events = &harness->snap.events;

	for (uint64_t seq = events->total; seq && seq + MAX_EVENTS > events->total; seq--) {
		const struct event *event = &events->each[seq % MAX_EVENTS];

		if (event->kind == EVENT_FATAL_SIGNAL && event->pid == pid)
			return event;
	}
	return NULL;
}

static const struct event *expect_one(const struct harness *harness, pid_t pid)
{
	const struct event *event = find(harness, pid);
	uint32_t count = 0;

	assert_non_null(event);
	for (uint32_t i = 0; i < MAX_EVENTS; i++)
		count += harness->snap.events.each[i].kind == EVENT_FATAL_SIGNAL && harness->snap.events.each[i].pid == pid;
	assert_int_equal(count, 1);
	return event;
}

/* fork() to a pid of our choice; -EEXIST where it is in use. */
static pid_t fork_as(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1 };
	long child = syscall(SYS_clone3, &args, sizeof(args));

	return child < 0 ? -errno : (pid_t)child;
}

/* A child in pause(), whose set-up is behind it, and which does not outlive a failed test. */
static pid_t sleeper_as(pid_t wanted, void (*prepare)(void))
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = wanted ? fork_as(wanted) : fork();
	if (!pid) {
		const struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (prepare)
			prepare();
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (pid > 0)
		assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static pid_t sleeper(void (*prepare)(void))
{
	pid_t pid = sleeper_as(0, prepare);

	assert_true(pid > 0);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static uint64_t start_of(pid_t pid)
{
	char path[32], line[512];
	unsigned long long ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	assert_int_equal(sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
				&ticks), 1);
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void a_kill_names_both_parties(void **state)
{
	struct harness *harness = *state;
	pid_t target = sleeper(NULL);
	uint64_t target_start = start_of(target);

	pid_t sender = fork();
	if (!sender) {
		prctl(PR_SET_NAME, "test-assassin");
		_exit(kill(target, SIGKILL) != 0);
	}
	assert_int_equal(end_of(sender), 0);
	assert_int_equal(WTERMSIG(end_of(target)), SIGKILL);
	harness_tick(harness, &collector_kill);

	const struct event *event = expect_one(harness, target);
	const struct fatal_record *record = &event->of.fatal.record;
	assert_int_equal(record->signal, SIGKILL);
	assert_int_equal(record->origin, FATAL_BY_TASK);
	assert_int_equal(record->code, SI_USER);
	assert_int_equal(record->sender.pid, sender);
	assert_int_equal(record->sender.uid, getuid());
	assert_string_equal(record->sender.comm, "test-assassin");
	assert_string_equal(record->target.comm, "test_kill");
	assert_string_equal(event->comm, "test_kill");
	assert_int_equal(record->sender.cgroup_id, record->target.cgroup_id);
	assert_true(record->target.cgroup_id != 0);
	assert_true(record->target.start_ns - target_start < 20 * NSEC_PER_MSEC); /* procfs rounds down to 10 ms */
	assert_true(record->sent_ns <= record->at_ns && record->at_ns <= harness->snap.boot_ns);
	assert_int_equal(event->of.fatal.killer, KILLER_OTHER);
}

static void a_known_name_is_credited(void **state)
{
	struct harness *harness = *state;
	pid_t target = sleeper(NULL);

	pid_t sender = fork();
	if (!sender) {
		prctl(PR_SET_NAME, "earlyoom");
		_exit(kill(target, SIGTERM) != 0);
	}
	assert_int_equal(end_of(sender), 0);
	assert_int_equal(WTERMSIG(end_of(target)), SIGTERM);
	uint64_t before = harness->snap.kills.ended[KILLER_EARLYOOM][SIGTERM];
	harness_tick(harness, &collector_kill);

	assert_int_equal(expect_one(harness, target)->of.fatal.killer, KILLER_EARLYOOM);
	assert_true(harness->snap.kills.ended[KILLER_EARLYOOM][SIGTERM] > before);
}

/* The agent's own: by its pid, and a worker by being its child. */
static void what_the_agent_kills_is_its_own(void **state)
{
	struct harness *harness = *state;
	pid_t by_agent = sleeper(NULL), by_worker = sleeper(NULL);
	int go[2];
	char byte;

	assert_int_equal(pipe(go), 0);
	pid_t worker = fork();
	if (!worker) {
		prctl(PR_SET_NAME, "earlyoom"); /* a name is not what counts */
		_exit(read(go[0], &byte, 1) != 1 || kill(by_worker, SIGKILL) != 0);
	}
	harness_open(harness, &collector_process);
	harness_tick(harness, &collector_process);
	harness_close(harness, &collector_process);
	kill(by_agent, SIGKILL);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(end_of(worker), 0);
	assert_int_equal(WTERMSIG(end_of(by_agent)), SIGKILL);
	assert_int_equal(WTERMSIG(end_of(by_worker)), SIGKILL);
	close(go[0]);
	close(go[1]);
	harness_tick(harness, &collector_kill);

	assert_int_equal(expect_one(harness, by_agent)->of.fatal.killer, KILLER_NODEMEND);
	assert_int_equal(expect_one(harness, by_worker)->of.fatal.killer, KILLER_NODEMEND);
	assert_int_equal(find(harness, by_worker)->of.fatal.record.sender.pid, worker);
}

static void a_fault_is_its_own(void **state)
{
	struct harness *harness = *state;
	pid_t pid = fork();

	if (!pid) {
		const struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would get it */
		*(volatile char *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) = 1;
		_exit(0);
	}
	assert_int_equal(WTERMSIG(end_of(pid)), SIGSEGV);
	harness_tick(harness, &collector_kill);

	const struct event *event = expect_one(harness, pid);
	assert_int_equal(event->of.fatal.record.signal, SIGSEGV);
	assert_int_equal(event->of.fatal.record.origin, FATAL_BY_FAULT);
	assert_int_equal(event->of.fatal.record.code, SEGV_ACCERR);
	assert_int_equal(event->of.fatal.killer, KILLER_KERNEL_FAULT);
}

static void an_abort_is_by_itself(void **state)
{
	struct harness *harness = *state;
	pid_t pid = fork();

	if (!pid) {
		const struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		abort();
	}
	assert_int_equal(WTERMSIG(end_of(pid)), SIGABRT);
	harness_tick(harness, &collector_kill);
	assert_int_equal(expect_one(harness, pid)->of.fatal.killer, KILLER_SELF);
	assert_int_equal(find(harness, pid)->of.fatal.record.signal, SIGABRT);
}

static void leave(int signal)
{
	_exit(3);
}

static void handle_term(void)
{
	(void)signal(SIGTERM, leave);
}

static void ignore_term(void)
{
	(void)signal(SIGTERM, SIG_IGN);
}

static void block_term(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void a_signal_that_does_not_end_is_none(void **state)
{
	struct harness *harness = *state;
	pid_t handling = sleeper(handle_term), ignoring = sleeper(ignore_term), blocking = sleeper(block_term);

	kill(handling, SIGTERM);
	kill(ignoring, SIGTERM);
	kill(blocking, SIGTERM);
	assert_int_equal(WEXITSTATUS(end_of(handling)), 3);
	harness_tick(harness, &collector_kill);
	assert_null(find(harness, handling));
	assert_null(find(harness, ignoring));
	assert_null(find(harness, blocking));

	/* The blocked one is still pending, from us; it dies of another, which is told alone. */
	kill(ignoring, SIGKILL);
	kill(blocking, SIGKILL);
	assert_int_equal(WTERMSIG(end_of(ignoring)), SIGKILL);
	assert_int_equal(WTERMSIG(end_of(blocking)), SIGKILL);
	harness_tick(harness, &collector_kill);
	assert_int_equal(expect_one(harness, ignoring)->of.fatal.record.signal, SIGKILL);
	assert_int_equal(expect_one(harness, blocking)->of.fatal.record.signal, SIGKILL);
}

static void *wait_in_thread(void *unused)
{
	while (pause())
		;
	return unused;
}

static void start_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 8; i++)
		if (pthread_create(&thread, NULL, wait_in_thread, NULL))
			_exit(1);
}

static void threads_die_once_and_by_the_first_cause(void **state)
{
	struct harness *harness = *state;
	pid_t pid = sleeper(start_threads);

	kill(pid, SIGTERM);
	assert_int_equal(WTERMSIG(end_of(pid)), SIGTERM);
	harness_tick(harness, &collector_kill);
	assert_int_equal(expect_one(harness, pid)->of.fatal.record.signal, SIGTERM);
	assert_int_equal(find(harness, pid)->of.fatal.record.sender.pid, getpid());
}

/* SIGKILL reaches the other threads of a process that execs or exits; nobody is killed by that. */
static void an_exec_and_an_exit_kill_nobody(void **state)
{
	struct harness *harness = *state;
	pid_t execs = fork();

	if (!execs) {
		block_term();
		start_threads();
		kill(getpid(), SIGTERM); /* a note that must not be taken for the cause */
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	pid_t exits = fork();
	if (!exits) {
		start_threads();
		exit(0);
	}
	assert_int_equal(end_of(execs), 0);
	assert_int_equal(end_of(exits), 0);
	harness_tick(harness, &collector_kill);
	assert_null(find(harness, execs));
	assert_null(find(harness, exits));
}

static void an_alarm_is_the_kernels(void **state)
{
	struct harness *harness = *state;
	pid_t pid = fork();

	if (!pid) {
		const struct itimerval soon = { .it_value.tv_usec = 1000 };

		(void)setitimer(ITIMER_REAL, &soon, NULL);
		for (;;)
			pause();
	}
	assert_int_equal(WTERMSIG(end_of(pid)), SIGALRM);
	harness_tick(harness, &collector_kill);
	assert_int_equal(expect_one(harness, pid)->of.fatal.killer, KILLER_KERNEL);
	assert_int_equal(find(harness, pid)->of.fatal.record.sender.pid, 0);
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* The signals of cgroup.kill are sent by the kernel in the name of whoever writes to it. From v5.14 on. */
static void cgroup_kill_names_its_writer(void **state)
{
	struct harness *harness = *state;
	const char *root = cgroup_root();
	char group[64], path[96], text[16];

	snprintf(group, sizeof(group), "%s/test-kill-%d", root, getpid());
	assert_int_equal(mkdir(group, 0755), 0);
	snprintf(path, sizeof(path), "%s/cgroup.kill", group);
	if (access(path, W_OK)) {
		rmdir(group);
		print_message("SKIP cgroup.kill: not on this kernel\n");
		return;
	}
	pid_t pid = sleeper(NULL);
	char procs[96];
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	snprintf(text, sizeof(text), "%d", pid);
	assert_true(write_text(procs, text));
	assert_true(write_text(path, "1"));
	assert_int_equal(WTERMSIG(end_of(pid)), SIGKILL);
	struct stat inode;
	assert_int_equal(stat(group, &inode), 0);
	assert_int_equal(rmdir(group), 0);
	harness_tick(harness, &collector_kill);

	const struct event *event = expect_one(harness, pid);
	assert_int_equal(event->of.fatal.record.sender.pid, getpid());
	assert_int_equal(event->cgroup_id, inode.st_ino);
	assert_true(event->of.fatal.record.sender.cgroup_id != event->cgroup_id);
}

/* A pid that comes again is another target. */
static void a_reused_pid_mixes_nobody_up(void **state)
{
	struct harness *harness = *state;
	pid_t first, second = 0;

	do { /* somebody else may take it first */
		first = sleeper(block_term);
		kill(first, SIGTERM); /* stays pending: a note of this pid */
		kill(first, SIGKILL);
		assert_int_equal(WTERMSIG(end_of(first)), SIGKILL);
		second = sleeper_as(first, NULL);
	} while (second == -EEXIST);
	assert_int_equal(second, first);
	pid_t sender = fork();
	if (!sender)
		_exit(kill(second, SIGTERM) != 0);
	assert_int_equal(end_of(sender), 0);
	assert_int_equal(WTERMSIG(end_of(second)), SIGTERM);
	harness_tick(harness, &collector_kill);

	const struct fatal_record *after = &find(harness, second)->of.fatal.record, *before = NULL;
	for (uint32_t i = 0; i < MAX_EVENTS; i++) {
		const struct event *event = &harness->snap.events.each[i];

		if (event->kind == EVENT_FATAL_SIGNAL && event->pid == first && event->of.fatal.record.signal == SIGKILL)
			before = &event->of.fatal.record;
	}
	assert_non_null(before);
	assert_int_equal(before->sender.pid, getpid());
	assert_int_equal(after->signal, SIGTERM);
	assert_int_equal(after->sender.pid, sender);
	assert_true(after->target.start_ns > before->target.start_ns);
}

static int pause_for_good(void *unused)
{
	while (pause())
		;
	return unused != NULL;
}

/* No tick in between: the ring is full, what has no record counts as of an unknown killer, and together it is all of them. */
static void a_storm_is_counted_whole(void **state)
{
	struct harness *harness = *state;
	static char stack[16384] __attribute__((aligned(16)));
	uint64_t before[KILLER_COUNT], more = 0, unknown;

	for (int k = 0; k < KILLER_COUNT; k++)
		before[k] = harness->snap.kills.ended[k][SIGUSR2];
	for (int i = 0; i < STORM; i++) {
		/* A process that shares our memory: nothing is copied. */
		pid_t pid = clone(pause_for_good, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

		assert_true(pid > 0);
		kill(pid, SIGUSR2); /* nobody else's */
		assert_int_equal(WTERMSIG(end_of(pid)), SIGUSR2);
	}
	harness_tick(harness, &collector_kill);

	for (int k = 0; k < KILLER_COUNT; k++)
		more += harness->snap.kills.ended[k][SIGUSR2] - before[k];
	unknown = harness->snap.kills.ended[KILLER_UNKNOWN][SIGUSR2] - before[KILLER_UNKNOWN];
	assert_int_equal(more, STORM);
	assert_true(unknown > 0 && unknown < STORM);
	assert_true(harness->status[COLLECTOR_KILL].events_lost >= unknown);

	/* And the next one has its record again. */
	pid_t pid = sleeper(NULL);
	kill(pid, SIGUSR2);
	(void)end_of(pid);
	harness_tick(harness, &collector_kill);
	assert_int_equal(expect_one(harness, pid)->of.fatal.record.signal, SIGUSR2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kill_names_both_parties, setup, teardown),
		cmocka_unit_test_setup_teardown(a_known_name_is_credited, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_agent_kills_is_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fault_is_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(an_abort_is_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_that_does_not_end_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_die_once_and_by_the_first_cause, setup, teardown),
		cmocka_unit_test_setup_teardown(an_exec_and_an_exit_kill_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(an_alarm_is_the_kernels, setup, teardown),
		cmocka_unit_test_setup_teardown(cgroup_kill_names_its_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reused_pid_mixes_nobody_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_storm_is_counted_whole, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
