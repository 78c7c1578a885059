/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill-fork-bomb against a real one that is bounded: its pids controller gives it no more than 150 tasks, it begets no more than 800 and ends by itself with
 * its owner, or after 5 s.
 */
#include "victim_fixture.h"

#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { MOST_ALIVE = 60, MOST_BORN = 800, ENOUGH = 40, LIFE_S = 5, FULL_MS = 10 };

static struct remedy_request request;
static struct remedy_result result;

/* Shared by all of it. `alive` is what they say of themselves: those that were killed say nothing. */
struct bomb {
	atomic_int alive, born, go_on;
	pid_t leader, owner;
	uint64_t ends_boot_ns;
};
static struct bomb *bomb;
static char program[64], bounds[PATH_LEN]; /* the directory whose pids.max bounds it */

static bool goes_on(void)
{
	return atomic_load(&bomb->go_on) && clock_boot_ns() < bomb->ends_boot_ns && kill(bomb->owner, 0) == 0;
}

/* Like :(){ :|:& };: each begets two and is gone, so that most are init's children, under the one session that they were born in. */
static _Noreturn void multiply(void)
{
	bool is_leader = true;
	(void)signal(SIGCHLD, SIG_IGN);
	(void)signal(SIGALRM, SIG_DFL);
	alarm(LIFE_S);
	for (int begot = 0, waited = 0; goes_on();) {
		if (!is_leader && begot == 2)
			break;
		if (atomic_fetch_add(&bomb->alive, 1) >= MOST_ALIVE || atomic_load(&bomb->born) >= MOST_BORN) {
			atomic_fetch_sub(&bomb->alive, 1);
			usleep(FULL_MS * 1000);
			if (++waited > 4 + getpid() % 8 && atomic_load(&bomb->born) < MOST_BORN)
				begot = 2; /* makes room for others */
			continue;
		}
		pid_t child = fork();
		if (child == 0) {
			atomic_fetch_add(&bomb->born, 1);
			alarm(LIFE_S);
			is_leader = false;
			begot = waited = 0;
			continue;
		}
		begot += child > 0;
		if (child < 0)
			atomic_fetch_sub(&bomb->alive, 1);
	}
	atomic_fetch_sub(&bomb->alive, 1);
	_exit(0);
}

/* Those whose parents have ended are ours (a subreaper's): an init may take seconds to let them go, and until then they count against pids.max. */
static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static struct bomb *map_bomb(int fd)
{
	struct bomb *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return shared == MAP_FAILED ? NULL : shared;
}

