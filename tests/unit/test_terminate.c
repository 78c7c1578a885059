/* SPDX-License-Identifier: Apache-2.0 */
/* terminate: who is ended, how, and who is not; a process by its proven identity, a cgroup as a whole or not at all. */
#include "victim_fixture.h"

#include <sched.h>


static struct remedy_request request;
static struct remedy_result result;

static void run(void)
{
	hands_run(&request, &result);
}

static void aim(uint64_t term_wait_ns, uint32_t count, const pid_t *pids)
{
	victim_request(&request, term_wait_ns);
	request.candidate_count = count;
	for (uint32_t i = 0; i < count; i++)
		request.candidates[i] = victim_cause(pids[i]);
}

static int ended_by(pid_t pid)
{
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static const struct action_step *step_of(const char *name)
{
	for (uint32_t i = 0; i < result.step_count; i++)
		if (strcmp(result.steps[i].name, name) == 0)
			return &result.steps[i];
	return NULL;
}

static const char *detail_of(const char *name)
{
	const struct action_step *step = step_of(name);
	return step ? step->detail : "";
}

/* --- one process ---------------------------------------------------------------------------------------------------------------- */

static void the_first_candidate_is_asked_and_ends(void **state)
{
	pid_t pids[2] = { victim_start(OBEDIENT), victim_start(OBEDIENT) };
	aim(10 * NSEC_PER_SEC, 2, pids);
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.exited, 1);
	assert_true(result.observed.freed_bytes > 0 && result.observed.freed_bytes != UNKNOWN);
	assert_int_equal(result.expected.exited, 1);
	assert_int_equal(ended_by(pids[0]), SIGTERM);
	assert_null(step_of("kill"));
	assert_true(victim_is_alive(pids[1]));
	victim_reap(pids[1]);
}

static void who_does_not_listen_is_made_to(void **state)
{
	pid_t pid = victim_start(STUBBORN);
	aim(50 * NSEC_PER_MSEC, 1, &pid);
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(ended_by(pid), SIGKILL);
	assert_non_null(step_of("term"));
	assert_non_null(step_of("kill"));
}

static void without_a_wait_it_is_killed_at_once(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	aim(0, 1, &pid);
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(ended_by(pid), SIGKILL);
	assert_null(step_of("term"));
}

static void less_memory_than_promised_is_an_improvement(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	aim(0, 1, &pid);
	request.expect.freed_bytes = 1ULL << 40;
	run();
	assert_int_equal(result.outcome, OUTCOME_IMPROVED);
	ended_by(pid);
}

static void another_start_is_another_process(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK), starts[] = { 0, tick_ns };
	for (size_t i = 0; i < 2; i++) {
		aim(0, 1, &pid);
		request.candidates[0].start_ns = i == 0 ? 0 : request.candidates[0].start_ns - starts[i];
		run();
		assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
		assert_int_equal(result.observed.exited, 0);
		assert_true(victim_is_alive(pid));
	}
	aim(0, 1, &pid);
	request.candidates[0].start_ns += tick_ns - 1; /* measured more finely than procfs says: the same */
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	ended_by(pid);
}

static void another_name_or_cgroup_is_another_process(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	aim(0, 1, &pid);
	snprintf(request.candidates[0].comm, COMM_LEN, "grower");
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	aim(0, 1, &pid);
	snprintf(request.candidates[0].cgroup, PATH_LEN, "/nodemend-test-nowhere");
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_non_null(strstr(detail_of("candidate"), "another cgroup"));
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void one_that_has_ended_is_passed_over(void **state)
{
	pid_t pids[2] = { victim_start(OBEDIENT), victim_start(OBEDIENT) };
	aim(0, 2, pids);
	victim_reap(pids[0]);
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_non_null(step_of("candidate"));
	ended_by(pids[1]);
}

static void the_protected_are_passed_over_with_their_rule(void **state)
{
	pid_t pids[2] = { victim_start(OBEDIENT), victim_start(OBEDIENT) };
	aim(0, 1, pids);
	request.protect.comm_count = 1;
	snprintf(request.protect.comms[0], NAME_LEN, "sle*");
	run();
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "never-list");
	assert_non_null(strstr(detail_of("candidate"), "protect.comms: sle*"));
	assert_true(victim_is_alive(pids[0]));
	victim_reap(pids[0]);
	victim_reap(pids[1]);
}

static void neither_init_nor_the_agent_nor_its_parents(void **state)
{
	pid_t pids[3] = { 1, getpid(), getppid() };
	aim(0, 3, pids);
	request.verb = REMEDY_VERB_PLAN; /* what a broken guard would do is not tried on the real ones */
	run();
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_int_equal(result.expected.exited, UNKNOWN);
}

