/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are deleted and held open by the test itself, on an ext4 of its own. */
#include "volume.h"

#include <signal.h>

#include "collect/deleted_procfs.h"

enum { HELD = 64 * MIB, IMAGE = 128 * MIB };

static int setup(void **state)
{
	struct volume *volume = volume_new("ext4", IMAGE);

	volume->harness->snap.filesystems.count = 1;
	volume->harness->snap.filesystems.each[0].dev = volume->dev;
	*state = volume;
	return 0;
}

static int teardown(void **state)
{
	volume_free(*state);
	return 0;
}

/* There is a look every ten seconds: the clock of the snapshot is ours. */
static const struct deleted_section *look(struct volume *volume)
{
	struct harness *harness = volume->harness;

	harness->snap.boot_ns += 11 * NSEC_PER_SEC;
	assert_int_equal(collector_deleted.collect(harness->state[COLLECTOR_DELETED], &harness->snap, true,
						   &harness->status[COLLECTOR_DELETED]), 0);
	assert_int_equal(harness->status[COLLECTOR_DELETED].events_lost, 0);
	return &harness->snap.deleted;
}

static const struct deleted_holder *find_holder(const struct deleted_section *section, uint32_t dev, pid_t pid)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == dev && section->each[i].pid == pid)
			return &section->each[i];
	return NULL;
}

/* What it takes, by the file's own account: the blocks that map it count, too. */
static uint64_t blocks_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return (uint64_t)status.st_blocks * 512;
}

static int make_unnamed(void)
{
	int fd = open("held", O_RDWR | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, HELD), 0);
	assert_int_equal(unlink("held"), 0);
	return fd;
}

static void held_space_is_seen_and_goes(void **state)
{
	struct volume *volume = *state;
	const struct deleted_section *section;

	harness_open(volume->harness, &collector_deleted);
	section = look(volume);
	assert_int_equal(section->filesystem_count, 1);
	assert_int_equal(section->filesystems[0].bytes, 0);

	int fd = make_unnamed(), again = dup(fd), named = open("named", O_RDWR | O_CREAT, 0600);
	uint64_t bytes = blocks_of(fd);
	assert_true(bytes >= HELD);
	assert_int_equal(fallocate(named, 0, 0, MIB), 0);
	section = look(volume);
	assert_int_equal(section->filesystems[0].dev, volume->dev);
	assert_int_equal(section->filesystems[0].bytes, bytes);
	assert_int_equal(section->filesystems[0].files, 1);
	const struct deleted_holder *holder = find_holder(section, volume->dev, getpid());
	assert_non_null(holder);
	assert_int_equal(holder->bytes, bytes); /* by two descriptors, once */
	assert_int_equal(holder->files, 1);
	assert_string_equal(holder->comm, "test_deleted");
	assert_true(section->looked_ns);

	close(fd);
	assert_int_equal(look(volume)->filesystems[0].bytes, bytes); /* the other one still holds it */
	close(again);
	section = look(volume);
	assert_int_equal(section->filesystems[0].bytes, 0);
	assert_null(find_holder(section, volume->dev, getpid()));
	close(named);
	harness_close(volume->harness, &collector_deleted);
}

/* Two processes hold one file: each is named with all of it, and it is in the total once. */
static void two_holders_count_once_in_the_total(void **state)
{
	struct volume *volume = *state;
	int fd = make_unnamed();
	uint64_t bytes = blocks_of(fd);
	pid_t pid = fork();

	if (!pid)
		for (;;)
			pause();
	harness_open(volume->harness, &collector_deleted);
	const struct deleted_section *section = look(volume);
	const struct deleted_holder *child = find_holder(section, volume->dev, pid), *parent = find_holder(section, volume->dev, getpid());
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	assert_true(child && parent);
	assert_int_equal(child->bytes, bytes);
	assert_int_equal(parent->bytes, bytes);
	assert_int_equal(section->filesystems[0].bytes, bytes);
	assert_null(find_holder(look(volume), volume->dev, pid));
	close(fd);
	harness_close(volume->harness, &collector_deleted);
}

struct found {
	uint32_t dev, count;
	struct deleted_record last;
};

static void take(const struct deleted_record *record, void *found_)
{
	struct found *found = found_;

	if (record->dev != found->dev || record->pid != getpid())
		return;
	found->count++;
	found->last = *record;
}

/* The rung below finds the same. */
static void procfs_finds_the_same(void **state)
{
	struct volume *volume = *state;
	struct found found = { .dev = volume->dev };
	struct stat status;
	int fd = make_unnamed(), odd = open("odd (deleted)", O_RDWR | O_CREAT, 0600);

	assert_int_equal(fallocate(odd, 0, 0, MIB), 0); /* not deleted, whatever its name says */
	(void)deleted_procfs_look(volume->harness->env.proc_fd, take, &found);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.last.bytes, blocks_of(fd));
	assert_int_equal(found.last.ino, status.st_ino);
	assert_string_equal(found.last.comm, "test_deleted");
	close(fd);
	close(odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(held_space_is_seen_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(two_holders_count_once_in_the_total, setup, teardown),
		cmocka_unit_test_setup_teardown(procfs_finds_the_same, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
