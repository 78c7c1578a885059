/* SPDX-License-Identifier: Apache-2.0 */
/* Filesystems: which are shown, that their figures are statvfs's, and that one that hangs costs only itself. */
#include "collect_bench.h"

#include "collect/mount.h"
#include "core/clock.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

extern const struct collector collector_filesystem;

/* --- the table ---------------------------------------------------------------------------------------------------------- */

static void select_from(const char *path, const struct config *config, struct mount_list *ret)
{
	char text[16384];
	size_t size = bench_read(path, text, sizeof(text));
	assert_int_equal(mount_select(text, size, config, ret), 0);
}

static const struct mount *mount_at(const struct mount_list *list, const char *mountpoint)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (strcmp(list->each[i].mountpoint, mountpoint) == 0)
			return &list->each[i];
	return NULL;
}

static void name_in_policy(struct config *config, const char *mountpoint)
{
	struct policy *policy = &config->policies[config->policy_count++];
	policy->when_count = 1;
	policy->when[0].op = PREDICATE_LEAF;
	policy->when[0].condition.kind = CONDITION_FILESYSTEM;
	snprintf(policy->when[0].condition.mountpoint, PATH_LEN, "%s", mountpoint);
}

static void shows_what_can_fill(void **given)
{
	struct bench *bench = *given;
	struct mount_list *list = calloc(1, sizeof(*list));
	select_from(FIXTURES "proc/self/mountinfo", bench->config, list);

	static const char *const shown[] = { "/run", "/", "/run/lock", "/srv/the data", "/home", "/mnt/nfs" };
	assert_int_equal(list->count, sizeof(shown) / sizeof(shown[0]));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		assert_non_null(mount_at(list, shown[i]));

	const struct mount *data = mount_at(list, "/srv/the data");
	assert_int_equal(data->dev, 254 << 20 | 16);
	assert_int_equal(data->mount_id, 41); /* the filesystem's own root, though a shorter path leads to a directory of it */
	assert_string_equal(data->type, "xfs");
	assert_string_equal(data->device, "/dev/vdb");
	const struct mount *nfs = mount_at(list, "/mnt/nfs");
	assert_string_equal(nfs->device, "10.0.0.2:/export"); /* mounted over the other */
	assert_false(nfs->read_only);
	free(list);
}

static void a_policy_brings_its_mountpoints(void **given)
{
	struct bench *bench = *given;
	struct mount_list *list = calloc(1, sizeof(*list));
	name_in_policy(bench->config, "/srv/*");
	name_in_policy(bench->config, "/run/user/1000");
	name_in_policy(bench->config, "*");
	select_from(FIXTURES "proc/self/mountinfo", bench->config, list);
	assert_non_null(mount_at(list, "/srv/short"));
	assert_non_null(mount_at(list, "/srv/the data"));
	assert_non_null(mount_at(list, "/run/user/1000"));
	assert_null(mount_at(list, "/dev/shm"));
	assert_null(mount_at(list, "/srv/the data/again"));
	free(list);
}

static void bad_tables_are_refused(void **given)
{
	static const char *const bad[] = {
		"27 1 254:1 / / rw - ext4 /dev/vda1 rw",
		"27 1 254:1 / / rw ext4 /dev/vda1 rw\n",
		"27 1 254 / / rw - ext4 /dev/vda1 rw\n",
		"27 1 4096:1 / / rw - ext4 /dev/vda1 rw\n",
		"27 1 254:1048576 / / rw - ext4 /dev/vda1 rw\n",
		"27 1 254:1 / rel rw - ext4 /dev/vda1 rw\n",
		"27 1 254:1 / /a\\000b rw - ext4 /dev/vda1 rw\n",
		"-1 1 254:1 / / rw - ext4 /dev/vda1 rw\n",
		"27 1 254:1 / / rw - ext4\n",
	};
	struct bench *bench = *given;
	struct mount_list *list = calloc(1, sizeof(*list));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mount_select(bad[i], strlen(bad[i]), bench->config, list), -EINVAL);

	char text[1024];
	int size = snprintf(text, sizeof(text), "27 1 254:1 / /%0300d rw - ext4 /dev/vda1 rw\n", 0);
	assert_int_equal(mount_select(text, (size_t)size, bench->config, list), 0);
	assert_int_equal(list->count, 0);
	assert_int_equal(list->cut, 1); /* longer than a snapshot holds: counted, not cut short */
	free(list);
}

/* --- with real mounts ---------------------------------------------------------------------------------------------------- */

