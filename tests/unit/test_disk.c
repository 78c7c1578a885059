/* SPDX-License-Identifier: Apache-2.0 */
/* Disks: whole ones only, in bytes and nanoseconds, busy over the last interval. */
#include "collect_bench.h"

extern const struct collector collector_disk;

static void put_disk(struct bench *bench, unsigned io_ms)
{
	char text[256];
	snprintf(text, sizeof(text), "   8       0 sda 10 2 2048 30 20 4 4096 60 1 %u 90\n   8       1 sda1 1 1 1 1 1 1 1 1 1 1 1\n",
		 io_ms);
	bench_say(bench, "proc/diskstats", text);
}

static void reads_debian_12(void **given)
{
	struct bench *bench = *given;
	bench_copy(bench, FIXTURES "proc/diskstats", "proc/diskstats");
	assert_int_equal(bench_open(bench, &collector_disk), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);

	const struct disk_section *disks = &bench->snap->disks;
	assert_int_equal(disks->count, 1); /* neither loop nor zram */
	assert_string_equal(disks->each[0].name, "vda");
	assert_int_equal(disks->each[0].dev, 254 << 20);
	assert_int_equal(disks->each[0].reads, 72451);
	assert_int_equal(disks->each[0].read_bytes, 6040498ULL * 512);
	assert_int_equal(disks->each[0].read_ns, 58293 * NSEC_PER_MSEC);
	assert_int_equal(disks->each[0].written_bytes, 5496296ULL * 512);
	assert_int_equal(disks->each[0].io_ns, 17688 * NSEC_PER_MSEC);
	assert_int_equal(disks->each[0].weighted_io_ns, 83458 * NSEC_PER_MSEC);
	assert_int_equal(disks->each[0].busy_permille, UINT32_MAX);
}

static void busy_is_that_of_the_last_interval(void **given)
{
	struct bench *bench = *given;
	const struct disk *disk = &bench->snap->disks.each[0];
	put_disk(bench, 1000);
	assert_int_equal(bench_open(bench, &collector_disk), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench->snap->disks.count, 1);

	put_disk(bench, 1500);
	assert_int_equal(bench_tick(bench, 2 * NSEC_PER_SEC, true), 0);
	assert_int_equal(disk->busy_permille, 250);
	put_disk(bench, 9500);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(disk->busy_permille, 1000);
	put_disk(bench, 5); /* wrapped around */
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(disk->busy_permille, UINT32_MAX);
}

static void partitions_are_told_from_disks(void **given)
{
	static const char *const names[] = {
		"nvme0n1", "nvme0n1p1", "mmcblk0", "md127", "dm-0", "xvda",   "xvda1", "vdb2",
		"hdc3",    "fd0",       "ram15",   "loop9", "sdaa", "sdaa11", "sr0",
	};
	static const char *const kept[] = { "nvme0n1", "mmcblk0", "md127", "dm-0", "xvda", "sdaa", "sr0" };
	struct bench *bench = *given;
	char text[2048];
	int size = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		size += snprintf(text + size, sizeof(text) - (size_t)size, " 9 %zu %s 1 1 1 1 1 1 1 1 0 1 1 0 0 0 0\n", i, names[i]);
	bench_say(bench, "proc/diskstats", text);
	assert_int_equal(bench_open(bench, &collector_disk), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench->snap->disks.count, sizeof(kept) / sizeof(kept[0]));
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		assert_string_equal(bench->snap->disks.each[i].name, kept[i]);
}

static void more_than_fit_are_counted(void **given)
{
	struct bench *bench = *given;
	static char text[65536];
	int size = 0;
	for (int i = 0; i < MAX_DISKS + 3; i++)
		size += snprintf(text + size, sizeof(text) - (size_t)size, " 253 %d dm-%d 1 1 1 1 1 1 1 1 0 1 1\n", i, i);
	bench_say(bench, "proc/diskstats", text);
	assert_int_equal(bench_open(bench, &collector_disk), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(bench->snap->disks.count, MAX_DISKS);
	assert_int_equal(bench->snap->disks.cut, 3);
	assert_int_equal(bench->status.events_lost, 3);
}

static void bad_text_leaves_the_section_alone(void **given)
{
	static const char *const bad[] = {
		" 8 0 sda 1 2 3\n",
		" 8 0 sda 1 1 1 1 1 1 1 1 1 1 1",
		" 8 0\n",
		" x 0 sda 1 1 1 1 1 1 1 1 1 1 1\n",
		" 8 0 sda 1 1 36028797018963968 1 1 1 1 1 1 1 1\n",
		" 8 1048576 sda 1 1 1 1 1 1 1 1 1 1 1\n",
	};
	struct bench *bench = *given;
	put_disk(bench, 1);
	assert_int_equal(bench_open(bench, &collector_disk), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	uint64_t measured_ns = bench->snap->disks.measured_ns;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bench_say(bench, "proc/diskstats", bad[i]);
		assert_true(bench_tick(bench, NSEC_PER_SEC, true) < 0);
		assert_int_equal(bench->snap->disks.measured_ns, measured_ns);
		assert_int_equal(bench->snap->disks.count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(reads_debian_12),
		BENCH_TEST(busy_is_that_of_the_last_interval),
		BENCH_TEST(partitions_are_told_from_disks),
		BENCH_TEST(more_than_fit_are_counted),
		BENCH_TEST(bad_text_leaves_the_section_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
