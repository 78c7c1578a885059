/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups that come and go faster than ticks: what their members did is theirs, by name, to the last fork; and nothing of them stays. */
#include "own_cgroup.h"

#include <linux/bpf.h>

#include "collect/bpf.h"
#include "collect/task.h"

enum { LIVES = 300, CHURN = 2000, STORM_MS = 4000, LIFE_NS = 10 * 1000 * 1000 };

static const struct collector *const all[] = { &collector_cpu, &collector_memory, &collector_task, &collector_process, &collector_cgroup };
enum { ALL = sizeof(all) / sizeof(all[0]) };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	for (int i = 0; i < ALL; i++)
		harness_open(harness, all[i]);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	for (int i = ALL; i-- > 0;)
		harness_close(*state, all[i]);
	harness_free(*state);
	return 0;
}

static void tick_later(struct harness *harness, uint64_t later_ns)
{
	uint64_t now = clock_boot_ns() + later_ns;

	harness->snap.elapsed_ns = harness->snap.boot_ns ? now - harness->snap.boot_ns : 0;
	harness->snap.boot_ns = now;
	for (int i = 0; i < ALL; i++)
		assert_int_equal(all[i]->collect(harness->state[all[i]->id], &harness->snap, true, &harness->status[all[i]->id]), 0);
}

static void tick(struct harness *harness)
{
	tick_later(harness, 0);
}

