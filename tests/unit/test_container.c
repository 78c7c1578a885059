/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart-container and kill-container on real processes in a real cgroup, through an engine that behaves as each test wants: whose container it is,
 * who is never touched, and that what the engine says is looked at.
 */
#include "fake_engine.h"
#include "remedies/engine.h"
#include "victim_fixture.h"

enum behaviour { OBEYS, SAYS_ONLY, DIES_AGAIN, SICK, HEALS, RESTARTS_AT_ONCE, REFUSES, FORGETS };

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct fake_engine fake;
static struct remedy_request request;
static struct remedy_result result;
static enum behaviour behaviour;
static char parent[PATH_LEN], folder[PATH_LEN * 2], path[PATH_LEN];
static int procs_fd, looks, acted;
static pid_t pid;
static const char *labels, *name, *cut_id;
static int32_t told_pid; /* 0: the real one */
static bool removed;

/* --- the engine ---------------------------------------------------------------------------------------------------------- */

static void end(void)
{
	if (pid)
		victim_reap(pid);
	pid = 0;
}

static void begin(void)
{
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(procs_fd, "0", 1) != 1)
			_exit(126);
		execl("/bin/sleep", "sleep", "3600", (char *)NULL);
		_exit(127);
	}
}

static int act(bool again)
{
	acted++;
	if (behaviour == REFUSES)
		return 500;
	if (behaviour == SAYS_ONLY)
		return 204;
	end();
	if (again || behaviour == RESTARTS_AT_ONCE)
		begin();
	removed = behaviour == FORGETS;
	return 204;
}

static int tell(char *body, size_t room)
{
	if (removed)
		return 404;
	if (acted && behaviour == DIES_AGAIN && ++looks == 2)
		end();
	const char *health = behaviour == SICK && acted ? ",\"Health\":{\"Status\":\"unhealthy\"}" :
			     behaviour == HEALS && acted ? (++looks < 3 ? ",\"Health\":{\"Status\":\"starting\"}" : ",\"Health\":{\"Status\":\"healthy\"}") : "";
	fake_add(body, room, "{\"Id\":\"%s\",\"Name\":\"%s\",\"State\":{\"Status\":\"%s\",\"Running\":%s,\"Pid\":%d,\"StartedAt\":\"2026-01-01T00:00:00Z\",\"ExitCode\":3%s},"
		 "\"Config\":{\"Image\":\"shop/web:1\",\"Labels\":%s}}", cut_id ? cut_id : ID, name, pid ? "running" : "exited", pid ? "true" : "false",
		 told_pid ? told_pid : (int)pid, health, labels);
	return 200;
}

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int answer(const char *method, const char *target, char *body, size_t room)
{
	if (strcmp(target, "/_ping") == 0) {
		fake_add(body, room, "OK");
		return 200;
	}
	if (strcmp(target, "/containers/" ID "/json") == 0)
		return tell(body, room);
	if (begins(target, "/containers/" ID "/restart?t="))
		return act(true);
	if (begins(target, "/containers/" ID "/stop?t=") || strcmp(target, "/containers/" ID "/kill?signal=SIGKILL") == 0)
		return act(false);
	return 404;
}

/* --- fixture ------------------------------------------------------------------------------------------------------------- */

static const char *hierarchy(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

static void aim(enum remedy_id remedy)
{
	struct stat found;
	assert_int_equal(stat(folder, &found), 0);
	memset(&request, 0, sizeof(request));
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = remedy;
	request.target.type = TARGET_NODE;
	request.candidate_count = 1;
	struct cause *cause = &request.candidates[0];
	*cause = (struct cause){ .rank = 1, .share_permille = 900, .cgroup_id = found.st_ino };
	snprintf(cause->cgroup, PATH_LEN, "%s", path);
	request.args.restart_container.grace_ns = 2 * NSEC_PER_SEC;
	snprintf(request.args.restart_container.socket, PATH_LEN, "%s", fake.socket);
	request.deadline_boot_ns = clock_boot_ns() + 20 * NSEC_PER_SEC;
	effect_clear(&request.expect);
}

static void make(const char *word)
{
	char procs[PATH_LEN * 2 + 16];
	snprintf(path, sizeof(path), "%.100s/%.140s", parent, word);
	snprintf(folder, sizeof(folder), "%s%s", hierarchy(), path);
	assert_int_equal(mkdir(folder, 0755), 0);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", folder);
	procs_fd = open(procs, O_WRONLY | O_CLOEXEC);
	assert_true(procs_fd >= 0);
}

static void unmake(void)
{
	end();
	close(procs_fd);
	for (int i = 0; i < 100 && rmdir(folder) < 0 && errno == EBUSY; i++)
		usleep(10000);
}

static int setup(void **state)
{
	behaviour = OBEYS;
	looks = acted = 0;
	labels = "{}";
	name = "/web";
	cut_id = NULL;
	told_pid = 0;
	removed = false;
	fake.acts = 0;
	make("docker-" ID ".scope");
	pid = victim_start_in(OBEDIENT, procs_fd);
	return 0;
}

static int teardown(void **state)
{
	unmake();
	return 0;
}

static void apply(enum remedy_id remedy)
{
	aim(remedy);
	hands_run(&request, &result);
}

static void refused(const char *by)
{
	hands_run(&request, &result);
	if (result.outcome != OUTCOME_REFUSED)
		print_error("outcome %d: %s\n", result.outcome, result.why);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, by);
	assert_int_equal(fake.acts, 0);
	assert_true(victim_is_alive(pid));
}

