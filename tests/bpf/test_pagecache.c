/* SPDX-License-Identifier: Apache-2.0 */
/* The page cache against a file of known size: read cold, read again, read by pages, mapped, written; counted for our own cgroup. */
#include "harness.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, FILE_MIB = 16, PIECES = 1000, PAGE = 4096 };

struct scene {
	struct harness *harness;
	char group[64];
	uint64_t id;
};

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	const char *root = cgroup_root();
	struct stat inode;

	assert_non_null(scene);
	snprintf(scene->group, sizeof(scene->group), "%s/test-pagecache-%d", root, getpid());
	assert_int_equal(mkdir(scene->group, 0755), 0);
	assert_int_equal(stat(scene->group, &inode), 0);
	scene->id = inode.st_ino;
	scene->harness = harness_new();
	harness_open(scene->harness, &collector_pagecache);
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	harness_close(scene->harness, &collector_pagecache);
	harness_free(scene->harness);
	rmdir(scene->group);
	free(scene);
	return 0;
}

static void join(const struct scene *scene)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/cgroup.procs", scene->group);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		_exit(2);
	close(fd);
}

/* What a child in the group used while it did `act`. */
static struct pagecache_use use_of(const struct scene *scene, bool (*act)(int fd), int fd)
{
	struct pagecache_section *section = &scene->harness->snap.pagecache;
	struct pagecache_use before = { 0 }, after = { 0 };
	int status;

	harness_tick(scene->harness, &collector_pagecache);
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].id == scene->id)
			before = section->each[i].use;
	pid_t pid = fork();
	if (!pid) {
		join(scene);
		_exit(!act(fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	harness_tick(scene->harness, &collector_pagecache);
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].id == scene->id)
			after = section->each[i].use;
	assert_true(section->node.filled_bytes >= after.filled_bytes && section->node.accessed_bytes >= after.accessed_bytes);
	return (struct pagecache_use){ after.accessed_bytes - before.accessed_bytes, after.filled_bytes - before.filled_bytes };
}

static char buffer[MIB];

static bool write_whole(int fd)
{
	for (int i = 0; i < FILE_MIB; i++)
		if (pwrite(fd, buffer, MIB, (off_t)i * MIB) != MIB)
			return false;
	return true;
}

static bool read_whole(int fd)
{
	for (int i = 0; i < FILE_MIB; i++)
		if (pread(fd, buffer, MIB, (off_t)i * MIB) != MIB)
			return false;
	return true;
}

static bool read_pieces(int fd)
{
	for (int i = 0; i < PIECES; i++)
		if (pread(fd, buffer, 100, (off_t)(i * 7919 % (FILE_MIB * MIB / PAGE)) * PAGE) != 100)
			return false;
	return true;
}

static bool map_whole(int fd)
{
	const volatile char *map = mmap(NULL, FILE_MIB * MIB, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return false;
	for (int at = 0; at < FILE_MIB * MIB; at += PAGE)
		(void)map[at];
	return true;
}

static int new_file(void)
{
	char path[] = "/var/tmp/nodemend-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static uint32_t cached_pages(int fd)
{
	static unsigned char pages[FILE_MIB * MIB / PAGE];
	uint32_t count = 0;
	void *map = mmap(NULL, FILE_MIB * MIB, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(map != MAP_FAILED);
	assert_int_equal(mincore(map, FILE_MIB * MIB, pages), 0);
	munmap(map, FILE_MIB * MIB);
	for (size_t i = 0; i < sizeof(pages); i++)
		count += pages[i] & 1;
	return count;
}

/* The kernel keeps what somebody holds at that moment, if only to write it back: until it has let go of all. */
static void forget(int fd)
{
	for (int tries = 0; tries < 500; tries++) {
		assert_int_equal(fsync(fd), 0);
		assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		if (!cached_pages(fd))
			return;
		(void)poll(NULL, 0, 10);
	}
	fail_msg("%u pages stay in the cache", cached_pages(fd));
}

#define SOME_PAGES (16 * PAGE) /* of 4096 and of 1000: each read in pieces of one page is still told from one of two */

static void a_file_misses_once_and_hits_then(void **state)
{
	const struct scene *scene = *state;
	bool accesses = scene->harness->status[COLLECTOR_PAGECACHE].state == COLLECTOR_UP;
	int fd = new_file();

	struct pagecache_use written = use_of(scene, write_whole, fd);
	assert_int_equal(written.filled_bytes, 0); /* pages made by a write were not missed */
	forget(fd);
	struct pagecache_use cold = use_of(scene, read_whole, fd), warm = use_of(scene, read_whole, fd);
	assert_int_equal(cold.filled_bytes, FILE_MIB * MIB);
	assert_int_equal(warm.filled_bytes, 0);
	struct pagecache_use pieces = use_of(scene, read_pieces, fd), mapped = use_of(scene, map_whole, fd);
	assert_int_equal(pieces.filled_bytes, 0);
	assert_int_equal(mapped.filled_bytes, 0);
	close(fd);

	assert_int_equal(scene->harness->snap.pagecache.tells_accesses, accesses);
	if (!accesses) {
		print_message("SKIP accesses: %s\n", scene->harness->status[COLLECTOR_PAGECACHE].why);
		return;
	}
	/* But for a page or two: our own program's pages count as well when they are first touched, and a kernel that preempts programs misses some. */
	assert_in_range(cold.accessed_bytes, FILE_MIB * MIB - SOME_PAGES, FILE_MIB * MIB + SOME_PAGES);
	assert_in_range(warm.accessed_bytes, FILE_MIB * MIB - SOME_PAGES, FILE_MIB * MIB + SOME_PAGES);
	assert_in_range(pieces.accessed_bytes, PIECES * PAGE - SOME_PAGES, PIECES * PAGE + SOME_PAGES);
	/* A fault maps up to 16 pages (64 KiB) at once; folios that are larger, more. */
	assert_in_range(mapped.accessed_bytes, PAGE, FILE_MIB * MIB);
	assert_in_range(written.accessed_bytes, 0, SOME_PAGES);
}

static void off_counts_nothing_and_loses_nothing(void **state)
{
	const struct scene *scene = *state;
	int fd = new_file();

	assert_true(write_whole(fd));
	forget(fd);
	struct pagecache_use on = use_of(scene, read_whole, fd);
	assert_int_equal(on.filled_bytes, FILE_MIB * MIB);
	assert_int_equal(collector_pagecache.set_depth(scene->harness->state[COLLECTOR_PAGECACHE], DEPTH_OFF), 0);
	uint64_t stamped = scene->harness->snap.pagecache.measured_ns;
	forget(fd);
	struct pagecache_use off = use_of(scene, read_whole, fd);
	assert_int_equal(off.filled_bytes, 0);
	assert_int_equal(scene->harness->snap.pagecache.measured_ns, stamped); /* absent, not zero */

	assert_int_equal(collector_pagecache.set_depth(scene->harness->state[COLLECTOR_PAGECACHE], DEPTH_HISTOGRAMS), 0);
	forget(fd);
	struct pagecache_use again = use_of(scene, read_whole, fd);
	assert_int_equal(again.filled_bytes, FILE_MIB * MIB);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_misses_once_and_hits_then, setup, teardown),
		cmocka_unit_test_setup_teardown(off_counts_nothing_and_loses_nothing, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
