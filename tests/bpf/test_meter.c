/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's own programs cost, and how full its maps are, against runs and rows that the test makes itself. */
#include "harness.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "collect/bpf.h"
#include "collect/census.h"
#include "collect/meter.h"

enum { CALLS = 20000, ZOMBIES = 300, LISTENERS_IN_KERNEL = 1024, LISTENERS_BEYOND = 100 };

/* A program of our own that runs when we say so: the kernel counts its runs like any other's. */
static int load_probe(void)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "probe", "GPL", nothing, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

static bool is_counted(int fd)
{
	struct bpf_prog_info before = { 0 }, after = { 0 };
	uint32_t size = sizeof(before);
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &before, &size), 0);
	assert_int_equal(bpf_prog_test_run_opts(fd, &options), 0);
	size = sizeof(after);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &after, &size), 0);
	return after.run_cnt > before.run_cnt;
}

/* Others on this machine may count for a moment, too; left switched on, it would stay so. */
static bool falls_silent(int fd)
{
	for (int i = 0; i < 300; i++) {
		if (!is_counted(fd))
			return true;
		usleep(100000);
	}
	return false;
}

static char sysctl_value(void)
{
	char value = '?';
	int fd = open("/proc/sys/kernel/bpf_stats_enabled", O_RDONLY);

	if (read(fd, &value, 1) != 1)
		value = '?';
	close(fd);
	return value;
}

static void a_window_counts_and_closes(void **state)
{
	struct meter *meter;
	struct program_section *section = calloc(1, sizeof(*section));
	uint64_t rates[COST_ROWS], own;
	int probe = load_probe();

	assert_int_equal(meter_new(&meter), 0);
	assert_in_range(meter_empty_run_ns(meter), 1, 2000);
	assert_true(falls_silent(probe));
	assert_int_equal(meter_begin(meter, clock_awake_ns()), 0);
	assert_true(is_counted(probe));
	assert_int_equal(meter_begin(meter, clock_awake_ns()), -EBUSY);
	assert_int_equal(meter_end(meter, clock_awake_ns(), section, rates, &own), 0);
	assert_false(meter_is_counting(meter));
	assert_true(falls_silent(probe));
	assert_int_equal(meter_end(meter, clock_awake_ns(), section, rates, &own), -EINVAL);
	meter_free(meter);
	close(probe);
	free(section);
	(void)state;
}

static void a_kill_in_the_window_leaves_nothing_on(void **state)
{
	int probe = load_probe(), ready[2], status;
	char byte, before = sysctl_value();

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (!pid) {
		struct meter *meter;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (meter_new(&meter) || meter_begin(meter, clock_awake_ns()) || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(is_counted(probe));
	assert_int_equal(sysctl_value(), before);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_true(falls_silent(probe));
	assert_int_equal(sysctl_value(), before);
	close(probe);
	close(ready[0]);
	close(ready[1]);
	(void)state;
}

static const struct bpf_program_stat *find_program(const struct program_section *section, const char *name)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (!strcmp(section->each[i].name, name))
			return &section->each[i];
	fail_msg("no program %s", name);
	return NULL;
}

/* The share that the meter names and the kernel's own numbers, read by us around the same window, are the same. */
static void costs_are_the_collectors_own(void **state)
{
	struct harness *harness = harness_new();
	struct program_section *section = calloc(1, sizeof(*section));
	uint64_t rates[COST_ROWS], own;
	struct meter *meter;

	assert_int_equal(meter_new(&meter), 0);
	object_owner(COLLECTOR_SYSCALL);
	harness_open(harness, &collector_syscall);
	harness_needs(harness, &collector_syscall, "tp_btf");
	object_owner(COLLECTOR_TASK);
	harness_open(harness, &collector_task);
	object_owner(NO_INDEX);

	uint64_t began = clock_awake_ns();
	assert_int_equal(meter_begin(meter, began), 0);
	for (int i = 0; i < CALLS; i++)
		(void)syscall(SYS_getppid);
	uint64_t ended = clock_awake_ns();
	assert_int_equal(meter_end(meter, ended, section, rates, &own), 0);

	const struct bpf_program_stat *enter = find_program(section, "syscall_bpf/on_sys_enter"), *leave = find_program(section, "syscall_bpf/on_sys_exit");
	assert_int_equal(enter->collector, COLLECTOR_SYSCALL);
	assert_int_equal(find_program(section, "task_bpf/on_exec")->collector, COLLECTOR_TASK);
	assert_true(enter->run_count >= CALLS && leave->run_count >= CALLS);
	assert_true(enter->run_ns > CALLS && enter->run_ns < (ended - began) * 2); /* a nanosecond a run at least; no more than both processors */
	assert_int_equal(rates[COLLECTOR_SYSCALL], enter->run_rate + leave->run_rate);
	assert_true(enter->run_rate * (double)(ended - began) / 1e9 <= (double)enter->run_ns * 1.01 + 1);
	assert_int_equal(rates[COLLECTOR_FSWRITE], 0);

	/* Between windows the totals go on as the next one says, and never back. */
	uint64_t runs = enter->run_count, ran = enter->run_ns;
	usleep(300000);
	assert_int_equal(meter_begin(meter, clock_awake_ns()), 0);
	for (int i = 0; i < CALLS; i++)
		(void)syscall(SYS_getppid);
	assert_int_equal(meter_end(meter, clock_awake_ns(), section, rates, &own), 0);
	enter = find_program(section, "syscall_bpf/on_sys_enter");
	assert_true(enter->run_count > runs + CALLS); /* for the time in between as well */
	assert_true(enter->run_ns > ran);

	harness_close(harness, &collector_task);
	harness_close(harness, &collector_syscall);
	meter_free(meter);
	free(section);
	harness_free(harness);
	(void)state;
}

static const struct bpf_map_stat *find_map(const struct map_section *section, const char *name)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (!strcmp(section->each[i].name, name))
			return &section->each[i];
	return NULL;
}

