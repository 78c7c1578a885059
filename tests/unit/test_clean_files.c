/* SPDX-License-Identifier: Apache-2.0 */
/* clean-files, rule by rule: what goes, what stays and why, where it refuses, and that the bytes it tells are those that came back. */
#include "clean_fixture.h"

#include <pthread.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

enum { USER_A = 12001, USER_B = 12002 };

static struct clean_fixture fixture;

static struct clean_files_args *args(void)
{
	return &fixture.request.args.clean_files;
}

static int reset(void **state)
{
	fixture_reset(&fixture);
	return 0;
}

static void own(const char *name, uid_t uid)
{
	char path[PATH_LEN * 2];
	assert_int_equal(lchown(fixture_path(&fixture, name, path), uid, uid), 0);
}

static void change_mode(const char *name, mode_t mode)
{
	char path[PATH_LEN * 2];
	assert_int_equal(chmod(fixture_path(&fixture, name, path), mode), 0);
}

static void refused(const char *by)
{
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_REFUSED);
	assert_string_equal(fixture.result.refused_by, by);
	assert_true(fixture.result.why[0]);
}

static const char *detail_of(const char *step)
{
	for (uint32_t i = 0; i < fixture.result.step_count; i++)
		if (strcmp(fixture.result.steps[i].name, step) == 0)
			return fixture.result.steps[i].detail;
	return "";
}

/* --- what goes ---------------------------------------------------------------------------------------------------------------- */

static void deletes_what_matches_and_nothing_else(void **state)
{
	fixture_put(&fixture, "a.log", 4, OLD);
	fixture_put(&fixture, "web/b.log.1", 4, OLD);
	fixture_put(&fixture, "web/b.txt", 4, OLD);
	fixture_put(&fixture, ".hidden.log", 4, OLD);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_FIXED);
	assert_false(fixture_has(&fixture, "a.log"));
	assert_false(fixture_has(&fixture, "web/b.log.1"));
	assert_true(fixture_has(&fixture, "web/b.txt"));
	assert_true(fixture_has(&fixture, ".hidden.log"));
	assert_true(fixture_has(&fixture, "web"));
	assert_int_equal(fixture.result.observed.freed_files, 2);
}

static void oldest_first_up_to_max_bytes(void **state)
{
	fixture_put(&fixture, "1.log", 64, OLD + 30);
	fixture_put(&fixture, "x/2.log", 64, OLD + 20);
	fixture_put(&fixture, "3.log", 64, OLD + 10);
	args()->max_bytes = 130 * 1024;
	fixture_run(&fixture);
	assert_false(fixture_has(&fixture, "1.log"));
	assert_false(fixture_has(&fixture, "x/2.log"));
	assert_true(fixture_has(&fixture, "3.log"));
	assert_int_equal(fixture.result.observed.freed_bytes, 128 * 1024);
}

static void no_more_than_max_files(void **state)
{
	for (int i = 0; i < 6; i++)
		fixture_put(&fixture, (const char *[]){ "0.log", "1.log", "2.log", "3.log", "4.log", "5.log" }[i], 4, OLD - i);
	args()->max_files = 2;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_files, 2);
	assert_false(fixture_has(&fixture, "0.log"));
	assert_false(fixture_has(&fixture, "1.log"));
	assert_true(fixture_has(&fixture, "2.log"));
}

static void no_deeper_than_max_depth(void **state)
{
	fixture_put(&fixture, "1.log", 4, OLD);
	fixture_put(&fixture, "a/2.log", 4, OLD);
	fixture_put(&fixture, "a/b/3.log", 4, OLD);
	args()->max_depth = 2;
	fixture_run(&fixture);
	assert_false(fixture_has(&fixture, "1.log"));
	assert_false(fixture_has(&fixture, "a/2.log"));
	assert_true(fixture_has(&fixture, "a/b/3.log"));
	args()->max_depth = 1;
	fixture_put(&fixture, "a/2.log", 4, OLD);
	fixture_run(&fixture);
	assert_true(fixture_has(&fixture, "a/2.log"));
}

/* More than one round holds. */
static void takes_several_rounds(void **state)
{
	char name[32];
	for (int i = 0; i < 4200; i++) {
		snprintf(name, sizeof(name), "many/%d.log", i);
		fixture_put(&fixture, name, 1, OLD);
	}
	args()->keep_newest = 3;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_files, 4197);
	assert_int_equal(fixture.result.observed.freed_bytes, 4197 * 4096);
}

