/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clean-files while somebody swaps links, directories, mounts and files under its hands. What lies outside survives, what is open
 * is never deleted, and the remedy goes on cleaning. NODEMEND_ATTACK_ROUNDS sets the rounds of a long campaign.
 */
#include "clean_fixture.h"

#include "attack.h"

enum { USER_A = 12001, VICTIMS = 8, ROUNDS = 400 };

static struct clean_fixture fixture;
static char outside[PATH_LEN], app[PATH_LEN];

/* --- the scene -------------------------------------------------------------------------------------------------------------------- */

static void write_file(int dir_fd, const char *name, uid_t owner)
{
	char text[] = "content that somebody needs";
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	struct timespec times[2] = { { .tv_sec = time(NULL) - OLD }, { .tv_sec = time(NULL) - OLD } };
	assert_int_equal(fchown(fd, owner, owner), 0);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static const char *const sentinels[] = { "sentinel.log", "v0.log", "v1.log", "x.log" };
enum { SENTINELS = sizeof(sentinels) / sizeof(sentinels[0]) };

/* app/outside holds what must survive, under the very names that are cleaned inside. */
static int reset(void **state)
{
	fixture_reset(&fixture);
	snprintf(app, sizeof(app), "%.60s/app", fixture.dir);
	snprintf(outside, sizeof(outside), "%.60s/app/outside", fixture.dir);
	fixture_make_dirs(outside, 0755);
	int fd = open_dir(outside);
	for (size_t i = 0; i < SENTINELS; i++)
		write_file(fd, sentinels[i], 0);
	close(fd);
	return 0;
}

static void check_sentinels(void)
{
	struct stat found;
	int fd = open_dir(outside);
	for (size_t i = 0; i < SENTINELS; i++)
		if (fstatat(fd, sentinels[i], &found, AT_SYMLINK_NOFOLLOW) < 0 || found.st_size == 0)
			fail_msg("%s outside is gone", sentinels[i]);
	close(fd);
}

/* Rounds of: new victims in `dir_fd`, a clean-up, a look at what must be there still. */
static void defend(struct attack *attack, int dir_fd, uid_t owner)
{
	char name[32];
	uint64_t rounds = attack_rounds(ROUNDS), begun = clock_boot_ns(), freed = 0, broken, round = 0;
	for (; attack_goes_on(round, rounds, begun); round++) {
		for (int i = 1; i <= VICTIMS; i++) { /* v0 is the attacker's */
			snprintf(name, sizeof(name), "v%d.log", i);
			write_file(dir_fd, name, owner);
		}
		fixture.request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
		fixture_run(&fixture);
		if (fixture.result.observed.freed_files != UNKNOWN)
			freed += fixture.result.observed.freed_files;
		check_sentinels();
	}
	uint64_t turns = attack_stop(attack, &broken);
	close(dir_fd);
	check_sentinels();
	print_message("%llu rounds, %llu files freed, %llu turns of the attacker\n", (unsigned long long)round, (unsigned long long)freed, (unsigned long long)turns);
	assert_int_equal(broken, 0);
	assert_true(turns > 0);
	assert_true(freed > 0); /* else nothing was put to the test */
}

static int make_dir(const char *name, uid_t owner)
{
	char path[PATH_LEN * 2];
	fixture_make_dirs(fixture_path(&fixture, name, path), 0755);
	assert_int_equal(chown(path, owner, owner), 0);
	return open_dir(path);
}

/* --- attacks ---------------------------------------------------------------------------------------------------------------------- */

/* A file that may go, and under its name a link to one that may not. */
static bool swap_file_and_link(uint64_t count, void *context)
{
	int dir_fd = *(const int *)context;
	(void)unlinkat(dir_fd, "swap", 0);
	if (count % 2) {
		(void)!symlinkat("../../outside/sentinel.log", dir_fd, "swap");
	} else {
		int fd = openat(dir_fd, "swap", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		(void)!write(fd, "x", 1);
		(void)futimens(fd, (struct timespec[2]){ { .tv_sec = 1000 }, { .tv_sec = 1000 } });
		close(fd);
	}
	(void)renameat(dir_fd, "swap", dir_fd, "v0.log");
	return true;
}

static void links_for_files(void **state)
{
	struct attack attack;
	int fd = make_dir("as", USER_A);
	attack_start(&attack, USER_A, swap_file_and_link, &fd);
	defend(&attack, fd, USER_A);
}

static bool exchange(uint64_t count, void *context)
{
	(void)renameat2(*(const int *)context, "d", *(const int *)context, "link", RENAME_EXCHANGE);
	return true;
}

static void links_for_directories(void **state)
{
	struct attack attack;
	int as = make_dir("as", USER_A), d = make_dir("as/d", USER_A);
	assert_int_equal(symlinkat("../../outside", as, "link"), 0);
	assert_int_equal(fchownat(as, "link", USER_A, USER_A, AT_SYMLINK_NOFOLLOW), 0);
	attack_start(&attack, USER_A, exchange, &as);
	defend(&attack, d, USER_A);
	close(as);
}

static bool swap_root(uint64_t count, void *context)
{
	(void)renameat2(*(const int *)context, "logs", *(const int *)context, "link", RENAME_EXCHANGE);
	return true;
}

static void a_link_for_the_root(void **state)
{
	struct attack attack;
	int above = open_dir(app), root = open_dir(fixture.root);
	assert_int_equal(symlinkat("outside", above, "link"), 0);
	attack_start(&attack, 0, swap_root, &above);
	defend(&attack, root, 0);
	close(above);
}

static bool bind_and_unbind(uint64_t count, void *context)
{
	const char *target = context;
	if (mount(outside, target, NULL, MS_BIND, NULL) == 0)
		(void)umount2(target, MNT_DETACH);
	return true;
}

static void mounts_that_come_and_go(void **state)
{
	struct attack attack;
	char target[PATH_LEN * 2];
	int mounted = make_dir("m", 0), d = make_dir("m/d", 0);
	close(mounted);
	fixture_path(&fixture, "m", target);
	attack_start(&attack, 0, bind_and_unbind, target);
	defend(&attack, d, 0);
	(void)umount2(target, MNT_DETACH);
}

/* An open file of the attacker's, under names that are cleaned. */
static bool link_and_unlink(uint64_t count, void *context)
{
	int dir_fd = *(const int *)context;
	struct stat found;
	(void)!linkat(dir_fd, "keep.txt", dir_fd, "v0.log", 0);
	(void)unlinkat(dir_fd, "v0.log", 0);
	return fstatat(dir_fd, "keep.txt", &found, AT_SYMLINK_NOFOLLOW) == 0;
}

static void hard_links_that_come_and_go(void **state)
{
	struct attack attack;
	int as = make_dir("as", USER_A);
	write_file(as, "keep.txt", USER_A);
	attack_start(&attack, USER_A, link_and_unlink, &as);
	defend(&attack, as, USER_A);
}

/*
 * Nobody's enemy: a service that puts new files in the place of old ones, as rotation does, and keeps them open. The new one must
 * still have a name afterwards, whatever was being deleted under it. The newer date keeps no file here: only the inode tells.
 */
static bool rotate(uint64_t count, void *context)
{
	int dir_fd = *(const int *)context;
	struct stat found;
	char name[32];
	snprintf(name, sizeof(name), "v%llu.log", (unsigned long long)(count % VICTIMS));
	int fd = openat(dir_fd, "fresh", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	(void)!write(fd, "new", 3);
	(void)futimens(fd, (struct timespec[2]){ { .tv_sec = 1000 }, { .tv_sec = 1000 } });
	(void)renameat(dir_fd, "fresh", dir_fd, name);
	for (int i = 0; i < 50; i++)
		(void)fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW);
	bool lives = fstat(fd, &found) == 0 && found.st_nlink == 1;
	close(fd);
	return lives;
}

static void rotation_that_replaces_what_is_deleted(void **state)
{
	struct attack attack;
	int d = make_dir("rotated", 0);
	attack_start(&attack, 0, rotate, &d);

	/* Victims of the test would replace the service's own files: it makes its own. */
	uint64_t rounds = attack_rounds(ROUNDS), begun = clock_boot_ns(), freed = 0, broken;
	for (uint64_t round = 0; attack_goes_on(round, rounds, begun); round++) {
		fixture.request.deadline_boot_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
		fixture_run(&fixture);
		freed += fixture.result.observed.freed_files != UNKNOWN ? fixture.result.observed.freed_files : 0;
	}
	uint64_t turns = attack_stop(&attack, &broken);
	print_message("%llu files freed under %llu rotations\n", (unsigned long long)freed, (unsigned long long)turns);
	close(d);
	assert_int_equal(broken, 0);
	assert_true(freed > 0 && turns > 0);
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
		TEST(links_for_files), TEST(links_for_directories), TEST(a_link_for_the_root), TEST(mounts_that_come_and_go), TEST(hard_links_that_come_and_go),
		TEST(rotation_that_replaces_what_is_deleted),
	};
	if (fixture_mount(&fixture) < 0) {
		printf("SKIP attacks on clean-files: not root, or no loop device to mount\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, end);
}
