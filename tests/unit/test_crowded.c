/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes that run short: who has them is in the plan of clean-files, wherever on the filesystem that is; and what it cleans brings inodes and not bytes. */
#include "disk_fixture.h"

#include "remedies/crowded.h"

enum { INODES = 512 };
static struct clean_fixture fixture;
static char few[PATH_LEN];             /* a filesystem with few inodes, below the test's own */

static int reset(void **state)
{
	char image[PATH_LEN];
	disk_reset(&fixture, REMEDY_CLEAN_FILES);
	snprintf(few, sizeof(few), "%.60s/app/few", fixture.dir);
	snprintf(image, sizeof(image), "%.60s/app/few.img", fixture.dir);
	fixture_make_dirs(few, 0755);
	int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	close(fd);
	assert_int_equal(fixture_spawn((const char *const[]){ "mkfs.ext4", "-q", "-F", "-N", "512", image, NULL }), 0);
	if (fixture_spawn((const char *const[]){ "mount", "-o", "loop", image, few, NULL }) != 0)
		return -1;
	snprintf(fixture.root, sizeof(fixture.root), "%s", few);
	fixture_put(&fixture, "spool/.keep", 0, OLD);

	struct stat found;
	assert_int_equal(stat(few, &found), 0);
	struct remedy_request *request = &fixture.request;
	request->target.dev = major(found.st_dev) << 20 | minor(found.st_dev);
	snprintf(request->target.name, PATH_LEN, "%s", few);
	struct clean_files_args *args = &request->args.clean_files;
	snprintf(args->root, PATH_LEN, "%.240s/sessions", few);
	fixture_put(&fixture, "sessions/.keep", 0, OLD);
	snprintf(args->match[0], NAME_LEN, "sess_*");
	args->match_count = 1;
	args->max_bytes = 1ULL << 40;
	args->max_files = 1000;
	args->max_depth = 2;
	return 0;
}

static int unmount(void **state)
{
	return umount2(few, MNT_DETACH);
}

static void put_many(const char *directory, int count)
{
	char name[64];
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s/sess_%d", directory, i);
		fixture_put(&fixture, name, 0, OLD);
	}
}

static uint64_t free_inodes(void)
{
	struct statvfs now;
	assert_int_equal(statvfs(few, &now), 0);
	return now.f_ffree;
}

static void the_plan_says_who_has_the_inodes(void **state)
{
	fixture.request.verb = REMEDY_VERB_PLAN;
	put_many("spool", 20);
	fixture_run(&fixture);
	assert_int_equal(fixture.result.plan_count, 0); /* there are enough of them: nobody asks */
	put_many("spool", 300);
	put_many("sessions", 130);
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NONE);
	char first[PLAN_LINE_LEN], second[PLAN_LINE_LEN];
	snprintf(first, sizeof(first), "most files: 301 in %.100s/spool", few);
	snprintf(second, sizeof(second), "most files: 131 in %.100s/sessions", few);
	assert_string_equal(fixture.result.plan[0], first);
	assert_string_equal(fixture.result.plan[1], second);
	assert_non_null(strstr(disk_detail(&fixture, "inodes"), "of the inodes are used"));
	assert_int_equal(fixture.result.plan_count, 2); /* what is there has no blocks, and may not go */
}

static void inodes_come_back_where_the_policy_says_so(void **state)
{
	put_many("sessions", 420);
	uint64_t before = free_inodes();
	fixture.request.expect.freed_files = 400;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_NO_EFFECT);
	assert_int_equal(free_inodes(), before);
	fixture.request.args.clean_files.empty = true;
	fixture.request.args.clean_files.keep_newest = 10;
	fixture_run(&fixture);
	disk_is(&fixture, OUTCOME_FIXED);
	assert_int_equal(fixture.result.observed.freed_files, 410);
	assert_int_equal(free_inodes() - before, 410);
	assert_int_equal(fixture.result.observed.freed_bytes, 0);
}

static void the_walk_stays_on_its_filesystem_and_in_its_time(void **state)
{
	char path[PATH_LEN * 2], outside[PATH_LEN];
	struct crowding crowding;
	struct stat before, after;
	put_many("spool", 50);
	snprintf(outside, sizeof(outside), "%.60s/app/outside", fixture.dir);
	fixture_make_dirs(outside, 0755);
	assert_int_equal(symlink(outside, fixture_path(&fixture, "link", path)), 0);
	assert_int_equal(mkdir(fixture_path(&fixture, "mounted", path), 0755), 0);
	assert_int_equal(mount(outside, path, NULL, MS_BIND, NULL), 0);
	for (int i = 0; i < 100; i++) {
		char name[64];
		snprintf(name, sizeof(name), "mounted/%d", i);
		fixture_put(&fixture, name, 0, OLD);
	}
	fixture_path(&fixture, "spool", path);
	assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){ { .tv_sec = 1000 }, { .tv_sec = 2000 } }, 0), 0);
	assert_int_equal(stat(path, &before), 0);
	int fd = open(few, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(crowded_find(fd, clock_boot_ns() + 10 * NSEC_PER_SEC, &crowding), 0);
	assert_true(crowding.complete);
	assert_string_equal(crowding.top[0].path, "spool");
	assert_int_equal(crowding.top[0].files, 51);
	for (uint32_t i = 1; i < crowding.count; i++)
		assert_true(crowding.top[i].files <= crowding.top[i - 1].files && crowding.top[i].files < 51);
	assert_int_equal(stat(path, &after), 0);
	assert_memory_equal(&before.st_atim, &after.st_atim, sizeof(before.st_atim));
	assert_int_equal(crowded_find(fd, 1, &crowding), 0);
	assert_false(crowding.complete);
	close(fd);
	assert_int_equal(umount2(fixture_path(&fixture, "mounted", path), MNT_DETACH), 0);
}

static int end(void **state)
{
	fixture_unmount(&fixture);
	return 0;
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, reset, unmount)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_plan_says_who_has_the_inodes), TEST(inodes_come_back_where_the_policy_says_so), TEST(the_walk_stays_on_its_filesystem_and_in_its_time),
	};
	if (fixture_mount(&fixture) < 0) {
		printf("SKIP crowding: not root, or no loop device to mount\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, end);
}
