/* SPDX-License-Identifier: Apache-2.0 */
/* truncate-open, over a filesystem of the test's own and real holders: what gives its space back, what is left alone, and why. */
#include "disk_fixture.h"

#include <signal.h>
#include <sys/capability.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static struct clean_fixture fixture;

static struct truncate_open_args *args(void)
{
	return &fixture.request.args.truncate_open;
}

static int reset(void **state)
{
	disk_reset(&fixture, REMEDY_TRUNCATE_OPEN);
	args()->match_count = 1;
	snprintf(args()->match[0], NAME_LEN, "*.log*");
	args()->how = TRUNCATE_CONTENT;
	args()->deleted = true;
	args()->min_size = MIB;
	args()->max_files = 4;
	return 0;
}

/* --- holders ---------------------------------------------------------------------------------------------------------------------- */

enum on_hup { DIES, IGNORES, REOPENS };
enum { APPEND = O_WRONLY | O_APPEND, HELD = 4 * MIB };
struct holder {
	pid_t pid;
	int talk;       /* a byte when it holds */
};
static volatile sig_atomic_t asked;

static void on_hup(int signal)
{
	asked = signal;
}

static void write_all(int fd, int bytes)
{
	char block[64 * 1024];
	memset(block, 'x', sizeof(block));
	for (int put = 0; put < bytes; put += (int)sizeof(block))
		if (write(fd, block, sizeof(block)) != sizeof(block))
			_exit(1);
}

/* What the copy of this program does: another program than the one that acts, which would be protected. */
static _Noreturn void hold(const char *path, int flags, enum on_hup manner, bool map, int bytes, int talk)
{
	char next[PATH_LEN * 2];
	struct sigaction action = { .sa_handler = manner == IGNORES ? SIG_IGN : on_hup };
	sigset_t hup, before;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	sigprocmask(SIG_BLOCK, &hup, &before);
	if (manner != DIES)
		sigaction(SIGHUP, &action, NULL);
	int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0644);
	write_all(fd, bytes);
	if (map && mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		_exit(1);
	(void)!write(talk, "r", 1);
	for (;;) {
		sigsuspend(&before);
		if (asked && manner == REOPENS) {
			close(fd);
			snprintf(next, sizeof(next), "%s.new", path);
			fd = open(next, flags | O_CREAT | O_CLOEXEC, 0644);
		}
		asked = 0;
	}
}

static char copy[96];

static void make_copy(void)
{
	char self[PATH_LEN * 2];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(length > 0);
	self[length] = '\0';
	snprintf(copy, sizeof(copy), "%.60s/holder", fixture.dir);
	assert_int_equal(fixture_spawn((const char *const[]){ "cp", self, copy, NULL }), 0);
}

static struct holder start_with(const char *name, int flags, enum on_hup manner, bool map, int bytes)
{
	char path[PATH_LEN * 2], byte, numbers[5][16];
	int talk[2];
	fixture_path(&fixture, name, path);
	assert_int_equal(pipe2(talk, O_CLOEXEC), 0);
	int given[5] = { flags, manner, map, bytes, fcntl(talk[1], F_DUPFD, 100) };
	for (int i = 0; i < 5; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%d", given[i]);
	struct holder holder = { .pid = fork(), .talk = talk[0] };
	if (holder.pid == 0) {
		execl(copy, copy, path, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], (char *)NULL);
		_exit(127);
	}
	close(given[4]);
	close(talk[1]);
	assert_int_equal(read(holder.talk, &byte, 1), 1);
	return holder;
}

static struct holder start(const char *name, int flags, enum on_hup manner, bool map)
{
	return start_with(name, flags, manner, map, HELD);
}

static void stop(struct holder *holder)
{
	kill(holder->pid, SIGKILL);
	waitpid(holder->pid, NULL, 0);
	close(holder->talk);
}

static struct holder start_deleted(const char *name, int flags, enum on_hup manner)
{
	char path[PATH_LEN * 2];
	struct holder holder = start(name, flags, manner, false);
	assert_int_equal(unlink(fixture_path(&fixture, name, path)), 0);
	return holder;
}

/* --- what comes back ------------------------------------------------------------------------------------------------------------- */

static void a_deleted_log_gives_its_space_back(void **state)
{
	struct holder holder = start_deleted("app.log", APPEND, DIES);
	uint64_t before = disk_free(&fixture);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_int_equal(fixture.result.observed.freed_bytes, HELD);
	assert_int_equal(fixture.result.observed.freed_files, 1);
	assert_int_equal(kill(holder.pid, 0), 0);
	stop(&holder);
}

static void a_runaway_log_that_has_its_name_only_where_it_is_said(void **state)
{
	char path[PATH_LEN * 2];
	struct stat found;
	struct holder holder = start("app.log", APPEND, DIES, false);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	args()->deleted = false;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(stat(fixture_path(&fixture, "app.log", path), &found), 0);
	assert_int_equal(found.st_size, 0);
	stop(&holder);
}

