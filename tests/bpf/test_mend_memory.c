/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The remedies for memory against a real memory controller: reclaim takes what is not used, stops where it hurts and where there is no more; kill-cgroup
 * ends as much as memory.oom.group says. With NODEMEND_TEST_OWN_MACHINE=1, in a machine of its own: the node's
 * caches, its swap, its large blocks.
 */
#include "memcg.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "lease.h"
#include "remedies/node_memory.h"

enum { MIB = 1 << 20, FILE_MIB = 48 };
#define GROUP "test-mend"
#define INNER GROUP "/inner"
#define BESIDE GROUP "/beside"

static struct remedy_request request;
static struct remedy_result result;
static char book[64], data[64], program[64];

/* --- what is in the group ----------------------------------------------------------------------------------------------------------- */

enum habit { READS_ONCE, READS_ON };

static _Noreturn void read_file(const char *path, enum habit habit, int ready)
{
	static char buffer[MIB];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool said = false;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (int i = 0; i < FILE_MIB; i++)
			if (pread(fd, buffer, sizeof(buffer), (off_t)i * MIB) != MIB)
				_exit(1);
		if (!said && write(ready, "", 1) != 1)
			_exit(1);
		said = true;
		while (habit == READS_ONCE)
			pause();
	}
}

/* Of another program than the test's own, which is protected as the agent's. */
static pid_t reader(const char *group, enum habit habit)
{
	int gate[2];
	char byte, words[2][16];
	assert_int_equal(pipe2(gate, 0), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		snprintf(words[0], sizeof(words[0]), "%d", habit);
		snprintf(words[1], sizeof(words[1]), "%d", gate[1]);
		if (memcg_write(group, "cgroup.procs", "0"))
			execl(program, program, data, words[0], words[1], (char *)NULL);
		_exit(127);
	}
	close(gate[1]);
	assert_int_equal(read(gate[0], &byte, 1), 1);
	close(gate[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static uint64_t current(const char *group)
{
	char path[160], text[32] = "";
	snprintf(path, sizeof(path), "%s/%s/memory.current", memcg_root, group);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 10);
}

/* The page cache of a file belongs to whoever read it first: nobody may have it yet. */
static void make_data(void)
{
	static char buffer[MIB];
	int fd = open(data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	memset(buffer, 'x', sizeof(buffer));
	for (int i = 0; i < FILE_MIB; i++)
		assert_int_equal(write(fd, buffer, sizeof(buffer)), MIB);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
}

static void aim(enum remedy_id remedy, const char *group, uint64_t id)
{
	memset(&request, 0, sizeof(request));
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = remedy;
	request.target = (struct target){ .type = TARGET_CGROUP, .cgroup_id = id };
	if (group)
		snprintf(request.target.name, PATH_LEN, "/%s", group);
	else
		request.target = (struct target){ .type = TARGET_NODE, .name = "memory" };
	request.deadline_boot_ns = clock_boot_ns() + 60 * NSEC_PER_SEC;
	snprintf(request.action_id, sizeof(request.action_id), "a-mend");
	snprintf(request.lease_book, sizeof(request.lease_book), "%s", book);
	effect_clear(&request.expect);
}

static void expect_outcome(enum outcome outcome)
{
	if (result.outcome == outcome)
		return;
	for (uint32_t i = 0; i < result.step_count; i++)
		print_message("%s: %s\n", result.steps[i].name, result.steps[i].detail);
	fail_msg("outcome %s, refused by %s: %s", outcome_names[result.outcome], result.refused_by, result.why);
}

static const char *detail_of(const char *step)
{
	for (uint32_t i = 0; i < result.step_count; i++)
		if (strcmp(result.steps[i].name, step) == 0)
			return result.steps[i].detail;
	return "";
}

/* --- reclaim ------------------------------------------------------------------------------------------------------------------------- */

static const struct reclaim_args gentle = { .step_bytes = 4 * MIB, .max_bytes = 24 * MIB, .step_timeout_ns = 20ULL * 1000000000, .max_stalled_percent = 50,
					    .max_returned_percent = 20 };

/* memory.reclaim came with 5.19; before that the remedy says so. */
static bool can_reclaim(void)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/memory.reclaim", memcg_root);
	return access(path, W_OK) == 0;
}

static void what_is_not_used_is_taken(void **state)
{
	(void)state;
	uint64_t id = memcg_make(GROUP, "200M");
	make_data();
	pid_t pid = reader(GROUP, READS_ONCE);
	uint64_t before = current(GROUP);
	assert_true(before >= (uint64_t)FILE_MIB * MIB);
	aim(REMEDY_RECLAIM, GROUP, id);
	request.args.reclaim = gentle;
	request.expect.freed_bytes = 16 * MIB;
	hands_run(&request, &result);
	if (!can_reclaim()) {
		expect_outcome(OUTCOME_REFUSED);
		assert_string_equal(result.refused_by, "no-control");
	} else {
		expect_outcome(OUTCOME_FIXED);
		assert_in_range(before - current(GROUP), 16 * MIB, 40 * MIB); /* and no more than was asked for, but for batches */
		assert_non_null(strstr(detail_of("reclaim"), "6 steps"));
	}
	end(pid);
	memcg_remove(GROUP);
}

static void it_ends_where_there_is_no_more(void **state)
{
	(void)state;
	if (!can_reclaim())
		skip();
	uint64_t id = memcg_make(GROUP, "200M");
	make_data();
	pid_t pid = reader(GROUP, READS_ONCE);
	aim(REMEDY_RECLAIM, GROUP, id);
	request.args.reclaim = gentle;
	request.args.reclaim.step_bytes = 32 * MIB;
	request.args.reclaim.max_bytes = 512 * MIB;
	hands_run(&request, &result);
	assert_true(result.outcome == OUTCOME_FIXED || result.outcome == OUTCOME_IMPROVED);
	assert_string_equal(detail_of("stop"), "the kernel found no more that it could take");
	assert_true(result.observed.freed_bytes >= 40 * MIB);
	end(pid);
	memcg_remove(GROUP);
}

static void it_ends_where_it_hurts(void **state)
{
	(void)state;
	if (!can_reclaim())
		skip();
	uint64_t id = memcg_make(GROUP, "200M");
	make_data();
	pid_t pid = reader(GROUP, READS_ON);
	aim(REMEDY_RECLAIM, GROUP, id);
	request.args.reclaim = gentle;
	request.args.reclaim.step_bytes = MIB;
	request.args.reclaim.max_bytes = 4096ULL * MIB;
	hands_run(&request, &result);
	const char *why = detail_of("stop");
	if (!strstr(why, "fetched again at once") && !strstr(why, "waited for memory"))
		fail_msg("stopped for: %s", why);
	end(pid);
	memcg_remove(GROUP);
}

static void a_protected_member_spares_it(void **state)
{
	(void)state;
	uint64_t id = memcg_make(GROUP, "200M");
	make_data();
	pid_t pid = reader(GROUP, READS_ONCE);
	aim(REMEDY_RECLAIM, GROUP, id);
	request.args.reclaim = gentle;
	snprintf(request.protect.comms[0], NAME_LEN, "reader*");
	request.protect.comm_count = 1;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "never-list");
	assert_true(current(GROUP) >= (uint64_t)FILE_MIB * MIB);
	end(pid);
	memcg_remove(GROUP);
}

/* --- kill-cgroup ---------------------------------------------------------------------------------------------------------------------- */

/* Two in the inner one and one beside it; ended is the inner one, or both where memory.oom.group says so. */
static void kill_inner(bool whole)
{
	(void)memcg_make(GROUP, "200M");
	assert_true(memcg_write(GROUP, "memory.oom.group", whole ? "1" : "0"));
	assert_true(memcg_write(GROUP, "cgroup.subtree_control", "+memory"));
	uint64_t id = memcg_make(INNER, "max");
	(void)memcg_make(BESIDE, "max");
	make_data();
	pid_t inner[2] = { reader(INNER, READS_ONCE), reader(INNER, READS_ONCE) }, outer = reader(BESIDE, READS_ONCE);
	aim(REMEDY_KILL_CGROUP, INNER, id);
	hands_run(&request, &result);
	expect_outcome(OUTCOME_FIXED);
	assert_int_equal(result.observed.exited, whole ? 3 : 2);
	assert_int_equal(waitpid(inner[0], NULL, 0), inner[0]);
	assert_int_equal(waitpid(inner[1], NULL, 0), inner[1]);
	if (!whole)
		assert_int_equal(waitpid(outer, NULL, WNOHANG), 0);
	end(outer);
	memcg_remove(INNER);
	memcg_remove(BESIDE);
	memcg_remove(GROUP);
}

static void a_cgroup_is_killed_alone(void **state)
{
	(void)state;
	kill_inner(false);
}

static void and_with_those_it_is_of_no_use_without(void **state)
{
	(void)state;
	kill_inner(true);
}

/* --- the node's own ------------------------------------------------------------------------------------------------------------------- */

static void need_machine(void)
{
	if (getenv("NODEMEND_TEST_OWN_MACHINE"))
		return;
	print_message("SKIP the node's own memory is turned only in a machine of its own (NODEMEND_TEST_OWN_MACHINE)\n");
	skip();
}

static uint64_t meminfo(const char *name)
{
	uint64_t kib = memcg_number("/proc/meminfo", name);
	return kib == UNKNOWN ? UNKNOWN : kib * 1024;
}

static void give_back_after(uint64_t seconds, uint32_t returned)
{
	struct lease_report report;
	assert_int_equal(leases_return(book, LEASES_EXPIRED, "", clock_boot_ns() + seconds * NSEC_PER_SEC, NULL, NULL, &report), 0);
	assert_int_equal(report.returned, returned);
}

/* The real figures and the real file, but for the pages that reclaim scans: to have a node really scan for a while takes minutes here. */
static int half_made_proc(char place[64])
{
	static const char *const real[][2] = { { "/proc/meminfo", "meminfo" }, { "/proc/buddyinfo", "buddyinfo" },
					       { "/proc/sys/vm/drop_caches", "sys/vm/drop_caches" } };
	char path[128];
	snprintf(place, 64, "/tmp/nodemend-proc-%d", (int)getpid());
	snprintf(path, sizeof(path), "%s/sys", place);
	assert_true(mkdir(place, 0700) == 0 && mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/sys/vm", place);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", place, real[i][1]);
		assert_int_equal(symlink(real[i][0], path), 0);
	}
	int tree = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(tree >= 0);
	return tree;
}

