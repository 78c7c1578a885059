/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup to be throttled: in the v2 hierarchy and, for controllers that are not there, in their own of v1 as well, as a service manager of a hybrid
 * host would have it. And programs in it, none of them the test's own, which is protected.
 */
#ifndef NODEMEND_TESTS_BPF_THROTTLED_H
#define NODEMEND_TESTS_BPF_THROTTLED_H

#include "own_cgroup.h"

#include <libgen.h>
#include <sched.h>
#include <sys/prctl.h>

#include "decide/hands.h"
#include "lease.h"

enum { PLACE_CONTROLLERS = 3, PLACE_PROGRAMS = 4 };
static const char *const place_v1[PLACE_CONTROLLERS] = { "cpu", "cpuset", "blkio" };

struct place {
	struct own_cgroup cgroup;
	char v1[PLACE_CONTROLLERS][128];     /* "": v2 has it, or nobody */
	pid_t programs[PLACE_PROGRAMS];
};

static struct remedy_request request;
static struct remedy_result result;
static char lease_book[] = "/tmp/nodemend-throttle-XXXXXX";

/* --- files ------------------------------------------------------------------------------------------------------------- */

static inline bool put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool put = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return put;
}

static inline const char *get_text(const char *path)
{
	static char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* --- places ------------------------------------------------------------------------------------------------------------ */

static inline void place_enable(void)
{
	static const char *const words[] = { "+cpu", "+cpuset", "+io", "+memory" };
	char path[128];
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", cgroup_root());
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		(void)put_text(path, words[i]); /* not one that v1 has */
}

/* The path of a control file of this cgroup, wherever it is; NULL: nowhere. */
static inline const char *place_file(const struct place *place, const char *v2, const char *v1)
{
	static char path[256];
	snprintf(path, sizeof(path), "%s/%s", place->cgroup.path, v2);
	if (access(path, F_OK) == 0)
		return path;
	for (int i = 0; v1 && i < PLACE_CONTROLLERS; i++) {
		snprintf(path, sizeof(path), "%s/%s", place->v1[i], v1);
		if (place->v1[i][0] && access(path, F_OK) == 0)
			return path;
	}
	return NULL;
}

static inline void place_make_v1(struct place *place, int at, const char *v2_file)
{
	char path[256], from[256];
	snprintf(path, sizeof(path), "%s/%s", place->cgroup.path, v2_file);
	snprintf(from, sizeof(from), "/sys/fs/cgroup/%s/cgroup.procs", place_v1[at]);
	if (access(path, F_OK) == 0 || access(from, F_OK) < 0)
		return;
	snprintf(place->v1[at], sizeof(place->v1[at]), "/sys/fs/cgroup/%s/%s", place_v1[at], own_cgroup_name(&place->cgroup) + 1);
	assert_int_equal(mkdir(place->v1[at], 0755), 0);
	static const char *const inherited[] = { "cpuset.cpus", "cpuset.mems" };
	for (size_t i = 0; at == 1 && i < 2; i++) {
		snprintf(from, sizeof(from), "/sys/fs/cgroup/cpuset/%s", inherited[i]);
		snprintf(path, sizeof(path), "%.127s/%s", place->v1[at], inherited[i]);
		assert_true(put_text(path, get_text(from)));
	}
}

static inline struct place *place_new(int number)
{
	static const char *const v2_files[PLACE_CONTROLLERS] = { "cpu.weight", "cpuset.cpus", "io.max" };
	struct place *place = calloc(1, sizeof(*place));
	assert_non_null(place);
	place->cgroup = own_cgroup_make("throttle", number);
	for (int i = 0; i < PLACE_CONTROLLERS; i++)
		place_make_v1(place, i, v2_files[i]);
	return place;
}

static inline void place_enter(const struct place *place)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/cgroup.procs", place->cgroup.path);
	if (!put_text(path, "0"))
		_exit(125);
	for (int i = 0; i < PLACE_CONTROLLERS; i++) {
		snprintf(path, sizeof(path), "%.127s/cgroup.procs", place->v1[i]);
		if (place->v1[i][0] && !put_text(path, "0"))
			_exit(126);
	}
}

