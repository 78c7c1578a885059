/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of others, run as root: which are not run at all, what the others get, and that nothing of them stays, whatever they try. */
#include "victim_fixture.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "remedies/command.h"
#include "remedies/group.h"

enum { KEPT = 4096 };

static char output[KEPT], complaint[KEPT], place[PATH_LEN];
static struct command_end end;

static struct command command_of(const char *const *argv)
{
	return (struct command){ .path = argv[0], .argv = argv, .output = output, .output_size = sizeof(output), .complaint = complaint,
				 .complaint_size = sizeof(complaint), .deadline_boot_ns = clock_boot_ns() + 30 * NSEC_PER_SEC };
}

static struct command shell(const char *script)
{
	static const char *argv[5] = { "/bin/sh", "-c", NULL, place, NULL };
	argv[2] = script;
	return command_of(argv);
}

/* $0 is the place. */
static int run_shell(const char *script)
{
	struct command command = shell(script);
	return command_run(&command, &end);
}

/* With so little time that it is over, and so much that it has begun: the machine may be slow. */
static void run_out_of_time(const char *script)
{
	for (uint64_t ns = 100 * NSEC_PER_MSEC; ns < 60 * NSEC_PER_SEC; ns *= 2) {
		struct command command = shell(script);
		command.deadline_boot_ns = clock_boot_ns() + ns;
		assert_int_equal(command_run(&command, &end), 0);
		assert_true(end.timed_out);
		if (output[0])
			return;
	}
	fail_msg("it never began: %s", script);
}

/* --- that nothing stays ------------------------------------------------------------------------------------------------------------- */

static bool is_alive(pid_t pid)
{
	char name[64], text[256] = "";
	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	int fd = open(name, O_RDONLY);
	if (fd < 0)
		return false;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	const char *behind = got > 0 ? strrchr(text, ')') : NULL;
	return behind && behind[2] != 'Z' && behind[2] != 'X';
}

static uint32_t children(void)
{
	char text[4096];
	int fd = open("/proc/thread-self/children", O_RDONLY);
	ssize_t got = read(fd, text, sizeof(text));
	uint32_t count = 0;
	close(fd);
	for (ssize_t i = 0; i < got; i++)
		count += text[i] == ' ';
	return count;
}