struct place {
	char path[128];
	uint32_t id;
};

/* A tmpfs of the test's own below the bench's root; mountinfo of the bench holds those lines only. */
static void mount_at_place(struct bench *bench, const char *name, struct place *ret)
{
	snprintf(ret->path, sizeof(ret->path), "%s/%s", bench->root, name);
	assert_int_equal(mkdir(ret->path, 0755), 0);
	assert_int_equal(mount("nodemend-test", ret->path, "tmpfs", 0, "size=8m,nr_inodes=1000"), 0);
}

static void put_table(struct bench *bench)
{
	static char text[65536], kept[65536];
	size_t size = bench_read("/proc/self/mountinfo", text, sizeof(text)), used = 0;
	for (char *line = text; line < text + size;) {
		char *end = strchr(line, '\n') + 1;
		*(end - 1) = '\0';
		if (strstr(line, bench->root))
			used += (size_t)snprintf(kept + used, sizeof(kept) - used, "%s\n", line);
		line = end;
	}
	bench_put(bench, "proc/self/mountinfo", kept, used);
}

static struct filesystem *row_of(struct bench *bench, const struct place *place)
{
	for (uint32_t i = 0; i < bench->snap->filesystems.count; i++)
		if (strcmp(bench->snap->filesystems.each[i].mountpoint, place->path) == 0)
			return &bench->snap->filesystems.each[i];
	fail_msg("%s is not shown", place->path);
	return NULL;
}

static void assert_like_statvfs(const struct filesystem *row)
{
	struct statvfs found;
	struct stat root;
	assert_int_equal(statvfs(row->mountpoint, &found), 0);
	assert_int_equal(stat(row->mountpoint, &root), 0);
	assert_int_equal(row->size, found.f_blocks * found.f_frsize);
	assert_int_equal(row->free, found.f_bfree * found.f_frsize);
	assert_int_equal(row->avail, found.f_bavail * found.f_frsize);
	assert_int_equal(row->files, found.f_files);
	assert_int_equal(row->files_free, found.f_ffree);
	assert_int_equal(row->dev, major(root.st_dev) << 20 | minor(root.st_dev));
}

static int without_root(void)
{
	return geteuid() != 0;
}

static void figures_are_statvfs(void **given)
{
	struct bench *bench = *given;
	struct place one, two;
	if (without_root())
		skip();
	mount_at_place(bench, "one", &one);
	mount_at_place(bench, "t wo", &two);
	put_table(bench);
	assert_int_equal(bench_open(bench, &collector_filesystem), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench->snap->filesystems.count, 2);
	assert_like_statvfs(row_of(bench, &one));
	assert_like_statvfs(row_of(bench, &two));
	assert_true(row_of(bench, &one)->exhausted_in_ns == UNKNOWN);

	/* Written since: the very next tick shows it, and what others wrote into the row stays. */
	char path[192], block[65536] = { 0 };
	snprintf(path, sizeof(path), "%s/file", one.path);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	row_of(bench, &one)->dirtied_total = 77;
	uint64_t avail = row_of(bench, &one)->avail;
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_like_statvfs(row_of(bench, &one));
	assert_int_equal(avail - row_of(bench, &one)->avail, sizeof(block));
	assert_int_equal(row_of(bench, &one)->measured_ns, bench->snap->boot_ns);
	assert_int_equal(row_of(bench, &one)->dirtied_total, 77);

	umount(one.path);
	umount(two.path);
	bench_say(bench, "proc/self/mountinfo", "27 1 0:1 / /nonexistent rw - ext4 none rw\n");
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->snap->filesystems.count, 1);
	assert_int_equal(bench->snap->filesystems.each[0].measured_ns, 0);
}