/* --- what stays ---------------------------------------------------------------------------------------------------------------- */

static void the_newest_of_each_directory_stay(void **state)
{
	for (int i = 0; i < 4; i++) {
		fixture_put(&fixture, (const char *[]){ "0.log", "1.log", "2.log", "3.log" }[i], 4, OLD + i);
		fixture_put(&fixture, (const char *[]){ "d/0.log", "d/1.log", "d/2.log", "d/3.log" }[i], 4, 2 * OLD + i);
	}
	args()->keep_newest = 2;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_files, 4);
	assert_true(fixture_has(&fixture, "0.log") && fixture_has(&fixture, "1.log") && fixture_has(&fixture, "d/0.log") && fixture_has(&fixture, "d/1.log"));
}

static void the_young_stay_by_either_time(void **state)
{
	fixture_put(&fixture, "old-by-mtime-only.log", 4, OLD);
	args()->min_age_ns = 3600 * NSEC_PER_SEC;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NO_EFFECT);
	assert_true(fixture_has(&fixture, "old-by-mtime-only.log"));
	args()->min_age_ns = 0;
	fixture_put(&fixture, "ahead-of-time.log", 4, -OLD);
	fixture_run(&fixture);
	assert_true(fixture_has(&fixture, "ahead-of-time.log"));
	assert_false(fixture_has(&fixture, "old-by-mtime-only.log"));
}

static int hold(const char *name, int flags)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, name, 4, OLD);
	int fd = open(fixture_path(&fixture, name, path), flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void what_is_in_use_stays(void **state)
{
	int reader = hold("read.log", O_RDONLY), writer = hold("write.log", O_WRONLY), locker = hold("flock.log", O_RDONLY), mapper = hold("map.log", O_RDONLY);
	assert_int_equal(flock(locker, LOCK_SH), 0);
	void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, mapper, 0);
	assert_true(map != MAP_FAILED);
	close(mapper);
	fixture_put(&fixture, "free.log", 4, OLD);
	fixture_run(&fixture);
	assert_true(fixture_has(&fixture, "read.log") && fixture_has(&fixture, "write.log") && fixture_has(&fixture, "flock.log"));
	assert_true(fixture_has(&fixture, "map.log"));
	assert_false(fixture_has(&fixture, "free.log"));
	assert_non_null(strstr(detail_of("look"), "in use"));
	assert_non_null(strstr(detail_of("look"), "locked"));

	munmap(map, 4096);
	close(reader);
	close(writer);
	close(locker);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_files, 4);
}

static void a_locked_directory_is_left_alone(void **state)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, "locked/a.log", 4, OLD);
	int fd = open(fixture_path(&fixture, "locked", path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	fixture_run(&fixture);
	assert_true(fixture_has(&fixture, "locked/a.log"));
	close(fd);
	fixture_run(&fixture);
	assert_false(fixture_has(&fixture, "locked/a.log"));
}

static void what_would_bring_nothing_stays(void **state)
{
	char path[PATH_LEN * 2], twin[PATH_LEN * 2];
	fixture_put(&fixture, "linked.log", 4, OLD);
	assert_int_equal(link(fixture_path(&fixture, "linked.log", path), fixture_path(&fixture, "twin.txt", twin)), 0);
	fixture_put(&fixture, "sparse.log", 0, OLD);
	assert_int_equal(truncate(fixture_path(&fixture, "sparse.log", path), 1 << 30), 0);
	fixture_put(&fixture, "empty.log", 0, OLD);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NO_EFFECT);
	assert_int_equal(fixture.result.observed.freed_bytes, 0);
	assert_true(fixture_has(&fixture, "linked.log") && fixture_has(&fixture, "sparse.log") && fixture_has(&fixture, "empty.log"));
}

static void what_is_no_file_stays(void **state)
{
	char path[PATH_LEN * 2];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	assert_int_equal(mkfifo(fixture_path(&fixture, "pipe.log", path), 0644), 0);
	assert_int_equal(mknod(fixture_path(&fixture, "null.log", path), S_IFCHR | 0644, makedev(1, 3)), 0);
	assert_int_equal(mkdir(fixture_path(&fixture, "folder.log", path), 0755), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/app/logs/s.log", fixture.dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NO_EFFECT);
	assert_true(fixture_has(&fixture, "pipe.log") && fixture_has(&fixture, "null.log") && fixture_has(&fixture, "folder.log") && fixture_has(&fixture, "s.log"));
}

static void the_filesystems_own_names_stay(void **state)
{
	snprintf(args()->match[0], NAME_LEN, "*");
	snprintf(args()->match[1], NAME_LEN, ".*");
	args()->match_count = 2;
	fixture_put(&fixture, "aquota.user", 4, OLD);
	fixture_put(&fixture, ".journal", 4, OLD);
	fixture_put(&fixture, "lost+found/#123", 4, OLD);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NO_EFFECT);
	assert_true(fixture_has(&fixture, "aquota.user") && fixture_has(&fixture, ".journal") && fixture_has(&fixture, "lost+found/#123"));
}