static void a_plan_touches_nothing_and_comes_true(void **state)
{
	struct holder holder = start_deleted("app.log", APPEND, DIES);
	uint64_t before = disk_free(&fixture);
	fixture.request.verb = REMEDY_VERB_PLAN;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NONE);
	assert_int_equal(fixture.result.expected.freed_bytes, HELD);
	assert_int_equal(fixture.result.plan_count, 1);
	assert_non_null(strstr(fixture.result.plan[0], "deleted"));
	assert_int_equal(fixture.result.observed.freed_bytes, UNKNOWN);
	assert_int_equal(disk_free(&fixture), before);
	uint64_t promised = fixture.result.expected.freed_bytes;
	fixture.request.verb = REMEDY_VERB_APPLY;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_bytes, promised);
	stop(&holder);
}

static void the_holder_is_asked_to_open_a_new_one(void **state)
{
	struct holder holder = start_deleted("app.log", APPEND, REOPENS), bystander = start_deleted("other.txt", APPEND, REOPENS);
	uint64_t before = disk_free(&fixture);
	args()->how = TRUNCATE_BY_SIGNAL;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_true(fixture_has(&fixture, "app.log.new"));
	assert_false(fixture_has(&fixture, "other.txt.new")); /* nobody else was asked */
	stop(&holder);
	stop(&bystander);
}

static void who_ignores_the_signal_keeps_it(void **state)
{
	struct holder holder = start_deleted("app.log", APPEND, REOPENS);
	args()->how = TRUNCATE_BY_SIGNAL;
	args()->signal = 1; /* USR1: would end it */
	disk_refused(&fixture, "not-caught");
	assert_int_equal(kill(holder.pid, 0), 0);
	stop(&holder);
	holder = start_deleted("b.log", APPEND, DIES);
	args()->signal = 0;
	disk_refused(&fixture, "not-caught");
	stop(&holder);
	holder = start_deleted("c.log", APPEND, IGNORES);
	disk_refused(&fixture, "not-caught");
	stop(&holder);
}

static void the_largest_first_and_no_more_than_allowed(void **state)
{
	struct holder small = start_deleted("a.log", APPEND, DIES), large = start("b.log", APPEND, DIES, false);
	char path[PATH_LEN * 2];
	fixture_path(&fixture, "b.log", path);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(fallocate(fd, 0, 0, 2 * HELD), 0);
	assert_int_equal(unlink(path), 0);
	close(fd);
	args()->max_files = 1;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_files, 1);
	assert_int_equal(fixture.result.observed.freed_bytes, 2 * HELD);
	stop(&small);
	stop(&large);
}

/* --- what is left alone ------------------------------------------------------------------------------------------------------------ */

static void a_writer_that_does_not_append_leaves_a_hole(void **state)
{
	struct holder holder = start_deleted("app.log", O_WRONLY, DIES);
	disk_refused(&fixture, "no-append");
	args()->sparse = true;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	stop(&holder);
}

static void one_writer_among_many_that_does_not_append_is_enough(void **state)
{
	char path[PATH_LEN * 2];
	struct holder holder = start("app.log", APPEND, DIES, false), other = start_with("app.log", O_RDWR, DIES, false, 0);
	assert_int_equal(unlink(fixture_path(&fixture, "app.log", path)), 0);
	disk_refused(&fixture, "no-append");
	stop(&other);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	stop(&holder);
}

static void what_is_mapped_or_locked_is_a_databases(void **state)
{
	char path[PATH_LEN * 2];
	struct holder holder = start("m.log", O_RDWR | O_APPEND, DIES, true);
	assert_int_equal(unlink(fixture_path(&fixture, "m.log", path)), 0);
	disk_refused(&fixture, "in-use");
	assert_non_null(strstr(fixture.result.why, "mapped"));
	stop(&holder);

	holder = start("l.log", APPEND, DIES, false);
	int fd = open(fixture_path(&fixture, "l.log", path), O_RDWR | O_CLOEXEC);
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	args()->sparse = true; /* ours does not append */
	args()->deleted = false;
	disk_refused(&fixture, "in-use");
	assert_non_null(strstr(fixture.result.why, "lock"));
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	disk_refused(&fixture, "in-use");
	close(fd);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	stop(&holder);
}

static void a_file_with_another_name_keeps_its_content(void **state)
{
	char path[PATH_LEN * 2], twin[PATH_LEN * 2];
	struct holder holder = start("app.log", APPEND, DIES, false);
	assert_int_equal(link(fixture_path(&fixture, "app.log", path), fixture_path(&fixture, "twin.txt", twin)), 0);
	args()->deleted = false;
	disk_refused(&fixture, "linked");
	stop(&holder);
}