static void both_refused(const char *by)
{
	aim(REMEDY_RESTART_CONTAINER);
	refused(by);
	aim(REMEDY_KILL_CONTAINER);
	refused(by);
}

/* --- restarting ---------------------------------------------------------------------------------------------------------- */

static void it_runs_again(void **state)
{
	pid_t before = pid;
	apply(REMEDY_RESTART_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.unit_active, 1);
	assert_true(pid != before);
	assert_int_equal(fake.acts, 1);
	assert_string_equal(fake.act[0], "POST /containers/" ID "/restart?t=2");
}

static void it_must_be_another_process(void **state)
{
	behaviour = SAYS_ONLY;
	apply(REMEDY_RESTART_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "the same process"));
}

static void it_must_stay(void **state)
{
	behaviour = DIES_AGAIN;
	apply(REMEDY_RESTART_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "exit code 3"));
	assert_int_equal(result.observed.unit_active, 0);
}

static void its_own_probe_counts(void **state)
{
	behaviour = SICK;
	apply(REMEDY_RESTART_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "unhealthy"));
}

static void it_is_waited_for_until_it_heals(void **state)
{
	behaviour = HEALS;
	apply(REMEDY_RESTART_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
}

static void an_engine_that_would_not_is_a_failure(void **state)
{
	behaviour = REFUSES;
	apply(REMEDY_RESTART_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	apply(REMEDY_KILL_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_true(victim_is_alive(pid));
}

/* --- ending -------------------------------------------------------------------------------------------------------------- */

static void it_ends(void **state)
{
	apply(REMEDY_KILL_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(result.observed.exited, 1);
	assert_true(result.observed.freed_bytes > 0 && result.observed.freed_bytes != UNKNOWN);
	assert_string_equal(fake.act[0], "POST /containers/" ID "/stop?t=2");
	/* Whom to wait for before another one is chosen. */
	assert_int_equal(result.ended.cgroup_id, request.candidates[0].cgroup_id);
	assert_int_equal(result.ended.rss_bytes, result.observed.freed_bytes);
}

static void without_grace_it_is_killed(void **state)
{
	aim(REMEDY_KILL_CONTAINER);
	request.args.kill_container.grace_ns = 0;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_string_equal(fake.act[0], "POST /containers/" ID "/kill?signal=SIGKILL");
}

static void grace_is_half_of_the_time_at_most(void **state)
{
	aim(REMEDY_KILL_CONTAINER);
	request.args.kill_container.grace_ns = 300 * NSEC_PER_SEC;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	int grace = atoi(strstr(fake.act[0], "t=") + 2);
	assert_in_range(grace, 5, 10);
}

static void one_that_removes_itself_has_ended(void **state)
{
	behaviour = FORGETS;
	apply(REMEDY_KILL_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
}

static void one_that_comes_back_was_not_ended(void **state)
{
	behaviour = RESTARTS_AT_ONCE;
	apply(REMEDY_KILL_CONTAINER);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_non_null(strstr(result.why, "started again"));
}

static void an_engines_word_does_not_end_it(void **state)
{
	behaviour = SAYS_ONLY;
	aim(REMEDY_KILL_CONTAINER);
	request.args.kill_container.grace_ns = 0;
	request.deadline_boot_ns = clock_boot_ns() + 300 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_NO_EFFECT);
	assert_true(victim_is_alive(pid));
}

/* --- never --------------------------------------------------------------------------------------------------------------- */

static void a_sandbox_and_a_pods_container_are_left_alone(void **state)
{
	labels = "{\"io.kubernetes.docker.type\":\"podsandbox\"}";
	both_refused("never-list");
	labels = "{\"io.kubernetes.pod.uid\":\"x\",\"io.kubernetes.container.name\":\"app\"}";
	both_refused("never-list");
	labels = "{}";
	name = "/k8s_app_web_shop_x_0";
	both_refused("never-list");
}

static void what_the_configuration_protects_is_left_alone(void **state)
{
	aim(REMEDY_RESTART_CONTAINER);
	snprintf(request.protect.containers[request.protect.container_count++], NAME_LEN, "we?");
	refused("never-list");
	assert_non_null(strstr(result.why, "protect.containers: we?"));
	aim(REMEDY_KILL_CONTAINER);
	snprintf(request.protect.containers[request.protect.container_count++], NAME_LEN, "shop/*");
	refused("never-list");
	aim(REMEDY_KILL_CONTAINER);
	snprintf(request.protect.cgroups[request.protect.cgroup_count++], PATH_LEN, "%s", path);
	refused("never-list");
	aim(REMEDY_KILL_CONTAINER); /* who runs in it */
	snprintf(request.protect.comms[request.protect.comm_count++], NAME_LEN, "sleep");
	refused("never-list");
}

static void a_cgroup_that_only_has_the_name_is_not_the_container(void **state)
{
	told_pid = (int32_t)getpid(); /* the engine has it elsewhere */
	both_refused("target-changed");
	told_pid = 0;
	aim(REMEDY_KILL_CONTAINER);
	request.candidates[0].cgroup_id++;
	refused("target-changed");
}

static void the_engine_must_speak_of_the_same_one(void **state)
{
	cut_id = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
	both_refused("no-runtime");
}

static void what_is_in_no_container_has_none(void **state)
{
	aim(REMEDY_KILL_CONTAINER);
	snprintf(request.candidates[0].cgroup, PATH_LEN, "/system.slice/web.service");
	refused("no-container");
	aim(REMEDY_KILL_CONTAINER);
	request.candidates[0].share_permille = 10;
	refused("no-candidate");
	/* The second did less, whatever it is in. */
	aim(REMEDY_KILL_CONTAINER);
	request.candidates[1] = request.candidates[0];
	request.candidate_count = 2;
	snprintf(request.candidates[0].cgroup, PATH_LEN, "/system.slice/web.service");
	refused("no-container");
	aim(REMEDY_KILL_CONTAINER);
	snprintf(request.candidates[0].cgroup, PATH_LEN, "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope");
	refused("no-container");
}

static void looking_and_the_kill_switch(void **state)
{
	aim(REMEDY_KILL_CONTAINER);
	request.verb = REMEDY_VERB_PLAN;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_int_equal(result.plan_count, 1);
	assert_non_null(strstr(result.plan[0], "end container web of docker: 1 processes"));
	aim(REMEDY_KILL_CONTAINER);
	snprintf(request.kill_switch, PATH_LEN, "/proc/self/stat");
	refused("kill-switch");
}

/* The container's own init may put its children into cgroups below: it is the whole that is meant. */
static void a_cgroup_inside_of_it_stands_for_it(void **state)
{
	char inner[PATH_LEN * 2 + 16], inner_path[PATH_LEN];
	struct stat found;
	snprintf(inner, sizeof(inner), "%s/inner", folder);
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(stat(inner, &found), 0);
	aim(REMEDY_KILL_CONTAINER);
	snprintf(inner_path, sizeof(inner_path), "%.240s/inner", path);
	memcpy(request.candidates[0].cgroup, inner_path, sizeof(inner_path));
	request.candidates[0].cgroup_id = found.st_ino;
	hands_run(&request, &result);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(stat(folder, &found), 0);
	assert_int_equal(result.ended.cgroup_id, found.st_ino);
	assert_int_equal(result.observed.exited, 1);
}

static void a_hostile_request_is_refused(void **state)
{
	aim(REMEDY_KILL_CONTAINER);
	memset(request.args.kill_container.socket, '/', PATH_LEN);
	refused("invalid-request");
	aim(REMEDY_RESTART_CONTAINER);
	request.args.restart_container.grace_ns = UINT64_MAX;
	refused("invalid-request");
}

static int open_all(void **state)
{
	char top[PATH_LEN * 2];
	fake.answer = answer;
	snprintf(parent, sizeof(parent), "/test-nodemend-%d", (int)getpid());
	snprintf(top, sizeof(top), "%s%s", hierarchy(), parent);
	return mkdir(top, 0755) < 0 ? -1 : fake_start(&fake);
}

static int close_all(void **state)
{
	char top[PATH_LEN * 2];
	snprintf(top, sizeof(top), "%s%s", hierarchy(), parent);
	fake_stop(&fake);
	return rmdir(top);
}

int main(void)
{
#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(it_runs_again),
		TEST(it_must_be_another_process),
		TEST(it_must_stay),
		TEST(its_own_probe_counts),
		TEST(it_is_waited_for_until_it_heals),
		TEST(an_engine_that_would_not_is_a_failure),
		TEST(it_ends),
		TEST(without_grace_it_is_killed),
		TEST(grace_is_half_of_the_time_at_most),
		TEST(one_that_removes_itself_has_ended),
		TEST(one_that_comes_back_was_not_ended),
		TEST(an_engines_word_does_not_end_it),
		TEST(a_sandbox_and_a_pods_container_are_left_alone),
		TEST(what_the_configuration_protects_is_left_alone),
		TEST(a_cgroup_that_only_has_the_name_is_not_the_container),
		TEST(the_engine_must_speak_of_the_same_one),
		TEST(what_is_in_no_container_has_none),
		TEST(looking_and_the_kill_switch),
		TEST(a_cgroup_inside_of_it_stands_for_it),
		TEST(a_hostile_request_is_refused),
	};
	if (geteuid() != 0 || access(hierarchy(), W_OK) < 0) {
		printf("SKIP containers: not root, or no v2 hierarchy\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, open_all, close_all);
}
