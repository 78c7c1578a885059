/* SPDX-License-Identifier: Apache-2.0 */
/* A filesystem of the test's own, in a mount namespace that ends with it, and a clean-up request aimed at a directory in it. */
#ifndef NODEMEND_TESTS_CLEAN_FIXTURE_H
#define NODEMEND_TESTS_CLEAN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"

#define MIB (1024 * 1024)
enum { OLD = 7200 }; /* seconds; older than anything that a test calls young */

struct clean_fixture {
	char dir[64];                  /* the filesystem's mountpoint */
	char root[PATH_LEN];           /* dir/app/logs */
	struct remedy_request request;
	struct remedy_result result;
};

/* Runs a program of the system, without a shell; its exit code. */
static inline int fixture_spawn(const char *const argv[])
{
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	int status = -1;
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ext4 on a loop device, as a node has it; 0, or -1 where this may not mount. */
static inline int fixture_mount(struct clean_fixture *fixture)
{
	char image[96];
	snprintf(fixture->dir, sizeof(fixture->dir), "/var/tmp/nodemend-clean-XXXXXX");
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(fixture->dir))
		return -1;
	snprintf(image, sizeof(image), "%s.img", fixture->dir);
	int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int failed = fd < 0 || ftruncate(fd, 96 * MIB) < 0;
	if (fd >= 0)
		close(fd);
	if (!failed)
		failed = fixture_spawn((const char *const[]){ "mkfs.ext4", "-q", "-F", "-b", "4096", image, NULL }) != 0 ||
			 fixture_spawn((const char *const[]){ "mount", "-o", "loop", image, fixture->dir, NULL }) != 0;
	unlink(image); /* the loop device holds it as long as the mount lives */
	if (failed)
		rmdir(fixture->dir);
	return failed ? -1 : 0;
}

static inline void fixture_unmount(struct clean_fixture *fixture)
{
	umount2(fixture->dir, MNT_DETACH);
	rmdir(fixture->dir);
}

static inline void fixture_make_dirs(const char *path, mode_t mode)
{
	char part[PATH_LEN * 2];
	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, 0755);
		*slash = '/';
	}
	if (mkdir(part, mode) < 0)
		assert_int_equal(errno, EEXIST);
	assert_int_equal(chmod(part, mode), 0);
}

/* An empty tree and a request that would delete every *.log in it. */
static inline void fixture_reset(struct clean_fixture *fixture)
{
	char inner[PATH_LEN];
	umask(022);
	snprintf(inner, sizeof(inner), "%.60s/app", fixture->dir);
	assert_int_equal(fixture_spawn((const char *const[]){ "rm", "-rf", "--one-file-system", inner, NULL }), 0);
	snprintf(fixture->root, sizeof(fixture->root), "%.60s/app/logs", fixture->dir);
	fixture_make_dirs(fixture->root, 0755);

	struct remedy_request *request = &fixture->request;
	memset(request, 0, sizeof(*request));
	request->verb = REMEDY_VERB_APPLY;
	request->remedy = REMEDY_CLEAN_FILES;
	request->deadline_boot_ns = clock_boot_ns() + 30 * NSEC_PER_SEC;
	snprintf(request->action_id, sizeof(request->action_id), "a-1");
	struct clean_files_args *args = &request->args.clean_files;
	snprintf(args->root, sizeof(args->root), "%s", fixture->root);
	args->match_count = 1;
	snprintf(args->match[0], sizeof(args->match[0]), "*.log*");
	args->max_bytes = 1ULL << 40;
	args->max_files = 10000;
	args->max_depth = 8;
	effect_clear(&request->expect);
}

static inline char *fixture_path(const struct clean_fixture *fixture, const char *name, char path[PATH_LEN * 2])
{
	snprintf(path, PATH_LEN * 2, "%s/%s", fixture->root, name);
	return path;
}

/* A file of `kib` below the root, `age` seconds old by its mtime; its directory is made where it is missing. */
static inline void fixture_put(const struct clean_fixture *fixture, const char *name, int kib, int age)
{
	char path[PATH_LEN * 2], block[1024];
	fixture_path(fixture, name, path);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	if (mkdir(path, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	*slash = '/';
	memset(block, 'x', sizeof(block));
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	for (int i = 0; i < kib; i++)
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	struct timespec times[2] = { { .tv_sec = time(NULL) - age }, { .tv_sec = time(NULL) - age } };
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static inline bool fixture_has(const struct clean_fixture *fixture, const char *name)
{
	char path[PATH_LEN * 2];
	struct stat found;
	return lstat(fixture_path(fixture, name, path), &found) == 0;
}

static inline const struct remedy_result *fixture_run(struct clean_fixture *fixture)
{
	hands_run(&fixture->request, &fixture->result);
	return &fixture->result;
}

#endif