static void remove_proc(const char *place, int tree)
{
	static const char *const files[] = { "meminfo", "buddyinfo", "sys/vm/drop_caches", "vmstat", "fresh" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)unlinkat(tree, files[i], 0);
	(void)unlinkat(tree, "sys/vm", AT_REMOVEDIR);
	(void)unlinkat(tree, "sys", AT_REMOVEDIR);
	close(tree);
	(void)rmdir(place);
}

static void say_scanned(int tree, unsigned pages)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "pgscan_kswapd %u\n", pages);
	int fd = openat(tree, "fresh", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, text, (size_t)length) == length);
	close(fd);
	assert_int_equal(renameat(tree, "fresh", tree, "vmstat"), 0);
}

static void caches_are_really_dropped(void **state)
{
	(void)state;
	need_machine();
	static char buffer[MIB];
	char place[64];
	int tree = half_made_proc(place), fd;
	make_data();
	fd = open(data, O_RDONLY | O_CLOEXEC);
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	close(fd);
	aim(REMEDY_DROP_CACHES, NULL, 0);
	request.args.drop_caches = (struct drop_caches_args){ .what = 3, .min_cached_percent = 1, .max_available_percent = 100, .watch_ns = 300 * NSEC_PER_MSEC };
	memset(&result, 0, sizeof(result));
	effect_clear(&result.observed);
	say_scanned(tree, 1);
	pid_t pid = fork();
	if (pid == 0)
		for (unsigned pages = 2;; pages++) {
			say_scanned(tree, pages);
			(void)poll(NULL, 0, 10);
		}
	assert_int_equal(drop_caches_in(tree, &request, &result), 0);
	end(pid);
	remove_proc(place, tree);
	expect_outcome(OUTCOME_FIXED);
	assert_true(result.observed.freed_bytes > (uint64_t)FILE_MIB * MIB / 2);
}