static void nothing_outside_is_reached(void **state)
{
	char path[PATH_LEN * 2], outside[PATH_LEN];
	snprintf(outside, sizeof(outside), "%.60s/app/outside", fixture.dir);
	fixture_make_dirs(outside, 0755);
	fixture_put(&fixture, "../outside/sentinel.log", 4, OLD);
	assert_int_equal(symlink(outside, fixture_path(&fixture, "absolute", path)), 0);
	assert_int_equal(symlink("../outside", fixture_path(&fixture, "relative", path)), 0);
	assert_int_equal(symlink("../outside/sentinel.log", fixture_path(&fixture, "link.log", path)), 0);
	assert_int_equal(mkdir(fixture_path(&fixture, "bound", path), 0755), 0);
	assert_int_equal(mount(outside, path, NULL, MS_BIND, NULL), 0);
	fixture_put(&fixture, "bound-file.log", 4, OLD);
	char file[PATH_LEN * 2], target[PATH_LEN * 2];
	fixture_path(&fixture, "../outside/sentinel.log", file);
	assert_int_equal(mount(file, fixture_path(&fixture, "bound-file.log", target), NULL, MS_BIND, NULL), 0);

	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NO_EFFECT);
	assert_int_equal(umount(target), 0);
	assert_int_equal(umount(path), 0);
	assert_true(fixture_has(&fixture, "../outside/sentinel.log") && fixture_has(&fixture, "link.log") && fixture_has(&fixture, "bound-file.log"));
}

static void a_directory_that_others_may_write_is_left_alone(void **state)
{
	static const mode_t modes[] = { 0777, 0775, 01777, 01755 };
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		fixture_reset(&fixture);
		fixture_put(&fixture, "shared/a.log", 4, OLD);
		fixture_put(&fixture, "shared/below/b.log", 4, OLD);
		own("shared", USER_A);
		change_mode("shared", modes[i]);
		fixture_run(&fixture);
		assert_true(fixture_has(&fixture, "shared/a.log"));
		assert_true(fixture_has(&fixture, "shared/below/b.log"));
		change_mode("shared", 0755);
		fixture_run(&fixture);
		assert_false(fixture_has(&fixture, "shared/below/b.log"));
	}
}

/* An unlink that was interrupted between its two halves is ended by the next clean-up, whatever the patterns and the newest say. */
static void what_an_interrupted_one_left_is_ended(void **state)
{
	fixture_put(&fixture, "d/.nodemend-deleting-12", 4, OLD);
	fixture_put(&fixture, "d/.nodemend-kept-13", 4, OLD);
	fixture_put(&fixture, "d/a.log", 4, OLD + 10);
	args()->keep_newest = 1;
	fixture_run(&fixture);
	assert_false(fixture_has(&fixture, "d/.nodemend-deleting-12"));
	assert_true(fixture_has(&fixture, "d/.nodemend-kept-13") && fixture_has(&fixture, "d/a.log"));
}

/* --- whose powers --------------------------------------------------------------------------------------------------------------- */

static void deletes_as_the_owner(void **state)
{
	fixture_put(&fixture, "roots/of-a.log", 4, OLD); /* nobody but root changes names here */
	own("roots/of-a.log", USER_A);
	fixture_put(&fixture, "as/of-a.log", 4, OLD);
	own("as/of-a.log", USER_A);
	fixture_put(&fixture, "as/of-root.log", 4, OLD); /* A may delete it: it is A's directory */
	fixture_put(&fixture, "as/of-b.log", 4, OLD);    /* B may not */
	own("as/of-b.log", USER_B);
	own("as", USER_A);
	fixture_run(&fixture);
	assert_false(fixture_has(&fixture, "roots/of-a.log"));
	assert_false(fixture_has(&fixture, "as/of-a.log"));
	assert_false(fixture_has(&fixture, "as/of-root.log"));
	assert_true(fixture_has(&fixture, "as/of-b.log"));
	assert_int_equal(fixture.result.observed.freed_files, 3);
	assert_non_null(strstr(detail_of("unlink"), "1 errors"));
}

