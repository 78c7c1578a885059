/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup of the test's own in the node's v2 hierarchy, processes that are born in it, and its kernel's own account of them. */
#ifndef NODEMEND_TESTS_BPF_OWN_CGROUP_H
#define NODEMEND_TESTS_BPF_OWN_CGROUP_H

#include "harness.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

struct own_cgroup {
	uint64_t id;
	int fd;
	char path[128]; /* of the directory */
};

static inline struct own_cgroup own_cgroup_make(const char *what, int number)
{
	struct own_cgroup cgroup;
	struct stat found;

	snprintf(cgroup.path, sizeof(cgroup.path), "%s/test-%s-%d-%d", cgroup_root(), what, getpid(), number);
	assert_int_equal(mkdir(cgroup.path, 0755), 0);
	cgroup.fd = open(cgroup.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(cgroup.fd >= 0);
	assert_int_equal(fstat(cgroup.fd, &found), 0);
	cgroup.id = found.st_ino;
	return cgroup;
}

static inline const char *own_cgroup_name(const struct own_cgroup *cgroup)
{
	return cgroup->path + strlen(cgroup_root());
}

/* Its last member may still be on its way out. */
static inline void own_cgroup_remove(struct own_cgroup *cgroup)
{
	close(cgroup->fd);
	for (int i = 0; rmdir(cgroup->path) && errno == EBUSY && i < 1000; i++)
		usleep(1000);
	assert_int_equal(access(cgroup->path, F_OK), -1);
}

/* As fork(); pid 0: any. */
static inline pid_t own_cgroup_fork(const struct own_cgroup *cgroup, pid_t pid)
{
	struct clone_args args = {
		.flags = cgroup ? CLONE_INTO_CGROUP : 0, .exit_signal = SIGCHLD, .cgroup = cgroup ? (uint64_t)cgroup->fd : 0,
		.set_tid = pid ? (uint64_t)(uintptr_t)&pid : 0, .set_tid_size = pid ? 1 : 0,
	};
	pid_t born = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	assert_true(born >= 0);
	return born;
}

static inline uint64_t own_cgroup_usage_ns(const struct own_cgroup *cgroup)
{
	char text[512] = "";
	int fd = openat(cgroup->fd, "cpu.stat", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(strstr(text, "usage_usec ") + 11, NULL, 10) * NSEC_PER_USEC;
}

static inline void burn(uint64_t ns)
{
	struct timespec now;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while ((uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec < ns);
}

#endif