static void large_blocks_are_no_reason_to_compact(void **state)
{
	(void)state;
	need_machine();
	aim(REMEDY_COMPACT, NULL, 0);
	request.args.compact = (struct compact_args){ .order = 3, .min_free_percent = 1, .watch_ns = 50 * NSEC_PER_MSEC };
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "no-evidence");
	assert_null(strstr(result.why, ": 0 free blocks"));
}

static char swapfile[96];

static void aim_swapfile(void)
{
	aim(REMEDY_ADD_SWAPFILE, NULL, 0);
	request.args.add_swapfile = (struct add_swapfile_args){ .size_bytes = 16 * MIB, .keep_free_bytes = 8 * MIB, .priority = 3, .for_ns = 60 * NSEC_PER_SEC };
	snprintf(request.args.add_swapfile.path, PATH_LEN, "%s", swapfile);
}

static void a_swap_file_comes_and_goes(void **state)
{
	(void)state;
	need_machine();
	assert_int_equal(mkdir("/var/tmp/own", 0700), 0);
	assert_int_equal(chmod("/var/tmp", 0755), 0); /* else it is no way for root */
	snprintf(swapfile, sizeof(swapfile), "/var/tmp/own/swap");
	uint64_t before = meminfo("SwapTotal:");
	aim_swapfile();
	hands_run(&request, &result);
	expect_outcome(OUTCOME_FIXED);
	assert_int_equal(meminfo("SwapTotal:") - before, 16 * MIB - 4096);
	assert_int_equal(result.observed.available_bytes, 16 * MIB - 4096);

	aim_swapfile();
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "already-there");

	give_back_after(30, 0);
	give_back_after(61, 1);
	assert_int_equal(meminfo("SwapTotal:"), before);
	assert_int_equal(access(swapfile, F_OK), -1);
}

