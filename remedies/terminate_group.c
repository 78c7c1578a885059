/* SPDX-License-Identifier: Apache-2.0 */
/* Ends a cgroup as a whole: all of its processes or none. One protected member, or one that cannot be told, spares them all. */
#include "remedies/terminate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/freeze.h"
#include "remedies/group_aim.h"
#include "remedies/victim.h"

enum { SHOWN_LEN = 128, REASON_LEN = 160 };

struct census {
	const struct remedy_request *request;
	const struct group *group;
	int proc_fd;
	uint64_t term_wait_ns;
	int signal;                /* to send to each; 0: only count */
	uint64_t id, members, rss_bytes;
	int32_t protected_pid;
	char rule[REASON_LEN];
};

static int visit(int32_t pid, void *context)
{
	struct census *census = context;
	struct victim victim;
	char buffer[REASON_LEN];
	int error = victim_hold(census->proc_fd, pid, &victim);
	if (error == -ESRCH)
		return 0;
	const char *rule = error < 0 ? "unknown: it cannot be held" : protect_process(&census->request->protect, census->proc_fd, pid, buffer, sizeof(buffer));
	bool lives = error == 0 && victim_lives(&victim);
	if (rule && (lives || error < 0)) {
		census->protected_pid = pid;
		snprintf(census->rule, sizeof(census->rule), "%s", rule);
		if (error == 0)
			victim_close(&victim);
		return -EPERM;
	}
	if (lives) {
		census->members++;
		census->rss_bytes += victim.rss_bytes;
		if (census->signal && victim_in_cgroup(census->proc_fd, pid, census->group->path, true) == 1)
			(void)victim_signal(&victim, census->signal); /* SIGKILL to all comes after it */
	}
	victim_close(&victim);
	return 0;
}

/* Counts the members, and sends them `signal` when it is not 0. False: refused, and said why. */
static bool look(struct census *census, int signal, struct remedy_result *result)
{
	census->members = census->rss_bytes = 0;
	census->signal = signal;
	int error = group_each(census->group, visit, census);
	if (error == 0)
		return true;
	if (error == -EPERM && census->protected_pid)
		act_refuse(result, "never-list", "%" PRId32 " in it is protected: %s", census->protected_pid, census->rule);
	else
		act_refuse(result, "unknown-members", "who is in it cannot be told: %s", strerror(-error));
	return false;
}

static bool is_halted(const struct remedy_request *request, struct remedy_result *result)
{
	const char *halted = act_halted(request);
	if (halted)
		act_refuse(result, halted, "stopped by the %s", halted);
	return halted != NULL;
}

static int ask_to_end(struct census *census, struct remedy_result *result)
{
	const struct remedy_request *request = census->request;
	if (is_halted(request, result))
		return -ECANCELED;
	struct action_step *step = result_step(result, "term");
	if (!look(census, SIGTERM, result)) {
		step_end(step, false, "held back");
		return -ECANCELED;
	}
	step_end(step, true, "SIGTERM to %" PRIu64 " processes", census->members);
	uint64_t until = clock_boot_ns() + census->term_wait_ns;
	return group_wait_empty(census->group, until < request->deadline_boot_ns ? until : request->deadline_boot_ns);
}

static int make_end(struct census *census, struct remedy_result *result)
{
	const struct remedy_request *request = census->request;
	if (is_halted(request, result) || !look(census, 0, result))
		return -ECANCELED;
	struct action_step *step = result_step(result, "kill");
	uint64_t soon = clock_boot_ns() + AFTER_KILL_NS, until = soon > request->deadline_boot_ns ? soon : request->deadline_boot_ns;
	const char *how = "cgroup.kill";
	int error = group_kill(census->group);
	if (error == -ENOENT || error == -EOPNOTSUPP) {
		how = "frozen, killed one by one, thawed";
		error = freeze_and_kill(request, census->group, census->id, until, result);
	}
	if (error < 0) {
		step_end(step, false, "%s: %s", how, strerror(-error));
		act_fail(result, "the cgroup cannot be ended: %s", strerror(-error));
		return error;
	}
	step_end(step, true, "%s: %" PRIu64 " processes", how, census->members);
	return group_wait_empty(census->group, until);
}