static bool has_hierarchy(void)
{
	int fd = group_open_hierarchy();
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* How many leaves this runner has: other tests run commands at the same time. */
static int leaves(pid_t runner)
{
	char begin[32];
	int hierarchy = group_open_hierarchy(), count = 0;
	int parent = hierarchy < 0 ? -1 : openat(hierarchy, "nodemend-runs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = parent < 0 ? NULL : fdopendir(parent);
	snprintf(begin, sizeof(begin), "run-%d-", (int)runner);
	for (struct dirent *entry; directory && (entry = readdir(directory));)
		count += strncmp(entry->d_name, begin, strlen(begin)) == 0;
	if (directory)
		closedir(directory);
	if (hierarchy >= 0)
		close(hierarchy);
	return count;
}

static void assert_nothing_stays(uint32_t own)
{
	assert_int_equal(children(), own); /* no zombie either */
	assert_int_equal(leaves(getpid()), 0);
}

/* --- what it is given ------------------------------------------------------------------------------------------------------------- */

static void it_reads_its_input_and_is_heard(void **state)
{
	struct command command = shell("cat; echo bad >&2; exit 3");
	command.input = "{\"a\":1}\n";
	command.input_size = 8;
	assert_int_equal(command_run(&command, &end), 0);
	assert_string_equal(output, "{\"a\":1}\n");
	assert_string_equal(complaint, "bad\n");
	assert_int_equal(end.exit_code, 3);
	assert_int_equal(end.signal, 0);
	assert_false(end.timed_out);
	assert_int_equal(end.left_over, 0);
	assert_int_equal(end.dropped_bytes, 0);
	assert_nothing_stays(0);
}

static void nothing_is_read_where_nothing_is_given(void **state)
{
	assert_int_equal(run_shell("cat; echo end"), 0);
	assert_string_equal(output, "end\n");
}

static void more_than_is_kept_is_counted(void **state)
{
	char few[16];
	struct command command = shell("printf 0123456789abcdefghij");
	command.output = few;
	command.output_size = sizeof(few);
	assert_int_equal(command_run(&command, &end), 0);
	assert_string_equal(few, "0123456789abcde");
	assert_int_equal(end.dropped_bytes, 5);
}

static void its_environment_is_not_ours(void **state)
{
	static const char *const argv[] = { "/usr/bin/env", NULL };
	static const char *const own[] = { "NODEMEND_MODE=plan", NULL };
	static const char *const foreign[] = { "LD_PRELOAD=/x.so", NULL };
	struct command command = command_of(argv);
	setenv("SECRET_OF_OURS", "1", 1);
	command.environment = own;
	assert_int_equal(command_run(&command, &end), 0);
	assert_string_equal(output,
			    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C.UTF-8\nNODEMEND_MODE=plan\n");
	command.environment = foreign;
	assert_int_equal(command_run(&command, &end), -EINVAL);
	assert_nothing_stays(0);
}

static void its_surroundings_are_plain(void **state)
{
	int leaked = open("/dev/null", O_RDONLY);
	sigset_t blocked, before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	void (*pipe_was)(int) = signal(SIGPIPE, SIG_IGN);
	const struct { uint64_t handler, flags, restorer, mask; } ignored = { .handler = 1 }, by_default = { 0 }; /* one of libc's own */
	assert_int_equal(syscall(SYS_rt_sigaction, 33, &ignored, NULL, sizeof(ignored.mask)), 0);
	assert_true(dup2(leaked, 77) == 77);
	/* A shell blocks signals while it starts another: the last is started in its place. */

	assert_int_equal(run_shell("pwd; umask; ulimit -c; [ -e /proc/$$/fd/77 ] && echo leaked; exec grep -E '^(NoNewPrivs|SigBlk|SigIgn):' /proc/self/status"), 0);
	close(77);
	close(leaked);
	(void)signal(SIGPIPE, pipe_was);
	(void)syscall(SYS_rt_sigaction, 33, &by_default, NULL, sizeof(by_default.mask));
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(output, "/\n0077\n0\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nNoNewPrivs:\t1\n");
}

static uint64_t status_bits(const char *name)
{
	const char *at = strstr(output, name);
	return at ? strtoull(at + strlen(name) + 1, NULL, 16) : UINT64_MAX;
}

static void root_keeps_little_of_root(void **state)
{
	const uint64_t files = 1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID |
			       1ULL << CAP_KILL | 1ULL << CAP_SETGID | 1ULL << CAP_SETUID;
	assert_int_equal(run_shell("cat /proc/$$/status"), 0);
	assert_int_equal(status_bits("CapBnd:") & ~files, 0);
	assert_int_equal(status_bits("CapEff:") & ~files, 0);
	assert_true(status_bits("CapEff:") & 1ULL << CAP_DAC_OVERRIDE);

	struct command command = shell("cat /proc/$$/status");
	command.capabilities = 1ULL << CAP_SYS_ADMIN;
	assert_int_equal(command_run(&command, &end), 0);
	assert_int_equal(status_bits("CapEff:") & ~files, 1ULL << CAP_SYS_ADMIN);
}

static void another_user_has_nothing_of_root(void **state)
{
	struct command command = shell("id -u; id -g; id -G; cat /etc/shadow; cat /proc/$$/status");
	command.uid = command.gid = 65534;
	command.capabilities = 1ULL << CAP_SYS_ADMIN; /* of root's alone */
	assert_int_equal(command_run(&command, &end), 0);
	assert_memory_equal(output, "65534\n65534\n65534\nName", 22);
	assert_int_equal(status_bits("CapEff:"), 0);
	assert_int_equal(status_bits("CapBnd:"), 0);
	assert_int_equal(status_bits("CapPrm:"), 0);
}

static void calls_that_nobody_needs_are_refused(void **state)
{
	struct command command = shell("grep '^Seccomp:' /proc/$$/status; date -s \"@$(date +%s)\" 2>&1 | grep -q permitted && echo refused");
	command.capabilities = 1ULL << CAP_SYS_TIME;
	assert_int_equal(command_run(&command, &end), 0);
	assert_string_equal(output, "Seccomp:\t2\nrefused\n");
}

/* --- which are run ------------------------------------------------------------------------------------------------------------------- */

static void script(const char *name, const char *text, mode_t mode)
{
	char path[PATH_LEN + NAME_LEN];
	snprintf(path, sizeof(path), "%s/%s", place, name);
	(void)unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(chmod(path, mode), 0);
}

static int run_file(const char *name)
{
	static char path[PATH_LEN + NAME_LEN];
	static const char *argv[3] = { path, "word", NULL };
	snprintf(path, sizeof(path), "%s/%s", place, name);
	struct command command = command_of(argv);
	return command_run(&command, &end);
}

static void a_script_is_run_by_the_descriptor_that_was_checked(void **state)
{
	script("good", "#!/bin/sh\necho \"$0 $1\"\n", 0755);
	assert_int_equal(run_file("good"), 0);
	assert_string_equal(output, "/proc/self/fd/3 word\n");
	assert_int_equal(symlink("good", "link"), 0);
	assert_int_equal(run_file("link"), 0);
	assert_string_equal(output, "/proc/self/fd/3 word\n");
}

static void only_what_is_roots_alone_is_run(void **state)
{
	static const char *const relative[] = { "bin/sh", "-c", "echo ran", NULL };
	struct command command = command_of(relative);
	assert_int_equal(command_run(&command, &end), -EPERM);
	assert_non_null(strstr(complaint, "absolute path"));

	script("theirs", "#!/bin/sh\necho ran\n", 0755);
	assert_int_equal(chown("theirs", 1234, 0), 0);
	assert_int_equal(run_file("theirs"), -EPERM);
	script("open", "#!/bin/sh\necho ran\n", 0757);
	assert_int_equal(run_file("open"), -EPERM);
	script("group", "#!/bin/sh\necho ran\n", 0775);
	assert_int_equal(run_file("group"), -EPERM);
	script("plain", "#!/bin/sh\necho ran\n", 0644);
	assert_int_equal(run_file("plain"), -EPERM);

	assert_int_equal(mkdir("sticky", 0755), 0);
	script("sticky/good", "#!/bin/sh\necho ran\n", 0755);
	assert_int_equal(run_file("sticky/good"), 0);
	assert_int_equal(chmod("sticky", 01777), 0);
	assert_int_equal(run_file("sticky/good"), -EPERM);
	assert_int_equal(symlink("sticky/good", "around"), 0);
	assert_int_equal(run_file("around"), -EPERM);
	assert_string_equal(output, "");
	assert_nothing_stays(0);
}

static void what_cannot_be_started_says_why(void **state)
{
	assert_int_equal(run_file("nowhere"), -ENOENT);
	script("lost", "#!/no/such/interpreter\n", 0755);
	assert_int_equal(run_file("lost"), -ENOENT);
	assert_non_null(strstr(complaint, "could not be started"));
	script("nonsense", "\x7f" "ELF nonsense", 0755);
	assert_int_equal(run_file("nonsense"), -ENOEXEC);

	struct command command = shell("echo ran");
	command.deadline_boot_ns = clock_boot_ns();
	assert_int_equal(command_run(&command, &end), -ETIME);
	assert_string_equal(output, "");
	assert_nothing_stays(0);
}

/* --- how it ends ---------------------------------------------------------------------------------------------------------------------- */

static void one_that_sleeps_is_asked_to_end(void **state)
{
	run_out_of_time("trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
	assert_string_equal(output, "ready\nasked\n");
	assert_int_equal(end.exit_code, 7);
	assert_nothing_stays(0);
}

static void one_that_ignores_that_is_killed(void **state)
{
	run_out_of_time("trap '' TERM; echo ready; while :; do sleep 1; done");
	assert_int_equal(end.exit_code, -1);
	assert_int_equal(end.signal, SIGKILL);
	assert_nothing_stays(0);
}

static void what_forked_away_is_ended(void **state)
{
	(void)unlink("begun");
	/* It has a session of its own, ignores every polite signal and holds the pipes; its parent has ended. */
	assert_int_equal(run_shell("(setsid sh -c 'trap \"\" TERM HUP; echo $$; echo >$0/begun; sleep 3600; :' $0 &); while ! [ -s $0/begun ]; do sleep 0.02; done"), 0);
	assert_int_equal(end.exit_code, 0);
	assert_false(end.timed_out);
	assert_true(end.left_over >= 1);
	pid_t daemon = (pid_t)strtol(output, NULL, 10);
	assert_true(daemon > 1);
	assert_false(is_alive(daemon));
	assert_nothing_stays(0);
}

static void one_that_prints_without_end_is_ended(void **state)
{
	run_out_of_time("yes");
	assert_int_equal(strlen(output), sizeof(output) - 1);
	assert_true(end.dropped_bytes > sizeof(output));
	assert_nothing_stays(0);
}

static void one_that_prints_after_its_parent_is_ended(void **state)
{
	(void)unlink("begun");
	assert_int_equal(run_shell("setsid sh -c 'echo >$0/begun; exec yes' $0 & while ! [ -s $0/begun ]; do sleep 0.02; done"), 0);
	assert_false(end.timed_out);
	assert_true(end.left_over >= 1);
	assert_nothing_stays(0);
}

static void no_more_memory_than_it_is_given(void **state)
{
	struct command command = shell("dd if=/dev/zero of=/dev/null bs=200M count=1; echo \"dd $?\"");
	command.memory_max = 48 << 20;
	assert_int_equal(command_run(&command, &end), 0);
	assert_null(strstr(output, "dd 0\n")); /* refused the memory, or ended with all of its group for it */
	command.memory_max = 600ULL << 20;
	assert_int_equal(command_run(&command, &end), 0);
	assert_non_null(strstr(output, "dd 0\n"));
	assert_nothing_stays(0);
}

static bool hierarchy_has(const char *controller)
{
	char text[512] = "";
	int hierarchy = group_open_hierarchy();
	int fd = hierarchy < 0 ? -1 : openat(hierarchy, "cgroup.subtree_control", O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (hierarchy >= 0)
		close(hierarchy);
	return got > 0 && strstr(text, controller);
}

static void no_more_tasks_than_it_is_given(void **state)
{
	if (!hierarchy_has("pids")) {
		print_message("SKIP no_more_tasks_than_it_is_given: the v2 hierarchy has no pids controller here\n");
		skip();
	}
	struct command command = shell("i=0; while [ $i -lt 40 ]; do sleep 3600 & i=$((i+1)); done; :");
	command.tasks_max = 12;
	assert_int_equal(command_run(&command, &end), 0);
	assert_in_range(end.left_over, 4, 12);
	assert_nothing_stays(0);
}

static void those_who_were_here_before_stay(void **state)
{
	pid_t own = victim_start(OBEDIENT);
	assert_int_equal(run_shell("setsid sleep 3600 & exit 0"), 0);
	assert_true(is_alive(own));
	assert_nothing_stays(1);
	kill(own, SIGKILL);
	assert_int_equal(waitpid(own, NULL, 0), own);
}

/* --- without a v2 hierarchy ---------------------------------------------------------------------------------------------------------- */

static int without_hierarchy(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0)
		return 77;
	if (has_hierarchy())
		return 2;
	(void)unlink("begun");
	if (run_shell("setsid sh -c 'trap \"\" TERM; sleep 3600 & echo $$; echo >$0/begun; sleep 3600; :' $0 & while ! [ -s $0/begun ]; do sleep 0.02; done") != 0)
		return 3;
	pid_t daemon = (pid_t)strtol(output, NULL, 10);
	if (daemon <= 1 || is_alive(daemon))
		return 4;
	return end.left_over >= 2 && children() == 0 ? 0 : 5;
}

static void without_a_hierarchy_they_are_found_by_descent(void **state)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(without_hierarchy());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- what a runner that died left ----------------------------------------------------------------------------------------------------- */

static pid_t number_in(const char *name)
{
	char text[32] = "";
	for (int i = 0; i < 1000; i++) {
		int fd = open(name, O_RDONLY);
		ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		if (got > 1 && text[got - 1] == '\n')
			return (pid_t)strtol(text, NULL, 10);
		poll(NULL, 0, 10);
	}
	return -1;
}

static void what_a_dead_runner_left_is_swept(void **state)
{
	char numbers[PATH_LEN + NAME_LEN];
	if (!has_hierarchy()) {
		print_message("SKIP what_a_dead_runner_left_is_swept: no v2 hierarchy here\n");
		skip();
	}
	snprintf(numbers, sizeof(numbers), "%s/numbers", place);
	pid_t runner = fork();
	if (runner == 0) {
		(void)run_shell("setsid sh -c 'trap \"\" TERM HUP; echo $$ >$0/new; mv $0/new $0/numbers; sleep 3600; :' $0 & sleep 3600");
		_exit(1);
	}
	pid_t left = number_in(numbers);
	assert_true(left > 1);
	assert_int_equal(leaves(runner), 1);
	assert_int_equal(command_sweep(), 0); /* its runner lives */
	assert_true(is_alive(left));

	kill(runner, SIGKILL);
	assert_int_equal(waitpid(runner, NULL, 0), runner);
	assert_true(is_alive(left));
	assert_int_equal(command_sweep(), 1);
	assert_false(is_alive(left));
	assert_int_equal(leaves(runner), 0);
	assert_int_equal(command_sweep(), 0);
}

static int make_place(void **state)
{
	snprintf(place, sizeof(place), "/var/lib/nodemend-test-XXXXXX"); /* where nobody but root writes on the way */
	return geteuid() != 0 || !mkdtemp(place) || chmod(place, 0755) < 0 || chdir(place) < 0 ? -1 : 0;
}

static int remove_place(void **state)
{
	static const char *const names[] = { "good", "link", "theirs", "open", "group", "plain", "sticky/good", "around", "lost", "nonsense", "numbers", "begun" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(names[i]);
	(void)rmdir("sticky");
	return chdir("/") < 0 || rmdir(place) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_reads_its_input_and_is_heard),
		cmocka_unit_test(nothing_is_read_where_nothing_is_given),
		cmocka_unit_test(more_than_is_kept_is_counted),
		cmocka_unit_test(its_environment_is_not_ours),
		cmocka_unit_test(its_surroundings_are_plain),
		cmocka_unit_test(root_keeps_little_of_root),
		cmocka_unit_test(another_user_has_nothing_of_root),
		cmocka_unit_test(calls_that_nobody_needs_are_refused),
		cmocka_unit_test(a_script_is_run_by_the_descriptor_that_was_checked),
		cmocka_unit_test(only_what_is_roots_alone_is_run),
		cmocka_unit_test(what_cannot_be_started_says_why),
		cmocka_unit_test(one_that_sleeps_is_asked_to_end),
		cmocka_unit_test(one_that_ignores_that_is_killed),
		cmocka_unit_test(what_forked_away_is_ended),
		cmocka_unit_test(one_that_prints_without_end_is_ended),
		cmocka_unit_test(one_that_prints_after_its_parent_is_ended),
		cmocka_unit_test(no_more_memory_than_it_is_given),
		cmocka_unit_test(no_more_tasks_than_it_is_given),
		cmocka_unit_test(those_who_were_here_before_stay),
		cmocka_unit_test(without_a_hierarchy_they_are_found_by_descent),
		cmocka_unit_test(what_a_dead_runner_left_is_swept),
	};
	if (geteuid() != 0) {
		print_message("SKIP test_command: root is needed\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, make_place, remove_place);
}