/* As harness_needs(): the census is no collector. */
static void needs_census(const struct census *census, const char *source)
{
	const char *full = getenv("NODEMEND_TEST_FULL");

	if (!strcmp(census_source(census), source))
		return;
	if (full && full[0])
		fail_msg("census: %s, and not %s", census_source(census), source);
	print_message("LADDER census %s: the kernel keeps no count beside its maps (6.6)\nBELOW census: needs %s\n", census_source(census), source);
	skip();
}

/* Children that nobody has waited for: the task collector keeps a row for each, and a record of its end in the ring. */
static void check_census(const char *btf_path, const char *source)
{
	struct harness *harness = harness_new();
	struct collector_env env = harness->env;
	struct map_section *section = calloc(1, sizeof(*section));
	struct census *census;

	object_types_release(); /* the test before read the kernel's */
	env.btf_path = btf_path;
	assert_int_equal(census_new(&env, &census), 0);
	needs_census(census, source);
	object_owner(COLLECTOR_TASK);
	harness_open(harness, &collector_task);
	object_owner(NO_INDEX);
	for (int i = 0; i < 20; i++)
		census_take(census, section, 1);
	const struct bpf_map_stat *told = find_map(section, "task_bpf/told"), *ring = find_map(section, "task_bpf/task_events");
	uint64_t rows = told->entries;
	assert_int_equal(told->collector, COLLECTOR_TASK);
	assert_int_equal(told->capacity, 32768);
	assert_int_equal(ring->capacity, 512 * 1024);
	assert_true(find_map(section, "task_bpf/totals")->entries == UNKNOWN);

	pid_t children[ZOMBIES];
	for (int i = 0; i < ZOMBIES; i++) {
		children[i] = fork();
		if (!children[i])
			_exit(0);
	}
	for (int i = 0; i < ZOMBIES; i++) {
		siginfo_t info;
		assert_int_equal(waitid(P_PID, (id_t)children[i], &info, WEXITED | WNOWAIT), 0);
	}
	for (int i = 0; i < 20; i++) /* where maps are walked, one a tick */
		census_take(census, section, 2);
	/* Others' processes end, too, thousands at a time; none of them is reaped by us. */
	uint64_t missed = harness_missed(), enough = ZOMBIES - (missed < ZOMBIES ? missed : ZOMBIES);
	if (told->entries < enough || rows > told->capacity / 2 || told->entries > told->capacity)
		fail_msg("%llu rows for %d zombies, %llu before", (unsigned long long)told->entries, ZOMBIES, (unsigned long long)rows);
	assert_true(ring->entries >= enough * sizeof(uint64_t) && ring->entries <= ring->capacity);
	assert_true(told->bytes > 0 && ring->bytes >= 512 * 1024);
	assert_int_equal(section->measured_ns, 2);

	uint64_t waiting = ring->entries;
	harness_tick(harness, &collector_task);
	census_take(census, section, 3);
	assert_true(ring->entries < waiting); /* it has been read */
	for (int i = 0; i < ZOMBIES; i++)
		waitpid(children[i], NULL, 0);

	harness_close(harness, &collector_task);
	census_take(census, section, 4); /* the list follows what is loaded */
	assert_null(find_map(section, "task_bpf/told"));
	census_free(census);
	free(section);
	harness_free(harness);
}

static void maps_say_how_full_they_are(void **state)
{
	(void)state;
	check_census(NULL, "iter/bpf_map");
}

/* As on a kernel whose iterator cannot count: here it is the program that cannot be loaded. */
static void walked_they_say_the_same(void **state)
{
	(void)state;
	check_census("/nonexistent", "walk");
}

