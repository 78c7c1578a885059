/* SPDX-License-Identifier: Apache-2.0 */
/* release-ballast: made where there is room, given back in one call with exactly its blocks, made again later, and never another's file. */
#include "disk_fixture.h"

static struct clean_fixture fixture;
enum { SIZE = 16 * MIB, HEADER = 4096 };

static struct release_ballast_args *args(void)
{
	return &fixture.request.args.release_ballast;
}

static int reset(void **state)
{
	disk_reset(&fixture, REMEDY_RELEASE_BALLAST);
	snprintf(args()->path, PATH_LEN, "%.200s/ballast", fixture.root);
	args()->size = SIZE;
	args()->remake_below = 70;
	args()->remake_after_ns = 3600 * NSEC_PER_SEC;
	return 0;
}

static void run(enum remedy_verb verb)
{
	fixture.request.verb = verb;
	fixture_run(&fixture);
}

static void make(void)
{
	run(REMEDY_VERB_PREPARE);
	disk_is(&fixture, OUTCOME_FIXED);
}

static uint64_t blocks(void)
{
	struct stat found;
	assert_int_equal(stat(args()->path, &found), 0);
	return (uint64_t)found.st_blocks * 512;
}

static void age(int seconds)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };
	assert_int_equal(utimensat(AT_FDCWD, args()->path, times, 0), 0);
}

static void it_holds_real_blocks_and_gives_them_back(void **state)
{
	uint64_t empty = disk_free(&fixture);
	make();
	assert_int_equal(blocks(), SIZE + HEADER);
	assert_true(empty - disk_free(&fixture) >= SIZE);
	run(REMEDY_VERB_PREPARE);
	disk_is(&fixture, OUTCOME_NONE); /* it is whole */

	uint64_t before = disk_free(&fixture);
	run(REMEDY_VERB_APPLY);
	disk_is(&fixture, OUTCOME_FIXED);
	disk_says_truth(&fixture, before);
	assert_int_equal(fixture.result.observed.freed_bytes, SIZE);
	assert_int_equal(blocks(), HEADER);
	disk_refused(&fixture, "no-ballast");
}

