/* SPDX-License-Identifier: Apache-2.0 */
/* The fsop collector against operations that the test does itself, on an ext4, an xfs and a btrfs of its own. */
#include "volume.h"

#include <sys/mman.h>

/* mkfs.xfs refuses less than 300 MiB; the image is sparse. */
enum { IMAGE = 400 * MIB, FSYNCS = 7, FDATASYNCS = 5, RANGES = 4, MSYNCS = 3, UNLINKS = 6, DIRECTS = 9, BLOCK = 4096 };

static int setup(void **state, const char *type)
{
	struct volume *volume = volume_new(type, IMAGE);

	volume->dev = volume_filesystem_dev(volume);
	volume->harness->snap.filesystems.count = 1;
	volume->harness->snap.filesystems.each[0].dev = volume->dev;
	*state = volume;
	return 0;
}

static int setup_ext4(void **state) { return setup(state, "ext4"); }
static int setup_xfs(void **state) { return setup(state, "xfs"); }
static int setup_btrfs(void **state) { return setup(state, "btrfs"); }

static int teardown(void **state)
{
	volume_free(*state);
	return 0;
}

static struct fsop_counts counts_of(const struct volume *volume, enum fsop op)
{
	const struct fsop_section *section = &volume->harness->snap.fsops;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == volume->dev && section->each[i].op == op)
			return section->each[i].counts;
	return (struct fsop_counts){ 0 };
}

static struct fsop_group group_of(const struct volume *volume, uint64_t cgroup_id, enum fsop op)
{
	const struct fsop_group_section *section = &volume->harness->snap.fsop_groups;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].cgroup_id == cgroup_id && section->each[i].op == op)
			return section->each[i];
	return (struct fsop_group){ 0 };
}

static uint64_t buckets_of(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->buckets[i];
	return count;
}

static void tick(struct volume *volume)
{
	harness_tick(volume->harness, &collector_fsop);
	assert_int_equal(volume->harness->status[COLLECTOR_FSOP].events_lost, 0);
}

static void write_block(int fd, int at)
{
	char bytes[BLOCK] = { 1 };

	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), (off_t)at * BLOCK), sizeof(bytes));
}

/* The file is dirty each time, so that there is something to do. What the calls took, as their caller sees it. */
static uint64_t sync_often(int count, int (*sync)(int fd))
{
	int fd = open("file", O_RDWR | O_CREAT, 0600);
	uint64_t took = 0;

	for (int i = 0; i < count; i++) {
		write_block(fd, i);
		uint64_t began = clock_awake_ns();
		assert_int_equal(sync(fd), 0);
		took += clock_awake_ns() - began;
	}
	close(fd);
	return took;
}

