/* SPDX-License-Identifier: Apache-2.0 */
/* raise-limits: advice to all, a limit that is really raised and really turned back, and never beyond what the administrator allowed. */
#include "victim_fixture.h"

#include <sys/resource.h>

#include "lease.h"

enum { SOFT = 64, HARD = 100, OPEN = 48 };

static struct remedy_request request;
static struct remedy_result result;
static char book[64], program[64];

/* Holds `OPEN` files open. */
static _Noreturn void hoard(const struct rlimit *limit, int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (dup(ready) < OPEN - 1)
		;
	if (setrlimit(RLIMIT_NOFILE, limit) < 0 || write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t start_hoarder(rlim_t soft, rlim_t hard)
{
	int gate[2];
	char byte, words[3][16];
	assert_int_equal(pipe2(gate, 0), 0);
	snprintf(words[0], sizeof(words[0]), "%u", (unsigned)soft);
	snprintf(words[1], sizeof(words[1]), "%u", (unsigned)hard);
	snprintf(words[2], sizeof(words[2]), "%d", gate[1]);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl(program, program, words[0], words[1], words[2], (char *)NULL);
		_exit(127);
	}
	close(gate[1]);
	assert_int_equal(read(gate[0], &byte, 1), 1);
	close(gate[0]);
	return pid;
}

static rlim_t soft_of(pid_t pid)
{
	struct rlimit limit;
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &limit), 0);
	return limit.rlim_cur;
}

static void aim(pid_t pid, bool act)
{
	struct cause cause = victim_cause(pid);
	victim_request(&request, 0);
	request.remedy = REMEDY_RAISE_LIMITS;
	snprintf(request.action_id, sizeof(request.action_id), "a-raise");
	snprintf(request.lease_book, sizeof(request.lease_book), "%s", book);
	request.target = (struct target){ .type = TARGET_PROCESS, .pid = pid, .start_ns = cause.start_ns };
	request.args.raise_limits = (struct raise_limits_args){ .act = act, .percent = 150, .most = 1000, .for_ns = 60 * NSEC_PER_SEC };
}

static void assert_refused_by(const char *guard)
{
	hands_run(&request, &result);
	if (result.outcome != OUTCOME_REFUSED || strcmp(result.refused_by, guard) != 0)
		fail_msg("outcome %d, refused by %s: %s", result.outcome, result.refused_by, result.why);
}

static void give_back_after(uint64_t seconds, uint32_t returned)
{
	struct lease_report report;
	assert_int_equal(leases_return(book, LEASES_EXPIRED, "", clock_boot_ns() + seconds * NSEC_PER_SEC, NULL, NULL, &report), 0);
	assert_int_equal(report.returned, returned);
}

static void advice_alone_turns_nothing(void **state)
{
	(void)state;
	pid_t pid = start_hoarder(SOFT, HARD);
	aim(pid, false);
	assert_refused_by("advice-only");
	assert_int_equal(soft_of(pid), SOFT);
	assert_int_equal(result.plan_count, 2);
	if (!strstr(result.plan[0], " of 64 open files"))
		fail_msg("%s", result.plan[0]);
	assert_non_null(strstr(result.plan[1], "LimitNOFILE="));
	request.target = (struct target){ .type = TARGET_NODE, .name = "pids" };
	assert_refused_by("advice-only");
	assert_true(result.plan_count == 1 && strstr(result.plan[0], "kernel.pid_max"));
	victim_reap(pid);
}

static void a_soft_limit_is_raised_and_turned_back(void **state)
{
	(void)state;
	pid_t pid = start_hoarder(SOFT, HARD);
	aim(pid, true);
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FIXED);
	assert_int_equal(soft_of(pid), 96);
	assert_int_equal(result.observed.use_percent, 66); /* 48 of 96 where it was 48 of 64 */
	give_back_after(30, 0);
	assert_int_equal(soft_of(pid), 96);
	give_back_after(61, 1);
	assert_int_equal(soft_of(pid), SOFT);
	victim_reap(pid);
}

static void less_than_promised_is_an_improvement(void **state)
{
	(void)state;
	pid_t pid = start_hoarder(SOFT, HARD);
	aim(pid, true);
	request.expect.use_percent = 50;
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_IMPROVED);
	give_back_after(61, 1);
	victim_reap(pid);
}

