/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OOM kills of real growers at a real limit: victim, asker and limit are told, the signal is credited to the kernel, the minute before
 * was kept, and the innocent beside it is not named. With NODEMEND_TEST_MAY_EXHAUST=1, in a machine that may: the node as a whole.
 */
#include "memcg.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "measure/recorder.h"

enum { READY_FD = 100, MIB = 1 << 20, LIMIT_MIB = 48, MAX_TICKS = 1200, TICK_MS = 50 };
#define GROUP "test-oom"

struct scene {
	struct harness *harness;
	struct recorder *recorder;
};

static const struct collector *const in_order[] = { &collector_oom, &collector_process, &collector_kill };

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->harness = harness_new();
	scene->recorder = recorder_new();
	for (int i = 0; i < 3; i++)
		harness_open(scene->harness, in_order[i]);
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < 3; i++)
		harness_close(scene->harness, in_order[i]);
	recorder_free(scene->recorder);
	harness_free(scene->harness);
	free(scene);
	return 0;
}

static void tick(struct scene *scene)
{
	for (int i = 0; i < 3; i++)
		harness_tick(scene->harness, in_order[i]);
	recorder_tick(scene->recorder, &scene->harness->snap, &scene->harness->snap.recordings);
}

static void touch(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		_exit(1);
	for (size_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
}

/* Holds `start` MiB, says so, and grows by one each `step_ms` up to `end`. */
static int grow(uint32_t start, uint32_t end, int step_ms)
{
	touch((size_t)start * MIB);
	if (write(READY_FD, "x", 1) != 1)
		return 1;
	for (uint32_t grown = start; grown < end; grown++) {
		(void)poll(NULL, 0, step_ms);
		touch(MIB);
	}
	for (;;)
		pause();
}

/*
 * A child in the group that runs grow(). This program anew: what a fork shares with us counts among the child's memory, but was charged to
 * our own group, and so would be no part of what its limit allows.
 */
static pid_t child(const char *group, uint32_t start, uint32_t end, int step_ms)
{
	char numbers[3][16], program[PATH_MAX] = "";
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_true(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
	snprintf(numbers[0], sizeof(numbers[0]), "%u", start);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", end);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", step_ms);
	pid_t pid = fork();
	if (!pid) {
		if (!memcg_write(group, "cgroup.procs", "0") || dup2(ready[1], READY_FD) != READY_FD)
			_exit(1);
		execl(program, program, numbers[0], numbers[1], numbers[2], (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

/* Ticks until `pid` has ended, and once more. */
static void tick_until_end(struct scene *scene, pid_t pid)
{
	int status = 0, ticks = 0;

	while (!waitpid(pid, &status, WNOHANG) && ticks++ < MAX_TICKS) {
		tick(scene);
		(void)poll(NULL, 0, TICK_MS);
	}
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	tick(scene);
}

static const struct event *find(const struct scene *scene, enum event_kind kind, pid_t pid)
{
	for (uint32_t i = 0; i < MAX_EVENTS; i++) {
		const struct event *event = &scene->harness->snap.events.each[i];

		if (event->seq && event->kind == kind && event->pid == pid)
			return event;
	}
	return NULL;
}

static void end(pid_t pid)
{
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* an innocent lives */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool describes(const struct scene *scene)
{
	return scene->harness->status[COLLECTOR_OOM].state == COLLECTOR_UP;
}

/* A picture of the minute before has him among those that grow. */
static bool saw_grow(const struct recording *recording, pid_t pid)
{
	for (uint32_t i = 0; i < recording->count; i++)
		for (uint32_t j = 0; j < recording->each[i].growing_count; j++)
			if (recording->each[i].growing[j].pid == pid && recording->each[i].growing[j].rss_bytes > 8 * MIB)
				return true;
	return false;
}

static void a_grower_at_its_limit(void **state)
{
	struct scene *scene = *state;
	uint64_t group = memcg_make(GROUP, "48M");
	pid_t innocent = child(GROUP, 8, 8, 0), grower = child(GROUP, 1, 2 * LIMIT_MIB, 60);

	tick_until_end(scene, grower);
	const struct event *event = find(scene, EVENT_OOM_KILL, grower);
	assert_non_null(event);
	const struct oom_record *record = &event->of.oom;
	assert_int_equal(event->cgroup_id, group);
	assert_string_equal(event->comm, "test_oom");
	assert_int_equal(record->asker.pid, grower);
	assert_int_equal(record->scope, OOM_SCOPE_CGROUP);
	assert_int_equal(record->limit_cgroup_id, group);
	assert_int_equal(record->limit_bytes, LIMIT_MIB * MIB);
	assert_true(record->usage_bytes <= record->limit_bytes && record->usage_bytes > record->limit_bytes - 3 * MIB);
	if (describes(scene)) {
		assert_in_range(record->anon_bytes, (LIMIT_MIB - 16) * MIB, LIMIT_MIB * MIB);
		assert_true(record->page_table_bytes > 0 && record->virtual_bytes > record->anon_bytes);
	}
	assert_int_equal(memcg_stat(GROUP, "memory.events", "oom_kill"), 1);
	assert_int_equal(scene->harness->snap.oom.count, 1);
	assert_int_equal(scene->harness->snap.oom.each[0].kills, 1);
	assert_int_equal(scene->harness->snap.oom.each[0].cgroup_id, group);

	const struct event *fatal = find(scene, EVENT_FATAL_SIGNAL, grower);
	assert_non_null(fatal);
	assert_int_equal(fatal->of.fatal.killer, KILLER_KERNEL_OOM);
	assert_int_equal(fatal->of.fatal.record.signal, SIGKILL);
	assert_null(find(scene, EVENT_OOM_KILL, innocent));
	end(innocent);
	memcg_remove(GROUP);

	const struct recording *recording = recorder_find(&scene->harness->snap.recordings, event->seq);
	assert_non_null(recording);
	assert_true(recording->count >= 2);
	assert_true(recording->each[0].boot_ns < event->at_ns);
	assert_true(saw_grow(recording, grower));
}

/* Whoever asks at the limit is not the one who has the most. */
static void the_asker_is_not_the_victim(void **state)
{
	struct scene *scene = *state;

	(void)memcg_make(GROUP, "48M");
	pid_t fat = child(GROUP, 36, 36, 0);
	tick(scene); /* a row of the last tick, for kernels that tell no more than a pid */
	pid_t asker = child(GROUP, 1, 20, 20);

	tick_until_end(scene, fat);
	const struct event *event = find(scene, EVENT_OOM_KILL, fat);
	assert_non_null(event);
	assert_int_equal(event->of.oom.asker.pid, asker);
	assert_int_equal(event->of.oom.victim.pid, fat);
	assert_true(event->of.oom.victim.start_ns != 0 && event->of.oom.victim.start_ns < event->of.oom.asker.start_ns);
	assert_non_null(find(scene, EVENT_FATAL_SIGNAL, fat));
	end(asker);
	memcg_remove(GROUP);
}

static void the_node_itself(void **state)
{
	struct scene *scene = *state;
	const char *allowed = getenv("NODEMEND_TEST_MAY_EXHAUST");
	uint64_t total = memcg_number("/proc/meminfo", "MemTotal:"), kills = memcg_number("/proc/vmstat", "oom_kill");

	if (!allowed || strcmp(allowed, "1") != 0) {
		print_message("SKIP the_node_itself: NODEMEND_TEST_MAY_EXHAUST is not 1\n");
		return;
	}
	pid_t grower = fork();
	if (!grower) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "1000", 4) != 4)
			_exit(1);
		touch((size_t)total * 1024 * 2);
		_exit(0);
	}
	tick_until_end(scene, grower);
	const struct event *event = find(scene, EVENT_OOM_KILL, grower);
	assert_non_null(event);
	assert_int_equal(event->of.oom.scope, OOM_SCOPE_NODE);
	assert_int_equal(event->of.oom.limit_bytes, 0);
	assert_int_equal(event->of.oom.oom_score_adj, 1000);
	assert_int_equal(memcg_number("/proc/vmstat", "oom_kill") - kills, 1);
}

int main(int argc, char **argv)
{
	if (argc == 4)
		return grow((uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), atoi(argv[3]));

	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_grower_at_its_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(the_asker_is_not_the_victim, setup, teardown),
		cmocka_unit_test_setup_teardown(the_node_itself, setup, teardown),
	};
	const char *why = memcg_prepare();
	int failed = 0;

	if (why)
		printf("SKIP OOM kills: %s\n", why);
	else
		failed = cmocka_run_group_tests(tests, NULL, NULL);
	memcg_done();
	return failed;
}