/* Returns when it is that program. `cpu` < 0: any. */
static inline pid_t place_run(struct place *place, int cpu, const char *path, char *const argv[])
{
	int gate[2];
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET(cpu < 0 ? 0 : cpu, &one);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		place_enter(place);
		if (cpu >= 0 && sched_setaffinity(0, sizeof(one), &one) < 0)
			_exit(124);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		execv(path, argv);
		_exit(127);
	}
	close(gate[1]);
	char byte;
	(void)!read(gate[0], &byte, 1); /* closed by the exec */
	close(gate[0]);
	for (int i = 0; i < PLACE_PROGRAMS; i++)
		if (!place->programs[i]) {
			place->programs[i] = pid;
			return pid;
		}
	fail_msg("no room for another program");
	return 0;
}

/* One of tests/programs, which stand beside this test. */
static inline const char *program_path(const char *name)
{
	static char path[512];
	char own[400] = "";
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	assert_true(length > 0);
	own[length] = '\0';
	snprintf(path, sizeof(path), "%s/../programs/%s", dirname(own), name);
	return path;
}

static inline pid_t place_spin(struct place *place, int cpu, const char *threads)
{
	char *const argv[] = { (char *)"spinner", (char *)"--seconds", (char *)"60", (char *)"--threads", (char *)threads, NULL };
	return place_run(place, cpu, program_path("spinner"), argv);
}

static inline void place_free(struct place *place)
{
	for (int i = 0; i < PLACE_PROGRAMS; i++)
		if (place->programs[i]) {
			kill(place->programs[i], SIGKILL);
			waitpid(place->programs[i], NULL, 0);
		}
	for (int i = 0; i < PLACE_CONTROLLERS; i++)
		for (int tries = 0; place->v1[i][0] && rmdir(place->v1[i]) && errno == EBUSY && tries < 1000; tries++)
			usleep(1000);
	own_cgroup_remove(&place->cgroup);
	free(place);
}

/* --- requests ---------------------------------------------------------------------------------------------------------- */

static inline void ask(enum remedy_id remedy, const struct place *place)
{
	static uint32_t number;
	memset(&request, 0, sizeof(request));
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = remedy;
	snprintf(request.action_id, sizeof(request.action_id), "a-%u", ++number);
	snprintf(request.lease_book, sizeof(request.lease_book), "%s", lease_book);
	request.deadline_boot_ns = clock_boot_ns() + (uint64_t)(10 * test_slowness()) * NSEC_PER_SEC;
	effect_clear(&request.expect);
	request.target = (struct target){ .type = TARGET_CGROUP, .cgroup_id = place->cgroup.id };
	snprintf(request.target.name, sizeof(request.target.name), "%s", own_cgroup_name(&place->cgroup));
}

static inline uint64_t start_of(pid_t pid)
{
	char path[64];
	uint64_t ticks = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	const char *rest = strrchr(get_text(path), ')');
	assert_non_null(rest);
	assert_int_equal(sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lu", &ticks), 1);
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* As a finding about something else would: the process is its first cause. */
static inline void blame(const struct place *place, pid_t pid, const char *comm)
{
	request.target = (struct target){ .type = TARGET_NODE, .name = "cpu" };
	request.candidate_count = 1;
	request.candidates[0] = (struct cause){ .rank = 1, .pid = pid, .start_ns = start_of(pid), .cgroup_id = place->cgroup.id, .share_permille = 900 };
	snprintf(request.candidates[0].comm, sizeof(request.candidates[0].comm), "%.15s", comm);
	snprintf(request.candidates[0].cgroup, sizeof(request.candidates[0].cgroup), "%s", own_cgroup_name(&place->cgroup));
}

static inline void run_it(void)
{
	hands_run(&request, &result);
}

/* Shown where an assertion failed: what the remedy said. */
static inline void expect_outcome(enum outcome outcome, const char *refused_by)
{
	if (result.outcome == outcome && (!refused_by || strcmp(result.refused_by, refused_by) == 0))
		return;
	for (uint32_t i = 0; i < result.step_count; i++)
		print_message("%s: %d %s\n", result.steps[i].name, result.steps[i].ok, result.steps[i].detail);
	fail_msg("%s%s%s: %s", outcome_names[result.outcome], result.refused_by[0] ? " by " : "", result.refused_by, result.why);
}

/* As if the time were over, by whoever comes next. */
static inline struct lease_report end_leases(void)
{
	struct lease_report report;
	assert_int_equal(leases_return(lease_book, LEASES_EXPIRED, NULL, clock_boot_ns() + 2ULL * 24 * 3600 * NSEC_PER_SEC, NULL, NULL, &report), 0);
	return report;
}

#endif
