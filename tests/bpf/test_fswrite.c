/* SPDX-License-Identifier: Apache-2.0 */
/* The fswrite collector against bytes the test puts on an ext4 of its own, in each of the ways there are. */
#include "collect/bpf.h"
#include "volume.h"

#include <sys/mman.h>

enum { SIZE = 5 * MIB, IMAGE = 64 * MIB, WRITERS_IN_KERNEL = 4096, FILES_QUIET_TICKS = 62 };

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

static const struct writer *find(const struct volume *volume, pid_t pid)
{
	const struct writer_section *section = &volume->harness->snap.writers;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].pid == pid && section->each[i].dev == volume->dev)
			return &section->each[i];
	return NULL;
}

static uint64_t total_of(const struct volume *volume, pid_t pid)
{
	const struct writer *writer = find(volume, pid);
	return writer ? writer->bytes_total : 0;
}

static void write_pages(int fd)
{
	char *bytes = malloc(SIZE);

	memset(bytes, 1, SIZE);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	free(bytes);
}

static void write_mapped(int fd)
{
	assert_int_equal(ftruncate(fd, SIZE), 0);
	char *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(bytes != MAP_FAILED);
	memset(bytes, 1, SIZE);
	munmap(bytes, SIZE);
}

static void write_fallocate(int fd)
{
	assert_int_equal(fallocate(fd, 0, 0, SIZE), 0);
}

static void write_direct(int fd)
{
	void *bytes = aligned_alloc(4096, SIZE);

	assert_non_null(bytes);
	memset(bytes, 1, SIZE);
	assert_int_equal(fcntl(fd, F_SETFL, O_DIRECT), 0);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	free(bytes);
}

/* A directory's block and an inode's may come with it: a few pages of slack, never less than what was written. */
static void expect_attributed(struct volume *volume, void (*how)(int fd))
{
	struct harness *harness = volume->harness;

	harness_tick(harness, &collector_fswrite);
	uint64_t before = total_of(volume, getpid()), total = harness->snap.filesystems.each[0].dirtied_total;
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	how(fd);
	close(fd);
	harness_tick(harness, &collector_fswrite);

	const struct writer *writer = find(volume, getpid());
	assert_non_null(writer);
	assert_in_range(writer->bytes_total - before, SIZE, SIZE + SIZE / 100);
	assert_in_range(writer->bytes_delta, SIZE, SIZE + SIZE / 100);
	assert_true(writer->bytes_recent >= SIZE);
	assert_string_equal(writer->comm, "test_fswrite");
	assert_true(harness->snap.filesystems.each[0].dirtied_total - total >= SIZE);
	assert_int_equal(harness->status[COLLECTOR_FSWRITE].events_lost, 0);
}

static void every_way_is_attributed(struct volume *volume)
{
	void (*const ways[])(int fd) = { write_pages, write_mapped, write_fallocate };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		expect_attributed(volume, ways[i]);
	if (volume->harness->status[COLLECTOR_FSWRITE].state == COLLECTOR_UP)
		expect_attributed(volume, write_direct);
	/* Ranked first on its own filesystem. */
	const struct writer_section *section = &volume->harness->snap.writers;
	for (uint32_t i = 1; i < section->count; i++)
		assert_true(section->each[i - 1].bytes_recent >= section->each[i].bytes_recent);
}

static void alone_every_write_is_attributed(void **state)
{
	struct volume *volume = *state;

	harness_open(volume->harness, &collector_fswrite);
	every_way_is_attributed(volume);
	harness_close(volume->harness, &collector_fswrite);
}

static void beside_syscall_every_write_is_attributed(void **state)
{
	struct volume *volume = *state;

	volume->harness->config.collectors[COLLECTOR_FSWRITE] = true;
	harness_open(volume->harness, &collector_syscall);
	harness_open(volume->harness, &collector_fswrite);
	every_way_is_attributed(volume);
	harness_close(volume->harness, &collector_syscall); /* in either order */
	harness_close(volume->harness, &collector_fswrite);
}