static void other_names_smaller_ones_and_other_filesystems_are_not_meant(void **state)
{
	struct holder holder = start_deleted("app.dat", APPEND, DIES);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	stop(&holder);
	holder = start_deleted("app.log", APPEND, DIES);
	args()->min_size = 2 * HELD;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	args()->min_size = MIB;
	snprintf(args()->below, PATH_LEN, "%.200s/elsewhere", fixture.root);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	args()->below[0] = '\0';
	fixture.request.target.dev++;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	fixture.request.target.type = TARGET_NODE;
	disk_refused(&fixture, "no-filesystem");
	stop(&holder);
}

static void what_only_a_reader_holds_is_nobodys_to_give(void **state)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, "app.log", 2048, 0);
	int fd = open(fixture_path(&fixture, "app.log", path), O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlink(path), 0);
	disk_refused(&fixture, "no-holder");
	close(fd);
}

static void the_protected_keep_their_logs(void **state)
{
	struct holder holder = start_deleted("app.log", APPEND, DIES);
	fixture.request.protect.comm_count = 1;
	snprintf(fixture.request.protect.comms[0], NAME_LEN, "holder");
	disk_refused(&fixture, "never-list");
	stop(&holder);
}

static void the_kill_switch_and_the_deadline_stop_it(void **state)
{
	struct holder holder = start_deleted("app.log", APPEND, DIES);
	uint64_t before = disk_free(&fixture);
	snprintf(fixture.request.kill_switch, PATH_LEN, "%s", fixture.dir);
	disk_refused(&fixture, "kill-switch");
	fixture.request.kill_switch[0] = '\0';
	fixture.request.deadline_boot_ns = 1;
	disk_refused(&fixture, "deadline");
	assert_int_equal(disk_free(&fixture), before);
	stop(&holder);
}

/* Without the right to look at those with more rights than oneself, anybody may be a holder: unknown never acts. */
static void where_somebody_may_not_be_looked_at_nothing_is_done(void **state)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		cap_value_t right = CAP_SYS_PTRACE;
		cap_t caps = cap_get_proc();
		cap_set_flag(caps, CAP_EFFECTIVE, 1, &right, CAP_CLEAR);
		cap_set_flag(caps, CAP_PERMITTED, 1, &right, CAP_CLEAR);
		if (cap_set_proc(caps) < 0 || prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE) < 0)
			_exit(2);
		struct holder holder = start_deleted("app.log", APPEND, DIES); /* no more rights than we: it is seen. The test, PID 1 here, is not */
		fixture_run(&fixture);
		stop(&holder);
		_exit(fixture.result.outcome == OUTCOME_REFUSED && strcmp(fixture.result.refused_by, "unknown-holders") == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void is_armed_here(void **state)
{
	fixture.request.verb = REMEDY_VERB_CHECK;
	fixture_run(&fixture);
	assert_true(fixture.result.armed);
}

static int end(void **state)
{
	fixture_unmount(&fixture);
	return 0;
}

#define TEST(name_) cmocka_unit_test_setup(name_, reset)

int main(int argc, char **argv)
{
	if (argc == 7)
		hold(argv[1], atoi(argv[2]), (enum on_hup)atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atoi(argv[6]));

	const struct CMUnitTest tests[] = {
		TEST(a_deleted_log_gives_its_space_back), TEST(a_runaway_log_that_has_its_name_only_where_it_is_said), TEST(a_plan_touches_nothing_and_comes_true),
		TEST(the_holder_is_asked_to_open_a_new_one), TEST(who_ignores_the_signal_keeps_it), TEST(the_largest_first_and_no_more_than_allowed),
		TEST(a_writer_that_does_not_append_leaves_a_hole), TEST(one_writer_among_many_that_does_not_append_is_enough),
		TEST(what_is_mapped_or_locked_is_a_databases), TEST(a_file_with_another_name_keeps_its_content),
		TEST(other_names_smaller_ones_and_other_filesystems_are_not_meant), TEST(what_only_a_reader_holds_is_nobodys_to_give),
		TEST(the_protected_keep_their_logs), TEST(the_kill_switch_and_the_deadline_stop_it), TEST(where_somebody_may_not_be_looked_at_nothing_is_done), TEST(is_armed_here),
	};
	/* Processes of its own, all of which may be looked at: whoever may not be is unknown, and nothing is done then. */
	int status = 1;
	if (geteuid() == 0 && unshare(CLONE_NEWPID) == 0) {
		pid_t pid = fork();
		if (pid > 0)
			_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1); /* no search for leaks: it would start a process there */
	}
	if (fixture_mount(&fixture) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0) {
		printf("SKIP truncate-open: not root, or no loop device or processes of its own\n");
		return 0;
	}
	make_copy();
	return cmocka_run_group_tests(tests, NULL, end);
}
