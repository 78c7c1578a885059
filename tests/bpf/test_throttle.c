/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The throttles on real cgroups with real load: each bites, is measured, and is turned back. The same tests run on v1's controllers, where this host has
 * those, and on v2's in a guest (scripts/vm-matrix.sh); what a host has in neither is skipped, and says so.
 */
#include "throttled.h"

#include "volume.h"

#include <dirent.h>
#include <sys/resource.h>

#include "core/policy_table.h"
#include "core/value.h"

static struct place *place, *other;
static struct volume *volume; /* of a test that wants one */

static int set_up(void **state)
{
	(void)state;
	static int number;
	place = place_new(++number);
	other = place_new(++number);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	end_leases();
	place_free(place);
	place_free(other);
	if (volume)
		volume_free(volume);
	volume = NULL;
	return 0;
}

static char before[256], control[256];

/* The control file, and what stands there; else the test is skipped. */
static void need(const char *v2, const char *v1)
{
	const char *path = place_file(place, v2, v1);
	if (!path) {
		print_message("SKIP %s: this host has it in neither hierarchy\n", v2);
		skip();
	}
	snprintf(control, sizeof(control), "%s", path);
	snprintf(before, sizeof(before), "%.255s", get_text(control));
}

static bool is_v2(void)
{
	return strncmp(control, place->cgroup.path, strlen(place->cgroup.path)) == 0;
}

static void is_as_before(void)
{
	assert_string_equal(get_text(control), before);
}

/* What is measured on a loaded machine, or on an emulated one that stands still for a second, may not show at once: three times it does not. */
static void run_until_fixed(void)
{
	struct remedy_request asked = request;
	for (int i = 0; i < 3; i++) {
		end_leases();
		request = asked;
		request.deadline_boot_ns = clock_boot_ns() + (uint64_t)(10 * test_slowness()) * NSEC_PER_SEC;
		run_it();
		if (result.outcome == OUTCOME_FIXED)
			return;
	}
	expect_outcome(OUTCOME_FIXED, NULL);
}

/* Whether it used less by it depends on who else is on this machine. */
static void is_set(void)
{
	if (result.outcome != OUTCOME_FIXED)
		expect_outcome(OUTCOME_IMPROVED, NULL);
}

static void cpu_weight_puts_a_cgroup_behind_the_others(void **state)
{
	need("cpu.weight", "cpu.shares");
	place_spin(place, 0, "1");
	place_spin(other, 0, "1");
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 10, .for_ns = 60 * NSEC_PER_SEC };
	request.expect.use_percent = 60;
	run_until_fixed();
	assert_in_range(result.observed.use_percent, 0, 60);
	assert_string_equal(get_text(control), is_v2() ? "10" : "102");

	/* Again, by a later act: it lasts longer, and neither act takes the other's lease for the cgroup's own weight. */
	char first[ID_LEN];
	memcpy(first, request.action_id, sizeof(first));
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 10, .for_ns = 90 * NSEC_PER_SEC };
	run_it();
	expect_outcome(OUTCOME_IMPROVED, NULL);
	request.verb = REMEDY_VERB_REVERT;
	memcpy(request.action_id, first, sizeof(first));
	run_it();
	expect_outcome(OUTCOME_NO_EFFECT, NULL);
	assert_true(result.leases.taken_over == 1 && result.leases.held == 1);
	assert_string_equal(get_text(control), is_v2() ? "10" : "102");
	assert_int_equal(end_leases().returned, 1);
	is_as_before();
	(void)state;
}

static void what_does_not_help_is_turned_back_at_once(void **state)
{
	need("cpu.weight", "cpu.shares");
	place_spin(place, 0, "1");
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 99, .for_ns = 60 * NSEC_PER_SEC };
	request.expect.use_percent = 1; /* by one part in a hundred: nobody loses 99 % of its time by that */
	run_it();
	expect_outcome(OUTCOME_ROLLED_BACK, NULL);
	is_as_before();
	assert_int_equal(end_leases().held, 0);
	(void)state;
}

static void a_lower_weight_of_its_own_is_kept(void **state)
{
	need("cpu.weight", "cpu.shares");
	assert_true(put_text(control, is_v2() ? "5" : "50"));
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 10, .for_ns = 60 * NSEC_PER_SEC };
	place_spin(place, 0, "1");
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_string_equal(get_text(control), is_v2() ? "5" : "50");
	(void)state;
}