/* The case that it is for: nobody else could write any more. */
static void on_a_full_filesystem_too(void **state)
{
	char path[PATH_LEN * 2];
	make();
	int fd = open(fixture_path(&fixture, "filler", path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	struct statvfs now;
	assert_int_equal(fstatvfs(fd, &now), 0);
	(void)fallocate(fd, 0, 0, (off_t)(now.f_bfree * now.f_frsize));
	char block[4096] = "x";
	while (write(fd, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	run(REMEDY_VERB_APPLY);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
}

static void made_again_only_after_its_time_and_where_there_is_room(void **state)
{
	make();
	run(REMEDY_VERB_APPLY);
	run(REMEDY_VERB_PREPARE);
	disk_is(&fixture, OUTCOME_REFUSED);
	assert_string_equal(fixture.result.refused_by, "waiting");
	assert_int_equal(blocks(), HEADER);

	age(2 * 3600);
	args()->remake_below = 5;
	disk_refused(&fixture, "no-room");
	args()->remake_below = 70;
	disk_refused(&fixture, "waiting"); /* that there was no room counts as the last time */
	age(2 * 3600);
	run(REMEDY_VERB_PREPARE);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(blocks(), SIZE + HEADER);
}

static void a_larger_one_grows(void **state)
{
	make();
	args()->size = 2 * SIZE;
	age(2 * 3600);
	run(REMEDY_VERB_PREPARE);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(blocks(), 2 * SIZE + HEADER);
}

static void no_file_of_anybody_else_is_shortened(void **state)
{
	static const enum remedy_verb verbs[] = { REMEDY_VERB_PLAN, REMEDY_VERB_APPLY, REMEDY_VERB_PREPARE };
	char path[PATH_LEN * 2], twin[PATH_LEN * 2];
	fixture_put(&fixture, "ballast", 2048, OLD);
	assert_int_equal(chmod(args()->path, 0600), 0);
	for (size_t i = 0; i < 3; i++) {
		fixture.request.verb = verbs[i];
		disk_refused(&fixture, "not-ballast");
	}
	assert_int_equal(blocks(), 2 * MIB);
	assert_int_equal(unlink(args()->path), 0);
	make();
	fixture.request.verb = REMEDY_VERB_APPLY;
	assert_int_equal(link(args()->path, fixture_path(&fixture, "twin", twin)), 0);
	disk_refused(&fixture, "not-ballast");
	assert_int_equal(unlink(twin), 0);
	assert_int_equal(rename(args()->path, twin), 0);
	assert_int_equal(symlink(twin, args()->path), 0);
	disk_refused(&fixture, "unsafe-path");
	assert_int_equal(rename(twin, args()->path), 0);
	assert_int_equal(chown(fixture.root, 12001, 12001), 0);
	disk_refused(&fixture, "unsafe-path");
	fixture.request.verb = REMEDY_VERB_PREPARE;
	disk_refused(&fixture, "unsafe-path");
	assert_int_equal(chown(fixture.root, 0, 0), 0);
	assert_int_equal(chown(fixture_path(&fixture, "ballast", path), 12001, 12001), 0);
	disk_refused(&fixture, "unsafe-path");
	assert_int_equal(blocks(), SIZE + HEADER);
}

static void where_blocks_are_only_promised_it_is_not_made(void **state)
{
	char path[PATH_LEN * 2];
	assert_int_equal(mkdir(fixture_path(&fixture, "memory", path), 0755), 0);
	assert_int_equal(mount("memory", path, "tmpfs", 0, "mode=755"), 0);
	snprintf(args()->path, PATH_LEN, "%.240s/ballast", path);
	fixture.request.verb = REMEDY_VERB_PREPARE;
	fixture_run(&fixture);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
	disk_is(&fixture, OUTCOME_REFUSED);
	assert_string_equal(fixture.result.refused_by, "filesystem-kind");
}

static void a_plan_the_kill_switch_and_another_filesystem(void **state)
{
	make();
	run(REMEDY_VERB_PLAN);
	disk_is(&fixture, OUTCOME_NONE);
	assert_int_equal(fixture.result.expected.freed_bytes, SIZE);
	fixture.request.verb = REMEDY_VERB_APPLY;
	fixture.request.target.dev++;
	disk_refused(&fixture, "other-filesystem");
	fixture.request.target.dev--;
	snprintf(fixture.request.kill_switch, PATH_LEN, "%s", fixture.dir);
	disk_refused(&fixture, "kill-switch");
	assert_int_equal(unlink(args()->path), 0);
	fixture.request.verb = REMEDY_VERB_PREPARE;
	disk_refused(&fixture, "kill-switch");
	assert_true(access(args()->path, F_OK) < 0);
}

static void xfs_holds_and_gives_back_too(void **state)
{
	char image[PATH_LEN * 2], at[PATH_LEN * 2];
	fixture_path(&fixture, "xfs", at);
	snprintf(image, sizeof(image), "/var/tmp/nodemend-ballast-%d.img", (int)getpid());
	assert_int_equal(mkdir(at, 0755), 0);
	int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 320 * MIB), 0);
	close(fd);
	bool mounted = fixture_spawn((const char *const[]){ "mkfs.xfs", "-q", image, NULL }) == 0 &&
		       fixture_spawn((const char *const[]){ "mount", "-o", "loop", image, at, NULL }) == 0;
	unlink(image);
	if (!mounted) {
		print_message("SKIP release-ballast on xfs: it cannot be mounted here\n");
		skip();
	}
	snprintf(args()->path, PATH_LEN, "%.240s/ballast", at);
	fixture.request.target.type = TARGET_NODE;
	make();
	run(REMEDY_VERB_APPLY);
	uint64_t freed = fixture.result.observed.freed_bytes;
	enum outcome outcome = fixture.result.outcome;
	assert_int_equal(umount2(at, MNT_DETACH), 0);
	assert_int_equal(outcome, OUTCOME_FIXED);
	assert_int_equal(freed, SIZE);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const char *const paths[] = { "", "/", "relative", "/etc/ballast", "/proc/x", "/data/../etc/x" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(args()->path, PATH_LEN, "%s", paths[i]);
		disk_refused(&fixture, "invalid-request");
	}
	reset(NULL);
	args()->size = 1;
	disk_refused(&fixture, "invalid-request");
	reset(NULL);
	args()->remake_below = 100;
	disk_refused(&fixture, "invalid-request");
	reset(NULL);
	fixture.request.remedy = REMEDY_TERMINATE; /* nothing is made ready for it */
	fixture.request.verb = REMEDY_VERB_PREPARE;
	memset(&fixture.request.args, 0, sizeof(fixture.request.args));
	disk_refused(&fixture, "invalid-request");
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
		TEST(it_holds_real_blocks_and_gives_them_back), TEST(on_a_full_filesystem_too), TEST(made_again_only_after_its_time_and_where_there_is_room),
		TEST(a_larger_one_grows), TEST(no_file_of_anybody_else_is_shortened), TEST(where_blocks_are_only_promised_it_is_not_made),
		TEST(a_plan_the_kill_switch_and_another_filesystem), TEST(xfs_holds_and_gives_back_too), TEST(what_makes_no_sense_is_refused),
	};
	if (fixture_mount(&fixture) < 0) {
		printf("SKIP release-ballast: not root, or no loop device to mount\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, end);
}
