/* SPDX-License-Identifier: Apache-2.0 */
/* Records of usage: a process that works is told of slice by slice while it lives, and slices, records and totals agree. */
#include "own_cgroup.h"

#include <sys/mman.h>

#include "collect/task.h"

enum { PAGE = 1 << 20, WRITES = 6, GROWN = 48 << 20, METADATA = 1 << 16 };

static const struct collector *const all[] = { &collector_task, &collector_process };

struct told {
	uint32_t slices, ends, count;
	union usage sum;
	struct task_event last;
};

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness->config.slice_cpu_ns = 50 * NSEC_PER_MSEC;
	harness->config.slice_io_bytes = 2 * PAGE;
	harness->config.slice_rss_bytes = 32 << 20;
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

static void tick(struct harness *harness, pid_t pid, struct told *told)
{
	uint32_t count;

	for (int i = 0; i < 2; i++)
		harness_tick(harness, all[i]);
	const struct task_event *events = task_events(harness->state[COLLECTOR_TASK], &count);
	for (uint32_t i = 0; i < count; i++) {
		if (events[i].pid != pid || events[i].kind == TASK_EVENT_EXEC)
			continue;
		told->slices += events[i].kind == TASK_EVENT_SLICE;
		told->ends += events[i].kind == TASK_EVENT_EXIT;
		for (int word = 0; word < USAGE_COUNT; word++)
			told->sum.each[word] += events[i].slice.each[word];
		told->last = events[i];
	}
}

/* Answers each byte with a piece of work: 120 ms of processor, 6 MiB written, 48 MiB grown. */
static void work(int requests, int answers)
{
	char path[] = "/var/tmp/nodemend-test-XXXXXX", byte;
	int fd = mkstemp(path);

	unlink(path);
	while (read(requests, &byte, 1) == 1) {
		char *memory = mmap(NULL, GROWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t spent = (uint64_t)clock() * (NSEC_PER_SEC / CLOCKS_PER_SEC);

		if (byte == 'c')
			burn(spent + 120 * NSEC_PER_MSEC);
		for (int i = 0; byte == 'w' && i < WRITES; i++)
			if (write(fd, memory, PAGE) != PAGE)
				_exit(1);
		if (byte == 'm')
			memset(memory, 1, GROWN);
		if (write(answers, &byte, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void ask(int requests, int answers, char what)
{
	char byte;

	assert_int_equal(write(requests, &what, 1), 1);
	assert_int_equal(read(answers, &byte, 1), 1);
}

static void slices_add_up_to_the_whole(void **state)
{
	struct harness *harness = *state;
	struct own_cgroup cgroup = own_cgroup_make("slices", 0);
	struct told told = { .slices = 0 };
	uint64_t events = harness->snap.events.by_kind[EVENT_USAGE];
	int requests[2], answers[2];

	assert_int_equal(pipe(requests), 0);
	assert_int_equal(pipe(answers), 0);
	tick(harness, -1, &told);
	pid_t pid = own_cgroup_fork(&cgroup, 0);
	if (!pid) {
		close(requests[1]);
		work(requests[0], answers[1]);
	}
	close(requests[0]);
	/* Each kind of slice by itself: the walk that meets it writes it, the next tick reads it. */
	for (const char *what = "cwmc"; *what; what++) {
		uint32_t before = told.slices;
		ask(requests[1], answers[0], *what);
		tick(harness, pid, &told);
		tick(harness, pid, &told);
		assert_int_equal(told.slices, before + 1);
		tick(harness, pid, &told); /* nothing used, nothing told */
		assert_int_equal(told.slices, before + 1);
	}
	assert_int_equal(told.last.kind, TASK_EVENT_SLICE);
	assert_true(told.last.peak_rss_bytes >= GROWN);
	close(requests[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	tick(harness, pid, &told);

	assert_int_equal(told.ends, 1);
	for (int word = 0; word < USAGE_COUNT; word++)
		assert_int_equal(told.sum.each[word], told.last.used.each[word]);
	/* The filesystem may dirty a page of its own. */
	assert_in_range(told.last.used.written_bytes, WRITES * PAGE, WRITES * PAGE + METADATA);
	assert_true(told.last.used.cpu_ns >= 230 * NSEC_PER_MSEC);
	assert_true(harness->snap.events.by_kind[EVENT_USAGE] >= events + 5);

	/* The map's total of its cgroup: the same bytes, and no less time. */
	const struct cgroup *row = snapshot_cgroup(&harness->snap, cgroup.id);
	assert_non_null(row);
	while (row->cpu_ns < told.last.used.cpu_ns || row->written_bytes < told.last.used.written_bytes) {
		tick(harness, pid, &told);
		row = snapshot_cgroup(&harness->snap, cgroup.id);
	}
	assert_in_range(row->written_bytes, told.last.used.written_bytes, told.last.used.written_bytes + METADATA);
	assert_true(row->voluntary_switches >= told.last.used.voluntary_switches);
	assert_true(row->run_delay_ns >= told.last.used.run_delay_ns);
	close(answers[0]);
	close(answers[1]);
	own_cgroup_remove(&cgroup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slices_add_up_to_the_whole, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