static int sync_range(int fd)
{
	return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

static void expect(const struct volume *volume, enum fsop op, uint64_t count, uint64_t took)
{
	struct fsop_counts counts = counts_of(volume, op);

	assert_int_equal(counts.count, count);
	assert_int_equal(counts.errors, 0);
	assert_in_range(counts.total_ns, 1, took);
	assert_int_equal(buckets_of(&counts.latency), count);
	assert_int_equal(counts.latency.sum_ns, counts.total_ns);
}

static void syncs_are_counted(struct volume *volume)
{
	tick(volume);
	uint64_t fsyncs = sync_often(FSYNCS, fsync), fdatasyncs = sync_often(FDATASYNCS, fdatasync), ranges = sync_often(RANGES, sync_range);
	tick(volume);
	expect(volume, FSOP_FSYNC, FSYNCS, fsyncs);
	expect(volume, FSOP_FDATASYNC, FDATASYNCS, fdatasyncs);
	expect(volume, FSOP_SYNC_FILE_RANGE, RANGES, ranges);
}

/* By the system calls, so on whatever filesystem. */
static void syncs_are_counted_by_their_calls(void **state)
{
	struct volume *volume = *state;

	harness_open(volume->harness, &collector_fsop);
	syncs_are_counted(volume);
	int fd = open("file", O_RDWR);
	assert_int_equal(sync_file_range(fd, 0, 0, 0xff), -1);
	assert_int_equal(fsync(-1), -1); /* of no filesystem */
	close(fd);
	tick(volume);
	assert_int_equal(counts_of(volume, FSOP_SYNC_FILE_RANGE).count, RANGES + 1);
	assert_int_equal(counts_of(volume, FSOP_SYNC_FILE_RANGE).errors, 1);
	assert_int_equal(counts_of(volume, FSOP_FSYNC).count, FSYNCS);
	harness_close(volume->harness, &collector_fsop);
}

/* Nothing is hooked twice: where the syscall collector runs, it watches for us. */
static void beside_syscall_its_hooks_serve(void **state)
{
	struct volume *volume = *state;

	volume->harness->config.collectors[COLLECTOR_FSOP] = true;
	harness_open(volume->harness, &collector_syscall);
	harness_needs(volume->harness, &collector_syscall, "tp_btf");
	harness_open(volume->harness, &collector_fsop);
	assert_non_null(strstr(volume->harness->status[COLLECTOR_FSOP].source, ", fsync by syscall"));
	syncs_are_counted(volume);
	harness_close(volume->harness, &collector_fsop);
	harness_close(volume->harness, &collector_syscall);
}

static void sync_memory(void *arg)
{
	int fd = open("mapped", O_RDWR | O_CREAT, 0600);

	write_block(fd, 0);
	char *bytes = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < MSYNCS; i++) {
		bytes[i] = 9;
		if (msync(bytes, BLOCK, MS_SYNC))
			_exit(1);
	}
	if (fsync(fd))
		_exit(1);
}

/* By cgroup; one that is gone leaves its sum. */
static void cgroups_have_their_sums(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;
	char path[128];
	uint64_t id = make_cgroup(path, "syncer");

	harness_open(harness, &collector_fsop);
	(void)in_child(path, sync_memory, NULL);
	assert_int_equal(rmdir(path), 0);
	tick(volume);
	struct fsop_group msyncs = group_of(volume, id, FSOP_MSYNC), fsyncs = group_of(volume, id, FSOP_FSYNC);
	assert_int_equal(msyncs.count, MSYNCS);
	assert_int_equal(fsyncs.count, 1);
	assert_true(msyncs.total_ns && fsyncs.total_ns);

	for (int i = 0; i < 5; i++) {
		harness->snap.cgroups.measured_ns = clock_boot_ns(); /* a list of cgroups without it */
		tick(volume);
	}
	assert_int_equal(group_of(volume, id, FSOP_FSYNC).count, 0);
	assert_true(group_of(volume, 0, FSOP_FSYNC).count >= 1);
	assert_true(group_of(volume, 0, FSOP_MSYNC).count >= MSYNCS);
	harness_close(harness, &collector_fsop);
}

static uint64_t direct_often(bool writes)
{
	int fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0600);
	void *bytes = aligned_alloc(BLOCK, BLOCK);
	uint64_t began = clock_awake_ns();

	assert_true(fd >= 0 && bytes);
	memset(bytes, 1, BLOCK);
	for (int i = 0; i < DIRECTS; i++)
		assert_int_equal(writes ? pwrite(fd, bytes, BLOCK, i * BLOCK) : pread(fd, bytes, BLOCK, i * BLOCK), BLOCK);
	uint64_t took = clock_awake_ns() - began;
	free(bytes);
	close(fd);
	return took;
}

static void direct_io_is_counted(void **state)
{
	struct volume *volume = *state;

	harness_open(volume->harness, &collector_fsop);
	harness_needs(volume->harness, &collector_fsop, NULL);
	uint64_t writes = direct_often(true), reads = direct_often(false);
	tick(volume);
	expect(volume, FSOP_DIRECT_WRITE, DIRECTS, writes);
	expect(volume, FSOP_DIRECT_READ, DIRECTS, reads);
	harness_close(volume->harness, &collector_fsop);
}

