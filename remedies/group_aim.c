/* SPDX-License-Identifier: Apache-2.0 */
/* See group_aim.h. */
#include "remedies/group_aim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide/protect.h"
#include "remedies/act.h"

enum { REASON_LEN = 160 };

struct look {
	const struct remedy_request *request;
	struct remedy_result *result;
	int proc_fd;
};

int group_aim_find(const struct remedy_request *request, struct remedy_result *result, uint64_t *ret_id, const char **ret_path)
{
	if (request->target.type == TARGET_CGROUP) {
		*ret_id = request->target.cgroup_id;
		*ret_path = request->target.name;
		return 0;
	}
	for (uint32_t i = 0; i < request->candidate_count; i++) {
		const struct cause *cause = &request->candidates[i];
		if (!cause->cgroup_id || !cause->cgroup[0] || cause->share_permille < LEAST_CAUSE_PERMILLE)
			continue;
		*ret_id = cause->cgroup_id;
		*ret_path = cause->cgroup;
		return 0;
	}
	act_refuse(result, "no-candidate", "no candidate says in which cgroup it is");
	return -ECANCELED;
}

static int visit_member(int32_t pid, void *context)
{
	const struct look *look = context;
	char buffer[REASON_LEN], stat[48];
	const char *rule = protect_process(&look->request->protect, look->proc_fd, pid, buffer, sizeof(buffer));
	snprintf(stat, sizeof(stat), "%d/stat", (int)pid);
	if (!rule || faccessat(look->proc_fd, stat, F_OK, 0) < 0)
		return 0; /* nobody, or somebody who has just ended */
	act_refuse(look->result, "never-list", "process %" PRId32 " in it is protected: %.100s", pid, rule);
	return -ECANCELED;
}

int group_aim_spare(const struct remedy_request *request, struct remedy_result *result, const struct group_aim *aim)
{
	struct look look = { .request = request, .result = result, .proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	int error = look.proc_fd < 0 ? -errno : group_each(&aim->group, visit_member, &look);
	if (error && error != -ECANCELED)
		act_refuse(result, "unknown-members", "a member of the cgroup cannot be seen from here: %s", strerror(-error));
	if (look.proc_fd >= 0)
		close(look.proc_fd);
	return error ? -ECANCELED : 0;
}

int group_aim_open(const struct remedy_request *request, struct remedy_result *result, struct group_aim *ret)
{
	char buffer[REASON_LEN];
	const char *path = NULL;
	*ret = (struct group_aim){ .group = { .fd = -1 } };
	if (group_aim_find(request, result, &ret->id, &path) < 0)
		return -ECANCELED;
	const char *rule = protect_cgroup(&request->protect, path, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(result, "never-list", "%s", rule);
		return -ECANCELED;
	}
	int error = group_open(ret->id, path, &ret->group);
	if (error == -ENODEV)
		act_refuse(result, "no-cgroup-v2", "who is in the cgroup is read from the v2 hierarchy, and there is none");
	else if (error)
		act_refuse(result, "target-changed", "the cgroup is gone, or another one has its name now");
	if (error == 0 && group_aim_spare(request, result, ret) < 0) {
		group_close(&ret->group);
		error = -ECANCELED;
	}
	return error ? -ECANCELED : 0;
}