static pid_t write_in_child(size_t size)
{
	pid_t pid = fork();

	if (!pid) {
		int fd = open("child", O_RDWR | O_CREAT | O_TRUNC, 0600);
		char *bytes = calloc(1, size);
		_exit(write(fd, bytes, size) == (ssize_t)size ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return pid;
}

/* Named though it was dead before anybody looked; its row in the kernel is given up, its bytes are not forgotten. */
static void the_dead_are_named_and_pruned(void **state)
{
	struct volume *volume = *state;

	harness_open(volume->harness, &collector_fswrite);
	pid_t pid = write_in_child(SIZE);
	harness_tick(volume->harness, &collector_fswrite);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);
	harness_tick(volume->harness, &collector_fswrite);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);

	pid_t next = write_in_child(SIZE);
	harness_tick(volume->harness, &collector_fswrite);
	assert_in_range(total_of(volume, next), SIZE, SIZE + SIZE / 100);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);
	harness_close(volume->harness, &collector_fswrite);
}

/* More writers in one tick than there are rows: the rest has no name, which is counted, and is still in the total. */
static void what_has_no_room_is_counted(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;
	enum { EACH = 4096, WRITERS = WRITERS_IN_KERNEL + 200 };

	harness_many(WRITERS);
	harness_open(harness, &collector_fswrite);
	harness_tick(harness, &collector_fswrite);
	uint64_t total = harness->snap.filesystems.each[0].dirtied_total;
	for (int i = 0; i < WRITERS; i++)
		(void)write_in_child(EACH);
	harness_tick(harness, &collector_fswrite);
	assert_true(harness->status[COLLECTOR_FSWRITE].events_lost >= 200);
	assert_true(harness->snap.filesystems.each[0].dirtied_total - total >= (uint64_t)WRITERS * EACH);
	assert_int_equal(harness->snap.writers.count, MAX_WRITERS);

	/* All of them are dead: two ticks later there is room again. */
	harness_tick(harness, &collector_fswrite);
	pid_t pid = write_in_child(SIZE);
	harness_tick(harness, &collector_fswrite);
	assert_in_range(total_of(volume, pid), SIZE, SIZE + SIZE / 100);
	harness_close(harness, &collector_fswrite);
}

/* --- growth ----------------------------------------------------------------------------------------------------------- */

/* A write's growth shows with the next one, or when the file is written back. */
static void settle(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	assert_int_equal(syncfs(fd), 0);
	close(fd);
}

static const struct grown_file *find_grown(const struct volume *volume, const char *path)
{
	const struct growth_section *section = &volume->harness->snap.growth;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == volume->dev && !strcmp(section->each[i].path, path))
			return &section->each[i];
	return NULL;
}

static const struct grown_file *expect_grown(const struct volume *volume, const char *path)
{
	const struct grown_file *file = find_grown(volume, path);

	if (!file)
		fail_msg("%s is not among the %u files that grew", path, volume->harness->snap.growth.count);
	return file;
}

static uint64_t grown_all(const struct volume *volume)
{
	const struct growth_section *section = &volume->harness->snap.growth;

	for (uint32_t i = 0; i < section->filesystem_count; i++)
		if (section->filesystems[i].dev == volume->dev)
			return section->filesystems[i].grown_total;
	return 0;
}

static void append(const char *path, size_t size, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | flags, 0600);
	char *bytes = aligned_alloc(4096, size);

	assert_true(fd >= 0 && bytes);
	memset(bytes, 1, size);
	assert_int_equal(write(fd, bytes, size), size);
	free(bytes);
	close(fd);
}

