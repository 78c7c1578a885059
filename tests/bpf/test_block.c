/* SPDX-License-Identifier: Apache-2.0 */
/* The block collector against I/O that the test makes itself on a loop device of its own, and against /proc/diskstats. */
#include "volume.h"

#include "collect/bpf.h"

#include <linux/fs.h>
#include <sched.h>

enum { IMAGE = 64 * MIB, READS = 120, WRITES = 70, READ_SIZE = 16384, WRITE_SIZE = 8192, GROUPS = 40, DEPTH_WORKERS = 4 };

static int setup_device(void **state)
{
	*state = volume_new(NULL, IMAGE);
	return 0;
}

static int setup_filesystem(void **state)
{
	*state = volume_new("ext4", IMAGE);
	return 0;
}

static int teardown(void **state)
{
	volume_free(*state);
	return 0;
}

/* --- truths ----------------------------------------------------------------------------------------------------------- */

struct totals {
	uint64_t reads, read_bytes, writes, written_bytes;
};

static struct totals diskstats(const struct volume *volume)
{
	char line[512], name[64];
	struct totals totals = { 0 };
	bool found = false;
	FILE *file = fopen("/proc/diskstats", "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		unsigned long reads, read_sectors, writes, written_sectors;
		if (sscanf(line, "%*u %*u %63s %lu %*u %lu %*u %lu %*u %lu", name, &reads, &read_sectors, &writes, &written_sectors) != 5 ||
		    strcmp(name, volume->name + strlen("/dev/")))
			continue;
		totals = (struct totals){ reads, read_sectors * 512, writes, written_sectors * 512 };
		found = true;
	}
	fclose(file);
	assert_true(found);
	return totals;
}

static struct block_counts counts_of(const struct volume *volume, enum block_op op)
{
	const struct block_stat_section *section = &volume->harness->snap.block_stats;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == volume->dev && section->each[i].op == op)
			return section->each[i].counts;
	return (struct block_counts){ 0 };
}

static const struct block_device_state *device_of(const struct volume *volume)
{
	const struct block_device_section *section = &volume->harness->snap.block_devices;

	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].dev == volume->dev)
			return &section->each[i];
	return NULL;
}

static uint64_t buckets_of(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->buckets[i];
	return count;
}

/* Of one cgroup (all: UINT64_MAX). */
static struct block_group group_of(const struct volume *volume, uint64_t cgroup_id, enum block_op op)
{
	const struct block_group_section *section = &volume->harness->snap.block_groups;
	struct block_group sum = { .source = BLOCK_SOURCE_COUNT };

	for (uint32_t i = 0; i < section->count; i++) {
		const struct block_group *group = &section->each[i];
		if (group->dev != volume->dev || group->op != op || (cgroup_id != UINT64_MAX && group->cgroup_id != cgroup_id))
			continue;
		sum.ops += group->ops;
		sum.bytes += group->bytes;
		sum.device_ns += group->device_ns;
		sum.source = group->bytes ? group->source : sum.source;
	}
	return sum;
}

static void tick(struct volume *volume)
{
	harness_tick(volume->harness, &collector_block);
	assert_int_equal(volume->harness->status[COLLECTOR_BLOCK].events_lost, 0);
}

/* --- I/O -------------------------------------------------------------------------------------------------------------- */

struct work {
	const char *path;
	int count;
	size_t size;
	bool writes;
};