static void a_small_share_is_no_cause(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	aim(0, 1, &pid);
	request.candidates[0].share_permille = 10;
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void about_one_process_only_it_may_end(void **state)
{
	pid_t pids[2] = { victim_start(OBEDIENT), victim_start(OBEDIENT) };
	aim(0, 1, &pids[1]);
	struct cause about = victim_cause(pids[0]);
	request.target = (struct target){ .type = TARGET_PROCESS, .pid = pids[0], .start_ns = about.start_ns };
	snprintf(request.target.name, PATH_LEN, "%s", about.comm);
	request.args.terminate.scope = TERMINATE_CGROUP; /* not even so */
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_true(victim_is_alive(pids[1]));
	request.candidate_count = 0;
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	ended_by(pids[0]);
	assert_true(victim_is_alive(pids[1]));
	victim_reap(pids[1]);
}

static void a_plan_signals_nobody(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	aim(NSEC_PER_SEC, 1, &pid);
	request.verb = REMEDY_VERB_PLAN;
	run();
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_int_equal(result.plan_count, 1);
	assert_non_null(strstr(result.plan[0], "SIGTERM, then SIGKILL after 1000 ms"));
	assert_int_equal(result.expected.exited, 1);
	assert_int_equal(result.observed.exited, UNKNOWN);
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void the_kill_switch_spares_it(void **state)
{
	pid_t pid = victim_start(OBEDIENT);
	aim(0, 1, &pid);
	snprintf(request.kill_switch, PATH_LEN, "/proc/self/status");
	run();
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "kill-switch");
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

/* No new work after the deadline: a SIGKILL would be some. */
static void the_deadline_spares_who_ignores_the_first_signal(void **state)
{
	pid_t pid = victim_start(STUBBORN);
	aim(10 * NSEC_PER_SEC, 1, &pid);
	request.deadline_boot_ns = clock_boot_ns() + 100 * NSEC_PER_MSEC;
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_int_equal(result.observed.exited, 0);
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void is_armed_here(void **state)
{
	victim_request(&request, 0);
	request.verb = REMEDY_VERB_CHECK;
	run();
	assert_true(result.armed);
}

/* --- a cgroup --------------------------------------------------------------------------------------------------------------------- */

struct cgroup_fixture {
	char dir[PATH_LEN], inner[PATH_LEN + 8];
	const char *path;   /* below the mount */
	uint64_t id;
	int procs, inner_procs;
};

static int open_procs(const char *dir)
{
	char path[PATH_LEN + 32];
	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static int make_cgroup(void **state)
{
	static struct cgroup_fixture group;
	struct stat found;
	const char *mount = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
	snprintf(group.dir, sizeof(group.dir), "%s/nm.test-%d", mount, (int)getpid());
	snprintf(group.inner, sizeof(group.inner), "%s/inner", group.dir);
	*state = NULL;
	if (mkdir(group.dir, 0755) < 0 || stat(group.dir, &found) < 0)
		return 0; /* each test says that it is skipped */
	assert_int_equal(mkdir(group.inner, 0755), 0);
	group.path = group.dir + strlen(mount);
	group.id = found.st_ino;
	group.procs = open_procs(group.dir);
	group.inner_procs = open_procs(group.inner);
	*state = &group;
	return 0;
}

static int remove_cgroup(void **state)
{
	struct cgroup_fixture *group = *state;
	if (!group)
		return 0;
	char path[PATH_LEN + 32];
	snprintf(path, sizeof(path), "%s/cgroup.kill", group->dir);
	int fd = open(path, O_WRONLY | O_CLOEXEC); /* whom a failed test left behind */
	(void)!write(fd, "1", 1);
	close(fd);
	close(group->procs);
	close(group->inner_procs);
	while (rmdir(group->inner) < 0 || rmdir(group->dir) < 0) {
		if (errno != EBUSY && errno != ENOENT)
			return -1;
		if (errno == ENOENT && rmdir(group->dir) == 0)
			break;
		(void)waitpid(-1, NULL, WNOHANG);
		sched_yield();
	}
	return 0;
}

static void aim_at(const struct cgroup_fixture *group, uint64_t term_wait_ns)
{
	victim_request(&request, term_wait_ns);
	request.args.terminate.scope = TERMINATE_CGROUP;
	request.target = (struct target){ .type = TARGET_CGROUP, .cgroup_id = group->id };
	snprintf(request.target.name, PATH_LEN, "%s", group->path);
}

static struct cgroup_fixture *need_cgroup(void **state)
{
	if (!*state)
		skip(); /* no v2 hierarchy that may be written */
	return *state;
}

static void a_cgroup_ends_as_a_whole(void **state)
{
	struct cgroup_fixture *group = need_cgroup(state);
	pid_t pids[3] = { victim_start_in(OBEDIENT, group->procs), victim_start_in(STUBBORN, group->procs), victim_start_in(OBEDIENT, group->inner_procs) };
	pid_t outside = victim_start(OBEDIENT);
	aim_at(group, 50 * NSEC_PER_MSEC);
	run();
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.exited, 3);
	assert_int_equal(ended_by(pids[0]), SIGTERM);
	assert_int_equal(ended_by(pids[1]), SIGKILL);
	assert_int_equal(ended_by(pids[2]), SIGTERM);
	assert_true(victim_is_alive(outside));
	victim_reap(outside);
}

static void one_protected_member_spares_all(void **state)
{
	struct cgroup_fixture *group = need_cgroup(state);
	pid_t pid = victim_start_in(OBEDIENT, group->procs);
	pid_t ours = fork(); /* the program of the agent, wherever it was moved to */
	if (ours == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", (int)ours);
	assert_int_equal(write(group->inner_procs, text, (size_t)length), length);
	aim_at(group, 0);
	run();
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "never-list");
	assert_true(victim_is_alive(pid) && victim_is_alive(ours));
	victim_reap(pid);
	victim_reap(ours);
}

static void another_id_is_another_cgroup(void **state)
{
	struct cgroup_fixture *group = need_cgroup(state);
	pid_t pid = victim_start_in(OBEDIENT, group->procs);
	struct stat inner;
	assert_int_equal(stat(group->inner, &inner), 0);
	uint64_t ids[] = { group->id + 100000, inner.st_ino, 1 };
	for (size_t i = 0; i < 3; i++) {
		aim_at(group, 0);
		request.verb = REMEDY_VERB_PLAN; /* one of them is the root */
		request.target.cgroup_id = ids[i];
		run();
		assert_int_equal(result.outcome, OUTCOME_REFUSED);
		assert_string_equal(result.refused_by, "target-changed");
	}
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void never_the_root_nor_one_above_the_agent(void **state)
{
	struct cgroup_fixture *group = need_cgroup(state);
	aim_at(group, 0);
	request.verb = REMEDY_VERB_PLAN;
	snprintf(request.target.name, PATH_LEN, "/");
	request.target.cgroup_id = 1;
	run();
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "never-list");
	pid_t child = fork(); /* an agent inside of the cgroup that it is to end */
	if (child == 0) {
		if (write(group->inner_procs, "0", 1) != 1)
			_exit(1);
		snprintf(request.target.name, PATH_LEN, "%s", group->path);
		request.target.cgroup_id = group->id;
		run();
		_exit(result.outcome == OUTCOME_REFUSED && strcmp(result.refused_by, "never-list") == 0 ? 0 : 2);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void an_empty_cgroup_is_no_effect(void **state)
{
	struct cgroup_fixture *group = need_cgroup(state);
	aim_at(group, 0);
	run();
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
}

#define GROUP_TEST(name_) cmocka_unit_test_setup_teardown(name_, make_cgroup, remove_cgroup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_candidate_is_asked_and_ends), cmocka_unit_test(who_does_not_listen_is_made_to),
		cmocka_unit_test(without_a_wait_it_is_killed_at_once), cmocka_unit_test(less_memory_than_promised_is_an_improvement),
		cmocka_unit_test(another_start_is_another_process), cmocka_unit_test(another_name_or_cgroup_is_another_process),
		cmocka_unit_test(one_that_has_ended_is_passed_over), cmocka_unit_test(the_protected_are_passed_over_with_their_rule),
		cmocka_unit_test(neither_init_nor_the_agent_nor_its_parents), cmocka_unit_test(a_small_share_is_no_cause),
		cmocka_unit_test(about_one_process_only_it_may_end), cmocka_unit_test(a_plan_signals_nobody), cmocka_unit_test(the_kill_switch_spares_it),
		cmocka_unit_test(the_deadline_spares_who_ignores_the_first_signal), cmocka_unit_test(is_armed_here), GROUP_TEST(a_cgroup_ends_as_a_whole),
		GROUP_TEST(one_protected_member_spares_all), GROUP_TEST(another_id_is_another_cgroup), GROUP_TEST(never_the_root_nor_one_above_the_agent),
		GROUP_TEST(an_empty_cgroup_is_no_effect),
	};
	if (geteuid() != 0) {
		printf("SKIP terminate: not root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