/* Whatever has rows, a ring, or storage that may not be had, says how often it had no room. */
static void every_map_counts_what_it_refuses(void **state)
{
	static const struct collector *const all[] = {
		&collector_syscall, &collector_task, &collector_fswrite, &collector_tcp, &collector_socket, &collector_drop, &collector_dns,
		&collector_oom, &collector_block, &collector_fsop, &collector_process, &collector_cgroup, &collector_kill, &collector_reclaim,
		&collector_pagecache, &collector_sched, &collector_irq,
	};
	struct harness *harness = harness_new();
	struct map_section *section = calloc(1, sizeof(*section));
	struct census *census;
	uint32_t counting = 0;

	(void)state;
	harness->config.collectors[COLLECTOR_FSWRITE] = harness->config.collectors[COLLECTOR_FSOP] = true;
	assert_int_equal(census_new(&harness->env, &census), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		harness_open(harness, all[i]);
	for (int i = 0; i < MAX_BPF_MAPS; i++) /* where maps are walked, one a tick */
		census_take(census, section, 1);
	for (uint32_t i = 0; i < section->count; i++) {
		const struct bpf_map_stat *map = &section->each[i];
		bool may_refuse = map->entries != UNKNOWN || map->capacity == UNKNOWN;

		if (may_refuse != (map->refused != UNKNOWN))
			fail_msg("%s: %s what it refuses", map->name, may_refuse ? "does not count" : "an array counts");
		counting += may_refuse;
	}
	assert_true(counting >= 20);
	assert_int_equal(section->cut, 0);
	census_free(census);
	free(section);
	harness_free(harness);
}

static int listen_somewhere(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* More listeners than the table has rows: each that found none is counted there, and in no other map. */
static void a_full_map_counts_what_it_refused(void **state)
{
	struct harness *harness = harness_new();
	struct map_section *section = calloc(1, sizeof(*section));
	struct rlimit files, many = { .rlim_cur = LISTENERS_IN_KERNEL + LISTENERS_BEYOND + 256 };
	int fds[LISTENERS_IN_KERNEL + LISTENERS_BEYOND];
	struct census *census;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	many.rlim_max = files.rlim_max > many.rlim_cur ? files.rlim_max : many.rlim_cur;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
	assert_int_equal(census_new(&harness->env, &census), 0);
	harness_open(harness, &collector_tcp);
	census_take(census, section, 1);
	const struct bpf_map_stat *listeners = find_map(section, "tcp_bpf/tcp_listeners"), *connections = find_map(section, "tcp_bpf/connections");
	assert_true(listeners && connections);
	assert_int_equal(listeners->refused, 0);
	for (int i = 0; i < LISTENERS_IN_KERNEL + LISTENERS_BEYOND; i++)
		fds[i] = listen_somewhere();
	census_take(census, section, 2);
	/* There were listeners before us, which the collector adopted; others' may come meanwhile. */
	assert_in_range(listeners->refused, LISTENERS_BEYOND, LISTENERS_BEYOND + 200);
	assert_int_equal(connections->refused, 0);
	uint64_t refused = listeners->refused;
	for (int i = 0; i < LISTENERS_IN_KERNEL + LISTENERS_BEYOND; i++)
		close(fds[i]);
	close(listen_somewhere()); /* there is room again */
	census_take(census, section, 3);
	assert_int_equal(listeners->refused, refused);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	census_free(census);
	free(section);
	harness_free(harness);
}

/* Seen and expected agree while the ring is read in time, and part when it runs over. */
static void coverage_falls_when_records_are_lost(void **state)
{
	struct harness *harness = harness_new();
	struct collector_status *status = &harness->status[COLLECTOR_TASK];
	struct map_section *section = calloc(1, sizeof(*section));
	struct census *census;

	harness_many(4100);
	assert_int_equal(census_new(&harness->env, &census), 0);
	harness_open(harness, &collector_task);
	for (int i = 0; i < 100; i++)
		if (!fork())
			_exit(0);
	while (wait(NULL) > 0)
		continue;
	harness_tick(harness, &collector_task);
	assert_true(status->coverage_expected >= 100);
	assert_true(status->coverage_seen + status->events_lost + 16 >= status->coverage_expected); /* a few of others' are under way */
	assert_true(status->coverage_seen <= status->coverage_expected);

	for (int i = 0; i < 4000; i++) {
		pid_t pid = fork();
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	harness_tick(harness, &collector_task);
	assert_true(status->coverage_expected >= 4100);
	assert_true(status->coverage_seen < status->coverage_expected - 1000);
	census_take(census, section, 1);
	assert_in_range(find_map(section, "task_bpf/task_events")->refused, 1000, status->events_lost);
	census_free(census);
	free(section);
	harness_close(harness, &collector_task);
	harness_free(harness);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_counts_and_closes),
		cmocka_unit_test(a_kill_in_the_window_leaves_nothing_on),
		cmocka_unit_test(costs_are_the_collectors_own),
		cmocka_unit_test(maps_say_how_full_they_are),
		cmocka_unit_test(walked_they_say_the_same),
		cmocka_unit_test(every_map_counts_what_it_refuses),
		cmocka_unit_test(a_full_map_counts_what_it_refused),
		cmocka_unit_test(coverage_falls_when_records_are_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