/* --- renice ------------------------------------------------------------------------------------------------------------ */

static int nice_of(int tid)
{
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, (id_t)tid);
	assert_int_equal(errno, 0);
	return nice;
}

/* Of all its threads; fails where they differ. */
static int nice_of_all(pid_t pid, int *ret_threads)
{
	char path[64];
	int nice = nice_of(pid), threads = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	assert_non_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));)
		if (entry->d_name[0] != '.') {
			threads++;
			assert_int_equal(nice_of(atoi(entry->d_name)), nice);
		}
	closedir(tasks);
	*ret_threads = threads;
	return nice;
}

static void await_threads(pid_t pid, int wanted)
{
	int threads = 0;
	for (int i = 0; i < 2000 && threads != wanted; i++) {
		usleep(1000);
		(void)nice_of_all(pid, &threads);
	}
	assert_int_equal(threads, wanted);
}

static void renice_puts_a_process_behind_its_neighbours(void **state)
{
	int threads;
	pid_t spinner = place_spin(place, 0, "3");
	place_spin(place, 0, "1");
	await_threads(spinner, 3);
	ask(REMEDY_RENICE, place);
	blame(place, spinner, "spinner");
	request.args.renice = (struct renice_args){ .scope = THROTTLE_PROCESS, .nice = 15, .for_ns = 60 * NSEC_PER_SEC };
	request.expect.use_percent = 60;
	run_until_fixed();
	assert_in_range(result.observed.use_percent, 0, 60);
	assert_int_equal(nice_of_all(spinner, &threads), 15);
	assert_int_equal(threads, 3);
	assert_int_equal(nice_of(place->programs[1]), 0);

	ask(REMEDY_RENICE, place);
	blame(place, spinner, "spinner");
	request.args.renice = (struct renice_args){ .scope = THROTTLE_PROCESS, .nice = 15, .for_ns = 90 * NSEC_PER_SEC };
	run_it();
	expect_outcome(OUTCOME_IMPROVED, NULL);
	assert_int_equal(end_leases().returned, 1);
	assert_int_equal(nice_of_all(spinner, &threads), 0);
	(void)state;
}

static void renice_of_a_cgroup_takes_all_and_raises_nobody(void **state)
{
	pid_t plain = place_spin(place, 0, "1"), nicer = place_spin(place, 0, "1");
	assert_int_equal(setpriority(PRIO_PROCESS, (id_t)nicer, 18), 0);
	ask(REMEDY_RENICE, place);
	request.args.renice = (struct renice_args){ .scope = THROTTLE_CGROUP, .nice = 10, .for_ns = 60 * NSEC_PER_SEC };
	request.verb = REMEDY_VERB_PLAN;
	run_it();
	assert_int_equal(result.plan_count, 2);
	assert_int_equal(nice_of(plain), 0);
	request.verb = REMEDY_VERB_APPLY;
	run_it();
	is_set();
	assert_int_equal(nice_of(plain), 10);
	assert_int_equal(nice_of(nicer), 18);
	assert_int_equal(end_leases().returned, 1);
	assert_int_equal(nice_of(plain), 0);
	assert_int_equal(nice_of(nicer), 18);

	ask(REMEDY_RENICE, place);
	blame(place, nicer, "spinner");
	request.args.renice = (struct renice_args){ .scope = THROTTLE_PROCESS, .nice = 10, .for_ns = 60 * NSEC_PER_SEC };
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_int_equal(nice_of(nicer), 18);
	(void)state;
}

static void threads_that_differ_are_left(void **state)
{
	pid_t spinner = place_spin(place, 0, "2");
	await_threads(spinner, 2);
	assert_int_equal(setpriority(PRIO_PROCESS, (id_t)spinner, 3), 0); /* the first one only */
	ask(REMEDY_RENICE, place);
	blame(place, spinner, "spinner");
	request.args.renice = (struct renice_args){ .scope = THROTTLE_PROCESS, .nice = 10, .for_ns = 60 * NSEC_PER_SEC };
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_non_null(strstr(result.why, "threads"));
	assert_int_equal(nice_of(spinner), 3);
	(void)state;
}

/* --- isolate ----------------------------------------------------------------------------------------------------------- */

static uint32_t processors_of(pid_t pid)
{
	cpu_set_t allowed;
	assert_int_equal(sched_getaffinity(pid, sizeof(allowed), &allowed), 0);
	return (uint32_t)CPU_COUNT(&allowed);
}