static void the_hard_limit_and_most_are_the_end(void **state)
{
	(void)state;
	pid_t pid = start_hoarder(SOFT, HARD);
	aim(pid, true);
	request.args.raise_limits.percent = 1000;
	hands_run(&request, &result);
	assert_int_equal(soft_of(pid), HARD);
	assert_refused_by("no-room");
	give_back_after(61, 1);
	aim(pid, true);
	request.args.raise_limits.most = 70;
	hands_run(&request, &result);
	assert_int_equal(soft_of(pid), 70);
	give_back_after(61, 1);
	victim_reap(pid);
}

static void nobody_else_and_nobody_protected(void **state)
{
	(void)state;
	pid_t pid = start_hoarder(SOFT, HARD);
	aim(pid, true);
	request.target.start_ns += NSEC_PER_SEC;
	assert_refused_by("target-changed");
	aim(pid, true);
	snprintf(request.protect.comms[0], NAME_LEN, "hoarder*");
	request.protect.comm_count = 1;
	assert_refused_by("never-list");
	aim(pid, true);
	snprintf(request.lease_book, sizeof(request.lease_book), "/proc/no/such/book");
	hands_run(&request, &result);
	assert_int_equal(result.outcome, OUTCOME_FAILED);
	assert_int_equal(soft_of(pid), SOFT);
	aim(pid, true);
	snprintf(request.kill_switch, PATH_LEN, "/proc/self/status");
	assert_refused_by("kill-switch");
	assert_int_equal(soft_of(pid), SOFT);
	victim_reap(pid);
}

/* --- a cgroup's tasks, in whichever hierarchy has the controller ------------------------------------------------------------------ */

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

static unsigned number_in(const char *directory, const char *file)
{
	char path[2 * PATH_LEN], text[32] = "";
	snprintf(path, sizeof(path), "%s/%s", directory, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return (unsigned)strtoul(text, NULL, 10);
}

static void the_tasks_of_a_cgroup(void **state)
{
	(void)state;
	char group[PATH_LEN], limited[PATH_LEN], procs[PATH_LEN + 32];
	struct stat found;
	bool v2 = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0;
	const char *mount = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
	snprintf(group, sizeof(group), "%s/nm.raise-%d", mount, (int)getpid());
	snprintf(limited, sizeof(limited), "%s/nm.raise-%d", v2 ? mount : "/sys/fs/cgroup/pids", (int)getpid());
	if (mkdir(group, 0755) < 0 || stat(group, &found) < 0)
		skip(); /* no v2 hierarchy that may be written */
	bool has = v2 ? put(mount, "cgroup.subtree_control", "+pids") && access(group, F_OK) == 0 : mkdir(limited, 0755) == 0;
	if (!has || !put(limited, "pids.max", "20")) {
		rmdir(limited);
		rmdir(group);
		skip(); /* nor a pids controller */
	}
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	pid_t pid = victim_start_in(OBEDIENT, fd);
	char text[16];
	snprintf(text, sizeof(text), "%d", (int)pid);
	assert_true(v2 || put(limited, "cgroup.procs", text));

	aim(pid, true);
	request.target = (struct target){ .type = TARGET_CGROUP, .cgroup_id = found.st_ino };
	snprintf(request.target.name, PATH_LEN, "%s", group + strlen(mount));
	hands_run(&request, &result);
	if (result.outcome != OUTCOME_FIXED)
		fail_msg("outcome %d, refused by %s: %s", result.outcome, result.refused_by, result.why);
	assert_int_equal(number_in(limited, "pids.max"), 30);
	assert_true(result.observed.use_percent < 100);
	give_back_after(61, 1);
	assert_int_equal(number_in(limited, "pids.max"), 20);
	victim_reap(pid);
	close(fd);
	for (int i = 0; (rmdir(group) < 0 && errno == EBUSY) || (!v2 && rmdir(limited) < 0 && errno == EBUSY && i < 2000); i++)
		usleep(1000);
	assert_int_not_equal(access(group, F_OK), 0);
	assert_int_not_equal(access(limited, F_OK), 0);
}

int main(int argc, char **argv)
{
	if (argc == 4)
		hoard(&(struct rlimit){ (rlim_t)atoi(argv[1]), (rlim_t)atoi(argv[2]) }, atoi(argv[3]));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(advice_alone_turns_nothing), cmocka_unit_test(a_soft_limit_is_raised_and_turned_back),
		cmocka_unit_test(less_than_promised_is_an_improvement), cmocka_unit_test(the_hard_limit_and_most_are_the_end),
		cmocka_unit_test(nobody_else_and_nobody_protected), cmocka_unit_test(the_tasks_of_a_cgroup),
	};
	snprintf(book, sizeof(book), "/tmp/nodemend-raise-%d", (int)getpid());
	victim_copy("hoarder", program);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(program);
	(void)unlink(book);
	return failed;
}
