/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stalls to find memory, against the kernel's own counts. Compaction anywhere; reclaim at a limit where cgroup v2 has the memory
 * controller; of the node with NODEMEND_TEST_MAY_EXHAUST=1, in a machine that may.
 */
#include "memcg.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, FILE_MIB = 64 };
#define GROUP "test-reclaim"

static const char *no_memcg;

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_reclaim);
	harness_tick(harness, &collector_reclaim);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_reclaim);
	harness_free(*state);
	return 0;
}

static struct stalls of_cgroup(const struct harness *harness, uint64_t id)
{
	for (uint32_t i = 0; i < harness->snap.reclaim.count; i++)
		if (harness->snap.reclaim.each[i].id == id)
			return harness->snap.reclaim.each[i].stalls;
	return (struct stalls){ 0 };
}

static uint64_t samples(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->buckets[i];
	return count;
}

static void check_sums(const struct harness *harness)
{
	struct stalls sum = { 0 };

	for (uint32_t i = 0; i < harness->snap.reclaim.count; i++)
		for (int kind = 0; kind < STALL_KINDS; kind++)
			sum.of[kind].count += harness->snap.reclaim.each[i].stalls.of[kind].count;
	for (int kind = 0; kind < STALL_KINDS; kind++) {
		const struct stall_node *node = &harness->snap.reclaim.node[kind];

		assert_int_equal(samples(&node->latency), node->sums.count);
		assert_int_equal(node->latency.sum_ns, node->sums.ns);
		assert_int_equal(sum.of[kind].count, node->sums.count);
	}
	assert_int_equal(harness->status[COLLECTOR_RECLAIM].events_lost, 0);
}

/* A task that has all zones compacted waits for it, zone by zone. */
static void compaction_is_a_stall(void **state)
{
	struct harness *harness = *state;
	uint64_t before = harness->snap.reclaim.node[STALL_COMPACTION].sums.count;
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	uint64_t started = clock_boot_ns();
	assert_int_equal(write(fd, "1", 1), 1);
	uint64_t took = clock_boot_ns() - started;
	close(fd);
	harness_tick(harness, &collector_reclaim);

	const struct stall_node *node = &harness->snap.reclaim.node[STALL_COMPACTION];
	assert_true(node->sums.count > before);
	assert_true(node->sums.ns > 0);
	if (node->sums.count - before <= 4) /* nobody else's: a zone each */
		assert_true(node->sums.ns <= took);
	check_sums(harness);
}

/* A child in the group runs `act`; how it ended. */
static int run_in_group(bool (*act)(int fd), int fd)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!memcg_write(GROUP, "cgroup.procs", "0"))
			_exit(1);
		_exit(!act(fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool read_through(int fd)
{
	static char buffer[MIB];

	for (int i = 0; i < FILE_MIB; i++)
		if (pread(fd, buffer, MIB, (off_t)i * MIB) != MIB)
			return false;
	return true;
}

static bool outgrow(int unused)
{
	char *memory = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; memory != MAP_FAILED && at < 32 * MIB; at += 4096)
		memory[at] = 1;
	return false;
}

/* Whoever runs into a limit reclaims before he is killed for it; the kernel counts how often he ran into it. */
static void a_limit_is_not_the_node(void **state)
{
	struct harness *harness = *state;

	if (no_memcg) {
		print_message("SKIP a_limit_is_not_the_node: %s\n", no_memcg);
		return;
	}
	uint64_t id = memcg_make(GROUP, "16M");
	assert_int_equal(WTERMSIG(run_in_group(outgrow, -1)), SIGKILL);
	uint64_t met = memcg_stat(GROUP, "memory.events", "max");
	memcg_remove(GROUP);
	harness_tick(harness, &collector_reclaim);

	struct stalls stalls = of_cgroup(harness, id);
	assert_true(met != UNKNOWN && met > 0);
	/* A charge that is let through all the same counts there, too, without a reclaim. */
	assert_in_range(stalls.of[STALL_RECLAIM_LIMIT].count, met - met / 4 - 1, met);
	assert_true(stalls.of[STALL_RECLAIM_LIMIT].ns > 0);
	assert_int_equal(stalls.of[STALL_RECLAIM_NODE].count, 0);
	check_sums(harness);
}

/* A file of 64 MiB goes through a cgroup of 16: the pages that were given up are those that the cgroup lost. */
static void pages_are_those_that_went(void **state)
{
	struct harness *harness = *state;
	char path[] = "/var/tmp/nodemend-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	if (no_memcg || posix_fallocate(fd, 0, FILE_MIB * MIB) || fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) {
		print_message("SKIP pages_are_those_that_went: %s\n", no_memcg ? no_memcg : "no room in /var/tmp");
		close(fd);
		return;
	}
	uint64_t id = memcg_make(GROUP, "16M");
	assert_int_equal(run_in_group(read_through, fd), 0);
	uint64_t stolen = memcg_stat(GROUP, "memory.stat", "pgsteal_direct");
	if (stolen == UNKNOWN)
		stolen = memcg_stat(GROUP, "memory.stat", "pgsteal"); /* before v6.1 */
	close(fd);
	memcg_remove(GROUP);
	harness_tick(harness, &collector_reclaim);

	struct stalls stalls = of_cgroup(harness, id);
	assert_true(stolen != UNKNOWN && stolen > 0);
	/* Slab pages are reclaimed along, which the cgroup's figure leaves out. */
	assert_in_range(stalls.of[STALL_RECLAIM_LIMIT].pages, stolen, stolen + stolen / 2 + 1024);
}

static uint64_t all_stalls(void)
{
	static const char *const zones[] = { "allocstall_dma", "allocstall_dma32", "allocstall_normal", "allocstall_movable",
		"allocstall_device" };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		uint64_t count = memcg_number("/proc/vmstat", zones[i]);
		sum += count == UNKNOWN ? 0 : count;
	}
	return sum;
}

static void the_node_itself(void **state)
{
	struct harness *harness = *state;
	const char *allowed = getenv("NODEMEND_TEST_MAY_EXHAUST");
	uint64_t total = memcg_number("/proc/meminfo", "MemTotal:") * 1024, before = all_stalls();
	uint64_t balanced = memcg_number("/proc/vmstat", "pageoutrun");

	if (!allowed || strcmp(allowed, "1") != 0) {
		print_message("SKIP the_node_itself: NODEMEND_TEST_MAY_EXHAUST is not 1\n");
		return;
	}
	pid_t pid = fork();
	if (!pid) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		char *memory = mmap(NULL, total * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (fd < 0 || write(fd, "1000", 4) != 4 || memory == MAP_FAILED)
			_exit(1);
		for (size_t at = 0; at < total * 2; at += 4096)
			memory[at] = 1;
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	uint64_t stalls = all_stalls() - before;
	balanced = memcg_number("/proc/vmstat", "pageoutrun") - balanced;
	harness_tick(harness, &collector_reclaim);

	/* The kernel counts one that starts over twice. */
	uint64_t counted = harness->snap.reclaim.node[STALL_RECLAIM_NODE].sums.count;
	assert_true(stalls > 0);
	assert_in_range(counted, (stalls + 1) / 2, stalls);
	assert_int_equal(harness->snap.reclaim.kswapd_wakes, balanced);
	check_sums(harness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(compaction_is_a_stall, setup, teardown),
		cmocka_unit_test_setup_teardown(a_limit_is_not_the_node, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_are_those_that_went, setup, teardown),
		cmocka_unit_test_setup_teardown(the_node_itself, setup, teardown),
	};
	no_memcg = memcg_prepare();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	memcg_done();
	return failed;
}