static void has_its_powers_back_afterwards(void **state)
{
	fixture_put(&fixture, "as/a.log", 4, OLD);
	own("as/a.log", USER_A);
	own("as", USER_A);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_files, 1);
	char path[PATH_LEN * 2];
	int fd = open(fixture_path(&fixture, "made.txt", path), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct stat found;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &found), 0);
	assert_int_equal(found.st_uid, 0);
	assert_int_equal(found.st_gid, 0);
	close(fd);
}

/* --- where it refuses ------------------------------------------------------------------------------------------------------------ */

static void refuses_protected_roots(void **state)
{
	static const char *const roots[] = { "/", "/etc", "/usr", "/usr/lib", "/boot", "/home", "/var", "/var/lib", "/var/lib/docker", "/var/lib/dpkg/info", "/proc", "/sys/fs" };
	snprintf(args()->match[0], NAME_LEN, "*.no-such-suffix");
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		snprintf(args()->root, sizeof(args()->root), "%s", roots[i]);
		struct stat found;
		refused(stat(roots[i], &found) == 0 ? "protected-root" : "no-such-root");
	}
}

static void refuses_a_protected_root_under_another_name(void **state)
{
	char path[PATH_LEN * 2];
	assert_int_equal(mkdir(fixture_path(&fixture, "copy", path), 0755), 0);
	assert_int_equal(mount("/etc", path, NULL, MS_BIND, NULL), 0);
	snprintf(args()->match[0], NAME_LEN, "*.no-such-suffix");
	snprintf(args()->root, sizeof(args()->root), "%.200s/copy", fixture.root);
	refused("protected-root");
	snprintf(args()->root, sizeof(args()->root), "%.200s/copy/apt", fixture.root);
	refused("protected-root");
	assert_int_equal(umount(path), 0);
}

static void refuses_a_whole_filesystem_that_it_is_not_about(void **state)
{
	snprintf(args()->root, sizeof(args()->root), "%s", fixture.dir);
	snprintf(args()->match[0], NAME_LEN, "*.no-such-suffix");
	refused("mount-root");
	fixture.request.target.type = TARGET_FILESYSTEM;
	snprintf(fixture.request.target.name, PATH_LEN, "%s", fixture.dir);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NO_EFFECT);
}

static void refuses_another_filesystem_than_the_full_one(void **state)
{
	fixture.request.target.type = TARGET_FILESYSTEM;
	fixture.request.target.dev = 1;
	refused("other-filesystem");
}

static void refuses_filesystems_that_cannot_tell(void **state)
{
	char path[PATH_LEN * 2], options[PATH_LEN * 6];
	fixture_put(&fixture, "upper/a.log", 4, OLD);
	fixture_make_dirs(fixture_path(&fixture, "work", path), 0755);
	fixture_make_dirs(fixture_path(&fixture, "lower", path), 0755);
	fixture_make_dirs(fixture_path(&fixture, "merged", path), 0755);
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", fixture.root, fixture.root, fixture.root);
	if (mount("overlay", path, "overlay", 0, options) < 0)
		skip();
	fixture_put(&fixture, "merged/d/b.log", 4, OLD);
	snprintf(args()->root, sizeof(args()->root), "%.200s/merged/d", fixture.root);
	refused("filesystem-kind");
	assert_int_equal(umount(path), 0);
}

static void refuses_a_way_that_others_may_change(void **state)
{
	char inner[PATH_LEN];
	snprintf(inner, sizeof(inner), "%.60s/app", fixture.dir);
	fixture_put(&fixture, "a.log", 4, OLD);
	assert_int_equal(chmod(inner, 0777), 0);
	refused("writable-way");
	assert_int_equal(chmod(inner, 01777), 0); /* as /tmp: nobody moves what is another's */
	fixture.request.verb = REMEDY_VERB_PLAN;
	assert_int_equal(fixture_run(&fixture)->expected.freed_files, 1);
	fixture.request.verb = REMEDY_VERB_APPLY;
	assert_int_equal(chmod(inner, 0755), 0);
	assert_int_equal(chown(inner, USER_A, USER_A), 0); /* A could put another of root's directories there */
	refused("writable-way");
	own(".", USER_A);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_FIXED);
}

