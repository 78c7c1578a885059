/* SPDX-License-Identifier: Apache-2.0 */
/* The never-list: what is on it, what the configuration adds, and that a process that cannot be told apart counts as protected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decide/protect.h"

static const struct protection nothing_added;

struct world { /* a procfs of the test's own, with ourselves in it */
	char dir[64];
	int fd;
	char buffer[160];
};

static void put(const struct world *world, int pid, const char *name, const char *text)
{
	char path[64];
	snprintf(path, sizeof(path), "%d", pid);
	if (mkdirat(world->fd, path, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	snprintf(path, sizeof(path), "%d/%s", pid, name);
	int fd = openat(world->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void put_process(const struct world *world, int pid, int ppid, const char *comm, unsigned flags, const char *cgroup)
{
	char text[512];
	snprintf(text, sizeof(text), "%d (%s) S %d 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 1 0 100 0 1 0\n", pid, comm, ppid, flags);
	put(world, pid, "stat", text);
	snprintf(text, sizeof(text), "1:name=systemd:/\n0::%s\n", cgroup);
	put(world, pid, "cgroup", text);
	put(world, pid, "exe", "its program is another file than ours");
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	snprintf(world->dir, sizeof(world->dir), "/tmp/nodemend-protect-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	world->fd = open(world->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_process(world, getpid(), 500, "test", 0, "/");
	put_process(world, 500, 1, "parent", 0, "/");
	put_process(world, 1, 0, "systemd", 0, "/init.scope");
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	static const char *const files[] = { "stat", "cgroup", "exe" };
	char path[64];
	for (int pid = 1; pid < 1 << 22; pid = pid == 1 ? 500 : pid == 500 ? 700 : pid < 720 ? pid + 1 : pid < getpid() ? getpid() : 1 << 22) {
		for (size_t i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "%d/%s", pid, files[i]);
			(void)unlinkat(world->fd, path, 0);
		}
		snprintf(path, sizeof(path), "%d", pid);
		(void)unlinkat(world->fd, path, AT_REMOVEDIR);
	}
	close(world->fd);
	rmdir(world->dir);
	free(world);
	return 0;
}

static const char *rule_for(struct world *world, const struct protection *protection, int pid)
{
	return protect_process(protection, world->fd, pid, world->buffer, sizeof(world->buffer));
}

static void assert_begins(const char *text, const char *start)
{
	assert_non_null(text);
	if (strncmp(text, start, strlen(start)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", text, start);
}

static void an_ordinary_process_is_not_protected(void **state)
{
	put_process(*state, 700, 1, "grower", 0, "/app.slice/app.service");
	assert_null(rule_for(*state, &nothing_added, 700));
	put_process(*state, 700, 1, "a) S 1 (b", 0, "/");
	assert_null(rule_for(*state, &nothing_added, 700));
}

static void init_kernel_threads_and_ourselves_are(void **state)
{
	struct world *world = *state;
	assert_begins(rule_for(world, &nothing_added, 1), "built-in: PID 1");
	assert_begins(rule_for(world, &nothing_added, 0), "built-in: PID 1");
	assert_begins(rule_for(world, &nothing_added, -5), "built-in: PID 1");
	put_process(world, 701, 2, "kworker/0:1", 0x00200000 | 0x40, "/");
	assert_begins(rule_for(world, &nothing_added, 701), "built-in: a kernel thread");
	assert_begins(rule_for(world, &nothing_added, getpid()), "built-in: the agent or one of its parents");
	assert_begins(rule_for(world, &nothing_added, 500), "built-in: the agent or one of its parents");
}

static void our_program_is_known_by_its_file(void **state)
{
	struct world *world = *state;
	char path[64];
	put_process(world, 702, 1, "renamed", 0, "/");
	snprintf(path, sizeof(path), "%d/exe", 702);
	unlinkat(world->fd, path, 0);
	assert_int_equal(symlinkat("/proc/self/exe", world->fd, path), 0);
	assert_begins(rule_for(world, &nothing_added, 702), "built-in: this agent's program");
}

static void what_cannot_be_read_is_protected(void **state)
{
	struct world *world = *state;
	char path[64];
	assert_begins(rule_for(world, &nothing_added, 703), "unknown:");
	put_process(world, 704, 1, "app", 0, "/app");
	snprintf(path, sizeof(path), "%d/cgroup", 704);
	unlinkat(world->fd, path, 0);
	assert_begins(rule_for(world, &nothing_added, 704), "unknown: its cgroup");
	put_process(world, 704, 1, "app", 0, "/app");
	snprintf(path, sizeof(path), "%d/exe", 704);
	unlinkat(world->fd, path, 0);
	assert_begins(rule_for(world, &nothing_added, 704), "unknown: its program");
	put_process(world, 704, 1, "app", 0, "/app");
	put(world, 704, "stat", "704 no parentheses");
	assert_begins(rule_for(world, &nothing_added, 704), "unknown:");
	put_process(world, 704, 1, "app", 0, "/app");
	put(world, 704, "cgroup", "0:nothing\n");
	assert_begins(rule_for(world, &nothing_added, 704), "unknown: its cgroup");
}

static void an_unreadable_parent_protects_everybody(void **state)
{
	struct world *world = *state;
	char path[64];
	put_process(world, 705, 1, "app", 0, "/app");
	assert_null(rule_for(world, &nothing_added, 705));
	snprintf(path, sizeof(path), "%d/stat", 500);
	unlinkat(world->fd, path, 0);
	assert_begins(rule_for(world, &nothing_added, 705), "unknown: the agent's own parents");
}

static void what_the_node_lives_by_is_protected_by_name(void **state)
{
	static const char *const names[] = {
		"systemd",	 "systemd-journal", "dbus-daemon", "dbus-broker", "sshd",      "sshd-session", "kubelet",	  "containerd",	     "containerd-shim", "crio",
		"conmon",	 "dockerd",	    "runc",	   "etcd",	  "kube-apiserver", "kube-proxy",  "flanneld", "calico-node", "cilium-agent",    "csi-provisioner",
		"multipathd", "nodemend",	 "nm-kill",
	};
	char buffer[160];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!protect_comm(&nothing_added, names[i], buffer, sizeof(buffer)))
			fail_msg("%s is not protected", names[i]);
	assert_null(protect_comm(&nothing_added, "nginx", buffer, sizeof(buffer)));
	put_process(*state, 706, 1, "sshd", 0, "/app");
	assert_begins(rule_for(*state, &nothing_added, 706), "built-in: sshd");
}

static void units_are_protected_by_name_and_by_path(void **state)
{
	char buffer[160];
	static const char *const names[] = { "sshd.service", "ssh.service", "ssh@1-2.service", "dbus.service", "systemd-journald.service", "kubelet.service",
					     "containerd.service", "docker.service", "user@0.service", "init.scope", "system.slice", "nodemend.service" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!protect_unit(&nothing_added, names[i], buffer, sizeof(buffer)))
			fail_msg("%s is not protected", names[i]);
	assert_null(protect_unit(&nothing_added, "nginx.service", buffer, sizeof(buffer)));
	put_process(*state, 707, 1, "anything", 0, "/system.slice/ssh.service/inner");
	assert_begins(rule_for(*state, &nothing_added, 707), "built-in: ssh");
	put_process(*state, 707, 1, "anything", 0, "/user.slice/user-0.slice/user@0.service/app.slice/a.service");
	assert_null(rule_for(*state, &nothing_added, 707));
	put_process(*state, 707, 1, "anything", 0, "/user.slice/user-0.slice/user@0.service/init.scope");
	assert_begins(rule_for(*state, &nothing_added, 707), "built-in: init.scope");
}

static void pods_of_unknown_priority_are_protected(void **state)
{
	put_process(*state, 708, 1, "app", 0, "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podabc.slice/cri-containerd-1.scope");
	assert_begins(rule_for(*state, &nothing_added, 708), "built-in: */kubepods");
	put_process(*state, 708, 1, "app", 0, "/mine/pod0123456789abcdef0123456789abcdef/x");
	assert_begins(rule_for(*state, &nothing_added, 708), "built-in: a static pod");
}

static void the_configuration_adds(void **state)
{
	char buffer[160];
	struct protection protection = { .unit_count = 1, .comm_count = 2, .cgroup_count = 1 };
	snprintf(protection.units[0], NAME_LEN, "post*.service");
	snprintf(protection.comms[0], NAME_LEN, "postgres");
	snprintf(protection.comms[1], NAME_LEN, "a-name-longer-than-the-kernel-keeps");
	snprintf(protection.cgroups[0], PATH_LEN, "/db/*");
	assert_string_equal(protect_comm(&protection, "postgres", buffer, sizeof(buffer)), "protect.comms: postgres");
	assert_non_null(protect_comm(&protection, "a-name-longer-t", buffer, sizeof(buffer)));
	assert_null(protect_comm(&protection, "postgrey", buffer, sizeof(buffer)));
	assert_string_equal(protect_unit(&protection, "postgresql.service", buffer, sizeof(buffer)), "protect.units: post*.service");
	put_process(*state, 709, 1, "x", 0, "/db/main/inner");
	assert_begins(rule_for(*state, &protection, 709), "protect.cgroups: /db/*");
	put_process(*state, 709, 1, "x", 0, "/dbs");
	assert_null(rule_for(*state, &protection, 709));
}

static void whole_groups_are_wider_than_their_members(void **state)
{
	char buffer[160];
	static const char *const groups[] = { "/", "/init.scope", "/system.slice", "/user.slice", "/user.slice/user-1000.slice", "/kubepods.slice", "relative", "/a/../b" };
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!protect_cgroup(&nothing_added, groups[i], buffer, sizeof(buffer)))
			fail_msg("%s is not protected", groups[i]);
	assert_null(protect_cgroup(&nothing_added, "/app.slice/app.service", buffer, sizeof(buffer)));
	put_process(*state, 710, 1, "x", 0, "/system.slice");
	assert_null(rule_for(*state, &nothing_added, 710));
	put_process(*state, 710, 1, "x", 0, "/");
	assert_null(rule_for(*state, &nothing_added, 710));
}

/* Publisher and sender are programs of their own: a stand-in of that name, and one of another. */
static void what_stands_beside_us_is_ours(int proc_fd)
{
	static const char *const names[] = { "nm-publisher", "nm-stranger" };
	char path[PATH_MAX], buffer[160];

	for (int i = 0; i < 2; i++) {
		ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 32);
		assert_true(length > 0);
		path[length] = '\0';
		snprintf(strrchr(path, '/') + 1, 16, "%s", names[i]);
		(void)unlink(path);
		char copy[PATH_MAX + 32];
		snprintf(copy, sizeof(copy), "cp /bin/sleep '%s'", path);
		assert_int_equal(system(copy), 0);
		pid_t pid;
		char *const argv[] = { (char *)names[i], "60", NULL };
		assert_int_equal(posix_spawn(&pid, path, NULL, NULL, argv, environ), 0); /* back when it runs the other program */
		const char *rule = protect_process(&nothing_added, proc_fd, pid, buffer, sizeof(buffer));
		if (i == 0)
			assert_begins(rule, "built-in: this agent's program");
		else
			assert_true(!rule || strncmp(rule, "built-in: this agent's program", strlen("built-in: this agent's program")));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		(void)unlink(path);
	}
}

/* The real thing: our parent and PID 1 by the real procfs, and a stranger. */
static void live_processes(void **state)
{
	char buffer[160];
	int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_non_null(protect_process(&nothing_added, proc_fd, 1, buffer, sizeof(buffer)));
	assert_non_null(protect_process(&nothing_added, proc_fd, getppid(), buffer, sizeof(buffer)));
	assert_non_null(protect_process(&nothing_added, proc_fd, 2, buffer, sizeof(buffer)));
	pid_t twin = fork(); /* the same program file, as a worker has */
	if (twin == 0) {
		pause();
		_exit(0);
	}
	assert_begins(protect_process(&nothing_added, proc_fd, twin, buffer, sizeof(buffer)), "built-in: this agent's program");
	kill(twin, SIGKILL);
	waitpid(twin, NULL, 0);
	what_stands_beside_us_is_ours(proc_fd);
	close(proc_fd);
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_ordinary_process_is_not_protected), TEST(init_kernel_threads_and_ourselves_are), TEST(our_program_is_known_by_its_file),
		TEST(what_cannot_be_read_is_protected), TEST(an_unreadable_parent_protects_everybody), TEST(what_the_node_lives_by_is_protected_by_name),
		TEST(units_are_protected_by_name_and_by_path), TEST(pods_of_unknown_priority_are_protected), TEST(the_configuration_adds),
		TEST(whole_groups_are_wider_than_their_members), TEST(live_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