static void a_swap_file_is_refused(void **state)
{
	(void)state;
	need_machine();
	uint64_t before = meminfo("SwapTotal:");
	aim_swapfile();
	request.args.add_swapfile.keep_free_bytes = 1ULL << 40;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "no-space");

	aim_swapfile();
	int fd = open(swapfile, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* somebody's own */
	close(fd);
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "path-taken");
	assert_int_equal(access(swapfile, F_OK), 0);
	unlink(swapfile);

	aim_swapfile();
	assert_int_equal(chmod("/var/tmp/own", 0777), 0);
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "writable-way");
	assert_int_equal(chmod("/var/tmp/own", 0700), 0);

	aim_swapfile();
	snprintf(request.args.add_swapfile.path, PATH_LEN, "/proc/swap");
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "filesystem-kind");
	aim_swapfile();
	snprintf(request.lease_book, sizeof(request.lease_book), "/proc/no/such/book");
	hands_run(&request, &result);
	expect_outcome(OUTCOME_FAILED);
	assert_int_equal(access(swapfile, F_OK), -1);
	assert_int_equal(meminfo("SwapTotal:"), before);
	assert_int_equal(chmod("/var/tmp", 01777), 0);
	assert_int_equal(rmdir("/var/tmp/own"), 0);
}

static bool is_before_6_12(const char *release)
{
	int major = 0, minor = 0;
	return sscanf(release, "%d.%d", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 12));
}

static void compressed_memory_comes_and_goes(void **state)
{
	(void)state;
	need_machine();
	if (access("/sys/class/zram-control", F_OK) < 0) {
		print_message("SKIP this machine has no zram\n");
		skip();
	}
	uint64_t before = meminfo("SwapTotal:");
	aim(REMEDY_ADD_ZRAM, NULL, 0);
	request.args.add_zram = (struct add_zram_args){ .size_bytes = 32 * MIB, .priority = 50, .for_ns = 60 * NSEC_PER_SEC };
	hands_run(&request, &result);
	struct utsname kernel;
	if (result.outcome == OUTCOME_FAILED && uname(&kernel) == 0 && is_before_6_12(kernel.release)) {
		print_message("SKIP zram: its compressor is a module of its own before 6.12, and is not here\n");
		skip();
	}
	expect_outcome(OUTCOME_FIXED);
	assert_int_equal(meminfo("SwapTotal:") - before, 32 * MIB - 4096);
	give_back_after(61, 1);
	assert_int_equal(meminfo("SwapTotal:"), before);
	request.args.add_zram.size_bytes = 1ULL << 40;
	hands_run(&request, &result);
	assert_string_equal(result.refused_by, "too-large");
}

/* In the machine's own memory: nothing of it is charged to the group. */
static bool copy_program(void)
{
	static char piece[65536];
	snprintf(program, sizeof(program), "/tmp/reader-%d", (int)getpid());
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = open(program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	ssize_t got;
	while ((got = read(from, piece, sizeof(piece))) > 0 && write(to, piece, (size_t)got) == got)
		;
	close(from);
	close(to);
	return got == 0;
}

int main(int argc, char **argv)
{
	if (argc == 4)
		read_file(argv[1], (enum habit)atoi(argv[2]), atoi(argv[3]));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_used_is_taken), cmocka_unit_test(it_ends_where_there_is_no_more), cmocka_unit_test(it_ends_where_it_hurts),
		cmocka_unit_test(a_protected_member_spares_it), cmocka_unit_test(a_cgroup_is_killed_alone), cmocka_unit_test(and_with_those_it_is_of_no_use_without),
		cmocka_unit_test(caches_are_really_dropped), cmocka_unit_test(large_blocks_are_no_reason_to_compact), cmocka_unit_test(a_swap_file_comes_and_goes),
		cmocka_unit_test(a_swap_file_is_refused), cmocka_unit_test(compressed_memory_comes_and_goes),
	};
	const char *why = memcg_prepare();
	if (why) {
		printf("SKIP %s\n", why);
		memcg_done();
		return 0;
	}
	snprintf(book, sizeof(book), "/tmp/nodemend-mend-%d", (int)getpid());
	snprintf(data, sizeof(data), "/var/tmp/nodemend-mend-%d", (int)getpid());
	int failed = copy_program() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
	(void)unlink(program);
	(void)unlink(book);
	(void)unlink(data);
	memcg_done();
	return failed;
}