static void ask_isolate(const char *cpus)
{
	ask(REMEDY_ISOLATE, place);
	snprintf(request.args.isolate.cpus, sizeof(request.args.isolate.cpus), "%s", cpus);
	request.args.isolate.for_ns = 60 * NSEC_PER_SEC;
}

static void isolate_keeps_a_cgroup_on_some_processors(void **state)
{
	need("cpuset.cpus", "cpuset.cpus");
	pid_t spinner = place_spin(place, -1, "2");
	uint32_t all = processors_of(spinner);
	ask_isolate("1");
	run_it();
	if (all < 2) {
		expect_outcome(OUTCOME_REFUSED, "no-control"); /* none would be left to the others */
		is_as_before();
		return;
	}
	is_set();
	assert_int_equal(processors_of(spinner), 1);
	ask_isolate("1");
	run_it();
	expect_outcome(OUTCOME_IMPROVED, NULL);
	assert_int_equal(end_leases().returned, 1);
	is_as_before();
	assert_int_equal(processors_of(spinner), all);
	(void)state;
}

static void isolate_gives_nothing_and_takes_not_all(void **state)
{
	need("cpuset.cpus", "cpuset.cpus");
	place_spin(place, -1, "1");
	char online[64];
	snprintf(online, sizeof(online), "%.63s", get_text("/sys/devices/system/cpu/online"));
	static const char *const never[] = { "4000-4001", "0-8000" };
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		ask_isolate(never[i]);
		run_it();
		expect_outcome(OUTCOME_REFUSED, "no-control");
	}
	ask_isolate(strchr(online, '-') ? online : "0-0");
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	is_as_before();
	static const char *const nonsense[] = { "", "0", "x", "1,", "-1", "3-1", "1 2", "99999" };
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		ask_isolate(nonsense[i]);
		run_it();
		if (strcmp(nonsense[i], "99999") != 0) /* a count, if a large one: it has no more than that */
			expect_outcome(OUTCOME_REFUSED, "invalid-request");
	}
	is_as_before();
	(void)state;
}

/* --- memory ------------------------------------------------------------------------------------------------------------ */

static void ask_limit_memory(uint32_t at_least_percent)
{
	ask(REMEDY_LIMIT_MEMORY, place);
	request.args.limit_memory = (struct limit_memory_args){ .at_least_percent = at_least_percent, .stall_percent = 30, .watch_ns = NSEC_PER_SEC, .for_ns = 60 * NSEC_PER_SEC };
}

static uint64_t place_number(const char *file)
{
	const char *path = place_file(place, file, NULL);
	assert_non_null(path);
	return strtoull(get_text(path), NULL, 10);
}

static void await_bytes(uint64_t bytes)
{
	for (int i = 0; i < 60000 && place_number("memory.current") < bytes; i++)
		usleep(1000);
	assert_true(place_number("memory.current") >= bytes);
}

