/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminate while the victim ends by itself and an innocent process gets its number, in a pid namespace of the test's own where
 * numbers can be given again at will. NODEMEND_ATTACK_ROUNDS sets the rounds of a long campaign.
 */
#include "victim_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#include "attack.h"

enum { ROUNDS = 150, LONGEST_SPIN = 4096 };

static struct remedy_request request;
static struct remedy_result result;

/* The next process gets the number `pid`. */
static bool give_number(pid_t pid)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", (int)pid - 1);
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	bool given = fd >= 0 && write(fd, text, (size_t)length) == length;
	if (fd >= 0)
		close(fd);
	return given;
}

/* Two processes of one tick are one to procfs; a number comes round again in no less than seconds. */
static void until_the_next_tick(void)
{
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK), now = clock_boot_ns() / tick_ns;
	while (clock_boot_ns() / tick_ns == now)
		;
}

/* The attacker: makes a victim, ends it at a moment that differs from round to round, and gives its number to an innocent. */
static _Noreturn void attacker(int in, int out)
{
	unsigned spin = 1;
	char word;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		pid_t victim = victim_start(OBEDIENT), innocent = 0;
		if (write(out, &victim, sizeof(victim)) != sizeof(victim) || read(in, &word, 1) != 1)
			_exit(0);
		spin = spin * 1103515245 + 12345;
		for (volatile unsigned i = 0; i < spin % LONGEST_SPIN; i++)
			;
		kill(victim, SIGKILL);
		waitpid(victim, NULL, 0);
		until_the_next_tick();
		if (give_number(victim))
			innocent = victim_start(OBEDIENT);
		/* Only now, and when the remedy is done, does it say how the innocent fares. */
		if (write(out, "i", 1) != 1 || read(in, &word, 1) != 1)
			_exit(0);
		char verdict = innocent != victim ? 'm' : victim_is_alive(innocent) ? 'a' : 'd';
		if (innocent)
			victim_reap(innocent);
		if (write(out, &verdict, 1) != 1)
			_exit(0);
	}
}

struct duel {
	int to, from;
	pid_t pid;
	uint64_t alive, dead, missed; /* innocents */
};

static void begin_duel(struct duel *duel)
{
	int to[2], from[2];
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	*duel = (struct duel){ .to = to[1], .from = from[0], .pid = fork() };
	if (duel->pid == 0) {
		close(to[1]);
		close(from[0]);
		attacker(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
}

static void end_duel(struct duel *duel)
{
	kill(duel->pid, SIGKILL);
	waitpid(duel->pid, NULL, 0);
	close(duel->to);
	close(duel->from);
	print_message("%llu innocents with a victim's number live, %llu died, %llu times the number went elsewhere\n", (unsigned long long)duel->alive,
		      (unsigned long long)duel->dead, (unsigned long long)duel->missed);
	assert_int_equal(duel->dead, 0);
	assert_true(duel->alive > 0); /* else nothing was put to the test */
}

static void one_round(struct duel *duel, uint64_t term_wait_ns, bool late)
{
	pid_t victim;
	char word, verdict;
	assert_int_equal(read(duel->from, &victim, sizeof(victim)), sizeof(victim));
	victim_request(&request, term_wait_ns);
	request.candidate_count = 1;
	request.candidates[0] = victim_cause(victim);
	assert_int_equal(write(duel->to, "g", 1), 1);
	if (late) /* the innocent is there already */
		assert_int_equal(read(duel->from, &word, 1), 1);
	hands_run(&request, &result);
	if (!late)
		assert_int_equal(read(duel->from, &word, 1), 1);
	else
		assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_int_equal(write(duel->to, "v", 1), 1);
	assert_int_equal(read(duel->from, &verdict, 1), 1);
	duel->alive += verdict == 'a';
	duel->dead += verdict == 'd';
	duel->missed += verdict == 'm';
}

static void a_number_given_again_before_the_act(void **state)
{
	struct duel duel;
	begin_duel(&duel);
	for (int i = 0; i < 20; i++)
		one_round(&duel, 0, true);
	end_duel(&duel);
}

static void a_number_given_again_during_the_act(void **state)
{
	struct duel duel;
	uint64_t rounds = attack_rounds(ROUNDS), begun = clock_boot_ns();
	begin_duel(&duel);
	for (uint64_t i = 0; attack_goes_on(i, rounds, begun); i++)
		one_round(&duel, i % 2 ? 0 : 5 * NSEC_PER_MSEC, false);
	end_duel(&duel);
}

static int duels(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_given_again_before_the_act),
		cmocka_unit_test(a_number_given_again_during_the_act),
	};
	if (!give_number(4000)) {
		printf("SKIP attacks on terminate: pid numbers cannot be chosen here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* PID 1 of the namespace only waits: what it is would be protected. */
int main(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("SKIP attacks on terminate: not root, or no namespaces\n");
		return 0;
	}
	int status = 1;
	pid_t init = fork();
	if (init == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount("proc", "/proc", "proc", 0, NULL) < 0) {
			printf("SKIP attacks on terminate: no procfs of a pid namespace\n");
			exit(0);
		}
		pid_t tests = fork();
		if (tests == 0)
			exit(duels());
		waitpid(tests, &status, 0);
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	waitpid(init, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1); /* a leak checker wants a thread, and none can be made in two namespaces */
}