static bool put(const char *directory, const char *file, const char *text)
{
	char path[2 * PATH_LEN];
	snprintf(path, sizeof(path), "%s/%s", directory, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return written;
}

/* `group`: the v2 cgroup that it lives in; NULL: any. */
static void set_off(const char *group)
{
	char number[16];
	int fd = memfd_create("bomb", 0);
	assert_true(fd >= 0 && ftruncate(fd, sizeof(*bomb)) == 0);
	bomb = map_bomb(fd);
	assert_non_null(bomb);
	atomic_store(&bomb->go_on, 1);
	bomb->owner = getpid();
	bomb->ends_boot_ns = clock_boot_ns() + LIFE_S * NSEC_PER_SEC;
	snprintf(number, sizeof(number), "%d", fd);
	pid_t leader = fork();
	assert_true(leader >= 0);
	if (leader == 0) {
		if (setsid() < 0 || !put(bounds, "cgroup.procs", "0") || (group && !put(group, "cgroup.procs", "0")))
			_exit(1);
		execl(program, program, number, (char *)NULL);
		_exit(127);
	}
	close(fd);
	bomb->leader = leader;
	for (int i = 0; i < 5000 && atomic_load(&bomb->born) < 2 * MOST_ALIVE; i++) {
		reap();
		usleep(1000);
	}
	assert_true(atomic_load(&bomb->born) >= 2 * MOST_ALIVE);
}

/* Those of the session that are not zombies; in `ret_stopped` how many stand still, in `ret_some` one that is not the leader. */
static int census(pid_t session, int *ret_stopped, pid_t *ret_some)
{
	int count = 0;
	*ret_stopped = 0;
	*ret_some = 0;
	DIR *proc = opendir("/proc");
	assert_non_null(proc);
	for (struct dirent *entry; (entry = readdir(proc));) {
		char path[64], text[512] = "", state;
		int of;
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/stat", entry->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ssize_t got = read(fd, text, sizeof(text) - 1);
		close(fd);
		char *close_at = got > 0 ? strrchr(text, ')') : NULL;
		if (!close_at || sscanf(close_at + 1, " %c %*d %*d %d", &state, &of) != 2 || of != session || state == 'Z' || state == 'X')
			continue;
		count++;
		*ret_stopped += state == 'T';
		if (atoi(entry->d_name) != session)
			*ret_some = atoi(entry->d_name);
	}
	closedir(proc);
	return count;
}

static void defuse(void)
{
	int stopped;
	pid_t some;
	if (!bomb)
		return;
	atomic_store(&bomb->go_on, 0);
	kill(bomb->leader, SIGKILL);
	for (int i = 0; i < 5000 && census(bomb->leader, &stopped, &some) > 0; i++) {
		if (some > 1 && (stopped || i > 500))
			kill(some, SIGKILL); /* left standing by a test that failed */
		usleep(1000);
	}
	reap();
	munmap(bomb, sizeof(*bomb));
	bomb = NULL;
}

static char dir[PATH_LEN]; /* of a cgroup that a test made; "" = none */

/* However the test ended. */
static int clear_up(void **state)
{
	(void)state;
	defuse();
	if (dir[0]) {
		(void)put(dir, "cgroup.kill", "1");
		for (int i = 0; rmdir(dir) < 0 && errno == EBUSY && i < 5000; i++) {
			reap();
			usleep(1000);
		}
	}
	bool gone = !dir[0] || access(dir, F_OK) < 0;
	dir[0] = '\0';
	return gone ? 0 : -1;
}

/* The kernel's own bound, where there is one that is ours to set: v1's pids controller, which any v2 cgroup goes with. */
static int make_bounds(void **state)
{
	(void)state;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	snprintf(bounds, sizeof(bounds), "/sys/fs/cgroup/pids/test-bomb-%d", (int)getpid());
	if (mkdir(bounds, 0755) == 0 && put(bounds, "pids.max", "150"))
		return 0;
	(void)rmdir(bounds);
	bounds[0] = '\0';
	return 0;
}

static int remove_bounds(void **state)
{
	(void)state;
	for (int i = 0; bounds[0] && rmdir(bounds) < 0 && errno == EBUSY && i < 5000; i++) {
		reap();
		usleep(1000);
	}
	return 0;
}

static void need_bounds(void)
{
	if (bounds[0])
		return;
	print_message("SKIP a bomb: this host has no pids controller of v1 that would bound it\n");
	skip();
}

static void aim(pid_t pid)
{
	victim_request(&request, 0);
	request.remedy = REMEDY_KILL_FORK_BOMB;
	request.args.kill_fork_bomb = (struct kill_fork_bomb_args){ .max_processes = 500, .min_born = ENOUGH / 2, .born_within_ns = 60 * NSEC_PER_SEC };
	request.candidate_count = 1;
	request.candidates[0] = victim_cause(pid);
}

/* On a busy machine it may be small for a moment; then it is asked again, as the engine would. */
static void run(void)
{
	uint64_t left_ns = request.deadline_boot_ns - clock_boot_ns();
	for (int i = 0; i < 100; i++) {
		request.deadline_boot_ns = clock_boot_ns() + left_ns;
		hands_run(&request, &result);
		if (strcmp(result.refused_by, "no-evidence") != 0)
			break;
		usleep(20000);
	}
}

static const char *detail_of(const char *step)
{
	for (uint32_t i = 0; i < result.step_count; i++)
		if (strcmp(result.steps[i].name, step) == 0)
			return result.steps[i].detail;
	return NULL;
}

static void assert_over(void)
{
	int stopped;
	pid_t some;
	if (result.outcome != OUTCOME_FIXED)
		fail_msg("outcome %d, %s: %s", result.outcome, result.refused_by, result.why);
	assert_int_equal(census(bomb->leader, &stopped, &some), 0);
	assert_true(result.observed.exited > 1 && result.observed.exited <= 500);
}

static void all_of_it_ends_and_nobody_else(void **state)
{
	(void)state;
	need_bounds();
	pid_t bystander = victim_start(OBEDIENT);
	set_off(NULL);
	aim(bomb->leader);
	run();
	assert_over();
	assert_true(victim_is_alive(bystander));
	victim_reap(bystander);
}

/* Whichever of it was measured: the one that began it has no part in what its children's children do. */
static void one_of_many_leads_to_all(void **state)
{
	(void)state;
	need_bounds();
	set_off(NULL);
	int stopped;
	pid_t some;
	for (int i = 0; i < 2000; i++) {
		census(bomb->leader, &stopped, &some);
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/stat", some);
		if (some && access(path, R_OK) == 0) {
			kill(some, SIGSTOP); /* it would be gone before it is looked at */
			if (access(path, R_OK) == 0 && kill(some, 0) == 0) {
				aim(some);
				run();
				if (result.outcome != OUTCOME_REFUSED)
					break;
			}
		}
	}
	assert_over();
}

static void what_does_not_multiply_is_no_bomb(void **state)
{
	(void)state;
	pid_t pid = victim_start(OBEDIENT);
	aim(pid);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, "no-evidence");
	assert_true(victim_is_alive(pid));
	victim_reap(pid);
}