static void append_and_exit(void *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	char bytes[4096] = { 1 };

	for (int i = 0; i < SIZE / 4096; i++)
		if (write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
			_exit(1);
}

/* By the very bytes, with its path, for the one who did it, though that one is gone; and an overwrite is no growth. */
static void a_growing_file_is_named(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;

	assert_int_equal(mkdir("logs", 0755) | mkdir("logs/app", 0755), 0);
	harness_open(harness, &collector_fswrite);
	pid_t pid = in_child(NULL, append_and_exit, "logs/app/grow.log");
	append("small.log", 3 * 4096 + 17, 0);
	settle();
	harness_tick(harness, &collector_fswrite);

	const struct grown_file *file = expect_grown(volume, "/logs/app/grow.log"), *small = expect_grown(volume, "/small.log");
	assert_int_equal(file->grown_total, SIZE);
	assert_int_equal(file->grown_delta, SIZE);
	assert_int_equal(file->pid, pid);
	assert_string_equal(file->comm, "test_fswrite");
	assert_int_equal(small->grown_total, 3 * 4096 + 17);
	assert_true(file < small);
	assert_int_equal(grown_all(volume), SIZE + 3 * 4096 + 17);

	int fd = open("logs/app/grow.log", O_RDWR);
	write_pages(fd);
	close(fd);
	append("small.log", 4096, 0); /* into what was there before, and beyond */
	append("small.log", 100, 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	assert_int_equal(expect_grown(volume, "/logs/app/grow.log")->grown_delta, 0);
	assert_int_equal(expect_grown(volume, "/small.log")->grown_delta, 4196);
	assert_int_equal(grown_all(volume), SIZE + 4 * 4096 + 117);
	assert_int_equal(harness->status[COLLECTOR_FSWRITE].events_lost, 0);
	harness_close(harness, &collector_fswrite);
}

/* Deeper than we look: its end, marked as such. */
static void a_deep_path_says_that_it_is_cut(void **state)
{
	struct volume *volume = *state;

	assert_int_equal(mkdir("a", 0755) | mkdir("a/b", 0755) | mkdir("a/b/c", 0755) | mkdir("a/b/c/d", 0755) | mkdir("a/b/c/d/e", 0755), 0);
	harness_open(volume->harness, &collector_fswrite);
	append("a/b/c/d/e/f", 8192, 0);
	settle();
	harness_tick(volume->harness, &collector_fswrite);
	assert_int_equal(expect_grown(volume, "…/b/c/d/e/f")->grown_total, 8192);
	harness_close(volume->harness, &collector_fswrite);
}

static uint32_t kernel_files_of(uint32_t dev)
{
	struct file_key key, next;
	uint32_t count = 0;
	int fd = object_shared_map("files");

	for (bool first = true; !bpf_map_get_next_key(fd, first ? NULL : &key, &next); first = false) {
		count += next.dev == dev;
		key = next;
	}
	return count;
}

/* A file that stands still gives up its row and its name, not its bytes; and begins anew from the size that it has. */
static void silent_files_are_pruned(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;

	harness_open(harness, &collector_fswrite);
	append("old.log", SIZE, 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	assert_true(kernel_files_of(volume->dev) >= 1);
	for (int i = 0; i < FILES_QUIET_TICKS; i++)
		harness_tick(harness, &collector_fswrite);
	assert_int_equal(kernel_files_of(volume->dev), 0);
	assert_null(find_grown(volume, "/old.log"));
	assert_int_equal(grown_all(volume), SIZE);

	append("old.log", 4096, 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	assert_int_equal(expect_grown(volume, "/old.log")->grown_total, 4096);
	assert_int_equal(grown_all(volume), SIZE + 4096);
	harness_close(harness, &collector_fswrite);
}

/* Switched off nothing is told; switched on again, counters go on where they were. */
static void off_and_on_again_nothing_jumps(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;

	harness_open(harness, &collector_fswrite);
	append("file", SIZE, 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	uint64_t total = harness->snap.filesystems.each[0].dirtied_total, measured = harness->snap.writers.measured_ns;

	assert_int_equal(collector_fswrite.set_depth(harness->state[COLLECTOR_FSWRITE], DEPTH_OFF), 0);
	append("unseen", SIZE, 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	assert_int_equal(harness->snap.writers.measured_ns, measured);

	assert_int_equal(collector_fswrite.set_depth(harness->state[COLLECTOR_FSWRITE], DEPTH_COUNTS), 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	assert_in_range(harness->snap.filesystems.each[0].dirtied_total, total, total + SIZE - 1);
	append("seen", SIZE, 0);
	settle();
	harness_tick(harness, &collector_fswrite);
	assert_true(harness->snap.filesystems.each[0].dirtied_total >= total + SIZE);
	assert_null(find_grown(volume, "/unseen"));
	assert_int_equal(expect_grown(volume, "/seen")->grown_total, SIZE);
	harness_close(harness, &collector_fswrite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(alone_every_write_is_attributed, setup, teardown),
		cmocka_unit_test_setup_teardown(beside_syscall_every_write_is_attributed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_dead_are_named_and_pruned, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_room_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_growing_file_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deep_path_says_that_it_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(silent_files_are_pruned, setup, teardown),
		cmocka_unit_test_setup_teardown(off_and_on_again_nothing_jumps, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