static void limit_memory_gets_some_back(void **state)
{
	char command[256], path[] = "/var/tmp/nodemend-test-XXXXXX";
	need("memory.high", NULL);
	int fd = mkstemp(path);
	static char data[MIB];
	assert_true(fd >= 0);
	for (int i = 0; i < 48; i++)
		assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	assert_int_equal(fsync(fd) | posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	snprintf(command, sizeof(command), "cat %s >/dev/null; exec sleep 60", path);
	char *const argv[] = { (char *)"sh", (char *)"-c", command, NULL };
	place_run(place, -1, "/bin/sh", argv);
	await_bytes(40 << 20);

	ask_limit_memory(75);
	request.expect.use_percent = 85;
	run_until_fixed();
	assert_in_range(result.observed.freed_bytes, 6 << 20, 48 << 20);
	assert_in_range(result.observed.use_percent, 1, 85);
	assert_string_not_equal(get_text(control), before);
	assert_int_equal(end_leases().returned, 1);
	is_as_before();

	/* What protects it is not undercut. */
	const char *low = place_file(place, "memory.low", NULL);
	assert_true(low && put_text(low, "max"));
	ask_limit_memory(75);
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	is_as_before();
	close(fd);
	unlink(path);
	(void)state;
}

/* Nothing of it can be given up where there is no swap: it would only wait. */
static void limit_memory_lets_go_what_stalls(void **state)
{
	need("memory.high", NULL);
	const char *swap = place_file(place, "memory.swap.max", NULL);
	if (swap)
		assert_true(put_text(swap, "0"));
	char *const argv[] = { (char *)"grower", (char *)"--rate", (char *)"8000000", (char *)"--limit", (char *)"250000000", NULL };
	place_run(place, -1, program_path("grower"), argv);
	await_bytes(16 << 20);
	ask_limit_memory(80);
	request.args.limit_memory.watch_ns = 20 * NSEC_PER_SEC;
	run_it();
	expect_outcome(OUTCOME_ROLLED_BACK, NULL);
	assert_non_null(strstr(result.why, "stalls"));
	is_as_before();
	(void)state;
}

/* v1's soft limit would be there to be written, and would not do what is promised. */
static void limit_memory_is_refused_in_v1(void **state)
{
	if (place_file(place, "memory.high", NULL)) {
		print_message("SKIP limit_memory_is_refused_in_v1: this host has the memory controller in v2\n");
		skip();
	}
	place_spin(place, -1, "1");
	ask_limit_memory(80);
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_non_null(strstr(result.why, "soft limit"));
	request.verb = REMEDY_VERB_CHECK;
	run_it();
	assert_false(result.armed);
	(void)state;
}

/* --- writers ----------------------------------------------------------------------------------------------------------- */

static pid_t write_to(const char *path, const char *mode)
{
	char *const argv[] = { (char *)"writer", (char *)path, (char *)"--rate", (char *)"32000000", (char *)"--ring", (char *)"33554432", (char *)"--mode", (char *)mode, NULL };
	return place_run(place, -1, program_path("writer"), argv);
}

static uint64_t written_by(pid_t pid)
{
	char path[64], text[1024] = "";
	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(strstr(text, "\nwrite_bytes: ") + 14, NULL, 10);
}

static void await_writes(pid_t pid, uint64_t more)
{
	uint64_t begun = written_by(pid);
	for (int i = 0; i < 90000 && written_by(pid) < begun + more; i++) /* a disk that others keep busy takes its time */
		usleep(1000);
	assert_true(written_by(pid) >= begun + more);
}

static void ask_throttle_writer(bool by_path)
{
	ask(REMEDY_THROTTLE_WRITER, place);
	request.args.throttle_writer = (struct throttle_writer_args){ .bytes_per_second = 1 << 20, .for_ns = 60 * NSEC_PER_SEC };
	if (by_path)
		snprintf(request.args.throttle_writer.path, sizeof(request.args.throttle_writer.path), "%s", volume->dir);
}

static void throttle_writer_holds_up_what_goes_to_a_disk(void **state)
{
	need("io.max", "blkio.throttle.write_bps_device");
	volume = volume_new("ext4", 64 << 20);
	char file[128], key[32];
	snprintf(file, sizeof(file), "%s/log", volume->dir);
	snprintf(key, sizeof(key), "7:%u ", volume->number);
	pid_t writer = write_to(file, "direct");
	await_writes(writer, 2 << 20);
	ask_throttle_writer(true);
	request.expect.use_percent = 50;
	run_until_fixed();
	assert_int_equal(strncmp(get_text(control), key, strlen(key)), 0);
	assert_in_range(result.observed.use_percent, 1, 50);

	ask_throttle_writer(true);
	run_it();
	expect_outcome(OUTCOME_IMPROVED, NULL);
	assert_int_equal(end_leases().returned, 1);
	is_as_before();
	await_writes(writer, 2 << 20);

	/* By a finding that is about the filesystem, with the process as its cause; and where nothing says which is meant. */
	ask_throttle_writer(false);
	request.verb = REMEDY_VERB_PLAN;
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	blame(place, writer, "writer");
	request.target = (struct target){ .type = TARGET_FILESYSTEM, .dev = volume_filesystem_dev(volume) };
	run_it();
	expect_outcome(OUTCOME_NONE, NULL);
	assert_non_null(strstr(result.plan[0], key));

	(void)state;
}

/* Through the page cache it is the kernel that writes, later and for nobody's account: v1's limit is set, felt by nobody, and turned back. */
static void throttle_writer_is_turned_back_where_it_is_not_felt(void **state)
{
	need("io.max", "blkio.throttle.write_bps_device");
	if (is_v2()) {
		print_message("SKIP throttle_writer_is_turned_back_where_it_is_not_felt: v2 knows who dirtied a page\n");
		skip();
	}
	volume = volume_new("ext4", 64 << 20);
	char file[128];
	snprintf(file, sizeof(file), "%s/log", volume->dir);
	pid_t writer = write_to(file, "write");
	await_writes(writer, 2 << 20);
	ask_throttle_writer(true);
	request.deadline_boot_ns = clock_boot_ns() + 3 * NSEC_PER_SEC;
	run_it();
	expect_outcome(OUTCOME_ROLLED_BACK, NULL);
	is_as_before();
	(void)state;
}

static char state_of(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	const char *rest = strrchr(get_text(path), ')');
	return rest ? rest[2] : '?';
}

static void ask_stop_writer(enum throttle_scope scope)
{
	ask(REMEDY_STOP_WRITER, place);
	request.args.stop_writer = (struct stop_writer_args){ .scope = scope, .for_ns = 5 * NSEC_PER_SEC };
	request.expect.use_percent = 1;
}

static char file_of_writer[] = "/var/tmp/nodemend-test-XXXXXX";

static void stop_writer_holds_a_process(void **state)
{
	pid_t writer = write_to(file_of_writer, "write");
	await_writes(writer, 2 << 20);
	ask_stop_writer(THROTTLE_PROCESS);
	blame(place, writer, "writer");
	run_until_fixed();
	assert_int_equal(result.observed.use_percent, 0);
	assert_int_equal(state_of(writer), 'T');
	/* It is not held any longer than that. */
	ask_stop_writer(THROTTLE_PROCESS);
	blame(place, writer, "writer");
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_int_equal(end_leases().returned, 1);
	assert_int_not_equal(state_of(writer), 'T');
	await_writes(writer, 1 << 20);

	/* Who is stopped by somebody else is not ours to let go. */
	kill(writer, SIGSTOP);
	for (int i = 0; i < 5000 && state_of(writer) != 'T'; i++)
		usleep(1000);
	ask_stop_writer(THROTTLE_PROCESS);
	blame(place, writer, "writer");
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_int_equal(end_leases().held, 0);
	assert_int_equal(state_of(writer), 'T');
	(void)state;
}

static void stop_writer_holds_a_cgroup_that_has_none_below(void **state)
{
	char below[160];
	need("cgroup.freeze", NULL);
	pid_t writer = write_to(file_of_writer, "write");
	await_writes(writer, 2 << 20);
	ask_stop_writer(THROTTLE_CGROUP);
	run_until_fixed();
	assert_int_equal(result.observed.use_percent, 0);
	assert_string_equal(get_text(control), "1");
	ask_stop_writer(THROTTLE_CGROUP);
	run_it();
	expect_outcome(OUTCOME_REFUSED, "no-control");
	assert_int_equal(end_leases().returned, 1);
	is_as_before();
	await_writes(writer, 1 << 20);

	snprintf(below, sizeof(below), "%s/below", place->cgroup.path);
	assert_int_equal(mkdir(below, 0755), 0);
	ask_stop_writer(THROTTLE_CGROUP);
	run_it();
	rmdir(below);
	expect_outcome(OUTCOME_REFUSED, "not-a-leaf");
	is_as_before();
	request.args.stop_writer.for_ns = 61 * NSEC_PER_SEC;
	run_it();
	expect_outcome(OUTCOME_REFUSED, "invalid-request");
	(void)state;
}

/* --- all --------------------------------------------------------------------------------------------------------------- */

static const enum remedy_id throttles[] = {
	REMEDY_LIMIT_CPU, REMEDY_RENICE, REMEDY_CPU_WEIGHT, REMEDY_ISOLATE, REMEDY_LIMIT_MEMORY, REMEDY_THROTTLE_WRITER, REMEDY_STOP_WRITER,
};

static void ask_any(enum remedy_id remedy, bool group)
{
	static char why[VALUE_WHY_LEN];
	uint64_t given = 0;
	ask(remedy, place);
	remedy_args_defaults(remedy, &request.args);
	static const struct { enum remedy_id remedy; const char *name, *value; } required[] = {
		{ REMEDY_LIMIT_CPU, "percent", "50" }, { REMEDY_ISOLATE, "cpus", "1" }, { REMEDY_THROTTLE_WRITER, "bytes_per_second", "1MiB" },
		{ REMEDY_THROTTLE_WRITER, "path", "/var/tmp" },
	};
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		if (required[i].remedy == remedy)
			assert_int_equal(remedy_args_set(remedy, required[i].name, required[i].value, &request.args, &given, why), 0);
	if (section_find(remedies[remedy]->arguments, "scope"))
		assert_int_equal(remedy_args_set(remedy, "scope", group ? "cgroup" : "process", &request.args, &given, why), 0);
}

/* What the node lives by, by name; it sits in an ordinary cgroup, as many a node has it. */
static void what_the_node_lives_by_is_never_throttled(void **state)
{
	static const char *const names[] = { "kubelet", "containerd-shim", "sshd", "systemd-journal", "dbus-daemon", "systemd", "nodemend" };
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		char dir[] = "/tmp/nodemend-throttle-XXXXXX", path[64];
		assert_non_null(mkdtemp(dir));
		snprintf(path, sizeof(path), "%s/%s", dir, names[n]);
		assert_int_equal(symlink(program_path("spinner"), path), 0);
		char *const argv[] = { (char *)"spinner", (char *)"--seconds", (char *)"60", NULL };
		pid_t pid = place_run(place, 0, path, argv);
		int threads;
		for (size_t i = 0; i < sizeof(throttles) / sizeof(throttles[0]); i++)
			for (int group = 0; group < 2; group++) {
				ask_any(throttles[i], group);
				if (!group)
					blame(place, pid, names[n]);
				run_it();
				expect_outcome(OUTCOME_REFUSED, "never-list");
			}
		assert_true(nice_of_all(pid, &threads) == 0 && state_of(pid) != 'T');
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		memset(place->programs, 0, sizeof(place->programs));
		unlink(path);
		rmdir(dir);
	}
	assert_int_equal(end_leases().held, 0);
	(void)state;
}