static void end_all(struct census *census, struct remedy_result *result)
{
	uint64_t members = census->members, rss_bytes = census->rss_bytes;
	int empty = 0;
	if (census->term_wait_ns)
		empty = ask_to_end(census, result);
	if (empty == 0)
		empty = make_end(census, result);
	if (empty < 0 && result->outcome != OUTCOME_NONE)
		return;

	struct action_step *step = result_step(result, "exit");
	step_end(step, empty > 0, empty > 0 ? "the cgroup is empty" : "the cgroup is not empty");
	result->observed.exited = empty > 0 ? members : 0;
	result->ended = (struct ended_one){ .cgroup_id = census->id, .rss_bytes = rss_bytes };
	if (empty <= 0) {
		result->outcome = OUTCOME_NO_EFFECT;
		snprintf(result->why, sizeof(result->why), "its processes did not end in time");
		return;
	}
	result->observed.freed_bytes = rss_bytes;
	bool enough = census->request->expect.freed_bytes == UNKNOWN || rss_bytes >= census->request->expect.freed_bytes;
	result->outcome = enough ? OUTCOME_FIXED : OUTCOME_IMPROVED;
}

static void with_group(const struct remedy_request *request, uint64_t id, const struct group *group, uint64_t term_wait_ns, int proc_fd,
		       struct remedy_result *result)
{
	char shown[SHOWN_LEN];
	struct census census = { .request = request, .group = group, .id = id, .term_wait_ns = term_wait_ns, .proc_fd = proc_fd };
	if (!look(&census, 0, result))
		return;
	act_shown(shown, sizeof(shown), group->path);
	result_plan(result, "end cgroup %s: %" PRIu64 " processes, %" PRIu64 " bytes resident%s", shown, census.members, census.rss_bytes,
		    term_wait_ns ? ", SIGTERM first" : "");
	result->expected.exited = census.members;
	result->expected.freed_bytes = census.rss_bytes;
	if (request->verb == REMEDY_VERB_PLAN)
		return;
	if (census.members) {
		end_all(&census, result);
		return;
	}
	result->outcome = OUTCOME_NO_EFFECT;
	result->observed.exited = 0;
	snprintf(result->why, sizeof(result->why), "nobody is in it");
}

int terminate_group(const struct remedy_request *request, uint64_t id, const char *path, uint64_t term_wait_ns, struct remedy_result *result)
{
	char buffer[REASON_LEN];
	const char *rule = protect_cgroup(&request->protect, path, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(result, "never-list", "%s", rule);
		return 0;
	}
	struct group group;
	int error = group_open(id, path, &group);
	if (error == -ESTALE) {
		act_refuse(result, "target-changed", "the cgroup is gone, or another one has its name now");
		return 0;
	}
	if (error < 0) {
		act_refuse(result, "no-cgroup-v2", "ending a cgroup needs the v2 hierarchy: %s", strerror(-error));
		return 0;
	}
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		error = -errno;
	else
		with_group(request, id, &group, term_wait_ns, proc_fd, result);
	if (proc_fd >= 0)
		close(proc_fd);
	group_close(&group);
	return error;
}

/*
 * As the kernel's own killer does: the topmost one around it whose memory.oom.group is set, since its members are of no use without each other.
 * Without the memory controller there is none. `path` becomes that one's.
 */
static int widen(int hierarchy, char path[PATH_LEN], uint64_t *id)
{
	char part[PATH_LEN + 2], oom_group[PATH_LEN + 32];
	struct stat found;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		uint64_t whole = 0;
		snprintf(part, sizeof(part), ".%.*s", (int)(slash - path), path);
		snprintf(oom_group, sizeof(oom_group), "%s/memory.oom.group", part);
		if (figure_one(hierarchy, oom_group, &whole) < 0 || whole != 1)
			continue;
		if (fstatat(hierarchy, part, &found, AT_SYMLINK_NOFOLLOW) < 0)
			return -ESTALE;
		*slash = '\0';
		*id = found.st_ino;
		return 0;
	}
	return 0;
}

int terminate_aimed_group(const struct remedy_request *request, uint64_t term_wait_ns, bool whole_oom_group, struct remedy_result *result)
{
	uint64_t id = 0;
	const char *named = NULL;
	if (group_aim_find(request, result, &id, &named) < 0)
		return 0;
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s", named);
	int hierarchy = whole_oom_group ? group_open_hierarchy() : -1;
	if (hierarchy >= 0) {
		struct group inner; /* what stands around it counts only while it is still the one that was meant */
		int error = group_open(id, path, &inner);
		if (error == 0) {
			error = widen(hierarchy, path, &id);
			group_close(&inner);
		}
		close(hierarchy);
		if (error) {
			act_refuse(result, "target-changed", "the cgroup is gone, or another one has its name now");
			return 0;
		}
	}
	return terminate_group(request, id, path, term_wait_ns, result);
}