/* One request each: aligned, direct, and below what the device takes at once. How long it all took, as the caller sees it. */
static uint64_t do_direct(const struct work *work)
{
	int fd = open(work->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	void *bytes = aligned_alloc(4096, work->size);
	uint64_t began = clock_awake_ns();

	assert_true(fd >= 0 && bytes);
	memset(bytes, 7, work->size);
	for (int i = 0; i < work->count; i++) {
		off_t at = (off_t)i * (off_t)work->size;
		ssize_t size = work->writes ? pwrite(fd, bytes, work->size, at) : pread(fd, bytes, work->size, at);
		assert_int_equal(size, work->size);
	}
	uint64_t took = clock_awake_ns() - began;
	free(bytes);
	close(fd);
	return took;
}

static void do_direct_and_exit(void *work)
{
	(void)do_direct(work);
}

/* --- the tests -------------------------------------------------------------------------------------------------------- */

static void counts_and_times_are_true(void **state)
{
	struct volume *volume = *state;
	struct work reads = { volume->name, READS, READ_SIZE, false }, writes = { volume->name, WRITES, WRITE_SIZE, true };

	harness_open(volume->harness, &collector_block);
	tick(volume);
	struct totals before = diskstats(volume);
	struct block_counts first_read = counts_of(volume, BLOCK_OP_READ), first_write = counts_of(volume, BLOCK_OP_WRITE);
	uint64_t reads_took = do_direct(&reads), writes_took = do_direct(&writes);
	tick(volume);
	struct totals after = diskstats(volume);
	struct block_counts read = counts_of(volume, BLOCK_OP_READ), write = counts_of(volume, BLOCK_OP_WRITE);

	assert_int_equal(read.ops - first_read.ops, READS);
	assert_int_equal(read.bytes - first_read.bytes, READS * READ_SIZE);
	assert_int_equal(write.ops - first_write.ops, WRITES);
	assert_int_equal(write.bytes - first_write.bytes, WRITES * WRITE_SIZE);
	assert_int_equal(read.ops - first_read.ops, after.reads - before.reads);
	assert_int_equal(read.bytes - first_read.bytes, after.read_bytes - before.read_bytes);
	assert_int_equal(write.ops - first_write.ops, after.writes - before.writes);
	assert_int_equal(write.bytes - first_write.bytes, after.written_bytes - before.written_bytes);

	/* Each request lies within its call: waiting and being done take no longer than all calls together. */
	assert_in_range(read.device_ns - first_read.device_ns, 1, reads_took);
	assert_in_range(read.device_ns - first_read.device_ns + read.queue_ns - first_read.queue_ns, 1, reads_took);
	assert_in_range(write.device_ns - first_write.device_ns, 1, writes_took);
	assert_int_equal(read.queued, read.ops); /* the kernel notes arrivals while iostats is on */
	assert_int_equal(buckets_of(&read.latency), read.ops);
	assert_int_equal(read.latency.sum_ns, read.device_ns);
	assert_int_equal(buckets_of(&read.queue), read.queued);
	assert_int_equal(read.queue.sum_ns, read.queue_ns);
	assert_string_equal(device_of(volume)->name, volume->name + strlen("/dev/"));
	assert_int_equal(device_of(volume)->in_flight, 0);
	assert_int_equal(device_of(volume)->max_in_flight, 1);
	assert_true(device_of(volume)->mean_in_flight_milli && device_of(volume)->mean_in_flight_milli <= 1000);
	harness_close(volume->harness, &collector_block);
}

/* iostats and write-back throttling are what asks for it, beside a scheduler, which a loop device has not. */
static void set_askers(const struct volume *volume, const char *iostats, const char *throttling)
{
	const char *const askers[][2] = { { "iostats", iostats }, { "wbt_lat_usec", throttling } };
	char path[64];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/block/loop%u/queue/%s", volume->number, askers[i][0]);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 && i) /* built without */
			return;
		assert_true(fd >= 0);
		(void)!write(fd, askers[i][1], strlen(askers[i][1])); /* the second may be refused where it is off already */
		close(fd);
	}
}