/* Three ways to end, in turn, each after a millisecond of work. */
static void live_and_end(const struct own_cgroup *cgroup, int i)
{
	pid_t pid = own_cgroup_fork(cgroup, 0);

	if (!pid) {
		burn(NSEC_PER_MSEC);
		if (i % 3 == 2)
			raise(SIGKILL);
		_exit(i % 3);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void each_life_is_its_cgroups_own(void **state)
{
	struct harness *harness = *state;
	struct own_cgroup cgroups[2] = { own_cgroup_make("storm", 0), own_cgroup_make("storm", 1) };
	/* What the machine below takes from an emulated processor is booked for whoever is on it, on its last way out, too, when nobody asks any more. */
	uint64_t killed, truth[2], lost, permille = test_slowness() == 1 ? 10 : 100;

	tick(harness);
	lost = harness_lost(harness, &collector_task);
	killed = harness->snap.processes.exit_signals[SIGKILL];
	for (int i = 0; i < LIVES; i++) {
		live_and_end(&cgroups[0], i);
		if (i % 2)
			live_and_end(&cgroups[1], i / 2);
	}
	for (int i = 0; i < 2; i++)
		truth[i] = own_cgroup_usage_ns(&cgroups[i]);
	tick(harness);
	lost = harness_lost(harness, &collector_task) - lost; /* of what was one life's, all may be missing */
	/* The last of it is told when the kernel frees the task, a grace period after it was reaped. */
	for (int i = 0; i < 2; i++) {
		uint64_t apart = truth[i] * permille / 1000;
		const struct cgroup *row;
		int tries = 0;
		do {
			usleep(10000);
			tick(harness);
			row = snapshot_cgroup(&harness->snap, cgroups[i].id);
			assert_non_null(row);
		} while (!lost && row->cpu_ns < truth[i] - apart && tries++ < 1000);
		assert_true(lost || row->cpu_ns >= truth[i] - apart);
		uint64_t lives = i ? LIVES / 2 : LIVES;
		assert_string_equal(row->path, own_cgroup_name(&cgroups[i]));
		assert_all_but(row->lives.forks, lives, lost);
		for (int cause = 0; cause < EXIT_CAUSES; cause++)
			assert_all_but(row->lives.exits[cause], lives / 3, lost);
		assert_true(row->cpu_ns < truth[i] + apart);
		assert_true(row->voluntary_switches + row->involuntary_switches + lost >= lives);
		assert_int_equal(row->processes, 0);
		own_cgroup_remove(&cgroups[i]);
	}
	assert_true(harness->snap.processes.exit_signals[SIGKILL] - killed + lost >= LIVES / 3 + LIVES / 2 / 3);
}

static void ten_milliseconds_are_enough_for_a_name(void **state)
{
	struct harness *harness = *state;

	tick(harness);
	struct own_cgroup cgroup = own_cgroup_make("short", 0);
	live_and_end(&cgroup, 0);
	own_cgroup_remove(&cgroup);
	tick(harness);

	const struct cgroup *row = snapshot_cgroup(&harness->snap, cgroup.id);
	assert_non_null(row);
	assert_string_equal(row->path, own_cgroup_name(&cgroup));
	assert_int_equal(row->lives.forks, 1);
	assert_true(row->cpu_ns >= NSEC_PER_MSEC / 2);
	assert_false(snapshot_cgroup_gone(&harness->snap, cgroup.id));
	tick_later(harness, 3 * NSEC_PER_SEC);
	assert_true(snapshot_cgroup_gone(&harness->snap, cgroup.id));
	assert_false(snapshot_cgroup_gone(&harness->snap, cgroup.id + 1));
	tick_later(harness, 14 * NSEC_PER_SEC);
	assert_false(snapshot_cgroup_gone(&harness->snap, cgroup.id));
}

static union lives all_lives(const struct snapshot *snap)
{
	union lives sum = snap->cgroups.rest_lives;

	for (uint32_t i = 0; i < snap->cgroups.count; i++)
		for (int word = 0; word < LIVES_COUNT; word++)
			sum.each[word] += snap->cgroups.each[i].lives.each[word];
	return sum;
}

static uint32_t kernel_rows(void)
{
	uint64_t key, next;
	uint32_t count = 0;
	int fd = object_shared_map(TASK_LIVES_MAP);

	for (bool more = !bpf_map_get_next_key(fd, NULL, &next); more && count < 100000; more = !bpf_map_get_next_key(fd, &key, &next)) {
		key = next;
		count++;
	}
	return count;
}

/* Rows of the churned go with them, here and in the kernel; what they did stays in the rest. */
static void churn_leaves_nothing(void **state)
{
	struct harness *harness = *state;

	tick(harness);
	uint64_t forks = harness->snap.processes.lives.forks;
	uint32_t before = kernel_rows();
	int churn = CHURN / test_slowness();
	for (int i = 0; i < churn; i++) {
		struct own_cgroup cgroup = own_cgroup_make("churn", i);
		pid_t pid = own_cgroup_fork(&cgroup, 0);
		if (!pid)
			_exit(0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		own_cgroup_remove(&cgroup);
		if (i % 200 == 199)
			tick(harness);
	}
	tick(harness);
	assert_true(harness->snap.processes.lives.forks - forks + harness_lost(harness, &collector_task) >= (uint64_t)churn);
	assert_true(harness->snap.cgroups.count <= MAX_CGROUPS);
	for (int i = 1; i <= 4; i++)
		tick_later(harness, (uint64_t)i * 62 * NSEC_PER_SEC);

	union lives sum = all_lives(&harness->snap);
	assert_true(kernel_rows() < before + (uint32_t)churn / 20);
	assert_true(harness->snap.cgroups.count < (uint32_t)churn / 20 + before + 64);
	assert_int_equal(harness->status[COLLECTOR_CGROUP].events_lost, 0);
	/* The totals are read a moment before the rows. */
	assert_true(sum.forks >= harness->snap.processes.lives.forks);
	assert_true(sum.forks <= harness->snap.processes.lives.forks + 200);
}

static uint32_t rows_called(const struct snapshot *snap, const char *path, uint64_t *ret_id)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		if (strcmp(snap->cgroups.each[i].path, path) != 0)
			continue;
		count++;
		*ret_id = snap->cgroups.each[i].id;
	}
	return count;
}

/* A service that is started again: two rows of one name would be two series of the same labels. */
static void a_name_has_one_row(void **state)
{
	struct harness *harness = *state;
	char path[PATH_LEN] = "";
	uint64_t id = 0;

	for (int turn = 0; turn < 3; turn++) {
		struct own_cgroup cgroup = own_cgroup_make("again", 0);
		pid_t pid = own_cgroup_fork(&cgroup, 0);
		if (!pid)
			for (;;)
				pause();
		tick(harness);
		tick(harness); /* named by now, and the one before is known to be empty */
		const struct cgroup *row = snapshot_cgroup(&harness->snap, cgroup.id);
		assert_non_null(row);
		assert_true(!turn || strcmp(path, row->path) == 0);
		snprintf(path, sizeof(path), "%s", row->path);
		assert_int_equal(rows_called(&harness->snap, path, &id), 1);
		assert_int_equal(id, cgroup.id);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		own_cgroup_remove(&cgroup);
		tick(harness);
		assert_int_equal(rows_called(&harness->snap, path, &id), 1); /* empty, and kept for a while */
	}
}

enum { WRITTEN = 1 << 20, METADATA = 1 << 16 }; /* the filesystem may dirty a page of its own */

/* The kernel adds a child's bytes to the parent that waits for it, and shows them in /proc/PID/io: they must not count twice. */
static void a_parent_has_not_written_what_its_children_wrote(void **state)
{
	struct harness *harness = *state;
	struct own_cgroup cgroup = own_cgroup_make("parent", 0);
	char path[] = "/var/tmp/nodemend-test-XXXXXX";
	int fd = mkstemp(path), done[2], go[2];
	static char bytes[WRITTEN];
	char byte;

	unlink(path);
	assert_int_equal(pipe(done), 0);
	assert_int_equal(pipe(go), 0);
	tick(harness);
	pid_t pid = own_cgroup_fork(&cgroup, 0);
	if (!pid) {
		for (int i = 0; i < 3; i++) {
			pid_t child = fork();
			if (!child)
				_exit(write(fd, bytes, sizeof(bytes)) != sizeof(bytes));
			waitpid(child, NULL, 0);
		}
		_exit(write(done[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1);
	}
	assert_int_equal(read(done[0], &byte, 1), 1);
	usleep(50000);
	tick(harness);
	assert_int_equal(snapshot_process(&harness->snap, pid)->written_bytes, 0);
	assert_in_range(snapshot_cgroup(&harness->snap, cgroup.id)->written_bytes, 3 * WRITTEN, 3 * WRITTEN + METADATA);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	usleep(50000);
	tick(harness);
	assert_in_range(snapshot_cgroup(&harness->snap, cgroup.id)->written_bytes, 3 * WRITTEN, 3 * WRITTEN + METADATA);
	for (int i = 0; i < 2; i++) {
		close(done[i]);
		close(go[i]);
	}
	close(fd);
	own_cgroup_remove(&cgroup);
}

/* All that the kernel has booked for the processors, in whatever mode. */
static uint64_t booked_ns(void)
{
	unsigned long long ticks[8];
	uint64_t sum = 0;
	FILE *file = fopen("/proc/stat", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4],
				&ticks[5], &ticks[6], &ticks[7]), 8);
	fclose(file);
	for (int i = 0; i < 8; i++)
		sum += ticks[i];
	return sum * NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void storm_until(uint64_t until)
{
	while (clock_boot_ns() < until) {
		pid_t pid = fork();
		if (!pid) {
			burn(2 * NSEC_PER_MSEC);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	_exit(0);
}

/*
 * Thousands of processes that no walk ever meets: what the node's processors did is still somebody's. As many storms as processors: the
 * kernel samples the node's times at its ticks, and a tick that always meets work is exact.
 */
static void the_sum_is_the_node(void **state)
{
	struct harness *harness = *state;
	char path[] = "/var/tmp/nodemend-test-XXXXXX";
	static char bytes[WRITTEN];
	uint64_t until = clock_boot_ns() + STORM_MS * NSEC_PER_MSEC;
	long storms = sysconf(_SC_NPROCESSORS_ONLN);
	int fd = mkstemp(path);

	unlink(path);
	tick(harness);
	uint64_t begun = clock_boot_ns(), booked = booked_ns(), lost = harness_lost(harness, &collector_task);
	for (long i = 0; i < storms; i++)
		if (!fork())
			storm_until(until);
	while (clock_boot_ns() < until) {
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
		usleep(200000);
		tick(harness);
	}
	while (wait(NULL) > 0)
		;
	close(fd);
	usleep(50000);
	tick(harness);
	booked = booked_ns() - booked;
	lost = harness_lost(harness, &collector_task) - lost;
	if (booked < (clock_boot_ns() - begun) * (uint64_t)storms / 100 * 98) { /* an emulator that is not on time loses the guest's ticks */
		print_message("SKIP the kernel booked only %llu ms: there is no truth to compare with\n", (unsigned long long)(booked / NSEC_PER_MSEC));
		skip();
	}

	const struct attribution *cpu = &harness->snap.processes.attribution[ATTRIBUTED_CPU];
	const struct attribution *read = &harness->snap.processes.attribution[ATTRIBUTED_READ];
	const struct attribution *written = &harness->snap.processes.attribution[ATTRIBUTED_WRITTEN];
	print_message("cpu %llu of %llu, read %llu of %llu, written %llu of %llu\n", (unsigned long long)cpu->groups,
		      (unsigned long long)cpu->node, (unsigned long long)read->groups, (unsigned long long)read->node,
		      (unsigned long long)written->groups, (unsigned long long)written->node);
	assert_true(cpu->node > NSEC_PER_SEC && written->node > 10 * WRITTEN);
	uint64_t apart = cpu->node / 100 * (test_slowness() == 1 ? 2 : 5); /* of a guest's ticks some come late */
	assert_true(cpu->groups + lost * LIFE_NS >= cpu->node - apart && cpu->groups <= cpu->node + apart);
	/* Others may write directly, which the node does not count. */
	assert_true(written->groups >= written->node / 100 * 98);
	assert_true(read->groups >= read->node / 100 * 98);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_life_is_its_cgroups_own, setup, teardown),
		cmocka_unit_test_setup_teardown(ten_milliseconds_are_enough_for_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(churn_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_has_one_row, setup, teardown),
		cmocka_unit_test_setup_teardown(a_parent_has_not_written_what_its_children_wrote, setup, teardown),
		cmocka_unit_test_setup_teardown(the_sum_is_the_node, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