static void ext4_tells_of_its_operations(void **state)
{
	struct volume *volume = *state;
	char name[16];

	harness_open(volume->harness, &collector_fsop);
	for (int i = 0; i < UNLINKS; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		int fd = open(name, O_RDWR | O_CREAT, 0600);
		assert_int_equal(fallocate(fd, 0, 0, 4 * BLOCK), 0);
		assert_int_equal(ftruncate(fd, BLOCK), 0);
		close(fd);
	}
	uint64_t began = clock_awake_ns();
	for (int i = 0; i < UNLINKS; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		assert_int_equal(unlink(name), 0);
	}
	uint64_t took = clock_awake_ns() - began;
	(void)sync_often(1, fsync);
	tick(volume);
	expect(volume, FSOP_UNLINK, UNLINKS, took);
	assert_int_equal(counts_of(volume, FSOP_FALLOCATE).count, UNLINKS);
	assert_true(counts_of(volume, FSOP_TRUNCATE).count >= UNLINKS); /* and what the unlinked give back */
	assert_true(counts_of(volume, FSOP_WRITEPAGES).count >= 1);
	harness_close(volume->harness, &collector_fsop);
}

static void depths_and_unmounted_filesystems(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;

	harness_open(harness, &collector_fsop);
	void *fsop = harness->state[COLLECTOR_FSOP];
	assert_int_equal(collector_fsop.set_depth(fsop, DEPTH_COUNTS), 0);
	(void)sync_often(FSYNCS, fsync);
	tick(volume);
	assert_false(harness->snap.fsops.has_histograms);
	struct fsop_counts counts = counts_of(volume, FSOP_FSYNC);
	assert_int_equal(counts.count, FSYNCS);
	assert_int_equal(buckets_of(&counts.latency), 0);

	assert_int_equal(collector_fsop.set_depth(fsop, DEPTH_OFF), 0);
	uint64_t measured = harness->snap.fsops.measured_ns;
	(void)sync_often(FSYNCS, fsync);
	tick(volume);
	assert_int_equal(harness->snap.fsops.measured_ns, measured);
	assert_int_equal(collector_fsop.set_depth(fsop, DEPTH_HISTOGRAMS), 0);
	(void)sync_often(FSYNCS, fsync);
	tick(volume);
	assert_int_equal(counts_of(volume, FSOP_FSYNC).count, 2 * FSYNCS);

	/* Mounted nowhere, and silent for a while. */
	harness->snap.filesystems.count = 0;
	for (int i = 0; i < 40; i++) {
		harness->snap.filesystems.measured_ns = clock_boot_ns();
		tick(volume);
	}
	assert_int_equal(counts_of(volume, FSOP_FSYNC).count, 0);
	harness_close(harness, &collector_fsop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(syncs_are_counted_by_their_calls, setup_ext4, teardown),
		{ "syncs_are_counted_on_xfs", syncs_are_counted_by_their_calls, setup_xfs, teardown, NULL },
		{ "syncs_are_counted_on_btrfs", syncs_are_counted_by_their_calls, setup_btrfs, teardown, NULL },
		cmocka_unit_test_setup_teardown(beside_syscall_its_hooks_serve, setup_ext4, teardown),
		cmocka_unit_test_setup_teardown(cgroups_have_their_sums, setup_ext4, teardown),
		cmocka_unit_test_setup_teardown(direct_io_is_counted, setup_ext4, teardown),
		{ "direct_io_is_counted_on_xfs", direct_io_is_counted, setup_xfs, teardown, NULL },
		cmocka_unit_test_setup_teardown(ext4_tells_of_its_operations, setup_ext4, teardown),
		cmocka_unit_test_setup_teardown(depths_and_unmounted_filesystems, setup_ext4, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
