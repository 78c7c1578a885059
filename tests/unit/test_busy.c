/* SPDX-License-Identifier: Apache-2.0 */
/* What holds an act back on the host itself: locks of package managers, and people; over trees of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmpx.h>

#include "core/busy.h"

static char root[] = "/tmp/nodemend-busy-XXXXXX";
static int root_fd = -1;

static int make_root(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	if (!mkdtemp(root))
		return -1;
	root_fd = open(root, O_PATH | O_DIRECTORY);
	return root_fd < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *place)
{
	(void)found;
	(void)type;
	(void)place;
	return remove(path);
}

static int remove_root(void **state)
{
	(void)state;
	close(root_fd);
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_folders(const char *path)
{
	char part[256];
	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdirat(root_fd, part, 0755);
		*slash = '/';
	}
}

static void put(const char *path, const void *data, size_t size)
{
	make_folders(path);
	int fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

/* --- package managers ---------------------------------------------------------------------------------------------------- */

static void a_host_without_them_has_none_at_work(void **state)
{
	(void)state;
	assert_false(package_manager_at_work(root_fd));
}

/* As dpkg takes it: a record lock, in another process. */
static pid_t hold(const char *path, int *ret_gate)
{
	int ready[2], gate[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(gate), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		int fd = openat(root_fd, path, O_RDWR);
		close(gate[1]);
		if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "1", 1) != 1)
			_exit(1);
		(void)!read(gate[0], &byte, 1);
		_exit(0);
	}
	close(ready[1]);
	close(gate[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_gate = gate[1];
	return pid;
}

static void a_held_lock_is_one_at_work(void **state)
{
	static const char *const paths[] = { "var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock", "var/lib/apt/lists/lock", "var/cache/apt/archives/lock",
					     "var/lib/rpm/.rpm.lock", "usr/lib/sysimage/rpm/.rpm.lock" };
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		put(paths[i], "", 0);
	assert_false(package_manager_at_work(root_fd)); /* the files always stand there */
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int gate;
		pid_t pid = hold(paths[i], &gate);
		assert_true(package_manager_at_work(root_fd));
		close(gate);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_false(package_manager_at_work(root_fd));
	}
}

/* Asking must not take it away from who is next. */
static void asking_leaves_the_lock_free(void **state)
{
	(void)state;
	put("var/lib/dpkg/lock-frontend", "", 0);
	assert_false(package_manager_at_work(root_fd));
	int gate;
	pid_t pid = hold("var/lib/dpkg/lock-frontend", &gate);
	close(gate);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void pacman_is_at_work_while_its_file_is_there(void **state)
{
	(void)state;
	put("var/lib/pacman/db.lck", "", 0);
	assert_true(package_manager_at_work(root_fd));
	assert_int_equal(unlinkat(root_fd, "var/lib/pacman/db.lck", 0), 0);
	assert_false(package_manager_at_work(root_fd));
}

static void who_cannot_look_takes_it_for_busy(void **state)
{
	(void)state;
	assert_true(package_manager_at_work(-EBADF));
	assert_true(person_logged_in(-EBADF));
	put("var/lib/dpkg/lock-frontend", "", 0);
	assert_int_equal(unlinkat(root_fd, "var/lib/dpkg/lock-frontend", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", root_fd, "var/lib/dpkg/lock-frontend"), 0);
	assert_true(package_manager_at_work(root_fd)); /* no lock of theirs is a link */
}

/* --- people -------------------------------------------------------------------------------------------------------------- */

static void session(const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof(path), "run/systemd/sessions/%s", name);
	put(path, text, strlen(text));
}

static void logind_says_who_is_there(void **state)
{
	(void)state;
	make_folders("run/systemd/sessions/");
	assert_false(person_logged_in(root_fd));
	session("c1", "UID=0\nUSER=root\nACTIVE=1\nSTATE=active\nCLASS=background\nSERVICE=cron\n");
	session("g2", "UID=110\nUSER=gdm\nSTATE=active\nCLASS=greeter\n");
	assert_false(person_logged_in(root_fd));
	session("3", "UID=1000\nUSER=ada\nSTATE=closing\nCLASS=user\n");
	assert_false(person_logged_in(root_fd));
	session("4", "UID=1000\nUSER=ada\nSTATE=online\nREMOTE=1\nCLASS=user\nSERVICE=sshd\n");
	assert_true(person_logged_in(root_fd));
}

static void utmp_says_who_is_there(void **state)
{
	(void)state;
	struct utmpx lines[2] = { { .ut_type = BOOT_TIME, .ut_pid = 1 }, { .ut_type = DEAD_PROCESS, .ut_pid = getpid() } };
	put("run/utmp", lines, sizeof(lines));
	assert_false(person_logged_in(root_fd));
	lines[1] = (struct utmpx){ .ut_type = USER_PROCESS, .ut_pid = getpid() };
	put("run/utmp", lines, sizeof(lines));
	assert_true(person_logged_in(root_fd));

	pid_t gone = fork();
	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	lines[1].ut_pid = gone;
	put("run/utmp", lines, sizeof(lines));
	assert_false(person_logged_in(root_fd)); /* nobody wrote that they left */
}

static void without_either_nobody_can_tell(void **state)
{
	(void)state;
	assert_true(person_logged_in(root_fd));
}

#define IN_A_TREE(test_) cmocka_unit_test_setup_teardown(test_, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_TREE(a_host_without_them_has_none_at_work),
		IN_A_TREE(a_held_lock_is_one_at_work),
		IN_A_TREE(asking_leaves_the_lock_free),
		IN_A_TREE(pacman_is_at_work_while_its_file_is_there),
		IN_A_TREE(who_cannot_look_takes_it_for_busy),
		IN_A_TREE(logind_says_who_is_there),
		IN_A_TREE(utmp_says_who_is_there),
		IN_A_TREE(without_either_nobody_can_tell),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
