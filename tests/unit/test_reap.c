/* SPDX-License-Identifier: Apache-2.0 */
/* reap: a parent that only has to be reminded, one that has to be ended, and those that are left alone whatever becomes of their children. */
#include "victim_fixture.h"

#include <sched.h>
#include <sys/syscall.h>

enum { ZOMBIES = 12, STAY_S = 60 };

static struct remedy_request request;
static struct remedy_result result;
static char program[64];

static void on_child(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code == SI_USER) /* somebody reminds it: those that ended said so long ago, and it did not listen */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
}

enum kind { FORGETFUL, DEAF, DEAF_INIT };

static _Noreturn void neglect(enum kind kind, int ready)
{
	struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO };
	siginfo_t info;
	alarm(STAY_S);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* the init of a namespace hears no alarm */
	if (kind == FORGETFUL)
		sigaction(SIGCHLD, &action, NULL);
	else
		(void)signal(SIGCHLD, SIG_DFL);
	for (int i = 0; i < ZOMBIES; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0 || waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0) /* it is a zombie, and stays one */
			_exit(1);
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

/* The parent of zombies; of a DEAF_INIT the number here, though it calls itself 1. */
static pid_t start(enum kind kind)
{
	int gate[2];
	char byte, words[2][16];
	assert_int_equal(pipe2(gate, 0), 0);
	pid_t pid = kind == DEAF_INIT ? (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL) : fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		snprintf(words[0], sizeof(words[0]), "%d", kind);
		snprintf(words[1], sizeof(words[1]), "%d", gate[1]);
		execl(program, program, words[0], words[1], (char *)NULL);
		_exit(127);
	}
	close(gate[1]);
	assert_int_equal(read(gate[0], &byte, 1), 1);
	close(gate[0]);
	return pid;
}

static void aim(pid_t pid, bool end_parent)
{
	struct cause cause = victim_cause(pid);
	victim_request(&request, 0);
	request.remedy = REMEDY_REAP;
	request.target = (struct target){ .type = TARGET_PROCESS, .pid = pid, .start_ns = cause.start_ns };
	request.args.reap = (struct reap_args){ .min_zombies = ZOMBIES, .end_parent = end_parent, .wait_ns = 200 * NSEC_PER_MSEC, .term_wait_ns = 5 * NSEC_PER_SEC };
	hands_run(&request, &result);
}

static void assert_refused_by(const char *guard)
{
	if (result.outcome != OUTCOME_REFUSED || strcmp(result.refused_by, guard) != 0)
		fail_msg("outcome %d, refused by %s: %s", result.outcome, result.refused_by, result.why);
}

static void assert_outcome(enum outcome outcome)
{
	if (result.outcome != outcome)
		fail_msg("%s, refused by %s: %s", outcome_names[result.outcome], result.refused_by, result.why);
}

static void one_that_forgot_is_reminded(void **state)
{
	(void)state;
	pid_t pid = start(FORGETFUL);
	aim(pid, true);
	assert_outcome(OUTCOME_FIXED);
	assert_int_equal(result.expected.exited, ZOMBIES);
	assert_int_equal(result.observed.exited, ZOMBIES);
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void one_that_does_not_listen_is_ended_only_where_that_is_allowed(void **state)
{
	(void)state;
	pid_t pid = start(DEAF);
	aim(pid, false);
	assert_outcome(OUTCOME_NO_EFFECT);
	assert_int_equal(result.observed.exited, 0);
	assert_non_null(strstr(result.why, "end_parent"));
	assert_true(victim_is_alive(pid));

	/* We are the next to inherit them, and let them go at once, as an init does. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)signal(SIGCHLD, SIG_IGN);
	aim(pid, true);
	assert_outcome(OUTCOME_FIXED);
	assert_int_equal(result.observed.exited, ZOMBIES);
	assert_int_equal(kill(pid, 0), -1);
	(void)signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* Its end is not theirs: who inherits them must let them go, and does not. */
static void zombies_that_only_change_their_parent_are_not_gone(void **state)
{
	(void)state;
	pid_t pid = start(DEAF);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	aim(pid, true);
	assert_outcome(OUTCOME_NO_EFFECT);
	assert_int_equal(result.observed.exited, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void the_worst_one_is_found(void **state)
{
	(void)state;
	pid_t pid = start(DEAF);
	aim(pid, false);
	request.verb = REMEDY_VERB_PLAN;
	request.target = (struct target){ .type = TARGET_NODE, .name = "pids" };
	request.args.reap.min_zombies = 1;
	hands_run(&request, &result);
	assert_true(result.plan_count == 1 || result.outcome == OUTCOME_REFUSED); /* this node may have a worse one, protected */
	if (result.plan_count)
		assert_true(result.expected.exited >= ZOMBIES);
	victim_reap(pid);
}

static void no_init_and_nobody_protected(void **state)
{
	(void)state;
	pid_t pid = start(DEAF_INIT);
	aim(pid, true);
	assert_refused_by("never-list");
	assert_non_null(strstr(result.why, "init of a container"));
	assert_true(victim_is_alive(pid));
	victim_reap(pid);

	pid = start(DEAF);
	aim(pid, true);
	assert_int_not_equal(result.outcome, OUTCOME_REFUSED);
	while (waitpid(-1, NULL, 0) > 0)
		;
	pid = start(DEAF);
	victim_request(&request, 0);
	struct cause cause = victim_cause(pid);
	request.remedy = REMEDY_REAP;
	request.args.reap = (struct reap_args){ .min_zombies = 1, .end_parent = true, .wait_ns = 200 * NSEC_PER_MSEC };
	request.target = (struct target){ .type = TARGET_PROCESS, .pid = pid, .start_ns = cause.start_ns };
	snprintf(request.protect.comms[0], NAME_LEN, "neglecter*");
	request.protect.comm_count = 1;
	hands_run(&request, &result);
	assert_refused_by("never-list");
	assert_true(victim_is_alive(pid));

	request.protect.comm_count = 0;
	request.target.start_ns += NSEC_PER_SEC;
	hands_run(&request, &result);
	assert_refused_by("target-changed");
	request.target.start_ns -= NSEC_PER_SEC;
	request.args.reap.min_zombies = ZOMBIES + 1;
	hands_run(&request, &result);
	assert_refused_by("no-evidence");
	assert_true(victim_is_alive(pid));
	victim_reap(pid);

	request.target = (struct target){ .type = TARGET_PROCESS, .pid = 1 };
	hands_run(&request, &result);
	assert_refused_by("never-list");
}

int main(int argc, char **argv)
{
	if (argc == 3)
		neglect((enum kind)atoi(argv[1]), atoi(argv[2]));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_forgot_is_reminded), cmocka_unit_test(one_that_does_not_listen_is_ended_only_where_that_is_allowed),
		cmocka_unit_test(zombies_that_only_change_their_parent_are_not_gone), cmocka_unit_test(the_worst_one_is_found),
		cmocka_unit_test(no_init_and_nobody_protected),
	};
	victim_copy("neglecter", program);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(program);
	return failed;
}