/* Nothing is turned by a plan, nor where the kill switch is, nor in a cgroup that only has the name. */
static void nothing_is_turned_that_must_not_be(void **state)
{
	pid_t pid = place_spin(place, 0, "1");
	int threads;
	for (size_t i = 0; i < sizeof(throttles) / sizeof(throttles[0]); i++) {
		ask_any(throttles[i], true);
		request.verb = REMEDY_VERB_PLAN;
		run_it();
		assert_true(result.outcome == OUTCOME_NONE ? result.plan_count > 0 : result.outcome == OUTCOME_REFUSED && result.refused_by[0]);
		ask_any(throttles[i], true);
		snprintf(request.kill_switch, sizeof(request.kill_switch), "/");
		run_it();
		expect_outcome(OUTCOME_REFUSED, "kill-switch");
		ask_any(throttles[i], true);
		request.target.cgroup_id++;
		run_it();
		expect_outcome(OUTCOME_REFUSED, "target-changed");
		ask_any(throttles[i], true);
		request.verb = REMEDY_VERB_CHECK;
		run_it();
		assert_true(result.armed || result.why[0]);
	}
	assert_true(nice_of_all(pid, &threads) == 0 && state_of(pid) != 'T');
	assert_int_equal(end_leases().held, 0);
	(void)state;
}

