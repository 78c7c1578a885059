/* SPDX-License-Identifier: Apache-2.0 */
/* The task collector against processes the test makes: their end is recorded with their cost, and totals hold when the ring is full. */
#include "harness.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "collect/task.h"

enum { TOUCHED = 32 << 20, WRITTEN = 1 << 20, MANY = 4000 };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_task);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_task);
	harness_free(*state);
	return 0;
}

static const struct task_event *find(const struct harness *harness, enum task_event_kind kind, pid_t pid)
{
	uint32_t count;
	const struct task_event *events = task_events(harness->state[COLLECTOR_TASK], &count);

	for (uint32_t i = 0; i < count; i++)
		if (events[i].kind == kind && events[i].pid == pid)
			return &events[i];
	return NULL;
}

static uint64_t exits_of(const struct harness *harness)
{
	const uint64_t *exits = (const uint64_t *)harness->snap.processes.lives.exits;
	return exits[EXIT_OK] + exits[EXIT_ERROR] + exits[EXIT_SIGNAL];
}

static void burn_and_write(const char *path)
{
	struct rusage usage;
	char *memory = mmap(NULL, TOUCHED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	memset(memory, 1, TOUCHED);
	if (write(fd, memory, WRITTEN) != WRITTEN)
		_exit(1);
	do
		(void)getrusage(RUSAGE_SELF, &usage);
	while (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec < 100000 && !usage.ru_utime.tv_sec && !usage.ru_stime.tv_sec);
	_exit(7);
}

static void an_end_is_recorded_with_its_cost(void **state)
{
	struct harness *harness = *state;
	char path[] = "/var/tmp/nodemend-test-XXXXXX";
	struct rusage usage;
	int status, fd = mkstemp(path);

	assert_true(fd >= 0);
	harness_tick(harness, &collector_task);
	uint64_t errors = harness->snap.processes.lives.exits[EXIT_ERROR];
	pid_t pid = fork();
	if (!pid)
		burn_and_write(path);
	assert_int_equal(wait4(pid, &status, 0, &usage), pid);
	close(fd);
	unlink(path);
	harness_tick(harness, &collector_task);

	const struct task_event *event = find(harness, TASK_EVENT_EXIT, pid);
	uint64_t truth = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NSEC_PER_SEC +
		(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * NSEC_PER_USEC;
	assert_non_null(event);
	assert_int_equal(event->ppid, getpid());
	assert_int_equal(event->exit_code, status);
	assert_int_equal(WEXITSTATUS(event->exit_code), 7);
	assert_string_equal(event->comm, "test_task");
	assert_true(event->used.cpu_ns > 95 * NSEC_PER_MSEC && event->used.cpu_ns < truth + 20 * NSEC_PER_MSEC);
	assert_in_range(event->used.written_bytes, WRITTEN, WRITTEN + 65536);
	assert_true(event->peak_rss_bytes >= TOUCHED && event->peak_rss_bytes <= (uint64_t)usage.ru_maxrss * 1024);
	assert_true(event->at_ns > event->start_ns && event->at_ns <= harness->snap.boot_ns);
	assert_true(harness->snap.processes.lives.exits[EXIT_ERROR] > errors);
}

static void a_signal_and_an_exec_are_told(void **state)
{
	struct harness *harness = *state;

	harness_tick(harness, &collector_task);
	uint64_t execs = harness->snap.processes.lives.execs, signals = harness->snap.processes.lives.exits[EXIT_SIGNAL];
	pid_t killed = fork();
	if (!killed)
		for (;;)
			pause();
	kill(killed, SIGKILL);
	waitpid(killed, NULL, 0);
	pid_t execed = fork();
	if (!execed) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	waitpid(execed, NULL, 0);
	harness_tick(harness, &collector_task);

	assert_int_equal(find(harness, TASK_EVENT_EXIT, killed)->exit_code & 0x7f, SIGKILL);
	assert_string_equal(find(harness, TASK_EVENT_EXEC, execed)->comm, "true");
	assert_string_equal(find(harness, TASK_EVENT_EXIT, execed)->comm, "true");
	assert_true(harness->snap.processes.lives.execs > execs);
	assert_true(harness->snap.processes.lives.exits[EXIT_SIGNAL] > signals);
}

/* No tick in between: the ring fills up, the totals go on, and what has no record is counted. */
/* What nobody asked for was not counted: a reload that asks for something else counts from now, one that asks for the same goes on. */
static void a_new_question_about_crashes_counts_from_now(void **state)
{
	struct harness *harness = *state;
	struct config *asks = calloc(1, sizeof(*asks)), *again = calloc(1, sizeof(*again));

	assert_non_null(asks);
	assert_non_null(again);
	harness_tick(harness, &collector_task);
	uint64_t first = harness->snap.crashes.since_ns;
	asks->policy_count = asks->policies[0].when_count = 1;
	asks->policies[0].when[0].op = PREDICATE_LEAF;
	asks->policies[0].when[0].condition = (struct condition){ .kind = CONDITION_CRASH, .signals = 1 << SIGSEGV };
	memcpy(again, asks, sizeof(*again));
	harness->env.config = asks;
	harness_tick(harness, &collector_task);
	uint64_t second = harness->snap.crashes.since_ns;
	assert_true(second > first && second == harness->snap.boot_ns);
	harness->env.config = again;
	harness_tick(harness, &collector_task);
	assert_int_equal(harness->snap.crashes.since_ns, second);
	harness->env.config = &harness->config;
	free(asks);
	free(again);
}

static void totals_hold_when_the_ring_is_full(void **state)
{
	struct harness *harness = *state;

	harness_many(MANY);
	harness_tick(harness, &collector_task);
	uint64_t exits = exits_of(harness), forks = harness->snap.processes.lives.forks;
	for (int i = 0; i < MANY; i++) {
		pid_t pid = fork();
		if (!pid)
			_exit(0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	harness_tick(harness, &collector_task);

	uint32_t kept;
	(void)task_events(harness->state[COLLECTOR_TASK], &kept);
	uint64_t ended = exits_of(harness) - exits, lost = harness->status[COLLECTOR_TASK].events_lost;
	assert_true(ended >= MANY && harness->snap.processes.lives.forks - forks >= MANY);
	assert_true(kept < MANY && lost > 0);
	assert_true(kept + lost >= ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_end_is_recorded_with_its_cost, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_and_an_exec_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_question_about_crashes_counts_from_now, setup, teardown),
		cmocka_unit_test_setup_teardown(totals_hold_when_the_ring_is_full, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