static void refuses_a_root_that_others_may_write(void **state)
{
	change_mode(".", 0777);
	refused("writable-root");
	change_mode(".", 01755);
	refused("writable-root");
	change_mode(".", 0755);
}

static void refuses_a_link_on_the_way(void **state)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, "real/a.log", 4, OLD);
	assert_int_equal(symlink("real", fixture_path(&fixture, "link", path)), 0);
	snprintf(args()->root, sizeof(args()->root), "%.200s/link", fixture.root);
	refused("no-such-root");
	assert_true(fixture_has(&fixture, "real/a.log"));
}

static void a_past_deadline_begins_nothing(void **state)
{
	fixture_put(&fixture, "a.log", 4, OLD);
	fixture.request.deadline_boot_ns = clock_boot_ns();
	refused("deadline");
	assert_true(fixture_has(&fixture, "a.log"));
}

/* --- the kill switch -------------------------------------------------------------------------------------------------------------- */

static void the_kill_switch_stops_it(void **state)
{
	char path[PATH_LEN * 2];
	fixture_put(&fixture, "a.log", 4, OLD);
	assert_int_equal(symlink("/nowhere", fixture_path(&fixture, "pause", path)), 0);
	snprintf(fixture.request.kill_switch, PATH_LEN, "%.250s", path);
	refused("kill-switch");
	assert_true(fixture_has(&fixture, "a.log"));
	assert_int_equal(unlink(path), 0);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_FIXED);
}

/* Pulls the switch as soon as the first file goes. */
static void *pull_on_first_delete(void *context)
{
	char event[4096];
	const int *fds = context;
	if (read(fds[0], event, sizeof(event)) > 0)
		close(openat(fds[1], "pause", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	return NULL;
}

static void the_kill_switch_is_read_before_each_file(void **state)
{
	char name[32], path[PATH_LEN * 2];
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%d.log", i);
		fixture_put(&fixture, name, 1, OLD);
	}
	snprintf(fixture.request.kill_switch, PATH_LEN, "%.60s/app/pause", fixture.dir);
	snprintf(path, sizeof(path), "%.60s/app", fixture.dir);
	int fds[2] = { inotify_init1(IN_CLOEXEC), open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	assert_true(inotify_add_watch(fds[0], fixture.root, IN_DELETE) >= 0);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, pull_on_first_delete, fds), 0);
	fixture_run(&fixture);
	pthread_join(thread, NULL);
	assert_true(fixture.result.observed.freed_files >= 1 && fixture.result.observed.freed_files < 3000);
	assert_int_equal(fixture.result.outcome, OUTCOME_IMPROVED);
	assert_string_equal(fixture.result.why, "kill-switch");
	close(fds[0]);
	close(fds[1]);
}

/* --- the truth ---------------------------------------------------------------------------------------------------------------------- */

static void a_plan_touches_nothing_and_comes_true(void **state)
{
	char path[PATH_LEN * 2];
	struct stat before, after, dir_before, dir_after;
	fixture_put(&fixture, "d/evil\n\x1b[2J\xff.log", 100, OLD);
	fixture_put(&fixture, "d/new.log", 100, OLD - 10);
	args()->keep_newest = 1;
	fixture_path(&fixture, "d/evil\n\x1b[2J\xff.log", path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(stat(fixture_path(&fixture, "d", path), &dir_before), 0);
	fixture.request.verb = REMEDY_VERB_PLAN;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.outcome, OUTCOME_NONE);
	assert_int_equal(fixture.result.expected.freed_files, 1);
	assert_int_equal(fixture.result.expected.freed_bytes, 100 * 1024);
	assert_int_equal(fixture.result.observed.freed_bytes, UNKNOWN);
	assert_int_equal(fixture.result.plan_count, 1);
	assert_string_equal(fixture.result.plan[0], "delete d/evil\\x0a\\x1b[2J\\xff.log (102400 bytes, of user 0)");
	assert_int_equal(stat(path, &dir_after), 0);
	assert_int_equal(stat(fixture_path(&fixture, "d/evil\n\x1b[2J\xff.log", path), &after), 0);
	assert_memory_equal(&before.st_atim, &after.st_atim, sizeof(before.st_atim));
	assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
	assert_memory_equal(&dir_before.st_atim, &dir_after.st_atim, sizeof(dir_before.st_atim));

	fixture.request.verb = REMEDY_VERB_APPLY;
	uint64_t promised = fixture.result.expected.freed_bytes;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.observed.freed_bytes, promised);
}