static void limit_cpu_is_renewed(void **state)
{
	need("cpu.max", "cpu.cfs_quota_us");
	place_spin(place, 0, "1");
	for (int i = 0; i < 2; i++) {
		ask(REMEDY_LIMIT_CPU, place);
		request.args.limit_cpu = (struct limit_cpu_args){ .percent = 20, .for_ns = (60 + 60 * (uint64_t)i) * NSEC_PER_SEC };
		run_it();
		is_set();
	}
	struct lease_report report;
	assert_int_equal(leases_return(lease_book, LEASES_EXPIRED, NULL, clock_boot_ns() + 90 * NSEC_PER_SEC, NULL, NULL, &report), 0);
	assert_int_equal(report.held, 1);
	assert_int_equal(end_leases().returned, 1);
	is_as_before();

	/* Beyond its trial it stays, since it was seen to help. */
	ask(REMEDY_LIMIT_CPU, place);
	request.args.limit_cpu = (struct limit_cpu_args){ .percent = 20, .for_ns = 3600 * NSEC_PER_SEC };
	run_it();
	is_set();
	assert_int_equal(leases_return(lease_book, LEASES_EXPIRED, NULL, clock_boot_ns() + 3000 * NSEC_PER_SEC, NULL, NULL, &report), 0);
	assert_int_equal(report.held, 1);
	(void)state;
}

