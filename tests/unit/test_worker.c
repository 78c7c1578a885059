/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: a request is answered, a busy one refuses, one that hangs is noticed and replaced, none outlives its parent, none inherits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/worker.h"

struct question { int verb, number; };

enum { DOUBLE, DIE, HANG, COUNT_FDS };

static int serve(int fd)
{
	struct question question;
	while (worker_read(fd, &question, sizeof(question)) > 0) {
		if (question.verb == DIE)
			return 1;
		if (question.verb == HANG)
			pause();
		int answer = question.number * 2;
		if (question.verb == COUNT_FDS) {
			answer = 0;
			for (int i = 0; i < 1024; i++)
				answer += fcntl(i, F_GETFD) >= 0;
		}
		worker_write(fd, &answer, sizeof(answer));
	}
	return 0;
}

static int ask(struct worker *worker, int verb, int number)
{
	struct question question = { verb, number };
	return worker_send(worker, &question, sizeof(question), clock_boot_ns());
}

static int wait_for_answer(struct worker *worker, int *answer)
{
	struct pollfd poll_fd = { .fd = worker->fd, .events = POLLIN };
	assert_true(poll(&poll_fd, 1, 10000) > 0);
	return worker_receive(worker, answer, sizeof(*answer));
}

static struct worker start(void)
{
	struct worker worker = { .name = "test", .serve = serve, .fd = -1, .give_up_ns = 1000000 };
	assert_int_equal(worker_start(&worker), 0);
	return worker;
}

static void answers_one_at_a_time(void **state)
{
	struct worker worker = start();
	int answer = 0;
	assert_int_equal(worker_receive(&worker, &answer, sizeof(answer)), 0);
	assert_int_equal(ask(&worker, DOUBLE, 21), 0);
	assert_int_equal(ask(&worker, DOUBLE, 22), -EBUSY);
	assert_int_equal(wait_for_answer(&worker, &answer), 1);
	assert_int_equal(answer, 42);
	assert_int_equal(ask(&worker, DOUBLE, 22), 0);
	worker_stop(&worker);
}

static void death_is_seen_and_it_can_be_started_again(void **state)
{
	struct worker worker = start();
	int answer = 0;
	assert_int_equal(ask(&worker, DIE, 0), 0);
	assert_int_equal(wait_for_answer(&worker, &answer), -EPIPE);
	worker_stop(&worker);
	assert_int_equal(ask(&worker, DOUBLE, 1), -EPIPE);
	assert_int_equal(worker_start(&worker), 0);
	assert_int_equal(ask(&worker, DOUBLE, 1), 0);
	assert_int_equal(wait_for_answer(&worker, &answer), 1);
	worker_stop(&worker);
}

static void hang_is_noticed(void **state)
{
	struct worker worker = start();
	assert_int_equal(ask(&worker, HANG, 0), 0);
	assert_false(worker_is_stuck(&worker, worker.busy_since_ns + worker.give_up_ns));
	assert_true(worker_is_stuck(&worker, worker.busy_since_ns + worker.give_up_ns + 1));
	worker_stop(&worker);
	assert_false(worker_is_stuck(&worker, UINT64_MAX));
}

static void inherits_nothing_but_its_socket(void **state)
{
	int kept = open("/dev/null", O_RDONLY); /* not close-on-exec, on purpose */
	struct worker worker = start();
	int answer = 0;
	assert_int_equal(ask(&worker, COUNT_FDS, 0), 0);
	assert_int_equal(wait_for_answer(&worker, &answer), 1);
	int standard = 0;
	for (int i = 0; i < 3; i++)
		standard += fcntl(i, F_GETFD) >= 0;
	assert_int_equal(answer, standard + 1);
	worker_stop(&worker);
	close(kept);
}

/* A parent that is killed takes its worker along; the grandparent sees it end because it is the subreaper. */
static void does_not_outlive_its_parent(void **state)
{
	int pipe_fd[2];
	assert_int_equal(pipe(pipe_fd), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t parent = fork();
	if (parent == 0) {
		struct worker worker = { .name = "test", .serve = serve, .fd = -1 };
		/* Its answer says that it has begun. One that then hangs does not read the end of its socket: only the signal ends it. */
		struct pollfd answered = { .events = POLLIN };
		int answer = 0;
		bool begun = worker_start(&worker) == 0 && ask(&worker, DOUBLE, 1) == 0;
		answered.fd = worker.fd;
		begun = begun && poll(&answered, 1, 10000) > 0 && worker_receive(&worker, &answer, sizeof(answer)) == 1;
		if (begun && ask(&worker, HANG, 0) == 0)
			(void)!write(pipe_fd[1], &worker.pid, sizeof(worker.pid));
		pause();
		_exit(0);
	}
	pid_t worker_pid = 0;
	assert_int_equal(read(pipe_fd[0], &worker_pid, sizeof(worker_pid)), sizeof(worker_pid));
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	int status = 0;
	assert_int_equal(waitpid(worker_pid, &status, 0), worker_pid);
	assert_true(WIFSIGNALED(status));
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void wrong_size_is_a_protocol_error(void **state)
{
	struct worker worker = start();
	char answer[64];
	assert_int_equal(ask(&worker, DOUBLE, 1), 0);
	struct pollfd poll_fd = { .fd = worker.fd, .events = POLLIN };
	assert_true(poll(&poll_fd, 1, 10000) > 0);
	assert_int_equal(worker_receive(&worker, answer, sizeof(answer)), -EPROTO);
	worker_stop(&worker);
}

static void times_are_written_and_read_back(void **state)
{
	char text[32];
	assert_string_equal(clock_format(1763892000123456789LL, text, sizeof(text)), "2025-11-23T10:00:00.123Z");
	int64_t back = 0;
	assert_int_equal(clock_parse(text, &back), 0);
	assert_true(back == 1763892000123000000LL);
	assert_int_equal(clock_parse("yesterday", &back), -EINVAL);
	assert_int_equal(clock_parse("2025-11-23T10:00:00", &back), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_one_at_a_time),
		cmocka_unit_test(death_is_seen_and_it_can_be_started_again),
		cmocka_unit_test(hang_is_noticed),
		cmocka_unit_test(inherits_nothing_but_its_socket),
		cmocka_unit_test(does_not_outlive_its_parent),
		cmocka_unit_test(wrong_size_is_a_protocol_error),
		cmocka_unit_test(times_are_written_and_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