/* What a path leads to is not what the table said: no figure rather than another filesystem's. */
static void a_mount_beneath_another_is_not_measured(void **given)
{
	struct bench *bench = *given;
	struct place one;
	if (without_root())
		skip();
	mount_at_place(bench, "one", &one);
	put_table(bench);
	assert_int_equal(mount("nodemend-test", one.path, "tmpfs", 0, NULL), 0);
	assert_int_equal(bench_open(bench, &collector_filesystem), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(row_of(bench, &one)->measured_ns, 0);
	umount(one.path);
	umount(one.path);
}

/* The pid of a child of ours that runs as the worker and is not `but`; 0: none. */
static pid_t worker_pid(pid_t but)
{
	char text[4096], path[64], name[32];
	bench_read("/proc/thread-self/children", text, sizeof(text));
	for (char *at = text; *at;) {
		pid_t pid = (pid_t)strtol(at, &at, 10);
		at += strspn(at, " ");
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (pid > 0 && pid != but && access(path, R_OK) == 0 && bench_read(path, name, sizeof(name)) &&
		    strcmp(name, "nm-statvfs\n") == 0 && waitpid(pid, NULL, WNOHANG) == 0)
			return pid;
	}
	return 0;
}

/* A worker that is stopped looks from here like one in a statvfs that does not return. */
static void one_that_hangs_costs_only_itself(void **given)
{
	struct bench *bench = *given;
	struct place stuck, fine;
	if (without_root())
		skip();
	mount_at_place(bench, "a", &stuck);
	mount_at_place(bench, "b", &fine);
	put_table(bench);
	assert_int_equal(bench_open(bench, &collector_filesystem), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	uint64_t good_ns = bench->snap->boot_ns;

	pid_t first = worker_pid(0);
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGSTOP), 0);
	uint64_t begun_ns = clock_boot_ns();
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_true(clock_boot_ns() - begun_ns < 500 * NSEC_PER_MSEC); /* it waited its 20 ms and no longer */
	uint64_t asked_ns = bench->snap->boot_ns;
	assert_int_equal(row_of(bench, &stuck)->measured_ns, good_ns);

	/* From the next tick on the others have a worker of their own. */
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(row_of(bench, &fine)->measured_ns, bench->snap->boot_ns);
	assert_int_equal(row_of(bench, &stuck)->measured_ns, good_ns);
	assert_int_equal(row_of(bench, &stuck)->stuck_ns, bench->snap->boot_ns - asked_ns);
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
	assert_non_null(strstr(bench->status.why, stuck.path));
	assert_true(worker_pid(first) > 0);

	/* Two seconds after it was asked it is given up, and its worker ended. */
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(row_of(bench, &stuck)->stuck_ns, 2 * NSEC_PER_SEC);
	assert_int_equal(row_of(bench, &fine)->measured_ns, bench->snap->boot_ns);
	assert_int_equal(bench->status.events_lost, 1);
	struct pollfd nothing = { .fd = -1 };
	for (int i = 0; i < 500 && waitpid(first, NULL, WNOHANG) == 0; i++)
		poll(&nothing, 1, 10);
	assert_int_equal(kill(first, 0), -1);

	/* Left alone until its time comes, then asked again: now it answers. */
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(row_of(bench, &stuck)->measured_ns, good_ns);
	assert_int_equal(bench_tick(bench, 4 * NSEC_PER_SEC, true), 0);
	for (int i = 0; i < 500 && row_of(bench, &stuck)->stuck_ns; i++) {
		poll(&nothing, 1, 10);
		assert_int_equal(bench_tick(bench, NSEC_PER_MSEC, true), 0);
	}
	assert_int_equal(row_of(bench, &stuck)->stuck_ns, 0);
	assert_true(row_of(bench, &stuck)->measured_ns > good_ns);
	assert_like_statvfs(row_of(bench, &stuck));
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(bench->status.state, COLLECTOR_UP);

	umount(stuck.path);
	umount(fine.path);
}

/* The worker itself dies: the next tick has another. */
static void a_dead_worker_is_replaced(void **given)
{
	struct bench *bench = *given;
	struct place one;
	if (without_root())
		skip();
	mount_at_place(bench, "one", &one);
	put_table(bench);
	assert_int_equal(bench_open(bench, &collector_filesystem), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0); /* it has answered, so it has its name */
	pid_t first = worker_pid(0);
	assert_true(first > 0);
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_int_equal(waitpid(first, NULL, 0), first);
	(void)bench_tick(bench, NSEC_PER_SEC, true); /* this one finds out; the next has another, which on a busy machine may not answer at once */
	for (int i = 0; i < 500; i++)
		if (bench_tick(bench, NSEC_PER_MSEC, true) == 0 && row_of(bench, &one)->measured_ns == bench->snap->boot_ns)
			break;
	assert_int_equal(row_of(bench, &one)->measured_ns, bench->snap->boot_ns);
	assert_true(bench->status.events_lost > 0);
	umount(one.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(shows_what_can_fill),
		BENCH_TEST(a_policy_brings_its_mountpoints),
		BENCH_TEST(bad_tables_are_refused),
		BENCH_TEST(figures_are_statvfs),
		BENCH_TEST(a_mount_beneath_another_is_not_measured),
		BENCH_TEST(one_that_hangs_costs_only_itself),
		BENCH_TEST(a_dead_worker_is_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