/* The lane that turns things back is the one that looks on: what is over meanwhile is not kept waiting. */
static void what_is_over_does_not_wait_for_a_throttle_that_is_watched(void **state)
{
	need("cpu.weight", "cpu.shares");
	pid_t stopped = place_spin(other, 0, "1");
	ask(REMEDY_STOP_WRITER, other);
	blame(other, stopped, "spinner");
	request.args.stop_writer = (struct stop_writer_args){ .scope = THROTTLE_PROCESS, .for_ns = NSEC_PER_SEC };
	run_it();
	expect_outcome(OUTCOME_IMPROVED, NULL); /* it wrote nothing */
	assert_int_equal(state_of(stopped), 'T');
	place_spin(place, 0, "1");
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 50, .for_ns = 60 * NSEC_PER_SEC };
	run_it(); /* half a second before, and half a second after */
	assert_int_not_equal(state_of(stopped), 'T');
	(void)state;
}

/* Two agents, a book each: the second is told that the knob is taken, and neither leaves it turned. */
static void two_books_do_not_share_a_knob(void **state)
{
	char second[] = "/tmp/nodemend-throttle-XXXXXX";
	struct lease_report report;
	need("cpu.weight", "cpu.shares");
	close(mkstemp(second));
	pid_t pid = place_spin(place, 0, "1");
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 50, .for_ns = 60 * NSEC_PER_SEC };
	run_it();
	is_set();
	ask(REMEDY_CPU_WEIGHT, place);
	request.args.cpu_weight = (struct cpu_weight_args){ .weight = 10, .for_ns = 90 * NSEC_PER_SEC };
	snprintf(request.lease_book, sizeof(request.lease_book), "%s", second);
	run_it();
	expect_outcome(OUTCOME_REFUSED, "other-agent");
	assert_int_equal(leases_return(second, LEASES_ALL, NULL, 0, NULL, NULL, &report), 0);
	assert_true(report.held == 0 && report.returned == 0);
	assert_int_equal(end_leases().returned, 1);
	is_as_before();

	/* A process, too. */
	for (int i = 0; i < 2; i++) {
		ask(REMEDY_RENICE, place);
		blame(place, pid, "spinner");
		request.args.renice = (struct renice_args){ .scope = THROTTLE_PROCESS, .nice = 5 + 5 * (uint32_t)i, .for_ns = 60 * NSEC_PER_SEC };
		if (i)
			snprintf(request.lease_book, sizeof(request.lease_book), "%s", second);
		run_it();
		if (i)
			expect_outcome(OUTCOME_REFUSED, "other-agent");
	}
	assert_int_equal(nice_of(pid), 5);
	assert_int_equal(end_leases().returned, 1);
	assert_int_equal(nice_of(pid), 0);
	unlink(second);
	(void)state;
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cpu_weight_puts_a_cgroup_behind_the_others),
		TEST(what_does_not_help_is_turned_back_at_once),
		TEST(a_lower_weight_of_its_own_is_kept),
		TEST(renice_puts_a_process_behind_its_neighbours),
		TEST(renice_of_a_cgroup_takes_all_and_raises_nobody),
		TEST(threads_that_differ_are_left),
		TEST(isolate_keeps_a_cgroup_on_some_processors),
		TEST(isolate_gives_nothing_and_takes_not_all),
		TEST(limit_memory_gets_some_back),
		TEST(limit_memory_lets_go_what_stalls),
		TEST(limit_memory_is_refused_in_v1),
		TEST(throttle_writer_holds_up_what_goes_to_a_disk),
		TEST(throttle_writer_is_turned_back_where_it_is_not_felt),
		TEST(stop_writer_holds_a_process),
		TEST(stop_writer_holds_a_cgroup_that_has_none_below),
		TEST(what_the_node_lives_by_is_never_throttled),
		TEST(nothing_is_turned_that_must_not_be),
		TEST(limit_cpu_is_renewed),
		TEST(what_is_over_does_not_wait_for_a_throttle_that_is_watched),
		TEST(two_books_do_not_share_a_knob),
	};
	int fd = mkstemp(lease_book), file = mkstemp(file_of_writer);
	if (fd < 0 || file < 0)
		return 1;
	place_enable();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(lease_book);
	unlink(file_of_writer);
	return failed;
}