/* Where the kernel does not note arrivals, the time in the queue is not known; everything else is. */
static void without_arrivals_only_the_queue_is_missing(void **state)
{
	struct volume *volume = *state;
	struct work work = { volume->name, READS, READ_SIZE, false };

	harness_open(volume->harness, &collector_block);
	set_askers(volume, "0", "0");
	(void)do_direct(&work);
	tick(volume);
	set_askers(volume, "1", "-1");
	struct block_counts read = counts_of(volume, BLOCK_OP_READ);
	assert_int_equal(read.ops, READS);
	assert_int_equal(read.queued, 0); /* nor taken from what the request was before */
	assert_int_equal(buckets_of(&read.queue), 0);
	assert_true(read.device_ns);
	harness_close(volume->harness, &collector_block);
}

/* An image that ends in the middle of a request: one part comes, the rest is tried again and fails. */
static void errors_parts_and_requeues_are_counted(void **state)
{
	struct volume *volume = *state;
	void *bytes = aligned_alloc(4096, READ_SIZE);

	assert_int_equal(truncate(volume->image, READ_SIZE / 2), 0);
	harness_open(volume->harness, &collector_block);
	int fd = open(volume->name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	assert_true(fd >= 0 && bytes);
	ssize_t half = pread(fd, bytes, READ_SIZE, 0), beyond = pread(fd, bytes, READ_SIZE, 4 * READ_SIZE);
	uint32_t failed = (half < READ_SIZE) + (beyond < 0);
	close(fd);
	if (failed < 2)
		print_message("this kernel's loop device reads zeroes beyond the end of its image\n");
	free(bytes);
	tick(volume);

	struct block_counts read = counts_of(volume, BLOCK_OP_READ);
	assert_int_equal(read.ops, 2);
	assert_int_equal(read.errors[BLOCK_ERROR_EIO], failed);
	if (half < READ_SIZE)
		assert_int_equal(read.requeues, 1);
	assert_int_equal(read.bytes, 2 * READ_SIZE);
	assert_int_equal(buckets_of(&read.latency), 2);
	assert_int_equal(device_of(volume)->in_flight, 0);
	harness_close(volume->harness, &collector_block);
}

static void write_and_exit(void *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char *bytes = malloc(4 * MIB);

	memset(bytes, 3, 4 * MIB);
	if (fd < 0 || write(fd, bytes, 4 * MIB) != 4 * MIB)
		_exit(1);
}

/* Whether a controller stands in one of the two lists of the unified hierarchy's root. */
static bool root_lists(const char *list, const char *controller)
{
	char text[256] = "", path[128];

	snprintf(path, sizeof(path), "%s/%s", cgroup_root(), list);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	for (char *word = size > 0 ? strtok(text, " \n") : NULL; word; word = strtok(NULL, " \n"))
		if (!strcmp(word, controller))
			return true;
	return false;
}

/* A machine of its own may be changed; this host's hierarchies are not ours. */
static void switch_on_or_skip(const char *controller)
{
	char path[128], text[32];

	if (!root_lists("cgroup.controllers", "io") || !root_lists("cgroup.controllers", "memory")) {
		print_message("no io and memory controllers on cgroup2 here: runs in a virtual machine\n");
		skip();
	}
	if (root_lists("cgroup.subtree_control", controller))
		return;
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", cgroup_root());
	snprintf(text, sizeof(text), "+%s", controller);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Written back by the kernel, or by our sync, after the writer is gone: still the writer's. */
static void expect_writeback_charged(struct volume *volume, enum block_source source)
{
	char path[128];
	uint64_t id = make_cgroup(path, "writer");
	int fd = open(".", O_RDONLY | O_DIRECTORY);

	tick(volume);
	(void)in_child(path, write_and_exit, "file");
	assert_int_equal(syncfs(fd), 0);
	close(fd);
	tick(volume);
	struct block_group group = group_of(volume, id, BLOCK_OP_WRITE);
	assert_in_range(group.bytes, 4 * MIB, 4 * MIB + MIB / 4);
	assert_int_equal(group.source, source);
	assert_true(group.ops && group.device_ns);
	assert_int_equal(rmdir(path), 0);

	/* Rows of all cgroups are all that the device did. */
	for (enum block_op op = 0; op < BLOCK_OP_COUNT; op++) {
		struct block_group all = group_of(volume, UINT64_MAX, op);
		struct block_counts counts = counts_of(volume, op);
		assert_int_equal(all.bytes, counts.bytes);
		assert_int_equal(all.ops, counts.ops);
		assert_int_equal(all.device_ns, counts.device_ns);
	}
}

/* Without controllers, by the file's last writer, as fswrite keeps it. */
static void writeback_is_the_dirtiers(void **state)
{
	struct volume *volume = *state;

	if (root_lists("cgroup.subtree_control", "io") || root_lists("cgroup.subtree_control", "memory")) {
		print_message("cgroup2 has controllers switched on, and then knows better\n");
		skip();
	}
	harness_open(volume->harness, &collector_fswrite);
	harness_open(volume->harness, &collector_block);
	expect_writeback_charged(volume, BLOCK_SOURCE_DIRTIER);
	harness_close(volume->harness, &collector_block);
	harness_close(volume->harness, &collector_fswrite);
}

static void writeback_is_charged_as_memory_is(void **state)
{
	struct volume *volume = *state;

	if (root_lists("cgroup.subtree_control", "io")) {
		print_message("cgroup2 has io switched on, and then knows better\n");
		skip();
	}
	switch_on_or_skip("memory");
	harness_open(volume->harness, &collector_block);
	expect_writeback_charged(volume, BLOCK_SOURCE_WRITEBACK);
	harness_close(volume->harness, &collector_block);
}

static void writeback_is_the_bios(void **state)
{
	struct volume *volume = *state;

	switch_on_or_skip("io");
	harness_open(volume->harness, &collector_block);
	expect_writeback_charged(volume, BLOCK_SOURCE_BIO);
	harness_close(volume->harness, &collector_block);
}

/* Reads and direct writes belong to who makes them; a cgroup that is gone leaves its sum and no row. */
static void cgroups_come_and_go(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;
	struct work work = { volume->name, 5, READ_SIZE, false };
	char paths[GROUPS][128], name[16];
	uint64_t ids[GROUPS];

	harness_open(harness, &collector_block);
	for (int i = 0; i < GROUPS; i++) {
		snprintf(name, sizeof(name), "churn-%d", i);
		ids[i] = make_cgroup(paths[i], name);
		(void)in_child(paths[i], do_direct_and_exit, &work);
	}
	tick(volume);
	uint64_t all = group_of(volume, UINT64_MAX, BLOCK_OP_READ).bytes;
	for (int i = 0; i < GROUPS; i++) {
		assert_int_equal(group_of(volume, ids[i], BLOCK_OP_READ).bytes, 5 * READ_SIZE);
		assert_int_equal(rmdir(paths[i]), 0);
	}
	for (int i = 0; i < 5; i++) {
		harness->snap.cgroups.measured_ns = clock_boot_ns(); /* a list of cgroups without them */
		tick(volume);
	}
	for (int i = 0; i < GROUPS; i++)
		assert_int_equal(group_of(volume, ids[i], BLOCK_OP_READ).bytes, 0);
	assert_int_equal(group_of(volume, UINT64_MAX, BLOCK_OP_READ).bytes, all);
	assert_int_equal(group_of(volume, 0, BLOCK_OP_READ).bytes, all);

	uint64_t keys[4]; /* as long as a key of either table */
	struct block_group_key *key = (void *)keys;
	int fd = object_shared_map("groups");
	for (bool more = !bpf_map_get_next_key(fd, NULL, key); more; more = !bpf_map_get_next_key(fd, key, key))
		assert_true(key->dev != volume->dev || key->cgroup_id < ids[0] || key->cgroup_id > ids[GROUPS - 1]);
	harness_close(harness, &collector_block);
}

/* A device that is taken away takes its rows along. */
static void a_device_that_goes_leaves_nothing(void **state)
{
	struct volume *volume = *state;
	struct work work = { volume->name, 5, READ_SIZE, false };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number = 500 + getpid() % 100000;
	struct volume added = *volume;

	number = ioctl(control, LOOP_CTL_ADD, number);
	assert_true(number >= 0);
	snprintf(added.name, sizeof(added.name), "/dev/loop%d", number);
	int fd = open(added.name, O_RDWR | O_CLOEXEC), image = open(volume->image, O_RDWR | O_CLOEXEC);
	struct stat status;
	assert_true(fd >= 0 && image >= 0 && !ioctl(fd, LOOP_SET_FD, image) && !fstat(fd, &status));
	added.dev = major(status.st_rdev) << 20 | minor(status.st_rdev);
	work.path = added.name;

	harness_open(volume->harness, &collector_block);
	(void)do_direct(&work);
	tick(volume);
	assert_non_null(device_of(&added));
	assert_int_equal(counts_of(&added, BLOCK_OP_READ).ops, 5);
	assert_true(group_of(&added, UINT64_MAX, BLOCK_OP_READ).ops == 5);

	assert_int_equal(ioctl(fd, LOOP_CLR_FD), 0);
	close(fd);
	close(image);
	int error;
	while ((error = ioctl(control, LOOP_CTL_REMOVE, number)) < 0 && errno == EBUSY)
		sched_yield(); /* the detach ends with the last close, whoever else looks at it */
	assert_true(error >= 0); /* older kernels return its number */
	close(control);
	tick(volume);
	assert_null(device_of(&added));
	assert_int_equal(counts_of(&added, BLOCK_OP_READ).ops, 0);
	assert_int_equal(group_of(&added, UINT64_MAX, BLOCK_OP_READ).ops, 0);
	struct block_device_key key = { .dev = added.dev, .op = BLOCK_OP_READ };
	char value[64 * 1024];
	assert_true(bpf_map_lookup_elem(object_shared_map("devices"), &key, value) < 0);
	harness_close(volume->harness, &collector_block);
}

/*
 * A device that does not answer: its image lies on a filesystem that is frozen, so that writes wait there. They are seen as under way,
 * with their age, before any of them ends; and what they took is in the means from the first moment.
 */
static void what_hangs_is_seen_before_it_ends(void **state)
{
	struct volume *outer = *state, *inner;
	char image[72];
	pid_t workers[DEPTH_WORKERS];
	int frozen = open(outer->dir, O_RDONLY | O_DIRECTORY);

	snprintf(image, sizeof(image), "%.60s/inner.img", outer->dir);
	int fd = open(image, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0 && !fallocate(fd, 0, 0, 8 * MIB) && !fsync(fd));
	close(fd);
	inner = calloc(1, sizeof(*inner));
	snprintf(inner->image, sizeof(inner->image), "%.71s", image);
	volume_attach(inner);
	struct stat status;
	assert_int_equal(fstat(inner->loop, &status), 0);
	inner->dev = major(status.st_rdev) << 20 | minor(status.st_rdev);
	inner->harness = outer->harness;

	harness_open(outer->harness, &collector_block);
	tick(outer);
	assert_int_equal(ioctl(frozen, FIFREEZE, 0), 0);
	for (int i = 0; i < DEPTH_WORKERS; i++) {
		workers[i] = fork();
		if (!workers[i]) {
			struct work work = { inner->name, 1, WRITE_SIZE, true };
			(void)do_direct(&work);
			_exit(0);
		}
	}
	for (int i = 0; i < 60000 && (!device_of(inner) || device_of(inner)->in_flight < DEPTH_WORKERS); i++) {
		usleep(2000);
		tick(outer);
	}
	tick(outer);
	struct block_device_state hanging = *device_of(inner);
	struct block_counts counts = counts_of(inner, BLOCK_OP_WRITE);
	assert_int_equal(ioctl(frozen, FITHAW, 0), 0);
	for (int i = 0; i < DEPTH_WORKERS; i++)
		waitpid(workers[i], NULL, 0);

	assert_int_equal(hanging.in_flight, DEPTH_WORKERS);
	assert_int_equal(hanging.max_in_flight, DEPTH_WORKERS);
	assert_in_range(hanging.mean_in_flight_milli, DEPTH_WORKERS * 980, DEPTH_WORKERS * 1020);
	assert_true(hanging.oldest_ns);
	assert_int_equal(counts.ops, 0);
	tick(outer);
	assert_int_equal(counts_of(inner, BLOCK_OP_WRITE).ops, DEPTH_WORKERS);
	assert_true(counts_of(inner, BLOCK_OP_WRITE).device_ns >= hanging.oldest_ns);
	assert_int_equal(device_of(inner)->in_flight, 0);
	assert_int_equal(device_of(inner)->oldest_ns, 0);
	harness_close(outer->harness, &collector_block);
	close(frozen);
	close(inner->loop);
	free(inner);
}

static void depths_give_up_and_take_up(void **state)
{
	struct volume *volume = *state;
	struct harness *harness = volume->harness;
	struct work work = { volume->name, READS, READ_SIZE, false };

	harness_open(harness, &collector_block);
	(void)do_direct(&work);
	tick(volume);
	uint64_t measured = harness->snap.block_stats.measured_ns;
	assert_true(harness->snap.block_stats.has_histograms);

	assert_int_equal(collector_block.set_depth(harness->state[COLLECTOR_BLOCK], DEPTH_COUNTS), 0);
	(void)do_direct(&work);
	tick(volume);
	assert_false(harness->snap.block_stats.has_histograms);
	assert_int_equal(counts_of(volume, BLOCK_OP_READ).ops, 2 * READS);
	struct block_counts counts = counts_of(volume, BLOCK_OP_READ);
	assert_int_equal(buckets_of(&counts.latency), READS);

	assert_int_equal(collector_block.set_depth(harness->state[COLLECTOR_BLOCK], DEPTH_OFF), 0);
	measured = harness->snap.block_stats.measured_ns;
	(void)do_direct(&work);
	tick(volume);
	assert_int_equal(harness->snap.block_stats.measured_ns, measured);

	assert_int_equal(collector_block.set_depth(harness->state[COLLECTOR_BLOCK], DEPTH_DEEP), 0);
	(void)do_direct(&work);
	tick(volume);
	counts = counts_of(volume, BLOCK_OP_READ);
	assert_int_equal(counts.ops, 3 * READS);
	assert_int_equal(buckets_of(&counts.latency), 2 * READS);
	assert_int_equal(device_of(volume)->in_flight, 0);
	harness_close(harness, &collector_block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_and_times_are_true, setup_device, teardown),
		cmocka_unit_test_setup_teardown(without_arrivals_only_the_queue_is_missing, setup_device, teardown),
		cmocka_unit_test_setup_teardown(errors_parts_and_requeues_are_counted, setup_device, teardown),
		cmocka_unit_test_setup_teardown(writeback_is_the_dirtiers, setup_filesystem, teardown),
		cmocka_unit_test_setup_teardown(writeback_is_charged_as_memory_is, setup_filesystem, teardown),
		cmocka_unit_test_setup_teardown(writeback_is_the_bios, setup_filesystem, teardown),
		cmocka_unit_test_setup_teardown(cgroups_come_and_go, setup_device, teardown),
		cmocka_unit_test_setup_teardown(a_device_that_goes_leaves_nothing, setup_device, teardown),
		cmocka_unit_test_setup_teardown(what_hangs_is_seen_before_it_ends, setup_filesystem, teardown),
		cmocka_unit_test_setup_teardown(depths_give_up_and_take_up, setup_device, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
