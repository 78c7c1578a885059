/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher's wall, tried from within: each attempt runs in a child that has gone behind it. */
#include "publish/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
	char root[64], feed[80], secret[80], other[80];
	int feed_fd;
	bool landlock;
};

/* What an attempt came to: 0 it worked, an errno, or 1000 + the signal that ended the child. */
enum { KILLED = 1000 };

static int attempt(const struct place *place, int (*act)(const struct place *place, const struct sandbox_report *report))
{
	pid_t pid = fork();
	if (pid == 0) {
		struct sandbox_report report;
		if (sandbox_enter("nobody", place->feed_fd, &report) < 0 || !report.seccomp)
			_exit(255);
		_exit(act(place, &report));
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return KILLED + WTERMSIG(status);
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return WEXITSTATUS(status);
}

static void write_file(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, "secret", 6), 6);
	close(fd);
}

static int has_landlock(const struct place *place, const struct sandbox_report *report)
{
	return report->landlock;
}

static int open_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	strcpy(place->root, "/tmp/nodemend-sandbox-XXXXXX");
	if (!mkdtemp(place->root) || chmod(place->root, 0755) < 0)
		return -1;
	snprintf(place->feed, sizeof(place->feed), "%s/feed", place->root);
	snprintf(place->secret, sizeof(place->secret), "%s/secret", place->root);
	snprintf(place->other, sizeof(place->other), "%s/other", place->root);
	if (mkdir(place->feed, 0755) < 0 || mkdir(place->other, 0777) < 0 || chmod(place->other, 0777) < 0)
		return -1;
	write_file(place->secret, 0600);
	place->feed_fd = open(place->feed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place->landlock = attempt(place, has_landlock) == 1;
	*state = place;
	return 0;
}

static int close_place(void **state)
{
	struct place *place = *state;
	unlinkat(place->feed_fd, "metrics.json", 0);
	close(place->feed_fd);
	unlink(place->secret);
	rmdir(place->feed);
	rmdir(place->other);
	int error = rmdir(place->root);
	free(place);
	return error;
}

static int write_feed(const struct place *place, const struct sandbox_report *report)
{
	int fd = openat(place->feed_fd, "metrics.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno;
	if (write(fd, "{}", 2) != 2 || renameat(place->feed_fd, "metrics.json.new", place->feed_fd, "metrics.json") < 0)
		return errno;
	return 0;
}

static int read_secret(const struct place *place, const struct sandbox_report *report)
{
	return openat(AT_FDCWD, place->secret, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int write_elsewhere(const struct place *place, const struct sandbox_report *report)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/x", place->other);
	return openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) < 0 ? errno : 0;
}

static int run_program(const struct place *place, const struct sandbox_report *report)
{
	char *const argv[] = { "true", NULL };
	execve("/bin/true", argv, NULL);
	return errno;
}

static int trace_parent(const struct place *place, const struct sandbox_report *report)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0 ? errno : 0;
}

static int signal_parent(const struct place *place, const struct sandbox_report *report)
{
	return kill(getppid(), SIGTERM) < 0 ? errno : 0;
}

static int make_process(const struct place *place, const struct sandbox_report *report)
{
	pid_t pid = fork();
	return pid < 0 ? errno : 0;
}

static int load_bpf(const struct place *place, const struct sandbox_report *report)
{
	return syscall(SYS_bpf, 0, NULL, 0) < 0 ? errno : 0;
}

static int connect_out(const struct place *place, const struct sandbox_report *report)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return 1;
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static int unix_socket(const struct place *place, const struct sandbox_report *report)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int executable_memory(const struct place *place, const struct sandbox_report *report)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static int become_root(const struct place *place, const struct sandbox_report *report)
{
	return setresuid(0, 0, 0) < 0 ? errno : 0;
}

static void what_the_work_needs_works(void **state)
{
	assert_int_equal(attempt(*state, write_feed), 0);
}

static void files_are_closed(void **state)
{
	struct place *place = *state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(attempt(place, read_secret), EACCES);
	if (!place->landlock) {
		print_message("no Landlock here: other folders are bounded by their permissions only\n");
		skip();
	}
	assert_int_equal(attempt(place, write_elsewhere), EACCES);
}

static void what_only_an_intruder_wants_kills(void **state)
{
	assert_int_equal(attempt(*state, run_program), KILLED + SIGSYS);
	assert_int_equal(attempt(*state, trace_parent), KILLED + SIGSYS);
	assert_int_equal(attempt(*state, signal_parent), KILLED + SIGSYS);
	assert_int_equal(attempt(*state, make_process), KILLED + SIGSYS);
	assert_int_equal(attempt(*state, load_bpf), KILLED + SIGSYS);
}

static void the_rest_is_refused(void **state)
{
	assert_int_equal(attempt(*state, connect_out), EPERM);
	assert_int_equal(attempt(*state, unix_socket), EPERM);
	assert_int_equal(attempt(*state, executable_memory), EPERM);
	assert_int_equal(attempt(*state, become_root), EPERM);
}

static void descriptors_that_are_not_needed_are_closed(void **state)
{
	int kept = fcntl(0, F_DUPFD, 100), also = fcntl(0, F_DUPFD, 50), extra = fcntl(0, F_DUPFD, 60), high = fcntl(0, F_DUPFD, 200);
	pid_t pid = fork();
	if (pid == 0) {
		sandbox_close_others((const int[]){ kept, -1, also }, 3);
		bool right = fcntl(kept, F_GETFD) >= 0 && fcntl(also, F_GETFD) >= 0 && fcntl(0, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0 &&
			     fcntl(extra, F_GETFD) < 0 && fcntl(high, F_GETFD) < 0 && fcntl(3, F_GETFD) < 0;
		_exit(right ? 0 : 1);
	}
	int status;
	waitpid(pid, &status, 0);
	close(kept);
	close(also);
	close(extra);
	close(high);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_work_needs_works),
		cmocka_unit_test(files_are_closed),
		cmocka_unit_test(what_only_an_intruder_wants_kills),
		cmocka_unit_test(the_rest_is_refused),
		cmocka_unit_test(descriptors_that_are_not_needed_are_closed),
	};
	return cmocka_run_group_tests_name("sandbox", tests, open_place, close_place);
}
