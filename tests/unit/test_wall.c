/* SPDX-License-Identifier: Apache-2.0 */
/* The sender's wall, tried from within: each attempt runs in a child that has gone behind it. And nm-keys, which stays before it. */
#include "push/wall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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

#include "push/keys.h"

struct place {
	char root[64], spool[80], secret[80];
	int spool_fd;
	bool landlock;
};

/* What an attempt came to: 0 it worked, an errno, or 1000 + the signal that ended the child. */
enum { KILLED = 1000 };

static int attempt(const struct place *place, int (*act)(const struct place *place, const struct sandbox_report *report))
{
	pid_t pid = fork();
	if (pid == 0) {
		struct sandbox_report report;
		if (wall_enter("nobody", place->spool_fd, &report) < 0 || !report.seccomp)
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

static int has_landlock(const struct place *place, const struct sandbox_report *report)
{
	return report->landlock;
}

static int open_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	strcpy(place->root, "/tmp/nodemend-wall-XXXXXX");
	if (!mkdtemp(place->root) || chmod(place->root, 0755) < 0)
		return -1;
	snprintf(place->spool, sizeof(place->spool), "%s/spool", place->root);
	snprintf(place->secret, sizeof(place->secret), "%s/secret", place->root);
	if (mkdir(place->spool, 0700) < 0)
		return -1;
	int fd = open(place->secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "secret\n", 7) != 7)
		return -1;
	close(fd);
	place->spool_fd = open(place->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place->landlock = attempt(place, has_landlock) == 1;
	*state = place;
	return 0;
}

static int close_place(void **state)
{
	struct place *place = *state;
	(void)unlinkat(place->spool_fd, "a/x", 0);
	(void)unlinkat(place->spool_fd, "a", AT_REMOVEDIR);
	close(place->spool_fd);
	unlink(place->secret);
	rmdir(place->spool);
	int error = rmdir(place->root);
	free(place);
	return error;
}

static int write_spool(const struct place *place, const struct sandbox_report *report)
{
	if (mkdirat(place->spool_fd, "a", 0700) < 0)
		return errno;
	int fd = openat(place->spool_fd, "a/x", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, "x", 1, 0) != 1 || ftruncate(fd, 0) < 0)
		return errno;
	return unlinkat(place->spool_fd, "a/x", 0) < 0 || unlinkat(place->spool_fd, "a", AT_REMOVEDIR) < 0 ? errno : 0;
}

static int connect_out(const struct place *place, const struct sandbox_report *report)
{
	const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != ECONNREFUSED ? errno : 0;
}

static void *resolve(void *context)
{
	struct addrinfo *found = NULL;
	*(int *)context = getaddrinfo("localhost", "80", &(struct addrinfo){ .ai_socktype = SOCK_STREAM }, &found);
	return NULL;
}

/* As libcurl asks for names. */
static int resolve_in_a_thread(const struct place *place, const struct sandbox_report *report)
{
	pthread_t thread;
	int result = -1;
	if (pthread_create(&thread, NULL, resolve, &result) != 0)
		return 1;
	pthread_join(thread, NULL);
	return result ? 2 : 0;
}

static int listen_in(const struct place *place, const struct sandbox_report *report)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return listen(fd, 1) < 0 ? errno : 0;
}

static int unix_socket(const struct place *place, const struct sandbox_report *report)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int raw_socket(const struct place *place, const struct sandbox_report *report)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? errno : 0;
}

static int read_secret(const struct place *place, const struct sandbox_report *report)
{
	return openat(AT_FDCWD, place->secret, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int read_proc(const struct place *place, const struct sandbox_report *report)
{
	return openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int run_program(const struct place *place, const struct sandbox_report *report)
{
	char *const argv[] = { "true", NULL };
	execve("/bin/true", argv, NULL);
	return errno;
}

static int make_process(const struct place *place, const struct sandbox_report *report)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 ? errno : 0;
}

static int trace_parent(const struct place *place, const struct sandbox_report *report)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0 ? errno : 0;
}

static int signal_parent(const struct place *place, const struct sandbox_report *report)
{
	return kill(getppid(), SIGTERM) < 0 ? errno : 0;
}

static int executable_memory(const struct place *place, const struct sandbox_report *report)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static void what_it_needs_it_can(void **state)
{
	const struct place *place = *state;
	assert_int_equal(attempt(place, write_spool), 0);
	assert_int_equal(attempt(place, connect_out), 0);
#ifndef __SANITIZE_ADDRESS__ /* whose own start of a thread reads /proc */
	assert_int_equal(attempt(place, resolve_in_a_thread), 0);
#else
	(void)resolve_in_a_thread;
#endif
}

static void nothing_else_is_open_to_it(void **state)
{
	const struct place *place = *state;
	assert_int_equal(attempt(place, listen_in), EPERM);
	assert_int_equal(attempt(place, unix_socket), EPERM);
	assert_int_equal(attempt(place, raw_socket), EPERM);
	assert_int_equal(attempt(place, executable_memory), EPERM);
	assert_int_equal(attempt(place, read_secret), EACCES);
	if (place->landlock)
		assert_int_equal(attempt(place, read_proc), EACCES);
}

static void it_is_killed_for_trying(void **state)
{
	const struct place *place = *state;
	assert_int_equal(attempt(place, run_program), KILLED + SIGSYS);
	assert_int_equal(attempt(place, trace_parent), KILLED + SIGSYS);
	assert_int_equal(attempt(place, signal_parent), KILLED + SIGSYS);
	assert_int_equal(attempt(place, make_process), EPERM); /* as a thread it could have been one */
}

/* --- keys -------------------------------------------------------------------------------------------------------------- */

static int ask_for_the_secret(const struct place *place)
{
	static struct outputs outputs = { .output_count = 1 };
	struct keys *keys;
	struct sandbox_report report;
	snprintf(outputs.each[0].bearer_token_file, PATH_LEN, "%s", place->secret);
	snprintf(outputs.each[0].ca_file, PATH_LEN, "%s/none", place->root);
	if (keys_open(&outputs, &keys) < 0 || wall_enter("nobody", place->spool_fd, &report) < 0)
		return 1;
	const char *secret = keys_get(keys, place->secret);
	if (!secret || strcmp(secret, "secret") != 0)
		return 2;
	if (keys_get(keys, outputs.each[0].ca_file) || keys_get(keys, "/etc/shadow"))
		return 3;
	/* What is not in the list is not read, whatever a sender that was taken over asks for. */
	uint32_t beyond = 7;
	struct { uint32_t index; int32_t error; uint32_t size; char content[KEY_MAX]; } *answer = malloc(sizeof(*answer));
	if (!answer || send(keys_fd(keys), &beyond, sizeof(beyond), 0) < 0)
		return 4;
	for (ssize_t got = -1; got < 0;)
		got = recv(keys_fd(keys), answer, sizeof(*answer), 0); /* EAGAIN until it is there */
	return answer->error == -EINVAL && answer->size == 0 ? 0 : 5;
}

static void keys_are_read_from_before_the_wall(void **state)
{
	const struct place *place = *state;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(ask_for_the_secret(place));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_it_needs_it_can, open_place, close_place),
		cmocka_unit_test_setup_teardown(nothing_else_is_open_to_it, open_place, close_place),
		cmocka_unit_test_setup_teardown(it_is_killed_for_trying, open_place, close_place),
		cmocka_unit_test_setup_teardown(keys_are_read_from_before_the_wall, open_place, close_place),
	};
	if (geteuid() != 0) {
		printf("SKIP test_wall: needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