static void a_long_plan_is_cut_and_counted(void **state)
{
	char name[32];
	for (int i = 0; i < MAX_PLAN_LINES + 5; i++) {
		snprintf(name, sizeof(name), "%d.log", i);
		fixture_put(&fixture, name, 1, OLD);
	}
	fixture.request.verb = REMEDY_VERB_PLAN;
	fixture_run(&fixture);
	assert_int_equal(fixture.result.plan_count, MAX_PLAN_LINES);
	assert_int_equal(fixture.result.plan_cut, 5);
	assert_int_equal(fixture.result.expected.freed_files, MAX_PLAN_LINES + 5);
}

static uint64_t shown_free(void)
{
	struct statvfs now;
	int fd = open(fixture.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(syncfs(fd), 0);
	assert_int_equal(fstatvfs(fd, &now), 0);
	close(fd);
	return now.f_bfree * now.f_frsize;
}

static void freed_bytes_are_those_that_statvfs_shows(void **state)
{
	char name[32];
	for (int i = 0; i < 24; i++) {
		snprintf(name, sizeof(name), "d/%d.log", i);
		fixture_put(&fixture, name, i % 3 ? 700 + i : 3, OLD + i);
	}
	uint64_t before = shown_free();
	fixture_run(&fixture);
	uint64_t truth = shown_free() - before, said = fixture.result.observed.freed_bytes;
	assert_int_equal(fixture.result.observed.freed_files, 24);
	assert_true(truth > 10 * MIB);
	assert_true(said <= truth + truth / 100 && said + truth / 100 >= truth);
}

static void the_outcome_is_measured_by_what_was_promised(void **state)
{
	fixture_put(&fixture, "a.log", 64, OLD);
	fixture.request.expect.freed_bytes = 64 * 1024;
	assert_int_equal(fixture_run(&fixture)->outcome, OUTCOME_FIXED);
	fixture_put(&fixture, "a.log", 64, OLD);
	fixture.request.expect.freed_bytes = 128 * 1024;
	assert_int_equal(fixture_run(&fixture)->outcome, OUTCOME_IMPROVED);
	assert_int_equal(fixture.result.observed.freed_bytes, 64 * 1024);
	assert_int_equal(fixture_run(&fixture)->outcome, OUTCOME_NO_EFFECT);
	assert_true(fixture.result.why[0]);
}

static void is_armed_here(void **state)
{
	fixture.request.verb = REMEDY_VERB_CHECK;
	fixture_run(&fixture);
	assert_true(fixture.result.armed);
}

static int end(void **state)
{
	fixture_unmount(&fixture);
	return 0;
}

#define TEST(name_) cmocka_unit_test_setup(name_, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(deletes_what_matches_and_nothing_else), TEST(oldest_first_up_to_max_bytes), TEST(no_more_than_max_files), TEST(no_deeper_than_max_depth),
		TEST(takes_several_rounds), TEST(the_newest_of_each_directory_stay), TEST(the_young_stay_by_either_time), TEST(what_is_in_use_stays),
		TEST(a_locked_directory_is_left_alone), TEST(what_would_bring_nothing_stays), TEST(what_is_no_file_stays), TEST(the_filesystems_own_names_stay),
		TEST(nothing_outside_is_reached), TEST(a_directory_that_others_may_write_is_left_alone), TEST(what_an_interrupted_one_left_is_ended),
		TEST(deletes_as_the_owner), TEST(has_its_powers_back_afterwards),
		TEST(refuses_protected_roots), TEST(refuses_a_protected_root_under_another_name), TEST(refuses_a_whole_filesystem_that_it_is_not_about),
		TEST(refuses_another_filesystem_than_the_full_one), TEST(refuses_filesystems_that_cannot_tell), TEST(refuses_a_way_that_others_may_change),
		TEST(refuses_a_root_that_others_may_write), TEST(refuses_a_link_on_the_way), TEST(a_past_deadline_begins_nothing), TEST(the_kill_switch_stops_it),
		TEST(the_kill_switch_is_read_before_each_file), TEST(a_plan_touches_nothing_and_comes_true), TEST(a_long_plan_is_cut_and_counted),
		TEST(freed_bytes_are_those_that_statvfs_shows), TEST(the_outcome_is_measured_by_what_was_promised), TEST(is_armed_here),
	};
	if (fixture_mount(&fixture) < 0) {
		printf("SKIP clean-files: not root, or no loop device to mount\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, end);
}