static void nobody_is_touched_where_it_is_refused(void **state)
{
	(void)state;
	int stopped;
	pid_t some;
	need_bounds();
	set_off(NULL);

	aim(bomb->leader);
	request.args.kill_fork_bomb.max_processes = 5;
	run();
	if (strcmp(result.refused_by, "too-many") != 0)
		fail_msg("refused by %s: %s", result.refused_by, result.why);

	aim(bomb->leader);
	snprintf(request.protect.comms[0], NAME_LEN, "bomber*");
	request.protect.comm_count = 1;
	run();
	assert_string_equal(result.refused_by, "never-list");

	aim(bomb->leader);
	request.verb = REMEDY_VERB_PLAN;
	run();
	assert_int_equal(result.outcome, OUTCOME_NONE);
	assert_true(result.plan_count == 1 && result.expected.exited >= ENOUGH / 2);

	assert_true(census(bomb->leader, &stopped, &some) > ENOUGH / 2);
	assert_int_equal(stopped, 0);
}

/* Stopped in the midst of it, by a deadline that comes ever later: whoever was made to stand still goes on. */
static void whoever_was_stopped_in_vain_is_let_go(void **state)
{
	(void)state;
	int stopped = 0, let_go = 0;
	pid_t some;
	need_bounds();
	set_off(NULL);
	uint64_t ms = 2;
	for (int tries = 0; tries < 150 && !let_go; tries++, ms += 1 + ms / 4) {
		aim(bomb->leader);
		request.deadline_boot_ns = clock_boot_ns() + ms * NSEC_PER_MSEC;
		hands_run(&request, &result);
		let_go += detail_of("continue") != NULL;
		for (int i = 0; i < 1000 && census(bomb->leader, &stopped, &some) && stopped; i++)
			usleep(1000); /* SIGCONT is sent; they wake as they get a processor */
		assert_int_equal(stopped, 0);
		if (result.outcome != OUTCOME_REFUSED || strcmp(result.refused_by, "deadline") != 0) { /* it is over, or there are too few of it */
			defuse();
			set_off(NULL);
			ms = ms < 20 ? 2 : ms / 4;
		}
	}
	assert_true(let_go > 0);
	assert_string_equal(result.refused_by, "deadline");
}

/* --- a cgroup of its own ---------------------------------------------------------------------------------------------------------- */

static struct stat make_group(const char **ret_path)
{
	struct stat found = { 0 };
	const char *mount = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
	need_bounds();
	snprintf(dir, sizeof(dir), "%s/nm.bomb-%d", mount, (int)getpid());
	if (mkdir(dir, 0755) < 0 || stat(dir, &found) < 0) {
		dir[0] = '\0';
		skip(); /* no v2 hierarchy that may be written */
	}
	*ret_path = dir + strlen(mount);
	return found;
}

static void aim_in(const struct stat *group, const char *path)
{
	aim(bomb->leader);
	request.candidates[0].cgroup_id = group->st_ino;
	snprintf(request.candidates[0].cgroup, PATH_LEN, "%s", path);
}

static void its_own_cgroup_ends_at_one_stroke(void **state)
{
	(void)state;
	const char *path;
	struct stat group = make_group(&path);
	set_off(dir);
	aim_in(&group, path);
	run();
	assert_over();
	assert_non_null(detail_of("kill"));
	assert_null(detail_of("stop")); /* nobody had to be stopped one by one */
	assert_int_equal(strncmp(result.plan[0], "kill cgroup", 11), 0);
}

/* Not where it is only one of those that live there: the others did nothing. */
static void a_shared_cgroup_is_spared(void **state)
{
	(void)state;
	const char *path;
	pid_t others[30];
	char procs[PATH_LEN + 32];
	struct stat group = make_group(&path);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	for (int i = 0; i < 30; i++)
		others[i] = victim_start_in(OBEDIENT, fd);
	set_off(dir);
	aim_in(&group, path);
	run();
	assert_over();
	for (int i = 0; i < 30; i++) {
		assert_true(victim_is_alive(others[i]));
		victim_reap(others[i]);
	}
	close(fd);
}

#define TEST(name_) cmocka_unit_test_teardown(name_, clear_up)

int main(int argc, char **argv)
{
	if (argc == 2) {
		bomb = map_bomb(atoi(argv[1]));
		if (!bomb)
			return 1;
		multiply();
	}

	const struct CMUnitTest tests[] = {
		TEST(all_of_it_ends_and_nobody_else), TEST(one_of_many_leads_to_all), TEST(what_does_not_multiply_is_no_bomb),
		TEST(nobody_is_touched_where_it_is_refused), TEST(whoever_was_stopped_in_vain_is_let_go),
		TEST(its_own_cgroup_ends_at_one_stroke), TEST(a_shared_cgroup_is_spared),
	};
	victim_copy("bomber", program);
	int failed = cmocka_run_group_tests(tests, make_bounds, remove_bounds);
	(void)unlink(program);
	return failed;
}
